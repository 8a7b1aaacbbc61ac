//! What a directory or a chain holds, replayed through the engine, and what it should be at certain LSNs.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use moon_engine::command::CommandTable;
use moon_engine::exec::{Shard, ShardConfig};
use moon_engine::snapshot::Loader;
use moon_formats::rrdshard::Item;
use moon_formats::wal::Record;
use moon_storage::recovery::{Nothing, Target};
use moon_storage::scan::{Position, VisitError, Visitor};

/// What a shard should be at an LSN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) lsn: u64,
    pub(crate) digest: u128,
    /// The set that says so.
    pub(crate) set: String,
}

/// An empty shard.
pub(crate) fn empty(databases: u16) -> Shard {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    let table = TABLE.get_or_init(moon_engine::commands::replay_table);
    Shard::new(table, &ShardConfig { databases, ..ShardConfig::default() })
}

/// Fills a shard and compares it with marks on the way.
pub(crate) struct Replay<'a> {
    loader: Loader<'a>,
    databases: u16,
    /// In order of their LSNs.
    marks: &'a [Mark],
    next: usize,
    /// Marks that were compared, and those that did not fit.
    pub(crate) compared: usize,
    pub(crate) wrong: Vec<Mark>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(shard: &'a mut Shard, databases: u16, marks: &'a [Mark]) -> Replay<'a> {
        let loader = Loader::new(shard);
        Replay { loader, databases, marks, next: 0, compared: 0, wrong: Vec::new() }
    }

    /// Compares with the marks below `lsn`.
    fn pass(&mut self, lsn: u64) {
        while let Some(mark) = self.marks.get(self.next).filter(|mark| mark.lsn < lsn) {
            self.next += 1;
            self.compared += 1;
            if self.loader.shard().digest() != mark.digest {
                self.wrong.push(mark.clone());
            }
        }
    }

    /// The last record was at `lsn`: compares with what is left, and gives the digest.
    pub(crate) fn end(&mut self, lsn: u64) -> u128 {
        self.pass(lsn.saturating_add(1));
        self.loader.shard().digest()
    }

    /// Keys of all databases.
    pub(crate) fn keys(&mut self) -> u64 {
        self.loader.shard().dbs().iter().map(|db| db.len() as u64).sum()
    }
}

impl Target for Replay<'_> {
    fn restart(&mut self) {
        self.loader.restart(empty(self.databases));
    }

    fn sections(&self) -> Vec<(u16, u16)> {
        self.loader.sections()
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        self.loader.item(item).map_err(|e| e.to_string().into())
    }
}

impl Visitor for Replay<'_> {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        self.pass(r.lsn);
        let applied = self.loader.shard().apply_record(r.code, r.flags, r.db, r.payload);
        applied.map_err(|e| format!("record at lsn {} does not apply: {e}", r.lsn))?;
        Ok(ControlFlow::Continue(()))
    }
}

/// Reads everything, which checks it, and keeps nothing.
pub(crate) fn only_read() -> Nothing {
    Nothing::knowing(Loader::new(&mut empty(1)).sections())
}
