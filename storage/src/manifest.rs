//! The file table of a shard on the device, `shard-<n>.manifest` (storage-formats §8).
//!
//! The one idea: two roots take turns. A commit writes and syncs the root that is not in force; until
//! that sync has ended the other one, which nothing touches, says what was.
//!
//! Invariants:
//! * A file whose write or sync has failed is not written again: the next commit makes a new one
//!   and renames it over the old.
//! * The table decides what may be deleted, and says how far the log was known to be durable. What
//!   the data are, base and log say; without a table they are the same.
//! * It never says more of the log than what is durable when the commit begins.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::PathBuf;

use moon_formats::names;
use moon_formats::shard_manifest::{self, Root, Row, Slot, Unreadable};

use crate::failpoint::{Point, reach};
use crate::io::{Access, Caching, Disk};
use crate::parts::ShardPaths;
use crate::whole::{self, How, Steps};

/// Longest table that is read, in bytes: a quarter of it in force is 200,000 files.
const BYTES_MAX: u64 = 64 << 20;

/// A table that cannot be read or written.
#[derive(Debug)]
pub enum TableError {
    /// A disk operation failed.
    Io(PathBuf, io::Error),
    /// It was written by a later Moon; going back would undo what that one committed.
    Newer(PathBuf, String),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Io(path, e) => write!(f, "file table {}: {e}", path.display()),
            TableError::Newer(path, e) => {
                write!(f, "file table {}: {e}; start the Moon that wrote it", path.display())
            }
        }
    }
}

impl std::error::Error for TableError {}

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No table: a new shard, or one that is older than tables.
    Missing,
    /// The root in force, where it stands, and bytes of the file.
    Sound(Box<Root>, Slot, u64),
    /// Neither root is whole: what is wrong.
    Damaged(String),
}

impl Found {
    /// Up to where the log was known to be durable; 0 where nothing says so.
    pub fn flushed_lsn(&self) -> u64 {
        match self {
            Found::Sound(root, ..) => root.wal_flush_lsn,
            _ => 0,
        }
    }
}

/// Reads the table of a shard.
///
/// # Errors
/// See [`TableError`]; damage is not an error.
pub async fn read(disk: &dyn Disk, paths: &ShardPaths) -> Result<Found, TableError> {
    let path = paths.table();
    let text = match whole::read_up_to(disk, &path, BYTES_MAX).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Found::Missing),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            return Ok(Found::Damaged(e.to_string()));
        }
        Err(e) => return Err(TableError::Io(path, e)),
    };
    match shard_manifest::open(&text) {
        Ok(open) => Ok(Found::Sound(Box::new(open.found.root), open.slot, text.len() as u64)),
        Err(Unreadable::Newer(e)) => Err(TableError::Newer(path, e.to_string())),
        Err(e) => Ok(Found::Damaged(e.to_string())),
    }
}

/// What a commit says of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Cut of the base in force; 0 without one.
    pub redo_lsn: u64,
    /// Last LSN known durable.
    pub flushed_lsn: u64,
}

struct State {
    root: Root,
    slot: Slot,
    bytes: u64,
    /// The file is not to be written on: there is none, it is damaged, or an operation on it failed.
    anew: bool,
}

/// The table of a running shard.
pub struct Table {
    paths: ShardPaths,
    state: RefCell<State>,
    busy: Cell<bool>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("root", &self.state.borrow().root).finish_non_exhaustive()
    }
}

impl Table {
    /// The table that a start has found; a new one if there was none or it was damaged.
    pub fn new(paths: ShardPaths, found: Found, uuid: [u8; 16], now_secs: u64) -> Table {
        let state = match found {
            Found::Sound(root, slot, bytes) => State { root: *root, slot, bytes, anew: false },
            Found::Missing | Found::Damaged(_) => State {
                root: Root {
                    epoch: 0,
                    redo_lsn: 0,
                    wal_flush_lsn: 0,
                    snapshot_lsn: 0,
                    created_at_secs: now_secs,
                    shard_uuid: uuid,
                    files: Vec::new(),
                },
                slot: Slot::B,
                bytes: 0,
                anew: true,
            },
        };
        Table { paths, state: RefCell::new(state), busy: Cell::new(false) }
    }

    /// The state in force.
    pub fn root(&self) -> Root {
        self.state.borrow().root.clone()
    }

    /// Makes a new state durable: what `change` makes of the files, at `moment`.
    ///
    /// # Errors
    /// [`TableError::Io`]; either state may be on the device then, and the next commit writes a new
    /// file. `WouldBlock` while another commit is under way, which changes nothing.
    pub async fn commit(
        &self,
        disk: &dyn Disk,
        moment: Moment,
        change: impl FnOnce(&mut Vec<Row>),
    ) -> Result<(), TableError> {
        if self.busy.replace(true) {
            return Err(TableError::Io(self.paths.table(), io::ErrorKind::WouldBlock.into()));
        }
        let (mut next, slot, bytes, anew) = {
            let mut state = self.state.borrow_mut();
            // Never the number of a commit whose fate is unknown.
            state.root.epoch += 1;
            (state.root.clone(), state.slot, state.bytes, state.anew)
        };
        change(&mut next.files);
        next.redo_lsn = moment.redo_lsn;
        next.snapshot_lsn = next.snapshot_lsn.max(moment.redo_lsn);
        next.wal_flush_lsn = moment.flushed_lsn;
        let grown = bytes + next.live_bytes();
        let written = match anew || next.wants_compaction(grown) {
            true => self.write_anew(disk, &next).await.map(|bytes| (Slot::A, bytes)),
            false => self.write_root(disk, &next, slot.other(), bytes).await,
        };
        self.busy.set(false);
        let mut state = self.state.borrow_mut();
        match written {
            Ok((slot, bytes)) => {
                *state = State { root: next, slot, bytes, anew: false };
                Ok(())
            }
            Err(e) => {
                state.anew = true;
                Err(TableError::Io(self.paths.table(), e))
            }
        }
    }

    async fn write_anew(&self, disk: &dyn Disk, next: &Root) -> io::Result<u64> {
        let dir = self.paths.own();
        disk.create_dir_all(&dir).await?;
        let file = next.encode_file();
        let name = names::shard_manifest(self.paths.shard);
        let how = How { steps: Steps::Table, ..How::default() };
        let done = whole::replace(disk, &dir, &name, &file, how).await;
        done.map(|()| file.len() as u64).map_err(|(_, e)| e)
    }

    async fn write_root(
        &self,
        disk: &dyn Disk,
        next: &Root,
        slot: Slot,
        bytes: u64,
    ) -> io::Result<(Slot, u64)> {
        let page = u64::try_from(moon_formats::page::PAGE_LEN).unwrap_or(u64::MAX);
        // Behind whatever a crash has left half written.
        let end = bytes.next_multiple_of(page).max(2 * page);
        let commit = next.encode(slot, u32::try_from(end / page).unwrap_or(u32::MAX));
        let file = disk.open(&self.paths.table(), Access::ReadWrite, Caching::Cached).await?;
        let mut size = end;
        if !commit.overflow.is_empty() {
            whole::write_at(&*file, end, &commit.overflow).await?;
            file.sync().await?;
            reach(Point::ManifestOverflowSynced)?;
            size += commit.overflow.len() as u64;
        }
        whole::write_at(&*file, slot.offset(), &commit.root).await?;
        reach(Point::ManifestRootWritten)?;
        file.sync().await?;
        Ok((slot, size))
    }
}

#[cfg(test)]
mod tests;
