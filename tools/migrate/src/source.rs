//! A source that has been read once: what is in it, and how it goes over.

use std::path::{Path, PathBuf};

use moon_engine::exec::Shard;
use moon_storage::io::lock::DirLock;

use crate::aof;
use crate::cli::{Kind, Place};
use crate::facts::{Facts, Losses};
use crate::fail::Failure;
use crate::host::Host;
use crate::rdb;
use crate::reference;
use crate::whole::{self, Directory};
use crate::write::From;

/// Databases that an append-only file may use: it does not say in advance.
const AOF_DATABASES: u16 = 1024;

/// Where the keys are.
enum Keys {
    /// In a file that can be read again, piece by piece.
    File(PathBuf),
    /// In memory.
    Shard(Box<Shard>),
}

/// See the module page.
pub(crate) struct Source {
    pub(crate) facts: Facts,
    keys: Keys,
    /// Keeps a server from starting in it.
    directory: Option<Directory>,
    /// Keeps a server of the reference from it, where it left something to lock.
    shared: Option<DirLock>,
}

impl Source {
    /// Reads a source, or a target that is to be compared with one.
    pub(crate) async fn open(host: &Host, place: &Place) -> Result<Source, Failure> {
        let path = &place.path;
        match place.kind {
            Kind::Moon if !whole::is_marked(host, path).await && reference::is_one(path) => {
                Source::reference(path)
            }
            Kind::Moon => Source::open_directory(host, path, true).await,
            Kind::RedisRdb => match find_rdb(path) {
                Some(file) => Source::rdb(file),
                None => Err(missing(path, "a dump.rdb")),
            },
            Kind::RedisAof => match aof::find(path)? {
                Some(parts) => Source::aof(&parts),
                None => Err(missing(path, "an append-only file")),
            },
            Kind::Redis => match (find_rdb(path), aof::find(path)?) {
                (Some(file), Some(_)) if file != *path => Err(Failure::refused(format!(
                    "{} has both a dump.rdb and an append-only file: a server with appendonly yes reads \
                     the latter (redis-aof:), another one the former (redis-rdb:)",
                    path.display()
                ))),
                (Some(file), _) if is_rdb(&file)? => Source::rdb(file),
                (_, Some(parts)) => Source::aof(&parts),
                (Some(file), None) => Source::rdb(file),
                (None, None) => Err(missing(path, "a dump.rdb or an append-only file")),
            },
        }
    }

    fn rdb(file: PathBuf) -> Result<Source, Failure> {
        let facts = rdb::survey(&file)?;
        Ok(Source { facts, keys: Keys::File(file), directory: None, shared: None })
    }

    fn aof(parts: &aof::Parts) -> Result<Source, Failure> {
        let mut shard = whole::empty(AOF_DATABASES);
        let mut losses = Losses::new();
        aof::load(parts, &mut shard, &mut losses)?;
        let mut source = Source::of(shard, None);
        source.facts.losses = losses;
        Ok(source)
    }

    /// A directory of the reference server.
    fn reference(path: &Path) -> Result<Source, Failure> {
        let mut shard = whole::empty(AOF_DATABASES);
        let mut losses = Losses::new();
        let (lock, collisions) = reference::load(path, &mut shard, &mut losses)?;
        let mut source = Source::of(shard, None);
        source.facts.losses = losses;
        source.facts.collisions = collisions;
        source.facts.notes.push("a directory of the reference server".into());
        source.shared = lock;
        Ok(source)
    }

    /// A directory of Moon; with `lock` it must be in nobody else's hands, and stays in ours.
    pub(crate) async fn open_directory(
        host: &Host,
        path: &Path,
        lock: bool,
    ) -> Result<Source, Failure> {
        let directory = match lock {
            true => Some(whole::open(host, path).await?),
            false => None,
        };
        let databases = directory.as_ref().map_or(AOF_DATABASES, |d| d.marker.databases);
        let mut shard = whole::empty(databases);
        whole::load(host, path, &mut shard, databases).await?;
        Ok(Source::of(shard, directory))
    }

    fn of(shard: Shard, directory: Option<Directory>) -> Source {
        let facts = whole::facts(&shard);
        Source { facts, keys: Keys::Shard(Box::new(shard)), directory, shared: None }
    }

    /// Loads what was only looked at.
    pub(crate) fn load(&mut self, databases: u16) -> Result<(), Failure> {
        let Keys::File(path) = &self.keys else { return Ok(()) };
        let mut shard = whole::empty(databases);
        aof::load(&aof::Parts::one(path), &mut shard, &mut Losses::new())?;
        let kept = std::mem::take(&mut self.facts);
        *self = Source::of(shard, None);
        self.facts.losses = kept.losses;
        self.facts.collisions = kept.collisions;
        self.facts.notes = kept.notes;
        Ok(())
    }

    /// How many databases a directory of Moon has.
    pub(crate) fn databases(&self) -> Option<u16> {
        self.directory.as_ref().map(|directory| directory.marker.databases)
    }

    /// Whether the lock of the directory is in our hands.
    pub(crate) fn is_locked(&self) -> bool {
        self.directory.is_some() || self.shared.is_some()
    }

    /// The shard, if there is one.
    pub(crate) fn shard(&self) -> Option<&Shard> {
        match &self.keys {
            Keys::File(_) => None,
            Keys::Shard(shard) => Some(shard),
        }
    }

    /// The shard of a source that has one.
    #[cfg(test)]
    pub(crate) fn shard_mut(&mut self) -> &mut Shard {
        match &mut self.keys {
            Keys::File(_) => panic!("a file was only looked at"),
            Keys::Shard(shard) => shard,
        }
    }

    /// The keys on their way into a directory.
    pub(crate) fn stream(&mut self) -> From<'_> {
        match &mut self.keys {
            Keys::File(path) => From::Rdb(path),
            Keys::Shard(shard) => From::Shard(shard),
        }
    }
}

fn missing(path: &Path, what: &str) -> Failure {
    Failure::refused(format!("{}: needs {what}", path.display()))
}

fn find_rdb(path: &Path) -> Option<PathBuf> {
    let file = match path.is_dir() {
        true => path.join("dump.rdb"),
        false => path.to_path_buf(),
    };
    file.is_file().then_some(file)
}

/// Whether a file is an RDB file to its end: an append-only file may begin with one.
fn is_rdb(path: &Path) -> Result<bool, Failure> {
    let mut input = crate::input::Input::open(path)?;
    input.ensure(9)?;
    let head = input.rest();
    Ok((head.starts_with(b"REDIS") || head.starts_with(b"VALKEY"))
        && path.extension().is_none_or(|e| e != "aof"))
}
