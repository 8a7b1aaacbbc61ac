//! The verbs on the data directory.

mod rig;

use std::fs;

use moon_formats::aof::{Base, PartList, encode_guard};
use rig::{TempDir, data_dir, flip, golden, inspect, shown, snapshot};

#[test]
fn every_verb_on_a_data_directory() {
    let dir = data_dir();
    let mut all = String::new();
    for args in [
        &["storage", "header"][..],
        &["storage", "ls"],
        &["storage", "ls", "--json"],
        &["storage", "verify"],
        &["storage", "verify", "--json"],
        &["auto", "verify"],
        &["storage", "dump"],
    ] {
        all.push_str(&shown(&dir, args, &dir.0));
        all.push('\n');
    }
    snapshot("storage", &all);
}

#[test]
fn auto_tells_by_content() {
    let dir = data_dir();
    let marker = dir.0.join("moon.storage");
    let direct = inspect(&["storage", "header"], &marker).stdout;
    assert_eq!(inspect(&["auto", "header"], &marker).stdout, direct);
    let direct = inspect(&["wal", "dump"], &dir.wal()).stdout;
    assert!(!direct.is_empty());
    for path in [dir.wal(), dir.segment(1), dir.0.clone()] {
        assert_eq!(inspect(&["auto", "dump"], &path).stdout, direct, "{}", path.display());
    }
}

#[test]
fn damage_of_each_file_is_named() {
    type Plant = fn(&TempDir);
    let cases: [(Plant, &str); 6] = [
        (|d| flip(&d.0.join("moon.storage"), 30), "DIR/moon.storage: offset "),
        (
            |d| flip(&d.0.join("appendonlydir/moon.aof.manifest"), 3),
            "DIR/appendonlydir/moon.aof.manifest: offset ",
        ),
        (
            |d| flip(&d.0.join("appendonlydir/shard-0/moon.aof.manifest"), 40),
            "DIR/appendonlydir/shard-0/moon.aof.manifest: offset ",
        ),
        (
            |d| {
                let guard = encode_guard(3);
                fs::write(d.0.join("appendonlydir/moon.aof.manifest"), guard).expect("written");
            },
            "the guard says 3 shards, moon.storage 1",
        ),
        (
            |d| {
                fs::remove_file(d.0.join("appendonlydir/shard-0/moon.aof.2.base.rdb"))
                    .expect("gone")
            },
            "moon.aof.2.base.rdb: listed as a base but missing",
        ),
        (
            |d| {
                let path = d.0.join("appendonlydir/shard-0/moon.aof.2.base.rdb");
                fs::write(path, "1234").expect("written");
            },
            "4 bytes, the part list says 241",
        ),
    ];
    for (plant, want) in cases {
        let dir = data_dir();
        plant(&dir);
        let shown = shown(&dir, &["storage", "verify"], &dir.0);
        assert!(shown.contains(want) && shown.contains("restore "), "{want}: {shown}");
        assert!(shown.ends_with("exit 70\n"), "{shown}");
    }
}

#[test]
fn a_directory_without_a_marker_is_of_a_reference_server() {
    let dir = TempDir::new();
    golden(&dir);
    let shown = shown(&dir, &["storage", "verify"], &dir.0);
    assert!(shown.contains("no moon.storage") && shown.contains("moon-migrate"), "{shown}");
    assert!(shown.ends_with("exit 1\n"), "{shown}");
}

#[test]
fn a_log_is_readable_without_its_part_list() {
    let dir = data_dir();
    let sound = inspect(&["wal", "dump"], &dir.0).stdout;
    flip(&dir.0.join("appendonlydir/shard-0/moon.aof.manifest"), 40);
    let dump = inspect(&["wal", "dump"], &dir.0);
    assert_eq!((dump.stdout == sound, dump.status.code()), (true, Some(70)));
    assert_eq!(inspect(&["wal", "dump"], &dir.segment(1)).status.code(), Some(0));
}

#[test]
fn the_log_must_reach_what_the_part_list_says() {
    let dir = data_dir();
    let path = dir.0.join("appendonlydir/shard-0/moon.aof.manifest");
    let mut parts = PartList::decode(&fs::read(&path).expect("readable")).expect("sound");
    parts.base = parts.base.map(|b| Base { cut: 1000, ..b });
    fs::write(&path, parts.encode()).expect("written");
    let shown = shown(&dir, &["wal", "verify"], &dir.0);
    assert!(shown.contains("hole at") && shown.contains("D=1000"), "{shown}");
    assert!(shown.ends_with("exit 70\n"), "{shown}");
}
