//! What the tool prints: for a person a line, for a program one JSON object per item.
//!
//! Field names are stable. Integers above 2^53 are strings, because a JSON number loses bits
//! there. A byte string is a JSON string if it is UTF-8, else `{"hex": "..."}`.

use std::io::{self, Write};

/// Largest integer that every JSON reader keeps exact.
const EXACT_MAX: u64 = 1 << 53;

/// A value of a field.
pub(crate) enum Value {
    Null,
    Bool(bool),
    U64(u64),
    I64(i64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
    /// As `Map`, with names that come from the data.
    Names(Vec<(String, Value)>),
}

macro_rules! value_from {
    ($($t:ty => |$v:ident| $e:expr,)*) => {
        $(impl From<$t> for Value {
            fn from($v: $t) -> Value {
                $e
            }
        })*
    };
}

value_from! {
    bool => |v| Value::Bool(v),
    u8 => |v| Value::U64(v.into()),
    u16 => |v| Value::U64(v.into()),
    u32 => |v| Value::U64(v.into()),
    u64 => |v| Value::U64(v),
    i64 => |v| Value::I64(v),
    String => |v| Value::Text(v),
    &str => |v| Value::Text(v.to_owned()),
    &[u8] => |v| Value::Bytes(v.to_vec()),
    &std::path::Path => |v| Value::Text(v.display().to_string()),
    Vec<Value> => |v| Value::List(v),
    Vec<(&'static str, Value)> => |v| Value::Map(v),
    Vec<(String, Value)> => |v| Value::Names(v),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Value {
        v.map_or(Value::Null, Into::into)
    }
}

/// Fields of an item, in the order they are printed.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// Where items go. An error of the sink is kept and ends the run: output nobody reads is not
/// worth a scan.
pub(crate) struct Out<'a> {
    sink: &'a mut dyn Write,
    json: bool,
    failed: Option<io::Error>,
}

impl<'a> Out<'a> {
    pub(crate) fn new(sink: &'a mut dyn Write, json: bool) -> Out<'a> {
        Out { sink, json, failed: None }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One item. `text` may have several lines; an empty one prints nothing.
    pub(crate) fn item(&mut self, kind: &str, fields: Fields, text: &str) {
        let line = if self.json {
            let mut line = String::from("{\"kind\":");
            put_string(&mut line, kind);
            for (name, value) in &fields {
                put_field(&mut line, false, name, value);
            }
            line.push('}');
            line
        } else if text.is_empty() {
            return;
        } else {
            text.to_owned()
        };
        self.line(&line);
    }

    /// A line for a person only: a heading, an explanation.
    pub(crate) fn text(&mut self, text: &str) {
        if !self.json {
            self.line(text);
        }
    }

    /// A line that is JSON already, whatever form is asked for.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.line(&String::from_utf8_lossy(json));
    }

    fn line(&mut self, line: &str) {
        if self.failed.is_none()
            && let Err(e) = writeln!(self.sink, "{line}")
        {
            self.failed = Some(e);
        }
    }

    /// Nobody reads any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Hands everything to the reader.
    pub(crate) fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(e) = self.sink.flush()
        {
            self.failed = Some(e);
        }
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }
}

fn put_field(out: &mut String, first: bool, name: &str, value: &Value) {
    if !first {
        out.push(',');
    }
    put_string(out, name);
    out.push(':');
    put_value(out, value);
}

fn put_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::U64(n) if *n > EXACT_MAX => out.push_str(&format!("\"{n}\"")),
        Value::U64(n) => out.push_str(&n.to_string()),
        Value::I64(n) if n.unsigned_abs() > EXACT_MAX => out.push_str(&format!("\"{n}\"")),
        Value::I64(n) => out.push_str(&n.to_string()),
        Value::Text(s) => put_string(out, s),
        Value::Bytes(b) => match std::str::from_utf8(b) {
            Ok(s) => put_string(out, s),
            Err(_) => {
                out.push_str("{\"hex\":\"");
                b.iter().for_each(|b| out.push_str(&format!("{b:02x}")));
                out.push_str("\"}");
            }
        },
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                put_value(out, item);
            }
            out.push(']');
        }
        Value::Map(fields) => {
            out.push('{');
            fields.iter().enumerate().for_each(|(i, (n, v))| put_field(out, i == 0, n, v));
            out.push('}');
        }
        Value::Names(fields) => {
            out.push('{');
            fields.iter().enumerate().for_each(|(i, (n, v))| put_field(out, i == 0, n, v));
            out.push('}');
        }
    }
}

fn put_string(out: &mut String, s: &str) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Hex and ASCII, 16 bytes a line, offsets of the file.
pub(crate) fn hex_dump(bytes: &[u8], offset: u64) -> String {
    let mut out = String::new();
    for (i, row) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = row.iter().map(|b| format!("{b:02x}")).collect();
        let ascii: String = row
            .iter()
            .map(|b| if (b' '..=b'~').contains(b) { char::from(*b) } else { '.' })
            .collect();
        out.push_str(&format!(
            "\n    {:010x}  {:<47}  {ascii}",
            offset + i as u64 * 16,
            hex.join(" ")
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: Value) -> String {
        let mut out = String::new();
        put_value(&mut out, &value);
        out
    }

    #[test]
    fn integers_stay_exact() {
        assert_eq!(json((1u64 << 53).into()), "9007199254740992");
        assert_eq!(json(((1u64 << 53) + 1).into()), "\"9007199254740993\"");
        assert_eq!(json(i64::MIN.into()), "\"-9223372036854775808\"");
    }

    #[test]
    fn bytes_are_text_or_hex() {
        assert_eq!(json(b"a\"\x01\n".as_slice().into()), "\"a\\\"\\u0001\\n\"");
        assert_eq!(json(b"\xff\x00".as_slice().into()), "{\"hex\":\"ff00\"}");
        assert_eq!(json(vec![Value::Null, true.into()].into()), "[null,true]");
    }

    #[test]
    fn a_closed_pipe_ends_the_run() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = Closed;
        let mut out = Out::new(&mut sink, true);
        out.item("x", vec![], "");
        assert!(out.has_failed());
        assert!(out.finish().is_err());
    }
}
