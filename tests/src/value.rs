//! Reply values of RESP2 and RESP3, as they come over the wire.
//!
//! The kinds of null are kept apart (`$-1`, `*-1`, `_`), because clients are told apart by them.

use std::fmt;

/// One reply.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:1`
    Int(i64),
    /// `$3 foo`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*2 ..`
    Array(Vec<Value>),
    /// `%1 ..`
    Map(Vec<(Value, Value)>),
    /// `~2 ..`
    Set(Vec<Value>),
    /// `>2 ..`
    Push(Vec<Value>),
    /// `,1.5`, as text
    Double(Vec<u8>),
    /// `#t`
    Bool(bool),
    /// `=7 txt:...`
    Verbatim(Vec<u8>),
    /// `(123`
    BigNumber(Vec<u8>),
}

/// Aggregates nested deeper than this are refused.
const MAX_DEPTH: usize = 64;

impl Value {
    /// Decodes one value from the front of `buf`: the value and how many bytes it took, or `None`
    /// when more bytes are needed.
    pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, String> {
        let mut decoder = Decoder { buf, at: 0 };
        match decoder.value(0) {
            Ok(value) => Ok(Some((value, decoder.at))),
            Err(Stop::More) => Ok(None),
            Err(Stop::Bad(reason)) => Err(reason),
        }
    }

    /// Appends the value's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let line = |out: &mut Vec<u8>, mark: u8, text: &[u8]| {
            out.push(mark);
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        };
        let count =
            |out: &mut Vec<u8>, mark: u8, n: usize| line(out, mark, n.to_string().as_bytes());
        let block = |out: &mut Vec<u8>, mark: u8, text: &[u8]| {
            count(out, mark, text.len());
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        };
        match self {
            Value::Simple(t) => line(out, b'+', t),
            Value::Error(t) => line(out, b'-', t),
            Value::Int(n) => line(out, b':', n.to_string().as_bytes()),
            Value::Bulk(t) => block(out, b'$', t),
            Value::NullBulk => line(out, b'$', b"-1"),
            Value::NullArray => line(out, b'*', b"-1"),
            Value::Null => line(out, b'_', b""),
            Value::Array(v) => {
                count(out, b'*', v.len());
                v.iter().for_each(|v| v.encode(out));
            }
            Value::Set(v) => {
                count(out, b'~', v.len());
                v.iter().for_each(|v| v.encode(out));
            }
            Value::Push(v) => {
                count(out, b'>', v.len());
                v.iter().for_each(|v| v.encode(out));
            }
            Value::Map(pairs) => {
                count(out, b'%', pairs.len());
                for (k, v) in pairs {
                    k.encode(out);
                    v.encode(out);
                }
            }
            Value::Double(t) => line(out, b',', t),
            Value::Bool(b) => line(out, b'#', if *b { b"t" } else { b"f" }),
            Value::Verbatim(t) => block(out, b'=', t),
            Value::BigNumber(t) => line(out, b'(', t),
        }
    }

    /// The bytes of a string of any kind, or the text of an error.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(t) | Value::Error(t) | Value::Bulk(t) | Value::Double(t) => Some(t),
            Value::Verbatim(t) | Value::BigNumber(t) => Some(t),
            _ => None,
        }
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }

    /// The leaves of an aggregate from left to right; a leaf is itself.
    pub fn leaves(&self) -> Vec<&Value> {
        match self {
            Value::Array(v) | Value::Set(v) | Value::Push(v) => {
                v.iter().flat_map(Value::leaves).collect()
            }
            Value::Map(pairs) => {
                pairs.iter().flat_map(|(k, v)| [k.leaves(), v.leaves()].concat()).collect()
            }
            leaf => vec![leaf],
        }
    }

    /// The elements of an array, set or push.
    pub fn elements(&self) -> Option<&[Value]> {
        match self {
            Value::Array(v) | Value::Set(v) | Value::Push(v) => Some(v),
            _ => None,
        }
    }
}

enum Stop {
    More,
    Bad(String),
}

struct Decoder<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.buf[self.at..];
        let end = rest.windows(2).position(|w| w == b"\r\n").ok_or(Stop::More)?;
        self.at += end + 2;
        Ok(&rest[..end])
    }

    fn number(&mut self) -> Result<i64, Stop> {
        let line = self.line()?;
        std::str::from_utf8(line)
            .ok()
            .and_then(|t| t.parse().ok())
            .ok_or_else(|| Stop::Bad(format!("no number: {}", quoted(line))))
    }

    fn block(&mut self, len: i64) -> Result<Vec<u8>, Stop> {
        let len = usize::try_from(len).map_err(|_| Stop::Bad(format!("length {len}")))?;
        let rest = &self.buf[self.at..];
        if rest.len() < len + 2 {
            return Err(Stop::More);
        }
        if &rest[len..len + 2] != b"\r\n" {
            return Err(Stop::Bad("a bulk string does not end in CRLF".to_string()));
        }
        self.at += len + 2;
        Ok(rest[..len].to_vec())
    }

    fn many(&mut self, n: i64, depth: usize) -> Result<Vec<Value>, Stop> {
        if n < 0 {
            return Err(Stop::Bad(format!("{n} elements")));
        }
        (0..n).map(|_| self.value(depth + 1)).collect()
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::Bad("nested too deep".to_string()));
        }
        let mark = *self.buf.get(self.at).ok_or(Stop::More)?;
        self.at += 1;
        Ok(match mark {
            b'+' => Value::Simple(self.line()?.to_vec()),
            b'-' => Value::Error(self.line()?.to_vec()),
            b':' => Value::Int(self.number()?),
            b'$' => match self.number()? {
                -1 => Value::NullBulk,
                len => Value::Bulk(self.block(len)?),
            },
            b'*' => match self.number()? {
                -1 => Value::NullArray,
                n => Value::Array(self.many(n, depth)?),
            },
            b'~' => {
                let n = self.number()?;
                Value::Set(self.many(n, depth)?)
            }
            b'>' => {
                let n = self.number()?;
                Value::Push(self.many(n, depth)?)
            }
            b'%' => {
                let n = self.number()?;
                let mut flat = self.many(n.saturating_mul(2), depth)?.into_iter();
                let mut pairs = Vec::new();
                while let (Some(k), Some(v)) = (flat.next(), flat.next()) {
                    pairs.push((k, v));
                }
                Value::Map(pairs)
            }
            b'_' => match self.line()? {
                b"" => Value::Null,
                text => return Err(Stop::Bad(format!("null with text {}", quoted(text)))),
            },
            b',' => Value::Double(self.line()?.to_vec()),
            b'#' => match self.line()? {
                b"t" => Value::Bool(true),
                b"f" => Value::Bool(false),
                text => return Err(Stop::Bad(format!("boolean {}", quoted(text)))),
            },
            b'=' => {
                let len = self.number()?;
                Value::Verbatim(self.block(len)?)
            }
            b'(' => Value::BigNumber(self.line()?.to_vec()),
            mark => return Err(Stop::Bad(format!("unknown reply mark {:?}", mark as char))),
        })
    }
}

/// Bytes in double quotes with escapes, as redis-cli writes them.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for b in bytes {
        match b {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0x20..=0x7e => text.push(*b as char),
            _ => text.push_str(&format!("\\x{b:02x}")),
        }
    }
    text.push('"');
    text
}

/// The notation of the scripts: one line per value (see [`crate::script`]).
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |t: &[u8]| String::from_utf8_lossy(t).into_owned();
        let list = |v: &[Value]| v.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Value::Simple(t) => write!(f, "+{}", plain(t)),
            Value::Error(t) => write!(f, "-{}", plain(t)),
            Value::Int(n) => write!(f, ":{n}"),
            Value::Bulk(t) => f.write_str(&quoted(t)),
            Value::NullBulk => f.write_str("nil"),
            Value::NullArray => f.write_str("nil-array"),
            Value::Null => f.write_str("null"),
            Value::Array(v) => write!(f, "[{}]", list(v)),
            Value::Set(v) => write!(f, "~[{}]", list(v)),
            Value::Push(v) => write!(f, ">[{}]", list(v)),
            Value::Map(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
            Value::Double(t) => write!(f, ",{}", plain(t)),
            Value::Bool(b) => f.write_str(if *b { "#t" } else { "#f" }),
            Value::Verbatim(t) => write!(f, "={}", quoted(t)),
            Value::BigNumber(t) => write!(f, "({}", plain(t)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[u8] =
        b"*14\r\n+OK\r\n-ERR no\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n%1\r\n+k\r\n:1\r\n\
        ~1\r\n:2\r\n>1\r\n:3\r\n,1.5\r\n#t\r\n=7\r\ntxt:abc\r\n(123\r\n";

    #[test]
    fn every_kind_survives_a_round_trip_and_prints() {
        let (value, used) = Value::decode(ALL).unwrap().unwrap();
        assert_eq!(used, ALL.len());
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        assert_eq!(bytes, ALL);
        assert_eq!(
            value.to_string(),
            "[+OK, -ERR no, :-5, \"a\\r\\n\", nil, nil-array, null, {+k: :1}, ~[:2], >[:3], ,1.5, #t, \
             =\"txt:abc\", (123]"
        );
    }

    #[test]
    fn a_cut_reply_asks_for_more_and_nonsense_is_refused() {
        for cut in 0..ALL.len() {
            assert_eq!(Value::decode(&ALL[..cut]), Ok(None), "{cut}");
        }
        for bad in ["x\r\n", ":a\r\n", "$-2\r\n", "*-2\r\n", "#x\r\n", "_x\r\n", "$1\r\nabc"] {
            assert!(Value::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Value::decode("*1\r\n".repeat(100).as_bytes()).is_err());
    }
}
