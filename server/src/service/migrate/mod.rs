//! Keys on their way to other servers (MIGRATE, redis-surface §24).
//!
//! A key is packed when its command runs, carried by a thread, and removed here when the other server has
//! confirmed it; the client waits, nobody else does. Inside EXEC and scripts, where nobody may wait, the
//! shard carries it itself and stands still meanwhile, as Redis always does.
//!
//! Invariant: between packing and removal nothing writes a key that is on its way. Whoever would is held
//! back ([`Migrations::holds`]); a move of a key that somebody might write without asking, because a command
//! that waits names it, does not leave the shard's thread.

mod wire;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use moon_engine::args::Args;
use moon_engine::command::keys::for_each_key;
use moon_engine::command::{Flags, Group};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{ClientReply, Packed, Session, SessionCx, Shard};
use moon_formats::resp::{Proto, Reply};

use super::ShardService;
use super::host::ServerHost;
use super::shared::Shared;
use crate::config::OptionId;
use crate::net::conn::Next;
use crate::net::hub::Order;
use crate::net::{Slot, sys};
use wire::{Arrived, Failure, Kept, Load};

/// Loads carried at a time; more of them wait.
const THREADS_MAX: usize = 16;

const ROLE_CHANGED: &str =
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/// What MIGRATE asks for.
pub(crate) struct Wish<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) port: &'a [u8],
    /// Number of the database there.
    pub(crate) db: i64,
    pub(crate) timeout: Duration,
    pub(crate) login: &'a [&'a [u8]],
    /// The keys stay here as well.
    pub(crate) copy: bool,
    /// What is there under their names goes.
    pub(crate) replace: bool,
    pub(crate) keys: Vec<Packed>,
}

impl Wish<'_> {
    fn load(&mut self, shared: &Shared) -> Load {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Load {
            host: text(self.host),
            port: text(self.port),
            db: self.db,
            timeout: self.timeout,
            tls: shared.tls_client(OptionId::TlsCluster),
            login: self.login.iter().map(|w| w.to_vec()).collect(),
            replace: self.replace,
            keys: std::mem::take(&mut self.keys),
        }
    }
}

/// A load that a thread carries, or will.
struct Moving {
    number: u64,
    /// Who waits for it, if it is still there.
    client: Option<Waiter>,
    db: u16,
    /// Names of its keys; empty if they stay here as well.
    keys: Vec<Box<[u8]>>,
}

struct Waiter {
    slot: Slot,
    proto: Proto,
    /// CLIENT REPLY is off.
    silent: bool,
}

/// How threads tell what came of their loads, by number.
type Channel = (Sender<(u64, Arrived)>, Receiver<(u64, Arrived)>);

/// All keys on their way.
#[derive(Default)]
pub(crate) struct Migrations {
    kept: Arc<Kept>,
    under_way: Vec<Moving>,
    /// Loads that no thread carries yet.
    waiting: VecDeque<(u64, Load)>,
    threads: usize,
    done: Option<Channel>,
    /// How often each key is on its way, whatever its database.
    names: HashMap<Box<[u8]>, usize>,
    next: u64,
    /// The running request asks to wait.
    asked: bool,
}

impl Migrations {
    /// Whether the request that has run asked to wait.
    #[inline]
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Whether anything is under way.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Clients that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.under_way.iter().filter(|m| m.client.is_some()).count()
    }

    /// Connections that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Closes connections that nobody has used for long.
    pub(super) fn tend(&self) {
        self.kept.tend();
    }

    /// Forgets a client that is gone; its keys go on.
    pub(super) fn forget(&mut self, slot: Slot) {
        for moving in &mut self.under_way {
            if moving.client.as_ref().is_some_and(|c| c.slot == slot) {
                moving.client = None;
            }
        }
    }

    /// Whether a request could write a key that is on its way: it names one, or may write and does not say
    /// what. Databases are not told apart, for some commands name two.
    pub(super) fn holds(&self, shard: &Shard, session: &Session, args: &[&[u8]]) -> bool {
        if self.names.is_empty() {
            return false;
        }
        let args = Args::new(args);
        let Ok(command) = shard.table().resolve(args) else { return false };
        let spec = command.spec;
        let queued = session.multi_len().is_some() && !spec.flags.has(Flags::NOT_QUEUED);
        if queued || !shard.may_write(session, command, args) {
            return false;
        }
        if spec.flags.has(Flags::RUNS_QUEUE) || spec.group == Group::Scripting {
            return true;
        }
        let (mut names_any, mut met) = (false, false);
        let found = for_each_key(spec, args, |i, _| {
            names_any = true;
            met |= self.names.contains_key(args.get(i));
        });
        met || (found.is_ok() && !names_any && spec.is_write())
    }

    fn add(&mut self, moving: Moving, load: Load, shared: &Arc<Shared>) {
        for key in &moving.keys {
            *self.names.entry(key.clone()).or_default() += 1;
        }
        self.waiting.push_back((moving.number, load));
        self.under_way.push(moving);
        self.start(shared);
    }

    /// Starts threads for what waits.
    fn start(&mut self, shared: &Arc<Shared>) {
        while self.threads < THREADS_MAX
            && let Some((number, load)) = self.waiting.pop_front()
        {
            let (sender, _) = self.done.get_or_insert_with(channel);
            let (sender, kept, shared) = (sender.clone(), self.kept.clone(), shared.clone());
            let thread = thread::Builder::new().name("migrate".into()).spawn(move || {
                let arrived = wire::carry(&load, &kept);
                // The shard may have ended.
                let _ = sender.send((number, arrived));
                sys::eventfd_wake(&shared.wake);
            });
            self.threads += 1;
            if let Err(error) = thread {
                tracing::warn!(%error, "no thread to move keys to another server");
                let failed = Arrived { failure: Some(Failure::Connect), ..Arrived::default() };
                if let Some((sender, _)) = &self.done {
                    let _ = sender.send((number, failed));
                }
            }
        }
    }

    /// The next load that has come to its end, and what has become of it.
    fn next_done(&mut self, shared: &Arc<Shared>) -> Option<(Moving, Arrived)> {
        let (_, receiver) = self.done.as_ref()?;
        let (number, arrived) = receiver.try_recv().ok()?;
        self.threads -= 1;
        self.start(shared);
        let at = self.under_way.iter().position(|m| m.number == number)?;
        let moving = self.under_way.remove(at);
        for key in &moving.keys {
            if let Some(n) = self.names.get_mut(key) {
                *n -= 1;
                if *n == 0 {
                    self.names.remove(key);
                }
            }
        }
        Some((moving, arrived))
    }
}

/// Sends keys to another server, and removes them here when they have arrived there.
pub(crate) fn migrate(cx: &mut SessionCx<'_>, mut wish: Wish<'_>) -> CmdResult {
    let names: Vec<Box<[u8]>> = wish.keys.iter().map(|k| k.key.clone()).collect();
    let load = wish.load(&cx.host::<ServerHost>()?.shared);
    let inside = cx.session.in_exec() || cx.session.in_script();
    let by_itself = cx.shard.role().is_replica()
        || cx.shard.is_named_by_waiter(|key| names.iter().any(|name| **name == *key));
    if inside || (by_itself && !wish.copy) {
        let arrived = wire::carry(&load, &cx.host::<ServerHost>()?.migrations.kept);
        if !wish.copy {
            cx.remove_moved(arrived.keys.iter().map(|key| &**key));
        }
        return match arrived.failure {
            None => {
                cx.out.ok();
                Ok(())
            }
            Some(failure) => Err(CmdError::text(failure.text())),
        };
    }
    let db = cx.session.db;
    let proto = cx.session.proto;
    let silent = matches!(cx.session.reply, ClientReply::Off | ClientReply::SkipThis);
    let host = cx.host::<ServerHost>()?;
    let shared = host.shared.clone();
    let slot = host.current;
    let migrations = &mut host.migrations;
    migrations.next += 1;
    migrations.asked = true;
    let moving = Moving {
        number: migrations.next,
        client: Some(Waiter { slot, proto, silent }),
        db,
        keys: if wish.copy { Vec::new() } else { names },
    };
    migrations.add(moving, load, &shared);
    Ok(())
}

impl ShardService {
    /// Removes what has arrived, answers who waited for it.
    #[cold]
    pub(super) fn settle_migrations(&mut self) {
        let shared = self.host.shared.clone();
        let mut ended = false;
        while let Some((moving, arrived)) = self.host.migrations.next_done(&shared) {
            ended = true;
            let error = self.finish_migration(&moving, &arrived);
            let Some(Waiter { slot, proto, silent }) = moving.client else { continue };
            if !arrived.keys.is_empty() {
                self.host.note_write(slot);
            }
            let mut reply = Vec::new();
            let mut out = Reply::new(&mut reply, proto);
            match error {
                None => out.ok(),
                Some(error) => {
                    self.shard.stats.count_error(error.code());
                    out.error(error.as_str());
                }
            }
            if silent {
                reply.clear();
            }
            self.host.deliver(slot, &reply);
            self.host.orders.push(Order::Answered(slot, Next::Continue));
        }
        if ended {
            self.host.resume_held();
        }
    }

    fn finish_migration(&mut self, moving: &Moving, arrived: &Arrived) -> Option<CmdError> {
        if !moving.keys.is_empty() && !arrived.keys.is_empty() {
            if self.shard.role().is_replica() {
                // What is here is another server's now.
                return Some(CmdError::fixed(ROLE_CHANGED));
            }
            let keys = arrived.keys.iter().map(|key| &**key);
            if let Err(error) = self.shard.remove_moved(&mut self.host, moving.db, keys) {
                return Some(error);
            }
        }
        arrived.failure.as_ref().map(|failure| CmdError::text(failure.text()))
    }
}
