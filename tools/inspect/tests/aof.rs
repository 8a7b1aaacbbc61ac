//! The verbs on guard and part lists.

mod rig;

use std::fs;

use moon_formats::aof::{PartList, encode_guard};
use moon_formats::testing::sample_part_list;
use rig::{TempDir, data_dir, flip, inspect, shown, snapshot};

#[test]
fn every_verb_on_sound_manifests() {
    let dir = data_dir();
    let mut all = String::new();
    for args in [
        &["aof", "ls"][..],
        &["aof", "header"],
        &["aof", "dump"],
        &["aof", "dump", "--type", "base", "--hex"],
        &["aof", "dump", "--limit", "1"],
        &["aof", "verify"],
        &["aof", "ls", "--json"],
        &["aof", "header", "--json"],
        &["aof", "dump", "--json"],
        &["aof", "verify", "--json"],
        &["aof", "stats"],
    ] {
        all.push_str(&shown(&dir, args, &dir.0));
        all.push('\n');
    }
    // A list with every kind of line, whose bases are elsewhere.
    let path = dir.0.join("parts");
    fs::write(&path, sample_part_list().encode()).expect("written");
    all.push_str(&shown(&dir, &["aof", "ls"], &path));
    snapshot("aof", &all);
    let direct = inspect(&["aof", "dump"], &path).stdout;
    assert_eq!(inspect(&["auto", "dump"], &path).stdout, direct);
    for path in [dir.0.join("appendonlydir"), dir.bases(), dir.bases().join("moon.aof.manifest")] {
        assert!(inspect(&["aof", "verify"], &path).status.success(), "{}", path.display());
    }
}

#[test]
fn damage_is_named() {
    type Plant = fn(&TempDir);
    let change = |d: &TempDir, f: fn(&mut PartList)| {
        let path = d.bases().join("moon.aof.manifest");
        let mut parts = PartList::decode(&fs::read(&path).expect("readable")).expect("sound");
        f(&mut parts);
        fs::write(&path, parts.encode()).expect("written");
    };
    let cases: [(Plant, &str); 8] = [
        (|d| flip(&d.0.join("appendonlydir/moon.aof.manifest"), 3), "moon.aof.manifest: offset "),
        (|d| flip(&d.bases().join("moon.aof.manifest"), 40), "moon.aof.manifest: offset "),
        (
            |d| fs::remove_file(d.bases().join("moon.aof.2.base.rdb")).expect("gone"),
            "moon.aof.2.base.rdb: listed as a base but missing",
        ),
        (
            |d| fs::write(d.bases().join("moon.aof.2.base.rdb"), "1234").expect("written"),
            "RRDSHARD",
        ),
        (
            |d| {
                let path = d.bases().join("moon.aof.2.base.rdb");
                let len = fs::metadata(&path).expect("there").len() as usize;
                flip(&path, len - 1);
            },
            "crc ",
        ),
        (
            |d| fs::remove_file(d.segment(1)).expect("gone"),
            "the log starts in this segment, which is missing",
        ),
        (
            |d| {
                let bases = d.0.join("appendonlydir/shard-7");
                fs::create_dir(&bases).expect("made");
                fs::copy(d.bases().join("moon.aof.manifest"), bases.join("moon.aof.manifest"))
                    .expect("copied");
            },
            "the part list is that of shard 0",
        ),
        (
            |d| {
                let path = d.0.join("appendonlydir/moon.aof.manifest");
                fs::write(path, encode_guard(1)).expect("written");
                let bases = d.0.join("appendonlydir/shard-1");
                fs::create_dir(&bases).expect("made");
                let parts = PartList { shard: 1, base: None, ..sample_part_list() };
                let parts = PartList { history: vec![], ..parts };
                fs::write(bases.join("moon.aof.manifest"), parts.encode()).expect("written");
            },
            "the guard says 1 shards",
        ),
    ];
    for (plant, want) in cases {
        let dir = data_dir();
        plant(&dir);
        let shown = shown(&dir, &["aof", "verify"], &dir.0);
        assert!(shown.contains(want) && shown.ends_with("exit 70\n"), "{want}: {shown}");
    }
    let dir = data_dir();
    change(&dir, |p| p.base = p.base.map(|b| moon_formats::aof::Base { cut: 9, ..b }));
    let shown = shown(&dir, &["aof", "verify"], &dir.0);
    assert!(shown.contains("cut 2, the part list says 9"), "{shown}");
    // A list from before the first segment names none, and misses none.
    let dir = data_dir();
    fs::remove_file(dir.segment(1)).expect("gone");
    change(&dir, |p| p.log_from_seq = 0);
    assert!(inspect(&["aof", "verify"], &dir.0).status.success());
}
