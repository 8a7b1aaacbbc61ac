//! What the parser must accept and refuse, and that no split of the input changes it.

use super::*;
use crate::resp::{Proto, encode_command};
use proptest::prelude::*;

/// Outcome of a whole input: the requests, then the error if any.
type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Parses `input`, handing it over in pieces that end at `cuts` (ascending).
fn run(input: &[u8], limits: Limits, cuts: &[usize]) -> Outcome {
    let mut parser = RequestParser::new(limits);
    let mut requests = Vec::new();
    let mut start = 0;
    let mut spans = Vec::new();
    for &end in cuts.iter().chain([&input.len()]) {
        loop {
            // A fresh copy at each call: the buffer may move and is rewritten in place.
            let mut buf = input[start..end].to_vec();
            match parser.parse(&mut buf, &mut spans) {
                Err(e) => return (requests, Some(e)),
                Ok(Parsed::Request { consumed }) => {
                    requests.push(spans.drain(..).map(|s| s.of(&buf).to_vec()).collect());
                    start += consumed;
                }
                Ok(Parsed::Empty { consumed }) => {
                    assert!(spans.is_empty());
                    start += consumed;
                }
                Ok(Parsed::Incomplete { need }) => {
                    assert!(spans.is_empty());
                    assert!(need > 0);
                    break;
                }
            }
        }
    }
    (requests, None)
}

fn whole(input: &str) -> Outcome {
    run(input.as_bytes(), Limits::default(), &[])
}

fn args(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|a| a.as_bytes().to_vec()).collect()
}

#[test]
fn arrays() {
    assert_eq!(
        whole("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*0\r\n*-1\r\n*1\r\n$1\r\na\r\n"),
        (vec![args(&["PING"]), args(&["GET", ""]), args(&["a"])], None)
    );
    let long = "v".repeat(12345);
    assert_eq!(whole(&format!("*1\r\n$12345\r\n{long}\r\n")), (vec![args(&[&long])], None));
}

#[test]
fn inline_requests() {
    for (line, want) in [
        ("PING", vec!["PING"]),
        ("  set  a\tb  ", vec!["set", "a", "b"]),
        (r#"set a "x y""#, vec!["set", "a", "x y"]),
        (r#"a "\n\r\t\b\a\x41\q\"\\" b"#, vec!["a", "\n\r\t\x08\x07Aq\"\\", "b"]),
        (r#"a '\n\'x' b"#, vec!["a", r"\n'x", "b"]),
        (r#"a"b c""#, vec!["ab c"]),
        (r#""" ''"#, vec!["", ""]),
        (r#""\x4" "\xzz""#, vec!["x4", "xzz"]),
        ("\u{b}a\u{b}b", vec!["a\u{b}b"]),
        ("$5", vec!["$5"]),
    ] {
        for end in ["\n", "\r\n"] {
            assert_eq!(whole(&format!("{line}{end}")), (vec![args(&want)], None), "{line}");
        }
    }
    assert_eq!(whole("\r\n\n   \r\nPING\r\n"), (vec![args(&["PING"])], None));
    for bad in ["\"a", "'a", "\"a\"b", "'a'b", "x \"", "\"a\\\"", "a \"b\"'c'"] {
        assert_eq!(whole(&format!("{bad}\r\n")).1, Some(ProtocolError::UnbalancedQuotes), "{bad}");
    }
}

#[test]
fn error_texts_of_the_surface_page() {
    let guest = Limits { authenticated: false, ..Limits::default() };
    let small = Limits { max_bulk: 1 << 20, ..Limits::default() };
    let d = Limits::default();
    let long = "1".repeat(LINE_MAX + 10);
    for (limits, input, text) in [
        (d, "*abc\r\n".to_string(), "invalid multibulk length"),
        (d, "*\r\n".into(), "invalid multibulk length"),
        (d, "*+1\r\n".into(), "invalid multibulk length"),
        (d, "*2147483648\r\n".into(), "invalid multibulk length"),
        (d, "*99999999999999999999\r\n".into(), "invalid multibulk length"),
        (guest, "*11\r\n".into(), "unauthenticated multibulk length"),
        (guest, "*1\r\n$16385\r\n".into(), "unauthenticated bulk length"),
        (d, "*1\r\n:5\r\n".into(), "expected '$', got ':'"),
        (d, "*1\r\n\nx\r\n".into(), "expected '$', got ' '"),
        (d, "*1\r\n$-1\r\n".into(), "invalid bulk length"),
        (d, "*1\r\n$abc\r\n".into(), "invalid bulk length"),
        (d, "*1\r\n$01\r\n".into(), "invalid bulk length"),
        (d, "*1\r\n$536870913\r\n".into(), "invalid bulk length"),
        (small, "*1\r\n$1048577\r\n".into(), "invalid bulk length"),
        (d, format!("*{long}"), "too big mbulk count string"),
        (d, format!("*1\r\n${long}"), "too big bulk count string"),
        (d, long.clone(), "too big inline request"),
        (d, format!("{long}\r\n"), "too big inline request"),
        (d, "\"x\r\n".into(), "unbalanced quotes in request"),
    ] {
        let error = run(input.as_bytes(), limits, &[]).1.expect(text);
        let mut out = Vec::new();
        error.reply(&mut Reply::new(&mut out, Proto::Resp2));
        assert_eq!(String::from_utf8(out).unwrap(), format!("-ERR Protocol error: {text}\r\n"));
    }
    // Limits are inclusive.
    assert_eq!(run(b"*10\r\n", guest, &[]).1, None);
    assert_eq!(run(b"*1\r\n$16384\r\n", guest, &[]).1, None);
    assert_eq!(run(b"*2147483647\r\n", d, &[]).1, None);
    assert_eq!(run(b"*1\r\n$536870912\r\n", d, &[]).1, None);
}

#[test]
fn any_byte_may_stand_where_a_dollar_is_expected() {
    let mut out = Vec::new();
    ProtocolError::ExpectedDollar { got: 0xff }.reply(&mut Reply::new(&mut out, Proto::Resp2));
    assert_eq!(out, b"-ERR Protocol error: expected '$', got '\xff'\r\n");
}

/// Goal: a big argument in pieces is not looked at again. Method: the state says so, and the
/// caller learns how much is missing.
#[test]
fn a_big_argument_resumes_where_it_stopped() {
    let mut parser = RequestParser::new(Limits::default());
    let mut spans = vec![Span { start: 9, len: 9 }];
    let mut buf = b"*2\r\n$1\r\na\r\n$100000\r\nxyz".to_vec();
    let got = parser.parse(&mut buf, &mut spans).unwrap();
    assert_eq!(got, Parsed::Incomplete { need: 100_002 - 3 });
    assert_eq!(parser.pending_bulk(), Some(Span { start: 20, len: 100_000 }));
    assert!(parser.is_midway());
    assert_eq!(spans.len(), 1);
    buf.resize(20 + 100_002, b'x');
    let got = parser.parse(&mut buf, &mut spans).unwrap();
    assert_eq!(got, Parsed::Request { consumed: buf.len() });
    assert!(!parser.is_midway());
    let want = [(9, 9), (8, 1), (20, 100_000)].map(|(start, len)| Span { start, len });
    assert_eq!(spans, want);
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let array = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5)
        .prop_map(|args| {
            let mut out = Vec::new();
            encode_command(&mut out, args.iter().map(Vec::as_slice));
            out
        });
    let inline = "[a-z0-9'\"\\\\x ]{0,20}\r?\n".prop_map(String::into_bytes);
    let broken = "[*$0-9:\r\n -]{0,12}".prop_map(String::into_bytes);
    proptest::collection::vec(prop_oneof![4 => array, 2 => inline, 1 => broken], 0..6)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Byte by byte, in random pieces and at once: the same requests, the same error.
    #[test]
    fn splits_do_not_matter(
        input in requests(),
        mut cuts in proptest::collection::vec(0usize..400, 0..8),
        authenticated: bool,
    ) {
        let limits = Limits { max_bulk: 1 << 20, authenticated };
        let at_once = run(&input, limits, &[]);
        let every: Vec<usize> = (0..input.len()).collect();
        prop_assert_eq!(&run(&input, limits, &every), &at_once);
        cuts.retain(|&c| c <= input.len());
        cuts.sort_unstable();
        prop_assert_eq!(&run(&input, limits, &cuts), &at_once);
    }

    #[test]
    fn arrays_come_back(list in proptest::collection::vec(
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1200), 1..12), 1..4)) {
        let mut input = Vec::new();
        for args in &list {
            encode_command(&mut input, args.iter().map(Vec::as_slice));
        }
        prop_assert_eq!(run(&input, Limits::default(), &[]), (list, None));
    }

    #[test]
    fn quoted_arguments_come_back(list in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..20), 1..5)) {
        let mut line = Vec::new();
        for arg in &list {
            line.push(b'"');
            for b in arg {
                line.extend_from_slice(format!("\\x{b:02x}").as_bytes());
            }
            line.extend_from_slice(b"\" ");
        }
        line.extend_from_slice(b"\r\n");
        prop_assert_eq!(run(&line, Limits::default(), &[]), (vec![list], None));
    }
}
