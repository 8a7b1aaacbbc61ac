//! Goal: a crash at every operation of a commit leaves the state before or the one after. Method: tables
//! of many sizes on the simulated disk, power lost everywhere; errors injected everywhere.

use moon_formats::wal::body::FileEntry;

use crate::io::sim::{Fault, FaultKind, Image, SimConfig, SimDisk, SimRng};
use crate::snapshot::tests::rig::paths;

use super::*;

fn row(file_id: u64) -> Row {
    let file = FileEntry {
        file_id,
        file_type: 0x10,
        status: 1,
        tier: 3,
        page_size_log2: 12,
        page_count: 1,
        byte_size: 4096,
        created_lsn: file_id,
        db: 0,
        max_key_hash: 0,
        last_modified_lsn: file_id,
    };
    Row { file, dead_lsn: 0, content_xxh64: 0 }
}

fn fresh(seed: u64) -> (SimDisk, Table) {
    let disk = SimDisk::new(SimConfig::default(), seed);
    let found = disk.runtime().block_on(read(&disk, &paths())).expect("readable");
    assert_eq!(found, Found::Missing);
    let table = Table::new(paths(), found, [3; 16], 1);
    (disk, table)
}

fn moment(n: u64) -> Moment {
    Moment { redo_lsn: n, flushed_lsn: 2 * n }
}

fn read_root(disk: &SimDisk) -> Option<Root> {
    match disk.runtime().block_on(read(disk, &paths())).expect("readable") {
        Found::Missing => None,
        Found::Sound(root, ..) => Some(*root),
        Found::Damaged(what) => panic!("damaged: {what}"),
    }
}

#[test]
fn power_lost_at_every_operation_leaves_one_of_two_states() {
    let (disk, table) = fresh(1);
    let mut states: Vec<(usize, Option<Root>)> = vec![(0, None)];
    // Grows over the inline rows, shrinks, and is written anew on the way.
    for n in 1..=24u64 {
        let begun = disk.moment();
        let files = if n % 5 == 0 { 3 } else { n * 9 };
        let done = table.commit(&disk, moment(n), |rows| *rows = (1..=files).map(row).collect());
        disk.runtime().block_on(done).expect("durable");
        assert_eq!(read_root(&disk), Some(table.root()));
        states.push((begun, Some(table.root())));
    }
    assert_eq!(disk.violations().first(), None);
    let mut rng = SimRng::new(5);
    for stop in 0..disk.stop_count() {
        for image in [Image::None, Image::Subset, Image::ALL[rng.below(8) as usize]] {
            let Some(after) = disk.power_loss_at(stop, image, rng.next_u64()) else { continue };
            let found = read_root(&after);
            let at = states.iter().rposition(|s| s.0 <= stop).expect("the first");
            let before = &states[at.saturating_sub(1)..=at];
            assert!(before.iter().any(|s| s.1 == found), "stop {stop} {image:?}");
            after.runtime().shutdown();
        }
    }
}

#[test]
fn a_commit_that_meets_an_error_is_made_in_a_new_file() {
    for kind in FaultKind::OF_A_COMMIT {
        for op in 0..8 {
            let (disk, table) = fresh(2);
            let rt = disk.runtime();
            let commit = |n: u64| {
                rt.block_on(table.commit(&disk, moment(n), |rows| {
                    *rows = (1..=n * 40).map(row).collect();
                }))
            };
            commit(1).expect("durable");
            disk.inject(Fault::new(kind).at_op(disk.op_count()).on("shard-0").skip(op));
            let mut failed = false;
            for n in 2..6 {
                failed |= commit(n).is_err();
            }
            disk.clear_faults();
            commit(6).expect("durable again");
            let found = read_root(&disk).expect("a table");
            assert_eq!(found, table.root(), "{kind:?} {op} {failed}");
            assert_eq!(disk.violations().first(), None, "{kind:?} {op}");
            let after = disk.power_loss(Image::None, 1);
            assert_eq!(read_root(&after).map(|r| r.files.len()), Some(240));
        }
    }
}

#[test]
fn a_damaged_table_is_told_and_one_of_a_later_moon_refused() {
    let (disk, table) = fresh(3);
    let rt = disk.runtime();
    rt.block_on(table.commit(&disk, moment(1), |_| {})).expect("durable");
    let path = paths().table();
    let file = rt.block_on(disk.open(&path, Access::ReadWrite, Caching::Cached)).expect("open");
    rt.block_on(whole::write_at(&*file, 70, &[9])).expect("written");
    let found = rt.block_on(read(&disk, &paths())).expect("readable");
    assert!(matches!(found, Found::Damaged(_)), "{found:?}");
    let anew = Table::new(paths(), found, [3; 16], 1);
    rt.block_on(anew.commit(&disk, moment(4), |_| {})).expect("durable");
    assert_eq!(read_root(&disk).map(|r| (r.epoch, r.redo_lsn, r.wal_flush_lsn)), Some((1, 4, 8)));
}
