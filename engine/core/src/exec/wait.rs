//! Clients that wait for a key: who waits for what, in which order they are served.
//!
//! A command that finds nothing asks to wait ([`Waiting::ask`]); the executor keeps its words
//! here and answers [`super::Outcome::Blocked`]. When a committed unit has changed a key that
//! is waited for, the key is *ready*, and the driver runs the commands again, one after the
//! other ([`Shard::next_woken`], [`Shard::resume`]), before any other client's next command.
//! Running the same row again is all there is to serving: effects, events and errors come from
//! the one path.
//!
//! Invariants:
//! * Per key, clients are served in the order in which they began to wait; one that must go on
//!   waiting keeps its place.
//! * A client is in the queue of each of its keys, or in none. It leaves them all at once.
//! * Order never depends on the iteration order of a hash table.

use super::run::{Host, Outcome};
use super::session::Session;
use super::shard::Shard;
use crate::acl::Context;
use crate::args::Args;
use crate::clock::Now;
use crate::command::Command;
use crate::db::Db;
use crate::error::{CmdError, CmdResult};
use crate::event::Class;
use crate::journal::Unit;
use crate::longdouble::LongDouble;
use crate::types::Object;
use moon_ds::ValueRef;
use moon_formats::number::parse_i64;
use moon_formats::resp::Reply;
use moon_formats::value::ValueType;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

const OUT_OF_RANGE: CmdError = CmdError::fixed("ERR timeout is out of range");
const NEGATIVE: CmdError = CmdError::fixed("ERR timeout is negative");
const ROLE_CHANGED: CmdError = CmdError::fixed(
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
);
const UNBLOCKED: CmdError = CmdError::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// When a wait ends: microseconds of the monotonic clock; `None` never.
pub type Deadline = Option<u64>;

/// A timeout in seconds, as the list and sorted set commands take it; 0 is for ever.
pub fn timeout_secs(now: Now, text: &[u8]) -> CmdResult<Deadline> {
    let secs = LongDouble::parse(text)
        .ok_or(CmdError::fixed("ERR timeout is not a float or out of range"))?
        .to_f64();
    let ms = secs * 1000.0;
    if ms >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    deadline(now, ms.ceil() as i64)
}

/// A timeout in milliseconds, as the stream commands take it; 0 is for ever.
pub fn timeout_ms(now: Now, text: &[u8]) -> CmdResult<Deadline> {
    let ms =
        parse_i64(text).ok_or(CmdError::fixed("ERR timeout is not an integer or out of range"))?;
    deadline(now, ms)
}

fn deadline(now: Now, ms: i64) -> CmdResult<Deadline> {
    match u64::try_from(ms) {
        Err(_) => Err(NEGATIVE),
        Ok(0) => Ok(None),
        Ok(ms) if ms > (i64::MAX as u64).saturating_sub(now.unix_ms) => Err(OUT_OF_RANGE),
        Ok(ms) => Ok(Some(now.mono_us.saturating_add(ms.saturating_mul(1000)))),
    }
}

/// What a command that cannot be served waits for.
pub struct Wait {
    /// Any of these keys.
    pub keys: Vec<Box<[u8]>>,
    /// A value of another type does not wake.
    pub holding: ValueType,
    /// End of the wait; its reply is then the null array.
    pub until: Deadline,
    /// Run again too when a key is gone or holds another type (XREADGROUP).
    pub without_key: bool,
    /// The words to run again, if not those of the request (an XREAD `$` made exact).
    pub words: Option<Vec<Box<[u8]>>>,
}

impl Wait {
    /// A wait for a value of a type under any of some keys.
    pub fn new(keys: &[&[u8]], holding: ValueType, until: Deadline) -> Box<Wait> {
        let keys = keys.iter().map(|k| Box::from(*k)).collect();
        Box::new(Wait { keys, holding, until, without_key: false, words: None })
    }
}

/// The running command's way to ask for a wait.
pub struct Waiting<'a>(pub(super) Option<&'a mut Option<Box<Wait>>>);

impl Waiting<'_> {
    /// Whether the client may wait at all.
    pub fn is_allowed(&self) -> bool {
        self.0.is_some()
    }

    /// Asks to wait. False inside EXEC, scripts and replay, where nobody waits: the command
    /// then answers as if its time were over.
    #[must_use]
    pub fn ask(&mut self, wait: impl FnOnce() -> Box<Wait>) -> bool {
        match &mut self.0 {
            Some(slot) => {
                **slot = Some(wait());
                true
            }
            None => false,
        }
    }
}

/// A client whose wait may be over, for [`Shard::resume`].
pub struct Woken {
    /// [`Session::id`].
    pub client: u64,
    cause: Cause,
    command: &'static Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Ready,
    TimedOut,
    Unblocked,
    RoleChanged,
}

/// Figures of INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitFigures {
    /// Clients that wait.
    pub clients: usize,
    /// Those of them whose wait has an end.
    pub timed: usize,
    /// Keys that are waited for.
    pub keys: usize,
    /// Those of them whose removal wakes too.
    pub without_key: usize,
}

struct Waiter {
    turn: u64,
    db: u16,
    command: &'static Command,
    words: Vec<Box<[u8]>>,
    keys: Vec<Box<[u8]>>,
    holding: ValueType,
    without_key: bool,
    until: Deadline,
}

#[derive(Default)]
struct Queue {
    /// Clients by the turn at which they began to wait.
    turns: BTreeMap<u64, u64>,
    /// Those of them that a missing key wakes.
    without_key: usize,
    /// In `Waiters::ready` already.
    ready: bool,
}

/// A ready key whose clients are being served.
struct Serving {
    db: u16,
    key: Box<[u8]>,
    /// Turns below have had their chance.
    from: u64,
}

/// All clients of a shard that wait.
#[derive(Default)]
pub(crate) struct Waiters {
    clients: HashMap<u64, Waiter>,
    queues: HashMap<u16, HashMap<Box<[u8]>, Queue>>,
    deadlines: BTreeSet<(u64, u64)>,
    ready: VecDeque<(u16, Box<[u8]>)>,
    serving: Option<Serving>,
    /// Clients that are to be answered without running their command again.
    ended: VecDeque<Woken>,
    next_turn: u64,
}

impl Waiters {
    /// Whether nobody waits, and nobody is to be answered.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// What runs again when its turn has come.
    pub(super) fn commands(&self) -> impl Iterator<Item = (&'static Command, &[Box<[u8]>])> {
        self.clients.values().map(|waiter| (waiter.command, &*waiter.words))
    }

    fn add(&mut self, client: u64, db: u16, command: &'static Command, wait: Wait, args: Args<'_>) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let queues = self.queues.entry(db).or_default();
        let mut keys = wait.keys;
        keys.retain(|key| {
            let queue = match queues.get_mut(key) {
                Some(queue) => queue,
                None => queues.entry(key.clone()).or_default(),
            };
            let first = queue.turns.insert(turn, client).is_none();
            queue.without_key += usize::from(first && wait.without_key);
            first
        });
        if let Some(at) = wait.until {
            self.deadlines.insert((at, client));
        }
        let words =
            wait.words.unwrap_or_else(|| args.all().iter().map(|a| Box::from(*a)).collect());
        self.clients.insert(
            client,
            Waiter {
                turn,
                db,
                command,
                words,
                keys,
                holding: wait.holding,
                without_key: wait.without_key,
                until: wait.until,
            },
        );
    }

    /// Takes a client out of all its queues.
    fn leave(&mut self, client: u64) -> Option<Waiter> {
        let waiter = self.clients.remove(&client)?;
        if let Some(at) = waiter.until {
            self.deadlines.remove(&(at, client));
        }
        if let Some(queues) = self.queues.get_mut(&waiter.db) {
            for key in &waiter.keys {
                let Some(queue) = queues.get_mut(key) else { continue };
                queue.turns.remove(&waiter.turn);
                queue.without_key -= usize::from(waiter.without_key);
                if queue.turns.is_empty() {
                    queues.remove(key);
                }
            }
        }
        Some(waiter)
    }

    /// Ends a wait without running the command again.
    fn end(&mut self, client: u64, cause: Cause) -> bool {
        let Some(waiter) = self.leave(client) else { return false };
        self.ended.push_back(Woken { client, cause, command: waiter.command });
        true
    }

    /// Ends all waits: what is waited for will not be written here any more.
    pub(super) fn force_out(&mut self) {
        let mut clients: Vec<(u64, u64)> = self.clients.iter().map(|(c, w)| (w.turn, *c)).collect();
        clients.sort_unstable();
        for (_, client) in clients {
            self.end(client, Cause::RoleChanged);
        }
    }

    fn make_ready(&mut self, db: u16, key: &[u8]) {
        if let Some(queue) = self.queues.get_mut(&db).and_then(|q| q.get_mut(key))
            && !queue.ready
        {
            queue.ready = true;
            self.ready.push_back((db, key.into()));
        }
    }

    /// All keys of a database, in the order in which they were first waited for.
    fn make_database_ready(&mut self, db: u16) {
        let Some(queues) = self.queues.get(&db) else { return };
        let first = |queue: &Queue| queue.turns.keys().next().copied();
        let mut keys: Vec<(Option<u64>, Box<[u8]>)> =
            queues.iter().map(|(key, queue)| (first(queue), key.clone())).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            self.make_ready(db, &key);
        }
    }

    /// Takes note of the keys that a unit has changed.
    #[cold]
    pub(super) fn follow(&mut self, unit: &Unit) {
        for (db, key, event) in unit.touched() {
            match event.class {
                Class::MISS => {}
                Class::NONE => self.make_database_ready(db),
                _ => self.make_ready(db, key),
            }
        }
    }

    /// The next client in the queue of the key being served that what is there now may wake.
    fn next_of(&self, serving: &Serving, there: Option<ValueType>) -> Option<(u64, Woken)> {
        let queue = self.queues.get(&serving.db)?.get(&serving.key)?;
        if there.is_none() && queue.without_key == 0 {
            return None;
        }
        queue.turns.range(serving.from..).find_map(|(&turn, &client)| {
            let waiter = self.clients.get(&client)?;
            let wakes = waiter.without_key || there == Some(waiter.holding);
            let command = waiter.command;
            wakes.then_some((turn, Woken { client, cause: Cause::Ready, command }))
        })
    }

    fn next_woken(&mut self, dbs: &[Db], now_ms: u64) -> Option<Woken> {
        if let Some(woken) = self.ended.pop_front() {
            return Some(woken);
        }
        loop {
            let mut serving = match self.serving.take() {
                Some(serving) => serving,
                None => {
                    let (db, key) = self.ready.pop_front()?;
                    if let Some(queue) = self.queues.get_mut(&db).and_then(|q| q.get_mut(&key)) {
                        queue.ready = false;
                    }
                    Serving { db, key, from: 0 }
                }
            };
            let there = type_of(dbs, serving.db, &serving.key, now_ms);
            if let Some((turn, woken)) = self.next_of(&serving, there) {
                serving.from = turn + 1;
                self.serving = Some(serving);
                return Some(woken);
            }
        }
    }

    fn time_out(&mut self, mono_us: u64) {
        while let Some(&(at, client)) = self.deadlines.first().filter(|(at, _)| *at <= mono_us) {
            if !self.end(client, Cause::TimedOut) {
                self.deadlines.remove(&(at, client));
            }
        }
    }
}

/// Type of the live value under a key.
fn type_of(dbs: &[Db], db: u16, key: &[u8], now_ms: u64) -> Option<ValueType> {
    let entry = dbs.get(usize::from(db))?.table.get(key)?;
    if entry.expire_ms().is_some_and(|t| t <= now_ms) {
        return None;
    }
    Some(match entry.value() {
        ValueRef::Int(_) | ValueRef::Bytes(_) => ValueType::String,
        // However its body is written.
        ValueRef::Object(Object::Stream(_)) => ValueType::Stream2,
        ValueRef::Object(o) => o.body_type(),
    })
}

impl Shard {
    /// Lets a session wait for what its command asked for.
    #[cold]
    pub(super) fn begin_wait(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
    ) -> Outcome {
        if let Some(wait) = self.asked.take() {
            self.waiters.add(session.id, session.db, command, *wait, args);
            session.waiting = true;
        }
        Outcome::Blocked
    }

    /// Whether [`Self::next_woken`] may have somebody.
    #[inline]
    pub fn has_woken(&self) -> bool {
        !self.waiters.ready.is_empty()
            || self.waiters.serving.is_some()
            || !self.waiters.ended.is_empty()
    }

    /// The next client that may be served, to be given to [`Self::resume`] with its session,
    /// or to [`Self::stop_waiting`] if it is gone. Call it until there is none, before another
    /// client's command runs.
    pub fn next_woken(&mut self) -> Option<Woken> {
        self.waiters.next_woken(&self.dbs, self.now.unix_ms)
    }

    /// Answers a client that waited, or finds that it must go on waiting
    /// ([`Outcome::Blocked`], nothing written).
    pub fn resume(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        woken: Woken,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let start = out.len();
        let command = woken.command;
        match woken.cause {
            Cause::TimedOut => {
                self.stats.count_call(command.id, false);
                Reply::new(out, session.proto).null_array();
            }
            Cause::Unblocked | Cause::RoleChanged => {
                self.stats.count_call(command.id, true);
                let error = match woken.cause {
                    Cause::RoleChanged => ROLE_CHANGED,
                    _ => UNBLOCKED,
                };
                self.refuse(&error, session, out);
            }
            Cause::Ready => {
                let Some(waiter) = self.waiters.clients.get_mut(&session.id) else {
                    return Outcome::Blocked;
                };
                let kept = std::mem::take(&mut waiter.words);
                let words: Vec<&[u8]> = kept.iter().map(|w| &**w).collect();
                let args = Args::new(&words);
                match self.admit_command(host, session, command, args, Context::Toplevel) {
                    Ok(()) => self.run_unit(host, session, command, args, out),
                    Err(e) => {
                        self.stats.by_command[usize::from(command.id)].rejected += 1;
                        self.refuse(&e, session, out);
                    }
                }
                if self.asked.take().is_some() {
                    if let Some(waiter) = self.waiters.clients.get_mut(&session.id) {
                        waiter.words = kept;
                    }
                    return Outcome::Blocked;
                }
                self.waiters.leave(session.id);
            }
        }
        session.waiting = false;
        session.settle_reply(out, start);
        if session.close { Outcome::Close } else { Outcome::Done }
    }

    /// Ends the wait of a client (CLIENT UNBLOCK): with an error, or as if its time were over.
    /// False if it does not wait.
    pub fn unblock(&mut self, client: u64, error: bool) -> bool {
        self.waiters.end(client, if error { Cause::Unblocked } else { Cause::TimedOut })
    }

    /// Forgets that a client waits: it is gone and must not be served.
    pub fn stop_waiting(&mut self, client: u64) {
        if self.waiters.leave(client).is_none() {
            self.waiters.ended.retain(|w| w.client != client);
        }
    }

    /// Ends the waits whose time is over.
    #[inline]
    pub fn time_out_waits(&mut self) {
        if !self.waiters.deadlines.is_empty() {
            self.waiters.time_out(self.now.mono_us);
        }
    }

    /// When the first wait ends, in microseconds of the monotonic clock.
    #[inline]
    pub fn next_deadline(&self) -> Deadline {
        self.waiters.deadlines.first().map(|(at, _)| *at)
    }

    /// Figures of the clients that wait.
    pub fn wait_figures(&self) -> WaitFigures {
        let mut figures = WaitFigures {
            clients: self.waiters.clients.len(),
            timed: self.waiters.deadlines.len(),
            ..WaitFigures::default()
        };
        for queues in self.waiters.queues.values() {
            figures.keys += queues.len();
            figures.without_key += queues.values().filter(|q| q.without_key > 0).count();
        }
        figures
    }
}
