//! Manifests made again: what was lost comes back, and a start accepts it.

mod rig;

use std::fs;
use std::path::Path;

use moon_formats::aof::PartList;
use moon_formats::shard_manifest::open;
use moon_formats::wal::body::{FileDelete, FileEntry, Payload};
use rig::{TempDir, Writer, data_dir, flip, inspect, shown};

fn entry(file_id: u64) -> FileEntry {
    FileEntry {
        file_id,
        file_type: 0x10,
        status: 1,
        tier: 3,
        page_size_log2: 12,
        page_count: 1,
        byte_size: 4096,
        created_lsn: 1,
        db: 0,
        max_key_hash: 0,
        last_modified_lsn: 1,
    }
}

/// Base to LSN 2, log to LSN 6 and a mark of a clean end: two files made, one of them dropped.
fn with_files() -> TempDir {
    let dir = data_dir();
    fs::remove_dir_all(dir.wal()).expect("gone");
    let w = Writer::open(&dir);
    w.command(0, &[b"SET", b"a", b"1"]);
    w.command(0, &[b"SET", b"b", b"1"]);
    for id in [7, 5] {
        let mut payload = Vec::new();
        entry(id).put(&mut payload);
        w.append(0x40, 0, 0, &payload);
    }
    let mut payload = Vec::new();
    FileDelete { file_id: 7, reason: 1 }.put(&mut payload);
    w.append(0x41, 0, 0, &payload);
    w.command(0, &[b"SET", b"c", b"1"]);
    w.sync();
    w.shutdown();
    dir
}

fn rename(path: &Path) {
    let mut new = path.as_os_str().to_owned();
    new.push(".rebuilt");
    fs::rename(new, path).expect("renamed");
}

#[test]
fn part_lists_and_guard_come_back() {
    let dir = with_files();
    let digest = inspect(&["storage", "digest"], &dir.0).stdout;
    let list = dir.bases().join("moon.aof.manifest");
    let guard = dir.0.join("appendonlydir/moon.aof.manifest");
    let before = PartList::decode(&fs::read(&list).expect("readable")).expect("sound");
    flip(&list, 40);
    flip(&guard, 3);
    assert_eq!(inspect(&["storage", "digest"], &dir.0).status.code(), Some(70));
    let text = shown(&dir, &["aof", "rebuild"], &dir.0);
    assert!(text.contains("base 2, 1 older, log from lsn 2 in segment 1"), "{text}");
    assert!(text.contains("guard of 1 shards") && text.ends_with("exit 0\n"), "{text}");
    // The old files are as they were, and a second rebuild does not write over the first.
    assert!(PartList::decode(&fs::read(&list).expect("readable")).is_err());
    let text = shown(&dir, &["aof", "rebuild"], &dir.0);
    assert!(text.contains("remove it first") && text.ends_with("exit 1\n"), "{text}");
    rename(&list);
    rename(&guard);
    let after = PartList::decode(&fs::read(&list).expect("readable")).expect("sound");
    assert_eq!((after.base, after.timelines), (before.base, before.timelines));
    assert_eq!(inspect(&["storage", "digest"], &dir.0).stdout, digest);
    assert!(inspect(&["aof", "verify"], &dir.0).status.success());
}

#[test]
fn a_damaged_base_is_left_out() {
    let dir = with_files();
    flip(&dir.bases().join("moon.aof.2.base.rdb"), 150);
    fs::remove_file(dir.bases().join("moon.aof.manifest")).expect("gone");
    let text = shown(&dir, &["aof", "rebuild"], &dir.0);
    assert!(text.contains("left out: DIR/appendonlydir/shard-0/moon.aof.2.base.rdb"), "{text}");
    assert!(text.contains("base 1, 0 older, log from lsn 2 in segment 1"), "{text}");
    rename(&dir.bases().join("moon.aof.manifest"));
    let text = shown(&dir, &["storage", "digest"], &dir.0);
    assert!(text.contains("4 keys at lsn 7"), "{text}");
}

#[test]
fn a_file_table_comes_back() {
    let dir = with_files();
    let path = dir.0.join("shard-0/shard-0.manifest");
    let text = shown(&dir, &["manifest", "rebuild"], &dir.0);
    assert!(text.contains("2 files, epoch 1, cut 2") && text.ends_with("exit 0\n"), "{text}");
    rename(&path);
    let root = open(&fs::read(&path).expect("readable")).expect("sound").found.root;
    assert_eq!((root.redo_lsn, root.wal_flush_lsn, root.shard_uuid), (2, 6, [0xab; 16]));
    let rows: Vec<(u64, u8, u64)> =
        root.files.iter().map(|r| (r.file.file_id, r.file.status, r.dead_lsn)).collect();
    assert_eq!(rows, [(5, 1, 0), (7, 5, 5)]);
    // Its epoch is above that of the table it replaces.
    let text = shown(&dir, &["manifest", "rebuild", "--shard", "0"], &dir.0);
    assert!(text.contains("2 files, epoch 2"), "{text}");
    let text = shown(&dir, &["auto", "rebuild"], &dir.0);
    assert!(
        text.contains("manifest rebuild or aof rebuild") && text.ends_with("exit 2\n"),
        "{text}"
    );
    let text = shown(&dir, &["aof", "rebuild", "--shard", "5"], &dir.0);
    assert!(text.contains("1 shards") && text.ends_with("exit 1\n"), "{text}");
}
