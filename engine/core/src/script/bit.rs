//! The library `bit`: operations on 32 bits, results signed.

use mlua::{Lua, MultiValue, Table, Value};

/// Adding this leaves a number's integer part, modulo 2^32, in the low bits of the mantissa.
const SHIFT: f64 = 6_755_399_441_055_744.0;

fn bits(lua: &Lua, args: &MultiValue, i: usize, name: &str) -> Result<i32, String> {
    let value = args.get(i).cloned().unwrap_or_default();
    let kind = value.type_name();
    match lua.coerce_number(value) {
        Ok(Some(n)) => Ok((n + SHIFT).to_bits() as i32),
        _ => {
            let got = if i < args.len() { kind } else { "no value" };
            Err(format!("bad argument #{} to '{name}' (number expected, got {got})", i + 1))
        }
    }
}

fn answer(lua: &Lua, result: Result<Value, String>) -> mlua::Result<Value> {
    result.map_err(|text| super::vm::library_error(lua, &text))
}

type Fold = fn(i32, i32) -> i32;
type Map = fn(i32) -> i32;

const FOLDS: [(&str, Fold); 3] =
    [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
const MAPS: [(&str, Map); 3] = [("tobit", |a| a), ("bnot", |a| !a), ("bswap", i32::swap_bytes)];
const SHIFTS: [(&str, Fold); 5] = [
    ("lshift", |a, n| a.wrapping_shl(n as u32)),
    ("rshift", |a, n| (a as u32).wrapping_shr(n as u32) as i32),
    ("arshift", |a, n| a.wrapping_shr(n as u32)),
    ("rol", |a, n| a.rotate_left(n as u32 & 31)),
    ("ror", |a, n| a.rotate_right(n as u32 & 31)),
];

fn tohex(lua: &Lua, args: &MultiValue) -> Result<String, String> {
    let number = bits(lua, args, 0, "tohex")?;
    let digits = if args.len() > 1 { bits(lua, args, 1, "tohex")? } else { 8 };
    let count = digits.unsigned_abs().min(8) as usize;
    let text = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    Ok(text[8 - count..].to_string())
}

/// The table of the library.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, f) in FOLDS {
        let fold = move |lua: &Lua, args: MultiValue| {
            let result = bits(lua, &args, 0, name).and_then(|first| {
                (1..args.len()).try_fold(first, |a, i| Ok(f(a, bits(lua, &args, i, name)?)))
            });
            answer(lua, result.map(|n| Value::Number(n.into())))
        };
        table.set(name, lua.create_function(fold)?)?;
    }
    for (name, f) in MAPS {
        let map = move |lua: &Lua, args: MultiValue| {
            answer(lua, bits(lua, &args, 0, name).map(|n| Value::Number(f(n).into())))
        };
        table.set(name, lua.create_function(map)?)?;
    }
    for (name, f) in SHIFTS {
        let shift = move |lua: &Lua, args: MultiValue| {
            let result = bits(lua, &args, 0, name)
                .and_then(|a| Ok(Value::Number(f(a, bits(lua, &args, 1, name)?).into())));
            answer(lua, result)
        };
        table.set(name, lua.create_function(shift)?)?;
    }
    let hex = |lua: &Lua, args: MultiValue| match tohex(lua, &args) {
        Ok(text) => answer(lua, Ok(Value::String(lua.create_string(text)?))),
        Err(text) => answer(lua, Err(text)),
    };
    table.set("tohex", lua.create_function(hex)?)?;
    Ok(table)
}
