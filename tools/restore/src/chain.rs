//! A chain of sets, read as if it were a data directory.
//!
//! The one idea: recovery, and the search for a point in time, read a directory through the door to the disk.
//! So a chain needs no reader of its own: it is a device on which the files of its sets stand where they stood.
//!
//! Invariants: nothing can be written; of a file that is in several sets the newest is shown.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::aof::PartList;
use moon_formats::backup::{BackupFile, Codec};
use moon_storage::io::{Access, Caching, DirEntry, Disk, File, LocalFuture, Space};
use moon_storage::parts::ShardPaths;

use crate::fail::Failure;
use crate::repo::Set;
use crate::store::{ReadOnly, Unpacked, read_only};

/// A file, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) stored: PathBuf,
    pub(crate) file: BackupFile,
}

/// See the module page.
pub(crate) struct ChainDisk<'a> {
    disk: &'a dyn Disk,
    root: PathBuf,
    /// By path on this device.
    files: BTreeMap<PathBuf, Place>,
    texts: BTreeMap<PathBuf, Vec<u8>>,
    lists: Vec<PartList>,
}

impl<'a> ChainDisk<'a> {
    /// The device of a whole chain.
    pub(crate) fn new(disk: &'a dyn Disk, chain: &[&Set]) -> ChainDisk<'a> {
        // Errors name the set whose state is read.
        let root = chain.last().map(|set| set.dir.clone()).unwrap_or_default();
        let mut files = BTreeMap::new();
        for set in chain {
            for file in &set.backup.files {
                let stored = set.dir.join(file.stored_path());
                files.insert(root.join(file.kind.path()), Place { stored, file: *file });
            }
        }
        let first = chain.first().map(|set| set.backup.shards.as_slice()).unwrap_or_default();
        let lists: Vec<PartList> = first.iter().map(|part| part.parts.clone()).collect();
        let texts = lists.iter().map(|list| {
            let path = ShardPaths::new(&root, list.shard).part_list();
            (path, list.encode().into_bytes())
        });
        let texts = texts.collect();
        ChainDisk { disk, root, files, texts, lists }
    }

    /// Where the files of a shard seem to be.
    pub(crate) fn paths(&self, shard: u16) -> ShardPaths {
        ShardPaths::new(&self.root, shard)
    }

    /// The part lists of all shards.
    pub(crate) fn lists(&self) -> &[PartList] {
        &self.lists
    }

    /// All files, with the paths that they have below a data directory.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Place> {
        self.files.values()
    }

    /// An error in which files have the names that they are stored under.
    pub(crate) fn named(&self, failure: impl Into<Failure>) -> Failure {
        let mut failure: Failure = failure.into();
        for (path, place) in &self.files {
            let shown = path.display().to_string();
            if failure.message.contains(&shown) {
                let stored = place.stored.display().to_string();
                failure.message = failure.message.replace(&shown, &stored);
            }
        }
        failure
    }

    /// A file of the chain, to be read as it was.
    pub(crate) async fn content(&self, place: &Place) -> io::Result<Rc<dyn File>> {
        let stored = self.disk.open(&place.stored, Access::Read, Caching::Cached).await?;
        Ok(match place.file.codec {
            Codec::None => stored,
            Codec::Zstd => Rc::new(ReadOnly(Unpacked::new(stored, place.file.bytes))),
        })
    }
}

impl Disk for ChainDisk<'_> {
    fn driver(&self) -> &'static str {
        self.disk.driver()
    }

    fn alignment(&self) -> usize {
        self.disk.alignment()
    }

    fn open<'b>(
        &'b self,
        path: &'b Path,
        access: Access,
        _: Caching,
    ) -> LocalFuture<'b, io::Result<Rc<dyn File>>> {
        Box::pin(async move {
            if access != Access::Read {
                return Err(io::ErrorKind::ReadOnlyFilesystem.into());
            }
            if let Some(text) = self.texts.get(path) {
                return Ok(Rc::new(ReadOnly(text.clone())) as Rc<dyn File>);
            }
            match self.files.get(path) {
                Some(place) => self.content(place).await,
                None => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }

    fn rename<'b>(&'b self, _: &'b Path, _: &'b Path) -> LocalFuture<'b, io::Result<()>> {
        read_only()
    }

    fn remove<'b>(&'b self, _: &'b Path) -> LocalFuture<'b, io::Result<()>> {
        read_only()
    }

    fn remove_dir<'b>(&'b self, _: &'b Path) -> LocalFuture<'b, io::Result<()>> {
        read_only()
    }

    fn sync_dir<'b>(&'b self, _: &'b Path) -> LocalFuture<'b, io::Result<()>> {
        read_only()
    }

    fn list<'b>(&'b self, dir: &'b Path) -> LocalFuture<'b, io::Result<Vec<DirEntry>>> {
        let here = |path: &&PathBuf| path.parent() == Some(dir);
        let row = |path: &PathBuf, bytes| DirEntry {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes,
            is_dir: false,
        };
        let files = self.files.iter().filter(|(path, _)| here(path));
        let texts = self.texts.iter().filter(|(path, _)| here(path));
        let mut rows: Vec<DirEntry> = files.map(|(path, p)| row(path, p.file.bytes)).collect();
        rows.extend(texts.map(|(path, text)| row(path, text.len() as u64)));
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Box::pin(async move {
            if rows.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(rows) }
        })
    }

    fn create_dir_all<'b>(&'b self, _: &'b Path) -> LocalFuture<'b, io::Result<()>> {
        read_only()
    }

    fn space<'b>(&'b self, path: &'b Path) -> LocalFuture<'b, io::Result<Space>> {
        self.disk.space(path)
    }
}
