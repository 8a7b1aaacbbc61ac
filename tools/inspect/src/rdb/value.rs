//! Keys and values for a person and for a program.

use std::fmt::Write as _;

use moon_formats::value::{Value as Stored, ValueType};

use super::source::{Key, Where};
use crate::out::{Fields, Out, Value, hex_dump};
use crate::record::quoted;

/// Bytes of an element shown to a person without `--full`.
const SHOWN_MAX: usize = 64;
/// Elements shown without `--full`.
const ELEMENTS_MAX: usize = 8;

/// Name of a type, as TYPE gives it.
pub(super) fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::String => "string",
        ValueType::Hash => "hash",
        ValueType::List => "list",
        ValueType::Set => "set",
        ValueType::ZSet => "zset",
        ValueType::Stream | ValueType::Stream2 | ValueType::Stream3 => "stream",
    }
}

/// Names of all types.
pub(super) const TYPES: [&str; 6] = ["string", "hash", "list", "set", "zset", "stream"];

/// Elements of a value; bytes of a string.
pub(super) fn elements(value: &Stored<'_>) -> usize {
    match value {
        Stored::String(s) => s.len(),
        Stored::Hash(h) => h.pairs.len(),
        Stored::List(e) | Stored::Set(e) => e.len(),
        Stored::ZSet(z) => z.len(),
        Stored::Stream(s) => s.entries.len(),
    }
}

/// Elements one after the other, cut to what a person wants to see.
struct Line {
    text: String,
    full: bool,
    shown: usize,
    left: usize,
}

impl Line {
    fn max(&self) -> usize {
        if self.full { usize::MAX } else { SHOWN_MAX }
    }

    fn push(&mut self, element: &str) {
        if self.full || self.shown < ELEMENTS_MAX {
            self.shown += 1;
            let _ = write!(self.text, " {element}");
        } else {
            self.left += 1;
        }
    }

    fn end(mut self) -> String {
        if self.left > 0 {
            let _ = write!(self.text, " ...(+{})", self.left);
        }
        self.text
    }
}

fn value_text(value: &Stored<'_>, full: bool) -> String {
    let mut line = Line { text: String::new(), full, shown: 0, left: 0 };
    let max = line.max();
    match value {
        Stored::String(s) => return format!(" {}", quoted(s, max)),
        Stored::Hash(h) => {
            for (field, value) in h.pairs.clone() {
                line.push(&format!("{}={}", quoted(field, max), quoted(value, max)));
            }
            for (field, ms) in h.ttls.clone() {
                line.push(&format!("{}:expires={ms}", quoted(field, max)));
            }
        }
        Stored::List(e) | Stored::Set(e) => {
            e.clone().for_each(|element| line.push(&quoted(element, max)));
        }
        Stored::ZSet(z) => {
            for (member, score) in z.clone() {
                line.push(&format!("{}={score:?}", quoted(member, max)));
            }
        }
        Stored::Stream(s) => {
            for entry in s.entries.clone() {
                let fields: Vec<String> = entry
                    .fields
                    .clone()
                    .map(|(f, v)| format!("{}={}", quoted(f, max), quoted(v, max)))
                    .collect();
                line.push(&format!("{}[{}]", entry.id, fields.join(" ")));
            }
            for group in &s.groups {
                line.push(&format!("group:{}", quoted(group.name, max)));
            }
        }
    }
    line.end()
}

fn value_json(value: &Stored<'_>) -> Value {
    let list = |items: Vec<Value>| Value::List(items);
    match value {
        Stored::String(s) => (*s).into(),
        Stored::Hash(h) => {
            let mut ttls: std::collections::BTreeMap<&[u8], u64> = h.ttls.clone().collect();
            let pair = |(field, value): (&[u8], &[u8])| {
                let expires = ttls.remove(field);
                Value::Map(vec![
                    ("field", field.into()),
                    ("value", value.into()),
                    ("expires_ms", expires.into()),
                ])
            };
            list(h.pairs.clone().map(pair).collect())
        }
        Stored::List(e) | Stored::Set(e) => list(e.clone().map(Value::from).collect()),
        Stored::ZSet(z) => {
            let member = |(member, score): (&[u8], f64)| {
                let score = format!("{score:?}");
                Value::Map(vec![("member", member.into()), ("score", score.into())])
            };
            list(z.clone().map(member).collect())
        }
        Stored::Stream(s) => {
            let entries = s.entries.clone().map(|e| {
                let fields: Vec<Value> =
                    e.fields.clone().flat_map(|(f, v)| [Value::from(f), Value::from(v)]).collect();
                Value::Map(vec![("id", e.id.to_string().into()), ("fields", fields.into())])
            });
            let entries: Vec<Value> = entries.collect();
            let groups: Vec<Value> = s.groups.iter().map(|g| Value::from(g.name)).collect();
            Value::Map(vec![
                ("entries", entries.into()),
                ("last_id", s.last.to_string().into()),
                ("groups", groups.into()),
            ])
        }
    }
}

/// Prints a key.
pub(super) fn print(out: &mut Out<'_>, offset: u64, key: &Key<'_>, full: bool, hex: bool) {
    let kind = type_name(key.kind);
    if out.is_json() {
        let mut fields: Fields = vec![
            ("offset", offset.into()),
            ("db", key.db.into()),
            ("key", key.key.into()),
            ("type", kind.into()),
            ("expires_ms", key.expire_ms.into()),
            ("access", key.access.into()),
            ("idle_secs", key.idle_secs.into()),
            ("freq", key.freq.into()),
        ];
        match &key.place {
            Where::Cold(ptr) => {
                let at = vec![
                    ("file_id", ptr.file_id.into()),
                    ("page", ptr.page.into()),
                    ("slot", ptr.slot.into()),
                    ("stored_len", ptr.stored_len.into()),
                    ("logical_len", ptr.logical_len.into()),
                ];
                fields.push(("cold", at.into()));
            }
            Where::Here { body, value } | Where::Joined { body, value } => {
                fields.push(("bytes", (body.len() as u64).into()));
                fields.push(("elements", (elements(value) as u64).into()));
                fields.push(("value", value_json(value)));
                if hex {
                    let hex: String = body.iter().map(|b| format!("{b:02x}")).collect();
                    fields.push(("body_hex", hex.into()));
                }
            }
        }
        out.item("key", fields, "");
        return;
    }
    let name = quoted(key.key, if full { usize::MAX } else { SHOWN_MAX });
    let mut text = format!("{offset} db={} {kind} {name}", key.db);
    if let Some(ms) = key.expire_ms {
        let _ = write!(text, " expires={ms}");
    }
    if let Some(access) = key.access {
        let _ = write!(text, " access={access:#x}");
    }
    if let Some(secs) = key.idle_secs {
        let _ = write!(text, " idle={secs}");
    }
    if let Some(freq) = key.freq {
        let _ = write!(text, " freq={freq}");
    }
    match &key.place {
        Where::Cold(p) => {
            let _ = write!(text, " cold in file {} at {}:{}", p.file_id, p.page, p.slot);
            let _ = write!(text, " ({} bytes stored)", p.stored_len);
        }
        Where::Here { body, value } | Where::Joined { body, value } => {
            if !matches!(value, Stored::String(_)) {
                let _ = write!(text, " ({})", elements(value));
            }
            text.push_str(&value_text(value, full));
            if hex {
                text.push_str(&hex_dump(body, 0));
            }
        }
    }
    out.item("key", vec![], &text);
}
