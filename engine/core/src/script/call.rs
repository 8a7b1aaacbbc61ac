//! `redis.call` and what else a running script asks of the executor.

use super::convert;
use super::vm::Raised;
use crate::args::Args;
use crate::command::Flags;
use crate::error::CmdError;
use crate::exec::{Host, Session, Shard};
use mlua::{Lua, MultiValue, Table, Value};
use moon_formats::number::Digits;
use moon_formats::resp::{Proto, Value as RespValue};

const NO_ARGUMENT: &str = "ERR Please specify at least one argument for this redis lib call";
const NO_STRINGS: &str = "ERR Lua redis lib command arguments must be strings or integers";
const UNKNOWN: &str = "ERR Unknown Redis command called from script";
const ARITY: &str = "ERR Wrong number of args calling Redis command from script";
const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";
const READ_ONLY: &str = "ERR Write commands are not allowed from read-only scripts.";

/// A script while it runs.
pub(super) struct Running<'a> {
    pub(super) shard: &'a mut Shard,
    pub(super) host: &'a mut dyn Host,
    pub(super) session: &'a mut Session,
    /// Protocol of the replies it gets (`redis.setresp`).
    pub(super) proto: Proto,
    pub(super) read_only: bool,
    /// A write command has run: stopping it now would leave half of its work.
    pub(super) wrote: bool,
    /// [`Host::ticks_us`] at its start.
    pub(super) started_us: u64,
    pub(super) reply: Vec<u8>,
}

/// The `err` field for a text: a leading `-` brings a code of its own, otherwise it is `ERR`
/// unless the first word is one.
pub(super) fn error_text(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |i| i + 1);
    let text = &text[..end];
    if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() }
}

/// One argument of a command as text; `None` if it is neither string nor number.
fn word(value: &Value) -> Option<Vec<u8>> {
    Some(match value {
        Value::String(s) => s.as_bytes().to_vec(),
        Value::Integer(n) => Digits::of_i64(*n).as_bytes().to_vec(),
        Value::Number(n) => {
            let mut text = Vec::new();
            moon_formats::number::write_score(&mut text, *n);
            text
        }
        _ => return None,
    })
}

impl Running<'_> {
    /// Answers a script: whether the value is an error to raise, and the value.
    pub(super) fn ask(
        &mut self,
        lua: &Lua,
        what: &[u8],
        args: MultiValue,
    ) -> mlua::Result<(bool, Value)> {
        let answer = match what {
            b"setresp" => self.set_proto(&args).map(|()| Value::Nil),
            b"log" => self.log(&args).map(|()| Value::Nil),
            b"acl" => self.may(&args).map(Value::Boolean),
            _ => Err(UNKNOWN),
        };
        match answer {
            Ok(value) => Ok((false, value)),
            Err(text) => {
                let raised = Raised { text: text.as_bytes().to_vec(), counted: false };
                Ok((true, raised.table(lua)?))
            }
        }
    }

    /// Whether the script may go on.
    pub(super) fn poll(&mut self) -> bool {
        self.wrote || self.host.script_may_go_on(self.started_us)
    }

    /// `redis.call`: the value, or the error that a command answered.
    pub(super) fn call(
        &mut self,
        lua: &Lua,
        args: &MultiValue,
    ) -> mlua::Result<Result<Value, Raised>> {
        self.reply.clear();
        if let Err(e) = self.execute(args) {
            self.shard.stats.count_error(e.code());
            return Ok(Err(Raised { text: e.as_str().as_bytes().to_vec(), counted: true }));
        }
        Ok(match RespValue::decode(&self.reply) {
            Ok(Some((RespValue::Error(text), _))) => Err(Raised { text, counted: true }),
            Ok(Some((value, _))) => Ok(convert::to_lua(lua, &value, self.proto)?),
            _ => {
                let text = b"ERR the reply is too deep for a script".to_vec();
                Err(Raised { text, counted: false })
            }
        })
    }

    /// Runs a command into `self.reply`.
    fn execute(&mut self, args: &MultiValue) -> Result<(), CmdError> {
        if args.is_empty() {
            return Err(CmdError::fixed(NO_ARGUMENT));
        }
        let words: Option<Vec<Vec<u8>>> = args.iter().map(word).collect();
        let words = words.ok_or(CmdError::fixed(NO_STRINGS))?;
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let args = Args::new(&words);
        let table = self.shard.table();
        let command = table.resolve(args).map_err(|_| {
            let arity = table.find(args.get(0)).is_some_and(|c| {
                c.subs().is_empty() || table.find_full(&full_name(args)).is_some()
            });
            CmdError::fixed(if arity { ARITY } else { UNKNOWN })
        })?;
        let spec = command.spec;
        let refused = |shard: &mut Shard, e| {
            shard.stats.by_command[usize::from(command.id)].rejected += 1;
            Err(e)
        };
        if spec.flags.has(Flags::NOSCRIPT) {
            return refused(self.shard, CmdError::fixed(NOT_ALLOWED));
        }
        if self.read_only && (spec.is_write() || spec.flags.has(Flags::MAY_REPLICATE)) {
            return refused(self.shard, CmdError::fixed(READ_ONLY));
        }
        if let Err(e) = self.shard.admit_command(self.host, self.session, command, args) {
            return refused(self.shard, e);
        }
        self.wrote |= spec.is_write();
        let proto = std::mem::replace(&mut self.session.proto, self.proto);
        self.shard.execute(self.host, self.session, command, args, &mut self.reply);
        self.session.proto = proto;
        Ok(())
    }

    fn set_proto(&mut self, args: &MultiValue) -> Result<(), &'static str> {
        if args.len() != 1 {
            return Err("ERR redis.setresp() requires one argument.");
        }
        self.proto = match args.front().and_then(number) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            _ => return Err("ERR RESP version must be 2 or 3."),
        };
        Ok(())
    }

    fn log(&mut self, args: &MultiValue) -> Result<(), &'static str> {
        if args.len() < 2 {
            return Err("ERR redis.log() requires two arguments or more.");
        }
        let level = args.front().and_then(number);
        let level = level.ok_or("ERR First argument must be a number (log level).")?;
        let level = u8::try_from(level).ok().filter(|l| *l <= 3);
        let level = level.ok_or("ERR Invalid log level.")?;
        let words: Vec<Vec<u8>> = args.iter().skip(1).filter_map(word).collect();
        self.host.script_log(level, &String::from_utf8_lossy(&words.join(&b' ')));
        Ok(())
    }

    fn may(&mut self, args: &MultiValue) -> Result<bool, &'static str> {
        if args.is_empty() {
            return Err(
                "ERR Please specify at least one argument for this redis.acl_check_cmd() call",
            );
        }
        let words: Option<Vec<Vec<u8>>> = args.iter().map(word).collect();
        let words = words
            .ok_or("ERR redis.acl_check_cmd() command arguments must be strings or integers")?;
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let args = Args::new(&words);
        let Ok(command) = self.shard.table().resolve(args) else {
            return Err("ERR Invalid command passed to redis.acl_check_cmd()");
        };
        Ok(self.host.admit(self.session, command, args).is_ok())
    }
}

fn full_name(args: Args<'_>) -> Vec<u8> {
    args.from(0).iter().take(2).copied().collect::<Vec<_>>().join(&b'|')
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(n) => Some(*n),
        Value::Number(n) => Some(*n as i64),
        Value::String(s) => moon_formats::number::parse_i64(&s.as_bytes()),
        _ => None,
    }
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
