//! Libraries of functions: data that is code.
//!
//! Loading runs the library once, to let it register its functions. It can reach no key and its
//! length is bounded in instructions, not in time, so a replayed FUNCTION LOAD ends as the first.

use super::Scripts;
use super::fiber::{Ask, Job, Order};
use super::run::Request;
use super::shebang::{self, ScriptFlags};
use super::vm::{Lent, Vm};
use crate::error::{CmdError, CmdResult};
use mlua::{Lua, MultiValue, Table, Value};
use std::collections::{BTreeMap, HashMap};

/// Most turns of 100 000 instructions that loading may take.
const LOAD_TURNS: u32 = 1000;

/// A loaded library.
#[derive(Clone)]
pub(crate) struct Library {
    /// Its source, shebang included.
    pub(crate) code: Box<[u8]>,
    /// Its functions by name.
    pub(crate) functions: BTreeMap<Box<[u8]>, Function>,
}

/// A function of a library.
#[derive(Clone)]
pub(crate) struct Function {
    /// Where the interpreter keeps it.
    id: u32,
    /// What it declares.
    pub(crate) flags: ScriptFlags,
    /// What it is said to do.
    pub(crate) description: Option<Box<[u8]>>,
}

/// What FUNCTION RESTORE does with libraries that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnClash {
    /// Nothing is restored.
    Refuse,
    /// The restored one takes its place.
    Replace,
    /// All go before.
    Flush,
}

/// Where a function is.
#[derive(Clone)]
struct Place {
    library: Box<[u8]>,
    /// Its name there.
    name: Box<[u8]>,
}

/// All libraries of a shard.
#[derive(Default, Clone)]
pub(super) struct Libraries {
    by_name: BTreeMap<Box<[u8]>, Library>,
    /// Lower-case names of functions.
    functions: HashMap<Box<[u8]>, Place>,
}

impl Libraries {
    /// Their number.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Number of functions in all of them.
    pub(super) fn functions_len(&self) -> usize {
        self.functions.len()
    }

    /// Bytes of their texts and of what is kept beside them.
    pub(super) fn text_bytes(&self) -> usize {
        let mut bytes = 0;
        for (name, library) in &self.by_name {
            bytes += name.len() + library.code.len();
            for (name, function) in &library.functions {
                bytes += 3 * name.len() + size_of::<Function>();
                bytes += function.description.as_ref().map_or(0, |d| d.len());
            }
        }
        bytes
    }

    /// Adds a library if none of its functions exists in another one.
    fn add(&mut self, name: &[u8], library: Library) -> CmdResult {
        for function in library.functions.keys() {
            if self.functions.contains_key(&*function.to_ascii_lowercase()) {
                let function = String::from_utf8_lossy(function);
                return Err(CmdError::text(format!("ERR Function {function} already exists")));
            }
        }
        for function in library.functions.keys() {
            let place = Place { library: name.into(), name: function.clone() };
            self.functions.insert(function.to_ascii_lowercase().into(), place);
        }
        self.by_name.insert(name.into(), library);
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.by_name.remove(name)?;
        for function in library.functions.keys() {
            self.functions.remove(&*function.to_ascii_lowercase());
        }
        Some(library)
    }

    /// A function by its name in any case.
    fn function(&self, name: &[u8]) -> Option<(&[u8], &Function)> {
        let Place { library, name } = match self.functions.get(name) {
            Some(place) => place,
            None => self.functions.get(&*name.to_ascii_lowercase())?,
        };
        Some((name, self.by_name.get(library)?.functions.get(name)?))
    }
}

impl Scripts {
    /// All libraries by name.
    pub(crate) fn all_libraries(&self) -> &BTreeMap<Box<[u8]>, Library> {
        &self.libraries.by_name
    }

    /// Loads a library and returns its name.
    pub(crate) fn load_library(&mut self, code: &[u8], replace: bool) -> CmdResult<Box<[u8]>> {
        let (name, source) = shebang::of_library(code)?;
        if !replace && self.libraries.by_name.contains_key(&name) {
            return Err(exists(&name));
        }
        let vm = Vm::get_or_new(&mut self.functions, true, &self.random)?;
        let library = compile(&vm, code, source)?;
        let old = self.libraries.remove(&name);
        let added = self.libraries.add(&name, library.clone());
        let gone = match (&added, old) {
            (Ok(()), old) => old,
            (Err(_), old) => {
                if let Some(old) = old {
                    self.libraries.add(&name, old)?;
                }
                Some(library)
            }
        };
        forget(&vm, gone.as_ref());
        added.map(|()| name)
    }

    /// Puts libraries beside those there are or in their place: all of them, or none.
    pub(crate) fn restore_libraries(&mut self, codes: &[&[u8]], clash: OnClash) -> CmdResult {
        let vm = Vm::get_or_new(&mut self.functions, true, &self.random)?;
        let mut made: Vec<Library> = Vec::new();
        let joined = self.join(&vm, codes, clash, &mut made);
        match joined {
            Ok(joined) => {
                let old = std::mem::replace(&mut self.libraries, joined);
                for (name, library) in &old.by_name {
                    // What was kept shares its functions with the new set.
                    let same = |l: &Library| l.functions.values().map(|f| f.id).min();
                    let kept =
                        self.libraries.by_name.get(name).is_some_and(|l| same(l) == same(library));
                    if !kept {
                        forget(&vm, Some(library));
                    }
                }
                Ok(())
            }
            Err(e) => {
                made.iter().for_each(|l| forget(&vm, Some(l)));
                Err(e)
            }
        }
    }

    fn join(
        &self,
        vm: &Vm,
        codes: &[&[u8]],
        clash: OnClash,
        made: &mut Vec<Library>,
    ) -> CmdResult<Libraries> {
        let mut new = Libraries::default();
        for code in codes {
            let (name, source) = shebang::of_library(code)?;
            if new.by_name.contains_key(&name) {
                return Err(exists(&name));
            }
            let library = compile(vm, code, source)?;
            made.push(library.clone());
            new.add(&name, library)?;
        }
        if clash == OnClash::Flush {
            return Ok(new);
        }
        let mut joined = self.libraries.clone();
        for name in new.by_name.keys() {
            if joined.remove(name).is_some() && clash == OnClash::Refuse {
                let name = String::from_utf8_lossy(name);
                return Err(CmdError::text(format!("ERR Library {name} already exists")));
            }
        }
        for (name, library) in new.by_name {
            joined.add(&name, library)?;
        }
        Ok(joined)
    }

    /// Removes a library; false if there is none of that name.
    pub(crate) fn delete_library(&mut self, name: &[u8]) -> bool {
        let removed = self.libraries.remove(name);
        if let Some(vm) = &self.functions {
            forget(vm, removed.as_ref());
        }
        removed.is_some()
    }

    /// Removes all libraries and what they left in their interpreter; `later` frees it bit by bit.
    pub(crate) fn flush_libraries(&mut self, later: bool) {
        let count = self.libraries.functions_len();
        self.libraries = Libraries::default();
        self.attic.put(self.functions.take(), count, later);
    }

    /// Whether a function says that it never writes; `None` if there is none of this name.
    pub(crate) fn function_never_writes(&self, name: &[u8]) -> Option<bool> {
        self.libraries.function(name).map(|(_, function)| function.flags.never_write())
    }

    /// A function of any library, ready to run.
    pub(crate) fn function(&self, name: &[u8]) -> Option<Request> {
        let vm = self.functions.clone()?;
        let (name, function) = self.libraries.function(name)?;
        Some(Request {
            function: vm.kept(function.id)?,
            vm,
            name: name.into(),
            flags: function.flags,
            callback: true,
        })
    }
}

fn exists(name: &[u8]) -> CmdError {
    CmdError::text(format!("ERR Library '{}' already exists", String::from_utf8_lossy(name)))
}

/// Lets the interpreter forget the functions of a library.
fn forget(vm: &Vm, library: Option<&Library>) {
    library.into_iter().flat_map(|l| l.functions.values()).for_each(|f| vm.forget(f.id));
}

/// Makes a library of its source.
fn compile(vm: &Vm, code: &[u8], source: &[u8]) -> CmdResult<Library> {
    let mut functions = BTreeMap::new();
    for Registered { name, callback, flags, description } in run(vm, source)? {
        let id = vm.keep(&callback)?;
        functions.insert(name, Function { id, flags, description });
    }
    if functions.is_empty() {
        return Err(CmdError::fixed("ERR No functions registered"));
    }
    Ok(Library { code: code.into(), functions })
}

/// A function that a library has registered.
pub(super) struct Registered {
    name: Box<[u8]>,
    callback: mlua::Function,
    flags: ScriptFlags,
    description: Option<Box<[u8]>>,
}

/// Runs a library once, for the functions it registers.
fn run(vm: &Vm, source: &[u8]) -> CmdResult<Vec<Registered>> {
    let chunk = vm
        .compile(source, "@user_function")
        .map_err(|e| CmdError::text(format!("ERR Error compiling function: {e}")))?;
    vm.lent.registered.replace(Some(Vec::new()));
    vm.begin(0);
    let mut order = Order::Run(Job::Load(chunk));
    let mut turns = 0;
    let ended = loop {
        order = match vm.resume(order) {
            Ask::Next(ended) => break ended,
            Ask::Poll if turns >= LOAD_TURNS => Order::Stop,
            Ask::Poll => {
                turns += 1;
                Order::GoOn
            }
            // Nothing that a library loads with asks for anything else.
            Ask::Call | Ask::May | Ask::Log(..) => Order::GoOn,
        };
    };
    let registered = vm.lent.registered.take().unwrap_or_default();
    vm.collect(super::vm::COMPILED);
    let cause = match ended {
        Ok((true, _)) => return Ok(registered),
        _ if vm.lent.killed.get() => "FUNCTION LOAD timeout".to_string(),
        Ok((false, Value::Table(t))) => super::call::error_of(&t).0,
        Ok((false, Value::String(s))) => format!("ERR {}", s.to_string_lossy()),
        Ok((false, _)) => "unknown error".to_string(),
        Err(e) => e.to_string(),
    };
    Err(CmdError::text(format!("ERR Error registering functions: {cause}")))
}

/// `redis.register_function`, as an answer to a script.
pub(super) fn register(lua: &Lua, lent: &Lent, args: &MultiValue) -> Result<Value, &'static str> {
    let mut registered = lent.registered.borrow_mut();
    let Some(registered) = registered.as_mut() else {
        return Err("ERR redis.register_function can only be called on FUNCTION LOAD command");
    };
    let function = add(lua, args)?;
    if registered.iter().any(|f| f.name == function.name) {
        return Err("ERR Function already exists in the library");
    }
    registered.push(function);
    Ok(Value::Nil)
}

type Added = Result<Registered, &'static str>;

/// Reads the arguments of `redis.register_function`.
fn add(lua: &Lua, args: &MultiValue) -> Added {
    let function = match (args.len(), args.front(), args.get(1)) {
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
            Registered { name, callback: callback.clone(), flags, description: None }
        }
        _ => return Err("wrong number of arguments to redis.register_function"),
    };
    if !shebang::is_name(&function.name) {
        return Err("Library names can only contain letters, numbers, or underscores(_) and must \
                    be at least one character long");
    }
    Ok(function)
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
    Ok(Registered { name, callback, flags, description })
}
