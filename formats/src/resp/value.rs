//! Reply decoder: RESP2 and RESP3 values of any shape.
//!
//! For tests, scripts, and whatever speaks to a server as a client. Total: any input gives a
//! value, `None` for "more bytes needed", or an error; nesting is limited, so no input decides
//! how deep the stack grows, and counts allocate nothing until their elements arrive.

#![warn(clippy::indexing_slicing)]

use super::{Proto, Reply};
use crate::error::{Cause, DecodeError};
use crate::number::{parse_i64, parse_score};
use std::fmt;

/// Deepest nesting a reply may have.
pub const DEPTH_MAX: usize = 64;
/// Longest bulk string of a reply, in bytes.
const BULK_MAX: i64 = 512 << 20;
/// Longest header line or simple string, in bytes.
const LINE_MAX: usize = 64 * 1024;

/// A reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+`
    Simple(Vec<u8>),
    /// `-`, or `!` of RESP3.
    Error(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`, or `_` of RESP3.
    Null,
    /// `*-1`
    NullArray,
    /// `*`
    Array(Vec<Value>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
    /// `,`
    Double(f64),
    /// `#`
    Bool(bool),
    /// `(`
    BigNumber(Vec<u8>),
    /// `=`: three letters of format, then the text.
    Verbatim([u8; 3], Vec<u8>),
    /// `|`: attributes, then the value they describe.
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

impl Value {
    /// Reads the value at the start of `buf`: the value and the bytes it took, or `None` if
    /// it goes on beyond `buf`.
    pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
        let mut r = Decoder { buf, pos: 0 };
        match r.value(DEPTH_MAX) {
            Ok(value) => Ok(Some((value, r.pos))),
            Err(e) if e.is_truncated() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the value. What the protocol lacks is written as [`Reply`] writes it; attributes
    /// are left out in RESP2.
    pub fn write(&self, reply: &mut Reply<'_>) {
        match self {
            Value::Simple(s) => reply.simple_bytes(s),
            Value::Error(s) => reply.error_bytes(s),
            Value::Int(n) => reply.int(*n),
            Value::Bulk(b) => reply.bulk(b),
            Value::Null => reply.null(),
            Value::NullArray => reply.null_array(),
            Value::Array(all) => {
                reply.array(all.len());
                all.iter().for_each(|v| v.write(reply));
            }
            Value::Map(all) => {
                reply.map(all.len());
                write_pairs(all, reply);
            }
            Value::Set(all) => {
                reply.set(all.len());
                all.iter().for_each(|v| v.write(reply));
            }
            Value::Push(all) => {
                reply.push(all.len());
                all.iter().for_each(|v| v.write(reply));
            }
            Value::Double(d) => reply.double(*d),
            Value::Bool(b) => reply.bool(*b),
            Value::BigNumber(n) => reply.big_number(&String::from_utf8_lossy(n)),
            Value::Verbatim(format, text) => reply.verbatim_as(*format, text),
            Value::Attribute(pairs, value) => {
                if reply.proto() == Proto::Resp3 {
                    reply.attribute(pairs.len());
                    write_pairs(pairs, reply);
                }
                value.write(reply);
            }
        }
    }
}

fn write_pairs(pairs: &[(Value, Value)], reply: &mut Reply<'_>) {
    for (k, v) in pairs {
        k.write(reply);
        v.write(reply);
    }
}

struct Decoder<'a> {
    buf: &'a [u8],
    pos: usize,
}

impl<'a> Decoder<'a> {
    fn form<T>(&self, at: usize, expected: &'static str) -> Result<T, DecodeError> {
        Err(DecodeError::new(at as u64, "reply", Cause::Form { expected }))
    }

    fn truncated<T>(&self, needed: usize) -> Result<T, DecodeError> {
        let remaining = (self.buf.len() - self.pos.min(self.buf.len())) as u64;
        let cause = Cause::Truncated { needed: needed as u64, remaining };
        Err(DecodeError::new(self.pos as u64, "reply", cause))
    }

    fn line(&mut self) -> Result<&'a [u8], DecodeError> {
        let rest = self.buf.get(self.pos..).unwrap_or_default();
        let Some(len) = memchr::memchr(b'\r', rest) else {
            if rest.len() > LINE_MAX {
                return self.form(self.pos, "a line of at most 64 KiB");
            }
            return self.truncated(rest.len() + 2);
        };
        match rest.get(len + 1) {
            None => self.truncated(len + 2),
            Some(b'\n') => {
                self.pos += len + 2;
                Ok(rest.get(..len).unwrap_or_default())
            }
            Some(_) => self.form(self.pos + len + 1, "a line end"),
        }
    }

    fn number(&mut self, max: i64) -> Result<i64, DecodeError> {
        let at = self.pos;
        match parse_i64(self.line()?) {
            Some(n) if (-1..=max).contains(&n) => Ok(n),
            _ => self.form(at, "a length"),
        }
    }

    /// Bytes of a given length and a line end; `None` for -1.
    fn bulk(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let len = self.number(BULK_MAX)?;
        let Ok(len) = usize::try_from(len) else { return Ok(None) };
        let rest = self.buf.get(self.pos..).unwrap_or_default();
        let Some((bytes, tail)) = rest.split_at_checked(len) else {
            return self.truncated(len + 2);
        };
        match tail {
            [b'\r', b'\n', ..] => {
                self.pos += len + 2;
                Ok(Some(bytes))
            }
            [] | [b'\r'] => self.truncated(len + 2),
            _ => self.form(self.pos + len, "a line end"),
        }
    }

    fn full_bulk(&mut self) -> Result<&'a [u8], DecodeError> {
        let at = self.pos;
        match self.bulk()? {
            Some(bytes) => Ok(bytes),
            None => self.form(at, "a length that is not negative"),
        }
    }

    /// `n` elements. The vector grows as they arrive.
    fn values(&mut self, n: i64, depth: usize) -> Result<Vec<Value>, DecodeError> {
        let mut all = Vec::new();
        for _ in 0..n {
            all.push(self.value(depth)?);
        }
        Ok(all)
    }

    fn count(&mut self) -> Result<i64, DecodeError> {
        let at = self.pos;
        match self.number(i64::from(i32::MAX))? {
            -1 => self.form(at, "a count that is not negative"),
            n => Ok(n),
        }
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(Value, Value)>, DecodeError> {
        let n = self.count()?;
        let mut all = Vec::new();
        for _ in 0..n {
            all.push((self.value(depth)?, self.value(depth)?));
        }
        Ok(all)
    }

    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let at = self.pos;
        let Some(&kind) = self.buf.get(at) else { return self.truncated(1) };
        let Some(inner) = depth.checked_sub(1) else {
            return self.form(at, "nested at most 64 deep");
        };
        self.pos += 1;
        Ok(match kind {
            b'+' => Value::Simple(self.line()?.to_vec()),
            b'-' => Value::Error(self.line()?.to_vec()),
            b'!' => Value::Error(self.full_bulk()?.to_vec()),
            b':' => match parse_i64(self.line()?) {
                Some(n) => Value::Int(n),
                None => return self.form(at + 1, "an integer"),
            },
            b'$' => match self.bulk()? {
                Some(bytes) => Value::Bulk(bytes.to_vec()),
                None => Value::Null,
            },
            b'*' => match self.number(i64::from(i32::MAX))? {
                -1 => Value::NullArray,
                n => Value::Array(self.values(n, inner)?),
            },
            b'_' => match self.line()? {
                b"" => Value::Null,
                _ => return self.form(at + 1, "nothing after `_`"),
            },
            b'%' => Value::Map(self.pairs(inner)?),
            b'~' => {
                let n = self.count()?;
                Value::Set(self.values(n, inner)?)
            }
            b'>' => {
                let n = self.count()?;
                Value::Push(self.values(n, inner)?)
            }
            b',' => match self.line()? {
                b"nan" => Value::Double(f64::NAN),
                text => match parse_score(text) {
                    Some(d) => Value::Double(d),
                    None => return self.form(at + 1, "a double"),
                },
            },
            b'#' => match self.line()? {
                b"t" => Value::Bool(true),
                b"f" => Value::Bool(false),
                _ => return self.form(at + 1, "`t` or `f`"),
            },
            b'(' => match self.line()? {
                text if is_whole(text) => Value::BigNumber(text.to_vec()),
                _ => return self.form(at + 1, "a whole number"),
            },
            b'=' => match self.full_bulk()?.split_first_chunk::<4>() {
                Some((&[a, b, c, b':'], text)) => Value::Verbatim([a, b, c], text.to_vec()),
                _ => return self.form(at + 1, "three letters and a colon"),
            },
            b'|' => {
                let pairs = self.pairs(inner)?;
                Value::Attribute(pairs, Box::new(self.value(inner)?))
            }
            _ => return self.form(at, "a type byte"),
        })
    }
}

fn is_whole(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

impl fmt::Display for Value {
    /// One line in the manner of `redis-cli`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, open: &str, all: &[Value], close: &str) -> fmt::Result {
            f.write_str(open)?;
            for (i, v) in all.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{v}")?;
            }
            f.write_str(close)
        }
        fn pairs(f: &mut fmt::Formatter<'_>, all: &[(Value, Value)]) -> fmt::Result {
            for (i, (k, v)) in all.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{k}: {v}")?;
            }
            Ok(())
        }
        match self {
            Value::Simple(s) => write!(f, "{}", s.escape_ascii()),
            Value::Error(s) => write!(f, "(error) {}", s.escape_ascii()),
            Value::Int(n) => write!(f, "(integer) {n}"),
            Value::Bulk(b) => write!(f, "\"{}\"", b.escape_ascii()),
            Value::Null => f.write_str("(nil)"),
            Value::NullArray => f.write_str("(nil array)"),
            Value::Array(all) => list(f, "[", all, "]"),
            Value::Set(all) => list(f, "~[", all, "]"),
            Value::Push(all) => list(f, ">[", all, "]"),
            Value::Map(all) => {
                f.write_str("{")?;
                pairs(f, all)?;
                f.write_str("}")
            }
            Value::Double(d) => write!(f, "(double) {d:?}"),
            Value::Bool(b) => write!(f, "({b})"),
            Value::BigNumber(n) => write!(f, "(big number) {}", n.escape_ascii()),
            Value::Verbatim(format, text) => {
                write!(f, "({}) \"{}\"", format.escape_ascii(), text.escape_ascii())
            }
            Value::Attribute(all, value) => {
                f.write_str("|{")?;
                pairs(f, all)?;
                write!(f, "}} {value}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &str) -> Result<Option<(Value, usize)>, DecodeError> {
        Value::decode(text.as_bytes())
    }

    #[test]
    fn every_type_and_its_text() {
        for (wire, text) in [
            ("+OK\r\n", "OK"),
            ("-ERR no\r\n", "(error) ERR no"),
            ("!6\r\nERR no\r\n", "(error) ERR no"),
            (":-5\r\n", "(integer) -5"),
            ("$2\r\na\n\r\n", r#""a\n""#),
            ("$-1\r\n", "(nil)"),
            ("_\r\n", "(nil)"),
            ("*-1\r\n", "(nil array)"),
            ("*2\r\n:1\r\n*0\r\n", "[(integer) 1, []]"),
            ("%1\r\n+k\r\n+v\r\n", "{k: v}"),
            ("~1\r\n+a\r\n", "~[a]"),
            (">1\r\n+a\r\n", ">[a]"),
            (",1.5\r\n", "(double) 1.5"),
            (",-inf\r\n", "(double) -inf"),
            (",nan\r\n", "(double) NaN"),
            ("#t\r\n", "(true)"),
            ("(-123\r\n", "(big number) -123"),
            ("=6\r\ntxt:hi\r\n", r#"(txt) "hi""#),
            ("|1\r\n+k\r\n+v\r\n:1\r\n", "|{k: v} (integer) 1"),
        ] {
            let (value, taken) = decode(wire).unwrap().unwrap();
            assert_eq!(taken, wire.len(), "{wire:?}");
            assert_eq!(value.to_string(), text);
            for cut in 0..wire.len() {
                assert_eq!(decode(&wire[..cut]), Ok(None), "{wire:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_not_a_reply_is_refused() {
        for bad in [
            "x\r\n",
            ":1.5\r\n",
            ":\r\n",
            "$-2\r\n",
            "$01\r\nx\r\n",
            "$536870913\r\n",
            "$1\r\nabc",
            "*-2\r\n",
            "%-1\r\n",
            "#x\r\n",
            "_x\r\n",
            "(1.5\r\n",
            "(\r\n",
            "=2\r\nab\r\n",
            ",1e\r\n",
            "+a\rb",
            "!-1\r\n",
        ] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nesting_is_limited_and_counts_allocate_nothing() {
        assert!(decode(&"*1\r\n".repeat(DEPTH_MAX - 1)).unwrap().is_none());
        assert!(decode(&"*1\r\n".repeat(100_000)).is_err());
        assert_eq!(decode("*2147483647\r\n"), Ok(None));
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = "[ -~]{0,8}".prop_map(String::into_bytes);
        let leaf = prop_oneof![
            text.clone().prop_map(Value::Simple),
            text.prop_map(Value::Error),
            any::<i64>().prop_map(Value::Int),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bulk),
            Just(Value::Null),
            any::<f64>()
                .prop_filter("not NaN", |d| !d.is_nan())
                .prop_map(|d| Value::Double(d + 0.0)),
            any::<bool>().prop_map(Value::Bool),
            "-?[0-9]{1,30}".prop_map(|s| Value::BigNumber(s.into_bytes())),
            "[a-z]{0,9}".prop_map(|s| Value::Verbatim(*b"txt", s.into_bytes())),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..5);
            let pairs = proptest::collection::vec((inner.clone(), inner.clone()), 0..3);
            prop_oneof![
                list.clone().prop_map(Value::Array),
                list.clone().prop_map(Value::Set),
                list.prop_map(Value::Push),
                pairs.clone().prop_map(Value::Map),
                (pairs, inner).prop_map(|(p, v)| Value::Attribute(p, Box::new(v))),
            ]
        })
    }

    proptest! {
        /// What the writer makes of a value in RESP3, the reader gives back.
        #[test]
        fn replies_come_back(value in values()) {
            let mut buf = Vec::new();
            value.write(&mut Reply::new(&mut buf, Proto::Resp3));
            prop_assert_eq!(Value::decode(&buf), Ok(Some((value.clone(), buf.len()))));
            for cut in 0..buf.len() {
                prop_assert_eq!(Value::decode(&buf[..cut]), Ok(None));
            }
            // In RESP2 it is some other value, but always a whole one.
            buf.clear();
            value.write(&mut Reply::new(&mut buf, Proto::Resp2));
            let taken = Value::decode(&buf).unwrap().map(|(_, taken)| taken);
            prop_assert_eq!(taken, Some(buf.len()));
        }
    }
}
