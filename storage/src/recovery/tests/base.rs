//! Bases and the last BGSAVE: damaged, missing, or not the ones that are listed.

use std::path::Path;

use crate::io::Disk;
use crate::io::sim::{SimDisk, SimRng};
use crate::log::Policy;
use crate::recovery::{Origin, RecoveryError};
use crate::snapshot::Retention;
use crate::snapshot::tests::rig::{World, config, recover, recover_save};

use super::{PARTS, content, refused, remove, stopped};

const SAVE: &str = "/shard-0/shard-0.rrdshard";

fn base(seq: u64) -> String {
    format!("{PARTS}/moon.aof.{seq}.base.rdb")
}

fn size(disk: &SimDisk, path: &str) -> u64 {
    content(disk).iter().find(|f| f.0 == path).expect("there").1.len() as u64
}

#[test]
fn a_missing_base_is_named() {
    let (disk, _) = stopped(1, 1);
    remove(&disk, &base(1));
    refused(&disk, 70, &[&base(1), "moon-inspect rdb verify"]);
}

#[test]
fn a_flipped_bit_anywhere_in_a_base_is_refused() {
    let (disk, history) = stopped(2, 1);
    let path = base(1);
    let bytes = size(&disk, &path);
    let mut rng = SimRng::new(1);
    for i in 0..400 {
        // The head and the trailer densely, the rest sampled.
        let offset = match i {
            0..120 => i,
            120..150 => bytes - 1 - (i - 120),
            _ => rng.below(bytes),
        };
        let bit = 1 << rng.below(8);
        assert!(disk.rot(Path::new(&path), offset, bit));
        match recover(&disk) {
            Err(e) => {
                // A bit that says "newer" is for the operator to judge, not damage.
                assert!([70, 2].contains(&e.exit_code()), "offset {offset}: {e}");
                assert!(matches!(e, RecoveryError::Base(..)), "{e}");
            }
            Ok(_) => panic!("offset {offset} bit {bit}: it starts"),
        }
        assert!(disk.rot(Path::new(&path), offset, bit));
    }
    assert_eq!(recover(&disk).expect("starts").1.map, history);
}

#[test]
fn truncated_and_foreign_bases_are_refused() {
    use crate::io::{Access, Caching};
    for len in [0, 1, 40, 4096, 20_000] {
        let (disk, _) = stopped(3, 1);
        let rt = disk.runtime();
        let path = base(1);
        let file = rt.block_on(disk.open(Path::new(&path), Access::ReadWrite, Caching::Cached));
        let file = file.expect("opens");
        rt.block_on(file.truncate(size(&disk, &path).saturating_sub(1 + len))).expect("cut");
        refused(&disk, 70, &[&path]);
    }
    // A whole base of another rewrite under this name.
    let (disk, _) = stopped(4, 3);
    let rt = disk.runtime();
    rt.block_on(disk.rename(Path::new(&base(2)), Path::new(&base(3)))).expect("renamed");
    rt.block_on(disk.remove(Path::new(&base(1)))).expect("removed");
    refused(&disk, 70, &[&base(3), "the part list says"]);
}

#[test]
fn the_base_before_it_and_the_log_are_as_good() {
    let (disk, history) = stopped(5, 3);
    for damaged in [&[3u64][..], &[3, 2]] {
        let (copy, _) = stopped(5, 3);
        for seq in damaged {
            assert!(copy.rot(Path::new(&base(*seq)), 5000, 1));
        }
        let (found, toy) = recover(&copy).expect("starts from an older base");
        assert_eq!(toy.map, history);
        assert!(found.needs_rewrite);
        assert_eq!(toy.restarts, 1 + damaged.len() as u32, "what was loaded is dropped");
        assert_eq!(found.warnings.len(), 1);
        assert!(found.warnings[0].contains(&base(3)), "{:?}", found.warnings);
        let Origin::Base { base: used, .. } = found.origin else { panic!("a base") };
        assert_eq!(used.seq, 3 - damaged.len() as u64);
        // The next rewrite makes it whole.
        let mut world = World::start(copy, config(Policy::Always), toy.map).expect("opens");
        world.retention = Retention { bases: 1, window_ms: 0 };
        world.snapshot(true).expect("a rewrite");
        let (copy, history) = world.stop();
        let (found, toy) = recover(&copy).expect("starts");
        assert!(!found.needs_rewrite && found.warnings.is_empty());
        assert_eq!(toy.map, history);
    }
    for seq in 1..=3 {
        assert!(disk.rot(Path::new(&base(seq)), 5000, 1));
    }
    refused(&disk, 70, &[&base(3)]);
}

#[test]
fn bases_are_kept_as_long_as_the_window_needs_them() {
    let mut world = World::fresh(6, Policy::Always);
    world.retention = Retention { bases: 1, window_ms: 50_000 };
    let mut listed = Vec::new();
    for _ in 0..6 {
        world.write(5, 100);
        world.disk.runtime().run_for(20_000_000);
        world.snapshot(true).expect("a base");
        listed.push(1 + world.open.parts.list().history.len());
    }
    // Bases 20 s apart: those of the last 50 s, and the one before them.
    assert_eq!(listed, [1, 2, 3, 4, 4, 4]);
    let oldest = world.open.parts.list().history.last().expect("older ones").cut;
    assert_eq!(world.open.parts.list().log_from_lsn, oldest + 1);
    assert_eq!(world.names(PARTS).len(), 5);
}

#[test]
fn a_damaged_save_is_refused_and_none_is_an_empty_shard() {
    let mut world = World::fresh(7, Policy::Always);
    world.write(30, 300);
    assert!(recover_save(&world.disk).expect("nothing to load").is_none());
    let done = world.snapshot(false).expect("saved");
    let (summary, toy) = recover_save(&world.disk).expect("loads").expect("is there");
    assert_eq!((summary.bytes, toy.map.len()), (done.bytes, 30));
    let mut rng = SimRng::new(2);
    for _ in 0..200 {
        let (offset, bit) = (rng.below(done.bytes), 1 << rng.below(8));
        assert!(world.disk.rot(Path::new(SAVE), offset, bit));
        let error = recover_save(&world.disk).map(|_| ()).expect_err("refused");
        assert!(error.to_string().contains(SAVE), "{error}");
        assert!([70, 2].contains(&error.exit_code()), "{error}");
        assert!(world.disk.rot(Path::new(SAVE), offset, bit));
    }
}
