//! The part list of a shard and the guard beside it: `appendonlydir` (storage-formats §7.4, §7.5).
//!
//! The one idea: renaming the part list *is* the commit of a rewrite. Before it the old base and
//! the log behind it are the data, after it the new ones; both are whole.
//!
//! Invariants:
//! * A list is written only when every file it names is durable with its name.
//! * A file named by any list that a crash could bring back is not removed: after a commit of
//!   unknown outcome nothing is, until the next one has succeeded.
//! * A base number is used once; a file of that name, listed or not, is never written again.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::aof::{self, Base, PartList, Timeline};
use moon_formats::{DecodeError, names};

use crate::io::Disk;
use crate::manifest::Table;
use crate::scan::LogStart;
use crate::whole::{self, FileError, How};

/// Where the files of one shard are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPaths {
    /// Shard number.
    pub shard: u16,
    /// Data directory.
    pub data: PathBuf,
}

impl ShardPaths {
    /// Paths of shard `shard` below the data directory `data`.
    pub fn new(data: &Path, shard: u16) -> ShardPaths {
        ShardPaths { shard, data: data.to_owned() }
    }

    /// Directory of the log segments.
    pub fn log(&self) -> PathBuf {
        self.own().join(names::WAL_DIR)
    }

    /// Directory of the log, the last BGSAVE and the files it refers to.
    pub fn own(&self) -> PathBuf {
        self.data.join(names::shard_dir(self.shard))
    }

    /// Directory of the guard.
    pub fn guard_dir(&self) -> PathBuf {
        self.data.join(names::AOF_DIR)
    }

    /// Directory of the part list and the bases.
    pub fn parts(&self) -> PathBuf {
        self.guard_dir().join(names::shard_dir(self.shard))
    }

    /// The part list.
    pub fn part_list(&self) -> PathBuf {
        self.parts().join(names::AOF_MANIFEST)
    }

    /// Base number `seq`.
    pub fn base(&self, seq: u64) -> PathBuf {
        self.parts().join(names::base_file(seq))
    }

    /// The file table.
    pub fn table(&self) -> PathBuf {
        self.own().join(names::shard_manifest(self.shard))
    }

    /// Directory of cold values.
    pub fn cold(&self) -> PathBuf {
        self.own().join(names::DATA_DIR)
    }

    /// The last BGSAVE.
    pub fn snapshot(&self) -> PathBuf {
        self.own().join(names::shard_snapshot(self.shard))
    }
}

/// A part list without bases for a log that begins at `start`.
pub fn without_base(shard: u16, epoch: u64, start: LogStart) -> PartList {
    PartList {
        shard,
        base: None,
        history: Vec::new(),
        log_from_lsn: start.lsn,
        log_from_seq: start.seq,
        ended: None,
        timelines: vec![Timeline { epoch, from_lsn: start.lsn, forked_at: None }],
        salvaged: Vec::new(),
        extra: Vec::new(),
    }
}

/// All bases of a list, newest first.
pub fn bases(list: &PartList) -> impl Iterator<Item = &Base> {
    list.base.iter().chain(&list.history)
}

/// Whether a list says that its log has ended and neither base nor log is needed any more: a later
/// `.rrdshard` has taken their place, or there has never been anything.
pub fn holds_nothing(list: &PartList) -> bool {
    list.base.is_none() && list.ended.is_some_and(|ended| list.log_from_lsn > ended.lsn)
}

/// Reads the part list of a shard; `None` if there is none.
///
/// # Errors
/// See [`FileError`]; a list of another shard is `Bad`.
pub async fn read_list(disk: &dyn Disk, paths: &ShardPaths) -> Result<Option<PartList>, FileError> {
    let path = paths.part_list();
    let of_this_shard = |text: &[u8]| {
        let list = PartList::decode(text)?;
        if list.shard != paths.shard {
            let (expected, found) = (paths.shard.into(), list.shard.into());
            let cause = moon_formats::Cause::Mismatch { expected, found };
            return Err(DecodeError::new(0, "shard", cause));
        }
        Ok(list)
    };
    whole::decoded(disk, &path, of_this_shard).await
}

/// Reads the guard and gives its number of shards; `None` if there is none.
///
/// # Errors
/// See [`FileError`].
pub async fn read_guard(disk: &dyn Disk, paths: &ShardPaths) -> Result<Option<u16>, FileError> {
    let path = paths.guard_dir().join(names::AOF_MANIFEST);
    whole::decoded(disk, &path, aof::decode_guard).await
}

/// Writes the guard of a directory with this many shards. Durable when this returns.
///
/// # Errors
/// [`FileError::Io`].
pub async fn write_guard(
    disk: &dyn Disk,
    paths: &ShardPaths,
    shards: u16,
) -> Result<(), FileError> {
    let dir = paths.guard_dir();
    let path = dir.join(names::AOF_MANIFEST);
    disk.create_dir_all(&dir).await.map_err(FileError::io(&dir))?;
    let text = aof::encode_guard(shards);
    whole::replace(disk, &dir, names::AOF_MANIFEST, text.as_bytes(), How::default())
        .await
        .map_err(|(_, cause)| FileError::io(&path)(cause))
}

struct State {
    list: PartList,
    /// Numbers of bases that a list on the device may name although [`State::list`] does not.
    doubtful: BTreeSet<u64>,
}

/// The part list of a running shard; a cheap handle to be cloned on the shard's thread.
#[derive(Clone)]
pub struct Parts {
    paths: Rc<ShardPaths>,
    state: Rc<RefCell<State>>,
    next_seq: Rc<Cell<u64>>,
    pinned: Rc<Cell<Option<u64>>>,
    table: Rc<OnceCell<Table>>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("list", &self.state.borrow().list).finish_non_exhaustive()
    }
}

impl Parts {
    /// The list as it is on the device. `highest_seq` is the highest number of a base file in
    /// the directory, listed or not.
    pub fn new(paths: ShardPaths, list: PartList, highest_seq: u64) -> Parts {
        let listed = bases(&list).map(|b| b.seq).max().unwrap_or(0);
        Parts {
            paths: Rc::new(paths),
            state: Rc::new(RefCell::new(State { list, doubtful: BTreeSet::new() })),
            next_seq: Rc::new(Cell::new(listed.max(highest_seq) + 1)),
            pinned: Rc::default(),
            table: Rc::default(),
        }
    }

    /// Where the files are.
    pub fn paths(&self) -> &ShardPaths {
        &self.paths
    }

    /// The file table beside the list, once the shard can be written to.
    pub fn table(&self) -> Option<&Table> {
        self.table.get()
    }

    /// Sets the file table; a second one is not looked at.
    pub(crate) fn set_table(&self, table: Table) {
        drop(self.table.set(table));
    }

    /// The list in force.
    pub fn list(&self) -> PartList {
        self.state.borrow().list.clone()
    }

    /// Looks at the list in force.
    pub fn with<T>(&self, look: impl FnOnce(&PartList) -> T) -> T {
        look(&self.state.borrow().list)
    }

    /// A number for a new base, never given before.
    pub fn take_seq(&self) -> u64 {
        self.next_seq.replace(self.next_seq.get() + 1)
    }

    /// Has rewrites keep every base from number `seq` on, beside those that they keep anyway; `None` lets
    /// them go with the next rewrite.
    pub fn pin(&self, seq: Option<u64>) {
        self.pinned.set(seq);
    }

    /// The oldest base that rewrites keep for a backup.
    pub fn pinned(&self) -> Option<u64> {
        self.pinned.get()
    }

    /// Whether a base file of this number may be removed: no list that a crash could bring
    /// back names it.
    pub fn is_unlisted(&self, seq: u64) -> bool {
        let state = self.state.borrow();
        !state.doubtful.contains(&seq) && bases(&state.list).all(|b| b.seq != seq)
    }

    /// Replaces the list: the commit of a rewrite. Everything that `next` names must be durable.
    ///
    /// # Errors
    /// [`FileError::Io`]. The list in force stays the old one; if the new one may be on the
    /// device, files of both are kept until a later commit succeeds.
    pub async fn commit(&self, disk: &dyn Disk, next: PartList) -> Result<(), FileError> {
        self.commit_as(disk, next, How::default()).await
    }

    pub(crate) async fn commit_as(
        &self,
        disk: &dyn Disk,
        next: PartList,
        how: How,
    ) -> Result<(), FileError> {
        let dir = self.paths.parts();
        let path = self.paths.part_list();
        disk.create_dir_all(&dir).await.map_err(FileError::io(&dir))?;
        let text = next.encode();
        let done = whole::replace(disk, &dir, names::AOF_MANIFEST, text.as_bytes(), how).await;
        let mut state = self.state.borrow_mut();
        match done {
            Ok(()) => {
                state.doubtful.clear();
                state.list = next;
                Ok(())
            }
            Err((renamed, cause)) => {
                if renamed {
                    state.doubtful.extend(bases(&next).map(|b| b.seq));
                }
                Err(FileError::io(&path)(cause))
            }
        }
    }
}
