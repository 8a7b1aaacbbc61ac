//! Scripts: Lua 5.1 as Redis runs it (redis-surface §16).
//!
//! A script is one unit: its commands run through [`Shard::execute`] inside the unit that its
//! EVAL opened, and what they changed is logged as one record when it ends. Invariants:
//! * The interpreter holds no data. Cached scripts may be forgotten at any time; libraries of
//!   functions are data, live in [`Scripts`] and are logged as FUNCTION commands.
//! * It reads no clock and no chance of its own: `os.clock` is told by the host, and `math.random` is a
//!   sequence that every server begins with.
//! * Whatever a script does, the error stays inside it: there is no `unsafe` here, bytecode is
//!   never loaded, memory is bounded and the host is asked regularly whether to go on.
//!
//! [`Shard::execute`]: crate::exec::Shard

mod attic;
mod bit;
mod call;
mod cjson;
mod cmsgpack;
mod convert;
mod drand;
mod fiber;
mod hostile;
mod library;
mod pack;
mod run;
mod sha1;
mod shebang;
mod vm;

pub(crate) use fiber::Ended;
pub use hostile::hostile;
use library::Libraries;
pub(crate) use library::OnClash;
pub(crate) use run::Running;

use drand::Drand;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use vm::Vm;

/// Scripts that EVAL brought are forgotten beyond this number, the longest unused first.
const EVAL_MAX: usize = 500;

/// Lower-case hexadecimal SHA-1 of a script: its name.
pub(crate) type Sha = [u8; 40];

/// The name of a script.
pub(crate) fn sha1hex(body: &[u8]) -> Sha {
    sha1::hex(body)
}

struct Cached {
    body: Box<[u8]>,
    flags: shebang::ScriptFlags,
    /// Where the interpreter keeps it.
    id: u32,
    /// From SCRIPT LOAD: never forgotten for room.
    kept: bool,
    used: u64,
}

/// Cached scripts and loaded libraries of a shard.
#[derive(Default)]
pub struct Scripts {
    eval: Option<Rc<Vm>>,
    cache: HashMap<Sha, Cached>,
    uses: u64,
    /// Scripts that may be forgotten, with the use after which they came here.
    queue: VecDeque<(Sha, u64)>,
    /// Scripts that were forgotten for room; a counter of INFO.
    pub evicted: u64,
    functions: Option<Rc<Vm>>,
    /// State of `math.random`: it goes on from script to script.
    random: Rc<Cell<Drand>>,
    libraries: Libraries,
    attic: attic::Attic,
}

impl Scripts {
    /// Number of cached scripts.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Number of libraries.
    pub fn libraries(&self) -> usize {
        self.libraries.len()
    }

    /// Number of functions in all libraries.
    pub fn functions(&self) -> usize {
        self.libraries.functions_len()
    }

    /// Bytes the interpreters use: that of scripts, that of functions.
    pub fn vm_bytes(&self) -> (usize, usize) {
        let bytes = |vm: &Option<Rc<Vm>>| vm.as_ref().map_or(0, |vm| vm.mem_bytes());
        (bytes(&self.eval), bytes(&self.functions))
    }

    /// Bytes of the texts of cached scripts and of libraries, and what is kept beside them.
    pub fn text_bytes(&self) -> (usize, usize) {
        let cached = self.cache.values().map(|c| c.body.len() + size_of::<(Sha, Cached)>());
        (cached.sum(), self.libraries.text_bytes())
    }

    /// Whether a script is cached.
    pub(crate) fn knows(&self, sha: &[u8]) -> bool {
        as_sha(sha).is_some_and(|sha| self.cache.contains_key(&sha))
    }

    /// The text of a cached script.
    pub(crate) fn body(&self, sha: &[u8]) -> Option<&[u8]> {
        self.cache.get(&as_sha(sha)?).map(|c| &*c.body)
    }

    /// Whether the text of a script says that it never writes; `None` if it is malformed.
    pub(crate) fn text_never_writes(body: &[u8]) -> Option<bool> {
        shebang::of_script(body).ok().map(|(flags, _)| flags.never_write())
    }

    /// The same of a cached script; `None` if it is not known.
    pub(crate) fn cached_never_writes(&self, sha: &[u8]) -> Option<bool> {
        self.cache.get(&as_sha(sha)?).map(|cached| cached.flags.never_write())
    }

    /// Forgets all cached scripts, and what they left in their interpreter; `later` frees it bit by bit.
    pub(crate) fn flush(&mut self, later: bool) {
        self.attic.put(self.eval.take(), self.cache.len(), later);
        self.cache.clear();
        self.queue.clear();
    }

    /// Whether [`Self::sweep`] has something to do.
    #[inline]
    pub fn has_leftovers(&self) -> bool {
        !self.attic.is_empty()
    }

    /// Frees some of what flushes have left.
    pub fn sweep(&mut self) {
        self.attic.sweep();
    }

    /// Scripts, functions and interpreters that were freed so; and those that will be.
    pub fn freed_later(&self) -> (u64, u64) {
        self.attic.figures()
    }

    /// Counts the former from nothing (CONFIG RESETSTAT).
    pub fn count_freed_anew(&mut self) {
        self.attic.count_anew();
    }

    /// Makes sure that a script is cached; `kept` as SCRIPT LOAD does.
    pub(crate) fn compile(&mut self, body: &[u8], kept: bool) -> crate::error::CmdResult<Sha> {
        let sha = sha1hex(body);
        self.uses += 1;
        if let Some(cached) = self.cache.get_mut(&sha) {
            cached.kept |= kept;
            cached.used = self.uses;
            return Ok(sha);
        }
        let (flags, source) = shebang::of_script(body)?;
        let vm = Vm::get_or_new(&mut self.eval, false, &self.random)?;
        let function = vm.compile(source, "@user_script").map_err(|e| {
            crate::error::CmdError::text(format!("ERR Error compiling script (new function): {e}"))
        })?;
        if !kept {
            self.make_room();
            self.queue.push_back((sha, self.uses));
        }
        let id = vm.keep(&function)?;
        vm.collect(vm::COMPILED);
        let cached = Cached { body: body.into(), flags, id, kept, used: self.uses };
        self.cache.insert(sha, cached);
        Ok(sha)
    }

    fn make_room(&mut self) {
        while self.queue.len() >= EVAL_MAX
            && let Some((sha, used)) = self.queue.pop_front()
        {
            match self.cache.get(&sha) {
                Some(cached) if !cached.kept && cached.used != used => {
                    self.queue.push_back((sha, cached.used));
                }
                Some(cached) if !cached.kept => {
                    self.evicted += 1;
                    if let Some(vm) = &self.eval {
                        vm.forget(cached.id);
                    }
                    self.cache.remove(&sha);
                }
                _ => {}
            }
        }
    }
}

/// A name given by a client; any case.
fn as_sha(text: &[u8]) -> Option<Sha> {
    let mut sha: Sha = text.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}
