//! Data sets that are replayed into a shard: directories of Moon, and what is read to compare one.
//!
//! A directory is read as a start reads it: part list, base, log. So what is carried is what a server would
//! serve.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use moon_engine::command::CommandTable;
use moon_engine::commands::replay_table;
use moon_engine::digest::db_digest;
use moon_engine::exec::{Shard, ShardConfig};
use moon_engine::snapshot::Loader;
use moon_formats::marker::Marker;
use moon_formats::rrdshard::{Item, Joiner, Stored, section};
use moon_formats::wal;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::lock::DirLock;
use moon_storage::marker;
use moon_storage::parts::ShardPaths;
use moon_storage::recovery::{Request, Target, is_in_save, recover_shard, recover_snapshot};
use moon_storage::scan::{Position, VisitError, Visitor};

use crate::facts::{Facts, Measure};
use crate::fail::Failure;
use crate::host::Host;

/// An empty shard.
pub(crate) fn empty(databases: u16) -> Shard {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    let table = TABLE.get_or_init(replay_table);
    Shard::new(table, &ShardConfig { databases, ..ShardConfig::default() })
}

/// What a shard holds.
pub(crate) fn facts(shard: &Shard) -> Facts {
    let mut facts = Facts::new(Measure::Digest);
    let all = shard.for_each_key(|k| {
        facts.key(k.db.into(), k.key, k.expire_ms, k.kind, k.body);
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(()) = all;
    for (number, db) in (0u16..).zip(shard.dbs()) {
        if let Some(of) = facts.databases.get_mut(&number.into()) {
            of.print = db_digest(number, db);
        }
    }
    shard.libraries().for_each(|source| facts.library(source));
    facts
}

/// A directory that nobody else uses.
pub(crate) struct Directory {
    pub(crate) marker: Marker,
    _lock: Option<DirLock>,
}

/// Whether a directory says that it is one of Moon.
pub(crate) async fn is_marked(host: &Host, path: &Path) -> bool {
    !matches!(marker::read(&*host.disk, path).await, Ok(None))
}

/// Takes a data directory of Moon, whose server must have stopped.
pub(crate) async fn open(host: &Host, path: &Path) -> Result<Directory, Failure> {
    let found = marker::read(&*host.disk, path).await;
    let found = found.map_err(|e| Failure::refused(e.to_string()))?;
    let Some(marker) = found else {
        return Err(Failure::refused(format!("{} is no data directory of Moon", path.display())));
    };
    if marker.shards != 1 {
        return Err(Failure::refused(format!(
            "{} has {} shards, and this version has one",
            path.display(),
            marker.shards
        )));
    }
    let lock = host.locked(path)?;
    Ok(Directory { marker, _lock: lock })
}

/// What reads files of the reference, which are on no [`Host`].
pub(crate) fn runtime() -> Result<LocalRuntime, Failure> {
    LocalRuntime::new().map_err(|e| Failure::start(&e))
}

/// Reads the shard of a directory into an empty one.
pub(crate) async fn load(
    host: &Host,
    path: &Path,
    shard: &mut Shard,
    databases: u16,
) -> Result<(), Failure> {
    let mut replay = Replay { loader: Loader::new(shard), databases };
    read(host, path, &mut replay).await
}

/// Reads a directory without keeping it: what is in its base, if there is no log behind it.
pub(crate) async fn survey(host: &Host, path: &Path) -> Result<Facts, Failure> {
    let mut look = Look::default();
    read(host, path, &mut look).await?;
    match look.records {
        0 => Ok(look.facts),
        n => Err(Failure::differs(format!("the log of the target holds {n} later changes"))),
    }
}

async fn read(host: &Host, path: &Path, target: &mut dyn Target) -> Result<(), Failure> {
    let (disk, paths) = (&*host.disk, ShardPaths::new(path, 0));
    let request = Request::new(disk, &paths, 1);
    let read = async {
        if is_in_save(disk, &paths).await? {
            return recover_snapshot(&request, target, &mut |_| {}).await.map(|_| ());
        }
        recover_shard(&request, target, &mut |_| {}).await.map(|_| ())
    };
    read.await.map_err(|e| Failure { code: e.exit_code(), message: e.to_string() })
}

/// Fills a shard.
struct Replay<'a> {
    loader: Loader<'a>,
    databases: u16,
}

impl Target for Replay<'_> {
    fn restart(&mut self) {
        self.loader.restart(empty(self.databases));
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        self.loader.item(item).map_err(Into::into)
    }
}

impl Visitor for Replay<'_> {
    fn record(&mut self, r: &wal::Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        let applied = self.loader.shard().apply_record(r.code, r.flags, r.db, r.payload);
        applied.map_err(|e| format!("record at lsn {} does not apply: {e}", r.lsn))?;
        Ok(ControlFlow::Continue(()))
    }
}

/// Counts and prints what is in a base.
#[derive(Default)]
struct Look {
    facts: Facts,
    joiner: Joiner,
    records: u64,
}

impl Target for Look {
    fn restart(&mut self) {
        *self = Look::default();
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        match item {
            Item::Entry(e) => match &e.value {
                Stored::Body { bytes, .. } => {
                    self.facts.key(e.db.into(), e.key, e.expire_ms, e.kind, bytes);
                }
                Stored::Large(_) => self.joiner.entry(e),
                Stored::Cold(_) => return Err("a cold value".into()),
            },
            Item::Chunk(chunk) => {
                if let Some(j) = self.joiner.chunk(chunk) {
                    self.facts.key(j.db.into(), &j.key, j.expire_ms, j.kind, &j.body);
                }
            }
            Item::Section(s) if s.section == section::FUNCTIONS => {
                let sources = section::read_functions(s.payload, s.offset)?;
                sources.iter().for_each(|source| self.facts.library(source));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Visitor for Look {
    fn record(&mut self, r: &wal::Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        self.records += u64::from(r.code == wal::RecordType::Command.code());
        Ok(ControlFlow::Continue(()))
    }
}
