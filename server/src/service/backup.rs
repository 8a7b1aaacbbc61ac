//! Leases of backups: what a tool that copies the files of a running server is promised (durability §7, §15).
//!
//! The one idea: a lease is a floor with an end. While it runs, the files that it names stay as they are;
//! whoever holds it says again and again that it is still there, and if it dies the promise ends by itself.
//!
//! Invariants:
//! * From BEGIN on, until END or until its time is over, no base that is listed and no segment that is there
//!   is removed, recycled or written to.
//! * The files of an answer hold everything up to its LSN, durable to their ends, names included.
//! * A lease belongs to one log: it ends with the log, and with the process.

use std::cell::RefCell;
use std::rc::Rc;

use moon_engine::exec::{ClientReply, Session};
use moon_formats::names;
use moon_formats::resp::{Proto, Reply};
use moon_storage::log::{Floor, Log, LogError, SegmentInfo};
use moon_storage::parts::{Parts, bases};

use super::ShardService;
use super::cdc::NO_LOG;
use super::host::ServerHost;
use super::shared::{hex, unix_secs};
use crate::net::Slot;

/// Time to live of a lease unless its holder says otherwise, in seconds.
pub(crate) const TTL_SECS: u64 = 60;
/// The longest time to live, in seconds.
pub(crate) const TTL_SECS_MAX: u64 = 86_400;
/// Leases at a time.
const LEASES_MAX: usize = 16;

const TOO_MANY: &str = "ERR too many backups are running; end one, or wait until its lease is over";
const NO_LEASE: &str =
    "ERR no such backup: its lease is over, or the server has been restarted since";

/// A backup that runs.
struct Lease {
    id: String,
    log: Log,
    parts: Parts,
    /// Oldest LSN that it needs.
    floor_lsn: u64,
    /// Oldest base that it needs.
    base_seq: Option<u64>,
    ttl_us: u64,
    /// When it is over, in microseconds of the monotonic clock.
    until_us: u64,
    /// When it was begun, in microseconds since 1970.
    begun_us: u64,
}

/// A client of BEGIN.
struct Waiter {
    id: String,
    slot: Slot,
    proto: Proto,
    /// CLIENT REPLY is off.
    silent: bool,
}

type Rotated = (String, Result<Option<SegmentInfo>, LogError>);

/// All backups of a shard.
#[derive(Default)]
pub(crate) struct Backups {
    leases: Vec<Lease>,
    waiting: Vec<Waiter>,
    /// Logs that have been rotated, by lease.
    tray: Rc<RefCell<Vec<Rotated>>>,
    number: u64,
    /// The running request asks to wait.
    asked: bool,
    /// When the last backup ended well, in seconds since 1970; 0 for never.
    pub(crate) ended_secs: u64,
    /// Leases that were over before they were ended.
    pub(crate) expired: u64,
}

/// Figures for INFO and /metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BackupFigures {
    /// Backups that run.
    pub(crate) leases: usize,
    /// Oldest LSN that they need.
    pub(crate) floor_lsn: Option<u64>,
    /// When the last lease is over at the latest, in microseconds of the monotonic clock.
    pub(crate) until_us: Option<u64>,
    /// See [`Backups::ended_secs`].
    pub(crate) ended_secs: u64,
    /// See [`Backups::expired`].
    pub(crate) expired: u64,
}

impl Backups {
    /// Whether the request that has run asked to wait.
    #[inline]
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Whether a turn has anything to do here.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Clients that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets a client that is gone, and the leases that only it would have known of.
    pub(super) fn forget(&mut self, slot: Slot) {
        let gone: Vec<String> =
            self.waiting.extract_if(.., |w| w.slot == slot).map(|w| w.id).collect();
        for id in gone {
            self.remove(&id);
        }
    }

    /// Figures for INFO and /metrics.
    pub(crate) fn figures(&self) -> BackupFigures {
        BackupFigures {
            leases: self.leases.len(),
            floor_lsn: self.leases.iter().map(|l| l.floor_lsn).min(),
            until_us: self.leases.iter().map(|l| l.until_us).max(),
            ended_secs: self.ended_secs,
            expired: self.expired,
        }
    }

    /// Ends a lease; false if there is none with this name.
    fn remove(&mut self, id: &str) -> bool {
        let Some(at) = self.leases.iter().position(|l| l.id == id) else { return false };
        let lease = self.leases.remove(at);
        self.pin(&lease.log, &lease.parts);
        true
    }

    /// Sets the floors of a log to what the leases on it need.
    fn pin(&self, log: &Log, parts: &Parts) {
        let here = || self.leases.iter().filter(|l| l.log.is_same(log));
        parts.pin(here().filter_map(|l| l.base_seq).min());
        log.set_floor(Floor::Backup, here().map(|l| l.floor_lsn).min());
    }
}

impl ServerHost {
    /// Begins a backup and answers the running request when its files are durable.
    pub(crate) fn begin_backup(
        &mut self,
        session: &Session,
        ttl_secs: u64,
        now: (u64, u64),
    ) -> Result<(), &'static str> {
        let (mono_us, unix_us) = now;
        let (Some(log), Some(ground)) = (self.log.clone(), self.saver.ground()) else {
            return Err(NO_LOG);
        };
        let Some(parts) = ground.parts.clone() else { return Err(NO_LOG) };
        let (rt, wake) = (Rc::clone(&ground.rt), Rc::clone(&ground.wake));
        let slot = self.current;
        let backups = &mut self.backups;
        if backups.leases.len() >= LEASES_MAX {
            return Err(TOO_MANY);
        }
        backups.number += 1;
        // A number alone would be given again after a restart.
        let id = format!("{unix_us:x}-{}", backups.number);
        let ttl_us = ttl_secs * 1_000_000;
        backups.leases.push(Lease {
            id: id.clone(),
            log: log.clone(),
            parts: parts.clone(),
            floor_lsn: log.oldest_lsn(),
            base_seq: parts.with(|list| bases(list).map(|b| b.seq).min()),
            ttl_us,
            until_us: mono_us + ttl_us,
            begun_us: unix_us,
        });
        backups.pin(&log, &parts);
        backups.asked = true;
        backups.waiting.push(Waiter {
            id: id.clone(),
            slot,
            proto: session.proto,
            silent: matches!(session.reply, ClientReply::Off | ClientReply::SkipThis),
        });
        let tray = Rc::clone(&backups.tray);
        rt.spawn(Box::pin(async move {
            let rotated = log.rotate().await;
            tray.borrow_mut().push((id, rotated));
            wake();
        }));
        if let Some(client) = self.client_mut(slot) {
            client.waits_for_acks = true;
        }
        Ok(())
    }

    /// Has a lease last longer; returns its time to live in seconds.
    pub(crate) fn renew_backup(
        &mut self,
        id: &[u8],
        ttl_secs: Option<u64>,
        mono_us: u64,
    ) -> Result<u64, &'static str> {
        let lease = self.backups.leases.iter_mut().find(|l| l.id.as_bytes() == id);
        let lease = lease.ok_or(NO_LEASE)?;
        lease.ttl_us = ttl_secs.map_or(lease.ttl_us, |secs| secs * 1_000_000);
        lease.until_us = mono_us + lease.ttl_us;
        Ok(lease.ttl_us / 1_000_000)
    }

    /// Ends a backup.
    pub(crate) fn end_backup(&mut self, id: &[u8], failed: bool) -> Result<(), &'static str> {
        let known = std::str::from_utf8(id).is_ok_and(|id| self.backups.remove(id));
        if known && !failed {
            self.backups.ended_secs = unix_secs();
        }
        if known { Ok(()) } else { Err(NO_LEASE) }
    }

    /// Answers a client of BEGIN.
    fn answer_backup(&mut self, waiter: &Waiter, rotated: Result<Option<SegmentInfo>, String>) {
        let mut reply = Vec::new();
        let mut out = Reply::new(&mut reply, waiter.proto);
        let lease = self.backups.leases.iter().find(|l| l.id == waiter.id);
        let failed = match (lease, rotated) {
            (Some(lease), Ok(last)) => {
                self.describe(lease, last.as_ref(), &mut out);
                false
            }
            (_, Err(why)) => {
                out.error(&why);
                true
            }
            (None, Ok(_)) => {
                out.error(NO_LEASE);
                true
            }
        };
        if failed {
            self.backups.remove(&waiter.id);
        }
        if waiter.silent {
            reply.clear();
        }
        self.end_waiting(waiter.slot, &reply);
    }

    /// The reply of BEGIN: what may be copied, and up to where it is everything.
    fn describe(&self, lease: &Lease, last: Option<&SegmentInfo>, out: &mut Reply<'_>) {
        let list = lease.parts.list();
        let paths = lease.parts.paths();
        let holds_any = |s: &&SegmentInfo| s.last_lsn >= s.base_lsn;
        let mut segments = lease.log.segments();
        segments.retain(|s| last.is_some_and(|last| s.seq <= last.seq));
        // What lies before the first one that counts was left by an earlier process.
        let first = segments.iter().position(|s| holds_any(&s)).unwrap_or(segments.len());
        segments.drain(..first);
        let lsn = segments.iter().filter(holds_any).map(|s| s.last_lsn).max();
        let lsn = lsn.or(list.base.map(|b| b.cut)).unwrap_or(0);
        let mut files: Vec<(std::path::PathBuf, u64)> =
            bases(&list).map(|b| (paths.base(b.seq), b.bytes)).collect();
        let named = |s: &SegmentInfo| (paths.log().join(names::wal_segment(s.seq)), s.bytes);
        files.extend(segments.iter().map(named));
        let facts = &self.shared.facts;
        let int = |out: &mut Reply<'_>, name: &str, value: u64| {
            out.bulk(name.as_bytes());
            out.int(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let text = |out: &mut Reply<'_>, name: &str, value: &[u8]| {
            out.bulk(name.as_bytes());
            out.bulk(value);
        };
        out.map(7);
        text(out, "id", lease.id.as_bytes());
        int(out, "ttl", lease.ttl_us / 1_000_000);
        text(out, "dir", paths.data.as_os_str().as_encoded_bytes());
        text(out, "uuid", hex(&facts.uuid).as_bytes());
        let databases = self.shared.with_config(|c| c.int(crate::config::OptionId::Databases));
        int(out, "databases", databases as u64);
        int(out, "time", lease.begun_us);
        out.bulk(b"shards");
        out.array(1);
        out.map(5);
        int(out, "shard", paths.shard.into());
        int(out, "lsn", lsn);
        int(out, "epoch", lease.log.epoch());
        text(out, "parts", list.encode().as_bytes());
        out.bulk(b"files");
        out.array(files.len());
        for (path, bytes) in files {
            let path = path.strip_prefix(&paths.data).unwrap_or(&path);
            out.array(2);
            out.bulk(path.as_os_str().as_encoded_bytes());
            out.int(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}

impl ShardService {
    /// Answers those whose files are ready.
    #[cold]
    pub(super) fn settle_backups(&mut self) {
        let host = &mut self.host;
        let ready = std::mem::take(&mut *host.backups.tray.borrow_mut());
        for (id, rotated) in ready {
            let Some(at) = host.backups.waiting.iter().position(|w| w.id == id) else { continue };
            let waiter = host.backups.waiting.remove(at);
            let rotated = rotated.map_err(|e| format!("MISCONF {e}"));
            host.answer_backup(&waiter, rotated);
        }
        if self.log.is_none() {
            for waiter in std::mem::take(&mut host.backups.waiting) {
                host.answer_backup(&waiter, Err(NO_LOG.to_string()));
            }
        }
    }

    /// Ends leases whose time is over, or whose log has ended. A few times a second.
    pub(super) fn tend_backups(&mut self) {
        let backups = &mut self.host.backups;
        if backups.leases.is_empty() {
            return;
        }
        let now_us = self.shard.now().mono_us;
        let log = self.log.as_ref();
        let over: Vec<String> = backups
            .leases
            .iter()
            .filter(|l| l.until_us <= now_us || log.is_none_or(|log| !log.is_same(&l.log)))
            .map(|l| l.id.clone())
            .collect();
        for id in over {
            tracing::warn!(backup = id, "lease of a backup is over before it was ended");
            backups.expired += 1;
            backups.remove(&id);
        }
    }
}
