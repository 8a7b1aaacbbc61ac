//! Data directories made by the log writer itself, with a clock of their own, and the tool run
//! on them.

#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use moon_formats::aof::{Base, PartList, Timeline, encode_guard};
use moon_formats::marker::Marker;
use moon_formats::resp::encode_command;
use moon_formats::rrdshard::{Encoder, Extension, HASH_END, Key, Preamble, file_flags};
use moon_formats::testing::sample_head;
use moon_formats::value::{self, ValueType};
use moon_formats::wal::body::{Payload, RestorePoint, TemporalUpsert};
use moon_formats::wal::{BeforeImage, DB_NONE, EffectMeta, record_flags};
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;
use moon_storage::io::{LocalFuture, Runtime};
use moon_storage::log::{Log, LogConfig, Policy};
use moon_storage::recovery::{RecoveredEnd, recover};
use moon_storage::scan::{ScanOptions, Verify};

/// Preallocated bytes of a segment.
pub(crate) const SEGMENT: u64 = 64 << 10;

/// A directory that goes away with the value.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let n = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("moon-inspect-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory");
        TempDir(dir)
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.0.join("shard-0/wal-v3")
    }

    pub(crate) fn bases(&self) -> PathBuf {
        self.0.join("appendonlydir/shard-0")
    }

    pub(crate) fn segment(&self, seq: u64) -> PathBuf {
        self.wal().join(format!("{seq:012}.wal"))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A runtime whose wall clock is set by the test.
struct Clock {
    rt: LocalRuntime,
    wall_us: Rc<Cell<i64>>,
}

impl Runtime for Clock {
    fn mono_us(&self) -> u64 {
        self.rt.mono_us()
    }
    fn wall_us(&self) -> i64 {
        self.wall_us.get()
    }
    fn sleep_us(&self, us: u64) -> LocalFuture<'static, ()> {
        self.rt.sleep_us(us)
    }
    fn spawn(&self, task: LocalFuture<'static, ()>) {
        self.rt.spawn(task);
    }
    fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        self.rt.offload(job);
    }
}

/// A log that is being written.
pub(crate) struct Writer {
    pub(crate) rt: LocalRuntime,
    pub(crate) log: Log,
    pub(crate) wall_us: Rc<Cell<i64>>,
}

impl Writer {
    /// Opens the log of shard 0 behind what is there.
    pub(crate) fn open(dir: &TempDir) -> Writer {
        let rt = LocalRuntime::new().expect("a runtime");
        // 2026-01-01T00:00:00Z
        let wall_us = Rc::new(Cell::new(1_767_225_600_000_000));
        let clock: Rc<dyn Runtime> =
            Rc::new(Clock { rt: rt.clone(), wall_us: Rc::clone(&wall_us) });
        let disk = Rc::new(PosixDisk::new());
        let cfg = LogConfig {
            policy: Policy::EverySec,
            segment_bytes: SEGMENT,
            batch_bytes_max: 16 << 10,
            // The disk of whoever runs the tests may be nearly full.
            disk_free_min_pct: 0,
            ..LogConfig::default()
        };
        let opts = ScanOptions { shard: Some(0), ..ScanOptions::default() };
        let log = rt.block_on(async {
            let end = match dir.wal().exists() {
                true => recover(&*disk, &dir.wal(), &opts, &mut Verify).await.expect("recovers"),
                false => RecoveredEnd::fresh(1),
            };
            Log::open(disk, clock, dir.wal(), cfg, &end).await.expect("the log opens")
        });
        Writer { rt, log, wall_us }
    }

    pub(crate) fn append(&self, code: u8, flags: u8, db: u16, payload: &[u8]) {
        self.log.append(code, flags, db, payload);
    }

    /// A record with one effect.
    pub(crate) fn command(&self, db: u16, words: &[&[u8]]) {
        let mut payload = Vec::new();
        encode_command(&mut payload, words.iter().copied());
        self.append(1, 0, db, &payload);
    }

    pub(crate) fn flush(&self) {
        self.wall_us.set(self.wall_us.get() + 10_000);
        self.log.flush();
        self.rt.run_ready();
    }

    pub(crate) fn sync(&self) {
        self.flush();
        self.rt.block_on(self.log.sync()).expect("synced");
    }

    pub(crate) fn shutdown(self) {
        self.rt.block_on(self.log.shutdown()).expect("shut down");
        self.kill();
    }

    /// Ends without a word, as a killed process does.
    pub(crate) fn kill(self) {
        self.rt.shutdown();
    }
}

/// One record of many kinds, two sync groups, a clock step, a clean end.
pub(crate) fn golden(dir: &TempDir) {
    let w = Writer::open(dir);
    w.command(0, &[b"SET", b"greeting", b"hello\r\nworld"]);
    w.command(3, &[b"HSET", b"h", b"\xff\x00", &[b'v'; 100]]);
    w.flush();
    let mut unit = Vec::new();
    let mut resp = Vec::new();
    encode_command(&mut resp, [&b"SET"[..], b"k", b"1"].into_iter());
    encode_command(&mut resp, [&b"DEL"[..], b"greeting"].into_iter());
    unit.extend((resp.len() as u32).to_le_bytes());
    unit.extend(&resp);
    EffectMeta { created: true, ..EffectMeta::default() }.put(&mut unit);
    let image = BeforeImage { kind: 0, ttl_ms: None, body: Some(b"old") };
    EffectMeta { removed: true, before: Some(image), ..EffectMeta::default() }.put(&mut unit);
    w.append(1, record_flags::EFFECT_META, 0, &unit);
    w.sync();
    // The clock is set back by a minute.
    w.wall_us.set(w.wall_us.get() - 60_000_000);
    let mut payload = Vec::new();
    TemporalUpsert { key: b"t", valid_from: 1, system_from: 2, value: b"v" }.put(&mut payload);
    w.append(0x35, 0, 1, &payload);
    payload.clear();
    RestorePoint { gtid: 9, wall_us: 1_767_225_600_500_000, name: b"before-upgrade" }
        .put(&mut payload);
    w.append(0x21, record_flags::INTERNAL, DB_NONE, &payload);
    w.append(0xc1, 0, 0, b"of a newer Moon");
    w.sync();
    w.shutdown();
    for entry in fs::read_dir(dir.wal()).expect("readable") {
        // Whether a spare segment was prepared in time is a matter of chance.
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|e| e == "tmp") {
            fs::remove_file(path).expect("removed");
        }
    }
    fs::write(dir.wal().join("idle-7.tmp"), "recycled").expect("written");
}

/// Some segments of plain commands, `synced` groups, then a clean end or none.
pub(crate) fn long(dir: &TempDir, groups: usize, clean: bool) {
    let w = Writer::open(dir);
    for group in 0..groups {
        for i in 0..8 {
            let key = format!("key:{group}:{i}");
            w.command(0, &[b"SET", key.as_bytes(), &[b'x'; 1500]]);
        }
        w.sync();
    }
    match clean {
        true => w.shutdown(),
        false => w.kill(),
    }
}

/// The bytes of a base of shard 0 with a few keys, and its line in the part list.
pub(crate) fn base(seq: u64, cut: u64) -> (Vec<u8>, Base) {
    let preamble = Preamble {
        version: 4,
        shard_id: 0,
        epoch: seq,
        last_lsn: cut,
        created_at_ms: 1_767_225_600_000,
    };
    let extension = Extension {
        flags: file_flags::SELF_CONTAINED,
        features: 0,
        storage_uuid: [0xab; 16],
        timeline: 1,
        base_seq: seq,
        last_gtid: 0,
        wal_first_seq: 1,
        mono_us: 1_767_225_600_000_000,
        shards: 1,
        databases: 16,
        align_log2: 12,
    };
    let mut bytes = Vec::new();
    let mut w = Encoder::new(&preamble, &extension, &mut bytes);
    w.select(0, &mut bytes);
    w.begin(0);
    let key = |key, expire_ms| Key { key, expire_ms, access: None };
    w.entry(&key(b"greeting", None), |out| {
        value::put_string(out, format!("hello {seq}").as_bytes());
        ValueType::String
    })
    .expect("fits");
    w.entry(&key(b"visits", Some(1_800_000_000_000)), |out| {
        value::put_string(out, b"41");
        ValueType::String
    })
    .expect("fits");
    w.end(HASH_END, &mut bytes);
    let summary = w.finish(&mut bytes).expect("whole");
    (bytes, Base { seq, cut, bytes: summary.bytes, crc: summary.crc })
}

/// A snapshot of many keys, in ranges of a hundred.
pub(crate) fn many_keys(keys: usize) -> Vec<u8> {
    let (preamble, extension) = sample_head(false);
    let mut bytes = Vec::new();
    let mut w = Encoder::new(&preamble, &extension, &mut bytes);
    w.select(0, &mut bytes);
    let ranges = keys.div_ceil(100);
    for range in 0..ranges {
        w.begin(range as u64);
        for i in range * 100..(range * 100 + 100).min(keys) {
            let name = format!("key:{i}");
            let key = Key { key: name.as_bytes(), expire_ms: None, access: None };
            w.entry(&key, |out| {
                value::put_string(out, &[b'x'; 80]);
                ValueType::String
            })
            .expect("fits");
        }
        w.end(if range + 1 == ranges { HASH_END } else { range as u64 + 1 }, &mut bytes);
    }
    w.finish(&mut bytes).expect("whole");
    bytes
}

/// A data directory with a marker, a log, a guard, a base that is listed and one that is not.
pub(crate) fn data_dir() -> TempDir {
    let dir = TempDir::new();
    golden(&dir);
    let marker = Marker {
        uuid: [0xab; 16],
        shards: 1,
        databases: 16,
        created_ms: 1_767_225_600_000,
        extra: vec![],
    };
    fs::write(dir.0.join("moon.storage"), marker.encode()).expect("written");
    fs::write(dir.0.join("moon.lock"), "1\n").expect("written");
    let bases = dir.bases();
    fs::create_dir_all(&bases).expect("made");
    fs::write(dir.0.join("appendonlydir/moon.aof.manifest"), encode_guard(1)).expect("written");
    let (old, _) = base(1, 1);
    let (new, listed) = base(2, 2);
    let parts = PartList {
        shard: 0,
        base: Some(listed),
        history: vec![],
        log_from_lsn: 1,
        log_from_seq: 1,
        ended: None,
        timelines: vec![Timeline { epoch: 1, from_lsn: 1, forked_at: None }],
        salvaged: vec![],
        extra: vec![],
    };
    fs::write(bases.join("moon.aof.manifest"), parts.encode()).expect("written");
    fs::write(bases.join("moon.aof.1.base.rdb"), old).expect("written");
    fs::write(bases.join("moon.aof.2.base.rdb"), new).expect("written");
    fs::write(bases.join("moon.aof.3.base.rdb.tmp"), "half").expect("written");
    fs::write(dir.0.join("shard-0/notes.txt"), "mine").expect("written");
    fs::create_dir(dir.0.join("shard-4")).expect("made");
    dir
}

/// Changes a byte of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("readable");
    bytes[at] ^= 0x55;
    fs::write(path, bytes).expect("writable");
}

/// Runs the tool.
pub(crate) fn inspect(args: &[&str], path: &Path) -> Output {
    Command::new(option_env!("CARGO_BIN_EXE_moon-inspect").unwrap_or("moon-inspect"))
        .args(args)
        .arg(path)
        .output()
        .expect("the tool runs")
}

/// Exit code and both outputs, without the path of the temporary directory.
pub(crate) fn shown(dir: &TempDir, args: &[&str], path: &Path) -> String {
    let output = inspect(args, path);
    let code = output.status.code().expect("an exit code");
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec())
            .expect("output is UTF-8")
            .replace(&dir.0.display().to_string(), "DIR")
    };
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let err: String = err.lines().map(|l| format!("! {l}\n")).collect();
    format!("$ moon-inspect {}\n{out}{err}exit {code}\n", args.join(" "))
}

/// Compares with `tests/snapshots/<name>.txt`; `UPDATE_SNAPSHOTS=1` writes it.
pub(crate) fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, text).expect("writable");
        return;
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, want, "differs from {}", path.display());
}
