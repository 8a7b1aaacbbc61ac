//! What the log says about itself: states, refusals, counters.
//!
//! States are sticky (durability.md §4.3): each has one cause that sets it and one repair that
//! clears it. Clearing a state never resets a counter.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;

use super::{Inner, Policy};
use crate::io::Space;

/// Why the log cannot do what was asked.
#[derive(Debug)]
pub enum LogError {
    /// A disk operation failed.
    Io {
        /// What was being done, e.g. `create the first segment`.
        doing: &'static str,
        /// The cause.
        cause: io::Error,
    },
    /// The log is degraded; the text names the cause.
    Degraded(String),
    /// The log was shut down.
    Closed,
    /// The directory is not the one that recovery scanned.
    Changed {
        /// Highest segment number found by the scan.
        scanned_seq: u64,
        /// Highest segment number found now.
        found_seq: u64,
    },
}

impl LogError {
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> LogError {
        move |cause| LogError::Io { doing, cause }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Io { doing, cause } => {
                write!(f, "log: cannot {doing}: {cause}")?;
                match cause.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => f.write_str(
                        "; make room on the file system of the data directory and start again, \
                         nothing that was acknowledged is lost",
                    ),
                    _ => Ok(()),
                }
            }
            LogError::Degraded(cause) => write!(f, "log degraded: {cause}"),
            LogError::Closed => f.write_str("log is shut down"),
            LogError::Changed { scanned_seq, found_seq } => write!(
                f,
                "log directory changed since it was scanned: last segment was {scanned_seq}, is {found_seq}"
            ),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Io { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Why a write is not accepted now; displays as the reply to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// State that refuses.
    pub state: LogState,
    cause: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = &self.cause;
        match self.state {
            LogState::DegradedSync => write!(f, "MISCONF log degraded: {cause}"),
            LogState::DiskFull => write!(f, "MISCONF diskfull: {cause}"),
            LogState::DirLost => write!(f, "MISCONF dirlost: {cause}"),
            LogState::Ok | LogState::Closed => write!(f, "MISCONF log is shut down"),
        }
    }
}

impl std::error::Error for Refusal {}

/// State of a shard's log, the worst one first in the order of the variants after `Ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogState {
    /// Accepting writes.
    #[default]
    Ok,
    /// The data directory or its device is gone.
    DirLost,
    /// A write or sync failed; retained records are not durable yet.
    DegradedSync,
    /// No room for another segment, or too little free space.
    DiskFull,
    /// Shut down.
    Closed,
}

impl LogState {
    /// All states, the healthy one first; a state's number is its place here.
    pub const ALL: [LogState; 5] = [
        LogState::Ok,
        LogState::DirLost,
        LogState::DegradedSync,
        LogState::DiskFull,
        LogState::Closed,
    ];

    /// The name in `INFO persistence`.
    pub fn name(self) -> &'static str {
        match self {
            LogState::Ok => "ok",
            LogState::DirLost => "dirlost",
            LogState::DegradedSync => "degraded_sync",
            LogState::DiskFull => "diskfull",
            LogState::Closed => "closed",
        }
    }
}

/// The states a log is in, as bits; several can hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StateBits(u8);

impl StateBits {
    pub(super) const DEGRADED: StateBits = StateBits(1);
    pub(super) const DISK_FULL: StateBits = StateBits(2);
    pub(super) const DIR_LOST: StateBits = StateBits(4);
    pub(super) const CLOSED: StateBits = StateBits(8);

    pub(super) fn is_healthy(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, other: StateBits) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn only_disk_full(self) -> bool {
        self == StateBits::DISK_FULL
    }

    fn worst(self) -> LogState {
        if self.has(StateBits::CLOSED) {
            LogState::Closed
        } else if self.has(StateBits::DIR_LOST) {
            LogState::DirLost
        } else if self.has(StateBits::DEGRADED) {
            LogState::DegradedSync
        } else if self.has(StateBits::DISK_FULL) {
            LogState::DiskFull
        } else {
            LogState::Ok
        }
    }
}

/// Counters and causes; never reset.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sync_errors: Cell<u64>,
    pub(super) write_errors: Cell<u64>,
    pub(super) heals: Cell<u64>,
    pub(super) rotations: Cell<u64>,
    pub(super) recycled: Cell<u64>,
    pub(super) batches: Cell<u64>,
    pub(super) syncs: Cell<u64>,
    pub(super) sync_times: Cell<SyncTimes>,
    /// The file system of the directory, as it was looked at last.
    pub(super) space: Cell<Option<Space>>,
    pub(super) backpressure_us: Cell<u64>,
    pub(super) paused_since: Cell<Option<u64>>,
    pub(super) state_since_wall_us: Cell<i64>,
    pub(super) degraded_since: Cell<Option<u64>>,
    pub(super) cause: RefCell<String>,
}

/// How long syncs took, under `always` with the write before each: completed ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncTimes {
    /// Syncs of at most so many microseconds as [`SyncTimes::BOUNDS_US`] says, each counted once; the last
    /// one counts those that took longer.
    pub counts: [u64; SyncTimes::BOUNDS_US.len() + 1],
    /// Time of all together, in microseconds.
    pub sum_us: u64,
}

impl SyncTimes {
    /// Upper bounds of the counts.
    pub const BOUNDS_US: [u64; 16] = {
        let mut bounds = [0; 16];
        let mut i = 0;
        while i < bounds.len() {
            bounds[i] = 64 << i;
            i += 1;
        }
        bounds
    };

    pub(super) fn add(&mut self, us: u64) {
        let at = Self::BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[at] += 1;
        self.sum_us += us;
    }
}

pub(super) fn bump(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// The log's part of `INFO persistence` (durability.md §4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// `log_state`.
    pub state: LogState,
    /// `log_state_since`: wall clock in microseconds, 0 if the state never changed.
    pub state_since_us: i64,
    /// Cause of the last degraded state; empty if there was none.
    pub cause: String,
    /// `aof_last_write_status`: true for `ok`.
    pub last_write_ok: bool,
    /// `last_lsn`.
    pub last_lsn: u64,
    /// `written_lsn`.
    pub written_lsn: u64,
    /// `durable_lsn`.
    pub durable_lsn: u64,
    /// `unsynced_bytes`: appended and not durable.
    pub unsynced_bytes: u64,
    /// `unsynced_ms`: age of the oldest write that is not durable.
    pub unsynced_ms: u64,
    /// `sync_errors`.
    pub sync_errors: u64,
    /// `write_errors`.
    pub write_errors: u64,
    /// `log_heals`: suspect files replaced.
    pub log_heals: u64,
    /// `log_backpressure_us`: time during which intake was stopped.
    pub log_backpressure_us: u64,
    /// Segments begun since the start.
    pub rotations: u64,
    /// Old segments used again.
    pub recycled: u64,
    /// Batches written.
    pub batches: u64,
    /// Syncs completed.
    pub syncs: u64,
    /// How long they took.
    pub sync_times: SyncTimes,
    /// Bytes written since the start, padding aside.
    pub written_bytes: u64,
    /// Free and total bytes of the file system, as they were looked at last.
    pub space: Option<Space>,
    /// Segment files of the log.
    pub segments: u64,
    /// Bytes of these files.
    pub segment_bytes: u64,
}

impl Inner {
    pub(super) fn enter(&self, bit: StateBits, cause: String) {
        let old = self.state.get();
        if old.has(bit) {
            return;
        }
        if bit != StateBits::CLOSED {
            tracing::error!(shard = self.cfg.shard, cause, "log refuses writes");
        }
        *self.counters.cause.borrow_mut() = cause;
        self.state.set(StateBits(old.0 | bit.0));
        self.counters.state_since_wall_us.set(self.rt.wall_us());
        if bit == StateBits::DEGRADED {
            self.counters.degraded_since.set(Some(self.rt.mono_us()));
        }
    }

    pub(super) fn leave(&self, bit: StateBits) {
        let old = self.state.get();
        if !old.has(bit) {
            return;
        }
        self.state.set(StateBits(old.0 & !bit.0));
        self.counters.state_since_wall_us.set(self.rt.wall_us());
        if bit == StateBits::DEGRADED {
            self.no_room.set(false);
            self.counters.degraded_since.set(None);
        }
        tracing::info!(
            shard = self.cfg.shard,
            state = self.state.get().worst().name(),
            "log state"
        );
    }

    #[cold]
    pub(super) fn refusal(&self) -> Refusal {
        Refusal { state: self.state.get().worst(), cause: self.counters.cause.borrow().clone() }
    }

    pub(super) fn degraded_error(&self) -> LogError {
        if self.state.get().has(StateBits::CLOSED) {
            return LogError::Closed;
        }
        LogError::Degraded(self.counters.cause.borrow().clone())
    }

    pub(super) fn overdue(&self) -> bool {
        match self.counters.degraded_since.get() {
            Some(since) => self.rt.mono_us() - since >= self.sync_fail_timeout_us.get(),
            None => false,
        }
    }

    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.tail.borrow().appended_bytes() - self.durable_bytes.get()
    }

    /// Age of the oldest write that is not durable, in microseconds.
    pub(super) fn unsynced_age_us(&self, now: u64) -> u64 {
        let since = self.syncing_since.get().or(self.unsynced_since.get());
        since.map_or(0, |t| now.saturating_sub(t))
    }

    /// Longest age of an acknowledged write that is not durable, by the policy in force.
    pub(super) fn unsynced_us_max(&self) -> u64 {
        2 * self.policy.get().sync_after_us()
    }

    pub(super) fn update_pause(&self) {
        let now = self.rt.mono_us();
        let late = self.policy.get() != Policy::Always
            && self.unsynced_age_us(now) >= self.unsynced_us_max();
        let pause = late || self.unsynced_bytes() >= self.cfg.unsynced_bytes_max;
        if pause != self.pause_intake.replace(pause) {
            let since = &self.counters.paused_since;
            match pause {
                true => since.set(Some(now)),
                false => {
                    let spent = since.take().map_or(0, |t| now - t);
                    let total = &self.counters.backpressure_us;
                    total.set(total.get() + spent);
                }
            }
        }
    }

    pub(super) fn current_state(&self) -> LogState {
        self.state.get().worst()
    }

    pub(super) fn status(&self) -> LogStatus {
        let now = self.rt.mono_us();
        let c = &self.counters;
        let state = self.current_state();
        let segments = self.segment_infos();
        LogStatus {
            state,
            state_since_us: c.state_since_wall_us.get(),
            cause: c.cause.borrow().clone(),
            last_write_ok: state == LogState::Ok,
            last_lsn: self.last_lsn.get(),
            written_lsn: self.written_lsn.get(),
            durable_lsn: self.durable_lsn.get(),
            unsynced_bytes: self.unsynced_bytes(),
            unsynced_ms: self.unsynced_age_us(now) / 1000,
            sync_errors: c.sync_errors.get(),
            write_errors: c.write_errors.get(),
            log_heals: c.heals.get(),
            log_backpressure_us: c.backpressure_us.get()
                + c.paused_since.get().map_or(0, |t| now - t),
            rotations: c.rotations.get(),
            recycled: c.recycled.get(),
            batches: c.batches.get(),
            syncs: c.syncs.get(),
            sync_times: c.sync_times.get(),
            written_bytes: self.written_bytes.get(),
            space: c.space.get(),
            segment_bytes: segments.iter().map(|s| s.bytes).sum(),
            segments: segments.len() as u64,
        }
    }
}
