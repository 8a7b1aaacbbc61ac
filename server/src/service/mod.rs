//! The engine behind the connections: one shard, its sessions, and what the server knows
//! about its clients.
//!
//! Invariants:
//! * A session belongs to one slot from [`hub::Service::open`] to [`hub::Service::closed`].
//! * The shard is changed by the executor and by nothing else here.

pub(crate) mod acks;
pub(crate) mod acl;
pub(crate) mod backup;
mod calls;
pub(crate) mod cdc;
pub(crate) mod client;
mod clients;
mod connections;
mod degraded;
pub(crate) mod figures;
pub(crate) mod host;
pub(crate) mod hotkeys;
pub(crate) mod latency;
pub(crate) mod lazyfree;
pub(crate) mod logins;
pub(crate) mod migrate;
mod notify;
pub(crate) mod pubsub;
pub(crate) mod pulse;
pub(crate) mod replication;
pub(crate) mod saver;
pub(crate) mod scrub;
mod secured;
pub(crate) mod shared;
pub(crate) mod slowlog;
pub(crate) mod stats;
mod stopping;
pub(crate) mod switch;
pub(crate) mod tracking;
mod waits;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use moon_engine::args::Args;
use moon_engine::clock::Now;
use moon_engine::command::{Command, Flags};
use moon_engine::exec::{Outcome, Session, Shard};
use moon_formats::resp::{Limits, Reply};
use moon_storage::log::Log;

use crate::config::OptionId;
use crate::net::Slot;
use crate::net::conn::{AHEAD, Executor, Next};
use crate::net::hub::{HubLimits, Order};
use degraded::Suspects;
use host::{Pause, ServerHost};
use replication::Following;
use shared::Shared;

/// Keys expired at most in one turn; the rest waits for the next.
const EXPIRE_BUDGET: usize = 256;

/// One shard and its clients.
pub(crate) struct ShardService {
    pub(crate) shard: Shard,
    pub(crate) host: ServerHost,
    log: Option<Log>,
    /// A log that is not written to any more, and whose end is waited for.
    ending: Option<Log>,
    sessions: Vec<Option<Session>>,
    /// Connections that wait for a reply, by number of the client.
    waiting: HashMap<u64, Slot>,
    limits: HubLimits,
    max_bulk: u64,
    generation: u64,
    /// When expiry runs next, in milliseconds of the monotonic clock.
    expire_at_ms: u64,
    /// The last turn did its housekeeping.
    pub(crate) cron_ran: bool,
    /// Writes are held back until the log has caught up with its policy's bound.
    stalled: bool,
    /// Keys whose last writes are held back, while the log is degraded.
    suspects: Option<Suspects>,
}

impl ShardService {
    pub(crate) fn new(shard: Shard, shared: Arc<Shared>) -> Self {
        let host = ServerHost::new(shared);
        let limits = host::hub_limits(&host);
        let mut this = Self {
            shard,
            host,
            log: None,
            ending: None,
            sessions: Vec::new(),
            waiting: HashMap::new(),
            limits,
            max_bulk: 0,
            generation: u64::MAX,
            expire_at_ms: 0,
            cron_ran: false,
            stalled: false,
            suspects: None,
        };
        this.refresh();
        this
    }

    /// Sets the instant of the turn; takes over options that have changed.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Now) {
        let facts = &self.host.shared.facts;
        self.shard.set_now(facts.point.as_ref().map_or(now, |point| point.instant(now)));
        let ticks = host::ticks();
        self.host.turns.begin(ticks, self.shard.stats.commands);
        self.shard.start_batch(ticks);
        if self.host.shared.generation() != self.generation {
            self.refresh();
        }
    }

    /// The shard's own work of a turn: expiry, then the start of the log's write.
    #[inline]
    pub(crate) fn end_turn(&mut self) {
        self.cron_ran = false;
        if let Some(codes) = self.shard.stats.take_errors_full() {
            self.host.say_errors_full(&codes);
        }
        if self.shard.busy_client().is_some() {
            self.go_on();
        }
        let now_ms = self.shard.now().mono_us / 1000;
        if self.host.pause.is_some_and(|pause| now_ms >= pause.until_ms) {
            self.host.unpause();
            self.shard.expiry_paused = self.host.is_paused();
        }
        if now_ms >= self.expire_at_ms && (self.host.cron_paused || self.is_busy()) {
            self.expire_at_ms = now_ms + self.host.period_ms();
        }
        if now_ms >= self.expire_at_ms && !self.log_is_behind() {
            // A full budget means that more is due: go on next turn, between requests.
            let start = host::ticks();
            let reaped = self.shard.expire_cycle(&mut self.host, EXPIRE_BUDGET);
            let micros = self.host.ticks_to_us(host::ticks().wrapping_sub(start));
            self.host.latency.add("expire-cycle", self.shard.now().unix_ms / 1000, micros);
            if reaped < EXPIRE_BUDGET {
                self.expire_at_ms = now_ms + self.host.period_ms();
            }
            self.cron_ran = true;
            self.look_for_saves();
            self.tend_scrub();
            self.retain_changes();
            self.tend_backups();
            self.host.migrations.tend();
            let allocated = self.host.sample(&self.shard);
            let (_, garbage) = self.host.freer.pending(&self.shard.trash);
            let counted = self.shard.mem_bytes() + garbage as usize;
            self.shard.outside_bytes = allocated.saturating_sub(counted);
            // Eviction would change keys, as expiry would.
            let idle = !self.is_busy() && !self.host.is_paused();
            if idle && self.shard.make_room_idle(&mut self.host) {
                self.expire_at_ms = now_ms;
            }
            self.shard.slow_ticks = self.host.slow_ticks();
            self.host.turns.cron += host::ticks().wrapping_sub(start);
        }
        if !self.is_busy() {
            self.shard.time_out_waits();
            if self.shard.has_woken() {
                self.serve_waiting();
            }
        }
        if self.shard.scripts.has_leftovers() {
            self.shard.scripts.sweep();
        }
        if !self.shard.trash.is_empty() {
            self.host.freer.take_out(&mut self.shard.trash, &self.host.shared);
        }
        while let Some((slot, reply)) = self.host.freer.next_reply() {
            self.host.deliver(slot, &reply);
            self.host.orders.push(Order::Answered(slot, Next::Continue));
        }
        self.host.broadcast();
        if self.host.has_large_clients() {
            for client in self.host.evict_clients() {
                self.shard.stop_waiting(client);
            }
        }
        if self.host.following.is_some() {
            self.tend_link();
        }
        if self.host.replicas.is_active() {
            self.feed_replicas();
        }
        if self.host.switch.is_unsettled() {
            self.tend_switch();
        }
        if self.shard.slots.generation() != self.host.cdc.slots_seen() {
            self.retain_changes();
        }
        self.host.saver.wake(now_ms);
        if self.host.saver.wants_turn() {
            self.save_on();
        }
        if let Some(log) = &self.log {
            if log.watermark() < log.last_lsn() {
                let start = host::ticks();
                log.flush();
                self.host.turns.flush += host::ticks().wrapping_sub(start);
            } else {
                log.flush();
            }
        }
        if self.host.migrations.is_active() {
            self.settle_migrations();
        }
        if self.host.acks.len() > 0 {
            self.settle_acks();
        }
        if self.host.cdc.is_active() {
            self.settle_changes();
        }
        if self.host.backups.is_active() {
            self.settle_backups();
        }
        if self.host.logins.due_ms().is_some_and(|at| at <= now_ms) {
            let due = self.host.logins.take_due(now_ms);
            self.host.orders.extend(due.into_iter().map(Order::Resume));
        }
        let behind = self.log_is_behind() && !self.is_degraded();
        if self.stalled && !behind && !self.host.saver.holds_writes(&self.shard) {
            self.stalled = false;
            self.host.resume_held();
        }
        if self.suspects.is_some() && !self.is_degraded() {
            self.suspects = None;
        }
    }

    /// Whether a script is paused, and everybody else is told so.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.shard.busy_client().is_some()
    }

    /// Whether so much is not durable, or for so long, that the policy's bound on what a power
    /// loss can take (durability §3) holds only if no more is written.
    #[inline]
    fn log_is_behind(&self) -> bool {
        self.log.as_ref().is_some_and(Log::should_pause_intake)
    }

    /// Whether replies are held back by a failed write or sync (durability §4.2).
    #[inline]
    fn is_degraded(&self) -> bool {
        self.log.as_ref().is_some_and(Log::is_degraded)
    }

    /// Refuses a read that would show what is not acknowledged.
    #[cold]
    fn refuse_suspect(&mut self, slot: Slot, args: &[&[u8]], out: &mut Vec<u8>) -> bool {
        let Some(log) = &self.log else { return false };
        let suspects = self.suspects.get_or_insert_with(|| Suspects::of(log, self.shard.table()));
        let Some(Some(session)) = self.sessions.get(slot as usize) else { return false };
        let concerned = suspects.concern(self.shard.table(), session, args);
        if let (true, Err(refusal)) = (concerned, log.admit()) {
            Reply::new(out, session.proto).error(&refusal.to_string());
            return true;
        }
        false
    }

    /// Detaches the log, to be shut down: no write is logged any more.
    pub(crate) fn take_log(&mut self) -> Option<Log> {
        self.shard.journal.detach();
        self.host.log = None;
        self.log.take()
    }

    /// Puts a recovered shard in place of the one that told clients to wait.
    pub(crate) fn install(&mut self, shard: Shard, log: Option<Log>) {
        for session in self.sessions.iter_mut().flatten() {
            self.shard.discard(session);
        }
        self.shard = shard;
        self.shard.trash.collect();
        if let Some(log) = &log {
            self.shard.journal.attach(Rc::new(log.clone()));
        }
        self.host.log = log.clone();
        self.log = log;
        let master = self.host.shared.with_config(|c| match c.words(OptionId::ReplicaOf) {
            [host, port] => port.parse().ok().map(|port| (host.clone(), port)),
            _ => None,
        });
        if master.is_some() {
            self.host.set_master(&mut self.shard, master);
        }
        self.refresh();
    }

    /// When the shard wants its next turn, in milliseconds of the monotonic clock.
    pub(crate) fn due_ms(&self) -> u64 {
        let mut due_ms = self.expire_at_ms;
        if let Some(pause) = self.host.pause {
            due_ms = due_ms.min(pause.until_ms);
        }
        due_ms = due_ms.min(self.link_due_ms()).min(self.host.saver.due_ms());
        let deadlines = [
            self.shard.next_deadline(),
            self.host.acks.next_deadline(),
            self.host.cdc.next_deadline(),
        ];
        for us in deadlines.into_iter().flatten() {
            due_ms = due_ms.min(us.div_ceil(1000));
        }
        due_ms = due_ms.min(self.host.logins.due_ms().unwrap_or(u64::MAX));
        due_ms
    }

    /// True if a request has asked for something that the next turn does.
    pub(crate) fn has_orders(&self) -> bool {
        !self.host.orders.is_empty()
            || !self.host.listening.is_empty()
            || self.host.following.as_ref().is_some_and(Following::has_arrived)
            || self.host.saver.wants_turn()
            || self.shard.scripts.has_leftovers()
            || self.is_busy()
    }

    fn refresh(&mut self) {
        let shared = self.host.shared.clone();
        self.generation = shared.generation();
        shared.with_config(|config| {
            self.max_bulk = config.int(OptionId::ProtoMaxBulkLen) as u64;
            self.host.refresh(config);
            self.shard.slow_ticks = self.host.slow_ticks();
            crate::commands::apply(config, &mut self.shard);
            if let Some(log) = &self.log {
                host::tune(log, config);
            }
        });
        self.shard.listen(self.host.wanted());
        let now_ms = self.shard.now().mono_us / 1000;
        self.shard.lacks_replicas = self.host.replicas.lacks(now_ms);
        self.shard.set_role(self.host.role());
        self.shard.save_failed = self.host.saver.stops_writes();
        self.limits = host::hub_limits(&self.host);
    }

    /// The log, if there is one.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }
}

/// Rises with every write.
#[inline]
fn writes(shard: &Shard, log: Option<&Log>) -> u64 {
    log.map_or(shard.journal.dirty, Log::last_lsn)
}

/// Whether CLIENT PAUSE holds a request back (Redis `processCommand`): commands queued by
/// MULTI are not, their EXEC is if one of them may write.
#[cold]
fn waits(shard: &Shard, session: &Session, pause: Pause, args: &[&[u8]]) -> bool {
    let Ok(command) = shard.table().resolve(Args::new(args)) else { return false };
    if session.multi_len().is_some() && !command.spec.flags.has(Flags::NOT_QUEUED) {
        return false;
    }
    pause.all || shard.may_write(session, command, Args::new(args))
}

/// Whether a request runs what MULTI has queued.
fn ends_multi(command: &Command, session: &Session) -> bool {
    command.spec.name == "exec" && session.multi_len().is_some_and(|n| n > 0)
}

impl Executor for ShardService {
    #[inline]
    fn execute(&mut self, slot: Slot, args: &[&[u8]], out: &mut Vec<u8>) -> Next {
        let Some(Some(session)) = self.sessions.get_mut(slot as usize) else { return Next::Close };
        self.host.current = slot;
        if session.master
            && let Some(next) = self.hold_stream(slot)
        {
            return next;
        }
        let Some(Some(session)) = self.sessions.get_mut(slot as usize) else { return Next::Close };
        if let Some(pause) = self.host.pause_in_force()
            && waits(&self.shard, session, pause, args)
        {
            self.host.held.push(slot);
            return Next::Hold;
        }
        if self.host.migrations.is_active()
            && !session.master
            && self.host.migrations.holds(&self.shard, session, args)
        {
            self.host.held.push(slot);
            return Next::Hold;
        }
        if self.log.as_ref().is_some_and(Log::is_degraded) {
            // The engine refuses writes; what is left to check is what reads would show.
            if self.refuse_suspect(slot, args, out) {
                return Next::Continue;
            }
        } else if (self.log.as_ref().is_some_and(Log::should_pause_intake)
            || self.host.saver.holds_writes(&self.shard))
            && waits(&self.shard, session, Pause { until_ms: 0, all: false }, args)
        {
            self.stalled = true;
            self.host.held.push(slot);
            return Next::Hold;
        }
        let Some(Some(session)) = self.sessions.get_mut(slot as usize) else { return Next::Close };
        let start = out.len();
        let before = writes(&self.shard, self.log.as_ref());
        let outcome = self.shard.run(&mut self.host, session, Args::new(args), out);
        self.host.end_request(slot, session.multi_len().is_some(), out);
        if writes(&self.shard, self.log.as_ref()) != before {
            self.host.note_write(slot);
        }
        let awaited = self.shard.trash.take_awaited();
        let next = match outcome {
            Outcome::Done if awaited => {
                self.host.freer.hold(slot, &self.shard.trash, out.split_off(start));
                Next::Wait
            }
            Outcome::Done if self.host.logins.take_hold() => Next::Hold,
            Outcome::Done if self.host.takes_time() => {
                self.host.observe(slot, session);
                Next::Wait
            }
            Outcome::Done => Next::Continue,
            Outcome::Close => Next::Close,
            Outcome::Blocked => {
                self.waiting.insert(session.id, slot);
                self.host.observe(slot, session);
                if self.is_busy() {
                    self.host.say_slow(slot);
                }
                Next::Wait
            }
        };
        if self.shard.has_woken() && !self.is_busy() {
            self.serve_waiting();
        }
        next
    }

    fn executed(&mut self, slot: Slot, bytes: u64) {
        self.stream_executed(slot, bytes);
    }

    #[inline]
    fn begin_input(&mut self, slot: Slot, bytes: usize) {
        self.host.change_client(slot, |client| client.figures.input = bytes);
    }

    #[inline]
    fn expect(&mut self, slot: Slot, keys: &[&[u8]]) {
        let Some(Some(session)) = self.sessions.get(slot as usize) else { return };
        let Some(db) = self.shard.dbs().get(usize::from(session.db)) else { return };
        let mut hashes = [0; AHEAD];
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = db.table().prefetch(key);
        }
        for hash in hashes.iter().take(keys.len()) {
            db.table().prefetch_entry(*hash);
        }
    }

    #[inline]
    fn last_lsn(&self) -> u64 {
        match &self.log {
            None => 0,
            // Nothing is written while degraded, and what reads may show has been acknowledged.
            Some(log) if log.is_degraded() => log.watermark(),
            Some(log) => log.last_lsn(),
        }
    }

    #[inline]
    fn limits(&self, slot: Slot) -> Limits {
        let authenticated = match self.sessions.get(slot as usize) {
            Some(Some(session)) => session.authenticated,
            _ => false,
        };
        Limits { max_bulk: self.max_bulk, authenticated }
    }
}
