//! Goal: what a plane holds comes back from section and records, exactly as of the cut; what is not known
//! is refused or rebuilt. Method: two toy planes, one required, one derived from the keys.

use super::*;
use crate::clock::Now;
use crate::command::CommandTable;
use crate::commands::GROUPS;
use crate::exec::ShardConfig;
use crate::journal::EffectSink;
use crate::snapshot::{Fill, LoadError, Loader};
use moon_formats::bytes::{Put, Reader};
use moon_formats::rrdshard::{Decoder, Encoder, Extension, Item, Preamble, VERSION, file_flags};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::OnceLock;

fn table() -> &'static CommandTable {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    TABLE.get_or_init(|| CommandTable::new(GROUPS))
}

const QUEUE: u16 = 5;
const INDEX: u16 = 3;

/// Numbers by name, set by records.
#[derive(Default)]
struct Counters(BTreeMap<Vec<u8>, u64>);

impl Plane for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    fn records(&self) -> &'static [RecordType] {
        &[RecordType::MqPush]
    }

    fn section(&self) -> PlaneSection {
        PlaneSection { code: QUEUE, version: 2, derived: false }
    }

    fn save(&self) -> Vec<Vec<u8>> {
        // A payload each, as a large plane would.
        let one = |(name, n): (&Vec<u8>, &u64)| {
            let mut out = Vec::new();
            out.put_bytes32(name);
            out.put_u64(*n);
            out
        };
        self.0.iter().map(one).collect()
    }

    fn load(&mut self, _: u16, payload: &[u8], offset: u64) -> Result<(), DecodeError> {
        let mut r = Reader::new(payload, offset);
        let (name, n) = (r.bytes32("name")?.to_vec(), r.u64("number")?);
        r.finish("counter")?;
        self.0.insert(name, n);
        Ok(())
    }

    fn apply(&mut self, _: RecordType, _: u16, payload: &[u8]) -> Result<(), ApplyError> {
        let Some((n, name)) = payload.split_first() else {
            return Err(ApplyError { cause: "a counter without a number".into() });
        };
        self.0.insert(name.to_vec(), u64::from(*n));
        Ok(())
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn floor(&self) -> Option<u64> {
        self.0.get(b"floor".as_slice()).copied()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// How many keys there are, made from them.
#[derive(Default)]
struct KeyCount {
    keys: u64,
    rebuilds: u32,
}

impl Plane for KeyCount {
    fn name(&self) -> &'static str {
        "key count"
    }

    fn records(&self) -> &'static [RecordType] {
        &[RecordType::VectorCheckpoint]
    }

    fn section(&self) -> PlaneSection {
        PlaneSection { code: INDEX, version: 1, derived: true }
    }

    fn save(&self) -> Vec<Vec<u8>> {
        vec![self.keys.to_le_bytes().to_vec()]
    }

    fn load(&mut self, _: u16, payload: &[u8], offset: u64) -> Result<(), DecodeError> {
        let mut r = Reader::new(payload, offset);
        self.keys = r.u64("keys")?;
        r.finish("key count")
    }

    fn apply(&mut self, _: RecordType, _: u16, _: &[u8]) -> Result<(), ApplyError> {
        Ok(())
    }

    fn clear(&mut self) {
        self.keys = 0;
    }

    fn rebuild(&mut self, dbs: &[Db]) {
        self.keys = dbs.iter().map(|db| db.len() as u64).sum();
        self.rebuilds += 1;
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

const BOTH: &[NewPlane] = &[|| Box::<Counters>::default(), || Box::<KeyCount>::default()];

fn shard(planes: &'static [NewPlane]) -> Shard {
    let config = ShardConfig { databases: 2, planes, ..ShardConfig::default() };
    let mut shard = Shard::new(table(), &config);
    shard.set_now(Now::new(1_700_000_000_000_000, 1));
    shard
}

fn set(shard: &mut Shard, key: &str) {
    let effect = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1\r\n1\r\n", key.len());
    shard.apply(0, 0, effect.as_bytes()).expect("applies");
}

fn count(shard: &mut Shard, n: u8, name: &str) {
    let payload = [&[n], name.as_bytes()].concat();
    shard.change_plane(RecordType::MqPush, 0, &payload).expect("applies");
}

fn counters(shard: &mut Shard) -> Vec<(String, u64)> {
    let plane = shard.plane::<Counters>().expect("registered");
    plane.0.iter().map(|(name, n)| (String::from_utf8_lossy(name).into_owned(), *n)).collect()
}

fn head() -> (Preamble, Extension) {
    let preamble =
        Preamble { version: VERSION, shard_id: 0, epoch: 1, last_lsn: 9, created_at_ms: 1 };
    let extension = Extension {
        flags: file_flags::SELF_CONTAINED,
        features: 0,
        storage_uuid: [1; 16],
        timeline: 1,
        base_seq: 1,
        last_gtid: 0,
        wal_first_seq: 1,
        mono_us: 1,
        shards: 1,
        databases: 2,
        align_log2: 12,
    };
    (preamble, extension)
}

/// A snapshot, with changes between the cut and its end.
fn snapshot(shard: &mut Shard, meanwhile: impl FnOnce(&mut Shard)) -> Vec<u8> {
    let (preamble, extension) = head();
    shard.begin_snapshot(&preamble, &extension).expect("begins");
    meanwhile(shard);
    let mut file = Vec::new();
    loop {
        match shard.fill_snapshot(&mut file, 4096) {
            Fill::More => {}
            Fill::End(_) => return file,
            other => panic!("{other:?}"),
        }
    }
}

fn load(file: &[u8], planes: &'static [NewPlane]) -> Result<Shard, LoadError> {
    let mut fresh = shard(planes);
    let mut loader = Loader::new(&mut fresh);
    let mut decoder = Decoder::new();
    decoder.planes(loader.sections());
    decoder.feed(file);
    decoder.close();
    while let Some(item) = decoder.next().map_err(LoadError::Payload)? {
        loader.item(&item)?;
        if matches!(item, Item::End(_)) {
            break;
        }
    }
    loader.finish()?;
    Ok(fresh)
}

/// A snapshot without keys that has one section.
fn with_section(code: u16, version: u16, flags: u32, payload: &[u8]) -> Vec<u8> {
    let (preamble, extension) = head();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&preamble, &extension, &mut file);
    encoder.section(code, version, flags, payload, &mut file);
    encoder.finish(&mut file).expect("whole");
    file
}

#[derive(Default)]
struct Sink(RefCell<Vec<(RecordType, Vec<u8>)>>);

impl EffectSink for Sink {
    fn append(&self, record: RecordType, _: u8, _: u16, payload: &[u8]) -> u64 {
        self.0.borrow_mut().push((record, payload.to_vec()));
        self.last_lsn()
    }

    fn last_lsn(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn admit(&self, _: bool) -> CmdResult {
        Ok(())
    }
}

#[test]
fn a_plane_comes_back_as_of_the_cut_and_goes_on_by_its_records() {
    let mut old = shard(BOTH);
    let sink = Rc::new(Sink::default());
    old.journal.attach(sink.clone());
    set(&mut old, "a");
    set(&mut old, "b");
    count(&mut old, 1, "one");
    count(&mut old, 2, "two");
    assert_eq!(old.rebuild_planes(), ["key count"]);
    let before = sink.0.borrow().len();
    let file = snapshot(&mut old, |shard| {
        count(shard, 9, "two");
        count(shard, 3, "three");
    });
    let mut new = load(&file, BOTH).expect("loads");
    assert_eq!(counters(&mut new), [("one".into(), 1), ("two".into(), 2)]);
    for (record, payload) in &sink.0.borrow()[before..] {
        new.apply_record(record.code(), 0, 0, payload).expect("applies");
    }
    assert_eq!(counters(&mut new), counters(&mut old));
    assert_eq!(counters(&mut new).len(), 3);
    // Its section was whole: the derived plane is not made again.
    assert_eq!(new.rebuild_planes(), [""; 0]);
    let keys = new.plane::<KeyCount>().map(|p| (p.keys, p.rebuilds));
    assert_eq!(keys, Some((2, 0)));
}

#[test]
fn floors_are_those_of_the_planes() {
    let mut shard = shard(BOTH);
    assert_eq!(shard.plane_floor(), None);
    count(&mut shard, 40, "floor");
    assert_eq!(shard.plane_floor(), Some(40));
}

#[test]
fn what_is_required_and_not_known_is_refused() {
    let newer = |loaded: Result<Shard, LoadError>| match loaded {
        Err(LoadError::Payload(e)) => e.is_newer(),
        _ => false,
    };
    let required = with_section(QUEUE, 1, section::REQUIRED, b"");
    assert!(newer(load(&required, &[])));
    // Of a later version than the plane reads.
    let later = with_section(QUEUE, 3, section::REQUIRED, b"");
    assert!(newer(load(&later, BOTH)));
    let damaged = with_section(QUEUE, 1, section::REQUIRED, b"x");
    assert!(matches!(load(&damaged, BOTH), Err(LoadError::Payload(e)) if !e.is_newer()));
    // A record without its plane, and records of the log itself.
    let mut none = shard(&[]);
    let error = none.apply_record(RecordType::MqPush.code(), 0, 0, b"\x01x").expect_err("refused");
    assert!(error.cause.contains("MqPush"), "{error}");
    none.apply_record(RecordType::Checkpoint.code(), 0, 0, b"").expect("is the log's own");
    assert!(none.change_plane(RecordType::MqPush, 0, b"\x01x").is_err());
}

#[test]
fn what_is_derived_is_dropped_and_rebuilt() {
    for (version, payload) in [(2, b"later".as_slice()), (1, b"damaged"), (1, b"")] {
        let file = with_section(INDEX, version, 0, payload);
        let mut new = load(&file, BOTH).expect("loads");
        set(&mut new, "a");
        assert_eq!(new.rebuild_planes(), ["key count"]);
        let keys = new.plane::<KeyCount>().map(|p| (p.keys, p.rebuilds));
        assert_eq!(keys, Some((1, 1)), "version {version}");
        assert_eq!(new.rebuild_planes(), [""; 0], "once");
    }
    // Nobody's, and not required.
    load(&with_section(INDEX, 1, 0, b"x"), &[]).expect("loads");
}

#[test]
#[should_panic(expected = "claim the same records")]
fn a_record_belongs_to_one_plane() {
    shard(&[|| Box::<Counters>::default(), || Box::<Counters>::default()]);
}
