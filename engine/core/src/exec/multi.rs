//! MULTI, EXEC and WATCH (redis-surface §8).

use super::run::Host;
use super::session::Session;
use super::shard::Shard;
use crate::acl::Context;
use crate::args::Args;
use crate::command::{Command, CommandSpec, Flags};
use crate::db::{Db, WatchId};
use moon_formats::resp::Reply;
use std::cell::Cell;
use std::rc::Rc;

/// What a request needs of the server to be let in.
#[derive(Clone, Copy)]
pub(super) struct Demands {
    /// Flags that one of its commands has.
    pub(super) any: Flags,
    /// Flags that all of them have.
    pub(super) all: Flags,
    /// It changes keys.
    pub(super) writes: bool,
    /// Every change makes the data set smaller.
    pub(super) shrinks: bool,
}

impl Demands {
    /// Of one command.
    #[inline]
    pub(super) fn of(spec: &CommandSpec) -> Self {
        let writes = spec.is_write();
        Self {
            any: spec.flags,
            all: spec.flags,
            writes,
            shrinks: !writes || spec.flags.has(Flags::SHRINKS),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            any: self.any | other.any,
            all: Flags(self.all.0 & other.all.0),
            writes: self.writes || other.writes,
            shrinks: self.shrinks && other.shrinks,
        }
    }
}

/// Commands waiting for EXEC.
#[derive(Default)]
pub(crate) struct Multi {
    queued: Vec<Queued>,
    /// Of all that is queued.
    demands: Option<Demands>,
    /// A command was refused while queueing.
    aborted: bool,
    bytes: usize,
}

struct Queued {
    command: &'static Command,
    words: Vec<Box<[u8]>>,
}

impl Multi {
    pub(crate) fn len(&self) -> usize {
        self.queued.len()
    }

    /// A queued command.
    pub(super) fn command(&self, at: usize) -> &'static Command {
        self.queued[at].command
    }

    /// Its words.
    pub(super) fn words(&self, at: usize) -> &[Box<[u8]>] {
        &self.queued[at].words
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What EXEC is to do.
pub(crate) enum Exec {
    /// Run these.
    Run(Box<Multi>),
    /// A watched key changed.
    Dirty,
    /// A command was refused while queueing.
    Aborted,
}

impl Session {
    /// Whether the executor queues this row instead of running it.
    #[inline]
    pub(crate) fn queues(&self, command: &Command) -> bool {
        self.multi.is_some() && !command.spec.flags.has(Flags::NOT_QUEUED)
    }

    pub(crate) fn queue(&mut self, command: &'static Command, args: Args<'_>) {
        if let Some(multi) = &mut self.multi {
            let words: Vec<Box<[u8]>> = args.all().iter().map(|a| Box::from(*a)).collect();
            multi.bytes += words.iter().map(|w| w.len() + 16).sum::<usize>();
            let own = Demands::of(command.spec);
            multi.demands = Some(multi.demands.map_or(own, |before| before.and(own)));
            multi.queued.push(Queued { command, words });
        }
    }

    /// What a request of this session demands: EXEC demands what is queued does.
    #[inline]
    pub(super) fn demands(&self, spec: &CommandSpec) -> Demands {
        let own = Demands::of(spec);
        match &self.multi {
            Some(multi) if spec.flags.has(Flags::RUNS_QUEUE) => {
                multi.demands.map_or(own, |queued| queued.and(own))
            }
            _ => own,
        }
    }

    pub(crate) fn abort_multi(&mut self) {
        if let Some(multi) = &mut self.multi {
            multi.aborted = true;
        }
    }

    /// Opens a transaction; false if one is open.
    pub(crate) fn open_multi(&mut self) -> bool {
        if self.multi.is_some() {
            return false;
        }
        self.multi = Some(Box::default());
        true
    }
}

impl Shard {
    /// Whether a request may write or be passed on to replicas: itself, a script that it runs, or what EXEC
    /// has in its queue.
    pub fn may_write(&self, session: &Session, command: &Command, args: Args<'_>) -> bool {
        let one = |command: &Command, args: Args<'_>| {
            command.spec.is_write()
                || command.spec.flags.has(Flags::MAY_REPLICATE)
                || self.runs_writing_script(command, args)
        };
        match &session.multi {
            Some(multi) if command.spec.flags.has(Flags::RUNS_QUEUE) => {
                multi.queued.iter().any(|queued| {
                    let words: Vec<&[u8]> = queued.words.iter().map(|w| &**w).collect();
                    one(queued.command, Args::new(&words))
                })
            }
            _ => one(command, args),
        }
    }

    /// Watches a key for a session.
    pub(crate) fn watch(&mut self, session: &mut Session, key: &[u8]) {
        let db = session.db;
        if session.watched.iter().any(|w| w.db == db && *w.key == *key) {
            return;
        }
        let now_ms = self.now.unix_ms;
        let d = &mut self.dbs[usize::from(db)];
        let expired = has_expired(d, key, now_ms);
        d.watch(key, &session.watch_flag, expired);
        self.watches += 1;
        session.watched.push(WatchId { db, key: key.into(), expired });
    }

    /// Keys that somebody watches.
    pub fn watched_keys(&self) -> usize {
        self.dbs.iter().map(|db| db.watchers.len()).sum()
    }

    /// Forgets all keys a session watches (EXEC, DISCARD, UNWATCH, RESET, disconnect).
    pub fn unwatch(&mut self, session: &mut Session) {
        for w in session.watched.drain(..) {
            self.watches -= 1;
            self.dbs[usize::from(w.db)].unwatch(&w.key, &session.watch_flag);
        }
        if session.watch_flag.get() {
            session.watch_flag = Rc::new(Cell::new(false));
        }
    }

    /// Ends an open transaction without running it.
    pub fn discard(&mut self, session: &mut Session) -> bool {
        let open = session.multi.take().is_some();
        self.unwatch(session);
        open
    }

    /// Takes the open transaction out of a session; `None` without MULTI.
    pub(crate) fn take_exec(&mut self, session: &mut Session) -> Option<Exec> {
        let multi = session.multi.take()?;
        let now_ms = self.now.unix_ms;
        let dirty = session.watch_flag.get()
            || session
                .watched
                .iter()
                .any(|w| !w.expired && has_expired(&self.dbs[usize::from(w.db)], &w.key, now_ms));
        self.unwatch(session);
        Some(if multi.aborted {
            Exec::Aborted
        } else if dirty {
            Exec::Dirty
        } else {
            Exec::Run(multi)
        })
    }

    /// Runs a queue inside the open unit from one of its commands on, replies as one array. It leaves off
    /// where a script is paused.
    pub(crate) fn run_queue(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        multi: Box<Multi>,
        from: usize,
        out: &mut Vec<u8>,
    ) {
        if from == 0 {
            Reply::new(out, session.proto).array(multi.queued.len());
        }
        session.in_exec = true;
        let denied = std::mem::replace(&mut self.deny_waits, true);
        for (at, q) in multi.queued.iter().enumerate().skip(from) {
            let words: Vec<&[u8]> = q.words.iter().map(|w| &**w).collect();
            let args = Args::new(&words);
            match self.admit_command(host, session, q.command, args, Context::Multi) {
                Ok(()) => self.execute(host, session, q.command, args, out),
                Err(e) => {
                    self.stats.count_error(e.code());
                    Reply::new(out, session.proto).error(e.as_str());
                }
            }
            if let Some(pausing) = &mut self.pausing {
                pausing.in_queue(multi, at);
                break;
            }
        }
        session.in_exec = false;
        self.deny_waits = denied;
    }
}

fn has_expired(db: &Db, key: &[u8], now_ms: u64) -> bool {
    db.table.get(key).is_some_and(|e| !db.is_live(e, now_ms))
}
