//! `shard-<n>.manifest`: which data files a shard has (storage-formats §8).
//!
//! One idea: two root pages take turns. A commit writes what does not fit in a root behind the end of the file
//! and syncs it, then writes the root that is *not* in force and syncs that: the second sync is the commit,
//! because until it the other root, which nothing touched, is the one with the higher epoch that is whole.
//!
//! ```text
//! page 0    root A        page 1    root B        then runs of overflow pages
//! root      epoch u64 | redo_lsn u64 | wal_flush_lsn u64 | file_count u32 | overflow_pages u32 |
//!           snapshot_lsn u64 | created_at u64 | shard_uuid 16 bytes | rows
//! row       file_id u64 | type u8 | status u8 | tier u8 | page_size_log2 u8 | page_count u32 |
//!           byte_size u64 | created_lsn u64 | db u64 | max_key_hash u64 | last_modified_lsn u64 |
//!           dead_lsn u64 | content_xxh64 u64
//! ```
//!
//! Every page is a [`crate::page`] whose version is that of the manifest. A row has 48 bytes in version 1 (up
//! to `max_key_hash`), 56 in version 2 (up to `last_modified_lsn`), both the reference's and read only, and
//! 72 in version 3. In version 3 rows stand by ascending file id, and the pages of a root carry its epoch.
//!
//! The manifest decides what may be deleted, never what the data is.

#![warn(clippy::indexing_slicing)]

use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::page::{HEADER_LEN, PAGE_LEN, Page, PageHeader, PageType, Place, Versions};
use crate::wal::body::{FILE_ENTRY_LEN, FileEntry, Payload};
use std::fmt;

/// Version that is written.
pub const VERSION: u8 = 3;
/// Versions of manifest pages.
pub const PAGES: Versions = Versions { newest: VERSION, sealed: 3 };

/// Bytes of a root before its rows.
pub const ROOT_LEN: usize = 64;
/// First page behind the roots.
pub const FIRST_OVERFLOW_PAGE: u32 = 2;

/// `(offset, size, name)` of each field of a root's payload; compared with the page of the format by a test.
pub const ROOT_FIELDS: &[(usize, usize, &str)] = &[
    (0, 8, "epoch"),
    (8, 8, "redo_lsn"),
    (16, 8, "wal_flush_lsn"),
    (24, 4, "file_count"),
    (28, 4, "overflow_pages"),
    (32, 8, "snapshot_lsn"),
    (40, 8, "created_at"),
    (48, 16, "shard_uuid"),
];

/// `(offset, size, name)` of each field of a row.
pub const ROW_FIELDS: &[(usize, usize, &str)] = &[
    (0, 8, "file_id"),
    (8, 1, "type"),
    (9, 1, "status"),
    (10, 1, "tier"),
    (11, 1, "page_size_log2"),
    (12, 4, "page_count"),
    (16, 8, "byte_size"),
    (24, 8, "created_lsn"),
    (32, 8, "db"),
    (40, 8, "max_key_hash"),
    (48, 8, "last_modified_lsn"),
    (56, 8, "dead_lsn"),
    (64, 8, "content_xxh64"),
];

/// Bytes of a row.
const fn row_len(version: u8) -> usize {
    match version {
        1 => 48,
        2 => FILE_ENTRY_LEN,
        _ => 72,
    }
}

/// Rows in a root.
pub const fn inline_rows(version: u8) -> usize {
    (PAGE_LEN - HEADER_LEN - ROOT_LEN) / row_len(version)
}

/// Rows in an overflow page.
pub const fn overflow_rows(version: u8) -> usize {
    (PAGE_LEN - HEADER_LEN) / row_len(version)
}

/// A data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What the log says of the file when it is made.
    pub file: FileEntry,
    /// LSN at which the last value in it died; 0 while it is in use, and before version 3. The file may go
    /// when this is below the cut of the oldest base that is kept.
    pub dead_lsn: u64,
    /// XXH64 of the file once it is sealed; 0 before, and before version 3.
    pub content_xxh64: u64,
}

impl Row {
    fn put(&self, out: &mut Vec<u8>) {
        self.file.put(out);
        out.put_u64(self.dead_lsn);
        out.put_u64(self.content_xxh64);
    }

    fn read(r: &mut Reader<'_>, version: u8) -> Result<Row, DecodeError> {
        let file = match version {
            1 => FileEntry::read_v1(r)?,
            _ => FileEntry::read(r, 0)?,
        };
        Ok(match version {
            1 | 2 => Row { file, dead_lsn: 0, content_xxh64: 0 },
            _ => Row { file, dead_lsn: r.u64("dead_lsn")?, content_xxh64: r.u64("content_xxh64")? },
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dead={} xxh64={:016x}", self.file, self.dead_lsn, self.content_xxh64)
    }
}

/// One of the two roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Page 0.
    A,
    /// Page 1.
    B,
}

impl Slot {
    /// The one that the next commit writes when this one is in force.
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// Its page.
    pub fn page(self) -> u32 {
        match self {
            Slot::A => 0,
            Slot::B => 1,
        }
    }

    /// Its offset in the file.
    pub fn offset(self) -> u64 {
        u64::from(self.page()) * PAGE_LEN as u64
    }
}

/// A state of the file table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Number of the commit, from 1.
    pub epoch: u64,
    /// Cut of the base in force.
    pub redo_lsn: u64,
    /// Highest LSN known durable at the commit.
    pub wal_flush_lsn: u64,
    /// Cut of the last snapshot.
    pub snapshot_lsn: u64,
    /// Unix seconds at which the manifest was made.
    pub created_at_secs: u64,
    /// Identity of the shard.
    pub shard_uuid: [u8; 16],
    /// Data files, by ascending id.
    pub files: Vec<Row>,
}

/// The bytes of a commit, in the order in which they are written and synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Overflow pages, to be written at `overflow_page` and synced first; may be empty.
    pub overflow: Vec<u8>,
    /// The root, to be written at the offset of the slot and synced then.
    pub root: Vec<u8>,
}

impl Root {
    /// Overflow pages of the state.
    pub fn overflow_pages(&self) -> u32 {
        let more = self.files.len().saturating_sub(inline_rows(VERSION));
        more.div_ceil(overflow_rows(VERSION)) as u32
    }

    /// Bytes of a file that holds this state only.
    pub fn live_bytes(&self) -> u64 {
        u64::from(FIRST_OVERFLOW_PAGE + self.overflow_pages()) * PAGE_LEN as u64
    }

    /// True when a file of this size should be written anew: it is mostly states that are over.
    pub fn wants_compaction(&self, file_bytes: u64) -> bool {
        file_bytes > 64 << 10 && file_bytes > 4 * self.live_bytes()
    }

    /// The pages of a commit to `slot`. The overflow run begins at page `overflow_page`, which is the end of
    /// the file, and not used if there is none. Panics if the files do not stand by ascending id.
    pub fn encode(&self, slot: Slot, overflow_page: u32) -> Commit {
        let ascending = self.files.is_sorted_by(|a, b| a.file.file_id < b.file.file_id);
        assert!(ascending, "files stand by ascending id");
        assert!(overflow_page >= FIRST_OVERFLOW_PAGE, "the roots are not overwritten");
        let (inline, more) = self.files.split_at(self.files.len().min(inline_rows(VERSION)));
        let pages = self.overflow_pages();
        let header = |page_type, page_id: u32, next_page, rows: &[Row]| PageHeader {
            page_lsn: self.wal_flush_lsn,
            page_id: u64::from(page_id),
            next_page,
            txn_id: self.epoch,
            entry_count: rows.len() as u32,
            ..PageHeader::new(VERSION, page_type)
        };
        let mut payload = Vec::with_capacity(PAGE_LEN);
        let mut overflow = Vec::new();
        for (i, rows) in more.chunks(overflow_rows(VERSION)).enumerate() {
            let page = overflow_page + i as u32;
            let next = if i as u32 + 1 < pages { page + 1 } else { 0 };
            payload.clear();
            rows.iter().for_each(|row| row.put(&mut payload));
            let header = header(PageType::ManifestEntry, page, next, rows);
            header.put_page(PAGES, &payload, &mut overflow);
        }
        payload.clear();
        payload.put_u64(self.epoch);
        payload.put_u64(self.redo_lsn);
        payload.put_u64(self.wal_flush_lsn);
        payload.put_count32(self.files.len());
        payload.put_u32(pages);
        payload.put_u64(self.snapshot_lsn);
        payload.put_u64(self.created_at_secs);
        payload.put(&self.shard_uuid);
        inline.iter().for_each(|row| row.put(&mut payload));
        let next = if pages > 0 { overflow_page } else { 0 };
        let mut root = Vec::new();
        let header = header(PageType::ManifestRoot, slot.page(), next, inline);
        header.put_page(PAGES, &payload, &mut root);
        Commit { overflow, root }
    }

    /// A whole new file that holds this state in root A, with its overflow run.
    pub fn encode_file(&self) -> Vec<u8> {
        let commit = self.encode(Slot::A, FIRST_OVERFLOW_PAGE);
        let mut file = commit.root;
        file.resize(2 * PAGE_LEN, 0);
        file.extend_from_slice(&commit.overflow);
        file
    }
}

/// A root that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Version of the manifest.
    pub version: u8,
    /// First page of its overflow run; 0 for none.
    pub overflow_page: u32,
    /// The state.
    pub root: Root,
}

/// Reads the root of a slot with its overflow run. `file` is the whole file.
pub fn read_root(file: &[u8], slot: Slot) -> Result<Found, DecodeError> {
    let (page, mut r) = page(file, slot.page(), PageType::ManifestRoot)?;
    let version = page.header.version;
    let mut root = Root {
        epoch: r.u64("epoch")?,
        redo_lsn: r.u64("redo_lsn")?,
        wal_flush_lsn: r.u64("wal_flush_lsn")?,
        snapshot_lsn: 0,
        created_at_secs: 0,
        shard_uuid: [0; 16],
        files: Vec::new(),
    };
    let count_at = r.offset();
    let total = r.u32("file_count")?;
    let pages_at = r.offset();
    let pages = r.u32("overflow_pages")?;
    root.snapshot_lsn = r.u64("snapshot_lsn")?;
    root.created_at_secs = r.u64("created_at")?;
    root.shard_uuid = r.array("shard_uuid")?;
    let inline = (total as usize).min(inline_rows(version));
    let more = total as usize - inline;
    let want = more.div_ceil(overflow_rows(version)) as u32;
    if version == 1 && more > 0 {
        let cause = Cause::Count { count: total.into(), fits: inline as u64 };
        return Err(DecodeError::new(count_at, "file_count", cause));
    }
    if pages != want {
        let cause = Cause::Mismatch { expected: want.into(), found: pages.into() };
        return Err(DecodeError::new(pages_at, "overflow_pages", cause));
    }
    if version == VERSION && page.header.txn_id != root.epoch {
        let cause = Cause::Mismatch { expected: root.epoch, found: page.header.txn_id };
        return Err(DecodeError::new(slot.offset() + 48, "txn_id", cause));
    }
    rows(&mut r, &page.header, inline, &mut root.files)?;
    let overflow_page = page.header.next_page;
    let (mut next, mut left) = (overflow_page, more);
    for i in 0..pages {
        let at = overflow_page.saturating_add(i);
        // Version 3 links its pages; the run is contiguous in every version.
        if next != at && (version == VERSION || i == 0) || at < FIRST_OVERFLOW_PAGE {
            let cause = Cause::Mismatch { expected: at.max(2).into(), found: next.into() };
            return Err(DecodeError::new(slot.offset() + 44, "next_page", cause));
        }
        let (page, mut r) = self::page(file, at, PageType::ManifestEntry)?;
        let header = &page.header;
        if header.version != version || version == VERSION && header.txn_id != root.epoch {
            let cause = Cause::Mismatch { expected: root.epoch, found: header.txn_id };
            return Err(DecodeError::new(page.offset, "epoch of overflow page", cause));
        }
        let here = left.min(overflow_rows(version));
        rows(&mut r, header, here, &mut root.files)?;
        left -= here;
        next = header.next_page;
    }
    if version == VERSION && next != 0 {
        let cause = Cause::Mismatch { expected: 0, found: next.into() };
        return Err(DecodeError::new(slot.offset() + 44, "next_page", cause));
    }
    Ok(Found { version, overflow_page: if pages > 0 { overflow_page } else { 0 }, root })
}

fn page(
    file: &[u8],
    page_id: u32,
    page_type: PageType,
) -> Result<(Page<'_>, Reader<'_>), DecodeError> {
    let offset = u64::from(page_id) * PAGE_LEN as u64;
    let bytes = usize::try_from(offset).ok().and_then(|at| file.get(at..)).unwrap_or_default();
    let place = Place { file_id: 0, page_id: page_id.into() };
    let page = Page::decode(bytes, offset, PAGES, Some(place))?;
    if page.header.page_type != page_type {
        let found = page.header.page_type.code().into();
        let cause = Cause::Mismatch { expected: page_type.code().into(), found };
        return Err(DecodeError::new(offset + 5, "page_type", cause));
    }
    let reader = Reader::new(page.payload, page.offset);
    Ok((page, reader))
}

/// Reads the rows of a page and checks what its header says of them.
fn rows(
    r: &mut Reader<'_>,
    header: &PageHeader,
    count: usize,
    out: &mut Vec<Row>,
) -> Result<(), DecodeError> {
    if header.entry_count as usize != count {
        let (expected, found) = (count as u64, u64::from(header.entry_count));
        return Err(r.error("entry_count", Cause::Mismatch { expected, found }));
    }
    for _ in 0..count {
        let at = r.offset();
        let row = Row::read(r, header.version)?;
        let before = out.last().map(|b| b.file.file_id);
        if header.version == VERSION && before.is_some_and(|b| b >= row.file.file_id) {
            let cause = Cause::Form { expected: "files by ascending id" };
            return Err(DecodeError::new(at, "file_id", cause));
        }
        out.push(row);
    }
    r.finish("rows")
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The root in force.
    pub slot: Slot,
    /// Its state.
    pub found: Found,
    /// The epoch of the other root, or why it does not count.
    pub other: Result<u64, DecodeError>,
}

/// Why a manifest says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Both roots are damaged: the table is rebuilt from base and log.
    Damaged {
        /// What is wrong with root A.
        a: DecodeError,
        /// What is wrong with root B.
        b: DecodeError,
    },
    /// A root was written by a later Moon. Going back to the other one would undo what it committed.
    Newer(DecodeError),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Damaged { a, b } => write!(f, "root A: {a}; root B: {b}"),
            Unreadable::Newer(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Finds the state in force: of the roots that are whole, with their overflow runs, the one with the higher
/// epoch, B if they are equal.
pub fn open(file: &[u8]) -> Result<Opened, Unreadable> {
    let (a, b) = (read_root(file, Slot::A), read_root(file, Slot::B));
    for e in [&a, &b].into_iter().filter_map(|root| root.as_ref().err()) {
        if e.is_newer() {
            return Err(Unreadable::Newer(e.clone()));
        }
    }
    let epoch = |f: &Result<Found, DecodeError>| f.as_ref().map(|f| f.root.epoch).ok();
    let slot = if epoch(&b) >= epoch(&a) { Slot::B } else { Slot::A };
    let (chosen, other) = if slot == Slot::A { (a, b) } else { (b, a) };
    match (chosen, other) {
        (Ok(found), other) => Ok(Opened { slot, found, other: other.map(|f| f.root.epoch) }),
        // The roots were swapped: neither is whole, so B was taken.
        (Err(b), Err(a)) => Err(Unreadable::Damaged { a, b }),
        (Err(_), Ok(_)) => unreachable!("a whole root is taken before a damaged one"),
    }
}

#[cfg(test)]
mod tests;
