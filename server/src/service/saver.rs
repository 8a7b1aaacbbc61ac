//! Saving the data set as a whole: BGSAVE and SAVE, save points, and rewrites of the base behind the log.
//!
//! Commands say what is wanted; it begins between two turns of the shard, where no unit is open, so the
//! cut is the state at one LSN. One snapshot is written at a time, a little of it in each turn.
//!
//! Invariants:
//! * SAVE is answered when its file is durable, BGSAVE when its file is on its way.
//! * A failure costs the snapshot and nothing else; it is shown until one succeeds.

mod due;
mod turn;

use std::rc::Rc;

use moon_engine::exec::Shard;
use moon_engine::snapshot::SnapshotRefused;
use moon_formats::rrdshard::{Extension, Preamble, VERSION, file_flags};
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::Log;
use moon_storage::parts::{Parts, ShardPaths};
use moon_storage::snapshot::{Env, Job, Kind, Pace, Retention, Rewrite};

use crate::config::{Config, OptionId, Value};
use crate::net::Slot;

/// Time after a failure until a save point or growth of the log is tried again (Redis
/// `CONFIG_BGSAVE_RETRY_DELAY`).
pub(super) const RETRY_SECS: u64 = 5;
/// What one needs to write files, from the start of service on.
pub(crate) struct Ground {
    pub(crate) disk: Rc<dyn Disk>,
    pub(crate) rt: Rc<dyn Runtime>,
    pub(crate) paths: ShardPaths,
    pub(crate) wake: Rc<dyn Fn()>,
    pub(crate) uuid: [u8; 16],
    /// The part list, if there is a log.
    pub(crate) parts: Option<Parts>,
    /// Size of the base that was loaded.
    pub(crate) base_bytes: u64,
    /// When the last snapshot was made, in seconds since 1970; 0 for never.
    pub(crate) saved_secs: u64,
    /// Cut of the save that was loaded.
    pub(crate) saved_lsn: Option<u64>,
    /// Cut of saves that are made without a log.
    pub(crate) cut_without_log: u64,
    /// The log was long to read, or its base damaged: a new base is due.
    pub(crate) needs_rewrite: bool,
    /// Bytes of records that were read behind the base.
    pub(crate) log_bytes: u64,
    /// How fast, if there were enough to say.
    pub(crate) replay_bytes_per_sec: Option<u64>,
    /// Number of each listed base, and when it was made, in seconds since 1970.
    pub(crate) base_times: Vec<(u64, u64)>,
}

/// What a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A save is under way.
    Saving,
    /// A rewrite is under way.
    Rewriting,
    /// There is no log.
    NoLog,
    /// Nothing is written: the data are only shown.
    Inspecting,
}

/// Figures for /metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SaverFigures {
    pub(crate) save: KindFigures,
    pub(crate) rewrite: KindFigures,
    /// What a start would read first: when it was made, in seconds since 1970, and its bytes; 0 for none.
    pub(crate) base_secs: u64,
    pub(crate) base_bytes: u64,
    /// The oldest moment that can be restored, in seconds since 1970; 0 if not known.
    pub(crate) oldest_restore_secs: u64,
    /// What has been written ahead of the writer, in bytes.
    pub(crate) pending_bytes: usize,
}

/// Figures of the snapshots of a kind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KindFigures {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) running: bool,
    /// How long the last took, in microseconds.
    pub(crate) took_us: Option<u64>,
}

/// How the last snapshot of a kind went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last {
    pub(crate) ok: bool,
    /// Those that failed, ever.
    failed: u64,
    /// Microseconds it took.
    took_us: Option<u64>,
    /// Seconds it took; `None` before the first.
    pub(crate) secs: Option<u64>,
    pub(crate) tried_secs: u64,
}

impl Default for Last {
    fn default() -> Self {
        Self { ok: true, failed: 0, took_us: None, secs: None, tried_secs: 0 }
    }
}

struct Running {
    job: Job,
    is_cancelled: bool,
    /// `dirty` at the cut.
    dirty: u64,
    started_ms: u64,
    /// Bytes of the log at the cut.
    log_bytes: u64,
}

/// The saver of a shard.
#[derive(Default)]
pub(crate) struct Saver {
    ground: Option<Ground>,
    running: Option<Running>,
    /// A save is to begin as soon as it can.
    save_wanted: bool,
    rewrite_wanted: bool,
    /// Nothing begins: the log is being ended.
    is_held: bool,
    /// Nothing is written, ever: the data are only shown.
    is_inspecting: bool,
    /// Cut of the last save that is durable.
    saved_lsn: Option<u64>,
    cut_without_log: u64,
    /// Clients of SAVE, answered by the save that begins next or runs.
    waiting: Vec<Slot>,
    /// The running request is a SAVE that has to wait.
    asked: bool,
    pub(crate) last_save: Last,
    pub(crate) last_rewrite: Last,
    /// When the last save was durable, in seconds since 1970.
    pub(crate) saved_secs: u64,
    pub(crate) saves: u64,
    pub(crate) rewrites: u64,
    base_bytes: u64,
    /// When the base in force was made, in seconds since 1970; 0 without one.
    base_secs: u64,
    /// Bytes of the log at the cut of the base in force.
    base_log_bytes: u64,
    /// Bytes that the log had behind its base when it was opened, as long as that base is in force.
    opened_log_bytes: u64,
    // Options.
    max_wal: u64,
    target_secs: u64,
    points: Vec<(u64, u64)>,
    stop_writes: bool,
    growth_percent: u64,
    growth_min: u64,
    cow_max: usize,
    pace: Pace,
    /// Microseconds for each key that a snapshot takes at least.
    key_delay_us: u64,
    /// Nothing is done before this time, in milliseconds of the monotonic clock; 0 is no such time.
    slow_until_ms: u64,
    retention: Retention,
    databases: u16,
}

impl Saver {
    /// Takes over options.
    pub(crate) fn refresh(&mut self, config: &Config) {
        self.points = match config.value(OptionId::Save) {
            Value::Save(points) => points.clone(),
            _ => Vec::new(),
        };
        self.stop_writes = config.bool(OptionId::StopWritesOnBgsaveError);
        self.growth_percent = config.int(OptionId::AutoAofRewritePercentage) as u64;
        self.growth_min = config.int(OptionId::AutoAofRewriteMinSize) as u64;
        self.max_wal = config.int(OptionId::MaxWalSize) as u64;
        self.target_secs = config.int(OptionId::RecoveryTargetSecs) as u64;
        self.retention = Retention {
            bases: config.size(OptionId::PitrBases),
            window_ms: config.int(OptionId::PitrWindow) as u64 * 1000,
        };
        self.cow_max = config.size(OptionId::SnapshotCowMax);
        self.pace.bytes_per_sec = (config.int(OptionId::SnapshotMbPerSec) as u64) << 20;
        self.databases = config.int(OptionId::Databases) as u16;
        self.key_delay_us = u64::try_from(config.int(OptionId::RdbKeySaveDelay)).unwrap_or(0);
        self.slow_until_ms = 0;
    }

    /// Begins to be of use: the data are there.
    pub(crate) fn begin(&mut self, ground: Ground) {
        self.base_bytes = ground.base_bytes;
        self.saved_secs = ground.saved_secs;
        self.saved_lsn = ground.saved_lsn;
        self.cut_without_log = ground.cut_without_log;
        self.opened_log_bytes = ground.log_bytes;
        self.base_secs = if ground.parts.is_some() { ground.saved_secs } else { 0 };
        self.rewrite_wanted = ground.needs_rewrite && ground.parts.is_some();
        self.ground = Some(ground);
    }

    /// The data are there and only shown.
    pub(crate) fn only_show(&mut self, saved_secs: u64) {
        self.is_inspecting = true;
        self.saved_secs = saved_secs;
    }

    /// Whether a save is under way or about to begin.
    pub(crate) fn is_saving(&self) -> bool {
        self.save_wanted || self.running.as_ref().is_some_and(|r| !r.job.is_rewrite())
    }

    /// Whether a rewrite is under way.
    pub(crate) fn is_rewriting(&self) -> bool {
        self.running.as_ref().is_some_and(|r| r.job.is_rewrite())
    }

    /// Whether nothing is under way or about to begin.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && !self.save_wanted
    }

    /// What files are written with, once the data are there.
    pub(crate) fn ground(&self) -> Option<&Ground> {
        self.ground.as_ref()
    }

    /// Sets the part list of the log that counts; the one before.
    pub(super) fn set_parts(&mut self, parts: Option<Parts>) -> Option<Parts> {
        let ground = self.ground.as_mut()?;
        std::mem::replace(&mut ground.parts, parts)
    }

    /// Has nothing begin, or lets things begin again.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Cut of the last save that is durable.
    pub(super) fn saved_lsn(&self) -> Option<u64> {
        self.saved_lsn
    }

    /// Cut of saves that are made without a log.
    pub(super) fn cut_without_log(&self) -> u64 {
        self.cut_without_log
    }

    /// Sets the cut of saves without a log: the end of the log.
    pub(super) fn set_cut_without_log(&mut self, lsn: u64) {
        self.cut_without_log = lsn;
        self.base_bytes = 0;
        self.base_secs = 0;
        self.base_log_bytes = 0;
        self.opened_log_bytes = 0;
    }

    /// Gives up a rewrite that is under way or wanted.
    pub(super) fn cancel_rewrite(&mut self, shard: &mut Shard) {
        self.rewrite_wanted = false;
        if let Some(running) = &mut self.running
            && running.job.is_rewrite()
            && !std::mem::replace(&mut running.is_cancelled, true)
        {
            running.job.cancel(shard);
            self.slow_until_ms = 0;
        }
    }

    /// A rewrite did not come to begin.
    pub(super) fn note_failed_rewrite(&mut self, now_secs: u64) {
        let last = &mut self.last_rewrite;
        *last =
            Last { ok: false, failed: last.failed + 1, secs: None, tried_secs: now_secs, ..*last };
    }

    /// Whether one is to begin when it can.
    pub(crate) fn is_rewrite_scheduled(&self) -> bool {
        self.rewrite_wanted
    }

    /// Bytes of the base in force; 0 without one.
    pub(crate) fn base_bytes(&self) -> u64 {
        self.base_bytes
    }

    /// Bytes written of what is under way, and since when in milliseconds of the monotonic clock.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        self.running.as_ref().map(|r| (r.job.bytes_written(), r.started_ms))
    }

    /// Figures for /metrics.
    pub(crate) fn figures(&self, shard: &Shard) -> SaverFigures {
        let kind = |last: &Last, done, running| KindFigures {
            done,
            failed: last.failed,
            running,
            took_us: last.took_us,
        };
        let has_parts = self.ground.as_ref().is_some_and(|g| g.parts.is_some());
        SaverFigures {
            save: kind(&self.last_save, self.saves, self.is_saving()),
            rewrite: kind(&self.last_rewrite, self.rewrites, self.is_rewriting()),
            base_secs: if has_parts { self.base_secs } else { self.saved_secs },
            base_bytes: self.base_bytes,
            oldest_restore_secs: self.oldest_restore().map_or(0, |(_, secs)| secs),
            pending_bytes: shard.snapshot_pending(),
        }
    }

    /// Has the data set saved. `later` leaves it to begin when what is under way has ended.
    pub(crate) fn want_save(&mut self, later: bool) -> Result<(), Refused> {
        if self.is_inspecting {
            return Err(Refused::Inspecting);
        }
        if self.is_saving() {
            return Err(Refused::Saving);
        }
        if self.running.is_some() && !later {
            return Err(Refused::Rewriting);
        }
        self.save_wanted = true;
        Ok(())
    }

    /// Has the data set saved, and the client of `slot` wait for it.
    pub(crate) fn want_save_for(&mut self, slot: Slot) -> Result<(), Refused> {
        self.want_save(false)?;
        self.asked = true;
        self.waiting.push(slot);
        Ok(())
    }

    /// Gives a save up that is under way or wanted. False if there is none.
    pub(crate) fn cancel_save(&mut self, shard: &mut Shard) -> bool {
        let wanted = std::mem::take(&mut self.save_wanted);
        match &mut self.running {
            Some(running) if !running.job.is_rewrite() => {
                running.job.cancel(shard);
                self.slow_until_ms = 0;
                running.is_cancelled = true;
                true
            }
            _ => wanted,
        }
    }

    /// Has the base written anew. False if that has to wait for what is under way.
    pub(crate) fn want_rewrite(&mut self) -> Result<bool, Refused> {
        if self.ground.as_ref().is_none_or(|g| g.parts.is_none()) {
            return Err(Refused::NoLog);
        }
        if self.is_rewriting() || self.rewrite_wanted {
            return Err(Refused::Rewriting);
        }
        self.rewrite_wanted = true;
        Ok(self.running.is_none() && !self.save_wanted)
    }

    /// Whether the running request asked to wait.
    #[inline]
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Forgets a client that is gone.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.waiting.retain(|s| *s != slot);
    }

    /// Clients that wait for a save.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether writes are refused because the last save has failed.
    pub(crate) fn stops_writes(&self) -> bool {
        self.stop_writes && !self.last_save.ok && !self.points.is_empty()
    }

    /// Whether the next turn has something to do at once.
    #[inline]
    pub(super) fn wants_turn(&self) -> bool {
        match &self.running {
            Some(running) => self.slow_until_ms == 0 && running.job.wants_turn(),
            None => {
                (self.save_wanted || self.rewrite_wanted) && self.ground.is_some() && !self.is_held
            }
        }
    }

    /// When it goes on if it is slowed down.
    pub(super) fn due_ms(&self) -> u64 {
        if self.slow_until_ms == 0 { u64::MAX } else { self.slow_until_ms }
    }

    /// Goes on if it is time.
    pub(super) fn wake(&mut self, now_ms: u64) {
        if self.slow_until_ms <= now_ms {
            self.slow_until_ms = 0;
        }
    }

    /// Whether what is under way is too early, for a test that wants it slow.
    fn is_slowed(&mut self, shard: &Shard) -> bool {
        let (Some(running), 1..) = (&self.running, self.key_delay_us) else { return false };
        if running.is_cancelled {
            return false;
        }
        let keys = shard.snapshot_progress().map_or(0, |progress| progress.keys_total);
        let took_ms = keys.saturating_mul(self.key_delay_us) / 1000;
        let end_ms = running.started_ms.saturating_add(took_ms);
        let early = shard.now().mono_us / 1000 < end_ms;
        self.slow_until_ms = if early { end_ms } else { 0 };
        early
    }

    /// Whether so much has been written ahead of the writer that nothing more may change for now.
    #[inline]
    pub(super) fn holds_writes(&self, shard: &Shard) -> bool {
        self.running.is_some() && self.cow_max > 0 && shard.snapshot_pending() > self.cow_max
    }

    /// Whether anything is to be saved when the server stops.
    pub(crate) fn saves_at_stop(&self, has_log: bool, explicit_none: bool) -> bool {
        !self.points.is_empty() || (!has_log && !explicit_none)
    }

    /// Makes the cut and begins; with `parts` a rewrite.
    pub(super) fn start(
        &mut self,
        shard: &mut Shard,
        log: Option<&Log>,
        parts: Option<Parts>,
    ) -> Result<(), SnapshotRefused> {
        let Some(ground) = &self.ground else { return Ok(()) };
        let now = shard.now();
        let rewrite = parts.is_some();
        let seq = parts.as_ref().map_or(0, Parts::take_seq);
        let cut = log.map_or(self.cut_without_log, Log::last_lsn);
        let segment = log.and_then(|log| log.segments().last().map(|s| s.seq));
        let timeline = parts
            .as_ref()
            .or(ground.parts.as_ref())
            .map_or(1, |parts| parts.list().timelines.last().map_or(1, |timeline| timeline.epoch));
        let preamble = Preamble {
            version: VERSION,
            shard_id: ground.paths.shard,
            epoch: if rewrite { seq } else { self.saves + 1 },
            last_lsn: cut,
            created_at_ms: now.unix_ms,
        };
        let extension = Extension {
            flags: file_flags::SELF_CONTAINED,
            features: 0,
            storage_uuid: ground.uuid,
            timeline,
            base_seq: seq,
            last_gtid: 0,
            wal_first_seq: segment.unwrap_or(0),
            mono_us: now.unix_us,
            shards: 1,
            databases: self.databases,
            align_log2: ground.disk.alignment().trailing_zeros() as u8,
        };
        shard.begin_snapshot(&preamble, &extension)?;
        let kind = match (parts, log) {
            (Some(parts), Some(log)) => {
                Kind::Rewrite(Rewrite { log: log.clone(), parts, seq, retention: self.retention })
            }
            _ => Kind::Save,
        };
        let env = Env::new(
            ground.disk.clone(),
            ground.rt.clone(),
            ground.paths.clone(),
            self.pace,
            ground.wake.clone(),
        );
        self.running = Some(Running {
            job: Job::begin(kind, env, cut),
            is_cancelled: false,
            dirty: shard.journal.dirty,
            started_ms: now.mono_us / 1000,
            log_bytes: log.map_or(0, |log| log.status().written_bytes),
        });
        Ok(())
    }
}
