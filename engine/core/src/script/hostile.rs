//! The fuzz target of conversions, in both directions: any reply as Lua sees it and as it is written again,
//! any Lua value as a reply. What must come out of the way there and back is said by a model without Lua.

use super::convert;
use mlua::{Lua, LuaOptions, StdLib, Table, Value};
use moon_formats::number::parse_i64;
use moon_formats::resp::{Proto, Reply, Value as RespValue};
use std::collections::BTreeMap;

/// Longest reply of a made value.
const REPLY_MAX: usize = 64 << 10;
/// How deep tables are made.
const DEPTH_MAX: usize = 1100;

thread_local! {
    static LUA: Lua = Lua::new_with(StdLib::NONE, LuaOptions::new()).expect("an interpreter");
}

/// What the fuzz target does: the first byte chooses protocols, the rest is a reply, and then the plan of a Lua
/// value.
pub fn hostile(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let proto = |bit: u8| if first & bit == 0 { Proto::Resp2 } else { Proto::Resp3 };
    LUA.with(|lua| {
        there_and_back(lua, rest, proto(1));
        made(lua, rest, proto(1), proto(2));
    });
}

fn there_and_back(lua: &Lua, bytes: &[u8], proto: Proto) {
    let seen = convert::reply(lua, bytes, proto);
    let Ok(Some((value, _))) = RespValue::decode(bytes) else {
        // No command answers that; an error or any value will do.
        return;
    };
    let want = match (&value, Seen::of(&value, proto)) {
        (RespValue::Error(text), _) => {
            let raised = seen.expect("a text").expect_err("an error is raised");
            return assert_eq!(&raised.text, text);
        }
        (_, Err(NilKey)) => return assert!(seen.is_err(), "a key is nil"),
        (_, Ok(want)) => want,
    };
    let seen = seen.expect("no key is nil").expect("no error");
    let mut out = Vec::new();
    convert::write(&mut Reply::new(&mut out, Proto::Resp3), &seen, proto);
    let (got, len) = RespValue::decode(&out).expect("a reply").expect("a whole one");
    assert_eq!(len, out.len());
    assert_eq!(canonical(&got), canonical(&want.written(proto)));
}

/// What a script sees of a reply, as far as a reply can be made of it.
enum Seen {
    Nil,
    Bool(bool),
    Number(f64),
    Text(Vec<u8>),
    /// A table, as what it is written.
    Table(RespValue),
}

impl Seen {
    fn of(value: &RespValue, proto: Proto) -> Result<Seen, NilKey> {
        let line = |text: &[u8]| {
            let space = |b: &u8| if matches!(b, b'\r' | b'\n') { b' ' } else { *b };
            text.iter().map(space).collect::<Vec<u8>>()
        };
        Ok(Seen::Table(match value {
            RespValue::Int(n) => return Ok(Seen::Number(*n as f64)),
            RespValue::Bulk(b) => return Ok(Seen::Text(b.clone())),
            RespValue::Bool(b) => return Ok(Seen::Bool(*b)),
            RespValue::Null | RespValue::NullArray if proto == Proto::Resp3 => {
                return Ok(Seen::Nil);
            }
            RespValue::Null | RespValue::NullArray => return Ok(Seen::Bool(false)),
            RespValue::Attribute(_, value) => return Seen::of(value, proto),
            RespValue::Simple(s) => RespValue::Simple(line(s)),
            RespValue::Error(s) => RespValue::Error(line(s)),
            RespValue::Double(_) | RespValue::Verbatim(..) => value.clone(),
            RespValue::BigNumber(n) => {
                RespValue::BigNumber(line(String::from_utf8_lossy(n).as_bytes()))
            }
            RespValue::Array(all) | RespValue::Push(all) => {
                let mut written = Vec::new();
                let mut ended = false;
                for value in all {
                    let seen = Seen::of(value, proto)?;
                    ended |= matches!(seen, Seen::Nil);
                    if !ended {
                        written.push(seen.written(proto));
                    }
                }
                RespValue::Array(written)
            }
            RespValue::Map(all) => {
                let mut pairs = BTreeMap::new();
                for (i, (key, value)) in all.iter().enumerate() {
                    let (key, value) = (Seen::of(key, proto)?, Seen::of(value, proto)?);
                    let name = key.name(i)?;
                    match value {
                        Seen::Nil => pairs.remove(&name),
                        value => pairs.insert(name, (key.written(proto), value.written(proto))),
                    };
                }
                RespValue::Map(pairs.into_values().collect())
            }
            RespValue::Set(all) => {
                let mut keys = BTreeMap::new();
                for (i, key) in all.iter().enumerate() {
                    let key = Seen::of(key, proto)?;
                    keys.insert(key.name(i)?, key.written(proto));
                }
                RespValue::Set(keys.into_values().collect())
            }
        }))
    }

    /// What makes it another key of a table; every table is one of its own.
    fn name(&self, place: usize) -> Result<(u8, Vec<u8>), NilKey> {
        Ok(match self {
            Seen::Nil => return Err(NilKey),
            Seen::Bool(b) => (0, vec![u8::from(*b)]),
            Seen::Number(n) => (1, n.to_be_bytes().to_vec()),
            Seen::Text(text) => (2, text.clone()),
            Seen::Table(_) => (3, place.to_be_bytes().to_vec()),
        })
    }

    fn written(self, proto: Proto) -> RespValue {
        match self {
            Seen::Nil => RespValue::Null,
            Seen::Bool(b) if proto == Proto::Resp3 => RespValue::Bool(b),
            Seen::Bool(true) => RespValue::Int(1),
            Seen::Bool(false) => RespValue::Null,
            // 2^63 is the only double that a reply brings and that is no integer.
            Seen::Number(9_223_372_036_854_775_808.0) => RespValue::Int(i64::MIN),
            Seen::Number(n) => RespValue::Int(n as i64),
            Seen::Text(text) => RespValue::Bulk(text),
            Seen::Table(written) => written,
        }
    }
}

/// Lua has no such key.
#[derive(Debug)]
struct NilKey;

/// A reply as text, the same for every order of a table.
fn canonical(value: &RespValue) -> String {
    let sorted = |mut all: Vec<String>| {
        all.sort_unstable();
        all.join(",")
    };
    match value {
        RespValue::Array(all) => {
            format!("[{}]", all.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        RespValue::Set(all) => format!("~[{}]", sorted(all.iter().map(canonical).collect())),
        RespValue::Map(all) => {
            let pair = |(k, v): &(RespValue, RespValue)| canonical(k) + "=" + &canonical(v);
            format!("{{{}}}", sorted(all.iter().map(pair).collect()))
        }
        other => format!("{other:?}"),
    }
}

fn made(lua: &Lua, plan: &[u8], proto: Proto, client: Proto) {
    let mut maker = Maker { lua, plan, tables: Vec::new() };
    let Ok(value) = maker.value(0) else { return };
    let mut out = Vec::new();
    convert::write_within(&mut Reply::new(&mut out, client), &value, proto, REPLY_MAX);
    assert!(out.len() <= REPLY_MAX, "a reply of {} bytes", out.len());
    assert!(is_one_reply(&out, client), "{}", out.escape_ascii());
    // Tables that hold themselves are otherwise kept until the collector's next cycle.
    for table in maker.tables {
        let _ = table.clear();
    }
}

/// Makes Lua values as bytes say.
struct Maker<'a> {
    lua: &'a Lua,
    plan: &'a [u8],
    tables: Vec<Table>,
}

/// Names that mean something in a table, and one that does not.
const NAMES: [&str; 10] =
    ["err", "ok", "double", "big_number", "map", "set", "verbatim_string", "format", "string", "x"];

impl Maker<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.plan.split_first()?;
        self.plan = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> &[u8] {
        let len = self.byte().map_or(0, usize::from).min(self.plan.len());
        let (text, rest) = self.plan.split_at(len);
        self.plan = rest;
        text
    }

    fn value(&mut self, depth: usize) -> mlua::Result<Value> {
        let Some(kind) = self.byte() else { return Ok(Value::Nil) };
        Ok(match kind % 16 {
            0 => Value::Nil,
            1 => Value::Boolean(kind & 16 == 0),
            2 => Value::Number(f64::from(kind >> 4)),
            3 => {
                let mut bits = [0; 8];
                bits.iter_mut().for_each(|b| *b = self.byte().unwrap_or(0));
                Value::Number(f64::from_be_bytes(bits))
            }
            4..=6 => {
                let lua = self.lua;
                Value::String(lua.create_string(self.bytes())?)
            }
            7 => match self.tables.get(usize::from(kind >> 4)) {
                Some(table) => Value::Table(table.clone()),
                None => Value::NULL,
            },
            _ if depth > DEPTH_MAX => Value::Nil,
            kind => {
                let table = self.lua.create_table()?;
                self.tables.push(table.clone());
                let count = self.byte().unwrap_or(0) % 16;
                for i in 0..count {
                    let key = match kind {
                        8..=11 => Value::Integer(i64::from(i) + 1),
                        12..=14 => {
                            let name = usize::from(self.byte().unwrap_or(0)) % NAMES.len();
                            Value::String(self.lua.create_string(NAMES[name])?)
                        }
                        _ => self.value(depth + 1)?,
                    };
                    let value = self.value(depth + 1)?;
                    table.raw_set(key, value)?;
                }
                Value::Table(table)
            }
        })
    }
}

/// Whether bytes are one reply, however deep, of types that a protocol has.
fn is_one_reply(mut bytes: &[u8], proto: Proto) -> bool {
    let mut wanted = 1u64;
    while wanted > 0 {
        wanted -= 1;
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return false };
        let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
        bytes = rest;
        let Some((&kind, line)) = line.split_first() else { return false };
        if proto == Proto::Resp2 && !b"+-:$*".contains(&kind) {
            return false;
        }
        let count = parse_i64(line);
        match (kind, count) {
            (b'+' | b'-' | b'(' | b',' | b'#' | b'_', _) | (b':', Some(_)) => {
                if line.contains(&b'\r') || line.contains(&b'\n') {
                    return false;
                }
            }
            (b'$', Some(-1)) if proto == Proto::Resp2 => {}
            (b'$' | b'=', Some(len)) => {
                let Some(rest) = usize::try_from(len).ok().and_then(|len| bytes.get(len..)) else {
                    return false;
                };
                let Some(rest) = rest.strip_prefix(b"\r\n") else { return false };
                bytes = rest;
            }
            (b'*' | b'~', Some(count @ 0..)) => wanted += count as u64,
            (b'%', Some(count @ 0..)) => wanted += 2 * count as u64,
            _ => return false,
        }
    }
    bytes.is_empty()
}
