//! The library `redis` on the script's side: arguments checked, the executor asked, its answer
//! converted. The executor's side is [`super::run`].

use super::convert;
use super::fiber::{Ask, Order};
use super::vm::{KILLED, Lent, Raised};
use corosensei::Yielder;
use mlua::{Error, Lua, LuaString, MultiValue, Table, Value};
use moon_formats::resp::Proto;
use std::rc::Rc;

const NO_ARGUMENT: &str = "ERR Please specify at least one argument for this redis lib call";
const NO_STRINGS: &str = "ERR Lua redis lib command arguments must be strings or integers";
const OUTSIDE: &str = "ERR redis functions can only be used while a script runs";

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
        let value = convert::reply(lua, &reply, self.lent.proto.get())?;
        self.lent.reply.replace(reply);
        Ok(value)
    }

    /// Everything else: whether the value is an error to raise, and the value.
    pub(super) fn ask(&self, lua: &Lua, mut args: MultiValue) -> mlua::Result<(bool, Value)> {
        let what = args.pop_front();
        let what = what.as_ref().and_then(Value::as_string).map(LuaString::as_bytes);
        let answer = match what.as_deref() {
            Some(b"setresp") => self.set_proto(lua, &args).map(|()| Value::Nil),
            Some(b"log") => match log_line(lua, &args) {
                Ok((level, line)) => {
                    self.suspend(Ask::Log(level, line))?;
                    Ok(Value::Nil)
                }
                Err(text) => Err(text),
            },
            Some(b"register") => super::library::register(lua, self.lent, &args),
            Some(b"acl") => match self.may_words(&args) {
                Ok(()) => {
                    self.suspend(Ask::May)?;
                    let may = self.lent.may.take();
                    may.map(Value::Boolean)
                        .ok_or("ERR Invalid command passed to redis.acl_check_cmd()")
                }
                Err(text) => Err(text),
            },
            _ => Err(OUTSIDE),
        };
        match answer {
            Ok(value) => Ok((false, value)),
            Err(text) => {
                let raised = Raised { text: text.as_bytes().to_vec(), counted: false };
                Ok((true, raised.table(lua)?))
            }
        }
    }

    fn set_proto(&self, lua: &Lua, args: &MultiValue) -> Result<(), &'static str> {
        if args.len() != 1 {
            return Err("ERR redis.setresp() requires one argument.");
        }
        let number = args.front().and_then(|v| lua.coerce_number(v.clone()).ok().flatten());
        self.lent.proto.set(match number.map(f64::trunc) {
            Some(2.0) => Proto::Resp2,
            Some(3.0) => Proto::Resp3,
            _ => return Err("ERR RESP version must be 2 or 3."),
        });
        Ok(())
    }

    fn may_words(&self, args: &MultiValue) -> Result<(), &'static str> {
        if args.is_empty() {
            return Err(
                "ERR Please specify at least one argument for this redis.acl_check_cmd() call",
            );
        }
        if !self.lent.words.borrow_mut().fill(args.iter()) {
            return Err("ERR redis.acl_check_cmd() command arguments must be strings or integers");
        }
        Ok(())
    }
}

/// Level and text of `redis.log`.
fn log_line(lua: &Lua, args: &MultiValue) -> Result<(u8, String), &'static str> {
    if args.len() < 2 {
        return Err("ERR redis.log() requires two arguments or more.");
    }
    let level = args.front().and_then(|v| lua.coerce_number(v.clone()).ok().flatten());
    let level = level.ok_or("ERR First argument must be a number (log level).")?;
    if !(0.0..4.0).contains(&level) {
        return Err("ERR Invalid log level.");
    }
    let text = |value: &Value| lua.coerce_string(value.clone()).ok().flatten();
    let words: Vec<Vec<u8>> =
        args.iter().skip(1).filter_map(text).map(|s| s.as_bytes().to_vec()).collect();
    Ok((level as u8, String::from_utf8_lossy(&words.join(&b' ')).into_owned()))
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
