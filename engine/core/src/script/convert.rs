//! Replies as Lua values, and Lua values as replies (redis-surface §16).

use super::vm::{MEMORY_MAX, Raised};
use mlua::{Lua, Table, Value};
use moon_formats::number::parse_i64;
use moon_formats::resp::{Proto, Reply, Value as RespValue};

/// Deepest table a script may answer with.
const DEPTH_MAX: usize = 1000;

/// The reply of a command as a script sees it, or the error that a command answered.
pub(super) fn reply(lua: &Lua, bytes: &[u8], proto: Proto) -> mlua::Result<Result<Value, Raised>> {
    if let Some(value) = plain(lua, bytes)? {
        return Ok(Ok(value));
    }
    Ok(match RespValue::decode(bytes) {
        Ok(Some((RespValue::Error(text), _))) => Err(Raised { text, counted: true }),
        Ok(Some((value, _))) => Ok(to_lua(lua, &value, proto)?),
        _ => {
            let text = b"ERR the reply is too deep for a script".to_vec();
            Err(Raised { text, counted: false })
        }
    })
}

/// The replies of most commands, without a tree in between: `None` if it is another one.
fn plain(lua: &Lua, bytes: &[u8]) -> mlua::Result<Option<Value>> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some(line_end) = rest.iter().take(32).position(|b| *b == b'\r') else { return Ok(None) };
    let (line, after) = rest.split_at(line_end);
    Ok(match first {
        b'+' => Some(field(lua, "ok", Value::String(lua.create_string(line)?))?),
        b':' => parse_i64(line).map(|n| Value::Number(n as f64)),
        b'$' => {
            let len = parse_i64(line).and_then(|n| usize::try_from(n).ok());
            match len.and_then(|len| after.get(2..)?.get(..len)) {
                Some(text) => Some(Value::String(lua.create_string(text)?)),
                None => None,
            }
        }
        _ => None,
    })
}

/// A reply as a script sees it, in the protocol it asked for.
fn to_lua(lua: &Lua, value: &RespValue, proto: Proto) -> mlua::Result<Value> {
    Ok(match value {
        RespValue::Simple(s) => field(lua, "ok", Value::String(lua.create_string(s)?))?,
        RespValue::Error(s) => field(lua, "err", Value::String(lua.create_string(s)?))?,
        RespValue::Int(n) => Value::Number(*n as f64),
        RespValue::Bulk(b) => Value::String(lua.create_string(b)?),
        RespValue::Null | RespValue::NullArray => match proto {
            Proto::Resp2 => Value::Boolean(false),
            Proto::Resp3 => Value::Nil,
        },
        RespValue::Array(all) | RespValue::Push(all) => {
            let table = lua.create_table_with_capacity(all.len(), 0)?;
            for (i, v) in all.iter().enumerate() {
                table.raw_set(i + 1, to_lua(lua, v, proto)?)?;
            }
            Value::Table(table)
        }
        RespValue::Map(all) => {
            let table = lua.create_table_with_capacity(0, all.len())?;
            for (k, v) in all {
                table.raw_set(to_lua(lua, k, proto)?, to_lua(lua, v, proto)?)?;
            }
            field(lua, "map", Value::Table(table))?
        }
        RespValue::Set(all) => {
            let table = lua.create_table_with_capacity(0, all.len())?;
            for v in all {
                table.raw_set(to_lua(lua, v, proto)?, true)?;
            }
            field(lua, "set", Value::Table(table))?
        }
        RespValue::Double(d) => field(lua, "double", Value::Number(*d))?,
        RespValue::Bool(b) => Value::Boolean(*b),
        RespValue::BigNumber(n) => field(lua, "big_number", Value::String(lua.create_string(n)?))?,
        RespValue::Verbatim(format, text) => {
            let table = lua.create_table_with_capacity(0, 2)?;
            table.raw_set("format", lua.create_string(format)?)?;
            table.raw_set("string", lua.create_string(text)?)?;
            field(lua, "verbatim_string", Value::Table(table))?
        }
        RespValue::Attribute(_, value) => to_lua(lua, value, proto)?,
    })
}

fn field(lua: &Lua, name: &str, value: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

/// Writes what a script returned; `proto` is the one it asked for.
pub(super) fn write(reply: &mut Reply<'_>, value: &Value, proto: Proto) {
    write_within(reply, value, proto, MEMORY_MAX);
}

/// As [`write`], in at most about `max` bytes: a reply that would be longer is an error.
pub(super) fn write_within(reply: &mut Reply<'_>, value: &Value, proto: Proto, max: usize) {
    let start = reply.len();
    let mut writer = Writer { reply, proto, end: start.saturating_add(max) };
    writer.value(value, 0);
    if writer.is_full() {
        reply.truncate(start);
        reply.error("ERR the reply of the script is too long");
    }
}

struct Writer<'w, 'r> {
    reply: &'w mut Reply<'r>,
    proto: Proto,
    /// Where the reply is too long. Nothing but what is under way is written behind it.
    end: usize,
}

impl Writer<'_, '_> {
    fn is_full(&self) -> bool {
        self.reply.len() > self.end
    }

    fn value(&mut self, value: &Value, depth: usize) {
        if self.is_full() {
            return;
        }
        let reply = &mut *self.reply;
        if depth > DEPTH_MAX {
            return reply.error("ERR reached lua stack limit");
        }
        match value {
            Value::String(s) => reply.bulk(&s.as_bytes()),
            Value::Boolean(b) if self.proto == Proto::Resp3 => reply.bool(*b),
            Value::Boolean(true) => reply.int(1),
            Value::Integer(n) => reply.int(*n),
            // As the processor converts: what does not fit is the least number.
            Value::Number(n) if n.is_nan() || *n >= i64::MAX as f64 => reply.int(i64::MIN),
            Value::Number(n) => reply.int(*n as i64),
            Value::Table(t) => self.table(t, depth + 1),
            _ => reply.null(),
        }
    }

    fn table(&mut self, t: &Table, depth: usize) {
        let reply = &mut *self.reply;
        let get = |name: &str| t.raw_get::<Value>(name).unwrap_or_default();
        if let Value::String(s) = get("err") {
            return reply.error_bytes(&s.as_bytes());
        }
        if let Value::String(s) = get("ok") {
            return reply.simple_bytes(&s.as_bytes());
        }
        match get("double") {
            Value::Number(d) => return reply.double(d),
            Value::Integer(n) => return reply.double(n as f64),
            _ => {}
        }
        if let Value::String(s) = get("big_number") {
            return reply.big_number(&s.to_string_lossy().replace(['\r', '\n'], " "));
        }
        if let Value::Table(v) = get("verbatim_string")
            && let Ok(Value::String(format)) = v.raw_get::<Value>("format")
            && let Ok(Value::String(text)) = v.raw_get::<Value>("string")
        {
            let mut three = [b' '; 3];
            for (to, from) in three.iter_mut().zip(format.as_bytes().iter()) {
                *to = *from;
            }
            return reply.verbatim_as(three, &text.as_bytes());
        }
        if let Value::Table(map) = get("map") {
            let pairs: Vec<(Value, Value)> = map.pairs().filter_map(Result::ok).collect();
            reply.map(pairs.len());
            for (k, v) in &pairs {
                self.value(k, depth);
                self.value(v, depth);
            }
            return;
        }
        if let Value::Table(set) = get("set") {
            let keys: Vec<Value> =
                set.pairs::<Value, Value>().filter_map(Result::ok).map(|(k, _)| k).collect();
            reply.set(keys.len());
            for k in &keys {
                self.value(k, depth);
            }
            return;
        }
        let at = reply.defer();
        let mut n = 0;
        while !self.is_full() {
            match t.raw_get::<Value>(n + 1) {
                Ok(Value::Nil) | Err(_) => break,
                Ok(v) => self.value(&v, depth),
            }
            n += 1;
        }
        self.reply.array_at(at, n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_value_is_no_endless_reply() {
        let lua = Lua::new();
        let twice = "local t = {'x'} for i = 1, 60 do t = {t, t} end return t";
        let own = "local t = {} t[1] = t t[2] = t return t";
        let keys = "local t = {} for i = 1, 60 do t = {map = {[t] = t}} end return t";
        for script in [twice, own, keys] {
            let value: Value = lua.load(script).eval().unwrap();
            let mut out = b"+before\r\n".to_vec();
            write_within(&mut Reply::new(&mut out, Proto::Resp2), &value, Proto::Resp2, 1 << 20);
            let want = "+before\r\n-ERR the reply of the script is too long\r\n";
            assert_eq!(out.escape_ascii().to_string(), want.escape_default().to_string());
        }
    }
}
