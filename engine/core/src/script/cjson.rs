//! The library `cjson`: JSON as Lua values.
//!
//! Numbers are doubles, `null` is `cjson.null`, an empty table is `{}`. Nesting is limited both
//! ways, so neither a text nor a table that contains itself decides how deep the stack grows.

use super::vm::{MEMORY_MAX, NOT_ENOUGH_MEMORY};
use mlua::{Lua, LuaString, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// Settings of a library; they last as long as its interpreter.
struct Options {
    sparse_convert: Cell<bool>,
    sparse_ratio: Cell<i64>,
    sparse_safe: Cell<i64>,
    encode_depth: Cell<usize>,
    decode_depth: Cell<usize>,
    precision: Cell<usize>,
    invalid_encode: Cell<bool>,
    /// Numbers that JSON lacks are `null`.
    invalid_null: Cell<bool>,
    /// Kept for those who ask; there is no buffer to keep.
    keep_buffer: Cell<bool>,
    invalid_decode: Cell<bool>,
    array_mt: Cell<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            sparse_convert: Cell::new(false),
            sparse_ratio: Cell::new(2),
            sparse_safe: Cell::new(10),
            encode_depth: Cell::new(1000),
            decode_depth: Cell::new(1000),
            precision: Cell::new(14),
            invalid_encode: Cell::new(false),
            invalid_null: Cell::new(false),
            keep_buffer: Cell::new(true),
            invalid_decode: Cell::new(true),
            array_mt: Cell::new(false),
        }
    }
}

/// Largest nesting that can be asked for.
const DEPTH_MAX: i64 = 1000;

/// Appends a number as `%.<precision>g` of C prints it.
pub(super) fn write_g(out: &mut Vec<u8>, v: f64, precision: usize) {
    if !v.is_finite() {
        let text = if v.is_nan() {
            "nan"
        } else if v > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return out.extend_from_slice(text.as_bytes());
    }
    let text = format!("{:.*e}", precision.max(1) - 1, v);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => s.to_string(),
    };
    let text = if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    } else {
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        trim(&format!("{v:.decimals$}"))
    };
    out.extend_from_slice(text.as_bytes());
}

struct Encoder<'a> {
    options: &'a Options,
    array_mt: &'a Table,
    out: Vec<u8>,
    /// Longest text.
    max: usize,
}

type Encoded = Result<(), String>;

fn cannot(what: &str, why: &str) -> String {
    format!("Cannot serialise {what}: {why}")
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Encoded {
        if self.out.len() > self.max {
            return Err(NOT_ENOUGH_MEMORY.to_string());
        }
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(p) if p.0.is_null() => self.out.extend_from_slice(b"null"),
            Value::Boolean(b) => self.out.extend_from_slice(if *b { b"true" } else { b"false" }),
            Value::Integer(n) => self.number(*n as f64)?,
            Value::Number(n) => self.number(*n)?,
            Value::String(s) => self.text(&s.as_bytes()),
            Value::Table(t) => self.table(t, depth + 1)?,
            other => return Err(cannot(other.type_name(), "type not supported")),
        }
        Ok(())
    }

    fn number(&mut self, n: f64) -> Encoded {
        if !n.is_finite() && !self.options.invalid_encode.get() {
            return Err(cannot("number", "must not be NaN or Inf"));
        }
        if !n.is_finite() && self.options.invalid_null.get() {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        write_g(&mut self.out, n, self.options.precision.get());
        Ok(())
    }

    fn text(&mut self, s: &[u8]) {
        self.out.push(b'"');
        for &b in s {
            match b {
                b'"' | b'\\' | b'/' => self.out.extend_from_slice(&[b'\\', b]),
                8 => self.out.extend_from_slice(b"\\b"),
                9 => self.out.extend_from_slice(b"\\t"),
                10 => self.out.extend_from_slice(b"\\n"),
                12 => self.out.extend_from_slice(b"\\f"),
                13 => self.out.extend_from_slice(b"\\r"),
                0..32 | 127 => self.out.extend_from_slice(format!("\\u{b:04x}").as_bytes()),
                _ => self.out.push(b),
            }
        }
        self.out.push(b'"');
    }

    /// Length of a table that is an array; `None` if it is an object.
    fn array_len(&self, t: &Table) -> Result<Option<i64>, String> {
        let (mut max, mut count) = (0, 0i64);
        for pair in t.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(|e| e.to_string())?;
            match key {
                Value::Integer(n) if n > 0 => max = max.max(n),
                _ => return Ok(None),
            }
            count += 1;
        }
        let (ratio, safe) = (self.options.sparse_ratio.get(), self.options.sparse_safe.get());
        if ratio > 0 && max > count.saturating_mul(ratio) && max > safe {
            if self.options.sparse_convert.get() {
                return Ok(None);
            }
            return Err(cannot("table", "excessively sparse array"));
        }
        Ok(Some(max))
    }

    fn table(&mut self, t: &Table, depth: usize) -> Encoded {
        if depth > self.options.encode_depth.get() {
            return Err(format!("Cannot serialise, excessive nesting ({depth})"));
        }
        let len = self.array_len(t)?;
        let is_array = t.metatable().is_some_and(|m| m.to_pointer() == self.array_mt.to_pointer());
        match len {
            Some(n) if n > 0 || is_array => {
                self.out.push(b'[');
                for i in 1..=n {
                    if i > 1 {
                        self.out.push(b',');
                    }
                    let item = t.raw_get::<Value>(i).map_err(|e| e.to_string())?;
                    self.value(&item, depth)?;
                }
                self.out.push(b']');
            }
            _ => {
                self.out.push(b'{');
                let mut first = true;
                for pair in t.pairs::<Value, Value>() {
                    let (key, value) = pair.map_err(|e| e.to_string())?;
                    if !std::mem::take(&mut first) {
                        self.out.push(b',');
                    }
                    let number = match &key {
                        Value::String(s) => {
                            self.text(&s.as_bytes());
                            None
                        }
                        Value::Integer(n) => Some(*n as f64),
                        Value::Number(n) => Some(*n),
                        _ => {
                            return Err(cannot("table", "table key must be a number or string"));
                        }
                    };
                    if let Some(n) = number {
                        self.out.push(b'"');
                        self.number(n)?;
                        self.out.push(b'"');
                    }
                    self.out.push(b':');
                    self.value(&value, depth)?;
                }
                self.out.push(b'}');
            }
        }
        Ok(())
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    options: &'a Options,
    array_mt: &'a Table,
    text: &'a [u8],
    at: usize,
}

impl Decoder<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> String {
        let found = match self.text.get(self.at) {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b'"') => "T_STRING",
            Some(b':') => "T_COLON",
            Some(b',') => "T_COMMA",
            Some(b'0'..=b'9' | b'-') => "T_NUMBER",
            Some(_) => "invalid token",
        };
        format!("Expected {what} but found {found} at character {}", self.at + 1)
    }

    fn invalid<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("Expected value but found {what} at character {}", self.at + 1))
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.blank();
        match self.peek() {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Value::String),
            _ => {
                let rest = &self.text[self.at..];
                for (word, value) in [
                    ("null", Value::NULL),
                    ("true", Value::Boolean(true)),
                    ("false", Value::Boolean(false)),
                ] {
                    if rest.starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                self.number()
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let end = rest
            .iter()
            .position(
                |b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'),
            )
            .unwrap_or(rest.len());
        let word = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let digits = word.trim_start_matches('-');
        let plain = digits.starts_with(|c: char| c.is_ascii_digit());
        let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
        let odd = !plain
            || hex.is_some()
            || (digits.len() > 1
                && digits.starts_with('0')
                && digits.as_bytes()[1].is_ascii_digit());
        if word.is_empty() || word.starts_with('+') || (odd && !self.options.invalid_decode.get()) {
            return match rest.first() {
                None | Some(b'}' | b']' | b':' | b',') => Err(self.expected("value")),
                Some(b'-') => self.invalid("invalid number"),
                Some(_) => self.invalid("invalid token"),
            };
        }
        let parsed = match hex {
            Some(hex) => u64::from_str_radix(hex, 16)
                .ok()
                .map(|n| if word.starts_with('-') { -(n as f64) } else { n as f64 }),
            None => word.parse::<f64>().ok(),
        };
        match parsed {
            Some(n) => {
                self.at += end;
                Ok(Value::Number(n))
            }
            None if plain => self.invalid("invalid number"),
            None => self.invalid("invalid token"),
        }
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        self.at += 4;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// What follows `\u`: one code, or two that make one character.
    fn unicode(&mut self) -> Option<char> {
        let mut code = self.hex4()?;
        if (0xd800..0xdc00).contains(&code) {
            if self.text.get(self.at..self.at + 2) != Some(b"\\u") {
                return None;
            }
            self.at += 2;
            let low = self.hex4()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            code = 0x1_0000 + ((code - 0xd800) << 10) + low;
        }
        char::from_u32(code)
    }

    fn string(&mut self) -> Result<LuaString, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(&b) = self.text.get(self.at) else {
                return self.invalid("unexpected end of string");
            };
            self.at += 1;
            match b {
                b'"' => break,
                b'\\' => {
                    let start = self.at - 1;
                    let escape = self.peek();
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' => out.push(escape),
                        b'b' => out.push(8),
                        b'f' => out.push(12),
                        b'n' => out.push(b'\n'),
                        b'r' => out.push(b'\r'),
                        b't' => out.push(b'\t'),
                        b'u' => {
                            let Some(c) = self.unicode() else {
                                self.at = start;
                                return self.invalid("invalid unicode escape code");
                            };
                            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        _ => {
                            self.at = start;
                            return self.invalid("invalid escape code");
                        }
                    }
                }
                0..32 => {
                    self.at -= 1;
                    return self.invalid("invalid token");
                }
                _ => out.push(b),
            }
        }
        self.lua.create_string(out).map_err(|e| e.to_string())
    }

    fn enter(&self, depth: usize) -> Result<Table, String> {
        if depth > self.options.decode_depth.get() {
            return Err(format!(
                "Found too many nested data structures ({depth}) at character {}",
                self.at + 1
            ));
        }
        self.lua.create_table().map_err(|e| e.to_string())
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let table = self.enter(depth)?;
        self.at += 1;
        self.blank();
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        loop {
            self.blank();
            if self.peek() != b'"' {
                return Err(self.expected("object key string"));
            }
            let key = self.string()?;
            self.blank();
            if self.peek() != b':' {
                return Err(self.expected("colon"));
            }
            self.at += 1;
            let value = self.value(depth)?;
            table.raw_set(key, value).map_err(|e| e.to_string())?;
            self.blank();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Value::Table(table));
                }
                _ => return Err(self.expected("comma or object end")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let table = self.enter(depth)?;
        if self.options.array_mt.get() {
            table.set_metatable(Some(self.array_mt.clone())).map_err(|e| e.to_string())?;
        }
        self.at += 1;
        self.blank();
        if self.peek() == b']' {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        for i in 1.. {
            let value = self.value(depth)?;
            table.raw_set(i, value).map_err(|e| e.to_string())?;
            self.blank();
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.expected("comma or array end")),
            }
        }
        Ok(Value::Table(table))
    }
}

fn answer(lua: &Lua, result: Result<Value, String>) -> mlua::Result<Value> {
    result.map_err(|text| super::vm::library_error(lua, &text))
}

/// The table of the library.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let options = Rc::<Options>::default();
    let array_mt = lua.create_table()?;
    table.set("null", Value::NULL)?;
    table.set("_NAME", "cjson")?;
    table.set("_VERSION", "2.1.0")?;
    let (o, mt) = (options.clone(), array_mt.clone());
    let encode = move |lua: &Lua, args: MultiValue| {
        if args.len() != 1 {
            return answer(lua, Err("bad argument #1 to 'encode' (expected 1 argument)".into()));
        }
        let mut encoder = Encoder { options: &o, array_mt: &mt, out: Vec::new(), max: MEMORY_MAX };
        match encoder.value(&args[0], 0) {
            Ok(()) => lua.create_string(&encoder.out).map(Value::String),
            Err(text) => answer(lua, Err(text)),
        }
    };
    table.set("encode", lua.create_function(encode)?)?;
    let (o, mt) = (options.clone(), array_mt);
    let decode = move |lua: &Lua, args: MultiValue| {
        let text = match args.front() {
            Some(v) if args.len() == 1 => lua.coerce_string(v.clone())?,
            _ => {
                return answer(
                    lua,
                    Err("bad argument #1 to 'decode' (expected 1 argument)".into()),
                );
            }
        };
        let Some(text) = text else {
            return answer(lua, Err("bad argument #1 to 'decode' (string expected)".into()));
        };
        let text = text.as_bytes();
        let mut d = Decoder { lua, options: &o, array_mt: &mt, text: &text, at: 0 };
        let value = d.value(0).and_then(|v| {
            d.blank();
            if d.at < d.text.len() { Err(d.expected("the end")) } else { Ok(v) }
        });
        answer(lua, value)
    };
    table.set("decode", lua.create_function(decode)?)?;
    settings(lua, &table, &options)?;
    Ok(table)
}

fn bad_switch(name: &str, why: &str) -> String {
    format!("bad argument #1 to '{name}' ({why})")
}

/// A switch: a boolean, `on` or `off`; `None` is `null`.
fn switch(lua: &Lua, value: &Value) -> Result<Option<bool>, String> {
    if let Value::Boolean(on) = value {
        return Ok(Some(*on));
    }
    let text = lua.coerce_string(value.clone()).ok().flatten();
    let text = text.ok_or_else(|| format!("string expected, got {}", value.type_name()))?;
    match &*text.as_bytes() {
        b"on" => Ok(Some(true)),
        b"off" => Ok(Some(false)),
        b"null" => Ok(None),
        other => Err(format!("invalid option '{}'", String::from_utf8_lossy(other))),
    }
}

/// The functions that read and change options.
fn settings(lua: &Lua, table: &Table, options: &Rc<Options>) -> mlua::Result<()> {
    type Flag = fn(&Options) -> &Cell<bool>;
    let flags: [(&str, Flag); 4] = [
        ("encode_invalid_numbers", |o| &o.invalid_encode),
        ("encode_keep_buffer", |o| &o.keep_buffer),
        ("decode_invalid_numbers", |o| &o.invalid_decode),
        ("decode_array_with_array_mt", |o| &o.array_mt),
    ];
    for (name, flag) in flags {
        let o = options.clone();
        let set = move |lua: &Lua, value: Option<Value>| {
            let null = name == "encode_invalid_numbers";
            match value.unwrap_or_default() {
                Value::Nil => {}
                value => match switch(lua, &value) {
                    Ok(Some(on)) => {
                        flag(&o).set(on);
                        o.invalid_null.set(o.invalid_null.get() && !null);
                    }
                    Ok(None) if null => {
                        flag(&o).set(true);
                        o.invalid_null.set(true);
                    }
                    Ok(None) => return answer(lua, Err(bad_switch(name, "invalid option 'null'"))),
                    Err(why) => return answer(lua, Err(bad_switch(name, &why))),
                },
            }
            if null && o.invalid_null.get() {
                return lua.create_string("null").map(Value::String);
            }
            Ok(Value::Boolean(flag(&o).get()))
        };
        table.set(name, lua.create_function(set)?)?;
    }
    type Size = fn(&Options) -> &Cell<usize>;
    let sizes: [(&str, Size, i64); 3] = [
        ("encode_max_depth", |o| &o.encode_depth, DEPTH_MAX),
        ("decode_max_depth", |o| &o.decode_depth, DEPTH_MAX),
        ("encode_number_precision", |o| &o.precision, 14),
    ];
    for (name, size, max) in sizes {
        let o = options.clone();
        let set = move |lua: &Lua, n: Option<i64>| {
            if let Some(n) = n {
                if !(1..=max).contains(&n) {
                    let text = format!(
                        "bad argument #1 to '{name}' (expected integer between 1 and {max})"
                    );
                    return answer(lua, Err(text));
                }
                size(&o).set(n as usize);
            }
            answer(lua, Ok(Value::Number(size(&o).get() as f64)))
        };
        table.set(name, lua.create_function(set)?)?;
    }
    let o = options.clone();
    let sparse =
        move |_: &Lua, (convert, ratio, safe): (Option<bool>, Option<i64>, Option<i64>)| {
            if let Some(convert) = convert {
                o.sparse_convert.set(convert);
            }
            if let Some(ratio) = ratio.filter(|n| *n >= 0) {
                o.sparse_ratio.set(ratio);
            }
            if let Some(safe) = safe.filter(|n| *n >= 0) {
                o.sparse_safe.set(safe);
            }
            Ok((o.sparse_convert.get(), o.sparse_ratio.get(), o.sparse_safe.get()))
        };
    table.set("encode_sparse_array", lua.create_function(sparse)?)?;
    table.set("new", lua.create_function(|lua, ()| library(lua))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_value_is_no_endless_text() {
        let lua = Lua::new();
        let (options, array_mt) = (Options::default(), lua.create_table().unwrap());
        options.sparse_ratio.set(0);
        let twice = "local t = {'x'} for i = 1, 60 do t = {t, t} end return t";
        for script in [twice, "return {[2^50] = 1}"] {
            let mut encoder =
                Encoder { options: &options, array_mt: &array_mt, out: Vec::new(), max: 1000 };
            let encoded = encoder.value(&lua.load(script).eval().unwrap(), 0);
            assert_eq!(encoded.unwrap_err(), NOT_ENOUGH_MEMORY, "{script}");
        }
    }
}
