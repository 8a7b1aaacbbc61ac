//! The stack that scripts of an interpreter run on, and the talk between it and the executor.
//!
//! A script cannot hold the shard: it has to be left alone at any instruction while others are
//! told that the server is busy. So it runs on a stack of its own and *asks*: each
//! `redis.call` suspends it, the executor does what is asked on its own stack, and resumes it.
//! A script that is not resumed is paused, whatever of Lua and C is on its stack.
//!
//! Invariants:
//! * Code of scripts runs on the fiber and nowhere else. A function that asks while the fiber
//!   is not running refuses ([`Lent::inside`]).
//! * Between two scripts the fiber is suspended outside of any call into Lua, so the executor
//!   may use the interpreter. While a script is suspended it may not.
//! * What is dropped has ended: a script that is under way is stopped and runs to its end.

use super::call::Line;
use super::vm::{Lent, bound_memory};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// Bytes of address space of a fiber's stack; pages are used as they are touched. Lua nests C
/// calls up to 200 deep, with buffers of 8 KiB in some of them.
const STACK_BYTES: usize = 8 << 20;

/// How a script ends: whether it succeeded, and the value or error.
pub(crate) type Ended = mlua::Result<(bool, Value)>;

/// What a suspended fiber wants.
pub(super) enum Ask {
    /// The next script; how the last one ended.
    Next(Ended),
    /// The command in [`Lent::words`], its reply in [`Lent::reply`].
    Call,
    /// Whether the client may run the command in [`Lent::words`], into [`Lent::may`].
    May,
    /// A line in the server's log.
    Log(u8, String),
    /// Nothing; it runs.
    Poll,
}

/// What a suspended fiber is told.
pub(super) enum Order {
    /// Run this.
    Run(Job),
    /// What was asked is done.
    GoOn,
    /// The script is to end with an error.
    Stop,
    /// No more scripts come.
    Leave,
}

/// A script to run.
pub(super) enum Job {
    /// A script: keys and arguments are globals.
    Script(Function, Table, Table),
    /// A function of a library: they are its arguments.
    Callback(Function, Table, Table),
    /// A library that registers its functions.
    Load(Function),
}

/// Functions of the prelude.
#[derive(Clone)]
pub(super) struct Entries {
    /// Takes what the fiber lends.
    pub(super) bind: Function,
    pub(super) script: Function,
    pub(super) callback: Function,
    pub(super) load: Function,
}

impl Entries {
    fn run(&self, job: Job) -> Ended {
        match job {
            Job::Script(f, keys, args) => self.script.call((f, keys, args)),
            Job::Callback(f, keys, args) => self.callback.call((f, keys, args)),
            Job::Load(f) => self.load.call(f),
        }
    }
}

/// The stack of an interpreter's scripts.
pub(super) struct Fiber {
    coroutine: Coroutine<Order, Ask, ()>,
    lent: Rc<Lent>,
}

impl Fiber {
    /// A fiber that waits for its first script.
    pub(super) fn new(lua: &Lua, entries: Entries, lent: &Rc<Lent>) -> mlua::Result<Fiber> {
        let stack = DefaultStack::new(STACK_BYTES).map_err(mlua::Error::external)?;
        let (lua, inner) = (lua.clone(), lent.clone());
        let coroutine = Coroutine::with_stack(stack, move |yielder, order| {
            // Without memory for the functions the fiber ends, and `resume` says so.
            let _ = serve(&lua, &entries, &inner, yielder, order);
        });
        Ok(Fiber { coroutine, lent: lent.clone() })
    }

    /// Goes on until the next question.
    #[inline]
    pub(super) fn resume(&mut self, order: Order) -> Ask {
        if self.coroutine.done() {
            return Ask::Next(Err(mlua::Error::runtime("the Lua interpreter does not start")));
        }
        self.lent.inside.set(true);
        let result = self.coroutine.resume(order);
        self.lent.inside.set(false);
        match result {
            CoroutineResult::Yield(ask) => ask,
            CoroutineResult::Return(()) => {
                Ask::Next(Err(mlua::Error::runtime("the Lua interpreter does not start")))
            }
        }
    }
}

impl Drop for Fiber {
    fn drop(&mut self) {
        if !self.coroutine.started() {
            self.resume(Order::Leave);
        }
        while !self.coroutine.done() {
            let idle = self.lent.idle.get();
            self.resume(if idle { Order::Leave } else { Order::Stop });
        }
    }
}

/// The life of a fiber.
fn serve(
    lua: &Lua,
    entries: &Entries,
    lent: &Rc<Lent>,
    yielder: &Yielder<Order, Ask>,
    first: Order,
) -> mlua::Result<()> {
    let line = Line { lent, yielder };
    lua.scope(|scope| {
        let call = scope.create_function(|lua, args: MultiValue| line.call(lua, &args, true))?;
        let pcall = scope.create_function(|lua, args: MultiValue| line.call(lua, &args, false))?;
        let poll = scope.create_function(|_, ()| Ok(line.poll()))?;
        lua.set_named_registry_value(super::vm::POLL, poll)?;
        let bound = lua.create_table()?;
        bound.set("call", call)?;
        bound.set("pcall", pcall)?;
        let setresp = scope.create_function(|lua, args: MultiValue| line.set_proto(lua, &args))?;
        bound.set("setresp", setresp)?;
        bound.set("log", scope.create_function(|lua, args: MultiValue| line.log(lua, &args))?)?;
        bound
            .set("acl_check_cmd", scope.create_function(|_, args: MultiValue| line.may(&args))?)?;
        let register = lua.create_function({
            let lent = lent.clone();
            move |lua, args: MultiValue| {
                super::library::register(lua, &lent, &args).map_err(super::call::raise)
            }
        })?;
        entries.bind.call::<()>((bound, register))?;
        let mut order = first;
        loop {
            let Order::Run(job) = order else { return Ok(()) };
            lent.idle.set(false);
            bound_memory(lua, true);
            let ended = entries.run(job);
            bound_memory(lua, false);
            lent.idle.set(true);
            order = yielder.suspend(Ask::Next(ended));
        }
    })
}
