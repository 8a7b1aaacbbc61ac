//! Running a script: the executor's side of the talk with the fiber.

use super::call;
use super::convert;
use super::fiber::{Ask, Ended, Order};
use super::shebang::ScriptFlags;
use super::vm::Vm;
use super::{Scripts, as_sha};
use crate::acl::{self, Context};
use crate::args::Args;
use crate::command::{Command, Flags};
use crate::error::{CmdError, CmdResult};
use crate::exec::{Host, Session, SessionCx, Shard};
use mlua::{Function, Value};
use moon_formats::resp::Reply;
use std::rc::Rc;

const WRITER: CmdError =
    CmdError::fixed("ERR Can not execute a script with write flag using *_ro command.");
const OOM: CmdError = CmdError::fixed(
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
);
const UNKNOWN: CmdError = CmdError::fixed("ERR Unknown Redis command called from script");
const ARITY: CmdError =
    CmdError::fixed("ERR Wrong number of args calling Redis command from script");
const NOT_ALLOWED: CmdError = CmdError::fixed("ERR This Redis command is not allowed from script");
const STALE: CmdError = CmdError::fixed("ERR Can not execute the command on a stale replica");
const READ_ONLY: CmdError =
    CmdError::fixed("ERR Write commands are not allowed from read-only scripts.");

/// Commands up to this many words need no memory of their own.
const STACK_WORDS: usize = 16;

/// A script or function that is to run.
pub(crate) struct Request {
    pub(super) vm: Rc<Vm>,
    pub(super) function: Function,
    pub(super) name: Box<[u8]>,
    pub(super) flags: ScriptFlags,
    /// A function of a library: keys and arguments are handed over.
    pub(super) callback: bool,
}

impl Scripts {
    /// A cached script, ready to run.
    pub(crate) fn request(&mut self, sha: &[u8]) -> Option<Request> {
        let sha = as_sha(sha)?;
        let vm = self.eval.clone()?;
        self.uses += 1;
        let cached = self.cache.get_mut(&sha)?;
        cached.used = self.uses;
        Some(Request {
            function: vm.kept(cached.id)?,
            vm,
            name: Box::from(sha.as_slice()),
            flags: cached.flags,
            callback: false,
        })
    }
}

impl Request {
    /// Runs the script with keys and arguments, and writes its reply; or leaves it in
    /// [`Shard::pausing`] if it has taken so long that others must be told.
    pub(crate) fn run(
        self,
        cx: &mut SessionCx<'_>,
        read_only: bool,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> CmdResult {
        let declared = !self.flags.has(ScriptFlags::UNDECLARED);
        let no_writes = declared && self.flags.has(ScriptFlags::NO_WRITES);
        let allow_oom = declared && self.flags.has(ScriptFlags::ALLOW_OOM);
        if !cx.session.master {
            let stale = declared && self.flags.has(ScriptFlags::ALLOW_STALE);
            cx.shard.role().admit_stale(if stale { Flags::STALE } else { Flags::NONE })?;
        }
        if declared && !no_writes {
            if read_only {
                return Err(WRITER);
            }
            if !cx.session.master {
                cx.shard.admit_write(false)?;
                cx.shard.role().admit_write()?;
            }
        }
        if declared && !no_writes && !allow_oom && cx.shard.eviction.full {
            return Err(OOM);
        }
        let started_us = cx.host.clock_us();
        self.vm.begin(started_us);
        let broken = |e| CmdError::text(format!("ERR the script cannot run: {e}"));
        let job = self.vm.job(&self.function, self.callback, keys, args).map_err(broken)?;
        let mut running = Running {
            vm: self.vm,
            name: self.name,
            is_function: self.callback,
            read_only: read_only || no_writes,
            allow_oom,
            wrote: false,
            db: cx.session.db,
            started_us,
            order: Some(Order::Run(job)),
        };
        match running.go_on(cx.shard, cx.host, cx.session) {
            Some(ended) => running.finish(ended, cx.shard, cx.command, &mut cx.out),
            None => {
                cx.shard.pause_script(running);
                Ok(())
            }
        }
    }
}

/// A script on its way.
pub(crate) struct Running {
    vm: Rc<Vm>,
    /// Name of the script or function.
    pub(crate) name: Box<[u8]>,
    /// A function of a library, not a script.
    pub(crate) is_function: bool,
    read_only: bool,
    allow_oom: bool,
    /// A write command has run: stopping it now would leave half of its work.
    pub(crate) wrote: bool,
    /// Its database; the session keeps its own.
    db: u16,
    /// [`Host::clock_us`] at its start.
    pub(crate) started_us: u64,
    /// What the fiber is told next.
    order: Option<Order>,
}

impl Running {
    /// Has the script end with an error when it is resumed.
    pub(crate) fn stop(&mut self) {
        self.order = Some(Order::Stop);
    }

    /// Lets the script go on until it ends, or until others must have a turn: then `None`.
    pub(crate) fn go_on(
        &mut self,
        shard: &mut Shard,
        host: &mut dyn Host,
        session: &mut Session,
    ) -> Option<Ended> {
        let lent = self.vm.lent.clone();
        let (db, proto) = (std::mem::replace(&mut session.db, self.db), session.proto);
        let in_exec = std::mem::replace(&mut session.in_exec, true);
        session.in_script = true;
        let denied = std::mem::replace(&mut shard.deny_waits, true);
        shard.scripted = true;
        let mut order = self.order.take().unwrap_or(Order::GoOn);
        let ended = loop {
            match self.vm.resume(order) {
                Ask::Next(ended) => break Some(ended),
                Ask::Call => {
                    session.proto = lent.proto.get();
                    self.call(shard, host, session);
                }
                Ask::May => lent.may.set(self.may(shard, session)),
                Ask::Log(level, line) => host.script_log(level, &line),
                Ask::Poll => {
                    lent.clock.set(host.clock_us() as f64 / 1e6);
                    if host.script_is_slow(self.started_us) {
                        break None;
                    }
                }
            }
            order = Order::GoOn;
        };
        self.db = std::mem::replace(&mut session.db, db);
        session.proto = proto;
        session.in_exec = in_exec;
        session.in_script = false;
        shard.deny_waits = denied;
        shard.scripted = false;
        ended
    }

    /// Runs the command the script asks for.
    fn call(&mut self, shard: &mut Shard, host: &mut dyn Host, session: &mut Session) {
        let lent = self.vm.lent.clone();
        let words = lent.words.borrow();
        let mut reply = lent.reply.borrow_mut();
        reply.clear();
        let result = with_args(&words, |args| self.run(shard, host, session, args, &mut reply));
        if let Err(e) = result {
            shard.stats.count_error(e.code());
            Reply::new(&mut reply, session.proto).error(e.as_str());
        }
    }

    fn run(
        &mut self,
        shard: &mut Shard,
        host: &mut dyn Host,
        session: &mut Session,
        args: Args<'_>,
        reply: &mut Vec<u8>,
    ) -> CmdResult {
        let table = shard.table();
        let command = table.resolve(args).map_err(|_| {
            let arity = table.find(args.get(0)).is_some_and(|c| {
                c.subs().is_empty() || table.find_full(&full_name(args)).is_some()
            });
            if arity { ARITY } else { UNKNOWN }
        })?;
        let spec = command.spec;
        let writes = spec.is_write() || spec.flags.has(Flags::MAY_REPLICATE);
        let admitted = if spec.flags.has(Flags::NOSCRIPT) {
            Err(NOT_ALLOWED)
        } else if self.read_only && writes {
            Err(READ_ONLY)
        } else {
            self.admit(shard, host, session, command, args)
        };
        if let Err(e) = admitted {
            shard.stats.by_command[usize::from(command.id)].rejected += 1;
            return Err(e);
        }
        self.wrote |= spec.is_write();
        shard.execute(host, session, command, args, reply);
        Ok(())
    }

    /// The refusals of the executor. What has written is not refused for what has come up meanwhile: it could
    /// not be undone (Redis `script.c`, `scriptVerifyWriteCommandAllow`).
    fn admit(
        &self,
        shard: &mut Shard,
        host: &mut dyn Host,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
    ) -> CmdResult {
        let before = (shard.eviction.full, shard.lacks_replicas, shard.save_failed);
        shard.eviction.full &= !self.allow_oom && !self.wrote;
        shard.lacks_replicas &= !self.wrote;
        shard.save_failed &= !self.wrote;
        let admitted = shard.admit_command(host, session, command, args, Context::Lua);
        (shard.eviction.full, shard.lacks_replicas, shard.save_failed) = before;
        admitted.map_err(|e| match e.as_str().strip_prefix("NOPERM ") {
            Some(why) => CmdError::text(format!("ERR ACL failure in script: {why}")),
            None if e.code() == "MASTERDOWN" => STALE,
            None => e,
        })
    }

    fn may(&self, shard: &Shard, session: &Session) -> Option<bool> {
        with_args(&self.vm.lent.words.borrow(), |args| {
            let command = shard.table().resolve(args).ok()?;
            let user = session.user.as_ref();
            let may =
                |user: &acl::Handle| acl::check(&user.borrow(), command, args, session.db).is_ok();
            Some(user.is_none_or(may))
        })
    }

    /// Writes the reply of a script that has ended.
    pub(crate) fn finish(
        &self,
        ended: Ended,
        shard: &mut Shard,
        command: &Command,
        out: &mut Reply<'_>,
    ) -> CmdResult {
        self.vm.collect(super::vm::RAN);
        let (text, counted) = match &ended {
            Ok((true, value)) => match error_field(value) {
                Some(failure) => failure,
                None => {
                    convert::write(out, value, self.vm.lent.proto.get());
                    return Ok(());
                }
            },
            Ok((false, error)) => call::final_error(&self.name, error),
            Err(e) => {
                let name = String::from_utf8_lossy(&self.name);
                (format!("ERR Error running script {name}, {e}"), false)
            }
        };
        if !counted {
            return Err(CmdError::text(text));
        }
        shard.stats.by_command[usize::from(command.id)].failed += 1;
        out.error(&text);
        Ok(())
    }
}

/// The words of a script's command, as arguments.
fn with_args<R>(words: &super::vm::Words, f: impl FnOnce(Args<'_>) -> R) -> R {
    if words.len() <= STACK_WORDS {
        let mut list = [&[] as &[u8]; STACK_WORDS];
        for (to, word) in list.iter_mut().zip(words.iter()) {
            *to = word;
        }
        f(Args::new(&list[..words.len()]))
    } else {
        let list: Vec<&[u8]> = words.iter().collect();
        f(Args::new(&list))
    }
}

fn full_name(args: Args<'_>) -> Vec<u8> {
    args.from(0).iter().take(2).copied().collect::<Vec<_>>().join(&b'|')
}

/// The error a script returned, if it did.
fn error_field(value: &Value) -> Option<(String, bool)> {
    let Value::Table(table) = value else { return None };
    matches!(table.raw_get("err"), Ok(Value::String(_))).then(|| call::error_of(table))
}
