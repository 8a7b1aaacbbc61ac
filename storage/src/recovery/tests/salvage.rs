//! Goal: a damaged shard starts with exactly what its plan keeps, nothing is removed, a crash at any
//! step is harmless, and a plan for another state does nothing. Method: a toy shard on the simulated
//! disk, damaged at many places.

use std::path::Path;

use moon_formats::salvage::{Plan, ShardPlan};

use crate::io::sim::{Image, SimDisk, SimRng};
use crate::io::{Access, Caching, Disk};
use crate::log::Policy;
use crate::recovery::salvage::plan;
use crate::recovery::{LSN_GAP, Recovered, RecoveryError, Request, recover_shard};
use crate::scrub::Scrub;
use crate::snapshot::Retention;
use crate::snapshot::tests::rig::{Map, Toy, World, config, paths, recover};

use super::{LIST, LOG, content, remove, stopped};

fn planned(disk: &SimDisk) -> Result<Option<ShardPlan>, RecoveryError> {
    let paths = paths();
    disk.runtime().block_on(plan(&Request::new(disk, &paths, 1)))
}

fn made(disk: &SimDisk) -> Plan {
    let before = content(disk);
    let shard = planned(disk).expect("can be made").expect("damaged");
    assert!(content(disk) == before, "planning changes nothing");
    let plan = Plan { uuid: [0; 16], created_ms: 7, shards: vec![shard] };
    let text = plan.encode();
    assert_eq!(Plan::decode(text.as_bytes()).as_ref(), Ok(&plan), "{text}");
    plan
}

fn with(disk: &SimDisk, plan: &Plan) -> Result<(Recovered, Toy), RecoveryError> {
    let mut toy = Toy::default();
    let paths = paths();
    let req = Request { salvage: Some(plan), ..Request::new(disk, &paths, 1) };
    let found = disk.runtime().block_on(recover_shard(&req, &mut toy, &mut |_| {}));
    found.map(|found| (found, toy))
}

/// Carries a plan out, and lets everything in the background end.
fn salvage(disk: &SimDisk, plan: &Plan) -> Result<(Toy, Vec<String>), RecoveryError> {
    let (found, toy) = with(disk, plan)?;
    let warnings = found.warnings.clone();
    let rt = disk.runtime();
    rt.block_on(found.open(disk.as_dyn(), rt.as_dyn(), config(Policy::Always)))?;
    rt.run_for(100_000);
    rt.shutdown();
    Ok((toy, warnings))
}

fn up_to(history: &Map, lsn: u64) -> Map {
    history.range(..=lsn).map(|(lsn, bytes)| (*lsn, bytes.clone())).collect()
}

fn aside(disk: &SimDisk, plan: &Plan) -> Vec<(String, Vec<u8>)> {
    let rt = disk.runtime();
    let dir = Path::new(LOG).join(format!("salvage-{:08x}", plan.checksum()));
    let rows = rt.block_on(disk.list(&dir)).unwrap_or_default();
    let read = |name: &str, bytes: u64| {
        let path = dir.join(name);
        let file = rt.block_on(disk.open(&path, Access::Read, Caching::Cached)).expect("there");
        let bytes = rt.block_on(file.read_at(0, bytes as usize)).expect("readable");
        (path.display().to_string(), bytes)
    };
    rows.iter().map(|row| read(&row.name, row.bytes)).collect()
}

/// Every byte is where it was, or set aside.
fn assert_all_there(disk: &SimDisk, plan: &Plan, before: &[(String, Vec<u8>)]) {
    let aside = aside(disk, plan);
    let files: Vec<_> = content(disk).into_iter().chain(aside).collect();
    // The file table follows base and log, and nothing reads a temporary file.
    let counts = |f: &&(String, Vec<u8>)| {
        f.0 == LIST || !(f.0.ends_with(".manifest") || f.0.ends_with(".tmp"))
    };
    for (path, bytes) in before.iter().filter(counts) {
        let name = path.rsplit('/').next().expect("a name");
        let names = [format!("/{name}"), format!("/{name}.left")];
        let found =
            files.iter().any(|(p, b)| b == bytes && names.iter().any(|name| p.ends_with(name)));
        assert!(found, "{path} is gone");
    }
    let told =
        files.iter().any(|(p, b)| p.ends_with("/salvage.plan") && *b == plan.encode().as_bytes());
    assert!(told, "the plan is kept");
}

/// What follows a damage: refused, planned, carried out, forgotten flag, flag again, further life.
fn through(disk: SimDisk, history: &Map, what: &str) -> Plan {
    assert_eq!(recover(&disk).map(|_| ()).expect_err(what).exit_code(), 70, "{what}");
    let plan = made(&disk);
    let of = &plan.shards[0];
    let before = content(&disk);
    let kept = up_to(history, of.keep_lsn);
    let last = *history.last_key_value().expect("records").0;
    let lost: u64 = of.lost.iter().map(|l| l.records()).sum();
    let gone = history.range(of.keep_lsn + 1..).count() as u64;
    // What stood in a file that is gone is known only where something else speaks of it.
    assert!(lost >= gone || of.hole.reason.hides_more(), "{what}: {of:?} of {last}");
    assert!(of.timeline.is_some() || gone == 0, "{what}: {of:?}");
    let (toy, warnings) = salvage(&disk, &plan).expect(what);
    assert!(toy.map == kept, "{what}");
    assert!(warnings.iter().any(|w| w.contains("is the last that is kept")), "{warnings:?}");
    assert_all_there(&disk, &plan, &before);
    let (found, toy) = recover(&disk).expect("the flag is forgotten");
    assert!(toy.map == kept, "{what}");
    if of.timeline.is_some() {
        assert!(found.end.next_lsn > last + LSN_GAP, "{what}: {}", found.end.next_lsn);
    }
    let (found, toy) = with(&disk, &plan).expect("the flag is given again");
    assert!(toy.map == kept, "{what}");
    assert!(found.warnings.iter().any(|w| w.contains("not needed any more")), "{what}");
    let mut world = World::start(disk, config(Policy::Always), kept).expect("goes on");
    let scrub = {
        let (rt, open) = (world.disk.runtime().as_dyn(), world.open.clone());
        Scrub::new(world.disk.as_dyn(), rt, open.log, open.parts)
    };
    scrub.set_pace(1 << 30);
    scrub.begin(std::rc::Rc::new(|| {}));
    world.disk.runtime().run_for(3_000_000);
    assert_eq!((scrub.status().passes, scrub.status().damaged), (1, vec![]), "{what}");
    let set_aside = aside(&world.disk, &plan);
    world.write(40, 700);
    world.snapshot(true).expect("a base");
    world.write(9, 700);
    let (disk, history) = world.stop();
    assert!(recover(&disk).expect("starts").1.map == history, "{what}");
    assert!(aside(&disk, &plan) == set_aside, "{what}: what was set aside is no orphan");
    plan
}

/// Removes segments for good.
fn remove_all(disk: &SimDisk, paths: &[(String, Vec<u8>)]) {
    paths.iter().for_each(|s| remove(disk, &s.0));
    disk.runtime().block_on(disk.sync_dir(Path::new(LOG))).expect("synced");
}

fn segments(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    content(disk).into_iter().filter(|f| f.0.ends_with(".wal")).collect()
}

/// Two bases, so that the log has a part before the newest one.
fn damaged(seed: u64, damage: impl Fn(&SimDisk)) -> (SimDisk, Map) {
    let (disk, history) = stopped(seed, 2);
    damage(&disk);
    (disk, history)
}

#[test]
fn a_damaged_byte_anywhere_in_the_log() {
    let mut rng = SimRng::new(1);
    let (mut plans, mut ahead, mut cut) = (0, 0, 0);
    for i in 0..90 {
        let (disk, history) = stopped(1, 2);
        let all = segments(&disk);
        let (path, bytes) = &all[i % all.len()];
        let used = bytes.iter().rposition(|b| *b != 0).expect("records") as u64;
        // The first block and the end densely, the rest sampled.
        let offset = match i / all.len() {
            0 => rng.below(64),
            1 => used - rng.below(40).min(used),
            _ => rng.below(used),
        };
        assert!(disk.rot(Path::new(path), offset, 1 << rng.below(8)));
        match recover(&disk) {
            // Padding, or a tail that was never promised.
            Ok(_) => continue,
            Err(e) if e.exit_code() == 70 => {}
            // A bit that says "newer" is for the operator.
            Err(_) => continue,
        }
        let plan = through(disk, &history, &format!("{path} offset {offset}"));
        plans += 1;
        ahead += usize::from(plan.shards[0].timeline.is_none());
        cut += usize::from(plan.shards[0].cut.is_some());
    }
    assert!(plans > 20 && ahead > 0 && cut > 0, "{plans} {ahead} {cut}");
}

#[test]
fn a_missing_segment_anywhere() {
    let (disk, _) = stopped(2, 2);
    let count = segments(&disk).len();
    for i in 0..count {
        let (disk, history) = damaged(2, |disk| remove_all(disk, &segments(disk)[i..=i]));
        match recover(&disk) {
            // A log that ended earlier looks the same.
            Ok(_) => assert_eq!(i, count - 1, "a missing segment is missed by nobody"),
            Err(_) => drop(through(disk, &history, &format!("segment {i} of {count}"))),
        }
    }
}

#[test]
fn without_any_log_the_base_is_kept() {
    let (disk, history) = damaged(3, |disk| remove_all(disk, &segments(disk)));
    let plan = through(disk, &history, "all segments");
    let of = &plan.shards[0];
    assert_eq!((of.log_from_seq, of.records), (0, 0));
    assert_eq!(of.base.map(|b| b.cut), Some(of.keep_lsn));
    assert!(of.timeline.is_some() && !of.lost.is_empty(), "{of:?}");
}

#[test]
fn a_damaged_base_beside_a_damaged_log() {
    // With the newest base gone, what is kept begins with the one before.
    let (disk, history) = stopped(4, 2);
    let list = content(&disk).into_iter().find(|f| f.0.ends_with("moon.aof.2.base.rdb"));
    assert!(disk.rot(Path::new(&list.expect("there").0), 200, 1));
    let last = segments(&disk).pop().expect("a segment");
    assert!(disk.rot(Path::new(&last.0), 5000, 1));
    let plan = through(disk, &history, "base and log");
    assert_eq!(plan.shards[0].base.map(|b| b.seq), Some(1));
    assert_eq!(plan.shards[0].bases.iter().map(|b| b.seq).collect::<Vec<_>>(), [2]);
    // Without any, there is nothing to begin with.
    let (disk, _) = stopped(4, 1);
    let base = content(&disk).into_iter().find(|f| f.0.ends_with(".base.rdb")).expect("there").0;
    assert!(disk.rot(Path::new(&base), 200, 1));
    let last = segments(&disk).pop().expect("a segment");
    assert!(disk.rot(Path::new(&last.0), 5000, 1));
    let error = planned(&disk).expect_err("nothing");
    assert_eq!(error.exit_code(), 70);
    assert!(error.to_string().contains("nothing can be salvaged"), "{error}");
}

fn two_ways(seed: u64) -> [(SimDisk, Map); 3] {
    // Behind the newest base, before it, and no log at all.
    let behind = damaged(seed, |disk| {
        let last = segments(disk).pop().expect("a segment");
        assert!(disk.rot(Path::new(&last.0), 5000, 1));
    });
    let before = damaged(seed, |disk| assert!(disk.rot(Path::new(&segments(disk)[0].0), 5000, 1)));
    let none = damaged(seed, |disk| remove_all(disk, &segments(disk)));
    [behind, before, none]
}

#[test]
fn a_crash_at_any_operation_leaves_the_damage_or_what_is_kept() {
    for (disk, history) in two_ways(5) {
        let plan = made(&disk);
        let kept = up_to(&history, plan.shards[0].keep_lsn);
        let before = content(&disk);
        disk.set_recording(true);
        let begin = disk.stop_count();
        salvage(&disk, &plan).expect("carried out");
        let (mut old, mut new) = (0, 0);
        for stop in begin..disk.stop_count() {
            for image in Image::ALL {
                let what = format!("stop {stop} {image:?}");
                let after = disk.power_loss_at(stop, image, stop as u64).expect("a stop");
                match recover(&after) {
                    Ok((_, toy)) => {
                        assert!(toy.map == kept, "{what}");
                        new += 1;
                    }
                    Err(e) => {
                        assert_eq!(e.exit_code(), 70, "{what}: {e}");
                        old += 1;
                    }
                }
                // The flag once more ends where it was to end; without it what was begun goes on.
                let is_done = recover(&after).is_ok();
                if !is_done || stop % 2 == 0 {
                    assert!(salvage(&after, &plan).expect(&what).0.map == kept, "{what}");
                    assert_all_there(&after, &plan, &before);
                }
                let mut world =
                    World::start(after, config(Policy::Always), kept.clone()).expect(&what);
                assert!(*world.history.borrow() == kept, "{what}");
                world.write(9, 700);
                if let Some(first) =
                    world.history.borrow().range(plan.shards[0].keep_lsn + 1..).next()
                    && plan.shards[0].timeline.is_some()
                {
                    let highest = *history.last_key_value().expect("records").0;
                    assert!(*first.0 > highest, "{what}: an lsn is used again");
                }
                let (after, history) = world.stop();
                assert!(recover(&after).expect(&what).1.map == history, "{what}");
            }
        }
        assert!(old > 0 && new > 0, "{old} old, {new} new");
        assert_eq!(disk.violations(), []);
    }
}

#[test]
fn a_plan_for_another_state_does_nothing() {
    let refused = |disk: &SimDisk, plan: &Plan, words: &str| {
        let before = content(disk);
        let error = with(disk, plan).map(|_| ()).expect_err(words);
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(content(disk) == before);
    };
    for (disk, _) in two_ways(6) {
        let plan = made(&disk);
        refused(&disk, &Plan { uuid: [1; 16], ..plan.clone() }, "is for the directory");
        let mut other = plan.clone();
        other.shards[0].keep_lsn -= 1;
        refused(&disk, &other, "what can be kept");
        let mut other = plan.clone();
        other.shards[0].list_crc ^= 1;
        refused(&disk, &other, "its part list");
        // A byte that nobody would read.
        if let Some(last) = plan.shards[0].segments.last().or(plan.shards[0].cut.as_ref()) {
            let path = format!("{LOG}/{:012}.wal", last.seq);
            assert!(disk.rot(Path::new(&path), last.bytes - 1, 1));
            refused(&disk, &plan, "segments of the log");
            assert!(disk.rot(Path::new(&path), last.bytes - 1, 1));
        }
        salvage(&disk, &plan).expect("as it was");
    }
    // What is sound is left alone.
    let (disk, _) = two_ways(6).into_iter().next().expect("one");
    let plan = made(&disk);
    let (sound, history) = stopped(6, 2);
    assert_eq!(planned(&sound).expect("readable"), None);
    refused(&sound, &plan, "is not damaged");
    assert!(recover(&sound).expect("starts").1.map == history);
}

#[test]
fn a_killed_server_keeps_what_no_sync_covers() {
    // Nothing is given up where a later base takes the place of what is damaged, the tail included.
    let mut world = World::fresh(7, Policy::EverySec);
    world.retention = Retention { bases: 2, window_ms: 0 };
    for _ in 0..2 {
        for _ in 0..20 {
            world.write(4, 700);
        }
        world.snapshot(true).expect("a base");
    }
    for _ in 0..30 {
        world.write(4, 700);
    }
    let disk = world.disk.power_loss(Image::All, 1);
    let history = world.history.borrow().clone();
    drop(world);
    disk.set_recording(false);
    assert!(disk.rot(Path::new(&segments(&disk)[0].0), 5000, 1));
    let plan = through(disk, &history, "the first segment");
    assert_eq!(plan.shards[0].timeline, None);
    assert_eq!(plan.shards[0].keep_lsn, *history.last_key_value().expect("records").0);
}
