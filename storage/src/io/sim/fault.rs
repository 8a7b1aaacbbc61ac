//! Errors the simulated device answers with, and when.

use std::path::Path;

use super::record::OpKind;

/// What goes wrong (crash matrix, section 5, and `SyncDirEio` beside them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// One sync fails; an unknown part of the dirty sectors reached the device, the rest is dropped from
    /// write-back for ever, and later syncs of the file succeed (what Linux does).
    SyncEioOnce,
    /// Every sync fails from here on.
    SyncEioForever,
    /// One write fails; an unknown part of it landed.
    WriteEioOnce,
    /// The first block of the write is bad: every write that touches it fails.
    WriteEioRange,
    /// One write stops half way and says so.
    WriteShort,
    /// One write makes no progress.
    WriteZero,
    /// One preallocation finds no room.
    EnospcPreallocate,
    /// One write finds no room.
    EnospcWrite,
    /// Preallocations and growing writes find no room for this many microseconds.
    EnospcThenFree {
        /// How long the device stays full.
        after_us: u64,
    },
    /// One rename fails; nothing has changed.
    RenameEio,
    /// One sync of a directory fails; its names stay volatile.
    SyncDirEio,
    /// One read fails.
    ReadEio,
    /// One sync takes this long.
    SlowSync {
        /// Latency in microseconds.
        us: u64,
    },
    /// Every sync takes 0.2 to 5 s from here on.
    SlowSyncs,
    /// The wall clock jumps by this much (negative: back).
    ClockStep {
        /// Jump in microseconds.
        delta_us: i64,
    },
}

impl FaultKind {
    /// The errors that a file can meet which is written whole and put in place.
    pub const OF_A_COMMIT: [FaultKind; 8] = [
        FaultKind::SyncEioOnce,
        FaultKind::WriteEioOnce,
        FaultKind::WriteEioRange,
        FaultKind::WriteShort,
        FaultKind::WriteZero,
        FaultKind::EnospcWrite,
        FaultKind::RenameEio,
        FaultKind::SyncDirEio,
    ];

    /// Whether an operation of this kind can suffer the fault.
    pub fn applies_to(self, op: OpKind) -> bool {
        match self {
            FaultKind::SyncEioOnce
            | FaultKind::SyncEioForever
            | FaultKind::SlowSync { .. }
            | FaultKind::SlowSyncs => op == OpKind::Sync,
            FaultKind::WriteEioOnce
            | FaultKind::WriteEioRange
            | FaultKind::WriteShort
            | FaultKind::WriteZero
            | FaultKind::EnospcWrite => op == OpKind::Write,
            FaultKind::EnospcPreallocate => op == OpKind::Preallocate,
            FaultKind::EnospcThenFree { .. } => matches!(op, OpKind::Preallocate | OpKind::Write),
            FaultKind::RenameEio => op == OpKind::Rename,
            FaultKind::SyncDirEio => op == OpKind::SyncDir,
            FaultKind::ReadEio => op == OpKind::Read,
            FaultKind::ClockStep { .. } => true,
        }
    }

    fn lasts(self) -> bool {
        matches!(self, FaultKind::SyncEioForever | FaultKind::SlowSyncs)
    }
}

/// A fault and the operation it strikes: the first one it applies to, counted from `from_op`, on a matching
/// path, after `skip` others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Lowest operation number to strike.
    pub from_op: u64,
    /// Only paths that contain this text.
    pub path_contains: Option<String>,
    /// Matching operations to let pass first.
    pub skip: u64,
}

impl Fault {
    /// Strikes the first operation it applies to.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, from_op: 0, path_contains: None, skip: 0 }
    }

    /// Strikes at operation `op` or the first later one it applies to.
    #[must_use]
    pub fn at_op(mut self, op: u64) -> Self {
        self.from_op = op;
        self
    }

    /// Strikes only paths that contain `text`.
    #[must_use]
    pub fn on(mut self, text: &str) -> Self {
        self.path_contains = Some(text.to_owned());
        self
    }

    /// Lets `n` matching operations pass first.
    #[must_use]
    pub fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }
}

/// Faults waiting to strike, and those that have.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Fault>,
    struck: Vec<(u64, FaultKind)>,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        self.armed.push(fault);
    }

    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    pub(super) fn struck(&self) -> &[(u64, FaultKind)] {
        &self.struck
    }

    /// Faults that strike this operation. A lasting fault stays armed.
    pub(super) fn strike(&mut self, op: u64, kind: OpKind, path: &Path) -> Vec<FaultKind> {
        if self.armed.is_empty() {
            return Vec::new();
        }
        let text = path.to_string_lossy();
        let mut hits = Vec::new();
        self.armed.retain_mut(|f| {
            let matches = op >= f.from_op
                && f.kind.applies_to(kind)
                && f.path_contains.as_ref().is_none_or(|p| text.contains(p.as_str()));
            if !matches {
                return true;
            }
            if f.skip > 0 {
                f.skip -= 1;
                return true;
            }
            hits.push(f.kind);
            f.kind.lasts()
        });
        self.struck.extend(hits.iter().map(|k| (op, *k)));
        hits
    }
}
