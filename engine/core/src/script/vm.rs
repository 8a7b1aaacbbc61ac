//! One interpreter: the sandbox and what the host lends it.

use super::drand::Drand;
use super::fiber::{Ask, Entries, Fiber, Job, Order};
use super::library::Registered;
use super::{bit, cjson, cmsgpack, pack};
use crate::error::{CmdError, CmdResult};
use mlua::chunk::ChunkMode;
use mlua::{
    Error, Function, HookTriggers, IntoLua, Lua, LuaOptions, MultiValue, StdLib, Table, Value,
    VmState,
};
use moon_formats::number::{write_i64, write_shortest};
use moon_formats::resp::Proto;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;

/// Most bytes the values of an interpreter may take, and what is written from them: a table that stands in
/// another twice is written twice, so a small value can be a long text.
pub(super) const MEMORY_MAX: usize = 1 << 30;
/// Instructions between two questions whether to go on.
const INSTRUCTIONS: u32 = 100_000;
/// Where the fiber keeps the function that asks them.
pub(super) const POLL: &str = "moon.poll";

/// What the interpreter's functions and the executor share. Whoever suspends has put his part here.
pub(super) struct Lent {
    /// The fiber runs: code of a script may ask.
    pub(super) inside: Cell<bool>,
    /// No script is under way.
    pub(super) idle: Cell<bool>,
    /// The running script was stopped.
    pub(super) killed: Cell<bool>,
    /// Seconds, what `os.clock` answers.
    pub(super) clock: Cell<f64>,
    /// Protocol of the replies the script gets (`redis.setresp`).
    pub(super) proto: Cell<Proto>,
    /// A command.
    pub(super) words: RefCell<Words>,
    /// Its reply.
    pub(super) reply: RefCell<Vec<u8>>,
    /// Whether the client may run a command; `None` if there is no such command.
    pub(super) may: Cell<Option<bool>>,
    /// What the library that loads has registered; `None` if none loads.
    pub(super) registered: RefCell<Option<Vec<Registered>>>,
    random: Rc<Cell<Drand>>,
}

impl Lent {
    fn new(random: &Rc<Cell<Drand>>) -> Self {
        Lent {
            inside: Cell::new(false),
            idle: Cell::new(true),
            killed: Cell::new(false),
            clock: Cell::new(0.0),
            proto: Cell::new(Proto::Resp2),
            words: RefCell::default(),
            reply: RefCell::default(),
            may: Cell::new(None),
            registered: RefCell::new(None),
            random: random.clone(),
        }
    }
}

/// The words of a command, in buffers that stay.
#[derive(Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    /// Takes Lua values; false if one is neither string nor number.
    pub(super) fn fill<'a>(&mut self, values: impl Iterator<Item = &'a Value>) -> bool {
        self.bytes.clear();
        self.ends.clear();
        for value in values {
            match value {
                Value::String(s) => self.bytes.extend_from_slice(&s.as_bytes()),
                Value::Integer(n) => write_i64(&mut self.bytes, *n),
                // As Redis tells whole numbers (`util.c`, `double2ll`).
                Value::Number(n) if n.abs() <= (i64::MAX / 2) as f64 && n.trunc() == *n => {
                    write_i64(&mut self.bytes, *n as i64);
                }
                Value::Number(n) if n.is_nan() && n.is_sign_negative() => {
                    self.bytes.extend_from_slice(b"-nan");
                }
                Value::Number(n) => write_shortest(&mut self.bytes, *n),
                _ => return false,
            }
            self.ends.push(self.bytes.len());
        }
        true
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The words in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let word = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            word
        })
    }
}

/// An interpreter with its sandbox.
pub(super) struct Vm {
    pub(super) lua: Lua,
    pub(super) lent: Rc<Lent>,
    env: Table,
    /// Compiled scripts and functions by number. They are kept in Lua: handles of the host lie on
    /// a Lua stack, which holds some thousands.
    kept: Table,
    /// The highest number given, and those below it that are free.
    ids: RefCell<(u32, Vec<u32>)>,
    fiber: RefCell<Fiber>,
    /// Uses since the collector was last told to go on.
    uses: Cell<u32>,
}

/// Uses between two times that the collector is told to go on, beside what it does as memory is asked for.
const USES_PER_STEP: u32 = 50;
/// Steps of the collector after so many compilations, and after so many runs.
pub(super) const COMPILED: u32 = 50;
pub(super) const RAN: u32 = 2;

/// What a text answers that would be longer than [`MEMORY_MAX`].
pub(super) const NOT_ENOUGH_MEMORY: &str = "not enough memory";
/// Steps of the collector at a time in an interpreter that is taken apart.
const DISMANTLING_STEPS: u32 = 50;

/// What a stopped script answers.
pub(super) const KILLED: &str = "ERR Script killed by user with SCRIPT KILL...";

/// The prelude as a function of an interpreter. The first one compiles it, which is a third of what a start takes that
/// has functions to load; the others of the process take what came of that.
fn prelude(lua: &Lua) -> mlua::Result<Function> {
    static COMPILED: OnceLock<Vec<u8>> = OnceLock::new();
    let chunk = |source: &[u8], mode| {
        lua.load(source)
            .set_mode(mode)
            .set_name("=prelude")
            .set_environment(lua.create_table()?)
            .into_function()
    };
    if let Some(compiled) = COMPILED.get() {
        return chunk(compiled, ChunkMode::Binary);
    }
    let function = chunk(include_bytes!("prelude.lua"), ChunkMode::Text)?;
    COMPILED.get_or_init(|| function.dump(false));
    Ok(function)
}

impl Vm {
    /// The interpreter of a slot, made now if it is the first use.
    pub(super) fn get_or_new(
        slot: &mut Option<Rc<Vm>>,
        functions: bool,
        random: &Rc<Cell<Drand>>,
    ) -> CmdResult<Rc<Vm>> {
        if slot.is_none() {
            let vm = Vm::new(functions, random).map_err(|e| {
                CmdError::text(format!("ERR the Lua interpreter does not start: {e}"))
            })?;
            *slot = Some(Rc::new(vm));
        }
        slot.clone().ok_or(CmdError::fixed("ERR the Lua interpreter does not start"))
    }

    fn new(functions: bool, random: &Rc<Cell<Drand>>) -> mlua::Result<Vm> {
        let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libs, LuaOptions::new().catch_rust_panics(false))?;
        let lent = Rc::new(Lent::new(random));
        let host = lend(&lua, &lent)?;
        host.set("functions", functions)?;
        let prelude = prelude(&lua)?;
        let run: Table = prelude.call((host, lua.globals()))?;
        let env: Table = run.get("env")?;
        lua.set_globals(env.clone())?;
        let killed = lent.clone();
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
        lua.set_global_hook(triggers, move |lua, _| {
            if !killed.killed.get()
                && killed.inside.get()
                && let Ok(poll) = lua.named_registry_value::<Function>(POLL)
            {
                killed.killed.set(!poll.call::<bool>(())?);
            }
            if killed.killed.get() {
                return Err(Error::runtime(KILLED));
            }
            Ok(VmState::Continue)
        })?;
        let entries = Entries {
            bind: run.get("bind")?,
            script: run.get("script")?,
            callback: run.get("callback")?,
            load: run.get("load")?,
        };
        let fiber = RefCell::new(Fiber::new(&lua, entries, &lent)?);
        Ok(Vm {
            env,
            kept: lua.create_table()?,
            ids: RefCell::default(),
            fiber,
            uses: Cell::new(0),
            lua,
            lent,
        })
    }

    /// Bytes in use.
    pub(super) fn mem_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a text; the error is what Lua says.
    pub(super) fn compile(&self, source: &[u8], name: &str) -> Result<Function, String> {
        if source.first() == Some(&0x1b) {
            return Err("bytecode is not loaded".to_string());
        }
        let chunk = self.lua.load(source).set_name(name);
        chunk.set_environment(self.env.clone()).into_function().map_err(|e| match e {
            Error::SyntaxError { message, .. } => message,
            other => other.to_string(),
        })
    }

    /// Keeps a compiled function; returns the number to ask for it.
    pub(super) fn keep(&self, function: &Function) -> CmdResult<u32> {
        let full = |e| CmdError::text(format!("ERR the script cannot be kept: {e}"));
        let mut ids = self.ids.borrow_mut();
        let id = ids.1.last().copied().unwrap_or(ids.0 + 1);
        self.kept.raw_set(id, function).map_err(full)?;
        if ids.1.pop().is_none() {
            ids.0 = id;
        }
        Ok(id)
    }

    /// A function that was kept.
    #[inline]
    pub(super) fn kept(&self, id: u32) -> Option<Function> {
        self.kept.raw_get(id).ok()
    }

    /// Forgets a function that was kept.
    pub(super) fn forget(&self, id: u32) {
        if self.kept.raw_set(id, false).is_ok() {
            self.ids.borrow_mut().1.push(id);
        }
    }

    /// Forgets all of them, for good.
    pub(super) fn forget_all(&self) {
        // Without memory for it they are freed with the interpreter.
        let _ = self.kept.clear();
    }

    /// Frees some of what nobody needs; true at the end of a round.
    pub(super) fn collect_some(&self) -> bool {
        (0..DISMANTLING_STEPS).any(|_| self.lua.gc_step().unwrap_or(true))
    }

    /// Starts a run: the clock is what the host says.
    pub(super) fn begin(&self, mono_us: u64) {
        self.lent.killed.set(false);
        self.lent.clock.set(mono_us as f64 / 1e6);
        self.lent.proto.set(Proto::Resp2);
    }

    /// A job that runs a kept script or callback with its keys and arguments.
    pub(super) fn job(
        &self,
        function: &Function,
        callback: bool,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> mlua::Result<Job> {
        let (keys, args) = (self.list(keys)?, self.list(args)?);
        let job = if callback { Job::Callback } else { Job::Script };
        Ok(job(function.clone(), keys, args))
    }

    /// Ends a use of the interpreter, which is `steps` of work to the collector: it goes in small steps, so that
    /// no script has to wait for a whole cycle. What a compilation leaves is more than what a run leaves.
    pub(super) fn collect(&self, steps: u32) {
        self.uses.set(self.uses.get() + 1);
        if self.uses.get() >= USES_PER_STEP {
            self.uses.set(0);
            for _ in 0..steps {
                // What a finalizer does wrong is not the script's fault.
                if self.lua.gc_step().unwrap_or(true) {
                    break;
                }
            }
        }
    }

    /// Lets the fiber go on.
    #[inline]
    pub(super) fn resume(&self, order: Order) -> Ask {
        self.fiber.borrow_mut().resume(order)
    }

    fn list(&self, items: &[&[u8]]) -> mlua::Result<Table> {
        self.lua.create_sequence_from(items.iter().map(|item| Text(item)))
    }
}

/// Bytes as a string of Lua.
struct Text<'a>(&'a [u8]);

impl IntoLua for Text<'_> {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_string(self.0).map(Value::String)
    }
}

/// Bounds the memory of an interpreter while code of a script runs. Outside, where sizes are those of
/// requests and replies, there is no bound: each use of the interface would have to be guarded against it.
pub(super) fn bound_memory(lua: &Lua, on: bool) {
    // It fails for interpreters with another allocator, which there are none.
    let _ = lua.set_memory_limit(if on { MEMORY_MAX } else { 0 });
}

/// An error that a host function raises as a table.
#[derive(Debug)]
pub(super) struct Raised {
    /// The field `err`.
    pub(super) text: Vec<u8>,
    /// It has been counted where it arose.
    pub(super) counted: bool,
}

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for Raised {}

impl Raised {
    /// The table that scripts see.
    pub(super) fn table(&self, lua: &Lua) -> mlua::Result<Value> {
        let table = lua.create_table_with_capacity(0, 4)?;
        table.raw_set("err", lua.create_string(&self.text)?)?;
        if self.counted {
            table.raw_set("ignore_error_stats_update", true)?;
        }
        Ok(Value::Table(table))
    }
}

/// An error of a library function, with the place of its caller in front.
pub(super) fn library_error(lua: &Lua, text: &str) -> Error {
    match position(lua) {
        (Some(source), Some(line)) => {
            Error::runtime(format!("{}:{line}: {text}", source.trim_start_matches('@')))
        }
        _ => Error::runtime(text),
    }
}

/// What an error stands for: the table or string that a script would see in Redis.
fn unwrap(lua: &Lua, error: Value) -> mlua::Result<Value> {
    let Value::Error(error) = error else { return Ok(error) };
    let mut error = &*error;
    while let Error::CallbackError { cause, .. } = error {
        error = cause;
    }
    if let Some(raised) = error.downcast_ref::<Raised>() {
        return raised.table(lua);
    }
    let text = match error {
        Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.split("\nstack traceback:").next().unwrap_or_default();
    Ok(Value::String(lua.create_string(text)?))
}

fn lend(lua: &Lua, lent: &Rc<Lent>) -> mlua::Result<Table> {
    let host = lua.create_table()?;
    host.set("cjson", cjson::library(lua)?)?;
    host.set("bit", bit::library(lua)?)?;
    host.set("cmsgpack", cmsgpack::library(lua)?)?;
    host.set("struct", pack::library(lua)?)?;
    let shared = lent.clone();
    host.set("killed", lua.create_function(move |_, ()| Ok(shared.killed.get()))?)?;
    host.set("kill_text", KILLED)?;
    let shared = lent.clone();
    host.set("clock", lua.create_function(move |_, ()| Ok(shared.clock.get()))?)?;
    let shared = lent.clone();
    let random = move |lua: &Lua, args: MultiValue| random(lua, &shared.random, &args);
    host.set("random", lua.create_function(random)?)?;
    let shared = lent.clone();
    let seed = move |lua: &Lua, args: MultiValue| {
        let seed = whole(lua, &args, 0, "randomseed")?;
        shared.random.set(Drand::seed(seed));
        Ok(())
    };
    host.set("randomseed", lua.create_function(seed)?)?;
    host.set("redis", super::call::library(lua)?)?;
    host.set("where", lua.create_function(|lua, ()| Ok(position(lua)))?)?;
    host.set("unwrap", lua.create_function(unwrap)?)?;
    let constants = lua.create_table()?;
    for (name, value) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
        ("REDIS_VERSION_NUM", 0x0008_0000),
    ] {
        constants.set(name, value)?;
    }
    constants.set("REDIS_VERSION", "8.0.0")?;
    host.set("constants", constants)?;
    Ok(host)
}

/// Argument `i` as a C `int`.
fn whole(lua: &Lua, args: &MultiValue, i: usize, name: &str) -> mlua::Result<i32> {
    let value = args.get(i).cloned().unwrap_or_default();
    let got = if i < args.len() { value.type_name() } else { "no value" };
    let i = i + 1;
    let wrong = || format!("bad argument #{i} to '{name}' (number expected, got {got})");
    let number = lua.coerce_number(value)?.ok_or_else(|| library_error(lua, &wrong()))?;
    Ok(number as i64 as i32)
}

/// `math.random`.
fn random(lua: &Lua, state: &Cell<Drand>, args: &MultiValue) -> mlua::Result<f64> {
    let mut drand = state.get();
    let unit = drand.unit();
    state.set(drand);
    let (low, high) = match args.len() {
        0 => return Ok(unit),
        1 => (1, whole(lua, args, 0, "random")?),
        2 => (whole(lua, args, 0, "random")?, whole(lua, args, 1, "random")?),
        _ => return Err(library_error(lua, "wrong number of arguments")),
    };
    if low > high {
        let text = format!("bad argument #{} to 'random' (interval is empty)", args.len());
        return Err(library_error(lua, &text));
    }
    let (low, high) = (f64::from(low), f64::from(high));
    Ok((unit * (high - low + 1.0)).floor() + low)
}

/// Source and line of the innermost function of a script.
fn position(lua: &Lua) -> (Option<String>, Option<usize>) {
    for level in 1..32 {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let name = source.source.as_deref().unwrap_or_default();
            (name.starts_with('@'))
                .then(|| (name.to_string(), debug.current_line().unwrap_or_default()))
        });
        match found {
            None => break,
            Some(None) => {}
            Some(Some((source, line))) => return (Some(source), Some(line)),
        }
    }
    (None, None)
}
