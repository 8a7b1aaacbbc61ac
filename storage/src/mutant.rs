//! Deliberate bugs, so that the crash matrix can prove that it would notice them.
//!
//! Compiled only for tests and with the feature `mutants`; a release has none of these branches.

/// One broken line (crash-matrix.md §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// `always`: the watermark moves when the write has completed, before its sync.
    AckBeforeSync,
    /// The watermark moves when a batch is taken, before it is written.
    AckBeforeWrite,
    /// A new segment is used without a directory sync after its rename.
    NoDirSyncAfterRename,
    /// A sync group does not end on a block boundary: its last block is written again.
    TailBlockRewritten,
    /// A failed sync is tried again on the same file and believed.
    SyncRetriedOnOldFile,
    /// The log continues right after a torn tail instead of leaving a gap.
    LsnReusedAfterTornTail,
    /// A start syncs the recovered records where they are instead of repeating them.
    RecoveredTailSynced,
    /// The reader takes damage at or below the durable LSN for a crash tail.
    HoleTreatedAsTail,
    /// The reader takes every tail for a hole.
    TailTreatedAsHole,
    /// The reader accepts whatever valid batch a recycled segment still holds.
    StaleBatchesAccepted,
    /// A base is used without a directory sync after its rename.
    NoDirSyncAfterBaseRename,
    /// A part list counts as committed without a directory sync after its rename.
    NoDirSyncAfterManifestRename,
    /// A base gets its name, and is listed, before its bytes are synced.
    ManifestBeforePayload,
    /// A base is listed before the log is durable up to its cut.
    ManifestBeforeLog,
    /// What the new part list no longer names is removed before that list is durable.
    RemovedBeforeCommit,
    /// The file table says of the log what is written, not what is durable.
    TableAheadOfLog,
    /// A recovery to a point in time holds one record more.
    PointOneLate,
    /// A fork sets files aside before the part list that does without them is durable.
    ForkMovesFirst,
    /// Readers of changes are shown what is written, not what is durable.
    ShownBeforeDurable,
}

impl Mutant {
    /// Those of the log and its recovery.
    pub const LOG: [Mutant; 10] = [
        Mutant::AckBeforeSync,
        Mutant::AckBeforeWrite,
        Mutant::NoDirSyncAfterRename,
        Mutant::TailBlockRewritten,
        Mutant::SyncRetriedOnOldFile,
        Mutant::LsnReusedAfterTornTail,
        Mutant::RecoveredTailSynced,
        Mutant::HoleTreatedAsTail,
        Mutant::TailTreatedAsHole,
        Mutant::StaleBatchesAccepted,
    ];

    /// Those of recovery to a point in time.
    pub const POINTS: [Mutant; 2] = [Mutant::PointOneLate, Mutant::ForkMovesFirst];

    /// Those of reading changes.
    pub const CHANGES: [Mutant; 1] = [Mutant::ShownBeforeDurable];

    /// Those of snapshots, rewrites and retention.
    pub const SNAPSHOT: [Mutant; 6] = [
        Mutant::NoDirSyncAfterBaseRename,
        Mutant::NoDirSyncAfterManifestRename,
        Mutant::ManifestBeforePayload,
        Mutant::ManifestBeforeLog,
        Mutant::RemovedBeforeCommit,
        Mutant::TableAheadOfLog,
    ];
}
