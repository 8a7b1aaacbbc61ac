//! Running a script inside the unit of the command that asked for it.

use super::call::{self, Running};
use super::convert;
use super::shebang::ScriptFlags;
use super::vm::{Asking, How, Vm};
use super::{Scripts, as_sha};
use crate::error::{CmdError, CmdResult};
use crate::exec::SessionCx;
use mlua::{Function, LuaString, MultiValue, Value};
use moon_formats::resp::Proto;
use std::cell::RefCell;
use std::rc::Rc;

const WRITER: CmdError =
    CmdError::fixed("ERR Can not execute a script with write flag using *_ro command.");

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
            function: vm.kept(&sha)?,
            vm,
            name: Box::from(sha.as_slice()),
            flags: cached.flags,
            callback: false,
        })
    }
}

impl Request {
    /// Runs the script with keys and arguments, and writes its reply.
    pub(crate) fn run(
        &self,
        cx: &mut SessionCx<'_>,
        read_only: bool,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> CmdResult {
        let declared = !self.flags.has(ScriptFlags::UNDECLARED);
        let no_writes = declared && self.flags.has(ScriptFlags::NO_WRITES);
        if read_only && declared && !no_writes {
            return Err(WRITER);
        }
        let (db, proto) = (cx.session.db, cx.session.proto);
        let in_exec = std::mem::replace(&mut cx.session.in_exec, true);
        let denied = std::mem::replace(&mut cx.shard.deny_waits, true);
        let started_us = cx.host.clock_us();
        let running = RefCell::new(Running {
            shard: cx.shard,
            host: cx.host,
            session: cx.session,
            proto: Proto::Resp2,
            read_only: read_only || no_writes,
            wrote: false,
            started_us,
            reply: Vec::new(),
        });
        let vm = &self.vm;
        let result = vm.lua.scope(|scope| {
            let call = scope.create_function(|lua, args: MultiValue| {
                running.borrow_mut().call(lua, &args)?.map_err(mlua::Error::external)
            })?;
            let pcall = scope.create_function(|lua, args: MultiValue| {
                let answer = running.borrow_mut().call(lua, &args)?;
                answer.or_else(|raised| raised.table(lua))
            })?;
            let other = scope.create_function(|lua, (what, args): (LuaString, MultiValue)| {
                running.borrow_mut().ask(lua, &what.as_bytes(), args)
            })?;
            let poll = scope.create_function(|_, ()| {
                let mut running = running.borrow_mut();
                vm.lent.clock.set(running.host.clock_us() as f64 / 1e6);
                Ok(running.poll())
            })?;
            let ask = Asking { call: Some(call), pcall: Some(pcall), other };
            vm.begin(started_us, &poll)?;
            let how = if self.callback { How::Callback } else { How::Script };
            let result = vm.run(how(&self.function), keys, args, &ask);
            vm.end();
            result
        });
        let asked = running.borrow().proto;
        drop(running);
        cx.session.db = db;
        cx.session.proto = proto;
        cx.session.in_exec = in_exec;
        cx.shard.deny_waits = denied;
        let (text, counted) = match &result {
            Ok((true, value)) => match error_field(value) {
                Some(failure) => failure,
                None => {
                    convert::write(&mut cx.out, value, asked);
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
        cx.shard.stats.by_command[usize::from(cx.command.id)].failed += 1;
        cx.out.error(&text);
        Ok(())
    }
}

/// The error a script returned, if it did.
fn error_field(value: &Value) -> Option<(String, bool)> {
    let Value::Table(table) = value else { return None };
    matches!(table.raw_get("err"), Ok(Value::String(_))).then(|| call::error_of(table))
}
