//! Goal: a flipped bit anywhere in a base or a sealed segment is found, nothing sound is, and a file that
//! is freed takes its finding along. Method: a toy shard on the simulated disk.

use crate::io::Runtime;
use crate::io::sim::SimDisk;
use crate::log::Policy;
use crate::snapshot::Retention;
use crate::snapshot::tests::rig::World;

use super::*;

fn world(seed: u64) -> World {
    let mut world = World::fresh(seed, Policy::Always);
    world.retention = Retention { bases: 2, window_ms: 0 };
    for _ in 0..2 {
        for _ in 0..30 {
            world.write(4, 900);
        }
        world.snapshot(true).expect("a base");
    }
    for _ in 0..40 {
        world.write(4, 900);
    }
    world
}

fn scrub(world: &World) -> Scrub {
    let rt = world.disk.runtime().as_dyn();
    let open = world.open.clone();
    let scrub = Scrub::new(world.disk.as_dyn(), rt, open.log, open.parts);
    scrub.set_pace(1 << 30);
    scrub
}

fn pass(disk: &SimDisk, scrub: &Scrub) -> ScrubStatus {
    scrub.begin(Rc::new(|| {}));
    for _ in 0..10_000 {
        if !scrub.status().running {
            return scrub.status();
        }
        disk.runtime().run_for(1000);
    }
    panic!("the pass does not end");
}

fn needed(world: &World) -> Vec<(PathBuf, u64)> {
    let paths = world.open.parts.paths().clone();
    let mut files: Vec<(PathBuf, u64)> =
        world.open.parts.with(|list| bases(list).map(|b| (paths.base(b.seq), b.bytes)).collect());
    let mut sealed = world.open.log.segments();
    sealed.pop();
    assert!(files.len() == 2 && sealed.len() > 1, "{files:?} {sealed:?}");
    files.extend(sealed.iter().map(|s| (paths.log().join(names::wal_segment(s.seq)), 8192)));
    files
}

#[test]
fn what_is_sound_is_read_to_its_end() {
    let world = world(1);
    let scrub = scrub(&world);
    let status = pass(&world.disk, &scrub);
    assert_eq!((status.passes, status.found, status.damaged.len()), (1, 0, 0), "{status:?}");
    let bases: u64 = world.open.parts.with(|list| bases(list).map(|b| b.bytes).sum());
    assert!(status.bytes > bases, "{status:?}");
}

#[test]
fn a_flipped_bit_is_found_and_goes_with_its_file() {
    for (i, (path, bytes)) in needed(&world(2)).into_iter().enumerate() {
        let mut world = world(2);
        let scrub = scrub(&world);
        // A byte of content: the first blocks of a segment hold padding too.
        let at = if bytes == 8192 { 4096 + 100 } else { bytes / 2 };
        assert!(world.disk.rot(&path, at, 4));
        let status = pass(&world.disk, &scrub);
        let damaged: Vec<&PathBuf> = status.damaged.iter().map(|d| &d.0).collect();
        assert_eq!(damaged, [&path], "{i} {status:?}");
        // Two more bases, and nothing of it is listed any more.
        for _ in 0..2 {
            world.write(4, 900);
            world.snapshot(true).expect("a base");
        }
        world.disk.runtime().run_for(10_000);
        let status = pass(&world.disk, &scrub);
        assert_eq!(status.damaged, [], "{path:?}");
        assert_eq!(status.found, 1);
    }
}

#[test]
fn the_pace_is_kept_and_a_stop_ends_a_pass() {
    let world = world(3);
    let scrub = scrub(&world);
    scrub.set_pace(64 << 10);
    let begun = world.disk.runtime().mono_us();
    scrub.begin(Rc::new(|| {}));
    world.disk.runtime().run_for(1_000_000);
    let status = scrub.status();
    let took = world.disk.runtime().mono_us() - begun;
    assert!(status.running && status.bytes <= (128 << 10) + took / 15, "{status:?} in {took}");
    scrub.stop();
    world.disk.runtime().run_for(20_000_000);
    let status = scrub.status();
    assert!(!status.running && status.passes == 0, "{status:?}");
    scrub.begin(Rc::new(|| {}));
    assert!(!scrub.status().running, "nothing begins any more");
}
