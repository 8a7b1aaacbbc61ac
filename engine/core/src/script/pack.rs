//! The library `struct`: numbers and strings as bytes of a fixed layout (`lua_struct.c` of Redis).
//!
//! A format is a row of options: `>` `<` order of bytes, `!n` alignment, `x` a byte of padding, `b` `h` `l` `T`
//! `in` integers (upper case: unsigned), `f` `d` floats, `cn` `n` bytes, `s` a string that ends with a zero.

use super::vm::library_error;
use mlua::{Lua, LuaString, MultiValue, Table, Value};

/// Widest integer, in bytes.
const INTEGER_MAX: usize = 32;
/// Alignment that `!` stands for.
const ALIGN: usize = 8;
/// Most values that one call hands to a script: they lie on its stack.
const VALUES_MAX: usize = 7000;

/// One option of a format, in its place.
enum Kind {
    Integer { signed: bool },
    Padding,
    Float,
    Double,
    Chars,
    Zero,
}

/// Reads a format.
struct Format<'a> {
    rest: &'a [u8],
    big: bool,
    align: usize,
}

/// What went wrong: an argument by its number, or the call itself.
enum Bad {
    Argument(usize, String),
    Call(String),
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        // A C string there.
        let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
        Format { rest: &text[..end], big: false, align: 1 }
    }

    fn number(&mut self, default: usize) -> Result<usize, Bad> {
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if text.is_empty() {
            return Ok(default);
        }
        let number =
            text.iter().try_fold(0i32, |n, d| n.checked_mul(10)?.checked_add(i32::from(d - b'0')));
        number.map(|n| n as usize).ok_or_else(|| Bad::Call("integral size overflow".into()))
    }

    /// The next option at `at`: bytes that align it, itself, its size.
    fn next(&mut self, at: usize) -> Result<Option<(usize, Kind, usize)>, Bad> {
        loop {
            let Some((&code, rest)) = self.rest.split_first() else { return Ok(None) };
            self.rest = rest;
            let signed = code.is_ascii_lowercase();
            let (option, size) = match code {
                b'b' | b'B' => (Kind::Integer { signed }, 1),
                b'h' | b'H' => (Kind::Integer { signed }, 2),
                b'l' | b'L' | b'T' => (Kind::Integer { signed }, 8),
                b'i' | b'I' => {
                    let size = self.number(4)?;
                    if size > INTEGER_MAX {
                        return Err(Bad::Call(format!(
                            "integral size {size} is larger than limit of {INTEGER_MAX}"
                        )));
                    }
                    (Kind::Integer { signed }, size)
                }
                b'x' => (Kind::Padding, 1),
                b'f' => (Kind::Float, 4),
                b'd' => (Kind::Double, 8),
                b'c' => (Kind::Chars, self.number(1)?),
                b's' => (Kind::Zero, 0),
                b' ' => continue,
                b'>' | b'<' => {
                    self.big = code == b'>';
                    continue;
                }
                b'!' => {
                    let align = self.number(ALIGN)?;
                    if !align.is_power_of_two() {
                        return Err(Bad::Call(format!("alignment {align} is not a power of 2")));
                    }
                    self.align = align;
                    continue;
                }
                _ => {
                    let text = format!("invalid format option '{}'", char::from(code));
                    return Err(Bad::Argument(1, text));
                }
            };
            let padding = match option {
                Kind::Chars => 0,
                _ if size == 0 => 0,
                _ => {
                    // The mask of a size that is no power of two is Redis' own.
                    let size = size.min(self.align);
                    size.wrapping_sub(at & (size - 1)) & (size - 1)
                }
            };
            return Ok(Some((padding, option, size)));
        }
    }
}

/// A number as the bytes of an integer: those beyond 64 bits are zero.
fn put_integer(out: &mut Vec<u8>, n: f64, size: usize, big: bool) {
    let value = if n < 0.0 { n as i64 as u64 } else { n as u64 };
    let mut bytes = [0; INTEGER_MAX];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    if big {
        bytes[..size].reverse();
    }
    out.extend_from_slice(&bytes[..size]);
}

fn integer(bytes: &[u8], signed: bool, big: bool) -> f64 {
    let shift = |n: u64, b: &u8| n << 8 | u64::from(*b);
    let n = if big { bytes.iter().fold(0, shift) } else { bytes.iter().rev().fold(0, shift) };
    match bytes.len() {
        _ if !signed => n as f64,
        size @ 1..=7 => {
            let unused = 64 - 8 * size as u32;
            ((n << unused) as i64 >> unused) as f64
        }
        _ => n as i64 as f64,
    }
}

/// The type of an argument in an error. Behind the arguments of `pack` lies a nil.
fn got(args: &MultiValue, i: usize) -> &'static str {
    match args.get(i) {
        Some(value) => value.type_name(),
        None if i > 0 && i == args.len() => "nil",
        None => "no value",
    }
}

fn word(lua: &Lua, args: &MultiValue, i: usize) -> Result<LuaString, Bad> {
    let value = args.get(i).cloned().unwrap_or_default();
    let got = got(args, i);
    let wrong = || Bad::Argument(i + 1, format!("string expected, got {got}"));
    lua.coerce_string(value.clone()).ok().flatten().ok_or_else(wrong)
}

fn number(lua: &Lua, args: &MultiValue, i: usize) -> Result<f64, Bad> {
    let value = args.get(i).cloned().unwrap_or_default();
    let got = got(args, i);
    let wrong = || Bad::Argument(i + 1, format!("number expected, got {got}"));
    lua.coerce_number(value.clone()).ok().flatten().ok_or_else(wrong)
}

fn pack(lua: &Lua, args: &MultiValue) -> Result<Vec<u8>, Bad> {
    let text = word(lua, args, 0)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let (mut out, mut arg) = (Vec::new(), 1);
    while let Some((padding, option, size)) = format.next(out.len())? {
        out.resize(out.len() + padding, 0);
        let big = format.big;
        match option {
            Kind::Padding => {
                out.push(0);
                continue;
            }
            Kind::Integer { .. } => put_integer(&mut out, number(lua, args, arg)?, size, big),
            Kind::Float => {
                let f = number(lua, args, arg)? as f32;
                out.extend_from_slice(&if big { f.to_be_bytes() } else { f.to_le_bytes() });
            }
            Kind::Double => {
                let d = number(lua, args, arg)?;
                out.extend_from_slice(&if big { d.to_be_bytes() } else { d.to_le_bytes() });
            }
            Kind::Chars | Kind::Zero => {
                let text = word(lua, args, arg)?;
                let text = text.as_bytes();
                let size = if size == 0 { text.len() } else { size };
                let text = text.get(..size);
                // The argument after it, as Redis counts.
                let text = text.ok_or_else(|| Bad::Argument(arg + 2, "string too short".into()))?;
                out.extend_from_slice(text);
                if matches!(option, Kind::Zero) {
                    out.push(0);
                }
            }
        }
        arg += 1;
    }
    Ok(out)
}

fn unpack(lua: &Lua, args: &MultiValue) -> Result<Vec<Value>, Bad> {
    let (text, data) = (word(lua, args, 0)?, word(lua, args, 1)?);
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let start = match args.get(2) {
        None | Some(Value::Nil) => 1.0,
        Some(_) => number(lua, args, 2)?,
    };
    // Negative offsets are huge there, and so behind the data.
    if start.trunc() == 0.0 {
        return Err(Bad::Argument(3, "offset must be 1 or greater".into()));
    }
    let short = || Bad::Argument(2, "data string too short".into());
    let mut pos = if start < 0.0 { usize::MAX / 2 } else { start as usize - 1 };
    let mut format = Format::new(&text);
    let mut values: Vec<Value> = Vec::new();
    let failed = |e: mlua::Error| Bad::Call(e.to_string());
    while let Some((padding, option, mut size)) = format.next(pos)? {
        pos = pos.saturating_add(padding);
        let item = data.get(pos..pos.saturating_add(size)).ok_or_else(short)?;
        let big = format.big;
        let value = match option {
            Kind::Padding => None,
            Kind::Integer { signed } => Some(Value::Number(integer(item, signed, big))),
            Kind::Float => {
                let bytes: [u8; 4] = item.try_into().unwrap_or_default();
                let f = if big { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) };
                Some(Value::Number(f64::from(f)))
            }
            Kind::Double => {
                let bytes: [u8; 8] = item.try_into().unwrap_or_default();
                let d = if big { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) };
                Some(Value::Number(d))
            }
            Kind::Chars => {
                if size == 0 {
                    let last = values.pop().and_then(|v| lua.coerce_number(v).ok().flatten());
                    let last =
                        last.ok_or_else(|| Bad::Call("format 'c0' needs a previous size".into()))?;
                    size = if last < 0.0 { usize::MAX } else { last as usize };
                }
                let item = data.get(pos..pos.saturating_add(size)).ok_or_else(short)?;
                Some(Value::String(lua.create_string(item).map_err(failed)?))
            }
            Kind::Zero => {
                let rest = data.get(pos..).unwrap_or_default();
                let end = rest.iter().position(|b| *b == 0);
                let end = end.ok_or_else(|| Bad::Call("unfinished string in data".into()))?;
                size = end + 1;
                Some(Value::String(lua.create_string(&rest[..end]).map_err(failed)?))
            }
        };
        values.extend(value);
        if values.len() > VALUES_MAX {
            return Err(Bad::Call("stack overflow (too many results)".into()));
        }
        pos += size;
    }
    values.push(Value::Number((pos + 1) as f64));
    Ok(values)
}

fn size(lua: &Lua, args: &MultiValue) -> Result<usize, Bad> {
    let text = word(lua, args, 0)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let mut pos: usize = 0;
    while let Some((padding, option, size)) = format.next(pos)? {
        match option {
            Kind::Zero => return Err(Bad::Argument(1, "option 's' has no fixed size".into())),
            Kind::Chars if size == 0 => {
                return Err(Bad::Argument(1, "option 'c0' has no fixed size".into()));
            }
            _ => pos = pos.saturating_add(padding).saturating_add(size),
        }
    }
    Ok(pos)
}

/// The library's table.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    fn answer<T>(lua: &Lua, name: &str, result: Result<T, Bad>) -> mlua::Result<T> {
        result.map_err(|bad| match bad {
            Bad::Argument(i, text) => {
                library_error(lua, &format!("bad argument #{i} to '{name}' ({text})"))
            }
            Bad::Call(text) => library_error(lua, &text),
        })
    }
    let table = lua.create_table()?;
    let f = |lua: &Lua, args: MultiValue| {
        let packed = answer(lua, "pack", pack(lua, &args))?;
        lua.create_string(&packed)
    };
    table.set("pack", lua.create_function(f)?)?;
    let f = |lua: &Lua, args: MultiValue| {
        answer(lua, "unpack", unpack(lua, &args)).map(MultiValue::from_vec)
    };
    table.set("unpack", lua.create_function(f)?)?;
    let f = |lua: &Lua, args: MultiValue| {
        answer(lua, "size", size(lua, &args)).map(|n| Value::Number(n as f64))
    };
    table.set("size", lua.create_function(f)?)?;
    Ok(table)
}
