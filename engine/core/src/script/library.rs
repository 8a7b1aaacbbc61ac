//! Libraries of functions: data that is code.
//!
//! Loading runs the library once, to let it register its functions. It can reach no key and its
//! length is bounded in instructions, not in time, so a replayed FUNCTION LOAD ends as the first.

use super::Scripts;
use super::run::Request;
use super::shebang::{self, ScriptFlags};
use super::vm::{Asking, How, Vm};
use crate::error::{CmdError, CmdResult};
use mlua::{Lua, LuaString, MultiValue, Table, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Most turns of 100 000 instructions that loading may take.
const LOAD_TURNS: u32 = 1000;

/// A loaded library.
pub(crate) struct Library {
    /// Its source, shebang included.
    pub(crate) code: Box<[u8]>,
    /// Its functions by name.
    pub(crate) functions: BTreeMap<Box<[u8]>, Function>,
}

/// A function of a library.
pub(crate) struct Function {
    callback: mlua::Function,
    /// What it declares.
    pub(crate) flags: ScriptFlags,
    /// What it is said to do.
    pub(crate) description: Option<Box<[u8]>>,
}

type Functions = BTreeMap<Box<[u8]>, Function>;

impl Scripts {
    /// All libraries by name.
    pub(crate) fn all_libraries(&self) -> &BTreeMap<Box<[u8]>, Library> {
        &self.libraries
    }

    /// Loads a library and returns its name.
    pub(crate) fn load_library(&mut self, code: &[u8], replace: bool) -> CmdResult<Box<[u8]>> {
        let (name, source) = shebang::of_library(code)?;
        if !replace && self.libraries.contains_key(name) {
            let name = String::from_utf8_lossy(name);
            return Err(CmdError::text(format!("ERR Library '{name}' already exists")));
        }
        let vm = Vm::get_or_new(&mut self.functions, true)?;
        let functions = register(&vm, source)?;
        if functions.is_empty() {
            return Err(CmdError::fixed("ERR No functions registered"));
        }
        let others = || self.libraries.iter().filter(|(n, _)| ***n != *name);
        if let Some(twice) =
            functions.keys().find(|f| others().any(|(_, l)| l.functions.contains_key(*f)))
        {
            let twice = String::from_utf8_lossy(twice);
            return Err(CmdError::text(format!("ERR Function {twice} already exists")));
        }
        self.libraries.insert(name.into(), Library { code: code.into(), functions });
        Ok(name.into())
    }

    /// Removes a library; false if there is none of that name.
    pub(crate) fn delete_library(&mut self, name: &[u8]) -> bool {
        self.libraries.remove(name).is_some()
    }

    /// Removes all libraries and what they left in their interpreter.
    pub(crate) fn flush_libraries(&mut self) {
        self.libraries.clear();
        self.functions = None;
    }

    /// A function of any library, ready to run.
    pub(crate) fn function(&self, name: &[u8]) -> Option<Request> {
        let vm = self.functions.clone()?;
        let function = self.libraries.values().find_map(|l| l.functions.get(name))?;
        Some(Request {
            vm,
            function: function.callback.clone(),
            name: name.into(),
            flags: function.flags,
            callback: true,
        })
    }
}

fn register(vm: &Vm, source: &[u8]) -> CmdResult<Functions> {
    let chunk = vm
        .compile(source, "@user_function")
        .map_err(|e| CmdError::text(format!("ERR Error compiling function: {e}")))?;
    let functions = RefCell::new(Functions::new());
    let turns = Cell::new(LOAD_TURNS);
    let result = vm.lua.scope(|scope| {
        let other = scope.create_function(|lua, (what, args): (LuaString, MultiValue)| {
            let added = if *what.as_bytes() == *b"register" {
                add(lua, &args).and_then(|(name, function)| {
                    let twice = functions.borrow_mut().insert(name, function).is_some();
                    if twice { Err("Function already exists in the library") } else { Ok(()) }
                })
            } else {
                Ok(())
            };
            Ok(match added {
                Ok(()) => (false, Value::Nil),
                Err(text) => {
                    let table = lua.create_table()?;
                    table.raw_set("err", format!("ERR {text}"))?;
                    (true, Value::Table(table))
                }
            })
        })?;
        let poll = scope.create_function(|_, ()| {
            turns.set(turns.get().saturating_sub(1));
            Ok(turns.get() > 0)
        })?;
        vm.begin(0, &poll)?;
        let ask = Asking { call: None, pcall: None, other };
        let result = vm.run(How::Load(&chunk), &[], &[], &ask);
        vm.end();
        result
    });
    let cause = match result {
        Ok((true, _)) => return Ok(functions.into_inner()),
        _ if vm.lent.killed.get() => "FUNCTION LOAD timeout".to_string(),
        Ok((false, Value::Table(t))) => super::call::error_of(&t).0,
        Ok((false, Value::String(s))) => s.to_string_lossy().to_string(),
        Ok((false, _)) => "unknown error".to_string(),
        Err(e) => e.to_string(),
    };
    Err(CmdError::text(format!("ERR Error registering functions: {cause}")))
}

type Added = Result<(Box<[u8]>, Function), &'static str>;

/// Reads the arguments of `redis.register_function`.
fn add(lua: &Lua, args: &MultiValue) -> Added {
    let (name, function) = match (args.len(), args.front(), args.get(1)) {
        (1, Some(Value::Table(table)), _) => named(lua, table)?,
        (1, ..) => {
            return Err("calling redis.register_function with a single argument is only \
                        applicable to Lua table (representing named arguments).");
        }
        (2, Some(name), Some(callback)) => {
            let name = text(lua, name)
                .ok_or("first argument to redis.register_function must be a string")?;
            let Value::Function(callback) = callback else {
                return Err("second argument to redis.register_function must be a function");
            };
            let flags = ScriptFlags::default();
            (name, Function { callback: callback.clone(), flags, description: None })
        }
        _ => return Err("wrong number of arguments to redis.register_function"),
    };
    if !shebang::is_name(&name) {
        return Err("Library names can only contain letters, numbers, or underscores(_) and must \
                    be at least one character long");
    }
    Ok((name, function))
}

fn text(lua: &Lua, value: &Value) -> Option<Box<[u8]>> {
    let text = lua.coerce_string(value.clone()).ok()??;
    Some(Box::from(&*text.as_bytes()))
}

fn named(lua: &Lua, table: &Table) -> Added {
    let (mut name, mut callback, mut description) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|_| "unknown argument given to redis.register_function")?;
        let key = text(lua, &key)
            .ok_or("named argument key given to redis.register_function is not a string")?;
        if key.eq_ignore_ascii_case(b"function_name") {
            let given = text(lua, &value);
            name = Some(given.ok_or(
                "function_name argument given to redis.register_function must be a string",
            )?);
        } else if key.eq_ignore_ascii_case(b"description") {
            let given = text(lua, &value);
            description =
                Some(given.ok_or(
                    "description argument given to redis.register_function must be a string",
                )?);
        } else if key.eq_ignore_ascii_case(b"callback") {
            let Value::Function(f) = value else {
                return Err(
                    "callback argument given to redis.register_function must be a function",
                );
            };
            callback = Some(f);
        } else if key.eq_ignore_ascii_case(b"flags") {
            let Value::Table(list) = value else {
                return Err("flags argument to redis.register_function must be a table \
                            representing function flags");
            };
            for flag in list.sequence_values::<Value>() {
                let flag = flag.ok().and_then(|f| text(lua, &f));
                let flag = flag.and_then(|f| ScriptFlags::named(&f.to_ascii_lowercase()));
                flags = flags.and(flag.ok_or("unknown flag given")?);
            }
        } else {
            return Err("unknown argument given to redis.register_function");
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    Ok((name, Function { callback, flags, description }))
}
