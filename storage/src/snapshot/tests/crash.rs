//! Power is lost at every operation of saves and rewrites.

use crate::io::sim::{Image, SimRng};
use crate::log::Policy;
use crate::mutant::Mutant;
use crate::snapshot::Retention;

use super::rig::{Map, World, config, recover, recover_save};

/// Writes, rewrites twice and saves once while being written to.
fn life(seed: u64, policy: Policy, bases: usize, mutant: Option<Mutant>) -> World {
    let mut world = World::fresh(seed, policy);
    world.retention = Retention { bases, window_ms: 0 };
    world.mutant = mutant;
    for round in 0..3 {
        for _ in 0..12 {
            world.write(4, 900);
        }
        drop(world.snapshot(true));
        world.write(3, 200);
        if round < 2 {
            drop(world.snapshot(false));
        }
    }
    world.write(5, 500);
    world.disk.runtime().run_for(3_000_000);
    world
}

/// What a crash at a stop must leave, or what is wrong.
fn check(world: &World, stop: usize, image: Image, seed: u64, deep: bool) -> Result<(), String> {
    let Some(after) = world.disk.power_loss_at(stop, image, seed) else { return Ok(()) };
    let (found, toy) = recover(&after).map_err(|e| format!("does not start: {e}"))?;
    let history = world.history.borrow();
    let last = found.end.last_lsn;
    let want: Map = history.range(..=last).map(|(l, p)| (*l, p.clone())).collect();
    if toy.map != want {
        return Err(format!("the state is not that of lsn {last}"));
    }
    let acked = world.acked_before(stop);
    if last < acked && world.open.log.policy() == Policy::Always {
        return Err(format!("lsn {acked} was acknowledged, the state ends at {last}"));
    }
    match recover_save(&after).map_err(|e| format!("the snapshot does not load: {e}"))? {
        Some((summary, toy)) => {
            let cut = summary.head.preamble.last_lsn;
            let want: Map = history.range(..=cut).map(|(l, p)| (*l, p.clone())).collect();
            if toy.map != want {
                return Err(format!("the snapshot is not that of lsn {cut}"));
            }
            let done = world.saves.iter().filter(|s| s.0 <= stop).map(|s| s.1).max();
            if done.is_some_and(|done| cut < done) {
                return Err(format!("a snapshot at {cut} came back, {done:?} was done"));
            }
        }
        None if world.saves.iter().any(|s| s.0 <= stop) => return Err("no snapshot".into()),
        None => {}
    }
    if !deep {
        after.runtime().shutdown();
        return Ok(());
    }
    // It goes on, rewrites, and starts again with the same state and no leftovers.
    let policy = world.open.log.policy();
    let mut next = World::start(after.clone(), config(policy), history.clone())
        .map_err(|e| format!("does not open: {e}"))?;
    next.write(3, 100);
    next.snapshot(true).map_err(|e| format!("no rewrite after a start: {e}"))?;
    next.write(3, 100);
    after.runtime().block_on(next.open.log.sync()).map_err(|e| format!("no sync: {e}"))?;
    after.runtime().run_for(100_000);
    let bases = next.names("/appendonlydir/shard-0");
    if bases.len() != 2 {
        return Err(format!("files after a start and a rewrite: {bases:?}"));
    }
    if let Some(v) = after.violations().first() {
        return Err(format!("manners after a start: {v:?}"));
    }
    let again = after.power_loss(Image::None, seed);
    let (_, toy) = recover(&again).map_err(|e| format!("does not start again: {e}"))?;
    if toy.map != *next.history.borrow() {
        return Err("the next start has another state".into());
    }
    again.runtime().shutdown();
    Ok(())
}

/// Every stop with some images; the first broken promise.
fn sweep(world: &World, every: usize) -> Option<String> {
    if let Some(v) = world.disk.violations().first() {
        return Some(format!("manners: {v:?}"));
    }
    let mut rng = SimRng::new(7);
    for stop in (0..world.disk.stop_count()).step_by(every) {
        let third = Image::ALL[rng.below(8) as usize];
        for image in [Image::None, Image::Subset, third] {
            let seed = rng.next_u64();
            if let Err(e) = check(world, stop, image, seed, rng.below(16) == 0) {
                return Some(format!("stop {stop} {image:?}: {e}"));
            }
        }
    }
    None
}

#[test]
fn a_base_and_its_log_are_whole_at_every_stop() {
    for (seed, policy, bases) in [
        (1, Policy::Always, 1),
        (2, Policy::EverySec, 2),
        (3, Policy::No, 3),
        (4, Policy::Always, 2),
    ] {
        let world = life(seed, policy, bases, None);
        assert_eq!(world.open.parts.list().history.len(), bases - 1);
        assert_eq!(sweep(&world, 1), None, "{policy:?}");
    }
}

#[test]
fn all_images_of_a_commit() {
    let world = life(5, Policy::Always, 1, None);
    let ops = world.disk.op_log();
    let mut rng = SimRng::new(3);
    let near: Vec<u64> = (0..ops.len() as u64)
        .filter(|i| ops[*i as usize].path.to_string_lossy().contains("appendonlydir"))
        .collect();
    assert!(near.len() > 30);
    for stop in 0..world.disk.stop_count() {
        let point = world.disk.stop(stop).expect("a stop");
        if !near.contains(&point.op) {
            continue;
        }
        for image in Image::ALL {
            let seed = rng.next_u64();
            let checked = check(&world, stop, image, seed, false);
            assert_eq!(checked, Ok(()), "stop {stop} {image:?} {:?}", ops[point.op as usize]);
        }
    }
}

#[test]
fn a_crash_during_a_start_changes_nothing() {
    let world = life(6, Policy::EverySec, 2, None);
    let stops = world.disk.stop_count();
    let mut rng = SimRng::new(9);
    for stop in (0..stops).step_by(23) {
        let crashed = world.disk.power_loss_at(stop, Image::Subset, 1).expect("a stop");
        let (first, toy) = recover(&crashed).expect("starts");
        let cfg = config(Policy::EverySec);
        let history = world.history.borrow().clone();
        let next = World::start(crashed.clone(), cfg, history).expect("opens");
        crashed.runtime().run_for(10_000);
        for again in 0..crashed.stop_count() {
            let image = Image::ALL[rng.below(8) as usize];
            let twice = crashed.power_loss_at(again, image, rng.next_u64()).expect("a stop");
            let (second, again) = recover(&twice).expect("starts again");
            assert_eq!(again.map, toy.map, "power lost at {again:?} of a start");
            assert_eq!(second.end.last_lsn, first.end.last_lsn);
            twice.runtime().shutdown();
        }
        drop(next);
    }
}

#[test]
fn the_checks_notice_every_bug() {
    for mutant in Mutant::SNAPSHOT {
        let found = (10..16).find_map(|seed| {
            let policy = if seed % 2 == 0 { Policy::EverySec } else { Policy::Always };
            sweep(&life(seed, policy, 1, Some(mutant)), 1)
        });
        assert!(found.is_some(), "{mutant:?} survived");
    }
}
