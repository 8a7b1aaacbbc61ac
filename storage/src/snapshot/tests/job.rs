//! Turns, buffers, pace, cancellation.

use std::path::Path;

use crate::io::{Disk, Runtime};
use crate::log::Policy;
use crate::snapshot::{BUFFER_BYTES, Fill, Pace, SnapshotError, Source, State};

use super::rig::{World, recover, recover_save};

/// A world with a few megabytes.
fn large(seed: u64) -> World {
    let mut world = World::fresh(seed, Policy::No);
    for _ in 0..90 {
        world.write(2, 15_000);
    }
    world
}

#[test]
fn a_large_save_needs_two_buffers_and_comes_back() {
    let mut world = large(1);
    let (mut job, mut source) = world.begin(false);
    let cut = job.cut();
    let done = world.finish(&mut job, &mut source, 100).expect("saved");
    assert!(done.bytes > 2 * BUFFER_BYTES as u64 && done.entries == cut, "{done:?}");
    let most = BUFFER_BYTES + Pace::default().turn_bytes;
    assert!(source.largest <= most, "{} bytes in a buffer", source.largest);
    let (summary, toy) = recover_save(&world.disk).expect("loads").expect("is there");
    assert_eq!((summary.bytes, summary.crc, summary.entries), (done.bytes, done.crc, cut));
    assert_eq!(toy.map.len() as u64, cut, "writes behind the cut are not in it");
    assert_eq!(world.disk.violations(), []);
}

#[test]
fn a_slow_device_stops_the_walk_not_the_shard() {
    let world = large(2);
    let (mut job, mut source) = world.begin(false);
    // Nothing is written while no time passes: the source is asked for two buffers at most.
    let mut filled = 0;
    while let State::Working { bytes } = job.turn(&mut source) {
        filled += bytes;
    }
    assert!(!job.wants_turn());
    assert!(filled <= 2 * BUFFER_BYTES + (256 << 10), "{filled} bytes ahead of the device");
    assert!(matches!(job.turn(&mut source), State::WaitingForDisk));
    job.cancel(&mut source);
    world.disk.runtime().run_for(100_000);
    assert!(matches!(job.turn(&mut source), State::Done(Err(SnapshotError::Cancelled))));
}

#[test]
fn the_pace_is_kept_unless_too_much_is_pending() {
    let mut world = large(3);
    world.pace = Pace { turn_bytes: 64 << 10, bytes_per_sec: 1 << 20 };
    let started = world.disk.runtime().mono_us();
    let (mut job, mut source) = world.begin(false);
    let done = world.finish(&mut job, &mut source, 0).expect("saved");
    let took = world.disk.runtime().mono_us() - started;
    let least = done.bytes * 1_000_000 / (1 << 20) - 100_000;
    assert!(took >= least, "{} bytes in {took} us", done.bytes);

    let started = world.disk.runtime().mono_us();
    let (mut job, mut source) = world.begin(false);
    source.pending = 16 << 20;
    world.finish(&mut job, &mut source, 0).expect("saved");
    let took = world.disk.runtime().mono_us() - started;
    assert!(took < 500_000, "what is captured is written at once: {took} us");
}

#[test]
fn cancelled_at_any_turn_nothing_is_left() {
    for rewrite in [false, true] {
        let mut world = large(4);
        world.snapshot(rewrite).expect("the first one");
        let before = world.open.parts.list();
        let mut cancelled = 0;
        for turns in 0.. {
            let (mut job, mut source) = world.begin(rewrite);
            let mut over = None;
            for _ in 0..turns * 3 {
                if let State::Done(result) = job.turn(&mut source) {
                    over = Some(result);
                    break;
                }
                world.disk.runtime().run_for(15);
            }
            if let Some(result) = over {
                result.expect("not cancelled in time");
                break;
            }
            job.cancel(&mut source);
            match world.finish(&mut job, &mut source, 0) {
                Err(SnapshotError::Cancelled) => {
                    cancelled += 1;
                    assert_eq!(world.open.parts.list(), before);
                    let dir = if rewrite { "/appendonlydir/shard-0" } else { "/shard-0" };
                    let names = world.names(dir);
                    assert_eq!(names.len(), if rewrite { 2 } else { 3 }, "{names:?}");
                }
                // The commit was under way.
                Ok(_) => break,
                Err(e) => panic!("{e}"),
            }
        }
        assert!(cancelled > 10, "{cancelled}");
        recover(&world.disk).expect("starts");
        assert_eq!(world.disk.violations(), []);
    }
}

/// Ends with a checksum that is not the file's, or loses the snapshot.
struct Liar {
    lost: bool,
    aborts: u32,
}

impl Source for Liar {
    fn fill(&mut self, out: &mut Vec<u8>, _: usize) -> Fill {
        out.extend_from_slice(&[0; 5000]);
        match self.lost {
            true => Fill::Lost("reloaded".into()),
            false => Fill::End { entries: 1, crc: 7 },
        }
    }

    fn pending(&self) -> usize {
        0
    }

    fn abort(&mut self) {
        self.aborts += 1;
    }
}

#[test]
fn a_source_that_ends_wrongly_is_refused() {
    for lost in [false, true] {
        let world = World::fresh(5, Policy::No);
        let (mut job, _) = world.begin(false);
        let mut liar = Liar { lost, aborts: 0 };
        let result = loop {
            match job.turn(&mut liar) {
                State::Done(result) => break result,
                _ => world.disk.runtime().run_for(100),
            }
        };
        assert!(matches!(result, Err(SnapshotError::Source(_))), "{result:?}");
        assert_eq!(liar.aborts, u32::from(!lost), "one that has forgotten is not told again");
        assert_eq!(world.names("/shard-0"), ["shard-0.manifest", "wal-v3"]);
    }
}

#[test]
fn a_save_next_to_a_rewrite() {
    let mut world = large(6);
    let (mut rewrite, mut a) = world.begin(true);
    let (mut save, mut b) = world.begin(false);
    let mut left = 2;
    while left > 0 {
        for done in [rewrite.turn(&mut a), save.turn(&mut b)] {
            if let State::Done(result) = done {
                result.expect("both succeed");
                left -= 1;
            }
        }
        world.write(1, 50);
    }
    let size = world.disk.runtime().block_on(world.disk.list(Path::new("/appendonlydir/shard-0")));
    assert_eq!(size.expect("listed").len(), 2);
    assert_eq!(world.disk.violations(), []);
}
