//! Round trips, prefixes, lying counts, and the trailers of older layouts.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Decodes, encodes again, compares bytes; gives the text form.
fn check(code: u8, body: &[u8]) -> String {
    let value = Value::decode(body, code, 0).unwrap();
    assert_eq!(value.value_type().code(), code);
    let mut again = Vec::new();
    value.put(&mut again);
    assert_eq!(again, body);
    value.to_string()
}

/// Every proper prefix is an error (and no panic); one byte more is an error too.
fn check_ends(code: u8, body: &[u8]) {
    for cut in 0..body.len() {
        assert!(Value::decode(&body[..cut], code, 0).is_err(), "type {code} cut at {cut}");
    }
    let mut longer = body.to_vec();
    longer.push(0);
    assert!(Value::decode(&longer, code, 0).is_err());
}

/// A stream of type 6 with every part filled.
pub(crate) fn sample_stream() -> Vec<u8> {
    let id = |ms, seq| StreamId { ms, seq };
    let groups = [Group {
        name: b"g",
        last_delivered: id(1, 1),
        pel: vec![PelEntry { id: id(1, 1), consumer: b"c", delivery_ms: 5, deliveries: 2 }],
        consumers: vec![Consumer { name: b"c", seen_ms: 6, pending: vec![id(1, 1)], active_ms: 7 }],
        entries_read: 1,
    }];
    let mut out = Vec::new();
    put_stream_head(&mut out, 1, id(9, 0));
    put_stream_entry(&mut out, id(1, 1), [(&b"f"[..], &b"v"[..])].into_iter());
    put_stream_groups(&mut out, &groups);
    let ext =
        StreamExt { entries_added: 3, max_deleted: id(0, 4), first: id(1, 1), durable_queue: true };
    put_stream_ext(&mut out, &ext, &groups);
    out
}

#[test]
fn bodies_and_their_text() {
    let mut out = Vec::new();
    put_string(&mut out, b"a\n");
    assert_eq!(check(0, &out), r#"string "a\n""#);
    check_ends(0, &out);

    out.clear();
    put_hash(
        &mut out,
        [(&b"f"[..], &b"v"[..]), (b"g", b"")].into_iter(),
        [(&b"g"[..], 1000)].into_iter(),
    );
    assert_eq!(check(1, &out), r#"hash 2 "f"="v" "g"="" "g" expires 1000"#);
    check_ends(1, &out);

    out.clear();
    put_elements(&mut out, [&b"x"[..], b""].into_iter());
    assert_eq!(check(2, &out), r#"list 2 "x" """#);
    assert_eq!(check(3, &out), r#"set 2 "x" """#);
    check_ends(2, &out);

    out.clear();
    put_scored(&mut out, [(&b"m"[..], -0.5), (b"n", f64::INFINITY)].into_iter());
    assert_eq!(check(4, &out), r#"zset 2 "m"=-0.5 "n"=inf"#);
    check_ends(4, &out);

    let out = sample_stream();
    assert_eq!(
        check(6, &out),
        r#"stream 1 last 9-0 1-1("f"="v") group "g" at 1-1 read 1 pending 1-1 of "c" since 5 x2 consumer "c" seen 6 active 7 holds 1-1 added 3 max_deleted 0-4 first 1-1 durable_queue true"#
    );
    check_ends(6, &out);
    let mut eight = out.clone();
    let producers =
        vec![Producer { name: b"p", iids: vec![(&b"i"[..], StreamId { ms: 1, seq: 1 })] }];
    let idempotence =
        Idempotence { duration_secs: 100, max: 5, added: 7, duplicates: 3, producers };
    put_stream_idempotence(&mut eight, &idempotence);
    let text = check(8, &eight);
    assert!(
        text.ends_with(r#" iids for 100 s max 5 added 7 duplicates 3 producer "p" "i"=1-1"#),
        "{text}"
    );
    check_ends(8, &eight);
    let five = &out[..out.len() - (40 + 8 + 8 + 1)];
    check(5, five);
    check_ends(5, five);
}

#[test]
fn types_of_newer_moons_are_named() {
    assert!(Value::decode(&[], 9, 0).unwrap_err().is_newer());
}

#[test]
fn a_score_that_is_no_number_is_an_error() {
    let mut out = Vec::new();
    put_scored(&mut out, [(&b"m"[..], 1.0)].into_iter());
    let at = out.len() - 8;
    out[at..].copy_from_slice(&f64::NAN.to_le_bytes());
    let e = Value::decode(&out, 4, 0).unwrap_err();
    assert_eq!((e.offset, e.what), (at as u64, "score"));
}

#[test]
fn trailers_of_older_layouts() {
    let mut out = Vec::new();
    put_hash(&mut out, [(&b"f"[..], &b"v"[..])].into_iter(), std::iter::empty());
    let without = &out[..out.len() - 4];
    for (bytes, trailer, left) in [
        (&out[..], TtlTrailer::Present, 0),
        (&out, TtlTrailer::IfAny, 0),
        (&out, TtlTrailer::Absent, 4),
        (without, TtlTrailer::Absent, 0),
        (without, TtlTrailer::IfAny, 0),
    ] {
        let mut r = Reader::new(bytes, 0);
        Value::read(&mut r, 1, trailer).unwrap();
        assert_eq!(r.remaining(), left, "{trailer:?}");
    }
    let mut r = Reader::new(without, 0);
    assert!(Value::read(&mut r, 1, TtlTrailer::Present).unwrap_err().is_truncated());
}

#[test]
fn counts_that_lie_are_refused_before_allocation() {
    for code in 1..=4 {
        let mut body = u32::MAX.to_le_bytes().to_vec();
        body.extend_from_slice(&[0; 64]);
        let e = Value::decode(&body, code, 0).unwrap_err();
        assert!(matches!(e.cause, Cause::Count { .. }), "{e}");
    }
    let stream = sample_stream();
    // Every 4-byte window of ones: counts and lengths among them must be caught.
    for at in 0..stream.len() - 4 {
        let mut bad = stream.clone();
        bad[at..at + 4].fill(0xff);
        let _ = Value::decode(&bad, 6, 0);
    }
    let mut bad = stream.clone();
    bad[..8].fill(0xff);
    let e = Value::decode(&bad, 6, 0).unwrap_err();
    assert!(matches!(e.cause, Cause::Count { .. }), "{e}");
}

proptest! {
    #[test]
    fn hashes_come_back(
        pairs in vec((vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..9)), 0..9),
        ttls in vec((vec(any::<u8>(), 0..9), any::<u64>()), 0..9),
    ) {
        let mut out = Vec::new();
        put_hash(
            &mut out,
            pairs.iter().map(|(f, v)| (f.as_slice(), v.as_slice())),
            ttls.iter().map(|(f, t)| (f.as_slice(), *t)),
        );
        let Value::Hash(hash) = Value::decode(&out, 1, 0).unwrap() else { panic!() };
        let read: Vec<_> = hash.pairs.map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        prop_assert_eq!(read, pairs);
        let read: Vec<_> = hash.ttls.map(|(f, t)| (f.to_vec(), t)).collect();
        prop_assert_eq!(read, ttls);
    }

    #[test]
    fn zsets_come_back(members in vec((vec(any::<u8>(), 0..9), any::<f64>()), 0..9)) {
        prop_assume!(members.iter().all(|(_, s)| !s.is_nan()));
        let mut out = Vec::new();
        put_scored(&mut out, members.iter().map(|(m, s)| (m.as_slice(), *s)));
        let Value::ZSet(zset) = Value::decode(&out, 4, 0).unwrap() else { panic!() };
        prop_assert_eq!(zset.map(|(m, s)| (m.to_vec(), s)).collect::<Vec<_>>(), members);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(code in 0u8..9, bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(value) = Value::decode(&bytes, code, 0) {
            let mut again = Vec::new();
            value.put(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_mutated_stream_is_a_value_or_an_error(at in 0usize..200, byte: u8) {
        let mut body = sample_stream();
        let at = at % body.len();
        body[at] = byte;
        if let Ok(value) = Value::decode(&body, 6, 0) {
            let mut again = Vec::new();
            value.put(&mut again);
            prop_assert_eq!(again, body);
        }
    }
}
