//! Errors of the device during saves, rewrites and starts: the job fails cleanly, the old state
//! is intact, and the next attempt succeeds.

use crate::io::sim::{Fault, FaultKind, Image};
use crate::log::Policy;
use crate::snapshot::Retention;

use super::rig::{World, config, recover, recover_save};

/// A world with a base, a save and some records behind them.
fn ready(seed: u64) -> World {
    let mut world = World::fresh(seed, Policy::Always);
    world.retention = Retention { bases: 2, window_ms: 0 };
    for _ in 0..10 {
        world.write(4, 800);
    }
    world.snapshot(true).expect("a first base");
    world.snapshot(false).expect("a first save");
    for _ in 0..10 {
        world.write(4, 800);
    }
    world
}

/// One error at the `nth` operation that it can strike in `place`; true if it struck.
fn strike(kind: FaultKind, place: &str, nth: u64, rewrite: bool) -> bool {
    let mut world = ready(nth + 1);
    let list = world.open.parts.list();
    let fault = Fault::new(kind).at_op(world.disk.op_count()).on(place).skip(nth);
    world.disk.inject(fault);
    let result = world.snapshot(rewrite);
    let struck = !world.disk.struck().is_empty();
    world.disk.clear_faults();
    let at = format!("{kind:?} {place} {nth}");
    if result.is_err() {
        assert_eq!(world.open.parts.list(), list, "{at}: the old list is in force");
    }
    // Whatever happened: power lost now, everything acknowledged is there.
    for (i, image) in Image::ALL.into_iter().enumerate() {
        let after = world.disk.power_loss(image, i as u64);
        let (found, toy) = recover(&after).unwrap_or_else(|e| panic!("{at} {image:?}: {e}"));
        let acked = world.acked_before(usize::MAX);
        assert!(found.end.last_lsn >= acked, "{at} {image:?}");
        let history = world.history.borrow();
        let want = history.range(..=found.end.last_lsn).map(|(l, p)| (*l, p.clone())).collect();
        assert_eq!(toy.map, want, "{at} {image:?}");
        assert!(recover_save(&after).expect("loads").is_some(), "{at} {image:?}");
        after.runtime().shutdown();
    }
    // And the next attempt is whole, with no leftovers.
    let second = world.snapshot(rewrite);
    assert!(second.is_ok(), "{at}: {second:?}");
    let names = world.names("/appendonlydir/shard-0");
    let bases = 1 + world.open.parts.list().history.len();
    assert_eq!(names.len(), 1 + bases, "{at}: {names:?}");
    let names = world.names("/shard-0");
    assert_eq!(names, ["shard-0.manifest", "shard-0.rrdshard", "wal-v3"], "{at}");
    assert_eq!(world.disk.violations(), [], "{at}");
    let history = world.history.borrow().clone();
    let disk = world.disk.power_loss(Image::None, 1);
    world.close();
    World::start(disk, config(Policy::Always), history).expect("starts");
    struck
}

fn strike_all(place: &str, rewrite: bool, least: u64) {
    let mut struck = 0;
    for kind in FaultKind::OF_A_COMMIT.into_iter().chain([FaultKind::ReadEio]) {
        let mut nth = 0;
        while strike(kind, place, nth, rewrite) {
            struck += 1;
            nth += 1;
            assert!(nth < 60, "{kind:?}");
        }
    }
    assert!(struck >= least, "{struck} errors struck");
}

#[test]
fn an_error_during_a_save_costs_the_save_only() {
    strike_all("rrdshard", false, 6);
    strike_all("/shard-0", false, 8);
}

#[test]
fn an_error_in_the_base_costs_the_rewrite_only() {
    strike_all("base.rdb", true, 6);
}

#[test]
fn an_error_in_the_commit_leaves_two_complete_states() {
    strike_all("appendonlydir", true, 15);
}

#[test]
fn a_rewrite_waits_until_a_degraded_log_has_healed() {
    let mut world = ready(40);
    let fault = Fault::new(FaultKind::SyncEioOnce).at_op(world.disk.op_count()).on(".wal");
    world.disk.inject(fault);
    world.write(3, 400);
    let done = world.snapshot(true).expect("committed after healing");
    assert!(world.open.log.status().log_heals >= 1);
    assert!(world.open.log.durable_lsn() >= done.cut);
    assert_eq!(world.disk.violations(), []);
}

#[test]
fn no_room_for_a_snapshot_is_told_and_later_there_is() {
    for rewrite in [false, true] {
        let mut world = ready(50);
        let fault = Fault::new(FaultKind::EnospcThenFree { after_us: 3_000_000 });
        world.disk.inject(fault.at_op(world.disk.op_count()).on(if rewrite {
            "base.rdb"
        } else {
            "rrdshard"
        }));
        let told = world.snapshot(rewrite).expect_err("no room").to_string();
        assert!(told.contains("room"), "{told}");
        world.disk.runtime().run_for(20_000_000);
        world.write(2, 100);
        world.snapshot(rewrite).expect("room again");
    }
}
