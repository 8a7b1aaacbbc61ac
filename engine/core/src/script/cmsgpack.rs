//! The library `cmsgpack`: MessagePack as Lua values, in the forms of Redis (`lua_cmsgpack.c` there): whole
//! numbers are integers, others the shortest float that holds them; a table whose keys are `1..n` is an
//! array, any other a map; what cannot be packed, and what is nested too deep, is nil.

use super::vm::{MEMORY_MAX, NOT_ENOUGH_MEMORY, library_error};
use mlua::{Lua, LuaString, MultiValue, Table, Value};

/// Tables below this depth are packed as nil.
const PACK_DEPTH: usize = 16;
/// Deepest value that is unpacked.
const UNPACK_DEPTH: usize = 1000;
/// Most values that one call hands to a script: they lie on its stack.
const VALUES_MAX: usize = 7000;

const MISSING: &str = "Missing bytes in input.";
const BAD_FORMAT: &str = "Bad data format in input.";
const NIL_KEY: &str = "table index is nil";
const NAN_KEY: &str = "table index is NaN";
const TOO_MANY: &str = "too many return values at once; use unpack_one or unpack_limit instead.";

fn put_header(out: &mut Vec<u8>, len: usize, fix: (u8, usize), codes: [Option<u8>; 3]) {
    let [len8, len16, len32] = codes;
    if len < fix.1 {
        out.push(fix.0 | len as u8);
    } else if let (Some(code), Ok(n)) = (len8, u8::try_from(len)) {
        out.extend_from_slice(&[code, n]);
    } else if let (Some(code), Ok(n)) = (len16, u16::try_from(len)) {
        out.push(code);
        out.extend_from_slice(&n.to_be_bytes());
    } else if let Some(code) = len32 {
        out.push(code);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    }
}

fn put_integer(out: &mut Vec<u8>, n: i64) {
    match n {
        -32..=127 => out.push(n as u8),
        128..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&n.to_be_bytes());
        }
        -128..=-33 => out.extend_from_slice(&[0xd0, n as u8]),
        -0x8000..=-129 => {
            out.push(0xd1);
            out.extend_from_slice(&(n as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend_from_slice(&(n as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

fn put_number(out: &mut Vec<u8>, n: f64) {
    if n as i64 as f64 == n && n < i64::MAX as f64 {
        put_integer(out, n as i64);
    } else if f64::from(n as f32) == n {
        out.push(0xca);
        out.extend_from_slice(&(n as f32).to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&n.to_be_bytes());
    }
}

/// Length of a table whose keys are exactly `1..n`, and the number of its keys.
fn shape(table: &Table) -> (Option<usize>, usize) {
    let (mut count, mut max, mut array) = (0, 0.0, true);
    for (key, _) in table.pairs::<Value, Value>().flatten() {
        let n = match key {
            Value::Integer(n) => n as f64,
            Value::Number(n) => n,
            _ => -1.0,
        };
        array &= n > 0.0 && n as i32 as f64 == n;
        max = n.max(max);
        count += 1;
    }
    ((array && max == count as f64).then_some(count), count)
}

/// Appends a value; what would make more than `max` bytes is left out, and the caller sees by the length.
fn put(out: &mut Vec<u8>, value: &Value, depth: usize, max: usize) {
    if out.len() > max {
        return;
    }
    match value {
        Value::String(s) => {
            let s = s.as_bytes();
            put_header(out, s.len(), (0xa0, 32), [Some(0xd9), Some(0xda), Some(0xdb)]);
            out.extend_from_slice(&s);
        }
        Value::Boolean(b) => out.push(if *b { 0xc3 } else { 0xc2 }),
        Value::Integer(n) => put_integer(out, *n),
        Value::Number(n) => put_number(out, *n),
        Value::Table(t) if depth < PACK_DEPTH => match shape(t) {
            (Some(len), _) => {
                put_header(out, len, (0x90, 16), [None, Some(0xdc), Some(0xdd)]);
                for i in 1..=len {
                    put(out, &t.raw_get::<Value>(i).unwrap_or_default(), depth + 1, max);
                }
            }
            (None, count) => {
                put_header(out, count, (0x80, 16), [None, Some(0xde), Some(0xdf)]);
                for (key, value) in t.pairs::<Value, Value>().flatten() {
                    put(out, &key, depth + 1, max);
                    put(out, &value, depth + 1, max);
                }
            }
        },
        _ => out.push(0xc0),
    }
}

/// What is left of a packed text.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], mlua::Error> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(mlua::Error::runtime(MISSING))?;
        self.0 = rest;
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], mlua::Error> {
        self.take(N)?.try_into().map_err(|_| mlua::Error::runtime(MISSING))
    }

    fn text(&mut self, lua: &Lua, len: usize) -> mlua::Result<Value> {
        Ok(Value::String(lua.create_string(self.take(len)?)?))
    }

    fn array(&mut self, lua: &Lua, len: usize, depth: usize) -> mlua::Result<Value> {
        // An announced length makes no room: elements have to arrive.
        let table = lua.create_table()?;
        for i in 1..=len {
            table.raw_set(i, self.value(lua, depth)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, lua: &Lua, len: usize, depth: usize) -> mlua::Result<Value> {
        let table = lua.create_table()?;
        for _ in 0..len {
            let (key, value) = (self.value(lua, depth)?, self.value(lua, depth)?);
            match key {
                Value::Nil => return Err(mlua::Error::runtime(NIL_KEY)),
                Value::Number(n) if n.is_nan() => return Err(mlua::Error::runtime(NAN_KEY)),
                key => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }

    fn value(&mut self, lua: &Lua, depth: usize) -> mlua::Result<Value> {
        if depth == 0 {
            return Err(mlua::Error::runtime(BAD_FORMAT));
        }
        let [code] = self.bytes()?;
        let number = |n: f64| Ok(Value::Number(n));
        match code {
            0x00..=0x7f => number(f64::from(code)),
            0xe0..=0xff => number(f64::from(code as i8)),
            0x80..=0x8f => self.map(lua, usize::from(code & 15), depth - 1),
            0x90..=0x9f => self.array(lua, usize::from(code & 15), depth - 1),
            0xa0..=0xbf => self.text(lua, usize::from(code & 31)),
            0xc0 => Ok(Value::Nil),
            0xc2 | 0xc3 => Ok(Value::Boolean(code == 0xc3)),
            0xca => number(f64::from(f32::from_be_bytes(self.bytes()?))),
            0xcb => number(f64::from_be_bytes(self.bytes()?)),
            0xcc => number(f64::from(u8::from_be_bytes(self.bytes()?))),
            0xcd => number(f64::from(u16::from_be_bytes(self.bytes()?))),
            0xce => number(f64::from(u32::from_be_bytes(self.bytes()?))),
            // As Redis hands them to Lua: signed.
            0xcf | 0xd3 => number(i64::from_be_bytes(self.bytes()?) as f64),
            0xd0 => number(f64::from(i8::from_be_bytes(self.bytes()?))),
            0xd1 => number(f64::from(i16::from_be_bytes(self.bytes()?))),
            0xd2 => number(f64::from(i32::from_be_bytes(self.bytes()?))),
            0xd9 => {
                let len = usize::from(u8::from_be_bytes(self.bytes()?));
                self.text(lua, len)
            }
            0xda | 0xdc | 0xde => {
                let len = usize::from(u16::from_be_bytes(self.bytes()?));
                self.counted(lua, code - 0xda, len, depth)
            }
            0xdb | 0xdd | 0xdf => {
                let len = u32::from_be_bytes(self.bytes()?) as usize;
                self.counted(lua, code - 0xdb, len, depth)
            }
            _ => Err(mlua::Error::runtime(BAD_FORMAT)),
        }
    }

    fn counted(&mut self, lua: &Lua, kind: u8, len: usize, depth: usize) -> mlua::Result<Value> {
        match kind {
            0 => self.text(lua, len),
            2 => self.array(lua, len, depth - 1),
            _ => self.map(lua, len, depth - 1),
        }
    }
}

/// The arguments of an unpacking function: its text and up to two numbers.
fn arguments(
    lua: &Lua,
    args: &MultiValue,
    name: &str,
    needed: usize,
) -> mlua::Result<(LuaString, [i64; 2])> {
    let wrong = |i: usize, what: &str| {
        let got = args.get(i).map_or("no value", Value::type_name);
        let i = i + 1;
        library_error(lua, &format!("bad argument #{i} to '{name}' ({what} expected, got {got})"))
    };
    let text = args.front().and_then(|v| lua.coerce_string(v.clone()).ok().flatten());
    let text = text.ok_or_else(|| wrong(0, "string"))?;
    let mut numbers = [0; 2];
    for (i, number) in numbers.iter_mut().enumerate() {
        let value = args.get(i + 1).cloned().unwrap_or_default();
        if value.is_nil() && i + 1 > needed {
            continue;
        }
        let given = lua.coerce_number(value).ok().flatten();
        *number = given.ok_or_else(|| wrong(i + 1, "number"))? as i64;
    }
    Ok((text, numbers))
}

fn unpack(lua: &Lua, text: &LuaString, limit: i64, offset: i64) -> mlua::Result<MultiValue> {
    let text = text.as_bytes();
    let len = text.len();
    let all = limit == 0 && offset == 0;
    let error = |text: &str| library_error(lua, text);
    if limit < 0 || offset < 0 {
        return Err(error(&format!(
            "Invalid request to unpack with offset of {offset} and limit of {len}."
        )));
    }
    let Some(rest) = usize::try_from(offset).ok().and_then(|at| text.get(at..)) else {
        return Err(error(&format!("Start offset {offset} greater than input length {len}.")));
    };
    let limit = if all { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut cursor = Cursor(rest);
    let mut values = Vec::new();
    while !cursor.0.is_empty() && values.len() < limit {
        if values.len() >= VALUES_MAX {
            return Err(error(TOO_MANY));
        }
        let value = cursor.value(lua, UNPACK_DEPTH).map_err(|e| match e {
            mlua::Error::RuntimeError(text) if text == MISSING || text == BAD_FORMAT => {
                error(&text)
            }
            other => other,
        })?;
        values.push(value);
    }
    if !all {
        let left = cursor.0.len();
        let next = if left == 0 { -1.0 } else { (len - left) as f64 };
        values.insert(0, Value::Number(next));
    }
    Ok(MultiValue::from_vec(values))
}

/// The library's table.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let pack = |lua: &Lua, args: MultiValue| {
        if args.is_empty() {
            let text = "bad argument #0 to 'pack' (MessagePack pack needs input.)";
            return Err(library_error(lua, text));
        }
        let mut out = Vec::new();
        args.iter().for_each(|value| put(&mut out, value, 0, MEMORY_MAX));
        if out.len() > MEMORY_MAX {
            return Err(library_error(lua, NOT_ENOUGH_MEMORY));
        }
        lua.create_string(&out)
    };
    table.set("pack", lua.create_function(pack)?)?;
    let all = |lua: &Lua, args: MultiValue| {
        let args = args.into_iter().take(1).collect();
        let (text, _) = arguments(lua, &args, "unpack", 0)?;
        unpack(lua, &text, 0, 0)
    };
    table.set("unpack", lua.create_function(all)?)?;
    let one = |lua: &Lua, args: MultiValue| {
        let (text, [offset, _]) = arguments(lua, &args, "unpack_one", 0)?;
        unpack(lua, &text, 1, offset)
    };
    table.set("unpack_one", lua.create_function(one)?)?;
    let some = |lua: &Lua, args: MultiValue| {
        let (text, [limit, offset]) = arguments(lua, &args, "unpack_limit", 1)?;
        unpack(lua, &text, limit, offset)
    };
    table.set("unpack_limit", lua.create_function(some)?)?;
    table.set("_NAME", "cmsgpack")?;
    table.set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_value_is_no_endless_text() {
        let lua = Lua::new();
        let own = "local t = {} for i = 1, 100 do t[i] = t end return t";
        let mut out = Vec::new();
        put(&mut out, &lua.load(own).eval().unwrap(), 0, 1000);
        assert!((1001..1100).contains(&out.len()), "{}", out.len());
    }
}
