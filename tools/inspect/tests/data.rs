//! Digests and differences: what is on disk, against the engine that holds the same data.

mod rig;

use std::fs;
use std::path::Path;

use moon_engine::command::CommandTable;
use moon_engine::commands::GROUPS;
use moon_engine::exec::{Shard, ShardConfig};
use moon_engine::redis_digest;
use moon_formats::aof::PartList;
use moon_formats::resp::encode_command;
use moon_formats::testing::{old_snapshot, sample_snapshot};
use rig::{TempDir, Writer, data_dir, inspect, shown};

/// The digest of a server that ran these commands.
fn digest_of(commands: &[&[&[u8]]]) -> String {
    let table = Box::leak(Box::new(CommandTable::new(GROUPS)));
    let mut shard = Shard::new(table, &ShardConfig::default());
    for words in commands {
        let mut payload = Vec::new();
        encode_command(&mut payload, words.iter().copied());
        shard.apply(0, 0, &payload).expect("applies");
    }
    redis_digest::of_all(shard.dbs()).iter().map(|b| format!("{b:02x}")).collect()
}

/// The base of [`data_dir`], as commands.
const BASE: [&[&[u8]]; 2] =
    [&[b"SET", b"greeting", b"hello 2"], &[b"SET", b"visits", b"41", b"PXAT", b"1800000000000"]];

/// A data directory whose base ends at LSN 2 and whose log goes on to 5, and to 6 with the mark of a clean end.
fn small() -> TempDir {
    let dir = data_dir();
    fs::remove_dir_all(dir.wal()).expect("gone");
    let w = Writer::open(&dir);
    w.command(0, &[b"SET", b"in the base", b"not again"]);
    w.command(0, &[b"DEL", b"in the base"]);
    w.command(0, &[b"SET", b"greeting", b"hi"]);
    w.sync();
    w.command(0, &[b"RPUSH", b"list", b"a", b"b"]);
    w.command(0, &[b"DEL", b"visits"]);
    w.sync();
    w.shutdown();
    dir
}

fn digest(dir: &TempDir, args: &[&str], path: &Path) -> String {
    shown(dir, args, path).lines().nth(1).unwrap_or_default().to_owned()
}

#[test]
fn the_digest_of_a_directory_is_that_of_its_server() {
    let dir = small();
    let after: [&[&[u8]]; 2] = [&[b"SET", b"greeting", b"hi"], &[b"RPUSH", b"list", b"a", b"b"]];
    let want = format!("shard 0 {}  2 keys at lsn 6", digest_of(&after));
    for format in ["storage", "auto"] {
        assert_eq!(digest(&dir, &[format, "digest"], &dir.0), want);
    }
    // At an LSN in between, and at the cut.
    let at_4 = digest_of(&[BASE[1], after[0], after[1]]);
    let line = digest(&dir, &["storage", "digest", "--to", "4"], &dir.0);
    assert_eq!(line, format!("shard 0 {at_4}  3 keys at lsn 4"));
    let at_2 = digest_of(&BASE);
    let line = digest(&dir, &["storage", "digest", "--to", "2"], &dir.0);
    assert_eq!(line, format!("shard 0 {at_2}  2 keys at lsn 2"));
    // The base alone.
    let base = dir.bases().join("moon.aof.2.base.rdb");
    let line = digest(&dir, &["rdb", "digest"], &base);
    assert_eq!(line, format!("{at_2}  2 keys at lsn 2"));
    let json = shown(&dir, &["auto", "digest", "--json", "--shard", "0"], &dir.0);
    assert!(json.contains("\"shard\":0,\"lsn\":6,\"keys\":2,\"digest\":\""), "{json}");
    // Before the cut there is nothing to start from, until an older base is listed.
    let text = shown(&dir, &["storage", "digest", "--to", "1"], &dir.0);
    assert!(text.contains("--to 2 or above") && text.ends_with("exit 2\n"), "{text}");
    let list = dir.bases().join("moon.aof.manifest");
    let mut parts = PartList::decode(&fs::read(&list).expect("readable")).expect("sound");
    parts.history = vec![rig::base(1, 1).1];
    fs::write(&list, parts.encode()).expect("written");
    let line = digest(&dir, &["storage", "digest", "--to", "1"], &dir.0);
    assert!(line.ends_with("2 keys at lsn 1") && !line.contains(&at_2), "{line}");
    // Nothing was written.
    assert_eq!(fs::read_to_string(&list).expect("readable"), parts.encode());
}

#[test]
fn a_directory_that_would_not_start_has_no_digest() {
    let dir = small();
    fs::remove_file(dir.bases().join("moon.aof.manifest")).expect("gone");
    let text = shown(&dir, &["storage", "digest"], &dir.0);
    assert!(text.contains("aof rebuild") && !text.contains("exit 0"), "{text}");
    let text = shown(&dir, &["wal", "digest"], &dir.0);
    assert!(text.contains("of storage and rdb") && text.ends_with("exit 2\n"), "{text}");
}

#[test]
fn old_and_cold_snapshots() {
    let dir = TempDir::new();
    let path = dir.0.join("old.rdb");
    fs::write(&path, old_snapshot(3)).expect("written");
    let text = shown(&dir, &["rdb", "digest"], &path);
    assert!(text.contains("  12 keys\n") && text.ends_with("exit 0\n"), "{text}");
    // What is in another file cannot be part of a digest.
    fs::write(&path, sample_snapshot(false)).expect("written");
    let text = shown(&dir, &["rdb", "digest"], &path);
    assert!(text.contains("is cold") && text.ends_with("exit 70\n"), "{text}");
}

/// `diff` of two paths.
fn diff(dir: &TempDir, args: &[&str], left: &Path, right: &Path) -> String {
    let left = left.display().to_string();
    shown(dir, &[&["auto", "diff"], args, &[left.as_str()]].concat(), right)
        .lines()
        .skip(1)
        .map(|l| format!("{l}\n"))
        .collect()
}

#[test]
fn differences_are_shown_by_key() {
    let dir = small();
    let base = dir.bases().join("moon.aof.2.base.rdb");
    assert_eq!(diff(&dir, &[], &dir.0, &dir.0), "same: 2 keys\nexit 0\n");
    assert_eq!(diff(&dir, &[], &base, &base), "same: 2 keys\nexit 0\n");
    assert_eq!(
        diff(&dir, &[], &base, &dir.0),
        "! db=0 string \"greeting\": value\n\
         - db=0 string \"visits\"\n\
         + db=0 list \"list\"\n\
         different: 1 keys on the left only, 1 on the right only, 1 differ, 0 are the same\n\
         exit 1\n"
    );
    assert_eq!(diff(&dir, &["--limit", "1"], &base, &dir.0).lines().count(), 3);
    let json = diff(&dir, &["--json"], &base, &dir.0);
    assert!(
        json.contains(
            "{\"kind\":\"key\",\"where\":\"left\",\"db\":0,\"key\":\"visits\",\"left\":{\"type\":\
             \"string\",\"expires_ms\":1800000000000},\"right\":null,\"value_differs\":null}"
        ),
        "{json}"
    );
}

#[test]
fn type_and_expiry_are_told_apart() {
    let (left, right) = (data_dir(), data_dir());
    for dir in [&left, &right] {
        fs::remove_dir_all(dir.wal()).expect("gone");
        fs::remove_file(dir.bases().join("moon.aof.manifest")).expect("gone");
        fs::remove_file(dir.bases().join("moon.aof.1.base.rdb")).expect("gone");
        fs::remove_file(dir.bases().join("moon.aof.2.base.rdb")).expect("gone");
    }
    let write = |dir: &TempDir, commands: &[&[&[u8]]]| {
        let w = Writer::open(dir);
        commands.iter().for_each(|words| w.command(0, words));
        w.sync();
        w.shutdown();
    };
    write(
        &left,
        &[
            &[b"SADD", b"set", b"1", b"2", b"x"],
            &[b"SET", b"a", b"1"],
            &[b"SET", b"b", b"1", b"PXAT", b"1800000000000"],
            &[b"SET", b"c", b"1"],
        ],
    );
    write(
        &right,
        &[
            &[b"SADD", b"set", b"x", b"2", b"1"],
            &[b"LPUSH", b"a", b"1"],
            &[b"SET", b"b", b"1"],
            &[b"SET", b"c", b"1"],
        ],
    );
    assert_eq!(
        diff(&left, &[], &left.0, &right.0),
        "! db=0 string \"a\": type string and list\n\
         ! db=0 string \"b\": expires 1800000000000 and never\n\
         different: 0 keys on the left only, 0 on the right only, 2 differ, 2 are the same\n\
         exit 1\n"
    );
    assert!(!inspect(&["storage", "digest"], &right.0).stdout.is_empty());
}

#[test]
fn a_directory_is_compared_with_itself_at_another_lsn() {
    let dir = small();
    let shown_at = |args: &[&str]| -> String {
        let args = [&["storage", "diff"], args].concat();
        shown(&dir, &args, &dir.0).lines().skip(1).map(|l| format!("{l}\n")).collect()
    };
    let want = "! db=0 string \"greeting\": value\n\
                + db=0 list \"list\"\n\
                different: 0 keys on the left only, 1 on the right only, 1 differ, 1 are the same (lsn 2 and \
                lsn 4)\nexit 1\n";
    assert_eq!(shown_at(&["--from", "2", "--to", "4"]), want);
    let name = dir.0.display().to_string();
    let [left, right] = [2, 4].map(|lsn| format!("{name}@{lsn}"));
    // The path comes last in `shown`, so what is compared here are both named by LSN.
    assert_eq!(diff(&dir, &[], Path::new(&left), Path::new(&right)), want);
    assert_eq!(diff(&dir, &["--from", "2"], &dir.0, Path::new(&right)), want);
    assert!(shown_at(&["--from", "4"]).contains("(lsn 4 and lsn 6)"));
    assert_eq!(shown_at(&["--from", "6"]), "same: 2 keys (lsn 6 and lsn 6)\nexit 0\n");
    // Two directories, each at an LSN of its own.
    let other = small();
    let other_at = format!("{}@2", other.0.display());
    let text = diff(&dir, &[], Path::new(&left), Path::new(&other_at));
    assert_eq!(text, "same: 2 keys (lsn 2 and lsn 2)\nexit 0\n");
    let json = diff(&dir, &["--json"], Path::new(&left), Path::new(&right));
    assert!(json.contains("\"left_lsn\":2,\"right_lsn\":4"), "{json}");
    // The same state by `digest`.
    let by_name = digest(&dir, &["storage", "digest"], Path::new(&right));
    assert_eq!(by_name, digest(&dir, &["storage", "digest", "--at", "4"], &dir.0));
    for (args, words) in [
        (&["storage", "diff"][..], "what is DIR compared with?"),
        (&["storage", "diff", "--from", "1", "--to", "4"], "--to 2 or above"),
    ] {
        let text = shown(&dir, args, &dir.0);
        assert!(text.contains(words) && text.ends_with("exit 2\n"), "{text}");
    }
    let text = shown(&dir, &["storage", "digest", "--to", "3"], Path::new(&right));
    assert!(text.contains("one of the two") && text.ends_with("exit 2\n"), "{text}");
}
