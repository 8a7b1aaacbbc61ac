//! A shard read up to a point in its past, and one that goes on from there.

use std::ops::ControlFlow;
use std::path::Path;

use moon_formats::wal::RecordType;
use moon_formats::wal::body::{Payload, RestorePoint};

use crate::io::sim::{Image, SimDisk};
use crate::io::{Access, Caching, DirEntry, Disk, Runtime};
use crate::log::{Policy, ReadError, Shown, Visitor};
use crate::parts::read_list;
use crate::recovery::target::{Resolved, resolve};
use crate::recovery::{
    LSN_GAP, Point, PointTarget, Recovered, RecoveryError, Request, TargetError, TimePolicy,
    recover_shard, settle,
};
use crate::snapshot::Retention;
use crate::snapshot::tests::rig::{Map, Toy, World, config, paths, recover};

use super::{content, stopped};

const ASIDE: &str = "/shard-0/wal-v3/timeline-1";

/// LSNs of commands.
#[derive(Default)]
struct Commands(Vec<u64>);

impl Visitor for Commands {
    fn show(&mut self, shown: &Shown<'_>) -> ControlFlow<()> {
        if shown.record.code == RecordType::Command.code() {
            self.0.push(shown.record.lsn);
        }
        ControlFlow::Continue(())
    }
}

fn at(disk: &SimDisk, lsn: u64, fork: bool) -> Result<(Recovered, Toy), RecoveryError> {
    let mut toy = Toy::default();
    let paths = paths();
    let req = Request { point: Some(Point { lsn, fork }), ..Request::new(disk, &paths, 1) };
    let found = disk.runtime().block_on(recover_shard(&req, &mut toy, &mut |_| {}));
    found.map(|found| (found, toy))
}

fn find(disk: &SimDisk, target: &PointTarget) -> Result<Resolved, RecoveryError> {
    let paths = paths();
    let req = Request::new(disk, &paths, 1);
    disk.runtime().block_on(resolve(&req, target, TimePolicy::Refuse))
}

fn find_by(disk: &SimDisk, us: i64, policy: TimePolicy) -> Result<u64, RecoveryError> {
    let paths = paths();
    let req = Request::new(disk, &paths, 1);
    let found = disk.runtime().block_on(resolve(&req, &PointTarget::Time(us), policy));
    found.map(|found| found.lsn)
}

fn up_to(history: &Map, lsn: u64) -> Map {
    history.range(..=lsn).map(|(lsn, bytes)| (*lsn, bytes.clone())).collect()
}

/// Recovers to `lsn`, opens, and lets everything in the background end.
fn fork(disk: &SimDisk, lsn: u64) -> Result<Toy, RecoveryError> {
    let (found, toy) = at(disk, lsn, true)?;
    let rt = disk.runtime();
    rt.block_on(found.open(disk.as_dyn(), rt.as_dyn(), config(Policy::Always)))?;
    rt.run_for(100_000);
    rt.shutdown();
    Ok(toy)
}

fn oldest(disk: &SimDisk) -> u64 {
    let list = disk.runtime().block_on(read_list(disk, &paths())).expect("readable");
    let list = list.expect("there");
    list.history.last().or(list.base.as_ref()).map_or(0, |b| b.cut)
}

fn newest(history: &Map) -> u64 {
    *history.last_key_value().expect("records").0
}

#[test]
fn every_lsn_from_the_oldest_base_on_can_be_looked_at() {
    let (disk, history) = stopped(1, 3);
    let before = content(&disk);
    let last = newest(&history);
    for lsn in oldest(&disk)..=last {
        let (found, toy) = at(&disk, lsn, false).expect("reachable");
        assert_eq!(toy.map, up_to(&history, lsn), "lsn {lsn}");
        let target = find(&disk, &PointTarget::Lsn(lsn)).expect("reachable");
        assert_eq!(target.lsn, lsn);
        assert_eq!(target.base.map_or(0, |b| b.cut), found.end.redo_lsn);
    }
    let (found, _) = at(&disk, last, false).expect("reachable");
    let rt = disk.runtime();
    let opened = rt.block_on(found.open(disk.as_dyn(), rt.as_dyn(), config(Policy::Always)));
    assert!(matches!(opened, Err(RecoveryError::Target(TargetError::Inspected))));
    assert!(content(&disk) == before, "looking changes nothing");
    for lsn in [oldest(&disk) - 1, last + 1] {
        let error = find(&disk, &PointTarget::Lsn(lsn)).expect_err("no such");
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains(&format!("reachable is lsn {} (", oldest(&disk))), "{text}");
        assert!(text.contains(&format!("to lsn {last} (")), "{text}");
        assert_eq!(at(&disk, lsn, true).map(|_| ()).expect_err("no such").exit_code(), 2);
    }
}

fn aside(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let rt = disk.runtime();
    let rows = rt.block_on(disk.list(Path::new(ASIDE))).unwrap_or_default();
    let read = |row: &DirEntry| {
        let path = Path::new(ASIDE).join(&row.name);
        let file = rt.block_on(disk.open(&path, Access::Read, Caching::Cached)).expect("there");
        let bytes = rt.block_on(file.read_at(0, row.bytes as usize)).expect("readable");
        (path.display().to_string(), bytes)
    };
    rows.iter().map(read).collect()
}

#[test]
fn a_fork_goes_on_by_itself_and_nothing_of_what_was_left_is_lost() {
    let (disk, history) = stopped(2, 3);
    let (first, last) = (oldest(&disk), newest(&history));
    for lsn in [first, first + 1, first + 33, last - 1, last] {
        let (disk, history) = stopped(2, 3);
        let before = content(&disk);
        let kept = fork(&disk, lsn).expect("forks").map;
        assert_eq!(kept, up_to(&history, lsn));
        let mut files = content(&disk);
        files.extend(aside(&disk));
        // The file table follows base and log.
        for (path, bytes) in before.iter().filter(|f| !f.0.ends_with(".manifest")) {
            let name = path.rsplit('/').next().expect("a name");
            let names = [format!("/{name}"), format!("/{name}.left")];
            let found =
                files.iter().any(|(p, b)| b == bytes && names.iter().any(|name| p.ends_with(name)));
            assert!(found, "lsn {lsn}: {path} is gone");
        }
        // The flag is forgotten, and given again: both continue.
        for flag in [None, Some(lsn)] {
            let (found, toy) = match flag {
                None => recover(&disk).expect("starts"),
                Some(lsn) => at(&disk, lsn, true).expect("starts"),
            };
            assert_eq!((toy.map, found.end.epoch), (kept.clone(), 2), "lsn {lsn}");
            assert!(found.end.next_lsn > last + LSN_GAP);
            assert_eq!(found.warnings.len(), usize::from(flag.is_some()));
        }
        let set_aside = aside(&disk);
        let mut world = World::start(disk, config(Policy::Always), kept).expect("goes on");
        world.write(40, 700);
        let rt = world.disk.runtime();
        let ask = |from: u64| {
            let mut seen = Vec::new();
            let mut reader = world.open.log.reader(from);
            loop {
                let (found, more) = rt.block_on(reader.read(1 << 20, Commands::default()));
                seen.extend(found.0);
                match more {
                    Ok(true) => {}
                    Ok(false) => return Ok(seen),
                    Err(e) => return Err(e),
                }
            }
        };
        let now: Vec<u64> = world.history.borrow().keys().copied().collect();
        let held: Vec<u64> =
            now.iter().copied().filter(|l| *l >= world.open.log.oldest_lsn()).collect();
        assert_eq!(ask(0).expect("readable"), held, "void records are not shown");
        let new: Vec<u64> = now.iter().copied().filter(|l| *l > lsn).collect();
        assert_eq!(ask(lsn + 1).expect("saw what both share"), new);
        for left in [lsn + 2, last + 2] {
            let told = ask(left);
            let is_refused =
                matches!(told, Err(ReadError::Left { epoch: 2, forked_at }) if forked_at == lsn);
            assert!(is_refused, "lsn {lsn}, asked for {left}: {told:?}");
        }
        world.retention = Retention { bases: 9, window_ms: 0 };
        world.snapshot(true).expect("a base of the new timeline");
        world.write(40, 700);
        let (disk, history) = world.stop();
        assert_eq!(recover(&disk).expect("starts").1.map, history);
        assert!(aside(&disk) == set_aside, "what was set aside is no orphan");
        // And back once more, over the border between the timelines.
        let (_, toy) = at(&disk, lsn, false).expect("reachable");
        assert_eq!(toy.map, up_to(&history, lsn));
        let again = newest(&history) - 20;
        fork(&disk, again).expect("forks again");
        let (found, toy) = recover(&disk).expect("starts");
        assert_eq!((toy.map, found.end.epoch), (up_to(&history, again), 3));
    }
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_timeline_or_the_new_one() {
    let (disk, history) = stopped(3, 2);
    let lsn = oldest(&disk) + 21;
    let kept = up_to(&history, lsn);
    disk.set_recording(true);
    let begin = disk.stop_count();
    fork(&disk, lsn).expect("forks");
    let (mut old, mut new) = (0, 0);
    for stop in begin..disk.stop_count() {
        for image in Image::ALL {
            let after = disk.power_loss_at(stop, image, stop as u64).expect("a stop");
            let (_, toy) = recover(&after).expect("starts");
            let is_new = toy.map == kept;
            assert!(is_new || toy.map == history, "stop {stop} {image:?}: neither of the two");
            match is_new {
                true => new += 1,
                false => old += 1,
            }
            // The target once more ends where it was to end; without it a start is no return.
            let again = stop % 2 == 0;
            if again {
                assert_eq!(fork(&after, lsn).expect("forks").map, kept, "stop {stop} {image:?}");
            }
            let expected = if is_new || again { &kept } else { &history };
            let mut world =
                World::start(after, config(Policy::Always), expected.clone()).expect("goes on");
            assert_eq!(&*world.history.borrow(), expected, "stop {stop} {image:?}");
            world.write(9, 700);
            let (after, history) = world.stop();
            assert_eq!(recover(&after).expect("starts").1.map, history, "stop {stop} {image:?}");
        }
    }
    assert!(old > 0 && new > 0, "{old} old, {new} new");
    assert_eq!(disk.violations(), []);
}

#[test]
fn damage_behind_the_target_does_not_matter() {
    let (disk, history) = stopped(4, 1);
    let lsn = oldest(&disk) + 3;
    let last = content(&disk).into_iter().map(|f| f.0).rfind(|p| p.ends_with(".wal"));
    assert!(disk.rot(Path::new(&last.expect("a segment")), 20, 1));
    assert_eq!(recover(&disk).map(|_| ()).expect_err("damaged").exit_code(), 70);
    assert_eq!(find(&disk, &PointTarget::Lsn(lsn)).expect("before it").lsn, lsn);
    assert_eq!(fork(&disk, lsn).expect("forks").map, up_to(&history, lsn));
    assert_eq!(recover(&disk).expect("starts").1.map, up_to(&history, lsn));
}

#[test]
fn a_time_is_that_of_the_last_batch_before_it() {
    let mut world = World::fresh(5, Policy::Always);
    let mut times = Vec::new();
    for _ in 0..30 {
        world.write(2, 300);
        world.disk.runtime().run_for(50_000);
        // The next batch may be written at this very microsecond.
        times.push((world.disk.runtime().wall_us() - 1, world.open.log.last_lsn()));
    }
    let (disk, history) = world.stop();
    for (us, lsn) in &times {
        let found = find(&disk, &PointTarget::Time(*us)).expect("reachable");
        assert_eq!(found.lsn, *lsn);
        assert!(found.wall_us.is_some_and(|wall| wall <= *us));
        assert_eq!(at(&disk, found.lsn, false).expect("reads").1.map, up_to(&history, *lsn));
    }
    let early = find(&disk, &PointTarget::Time(times[0].0 - 100_000_000));
    assert!(early.expect_err("before everything").to_string().contains("reachable is lsn 0"));
}

#[test]
fn what_no_sync_covers_is_made_durable_before_a_fork() {
    let mut world = World::fresh(6, Policy::EverySec);
    world.write(30, 500);
    let disk = world.disk.power_loss(Image::All, 1);
    let history = world.history.borrow().clone();
    drop(world);
    assert!(!find(&disk, &PointTarget::Lsn(20)).expect("reachable").is_durable);
    let rt = disk.runtime();
    let cfg = config(Policy::EverySec);
    rt.block_on(settle(disk.as_dyn(), rt.as_dyn(), &paths(), 1, cfg)).expect("settles");
    assert!(find(&disk, &PointTarget::Lsn(20)).expect("reachable").is_durable);
    assert_eq!(fork(&disk, 20).expect("forks").map, up_to(&history, 20));
    let after = disk.power_loss(Image::None, 1);
    assert_eq!(recover(&after).expect("starts").1.map, up_to(&history, 20));
}

#[test]
fn a_time_that_the_clock_passed_twice_is_refused_unless_it_is_said_which() {
    let mut world = World::fresh(7, Policy::Always);
    let rt = world.disk.runtime();
    world.write(2, 300);
    rt.run_for(20_000_000);
    let (us, first) = (rt.wall_us(), world.open.log.last_lsn());
    rt.run_for(10_000_000);
    world.write(2, 300);
    rt.step_wall(-25_000_000);
    world.write(2, 300);
    rt.run_for(5_000_000);
    world.write(2, 300);
    let last = world.open.log.last_lsn();
    rt.run_for(30_000_000);
    world.write(2, 300);
    let (disk, history) = world.stop();
    let error = find_by(&disk, us, TimePolicy::Refuse).expect_err("ambiguous");
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    for lsn in [first, last] {
        assert!(text.contains(&format!("lsn {lsn} (")), "{text}");
    }
    assert_eq!(find_by(&disk, us, TimePolicy::First).expect("said which"), first);
    assert_eq!(find_by(&disk, us, TimePolicy::Last).expect("said which"), last);
    // What the clock passed once needs no policy.
    let late = us + 600_000_000;
    assert_eq!(find_by(&disk, late, TimePolicy::Refuse).expect("once"), newest(&history));
}

#[test]
fn where_the_log_has_been_switched_off_there_is_no_target() {
    let mut world = World::fresh(8, Policy::Always);
    world.write(9, 300);
    let disk = world.disk.clone();
    let rt = disk.runtime();
    let (log, parts) = (world.open.log.clone(), world.open.parts.clone());
    rt.block_on(crate::switch::end(&disk, &log, &parts)).expect("ends");
    let before = content(&disk);
    for error in [
        find(&disk, &PointTarget::Lsn(4)).map(|_| ()).expect_err("no log"),
        at(&disk, 4, true).map(|_| ()).expect_err("no log"),
    ] {
        assert!(matches!(error, RecoveryError::Target(TargetError::SwitchedOff(_))), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    assert!(content(&disk) == before);
}

/// Logs a restore point; its LSN.
fn point(world: &World, name: &str, gtid: u64) -> u64 {
    let wall_us = world.disk.runtime().wall_us();
    let point = RestorePoint { gtid, wall_us, name: name.as_bytes() };
    let mut payload = Vec::new();
    point.put(&mut payload);
    let lsn = world.open.log.append(RecordType::RestorePoint.code(), 0, 0, &payload);
    world.open.log.flush();
    world.disk.runtime().run_for(20_000);
    lsn
}

fn named(name: &str) -> PointTarget {
    PointTarget::Name(name.as_bytes().to_vec())
}

fn find_named(disk: &SimDisk, name: &str, policy: TimePolicy) -> Result<u64, RecoveryError> {
    let paths = paths();
    let req = Request::new(disk, &paths, 1);
    let found = disk.runtime().block_on(resolve(&req, &named(name), policy));
    found.map(|found| found.lsn)
}

#[test]
fn a_restore_point_is_found_by_name_and_by_number() {
    let mut world = World::fresh(9, Policy::Always);
    world.retention = Retention { bases: 2, window_ms: 0 };
    world.write(5, 300);
    world.snapshot(true).expect("a base");
    let first = point(&world, "one", 1);
    world.write(5, 300);
    world.snapshot(true).expect("a base");
    let second = point(&world, "two words", 2);
    world.write(5, 300);
    let third = point(&world, "one", 3);
    world.write(5, 300);
    let (disk, history) = world.stop();
    for (target, lsn) in [
        (named("two words"), second),
        (PointTarget::Gtid(1), first),
        (PointTarget::Gtid(2), second),
        (PointTarget::Gtid(3), third),
    ] {
        let found = find(&disk, &target).expect("reachable");
        assert_eq!(found.lsn, lsn, "{target}");
        assert_eq!(at(&disk, lsn, false).expect("reads").1.map, up_to(&history, lsn));
    }
    // The same name twice is no guess.
    let error = find(&disk, &named("one")).expect_err("twice");
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    for words in [format!("lsn {first} gtid 1 ("), format!("lsn {third} gtid 3 (")] {
        assert!(text.contains(&words), "{text}");
    }
    assert_eq!(find_named(&disk, "one", TimePolicy::First).expect("said which"), first);
    assert_eq!(find_named(&disk, "one", TimePolicy::Last).expect("said which"), third);
    assert_eq!(find(&disk, &PointTarget::End).expect("there is one").lsn, newest(&history));
    // What is not there is told with what is.
    for target in [named("three"), PointTarget::Gtid(4)] {
        let error = find(&disk, &target).expect_err("no such");
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        let reach = format!("there is no {target} from lsn {} (", oldest(&disk));
        assert!(text.contains(&reach), "{text}");
        assert!(text.contains(&format!("\"two words\" at lsn {second} gtid 2 (")), "{text}");
        assert!(!text.contains("forked"), "{text}");
    }
    // The target given once more after the fork is the point where the new timeline began.
    fork(&disk, second).expect("forks");
    assert_eq!(find(&disk, &named("two words")).expect("shared").lsn, second);
    let error = find(&disk, &PointTarget::Gtid(3)).expect_err("left behind");
    assert!(error.to_string().contains(&format!("forked at lsn {second}")), "{error}");
}

#[test]
fn a_restore_point_before_damage_is_found() {
    let mut world = World::fresh(10, Policy::Always);
    world.write(5, 300);
    let lsn = point(&world, "before", 1);
    // The next segments.
    world.write(300, 700);
    point(&world, "behind", 2);
    let (disk, history) = world.stop();
    let last = content(&disk).into_iter().map(|f| f.0).rfind(|p| p.ends_with(".wal"));
    assert!(disk.rot(Path::new(&last.expect("a segment")), 20, 1));
    assert_eq!(find(&disk, &named("before")).expect("before it").lsn, lsn);
    assert_eq!(find(&disk, &named("behind")).expect_err("damaged").exit_code(), 70);
    assert_eq!(fork(&disk, lsn).expect("forks").map, up_to(&history, lsn));
}
