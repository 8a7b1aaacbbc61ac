//! Directories written byte by byte from the tables of storage-formats.md, checksums included: no encoder of this
//! project has a hand in them.

mod cold;

use super::*;
use crate::cli::Place;
use crate::source::Source;
use moon_engine::args::Args;
use moon_engine::exec::{Host, Session};
use std::any::Any;
use std::time::Duration;

struct NoHost;

impl Host for NoHost {
    fn ticks(&self) -> u64 {
        0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// A directory that goes away.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("moon-ref-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Dir(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> &Dir {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, bytes).expect("written");
        self
    }

    fn listing(&self) -> Vec<PathBuf> {
        let (mut found, mut waiting) = (Vec::new(), vec![self.0.clone()]);
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).expect("listed").flatten() {
                found.push(entry.path());
                if entry.path().is_dir() {
                    waiting.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }

    fn open(&self) -> Result<Source, Failure> {
        let before = self.listing();
        let place: Place = format!("moon:{}", self.0.display()).parse().expect("a place");
        let rt = runtime().expect("a runtime");
        let source = rt.block_on(Source::open(&crate::Host::new(&rt), &place));
        assert_eq!(self.listing(), before, "a source is never changed");
        source
    }

    /// A directory that is read without a loss.
    fn whole(&self) -> Source {
        let source = self.open().unwrap_or_else(|e| panic!("{}", e.message));
        assert!(source.facts.losses.is_empty(), "{:?}", source.facts.losses);
        source
    }

    fn refused(&self, code: u8) -> String {
        let Err(failure) = self.open() else { panic!("it was read") };
        assert_eq!(failure.code, code, "{}", failure.message);
        failure.message
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a command answers on the shard of a source.
fn ask(source: &mut Source, db: u16, line: &str) -> String {
    let shard = source.shard_mut();
    let mut session = Session::new(0);
    session.db = db;
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    shard.run(&mut NoHost, &mut session, Args::new(&words), &mut out);
    String::from_utf8_lossy(&out).replace("\r\n", " ").trim_end().to_string()
}

/// Reflected CRC with a polynomial: bit by bit.
fn crc(polynomial: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (polynomial & (c & 1).wrapping_neg()))
    })
}

const IEEE: u32 = 0xedb8_8320;
const CASTAGNOLI: u32 = 0x82f6_3b78;

fn bytes32(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn count(n: u32) -> Vec<u8> {
    n.to_le_bytes().to_vec()
}

/// §5.2: `type u8, bytes32 key, ttl_ms i64, value`.
fn entry(kind: u8, key: &str, ttl_ms: i64, value: &[u8]) -> Vec<u8> {
    [&[kind], &bytes32(key.as_bytes())[..], &ttl_ms.to_le_bytes(), value].concat()
}

/// Database 0 with a value of each type, database 2 with one key. Hashes end with times to live from version 3 on.
fn databases(trailer: bool) -> [Vec<Vec<u8>>; 2] {
    let s = |text: &str| bytes32(text.as_bytes());
    let mut hash = [count(2), s("f"), s("1"), s("g"), s("2")].concat();
    if trailer {
        hash.extend([count(1), s("g"), 4_000_000_000_000u64.to_le_bytes().to_vec()].concat());
    }
    let zset =
        [count(2), s("m"), 1.5f64.to_le_bytes().to_vec(), s("n"), (-2f64).to_le_bytes().to_vec()];
    let u64s = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let stream = [
        u64s(&[1, 7, 1]),
        u64s(&[7, 1]),
        [count(1), s("a"), s("b")].concat(),
        count(1),
        s("group"),
        u64s(&[7, 1]),
        count(1),
        u64s(&[7, 1]),
        s("worker"),
        u64s(&[1_600_000_000_000, 3]),
        count(1),
        s("worker"),
        u64s(&[1_600_000_000_000]),
        count(1),
        u64s(&[7, 1]),
    ];
    [
        vec![
            entry(0, "text", 0, &s("hello")),
            entry(0, "soon", 4_000_000_000_000, &s("42")),
            entry(1, "hash", 0, &hash),
            entry(2, "list", 0, &[count(2), s("x"), s("y")].concat()),
            entry(3, "set", 0, &[count(1), s("one")].concat()),
            entry(4, "zset", 0, &zset.concat()),
            entry(5, "stream", 0, &stream.concat()),
        ],
        vec![entry(0, "other", 0, &s("db two"))],
    ]
}

/// §5.1 and §5.2.
fn rrdshard(version: u8) -> Vec<u8> {
    let mut file =
        [&b"RRDSHARD"[..], &[version], &0u16.to_le_bytes(), &5u64.to_le_bytes()].concat();
    if version >= 2 {
        file.extend(0u64.to_le_bytes());
        file.extend(1_600_000_000_000u64.to_le_bytes());
    }
    for (db, entries) in [0u8, 2].into_iter().zip(databases(version >= 3)) {
        file.extend([0xfe, db]);
        let bytes = entries.concat();
        file.push(0xfd);
        file.extend([count(0), count(entries.len() as u32), bytes.clone()].concat());
        file.extend(crc(IEEE, &bytes).to_le_bytes());
    }
    file.push(0xff);
    let sum = crc(IEEE, &file);
    [file, sum.to_le_bytes().to_vec()].concat()
}

/// §7.6.
fn moon_rdb(version: u8) -> Vec<u8> {
    let mut file = [&b"MOON"[..], &[version]].concat();
    for (db, entries) in [0u8, 2].into_iter().zip(databases(version >= 2)) {
        file.extend([0xfe, db]);
        file.extend(entries.concat());
    }
    file.push(0xff);
    let sum = crc(IEEE, &file);
    [file, sum.to_le_bytes().to_vec()].concat()
}

fn command(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

fn commands(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| command(line)).collect()
}

/// §7.3; an empty line is a barrier.
fn frames(lines: &[(u64, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (lsn, line) in lines {
        let command = if line.is_empty() { Vec::new() } else { command(line) };
        bytes.extend(lsn.to_le_bytes());
        bytes.extend(bytes32(&command));
    }
    bytes
}

/// §3.1 and §3.2 without R1.
fn segment(base_lsn: u64, records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"RRDWAL");
    (file[6], file[7]) = (3, 1);
    file[28..36].copy_from_slice(&base_lsn.to_le_bytes());
    file[36..44].copy_from_slice(&(16u64 << 20).to_le_bytes());
    for (lsn, (kind, payload)) in (base_lsn..).zip(records) {
        file.extend(record(lsn, *kind, payload));
    }
    file.extend([0; 256]);
    file
}

fn record(lsn: u64, kind: u8, payload: &[u8]) -> Vec<u8> {
    let covered = [&lsn.to_le_bytes()[..], &[kind, 0, 0, 0], payload].concat();
    let len = (covered.len() + 8) as u32;
    [&len.to_le_bytes()[..], &covered, &crc(CASTAGNOLI, &covered).to_le_bytes()].concat()
}

/// That the keys of [`databases`] are there.
fn assert_values(source: &mut Source, trailer: bool) {
    for (db, line, want) in [
        (0, "GET text", "$5 hello"),
        (0, "PEXPIRETIME soon", ":4000000000000"),
        (0, "HGETALL hash", "*4 $1 f $1 1 $1 g $1 2"),
        (0, "LRANGE list 0 -1", "*2 $1 x $1 y"),
        (0, "SMEMBERS set", "*1 $3 one"),
        (0, "ZRANGE zset 0 -1 WITHSCORES", "*4 $1 n $2 -2 $1 m $3 1.5"),
        (0, "XRANGE stream - +", "*1 *2 $3 7-1 *2 $1 a $1 b"),
        (0, "XPENDING stream group", "*4 :1 $3 7-1 $3 7-1 *1 *2 $6 worker $1 1"),
        (2, "GET other", "$6 db two"),
    ] {
        assert_eq!(ask(source, db, line), want, "{line}");
    }
    let at = if trailer { ":4000000000000" } else { ":-1" };
    assert_eq!(ask(source, 0, "HPEXPIRETIME hash FIELDS 1 g"), format!("*1 {at}"));
}

#[test]
fn shards_with_snapshots_and_frames() {
    let dir = Dir::new("v2");
    let later = (1 << 63) | 9;
    dir.put(
        "appendonlydir/moon.aof.manifest",
        b"version 2\nseq 4\nshards 2\nshard 0 max_lsn 40\nshard 1 max_lsn 8\n",
    )
    .put("appendonlydir/shard-0/moon.aof.4.base.rdb", &rrdshard(3))
    .put(
        "appendonlydir/shard-0/moon.aof.4.incr.aof",
        &frames(&[
            (10, "APPEND text !"),
            (0, "SELECT 2"),
            (20, "SET two 2"),
            (0, ""),
            // Before what shard 1 says under a lower number.
            (later + 1, "APPEND log second"),
            (30, "DEL other"),
        ]),
    )
    .put(
        "appendonlydir/shard-1/moon.aof.4.base.rdb",
        b"RRDSHARD\x03\x01\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    )
    .put(
        "appendonlydir/shard-1/moon.aof.4.incr.aof",
        &frames(&[(0, "SELECT 2"), (later, "APPEND log first,")]),
    );
    // The end of the empty snapshot.
    let path = dir.0.join("appendonlydir/shard-1/moon.aof.4.base.rdb");
    let mut empty = fs::read(&path).expect("written");
    empty.push(0xff);
    let sum = crc(IEEE, &empty);
    fs::write(&path, [empty, sum.to_le_bytes().to_vec()].concat()).expect("written");
    let mut source = dir.whole();
    assert_eq!(ask(&mut source, 0, "GET text"), "$6 hello!");
    assert_eq!(ask(&mut source, 2, "GET two"), "$1 2");
    assert_eq!(ask(&mut source, 2, "EXISTS other"), ":0");
    assert_eq!(ask(&mut source, 2, "GET log"), "$12 first,second");
    assert_eq!(source.facts.keys(), 9);
}

#[test]
fn every_old_snapshot() {
    for version in 1..=3 {
        let dir = Dir::new(&format!("rrdshard-{version}"));
        let mut source = dir.put("shard-0.rrdshard", &rrdshard(version)).whole();
        assert_values(&mut source, version >= 3);
    }
    for version in 1..=2 {
        let dir = Dir::new(&format!("moon-{version}"));
        let mut source = dir.put("dump.rdb", &moon_rdb(version)).whole();
        assert_values(&mut source, version >= 2);
    }
}

#[test]
fn a_manifest_of_all_shards_and_a_single_file() {
    let incr = commands(&[
        "SELECT 2",
        "RPUSH queue a b",
        "MULTI",
        "SELECT 0",
        "SET text bye",
        "EXEC",
        "INCR n",
    ]);
    let dir = Dir::new("v1");
    dir.put(
        "appendonlydir/moon.aof.manifest",
        b"seq 2\nbase moon.aof.2.base.rdb\nincr moon.aof.2.incr.aof\n",
    )
    .put("appendonlydir/moon.aof.2.base.rdb", &moon_rdb(2))
    .put("appendonlydir/moon.aof.2.incr.aof", &incr);
    let single = Dir::new("single");
    single.put("appendonly.aof", &[moon_rdb(2), incr].concat());
    for dir in [dir, single] {
        let mut source = dir.whole();
        assert_eq!(ask(&mut source, 2, "LRANGE queue 0 -1"), "*2 $1 a $1 b");
        assert_eq!(ask(&mut source, 0, "GET text"), "$3 bye");
        assert_eq!(source.facts.keys(), 10);
    }
}

#[test]
fn planes_that_are_not_here_are_counted() {
    let set = command("SET wal 1");
    let records = vec![
        (0x01, set.clone()),
        (0x01, command("GRAPH.ADDNODE g 1 0 0")),
        // §3.6 rule 5: a whole record in the place of a command.
        (0x01, record(9, 0x60, &[&[7; 16][..], &bytes32(b"ws"), &[0; 8]].concat())),
        (0x71, [&[1][..], &count(0), &bytes32(b"q"), &[0; 16]].concat()),
        (
            0x53,
            [
                &1u64.to_le_bytes()[..],
                &count(3),
                &count(2),
                &[0],
                &bytes32(b"t"),
                &bytes32(b"v"),
                &[1],
                &bytes32(b"wal"),
            ]
            .concat(),
        ),
    ];
    let losses = |source: &Source| {
        source.facts.losses.iter().map(|(name, loss)| (*name, loss.count)).collect::<Vec<_>>()
    };
    // Without anything else the log is the data.
    let dir = Dir::new("wal");
    dir.put("shard-0/wal-v3/000000000001.wal", &segment(1, &records));
    let mut source = dir.open().unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(losses(&source), [("graph", 1), ("queue", 1), ("workspace", 1)]);
    assert_eq!(ask(&mut source, 0, "GET wal"), "$1 1", "another database was meant");
    assert_eq!(ask(&mut source, 3, "GET t"), "$1 v");
    // Beside an append-only file it says nothing of keys.
    let files = Dir::new("wal-aof");
    files
        .put("shard-0/wal-v3/000000000001.wal", &segment(1, &records))
        .put("shard-0/data/heap-000001.mpf", b"")
        .put("appendonly.aof", &commands(&["SELECT 0", "SET only this"]));
    let mut source = files.open().unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(losses(&source), [("cold", 1), ("graph", 1), ("queue", 1), ("workspace", 1)]);
    assert_eq!((source.facts.keys(), ask(&mut source, 0, "GET only")), (1, "$4 this".into()));
    // Beside a snapshot nobody can tell what it holds of them.
    let saved = Dir::new("wal-snapshot");
    saved
        .put("shard-0/wal-v3/000000000001.wal", &segment(1, &[(0x01, set)]))
        .put("shard-0/shard-0.rrdshard", &rrdshard(2));
    let source = saved.open().unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(losses(&source), [("log", 1)]);
}

#[test]
fn what_is_left_behind_has_names_and_some_stand_for_two_things() {
    use moon_formats::testing::{sample_text_indexes, sample_vector_indexes};
    let dir = Dir::new("names");
    let graphs = |names: &[&str]| {
        let list: Vec<String> =
            names.iter().map(|name| format!("{{\"name\":\"{name}\"}}")).collect();
        format!("{{\"graphs\":[{}],\"snapshot_lsn\":1}}", list.join(","))
    };
    // The database of the second file is another one.
    let mut other = sample_vector_indexes(4);
    *other.last_mut().expect("a database") = 5;
    let records = vec![(0x01, command("GRAPH.CREATE logged"))];
    dir.put("shard-0/graph_metadata.json", graphs(&["social", "both"]).as_bytes())
        .put("shard-1/graph_metadata.json", graphs(&["both"]).as_bytes())
        .put("shard-0/vector-indexes.meta", &sample_vector_indexes(4))
        .put("shard-1/vector-indexes.meta", &other)
        .put("text-indexes.meta", &sample_text_indexes(2))
        .put("shard-0/graph_social/segment.csr", b"")
        .put("shard-0/wal-v3/000000000001.wal", &segment(1, &records))
        .put(
            "appendonly.aof",
            &commands(&["SELECT 2", "SET social 1", "SET logged 1", "SET free 1"]),
        );
    let facts = dir.open().unwrap_or_else(|e| panic!("{}", e.message)).facts;
    let losses: Vec<_> = facts.losses.iter().map(|(name, loss)| (*name, loss.count)).collect();
    assert_eq!(losses, [("graph", 5), ("search", 2), ("vector", 4)]);
    let names: Vec<&str> = facts.collisions.iter().map(|found| &*found.name).collect();
    let text = |name: &str| {
        let found = facts.collisions.iter().find(|found| found.name == name);
        found.map(|found| found.text.clone()).unwrap_or_else(|| panic!("{name} in {names:?}"))
    };
    assert!(text("both").contains("shard-0/graph_metadata.json and in"), "{}", text("both"));
    assert_eq!(text("social"), "a graph, and a key of database 2");
    assert_eq!(text("logged"), "a graph, and a key of database 2");
    assert!(text("").contains("{3, 5}"), "{}", text(""));
    assert_eq!(facts.collisions.len(), 4, "{names:?}");
    // A file that says nothing is a loss with its path.
    let dir = Dir::new("no-names");
    dir.put("vector-indexes.meta", b"VMIX")
        .put("text-indexes.meta", b"TMIX\x09\x00\x00\x00")
        .put("graph_metadata.json", b"[]")
        .put("appendonly.aof", &commands(&["SELECT 0", "SET a 1"]));
    let facts = dir.open().unwrap_or_else(|e| panic!("{}", e.message)).facts;
    for plane in ["graph", "search", "vector"] {
        let loss = &facts.losses[plane];
        assert!(loss.count == 1 && loss.text.contains("cannot be read"), "{plane}: {}", loss.text);
        assert!(loss.example.contains("no-names"), "{}", loss.example);
    }
    assert!(facts.collisions.is_empty());
}

#[test]
fn a_log_with_a_hole_is_damage() {
    let dir = Dir::new("hole");
    let set = |n: u64| (0x01, command(&format!("SET k {n}")));
    let mut first = segment(1, &[set(1), set(2)]);
    first[80] ^= 1;
    dir.put("shard-0/wal-v3/000000000001.wal", &first)
        .put("shard-0/wal-v3/000000000002.wal", &segment(3, &[set(3)]));
    assert!(dir.refused(70).contains("000000000001.wal"));
}

#[test]
fn files_that_contradict_each_other_are_both_named() {
    let dir = Dir::new("two");
    dir.put("appendonly.aof", &commands(&["SET a 1"])).put("dump.rdb", &moon_rdb(1));
    let set = |name: &str, ago: u64| {
        let file = fs::File::options().write(true).open(dir.0.join(name)).expect("there");
        file.set_modified(SystemTime::now() - Duration::from_secs(ago)).expect("set");
    };
    set("appendonly.aof", 100);
    set("dump.rdb", 50);
    let said = dir.refused(2);
    assert!(said.contains("appendonly.aof") && said.contains("dump.rdb"), "{said}");
    // An older snapshot is what it always is: something from before.
    set("dump.rdb", 200);
    assert_eq!(dir.whole().facts.keys(), 1);
}

#[test]
fn what_is_cut_or_missing_is_a_loss_and_what_is_wrong_is_damage() {
    let manifest = b"version 2\nseq 1\nshards 1\nshard 0 max_lsn 0\n";
    let (base, incr) =
        ("appendonlydir/shard-0/moon.aof.1.base.rdb", "appendonlydir/shard-0/moon.aof.1.incr.aof");
    let dir = Dir::new("cut");
    let bytes = frames(&[(1, "SET a 1"), (2, "SET b 2")]);
    dir.put("appendonlydir/moon.aof.manifest", manifest).put(incr, &bytes[..bytes.len() - 1]);
    let mut source = dir.open().unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(source.facts.losses.keys().copied().collect::<Vec<_>>(), ["base", "tail"]);
    assert_eq!((ask(&mut source, 0, "GET a"), source.facts.keys()), ("$1 1".into(), 1));
    let mut wrong = bytes.clone();
    wrong[13] = b'x';
    assert!(dir.put(incr, &wrong).refused(70).contains("moon.aof.1.incr.aof"));
    let mut flipped = rrdshard(3);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    assert!(dir.put(incr, b"").put(base, &flipped).refused(70).contains("moon.aof.1.base.rdb"));
    let guard = moon_formats::aof::encode_guard(1);
    let said = dir.put("appendonlydir/moon.aof.manifest", guard.as_bytes()).refused(2);
    assert!(said.contains("moon.storage"), "{said}");
}

#[test]
fn keys_of_several_shards_are_told() {
    let dir = Dir::new("twice");
    dir.put("shard-0.rrdshard", &rrdshard(2)).put("shard-1.rrdshard", &rrdshard(3));
    let source = dir.open().unwrap_or_else(|e| panic!("{}", e.message));
    let twice = source.facts.losses.get("twice").expect("named");
    assert_eq!((twice.count, twice.example.as_str()), (8, "db 0 text"));
    assert_eq!((source.facts.losses.len(), source.facts.keys()), (1, 8));
}
