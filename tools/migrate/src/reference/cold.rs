//! Cold files of the reference: keys whose values are only there (storage-formats §9.5).
//!
//! The one idea: the file table of a shard says which files count, and a key is where its newest page is. What the
//! table does not name is what the reference itself would not read.
//!
//! Damage within what the table says of a file ends the run. Pages behind that were not committed: they are
//! taken as far as they are whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use moon_formats::aof_reference::SHARDS_MAX;
use moon_formats::cold_reference::{ColdEntry, ColdPage, Held, VALUE_LEN_MAX, value};
use moon_formats::names;
use moon_formats::page::{PAGE_LEN, PageType};
use moon_formats::rrdshard::{Entry, Item, Stored};
use moon_formats::shard_manifest::{self, Unreadable};
use moon_formats::value::ValueType;
use moon_formats::wal::body::FileEntry;

use crate::facts::{Losses, lose};
use crate::fail::Failure;
use crate::filling::{Filling, twice};

/// Longest file table.
const TABLE_MAX: u64 = 256 << 20;
/// Files that count.
const ACTIVE: u8 = 1;
/// Files that are not finished, and those that are over.
const BUILDING: u8 = 2;
const TOMBSTONE: u8 = 5;

/// What the cold files of a directory hold.
#[derive(Default)]
pub(super) struct Cold {
    keys: BTreeMap<(u32, Vec<u8>), Newest>,
    /// Folders of cold files for which there is a file table.
    known: BTreeSet<PathBuf>,
}

/// The newest that is known of a key.
struct Newest {
    /// Which page is newer: LSN, file, page. Of equal ones the later counts.
    at: (u64, u64, u64),
    shard: u16,
    kind: ValueType,
    expire_ms: Option<u64>,
    /// `None`: it was deleted.
    body: Option<Vec<u8>>,
    place: (PathBuf, u64),
}

impl Cold {
    /// Reads the cold files of all shards.
    pub(super) fn read(dir: &Path, losses: &mut Losses) -> Result<Cold, Failure> {
        let mut cold = Cold::default();
        for shard in 0..SHARDS_MAX {
            let home = dir.join(names::shard_dir(shard));
            let table = home.join(names::shard_manifest(shard));
            let Some(rows) = rows(&table)? else { continue };
            let data = home.join(names::DATA_DIR);
            for row in &rows {
                cold.file(shard, row, &data.join(names::heap_file(row.file_id)), losses)?;
            }
            cold.known.insert(data);
        }
        Ok(cold)
    }

    /// Whether a file table says what becomes of a cold file.
    pub(super) fn knows(&self, path: &Path) -> bool {
        path.parent().is_some_and(|dir| self.known.contains(dir))
    }

    /// Puts the keys into a shard, before anything else.
    pub(super) fn fill(self, filling: &mut Filling<'_>) -> Result<(), Failure> {
        for ((db, key), newest) in self.keys {
            let Newest { kind, expire_ms, body: Some(body), place: (path, offset), .. } = newest
            else {
                continue;
            };
            let bad = |why: &dyn std::fmt::Display| {
                let key = key.escape_ascii();
                Failure::damage(&path, format!("offset {offset}: value of key {key}: {why}"))
            };
            let value = value(kind, &body).map_err(|e| bad(&e))?;
            let value = Stored::Body { bytes: &body, value };
            let entry = Entry { db, key: &key, kind, expire_ms, access: None, value, offset };
            filling.cold(&Item::Entry(entry)).map_err(|e| bad(&e))?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        shard: u16,
        row: &FileEntry,
        path: &Path,
        losses: &mut Losses,
    ) -> Result<(), Failure> {
        if row.file_type != PageType::KvLeaf.code() || matches!(row.status, BUILDING | TOMBSTONE) {
            return Ok(());
        }
        let mut lost = |what: &str| lose(losses, "cold", what, path.to_string_lossy().as_bytes());
        if row.status != ACTIVE {
            lost("files of cold values that are neither in use nor over");
            return Ok(());
        }
        let db = u32::try_from(row.db)
            .map_err(|_| Failure::refused(format!("{}: database {}", path.display(), row.db)))?;
        let Some(file) = Pages::open(path)? else {
            lost("files of cold values that are gone");
            return Ok(());
        };
        let committed = u64::from(row.page_count);
        if file.pages < committed {
            let has = file.pages;
            let text = format!("has {has} pages, and its shard's file table says {committed}");
            return Err(Failure::damage(path, text));
        }
        for page in 0..file.pages {
            let bytes = file.page(page)?;
            let offset = page * PAGE_LEN as u64;
            let leaf = match ColdPage::decode(&bytes, offset) {
                Ok(ColdPage::Leaf(leaf)) => leaf,
                Ok(_) => continue,
                Err(e) if page < committed || e.is_newer() => {
                    return Err(Failure::decode(path, &e));
                }
                Err(_) => {
                    let text = "pages of cold values that were not finished";
                    let example = format!("{}, offset {offset}", path.display());
                    lose(losses, "cold", text, example.as_bytes());
                    continue;
                }
            };
            let at = (leaf.page_lsn, row.file_id, page);
            for entry in &leaf.entries {
                self.entry(shard, db, at, entry, &file, losses)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        shard: u16,
        db: u32,
        at: (u64, u64, u64),
        entry: &ColdEntry<'_>,
        file: &Pages,
        losses: &mut Losses,
    ) -> Result<(), Failure> {
        let key = (db, entry.key.to_vec());
        match self.keys.get(&key) {
            Some(old) if old.shard != shard => {
                twice(losses, db, entry.key);
                return Ok(());
            }
            Some(old) if old.at > at => return Ok(()),
            _ => {}
        }
        let body = match &entry.held {
            Held::Deleted => None,
            Held::Body(body) => Some(body.to_vec()),
            Held::Overflow { page } => Some(file.overflow(*page, entry.offset)?),
        };
        let (kind, expire_ms) = (entry.kind, entry.expire_ms);
        let place = (file.path.clone(), entry.offset);
        self.keys.insert(key, Newest { at, shard, kind, expire_ms, body, place });
        Ok(())
    }
}

/// The file table of a shard, if it has one.
fn rows(path: &Path) -> Result<Option<Vec<FileEntry>>, Failure> {
    let len = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::io("read", path, e)),
    };
    if len > TABLE_MAX {
        return Err(Failure::damage(path, "longer than a file table can be"));
    }
    let bytes = fs::read(path).map_err(|e| Failure::io("read", path, e))?;
    match shard_manifest::open(&bytes) {
        Ok(opened) => Ok(Some(opened.found.root.files.iter().map(|row| row.file).collect())),
        Err(Unreadable::Newer(e)) => Err(Failure::decode(path, &e)),
        Err(e) => Err(Failure::damage(path, e)),
    }
}

/// A cold file.
struct Pages {
    path: PathBuf,
    file: File,
    pages: u64,
}

impl Pages {
    fn open(path: &Path) -> Result<Option<Pages>, Failure> {
        let io = |e| Failure::io("read", path, e);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        let pages = file.metadata().map_err(io)?.len() / PAGE_LEN as u64;
        Ok(Some(Pages { path: path.into(), file, pages }))
    }

    fn page(&self, page: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; PAGE_LEN];
        let read = self.file.read_exact_at(&mut bytes, page * PAGE_LEN as u64);
        read.map(|()| bytes).map_err(|e| Failure::io("read", &self.path, e))
    }

    /// A value that begins on a page; the entry that says so is at `from`.
    fn overflow(&self, first: u32, from: u64) -> Result<Vec<u8>, Failure> {
        let bad = |why: &str| {
            Failure::damage(&self.path, format!("offset {from}: value on page {first}: {why}"))
        };
        let (mut value, mut page) = (Vec::new(), u64::from(first));
        // A chain without a loop has no more pages than the file.
        for _ in 0..self.pages {
            if page >= self.pages {
                return Err(bad("it goes on behind the end of the file"));
            }
            let bytes = self.page(page)?;
            let read = ColdPage::decode(&bytes, page * PAGE_LEN as u64);
            let piece = read.map_err(|e| Failure::decode(&self.path, &e))?;
            let ColdPage::Overflow { bytes, next } = piece else {
                return Err(bad("there is no piece of a value"));
            };
            if value.len() + bytes.len() > VALUE_LEN_MAX {
                return Err(bad("it is longer than 512 MiB"));
            }
            value.extend_from_slice(bytes);
            page = match next {
                0 => return Ok(value),
                next => next.into(),
            };
        }
        Err(bad("its pages go round in a circle"))
    }
}
