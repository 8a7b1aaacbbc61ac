//! The verbs on snapshots, on files made by the encoders and damaged on purpose.

mod rig;

use std::fs;
use std::path::PathBuf;

use moon_formats::testing::{
    moon_snapshot, old_snapshot, redis_rdb_sample, reseal, sample_snapshot,
};
use rig::{TempDir, data_dir, flip, inspect, shown, snapshot};

/// What zstd makes of a block may change with its version, so this one is a golden file.
const ZSTD: &[u8] = include_bytes!("../../../formats/golden/rrdshard/v4/zstd.rrdshard");

/// One file of each kind.
fn one_of_each() -> (TempDir, Vec<PathBuf>) {
    let dir = TempDir::new();
    let files = [
        ("raw.rdb", sample_snapshot(false)),
        ("zstd.rdb", ZSTD.to_vec()),
        ("old-1.rdb", old_snapshot(1)),
        ("old-3.rdb", old_snapshot(3)),
        ("moon-2.rdb", moon_snapshot(2)),
        ("redis.rdb", redis_rdb_sample()),
    ];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = dir.0.join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let paths = files.map(write).to_vec();
    (dir, paths)
}

#[test]
fn every_verb_on_every_kind() {
    let (dir, paths) = one_of_each();
    let mut all = shown(&dir, &["rdb", "ls"], &dir.0);
    let mut show = |args: &[&str], path: &PathBuf| {
        all.push('\n');
        all.push_str(&shown(&dir, args, path));
    };
    for path in &paths {
        show(&["rdb", "header"], path);
        show(&["rdb", "verify"], path);
        show(&["rdb", "stats"], path);
        show(&["rdb", "dump"], path);
    }
    let raw = &paths[0];
    for args in [
        &["rdb", "dump", "--type", "hash", "--type", "zset"][..],
        &["rdb", "dump", "--key", "large", "--hex", "--full"],
        &["rdb", "dump", "--limit", "2"],
        &["rdb", "ls", "--json"],
        &["rdb", "header", "--json"],
        &["rdb", "verify", "--json"],
        &["rdb", "dump", "--json"],
        &["rdb", "stats", "--json"],
        &["rdb", "dump", "--type", "table"],
        &["rdb", "dump", "--from", "7"],
        &["rdb", "times"],
    ] {
        show(args, raw);
    }
    snapshot("rdb", &all);
}

#[test]
fn auto_knows_every_kind() {
    let (dir, paths) = one_of_each();
    for path in &paths {
        let direct = inspect(&["rdb", "dump"], path);
        assert!(direct.status.success() && !direct.stdout.is_empty());
        assert_eq!(inspect(&["auto", "dump"], path).stdout, direct.stdout, "{}", path.display());
    }
    let direct = inspect(&["rdb", "verify"], &dir.0).stdout;
    assert_eq!(inspect(&["auto", "verify"], &dir.0).stdout, direct);
}

#[test]
fn damage_is_named_with_its_offset() {
    let (dir, paths) = one_of_each();
    for path in &paths {
        let len = fs::metadata(path).expect("there").len() as usize;
        flip(path, len / 2);
        let text = shown(&dir, &["rdb", "verify"], path);
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        assert!(text.contains(&format!("damaged: DIR/{name}: offset ")), "{text}");
        assert!(text.contains("restore the file") && text.ends_with("exit 70\n"), "{text}");
        // What stands before the damage is readable.
        let dump = inspect(&["rdb", "dump"], path);
        assert_eq!(dump.status.code(), Some(70));
        flip(path, len / 2);
        let file = fs::read(path).expect("readable");
        fs::write(path, &file[..len - 1]).expect("written");
        assert!(shown(&dir, &["rdb", "verify"], path).ends_with("exit 70\n"));
    }
    // The others are looked at all the same.
    let all = shown(&dir, &["rdb", "verify"], &dir.0);
    assert_eq!(all.matches("damaged: ").count(), paths.len(), "{all}");
}

#[test]
fn a_file_of_a_later_moon_is_not_called_damaged() {
    let dir = TempDir::new();
    let path = dir.0.join("later.rdb");
    let mut bytes = sample_snapshot(false);
    bytes[43] = 1;
    fs::write(&path, reseal(&bytes)).expect("written");
    let text = shown(&dir, &["rdb", "verify"], &path);
    assert!(text.contains("nothing is damaged") && text.ends_with("exit 1\n"), "{text}");
    fs::write(&path, "neither").expect("written");
    let text = shown(&dir, &["rdb", "verify"], &path);
    assert!(text.contains("not a file of Moon") && text.ends_with("exit 1\n"), "{text}");
}

#[test]
fn bases_are_held_against_the_part_list() {
    let dir = data_dir();
    let text = shown(&dir, &["rdb", "ls"], &dir.0);
    assert!(text.contains("RRDSHARD 4  orphan") && text.contains("RRDSHARD 4  base"), "{text}");
    assert!(!text.contains(".tmp"), "{text}");
    assert!(shown(&dir, &["rdb", "verify"], &dir.0).ends_with("exit 0\n"));
    let listed = dir.bases().join("moon.aof.2.base.rdb");
    let orphan = fs::read(dir.bases().join("moon.aof.1.base.rdb")).expect("readable");
    fs::write(&listed, orphan).expect("written");
    let text = shown(&dir, &["rdb", "verify"], &dir.0);
    assert!(text.contains("moon.aof.2.base.rdb: base_seq 1, the part list says 2"), "{text}");
    assert!(text.ends_with("exit 70\n"), "{text}");
    // A file of another shard.
    let mut bytes = sample_snapshot(false);
    bytes[9] = 1;
    fs::write(dir.0.join("shard-0/shard-0.rrdshard"), reseal(&bytes)).expect("written");
    let text = shown(&dir, &["rdb", "verify", "--shard", "0"], &dir.0);
    assert!(text.contains("it is of shard 1, its directory of 0"), "{text}");
    assert!(inspect(&["rdb", "verify", "--shard", "3"], &dir.0).status.code() == Some(1));
}

#[test]
fn large_files_are_read_in_pieces() {
    let dir = TempDir::new();
    let path = dir.0.join("large.rdb");
    fs::write(&path, rig::many_keys(40_000)).expect("written");
    assert!(fs::metadata(&path).expect("there").len() > 3 << 20);
    let text = shown(&dir, &["rdb", "verify"], &path);
    assert!(text.contains("40000 keys") && text.ends_with("exit 0\n"), "{text}");
    let text = shown(&dir, &["rdb", "dump", "--key", "key:39999"], &path);
    assert!(text.contains("\"key:39999\""), "{text}");
}
