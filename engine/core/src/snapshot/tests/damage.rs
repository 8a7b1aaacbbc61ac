//! Files that no server writes are refused.

use super::*;
use moon_formats::rrdshard::{HASH_END, Item, Key, Section};
use moon_formats::value::{ValueType, put_elements, put_string};

fn key(key: &[u8]) -> Key<'_> {
    Key { key, expire_ms: None, access: None }
}

fn file(f: impl FnOnce(&mut Encoder, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&preamble(), &extension(false), &mut out);
    encoder.select(0, &mut out);
    encoder.begin(0);
    f(&mut encoder, &mut out);
    encoder.finish(&mut out).expect("whole");
    out
}

fn refusal(file: &[u8]) -> LoadError {
    match load(file) {
        Err(Bad::Load(e)) => e,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it loads"),
    }
}

fn string(out: &mut Vec<u8>) -> ValueType {
    put_string(out, b"v");
    ValueType::String
}

#[test]
fn a_key_comes_once() {
    let file = file(|encoder, out| {
        encoder.entry(&key(b"a"), string).expect("fits");
        encoder.entry(&key(b"a"), string).expect("fits");
        encoder.end(HASH_END, out);
    });
    assert_eq!(refusal(&file), LoadError::Duplicate { db: 0, key: b"a".to_vec() });
}

#[test]
fn values_must_make_sense() {
    let members: [&[&[u8]]; 2] = [&[b"x", b"x"], &[]];
    for members in members {
        let file = file(|encoder, out| {
            let set = |body: &mut Vec<u8>| {
                put_elements(body, members.iter().copied());
                ValueType::Set
            };
            encoder.entry(&key(b"a"), set).expect("fits");
            encoder.end(HASH_END, out);
        });
        assert_eq!(refusal(&file), LoadError::Value { db: 0, key: b"a".to_vec() });
    }
}

#[test]
fn the_body_of_a_large_value_must_decode() {
    let file = file(|encoder, out| {
        let id = encoder.large(&key(b"a"), ValueType::List).expect("fits");
        encoder.end(HASH_END, out);
        encoder.chunk(id, &[1, 0, 0, 0, 9], true, out);
    });
    assert!(matches!(refusal(&file), LoadError::Body { .. }));
}

/// The decoder refuses such a file as well; whoever else hands items in gets the same answer.
#[test]
fn unknown_sections_are_refused_if_required() {
    let of = |section, version, flags| {
        let payload = b"?".as_slice();
        let item = Section { section, version, flags, stored_len: 1, payload, offset: 0 };
        Loader::new(&mut One::new().shard).item(&Item::Section(item))
    };
    let refused = |section, version| Err(LoadError::Section { section, version });
    assert_eq!(of(4, 1, section::REQUIRED), refused(4, 1));
    assert_eq!(of(section::FUNCTIONS, 2, section::REQUIRED), refused(section::FUNCTIONS, 2));
    assert_eq!(of(4, 1, 0), Ok(()));
    assert_eq!(of(section::FILES, section::VERSION, section::REQUIRED), Ok(()));
}

#[test]
fn libraries_must_load() {
    let file = file(|encoder, out| {
        encoder.end(HASH_END, out);
        let mut payload = Vec::new();
        section::put_functions(&mut payload, [b"not a library".as_slice()].into_iter());
        encoder.section(section::FUNCTIONS, section::VERSION, section::REQUIRED, &payload, out);
    });
    assert!(matches!(refusal(&file), LoadError::Library(_)));
}

#[test]
fn there_must_be_an_end_and_room() {
    let mut one = One::new();
    assert_eq!(Loader::new(&mut one.shard).finish(), Err(LoadError::Unfinished));
    let config = ShardConfig { databases: 1, ..ShardConfig::default() };
    let mut small = Shard::new(table(), &config);
    one.must("SELECT 2");
    one.must("SET a 1");
    let mut file = Vec::new();
    one.cut();
    one.fill_up(&mut file);
    let refused = load_into(&mut small, &file);
    assert!(
        matches!(refused, Err(Bad::Load(LoadError::Database { db: 2, databases: 1 }))),
        "{refused:?}"
    );
}
