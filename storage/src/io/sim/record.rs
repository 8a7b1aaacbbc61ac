//! The log of operations, the stop points between them, and the list of bad manners.

use std::path::PathBuf;
use std::rc::Rc;

/// Kind of a disk operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OpKind {
    /// Open of an existing file (no stop points).
    Open,
    /// Creation of a file.
    Create,
    /// Read (no stop points).
    Read,
    /// Write.
    Write,
    /// Sync of a file.
    Sync,
    /// Preallocation.
    Preallocate,
    /// Change of the logical size.
    Truncate,
    /// Rename.
    Rename,
    /// Removal.
    Remove,
    /// Sync of a directory.
    SyncDir,
    /// Creation of directories.
    CreateDir,
    /// Removal of a directory.
    RemoveDir,
}

impl OpKind {
    /// Whether the operation changes what a power loss can leave.
    pub fn stops(self) -> bool {
        !matches!(self, OpKind::Open | OpKind::Read)
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub struct OpRecord {
    /// What it was.
    pub kind: OpKind,
    /// File or directory (for a rename the source).
    pub path: Rc<PathBuf>,
    /// Target of a rename.
    pub to: Option<Rc<PathBuf>>,
    /// First byte (0 where it has no meaning).
    pub offset: u64,
    /// Bytes (0 where it has no meaning).
    pub len: u64,
    /// Virtual time of issue, microseconds.
    pub issued_us: u64,
    /// Whether it succeeded; `None` while in flight.
    pub ok: Option<bool>,
}

/// Side of an operation at which power is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Before it was issued.
    Before,
    /// After its effect, before anybody was told.
    After,
}

/// A place to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopPoint {
    /// Operation number.
    pub op: u64,
    /// Side.
    pub edge: Edge,
    /// Virtual monotonic time, microseconds.
    pub mono_us: u64,
    /// Virtual wall clock, microseconds since 1970.
    pub wall_us: i64,
}

/// What the code under test must not do (crash matrix, section 4; design, section 6b).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadManner {
    /// Direct I/O outside the alignment.
    Unaligned,
    /// Write into a block of a `.wal` file that a completed sync covers.
    WroteSyncedBlock,
    /// Write to a file after one of its writes or syncs failed with an I/O error.
    WroteSuspectFile,
    /// Sync of a file after one of its writes or syncs failed with an I/O error.
    SyncedSuspectFile,
    /// Rename of a file with bytes or a size that are not synced.
    RenamedUnsynced,
    /// Write to a renamed file before its directory was synced.
    WroteBeforeDirSync,
    /// Rename that puts a part list in place whose bases are not durable, bytes and names.
    NamedUnstable,
    /// Two writes in flight over the same bytes: their order on the device is unknown.
    OverlappingWrites,
}

/// One breach of manners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Operation that did it.
    pub op: u64,
    /// What it did.
    pub manner: BadManner,
    /// To which file.
    pub path: PathBuf,
    /// Byte offset, where it has a meaning.
    pub offset: u64,
}
