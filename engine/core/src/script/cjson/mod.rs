//! The library `cjson`: JSON as Lua values.
//!
//! Numbers are doubles, `null` is `cjson.null`, an empty table is `{}`. Nesting is limited both
//! ways, so neither a text nor a table that contains itself decides how deep the stack grows.

mod decode;
mod encode;

use super::vm::MEMORY_MAX;
use decode::Decoder;
use encode::Encoder;
use mlua::{Lua, MultiValue, Table, Value};
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
    use super::super::vm::NOT_ENOUGH_MEMORY;
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
