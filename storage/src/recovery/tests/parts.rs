//! Part list, guard, and directories without them.

use std::path::{Path, PathBuf};

use moon_formats::aof::{self, PartList};
use moon_formats::names;

use crate::io::Disk;
use crate::io::sim::{Fault, FaultKind, Image, SimConfig, SimDisk};
use crate::log::{Log, Policy};
use crate::recovery::{Origin, RecoveredEnd};
use crate::snapshot::tests::rig::{Map, World, config, recover};
use crate::whole::{self, How};

use super::{GUARD, LIST, LOG, PARTS, content, refused, remove, stopped};

fn read(disk: &SimDisk, path: &str) -> Vec<u8> {
    let found = disk.runtime().block_on(whole::read(disk, Path::new(path)));
    found.expect("readable").expect("there")
}

fn write(disk: &SimDisk, path: &str, text: &[u8]) {
    let path = Path::new(path);
    let (dir, name) = (path.parent().expect("a directory"), path.file_name().expect("a name"));
    let name = name.to_string_lossy();
    let rt = disk.runtime();
    rt.block_on(disk.create_dir_all(dir)).expect("a directory");
    rt.block_on(whole::replace(disk, dir, &name, text, How::default())).expect("written");
}

fn list(disk: &SimDisk) -> PartList {
    PartList::decode(&read(disk, LIST)).expect("a part list")
}

#[test]
fn a_fresh_directory_gets_guard_and_part_list_whenever_power_is_lost() {
    let world = World::fresh(1, Policy::Always);
    assert_eq!(aof::decode_guard(&read(&world.disk, GUARD)), Ok(1));
    let found = list(&world.disk);
    assert_eq!((found.base, found.log_from_lsn, found.log_from_seq), (None, 1, 1));
    for stop in 0..world.disk.stop_count() {
        for image in Image::ALL {
            let after = world.disk.power_loss_at(stop, image, 5).expect("a stop");
            let mut next = World::start(after, config(Policy::Always), Map::new()).expect("starts");
            next.write(2, 100);
            let (after, history) = next.stop();
            let (found, toy) = recover(&after).expect("starts again");
            assert_eq!((toy.map, found.origin), (history, Origin::Log));
        }
    }
    assert_eq!(world.disk.violations(), []);
}

#[test]
fn a_directory_older_than_part_lists_is_read_from_lsn_1_and_gets_one() {
    let disk = SimDisk::new(SimConfig::default(), 2);
    let rt = disk.runtime();
    rt.block_on(async {
        let fresh = RecoveredEnd::fresh(1);
        let log = Log::open(
            disk.as_dyn(),
            rt.as_dyn(),
            PathBuf::from(LOG),
            config(Policy::Always),
            &fresh,
        )
        .await
        .expect("opens");
        for i in 0..40u8 {
            log.append(1, 0, 0, &[i; 4000]);
            log.sync().await.expect("durable");
        }
        assert!(log.segments().len() > 1);
    });
    let old = disk.power_loss(Image::None, 1);
    let (found, toy) = recover(&old).expect("starts");
    assert_eq!((found.records, found.origin.clone()), (40, Origin::Log));
    assert!(found.list().is_none());
    World::start(old.clone(), config(Policy::Always), toy.map.clone()).expect("opens");
    assert_eq!((list(&old).log_from_lsn, list(&old).log_from_seq), (1, 1));
    let (_, again) = recover(&old).expect("starts again");
    assert_eq!(again.map, toy.map);

    // The same log without its first segment is not everything.
    let cut = disk.power_loss(Image::None, 1);
    remove(&cut, &format!("{LOG}/{}", names::wal_segment(1)));
    refused(&cut, 70, &["part list missing", LIST, "moon-inspect aof rebuild"]);
}

#[test]
fn a_missing_part_list_beside_data_is_refused() {
    let (disk, _) = stopped(3, 1);
    remove(&disk, LIST);
    refused(&disk, 70, &["part list missing", "a base", "moon-inspect aof rebuild", PARTS]);
}

#[test]
fn a_damaged_part_list_is_refused_whichever_bit_flips() {
    let (disk, history) = stopped(4, 2);
    let bytes = read(&disk, LIST).len() as u64;
    for offset in 0..bytes {
        assert!(disk.rot(Path::new(LIST), offset, 1 << (offset % 8)));
        refused(&disk, 70, &[LIST, "moon-inspect aof rebuild"]);
        assert!(disk.rot(Path::new(LIST), offset, 1 << (offset % 8)));
    }
    let text = read(&disk, LIST);
    for len in [0, 1, text.len() / 2, text.len() - 1] {
        write(&disk, LIST, &text[..len]);
        refused(&disk, 70, &[LIST]);
    }
    let mut other = list(&disk_with(&disk, &text));
    other.shard = 3;
    write(&disk, LIST, other.encode().as_bytes());
    refused(&disk, 70, &["shard"]);
    write(&disk, LIST, &text);
    assert_eq!(recover(&disk).expect("starts").1.map, history);
}

fn disk_with(disk: &SimDisk, text: &[u8]) -> SimDisk {
    write(disk, LIST, text);
    disk.clone()
}

#[test]
fn a_part_list_of_a_newer_moon_is_not_damage() {
    let (disk, _) = stopped(5, 1);
    let text = String::from_utf8(read(&disk, LIST)).expect("text");
    let body = text.rsplit_once("end ").expect("an end").0.replace("moon-aof 3", "moon-aof 4");
    let crc = moon_formats::crc::crc32c(body.as_bytes());
    write(&disk, LIST, format!("{body}end {crc:08x}\n").as_bytes());
    refused(&disk, 2, &[LIST, "newer"]);
}

#[test]
fn the_guard_is_written_again_and_never_of_another_server() {
    let (disk, history) = stopped(6, 1);
    let guard = read(&disk, GUARD);
    for damage in [false, true] {
        match damage {
            false => remove(&disk, GUARD),
            true => assert!(disk.rot(Path::new(GUARD), 9, 4)),
        }
        let (found, _) = recover(&disk).expect("starts");
        assert_eq!(found.warnings.len(), usize::from(damage), "{:?}", found.warnings);
        drop(World::start(disk.clone(), config(Policy::Always), history.clone()).expect("opens"));
        assert_eq!(read(&disk, GUARD), guard);
    }
    write(&disk, GUARD, aof::encode_guard(4).as_bytes());
    refused(&disk, 2, &["4 shards", "moon-migrate"]);
}

#[test]
fn segments_that_the_list_needs_must_be_there() {
    let (disk, _) = stopped(7, 1);
    let segments: Vec<String> =
        content(&disk).into_iter().map(|f| f.0).filter(|path| path.ends_with(".wal")).collect();
    let named = format!("{LOG}/{}", names::wal_segment(list(&disk).log_from_seq));
    assert_eq!(segments.first(), Some(&named), "older ones are freed");
    assert!(segments.len() > 1, "{segments:?}");
    for path in &segments[..segments.len() - 1] {
        let (copy, _) = stopped(7, 1);
        remove(&copy, path);
        refused(&copy, 70, &["log damaged", path, "moon-inspect wal verify"]);
    }
    let (copy, _) = stopped(7, 1);
    for (path, _) in content(&copy).iter().filter(|f| f.0.ends_with(".wal")) {
        remove(&copy, path);
    }
    refused(&copy, 70, &["log", "missing"]);
}

#[test]
fn a_restored_base_needs_no_log_until_the_first_start() {
    let (disk, _) = stopped(8, 1);
    let mut restored = list(&disk);
    let base = restored.base.expect("a base");
    (restored.log_from_lsn, restored.log_from_seq) = (base.cut + 1, 0);
    for (path, _) in content(&disk).iter().filter(|f| f.0.ends_with(".wal")) {
        remove(&disk, path);
    }
    write(&disk, LIST, restored.encode().as_bytes());
    let (found, toy) = recover(&disk).expect("starts");
    assert_eq!(toy.map.len() as u64, base.cut);
    assert_eq!((found.end.next_lsn, found.records), (base.cut + 1, 0));
    let mut world = World::start(disk.clone(), config(Policy::Always), toy.map).expect("opens");
    world.write(3, 10);
    let (disk, history) = world.stop();
    assert_eq!(recover(&disk).expect("starts").1.map, history);
    assert_ne!(list(&disk).log_from_seq, 0);
    for (path, _) in content(&disk).iter().filter(|f| f.0.ends_with(".wal")) {
        remove(&disk, path);
    }
    refused(&disk, 70, &["log"]);
}

#[test]
fn a_snapshot_alone_is_not_an_empty_shard() {
    let mut world = World::fresh(9, Policy::Always);
    world.write(5, 100);
    world.snapshot(false).expect("saved");
    let (disk, _) = world.stop();
    remove(&disk, LIST);
    for (path, _) in content(&disk).iter().filter(|f| f.0.ends_with(".wal")) {
        remove(&disk, path);
    }
    refused(&disk, 2, &["shard-0.rrdshard", "--appendonly no"]);
}

#[test]
fn a_read_error_stops_the_start_and_changes_nothing() {
    let (disk, history) = stopped(10, 1);
    let mut struck = 0;
    for nth in 0.. {
        disk.inject(Fault::new(FaultKind::ReadEio).skip(nth));
        let before = disk.struck().len();
        let found = recover(&disk);
        let hit = disk.struck().len() > before;
        disk.clear_faults();
        if !hit {
            assert_eq!(found.expect("starts").1.map, history);
            break;
        }
        struck += 1;
        match found {
            // The guard is not needed.
            Ok((_, toy)) => assert_eq!(toy.map, history),
            Err(e) => assert_eq!(e.exit_code(), 70, "{e}"),
        }
        assert_eq!(recover(&disk).expect("the next start").1.map, history);
    }
    assert!(struck > 8, "{struck} reads");
}

#[test]
fn what_no_list_names_goes_after_the_start_and_not_before() {
    let (disk, history) = stopped(11, 1);
    let stray = [
        format!("{PARTS}/moon.aof.77.base.rdb"),
        format!("{PARTS}/moon.aof.78.base.rdb.tmp"),
        format!("{LIST}.tmp"),
        "/shard-0/shard-0.rrdshard.tmp".to_owned(),
    ];
    for path in &stray {
        write(&disk, path, b"left over");
    }
    let (found, _) = recover(&disk).expect("starts");
    assert_eq!(found.orphans().len(), 3, "{:?}", found.orphans());
    assert_eq!(content(&disk).iter().filter(|f| stray.contains(&f.0)).count(), 4);
    let mut world = World::start(disk.clone(), config(Policy::Always), history).expect("opens");
    assert_eq!(world.open.parts.take_seq(), 79, "a number is never used again");
    world.disk.runtime().run_for(100_000);
    assert_eq!(content(&disk).iter().filter(|f| stray.contains(&f.0)).count(), 0);
    world.snapshot(true).expect("a rewrite");
}
