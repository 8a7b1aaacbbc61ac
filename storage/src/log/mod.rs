//! The write-ahead log of one shard: append, group commit, rotation, healing.
//!
//! The one idea: appending is memory only and never fails; everything that can fail happens
//! behind it, and until it has succeeded the record stays in memory as the source for doing it
//! again somewhere else.
//!
//! Invariants (durability.md §1-4):
//! * One writer per shard, on the shard's thread. LSN order is append order.
//! * [`Log::watermark`] never passes a record before its policy's promise holds: written by the
//!   driver (`everysec`, `no`) or covered by a completed sync (`always`).
//! * A block covered by a completed sync is never written again: a sync group ends with a pad on
//!   a block boundary.
//! * A file whose write or sync failed is *suspect*: it is never written or synced again. The
//!   records it may have lost are repeated in a new segment.
//! * A segment is used only after its first block and its name are durable.
//! * An LSN names one record forever.
//!
//! | policy | file | one batch | watermark |
//! |---|---|---|---|
//! | `always` | `Direct` | head, records, pad; write; sync | `durable_lsn` |
//! | `everysec`, `no` | `Cached` | head, records; one `write_now` a turn; sync in the background | `written_lsn` |

mod buffer;
mod floor;
mod gather;
mod heal;
mod reader;
mod reclaim;
mod segment;
mod status;
mod sync;
mod unsynced;
mod writer;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::Waker;

use moon_formats::aof::Timeline;
use moon_formats::wal;

use crate::failpoint::{self, Point};
use crate::io::{Caching, Disk, Runtime};
#[cfg(any(test, feature = "mutants"))]
use crate::mutant::Mutant;
use crate::recovery::RecoveredEnd;
use crate::scan::LogStart;

use buffer::Tail;
pub use floor::{Floor, Floors};
use gather::Gathering;
pub use reader::{ReadError, Reader, Shown, Visitor};
use segment::{OldFile, Segment, Spare};
use status::{Counters, StateBits};
pub use status::{LogError, LogState, LogStatus, Refusal, SyncTimes};

/// `appendfsync`: what an acknowledged write has survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// A reply waits for the sync of its record.
    Always,
    /// A reply waits for the write; a sync starts at the latest one second after it.
    EverySec,
    /// A reply waits for the write; syncs are bounded by bytes and 30 s only.
    No,
}

impl Policy {
    fn caching(self) -> Caching {
        match self {
            Policy::Always => Caching::Direct,
            Policy::EverySec | Policy::No => Caching::Cached,
        }
    }

    /// Longest time between an acknowledged write and the start of the sync that covers it. If
    /// the sync has not ended after as long again, intake stops.
    fn sync_after_us(self) -> u64 {
        match self {
            Policy::Always => 0,
            Policy::EverySec => 1_000_000,
            Policy::No => 15_000_000,
        }
    }
}

/// Settings of a shard's log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Shard number, part of every segment header.
    pub shard: u16,
    /// Timeline number (1 until the first PITR fork).
    pub epoch: u64,
    /// What a reply waits for.
    pub policy: Policy,
    /// Preallocated bytes of a segment.
    pub segment_bytes: u64,
    /// Largest batch written at once, in bytes.
    pub batch_bytes_max: usize,
    /// `wal-max-unsynced-bytes`: intake stops when so many bytes are not durable.
    pub unsynced_bytes_max: u64,
    /// `disk-free-min-pct`: writes are refused below this share of free space.
    pub disk_free_min_pct: u8,
    /// `sync-fail-timeout`: microseconds in DEGRADED_SYNC after which [`Log::overdue`] is true.
    pub sync_fail_timeout_us: u64,
    /// Old segments kept for recycling.
    pub idle_segments_max: usize,
    /// Nothing is freed before a floor for readers of changes is set: what they need is not known
    /// while a log is opened.
    pub hold_for_readers: bool,
    /// The broken line of this run.
    #[cfg(any(test, feature = "mutants"))]
    pub mutant: Option<Mutant>,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            shard: 0,
            epoch: 1,
            policy: Policy::EverySec,
            segment_bytes: 16 << 20,
            batch_bytes_max: 8 << 20,
            unsynced_bytes_max: 64 << 20,
            disk_free_min_pct: 5,
            sync_fail_timeout_us: 60_000_000,
            idle_segments_max: 2,
            hold_for_readers: false,
            #[cfg(any(test, feature = "mutants"))]
            mutant: None,
        }
    }
}

impl LogConfig {
    /// A batch must fit a segment beside its first block, its last block and its own pad.
    fn batch_bytes_max_for(&self, align: u64) -> usize {
        let room = self.segment_bytes.saturating_sub(4 * align) as usize;
        self.batch_bytes_max.min(room).max(wal::body::BATCH_HEAD_RECORD_LEN)
    }
}

/// A segment file that belongs to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Number in its name.
    pub seq: u64,
    /// LSN of its first data record.
    pub base_lsn: u64,
    /// LSN of its last data record that counts; `base_lsn - 1` if none.
    pub last_lsn: u64,
    /// Size of the file.
    pub bytes: u64,
    /// The file may be used again when its records are no longer needed. Files that were being
    /// written when something failed are only ever removed.
    pub recyclable: bool,
    /// Nothing in it counts: a later segment has repeated its records.
    pub void: bool,
}

/// What the writer is doing; at most one of these at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    Idle,
    /// A group commit to a `Direct` file is under way.
    Committing,
    /// The next segment is being put in place.
    Rotating,
    /// A new segment is being filled with what a suspect file may have lost.
    Healing,
}

/// The log of one shard; a cheap handle to be cloned on the shard's thread.
#[derive(Clone)]
pub struct Log {
    inner: Rc<Inner>,
}

struct Inner {
    disk: Rc<dyn Disk>,
    rt: Rc<dyn Runtime>,
    dir: PathBuf,
    cfg: LogConfig,
    align: u64,
    policy: Cell<Policy>,

    tail: RefCell<Tail>,
    last_lsn: Cell<u64>,
    written_lsn: Cell<u64>,
    durable_lsn: Cell<u64>,
    /// CRC field of the record at `written_lsn` / `durable_lsn`.
    written_crc: Cell<u32>,
    durable_crc: Cell<u32>,
    written_bytes: Cell<u64>,
    durable_bytes: Cell<u64>,
    mono_us: Cell<u64>,

    state: Cell<StateBits>,
    pause_intake: Cell<bool>,
    /// A batch waits for a segment that the disk has no room for.
    no_room: Cell<bool>,
    disk_free_min_pct: Cell<u8>,
    sync_fail_timeout_us: Cell<u64>,
    busy: Cell<Busy>,
    segment: RefCell<Option<Segment>>,
    segments: RefCell<VecDeque<SegmentInfo>>,
    spare: RefCell<Option<Spare>>,
    idle_files: RefCell<Vec<PathBuf>>,
    preparing: Cell<bool>,
    reclaiming: Cell<bool>,
    rotate_wanted: Cell<bool>,
    /// The segment whose end is being written; neither current nor retired.
    sealing: RefCell<Option<SegmentInfo>>,
    temp_number: Cell<u64>,
    next_seq: Cell<u64>,

    /// Sealed `Cached` files whose sync is still due, oldest first.
    unsynced_files: RefCell<VecDeque<OldFile>>,
    /// When the oldest write not covered by a started sync was made.
    unsynced_since: Cell<Option<u64>>,
    /// As `unsynced_since`, for the sync in flight.
    syncing_since: Cell<Option<u64>>,
    syncing: Cell<bool>,
    timer_armed: Cell<bool>,
    gathering: Gathering,

    floors: Floors,
    /// Cut of the base in force; goes into segment headers.
    redo_lsn: Cell<u64>,
    /// Those of the part list.
    timelines: Vec<Timeline>,
    counters: Counters,
    listener: RefCell<Option<Rc<dyn Fn()>>>,
    waiters: RefCell<Vec<Waker>>,
}

impl Log {
    /// Opens the log behind what recovery found, in a new segment. After an unclean end that
    /// segment says which LSNs are void and leaves a gap, so that no LSN is used twice.
    ///
    /// # Errors
    /// The directory or the segment cannot be created, or the directory is not the one that
    /// was scanned.
    pub async fn open(
        disk: Rc<dyn Disk>,
        rt: Rc<dyn Runtime>,
        dir: PathBuf,
        cfg: LogConfig,
        end: &RecoveredEnd,
    ) -> Result<Log, LogError> {
        let align = disk.alignment() as u64;
        let batch_bytes_max = cfg.batch_bytes_max_for(align);
        let policy = cfg.policy;
        let last_lsn = end.next_base_lsn(&cfg) - 1;
        let inner = Rc::new(Inner {
            align,
            policy: Cell::new(policy),
            tail: RefCell::new(Tail::new(last_lsn, batch_bytes_max, policy == Policy::Always)),
            last_lsn: Cell::new(last_lsn),
            written_lsn: Cell::new(last_lsn),
            durable_lsn: Cell::new(last_lsn),
            written_crc: Cell::new(end.last_crc),
            durable_crc: Cell::new(end.last_crc),
            written_bytes: Cell::new(0),
            durable_bytes: Cell::new(0),
            mono_us: Cell::new(end.last_mono_us),
            state: Cell::default(),
            pause_intake: Cell::new(false),
            no_room: Cell::new(false),
            disk_free_min_pct: Cell::new(cfg.disk_free_min_pct),
            sync_fail_timeout_us: Cell::new(cfg.sync_fail_timeout_us),
            busy: Cell::new(Busy::Idle),
            segment: RefCell::default(),
            segments: RefCell::new(end.segments.iter().cloned().collect()),
            spare: RefCell::default(),
            idle_files: RefCell::default(),
            preparing: Cell::new(false),
            reclaiming: Cell::new(false),
            rotate_wanted: Cell::new(false),
            sealing: RefCell::default(),
            temp_number: Cell::new(0),
            next_seq: Cell::new(end.last_seq + 1),
            unsynced_files: RefCell::default(),
            unsynced_since: Cell::new(None),
            syncing_since: Cell::new(None),
            syncing: Cell::new(false),
            timer_armed: Cell::new(false),
            gathering: Gathering::default(),
            floors: Floors::default(),
            redo_lsn: Cell::new(end.redo_lsn),
            timelines: end.timelines.clone(),
            counters: Counters::default(),
            listener: RefCell::default(),
            waiters: RefCell::default(),
            disk,
            rt,
            dir,
            cfg,
        });
        if inner.cfg.hold_for_readers {
            inner.floors.set(Floor::Cdc, Some(0));
        }
        inner.open_first_segment(end).await?;
        inner.prepare_in_background();
        Ok(Log { inner })
    }

    /// Appends one data record and returns its LSN. Memory only: nothing is written before
    /// [`Log::flush`], and nothing here can fail. Call [`Log::admit`] before executing what
    /// leads to it.
    ///
    /// # Panics
    /// If `payload` exceeds the record limit of the format (1 GiB), which callers bound earlier.
    #[inline]
    pub fn append(&self, rtype: u8, flags: u8, db: u16, payload: &[u8]) -> u64 {
        failpoint::pass(Point::LogBeforeAppend);
        let lsn = self.inner.tail.borrow_mut().append(rtype, flags, db, payload);
        self.inner.last_lsn.set(lsn);
        lsn
    }

    /// Whether writes are accepted: one load when healthy.
    ///
    /// # Errors
    /// The refusal to answer clients with; its text starts with `MISCONF`.
    #[inline]
    pub fn admit(&self) -> Result<(), Refusal> {
        if self.inner.state.get().is_healthy() { Ok(()) } else { Err(self.inner.refusal()) }
    }

    /// As [`Log::admit`], for commands that only free space: they also run while the disk is
    /// full, as long as the current segment has room.
    ///
    /// # Errors
    /// As [`Log::admit`].
    pub fn admit_shrinking(&self) -> Result<(), Refusal> {
        let state = self.inner.state.get();
        if state.is_healthy() || (state.only_disk_full() && self.inner.has_reserve()) {
            return Ok(());
        }
        Err(self.inner.refusal())
    }

    /// True while the watermark stands still: a write or sync has failed and its replacement is
    /// not durable yet, or there is no room for what was appended. Two loads.
    #[inline]
    pub fn is_degraded(&self) -> bool {
        self.inner.state.get().has(StateBits::DEGRADED) || self.inner.no_room.get()
    }

    /// True while the shard should stop reading sockets: too much is not durable, or a sync
    /// takes longer than the policy's bound.
    #[inline]
    pub fn should_pause_intake(&self) -> bool {
        self.inner.pause_intake.get()
    }

    /// Starts writing what was appended. Called once per shard turn. Under `everysec` and `no`
    /// the write has happened when this returns.
    pub fn flush(&self) {
        self.inner.flush();
    }

    /// Starts a sync of what has been written, unless one is under way: it is wanted before the
    /// policy has one. Its end calls the function of [`Log::on_advance`].
    pub fn request_sync(&self) {
        self.inner.start_sync();
    }

    /// LSN of the last appended record.
    #[inline]
    pub fn last_lsn(&self) -> u64 {
        self.inner.last_lsn.get()
    }

    /// Highest LSN whose write has completed in the driver.
    #[inline]
    pub fn written_lsn(&self) -> u64 {
        self.inner.written_lsn.get()
    }

    /// Highest LSN covered by a completed sync.
    #[inline]
    pub fn durable_lsn(&self) -> u64 {
        self.inner.durable_lsn.get()
    }

    /// Highest LSN that readers are shown: what a loss of power cannot take back, or under `no`, where
    /// nothing is promised against that, what the driver has.
    pub fn shown_lsn(&self) -> u64 {
        match self.inner.policy.get() {
            Policy::No => self.inner.written_lsn.get(),
            _ if mutant!(self.inner.cfg, ShownBeforeDurable) => self.inner.written_lsn.get(),
            Policy::Always | Policy::EverySec => self.inner.durable_lsn.get(),
        }
    }

    /// Whether both are handles of one log.
    pub fn is_same(&self, other: &Log) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }

    /// Timeline of the log.
    pub fn epoch(&self) -> u64 {
        self.inner.cfg.epoch
    }

    /// Highest LSN whose reply may leave under the policy in force.
    #[inline]
    pub fn watermark(&self) -> u64 {
        match self.inner.policy.get() {
            Policy::Always => self.inner.durable_lsn.get(),
            Policy::EverySec | Policy::No => self.inner.written_lsn.get(),
        }
    }

    /// Sets the function called when a watermark moves or the state changes. It may be called
    /// from within [`Log::flush`].
    pub fn on_advance(&self, f: Rc<dyn Fn()>) {
        *self.inner.listener.borrow_mut() = Some(f);
    }

    /// Changes the policy; files of the other caching mode are left by rotation.
    pub fn set_policy(&self, policy: Policy) {
        self.inner.set_policy(policy);
    }

    /// Changes `disk-free-min-pct` and `sync-fail-timeout` (microseconds).
    pub fn set_bounds(&self, disk_free_min_pct: u8, sync_fail_timeout_us: u64) {
        self.inner.disk_free_min_pct.set(disk_free_min_pct);
        if self.inner.sync_fail_timeout_us.replace(sync_fail_timeout_us) != sync_fail_timeout_us {
            self.inner.announce_overdue();
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> Policy {
        self.inner.policy.get()
    }

    /// Waits until everything appended before the call is durable.
    ///
    /// # Errors
    /// The log is or becomes degraded; the records are retained and healing goes on.
    pub async fn sync(&self) -> Result<(), LogError> {
        self.inner.sync_all().await
    }

    /// Ends the segment that is being written, so that all that was appended before the call stands in
    /// files that are never written again, durable to their ends. Returns the last of them; what is
    /// appended meanwhile may be in it too. `None` if there has never been anything.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub async fn rotate(&self) -> Result<Option<SegmentInfo>, LogError> {
        self.inner.rotate_all().await
    }

    /// Ends the log cleanly: everything durable, then a clean-shutdown checkpoint, then the
    /// end of the segment. Nothing may be appended afterwards; [`Log::admit`] refuses.
    ///
    /// # Errors
    /// As [`Log::sync`]; the next start then recovers as after a crash.
    pub async fn shutdown(&self) -> Result<(), LogError> {
        self.inner.shut_down().await
    }

    /// Where a log that was shut down goes on when it is opened again.
    pub fn end(&self) -> RecoveredEnd {
        let last_lsn = self.inner.last_lsn.get();
        RecoveredEnd {
            last_seq: self.inner.next_seq.get() - 1,
            epoch: self.inner.cfg.epoch,
            redo_lsn: self.inner.redo_lsn.get(),
            timelines: self.inner.timelines.clone(),
            last_crc: self.inner.written_crc.get(),
            last_mono_us: self.inner.mono_us.get(),
            segments: self.segments(),
            ..RecoveredEnd::fresh(last_lsn + 1)
        }
    }

    /// True when [`Log::is_degraded`] has lasted longer than `sync-fail-timeout`: clients held
    /// since then get an error and their connections are closed.
    pub fn overdue(&self) -> bool {
        self.inner.overdue()
    }

    /// Sets the lowest LSN that a floor needs, or lifts the floor; recycles what becomes free.
    pub fn set_floor(&self, floor: Floor, lsn: Option<u64>) {
        self.inner.floors.set(floor, lsn);
        self.inner.reclaim_in_background();
    }

    /// Where a log that must reach back to `lsn` has to begin: the oldest segment that holds
    /// `lsn` or a later record, else the one being written. Stays true while segments rotate,
    /// and while they are freed once [`Log::keep_from`] was told.
    pub fn start_for(&self, lsn: u64) -> LogStart {
        let segments = self.inner.segment_infos();
        let holder = segments.iter().find(|s| s.last_lsn >= lsn).or(segments.last());
        LogStart { lsn, seq: holder.map_or(0, |s| s.seq) }
    }

    /// Sets the base floor, so that the log keeps `start`: its records, and its segment even
    /// when no record in it is needed, because the part list names it.
    pub fn keep_from(&self, start: LogStart) {
        let segments = self.inner.segment_infos();
        let named = segments.iter().find(|s| s.seq == start.seq).map(|s| s.last_lsn);
        self.set_floor(Floor::Base, Some(named.map_or(start.lsn, |last| last.min(start.lsn))));
    }

    /// A base with this cut is committed, in a part list that says the log begins at `start`:
    /// sets the base floor, and ends DIRLOST if a new segment is in place.
    pub fn base_committed(&self, cut: u64, start: LogStart) {
        self.inner.redo_lsn.set(cut);
        self.inner.base_committed();
        self.keep_from(start);
    }

    /// The floors that keep segments alive.
    pub fn floors(&self) -> &Floors {
        &self.inner.floors
    }

    /// The segment files of the log, oldest first; the last one is being written.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.inner.segment_infos()
    }

    /// Visits the records that are not durable yet, in LSN order: `(lsn, type, flags, db,
    /// payload)`; a batch whose write is under way is passed over. While the log is degraded,
    /// reads of keys named in them are refused.
    pub fn for_each_unsynced(&self, mut f: impl FnMut(u64, u8, u8, u16, &[u8])) {
        let mut tail = self.inner.tail.borrow_mut();
        tail.seal();
        tail.for_each(self.inner.durable_lsn.get(), |r| {
            if let Ok(record) = wal::Record::decode(r.frame, 0) {
                f(record.lsn, record.code, record.flags, record.db, record.payload);
            }
            true
        });
    }

    /// Checks free space and the directory, as the server's cron does about once a second.
    pub async fn probe(&self) {
        self.inner.probe().await;
    }

    /// The worst of the states that hold.
    pub fn state(&self) -> LogState {
        self.inner.current_state()
    }

    /// The fields of `INFO persistence`.
    pub fn status(&self) -> LogStatus {
        self.inner.status()
    }
}

impl Inner {
    /// Tells the listener and every waiter that something moved.
    fn changed(&self) {
        self.update_pause();
        let waiters = std::mem::take(&mut *self.waiters.borrow_mut());
        for w in waiters {
            w.wake();
        }
        let listener = self.listener.borrow().clone();
        if let Some(f) = listener {
            f();
        }
    }

    /// Completes at the next call of [`Inner::changed`].
    fn next_change(&self) -> impl Future<Output = ()> + '_ {
        let mut armed = false;
        std::future::poll_fn(move |cx| {
            if armed {
                return std::task::Poll::Ready(());
            }
            armed = true;
            self.waiters.borrow_mut().push(cx.waker().clone());
            std::task::Poll::Pending
        })
    }
}
