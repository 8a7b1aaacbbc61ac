//! Goal: a file holds the shard at the cut, whatever happens while it is written, and writing it changes
//! nothing. Method: two shards run the same commands, one of them is saved meanwhile; what the file loads
//! to must have the digest of the cut, and both shards must answer and end alike.

mod damage;
mod exact;
mod large;
mod mutants;
mod property;

use super::*;
use crate::args::Args;
use crate::clock::Now;
use crate::command::CommandTable;
use crate::commands::GROUPS;
use crate::exec::{Host, Session, ShardConfig};
use moon_formats::rrdshard::{Decoder, VERSION, file_flags};
use std::any::Any;
use std::sync::OnceLock;

struct NoHost;

impl Host for NoHost {
    fn ticks(&self) -> u64 {
        0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

fn table() -> &'static CommandTable {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    TABLE.get_or_init(|| CommandTable::new(GROUPS))
}

const DATABASES: u16 = 4;

fn preamble() -> Preamble {
    Preamble { version: VERSION, shard_id: 0, epoch: 3, last_lsn: 77, created_at_ms: 1_000_000 }
}

fn extension(zstd: bool) -> Extension {
    Extension {
        flags: file_flags::SELF_CONTAINED | if zstd { file_flags::ZSTD } else { 0 },
        features: 0,
        storage_uuid: [7; 16],
        timeline: 1,
        base_seq: 0,
        last_gtid: 0,
        wal_first_seq: 1,
        mono_us: 5,
        shards: 1,
        databases: DATABASES,
        align_log2: 12,
    }
}

/// A shard with one client.
struct One {
    shard: Shard,
    session: Session,
}

impl One {
    fn new() -> One {
        let config = ShardConfig { databases: DATABASES, ..ShardConfig::default() };
        One { shard: Shard::new(table(), &config), session: Session::new(1) }
    }

    fn words(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        self.shard.run(&mut NoHost, &mut self.session, Args::new(words), &mut out);
        out
    }

    fn run(&mut self, line: &str) -> Vec<u8> {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        self.words(&words)
    }

    /// A command that must not fail.
    #[track_caller]
    fn must(&mut self, line: &str) {
        let reply = self.run(line);
        assert!(!reply.starts_with(b"-"), "{line}: {}", reply.escape_ascii());
    }

    fn cut(&mut self) {
        self.shard.begin_snapshot(&preamble(), &extension(false)).expect("no snapshot runs");
    }

    /// Appends to the file; its totals at its end.
    fn fill(&mut self, file: &mut Vec<u8>, budget: usize) -> Option<Totals> {
        match self.shard.fill_snapshot(file, budget) {
            Fill::More => None,
            Fill::End(totals) => Some(totals),
            other => panic!("{other:?}"),
        }
    }

    fn fill_up(&mut self, file: &mut Vec<u8>) -> Totals {
        loop {
            if let Some(totals) = self.fill(file, 10_000) {
                return totals;
            }
        }
    }
}

fn now_at(ms: u64) -> Now {
    Now::new((ms * 1000) as i64, ms * 1000)
}

/// Why a file does not load.
#[derive(Debug)]
enum Bad {
    Bytes(#[expect(dead_code, reason = "for messages")] moon_formats::DecodeError),
    Load(LoadError),
}

fn load_into(shard: &mut Shard, file: &[u8]) -> Result<(), Bad> {
    let mut decoder = Decoder::new();
    let mut loader = Loader::new(shard);
    for piece in file.chunks(50_000) {
        decoder.feed(piece);
        while let Some(item) = decoder.next().map_err(Bad::Bytes)? {
            loader.item(&item).map_err(Bad::Load)?;
        }
    }
    decoder.close();
    while let Some(item) = decoder.next().map_err(Bad::Bytes)? {
        loader.item(&item).map_err(Bad::Load)?;
    }
    loader.finish().map_err(Bad::Load)
}

fn load(file: &[u8]) -> Result<One, Bad> {
    let mut one = One::new();
    load_into(&mut one.shard, file)?;
    check_sums(&one.shard);
    Ok(one)
}

/// What is kept beside the keys agrees with them.
fn check_sums(shard: &Shard) {
    for db in shard.dbs() {
        let objects = || db.table().iter().filter_map(|e| e.object());
        assert_eq!(db.object_bytes, objects().map(|o| o.mem_bytes()).sum::<usize>());
        let expiring = objects().filter(|o| o.next_expire().is_some()).count();
        assert_eq!(db.field_expires(), expiring);
        let ttls = db.table().iter().filter(|e| e.expire_ms().is_some()).count();
        assert_eq!(db.expires(), ttls);
    }
}
