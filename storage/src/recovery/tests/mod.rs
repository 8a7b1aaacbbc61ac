//! What a start refuses, what it heals, and what it says.

mod base;
mod figures;
mod parts;
mod pitr;
mod salvage;

use std::path::Path;

use crate::io::Disk;
use crate::io::sim::SimDisk;
use crate::log::Policy;
use crate::snapshot::Retention;
use crate::snapshot::tests::rig::{Map, World, recover};

use super::RecoveryError;

const PARTS: &str = "/appendonlydir/shard-0";
const LIST: &str = "/appendonlydir/shard-0/moon.aof.manifest";
const GUARD: &str = "/appendonlydir/moon.aof.manifest";
const LOG: &str = "/shard-0/wal-v3";

/// A stopped shard with this many bases listed, and records behind the last of them.
fn stopped(seed: u64, bases: usize) -> (SimDisk, Map) {
    let mut world = World::fresh(seed, Policy::Always);
    world.retention = Retention { bases, window_ms: 0 };
    for _ in 0..bases {
        for _ in 0..10 {
            world.write(4, 700);
        }
        world.snapshot(true).expect("a base");
    }
    for _ in 0..10 {
        world.write(4, 700);
    }
    world.stop()
}

fn remove(disk: &SimDisk, path: &str) {
    disk.runtime().block_on(disk.remove(Path::new(path))).expect("removed");
}

/// Every file with its bytes.
fn content(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    use crate::io::{Access, Caching};
    let rt = disk.runtime();
    let mut all = Vec::new();
    for dir in ["/appendonlydir", PARTS, "/shard-0", LOG] {
        let rows = rt.block_on(disk.list(Path::new(dir))).unwrap_or_default();
        for row in rows.iter().filter(|r| !r.is_dir) {
            let path = Path::new(dir).join(&row.name);
            let file = rt.block_on(disk.open(&path, Access::Read, Caching::Cached)).expect("there");
            let bytes = rt.block_on(file.read_at(0, row.bytes as usize)).expect("readable");
            all.push((path.display().to_string(), bytes));
        }
    }
    all
}

/// The start is refused with this exit code and these words, and has changed nothing.
fn refused(disk: &SimDisk, code: u8, words: &[&str]) -> RecoveryError {
    let before = content(disk);
    let ops = disk.op_count();
    let error = recover(disk).err().unwrap_or_else(|| panic!("it starts, without {words:?}"));
    let text = error.to_string();
    assert_eq!(error.exit_code(), code, "{text}");
    for word in words {
        assert!(text.contains(word), "{text}: {word}");
    }
    let log = disk.op_log();
    let changed = log[ops as usize..].iter().find(|o| o.kind.stops());
    assert!(changed.is_none(), "{changed:?}");
    assert!(content(disk) == before);
    error
}
