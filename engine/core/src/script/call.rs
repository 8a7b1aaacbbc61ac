//! The library `redis` on the script's side: arguments checked, the executor asked, its answer
//! converted. The executor's side is [`super::run`].

use super::convert;
use super::fiber::{Ask, Order};
use super::vm::{KILLED, Lent, Raised, bound_memory};
use corosensei::Yielder;
use mlua::{Error, Lua, MultiValue, Table, Value};
use moon_formats::resp::Proto;
use std::rc::Rc;

const NO_ARGUMENT: &str = "ERR Please specify at least one argument for this redis lib call";
const NO_STRINGS: &str = "ERR Lua redis lib command arguments must be strings or integers";
const OUTSIDE: &str = "redis functions can only be used while a script runs";

/// What a running script asks the executor through.
pub(super) struct Line<'a> {
    pub(super) lent: &'a Rc<Lent>,
    pub(super) yielder: &'a Yielder<Order, Ask>,
}

impl Line<'_> {
    /// Suspends the script until the executor has done what is asked.
    fn suspend(&self, ask: Ask) -> mlua::Result<()> {
        if !self.lent.inside.get() {
            return Err(Error::runtime(OUTSIDE));
        }
        if let Order::Stop = self.yielder.suspend(ask) {
            self.lent.killed.set(true);
            return Err(Error::runtime(KILLED));
        }
        Ok(())
    }

    /// Lets others have a turn; false if the script is to end.
    pub(super) fn poll(&self) -> bool {
        self.suspend(Ask::Poll).is_ok()
    }

    /// `redis.call`, and `redis.pcall` if it does not raise.
    pub(super) fn call(&self, lua: &Lua, args: &MultiValue, raise: bool) -> mlua::Result<Value> {
        match self.answer(lua, args)? {
            Ok(value) => Ok(value),
            Err(raised) if raise => Err(Error::external(raised)),
            Err(raised) => raised.table(lua),
        }
    }

    fn answer(&self, lua: &Lua, args: &MultiValue) -> mlua::Result<Result<Value, Raised>> {
        let refused = |text: &str| Raised { text: text.as_bytes().to_vec(), counted: false };
        if args.is_empty() {
            return Ok(Err(refused(NO_ARGUMENT)));
        }
        if !self.lent.words.borrow_mut().fill(args.iter()) {
            return Ok(Err(refused(NO_STRINGS)));
        }
        self.suspend(Ask::Call)?;
        // Taken out: a conversion allocates, so a finalizer may call again.
        let reply = self.lent.reply.take();
        bound_memory(lua, false);
        let value = convert::reply(lua, &reply, self.lent.proto.get());
        bound_memory(lua, true);
        self.lent.reply.replace(reply);
        value
    }

    /// `redis.setresp`.
    pub(super) fn set_proto(&self, lua: &Lua, args: &MultiValue) -> mlua::Result<Value> {
        if args.len() != 1 {
            return Err(raise("ERR redis.setresp() requires one argument."));
        }
        self.lent.proto.set(match whole(lua, args.front()) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            _ => return Err(raise("ERR RESP version must be 2 or 3.")),
        });
        Ok(Value::Nil)
    }

    /// `redis.log`.
    pub(super) fn log(&self, lua: &Lua, args: &MultiValue) -> mlua::Result<Value> {
        if args.len() < 2 {
            return Err(raise("ERR redis.log() requires two arguments or more."));
        }
        let level = whole(lua, args.front());
        let level =
            level.ok_or_else(|| raise("ERR First argument must be a number (log level)."))?;
        let level = u8::try_from(level).ok().filter(|level| *level <= 3);
        let level = level.ok_or_else(|| raise("ERR Invalid log level."))?;
        let text = |value: &Value| lua.coerce_string(value.clone()).ok().flatten();
        let words: Vec<Vec<u8>> =
            args.iter().skip(1).filter_map(text).map(|s| s.as_bytes().to_vec()).collect();
        let line = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
        self.suspend(Ask::Log(level, line))?;
        Ok(Value::Nil)
    }

    /// `redis.acl_check_cmd`.
    pub(super) fn may(&self, args: &MultiValue) -> mlua::Result<Value> {
        if args.is_empty() {
            return Err(raise(NO_ARGUMENT));
        }
        if !self.lent.words.borrow_mut().fill(args.iter()) {
            return Err(raise(NO_STRINGS));
        }
        self.suspend(Ask::May)?;
        let may = self.lent.may.take();
        may.map(Value::Boolean)
            .ok_or_else(|| raise("ERR Invalid command passed to redis.acl_check_cmd()"))
    }
}

/// An error that scripts see as a table.
pub(super) fn raise(text: &str) -> Error {
    Error::external(Raised { text: text.as_bytes().to_vec(), counted: false })
}

/// A number without its fraction, as C casts it; `None` if it is none.
fn whole(lua: &Lua, value: Option<&Value>) -> Option<i64> {
    lua.coerce_number(value?.clone()).ok()?.map(|n| n as i64)
}

/// The functions of `redis` that ask nobody.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let set_repl = |lua: &Lua, args: MultiValue| {
        if args.len() != 1 {
            return Err(raise("ERR redis.set_repl() requires one argument."));
        }
        match whole(lua, args.front()) {
            None | Some(0..=3) => Ok(()),
            Some(_) => Err(raise(
                "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
            )),
        }
    };
    table.set("set_repl", lua.create_function(set_repl)?)?;
    let sha1hex = |lua: &Lua, args: MultiValue| {
        if args.len() != 1 {
            return Err(raise("ERR wrong number of arguments"));
        }
        // Of what is no string, the hash of nothing.
        let text = args.front().and_then(|v| lua.coerce_string(v.clone()).ok().flatten());
        let sha = super::sha1hex(text.as_ref().map(|t| t.as_bytes()).as_deref().unwrap_or(b""));
        lua.create_string(sha)
    };
    table.set("sha1hex", lua.create_function(sha1hex)?)?;
    let one_field = |field: &'static str, text: fn(&[u8]) -> Vec<u8>| {
        lua.create_function(move |lua, args: MultiValue| {
            let given = args.front().filter(|_| args.len() == 1).and_then(Value::as_string);
            let (field, text) = match given {
                Some(given) => (field, text(&given.as_bytes())),
                None => ("err", b"ERR wrong number or type of arguments".to_vec()),
            };
            let reply = lua.create_table_with_capacity(0, 1)?;
            reply.raw_set(field, lua.create_string(text)?)?;
            Ok(reply)
        })
    };
    table.set("status_reply", one_field("ok", <[u8]>::to_vec)?)?;
    table.set("error_reply", one_field("err", error_text)?)?;
    Ok(table)
}

/// The `err` field for a text: a leading `-` brings a code of its own, otherwise it is `ERR`
/// unless the first word is one.
pub(super) fn error_text(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |i| i + 1);
    let text = &text[..end];
    if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() }
}

/// The text that a failed script answers with, from the error its handler left; true if the
/// error has been counted already.
pub(super) fn final_error(name: &[u8], error: &Value) -> (String, bool) {
    let name = String::from_utf8_lossy(name);
    let Value::Table(table) = error else {
        let cause = match error {
            Value::String(s) => s.to_string_lossy().to_string(),
            _ => "execution failure".to_string(),
        };
        return (format!("ERR Error running script {name}, {cause}"), false);
    };
    let (text, counted) = error_of(table);
    let source = table.raw_get::<Option<String>>("source").ok().flatten();
    let line = table.raw_get::<Option<i64>>("line").ok().flatten();
    let text = match (source, line) {
        (Some(source), Some(line)) => format!("{text} script: {name}, on {source}:{line}."),
        _ => text,
    };
    (text, counted)
}

/// Text of an error table, and whether it has been counted.
pub(super) fn error_of(table: &Table) -> (String, bool) {
    let text = match table.raw_get::<Value>("err") {
        Ok(Value::String(s)) => s.to_string_lossy().to_string(),
        _ => "ERR unknown error".to_string(),
    };
    let counted = table.raw_get::<bool>("ignore_error_stats_update").unwrap_or(false);
    (text, counted)
}
