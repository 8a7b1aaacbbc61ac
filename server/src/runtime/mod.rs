//! The thread of a shard: one loop over sockets, requests, expiry, log and tasks.
//!
//! A *turn* collects network events and executes their requests, does the shard's own work,
//! starts the log's write, and sends the replies that may leave. [`host`] runs turns.
//!
//! Invariants:
//! * The clock is read once per turn; all requests of a turn see one instant.
//! * Storage tasks get a look every turn, however busy the network is.

mod busy_poll;
pub(crate) mod host;
mod startup;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use moon_engine::clock::Now;
use moon_engine::exec::Shard;
use moon_storage::io::{Disk, Runtime};

use crate::config::OptionId;
use crate::net::hub::Hub;
use crate::net::listen::Listener;
use crate::net::{Driver, Wait, sys};
use crate::service::ShardService;
use crate::service::figures::Figures;
use crate::service::pulse;
use crate::service::shared::{HowToStop, Shared};
use busy_poll::BusyPoll;
use startup::{Recovered, StartError, Startup};

/// Milliseconds between two looks at the log's directory and its free space.
const PROBE_MS: u64 = 1000;
/// Milliseconds between two looks at connections, stop requests and startup.
const SWEEP_MS: u64 = 100;

/// How the thread of a shard ends.
#[derive(Debug)]
pub(crate) enum ShardEnd {
    /// As asked, everything synced.
    Stopped,
    /// The data could not be recovered or the log not be opened or closed: exit code, text.
    Failed(u8, String),
    /// The network driver failed.
    Io(io::Error),
}

impl ShardEnd {
    fn failed(error: &StartError) -> Self {
        Self::Failed(error.exit_code(), error.to_string())
    }
}

/// Opened by tasks that have something for the loop: its next turn does not sleep.
#[derive(Default)]
pub(crate) struct Gate(Cell<bool>);

impl Gate {
    /// Lets the loop run its next turn at once.
    pub(crate) fn open(&self) {
        self.0.set(true);
    }

    /// Whether it was opened since the last call.
    pub(crate) fn take(&self) -> bool {
        self.0.replace(false)
    }

    fn is_open(&self) -> bool {
        self.0.get()
    }
}

/// What a turn found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Go on.
    More,
    /// The thread is done.
    End,
}

enum Phase {
    Recovering(Startup),
    Serving,
    /// Writes wait, and replicas catch up until this time (monotonic milliseconds). Up to the next phase but
    /// one the stop may be given up.
    Holding(HowToStop, u64),
    /// The data are saved; once that has begun, how many saves there had been before.
    Saving(HowToStop, Option<u64>),
    /// Replies leave until this time.
    Draining(u64),
    Closing(Rc<RefCell<Option<Result<(), StartError>>>>),
    Ended(Option<ShardEnd>),
}

/// The loop's state, driver and all.
pub(crate) struct ShardLoop<D> {
    pub(crate) hub: Hub<D, ShardService>,
    rt: Rc<dyn Runtime>,
    pub(crate) gate: Rc<Gate>,
    shared: Arc<Shared>,
    phase: Phase,
    sweep_at_ms: u64,
    probe_at_ms: u64,
    busy_poll: BusyPoll,
    now_us: u64,
    /// Microseconds from the start of the process to the zero of the runtime's clock.
    base_us: u64,
}

impl<D: Driver> ShardLoop<D> {
    /// Starts recovery and listening on the calling thread.
    pub(crate) fn new(
        mut driver: D,
        rt: Rc<dyn Runtime>,
        disk: Rc<dyn Disk>,
        shared: Arc<Shared>,
        listeners: Vec<Listener>,
        seed: u64,
    ) -> io::Result<Self> {
        for (index, listener) in listeners.into_iter().enumerate() {
            driver.listen(index as u32, listener.socket)?;
        }
        let gate = Rc::new(Gate::default());
        // Until then only an allocation can abort: a panic takes the signal back first.
        sys::exit_on_abort(true);
        let startup = Startup::begin(&shared, &rt, disk, &gate, seed);
        // Until the data is there, an empty shard answers LOADING.
        let table = crate::commands::table();
        let config = shared.with_config(|c| crate::commands::shard_config(c, seed));
        let mut waiting_room = Shard::new(table, &config);
        waiting_room.loading = true;
        let service = ShardService::new(waiting_room, shared.clone());
        let base_us =
            (shared.facts.started.elapsed().as_micros() as u64).saturating_sub(rt.mono_us());
        Ok(Self {
            hub: Hub::new(driver, service),
            busy_poll: BusyPoll::default(),
            rt,
            gate,
            shared,
            phase: Phase::Recovering(startup),
            sweep_at_ms: 0,
            probe_at_ms: 0,
            now_us: 0,
            base_us,
        })
    }

    /// One turn.
    pub(crate) fn turn(&mut self, wait: Wait) -> io::Result<Turned> {
        let (rt, now_us) = (&self.rt, &mut self.now_us);
        let events = self.hub.collect(wait, |service| {
            let now = Now::new(rt.wall_us(), rt.mono_us());
            *now_us = now.mono_us;
            service.begin_turn(now);
            now.mono_us / 1000
        })?;
        self.hub.service.end_turn();
        self.hub.release();
        let commands = self.hub.service.shard.stats.commands;
        self.hub.service.host.turns.end(commands);
        if events > 0 {
            self.busy_poll.arrived();
        }
        self.shared.pulse.beat(self.base_us + self.now_us);
        let now_ms = self.now_us / 1000;
        // With the shard's housekeeping, if that is about as frequent: one wake-up instead of two.
        let early_ms = match self.hub.service.cron_ran {
            true => self.hub.service.host.period_ms().min(SWEEP_MS - 10),
            false => 0,
        };
        if now_ms + early_ms >= self.sweep_at_ms || self.shared.is_stopping() {
            self.sweep_at_ms = now_ms + SWEEP_MS;
            self.hub.sweep();
            let window = self.shared.with_config(|c| c.int(OptionId::IoBusyPollUs));
            self.busy_poll.set_window(u64::try_from(window).unwrap_or(0));
            self.probe(now_ms);
            self.tell();
            self.advance(now_ms);
        } else if !matches!(self.phase, Phase::Serving | Phase::Draining(_)) {
            self.advance(now_ms);
        }
        Ok(match self.phase {
            Phase::Ended(_) => Turned::End,
            _ => Turned::More,
        })
    }

    /// Tells other threads of the process how things are.
    fn tell(&mut self) {
        let pulse = &self.shared.pulse;
        if let Some(log) = self.hub.service.log() {
            pulse.set_log(log.state());
        }
        let following = &self.hub.service.host.following;
        pulse.set_link_down(following.as_ref().is_some_and(|f| !f.is_up()));
        if pulse.take_wanted() {
            pulse.publish(Figures::of(&self.hub.service, self.hub.output_bytes()));
        }
    }

    /// Has the log look at its directory.
    fn probe(&mut self, now_ms: u64) {
        if now_ms >= self.probe_at_ms
            && let Some(log) = self.hub.service.log().cloned()
        {
            self.probe_at_ms = now_ms + PROBE_MS;
            self.rt.spawn(Box::pin(async move { log.probe().await }));
        }
    }

    /// How long the next turn may sleep if nothing else bounds it.
    pub(crate) fn wait(&mut self) -> Wait {
        if self.gate.is_open() || self.hub.service.has_orders() || self.hub.has_backlog() {
            return Wait::No;
        }
        // While replies wait for the log, its threads may need this core more than we do.
        let log = self.hub.service.log();
        let waits = log.is_some_and(|log| log.watermark() < log.last_lsn());
        if !waits && self.busy_poll.look(self.rt.mono_us()) {
            return Wait::No;
        }
        let due_ms = self.hub.service.due_ms().min(self.sweep_at_ms);
        let due_us = (due_ms * 1000).saturating_sub(self.now_us);
        if due_us == 0 { Wait::No } else { Wait::Up(Duration::from_micros(due_us)) }
    }

    /// How the thread ended.
    pub(crate) fn end(self) -> ShardEnd {
        match self.phase {
            Phase::Ended(Some(end)) => end,
            _ => ShardEnd::Stopped,
        }
    }

    /// Moves from start to service to stop.
    fn advance(&mut self, now_ms: u64) {
        let stopping = self.shared.is_stopping();
        let recovering = matches!(self.phase, Phase::Recovering(_));
        self.go_through(now_ms, stopping);
        if recovering && !matches!(self.phase, Phase::Recovering(_)) {
            sys::exit_on_abort(false);
        }
    }

    fn go_through(&mut self, now_ms: u64, stopping: bool) {
        match &mut self.phase {
            Phase::Recovering(startup) => match startup.poll() {
                None if stopping => self.phase = Phase::Ended(Some(ShardEnd::Stopped)),
                None => {}
                Some(Err(e)) => self.phase = Phase::Ended(Some(ShardEnd::failed(&e))),
                Some(Ok(recovered)) => self.serve(recovered),
            },
            // Housekeeping begins it, and that may be held up for a test.
            Phase::Serving if stopping && !self.hub.service.host.cron_paused => {
                let how = self.shared.stopping().unwrap_or_default();
                let until = self.hub.service.begin_stop(how, now_ms);
                self.gate.open();
                self.phase = Phase::Holding(how, until);
            }
            Phase::Holding(..) | Phase::Saving(..) if !stopping => self.go_on(),
            Phase::Holding(how, until) if now_ms >= *until || self.hub.service.may_stop(*how) => {
                if !self.hub.service.end_script(how) {
                    return;
                }
                self.hub.service.stop_saving();
                self.gate.open();
                self.phase = Phase::Saving(*how, None);
            }
            // Its own turns and the writer keep the loop awake.
            Phase::Saving(..) if !self.hub.service.has_saved() => {}
            Phase::Saving(how, begun) => {
                let saves = self.hub.service.host.saver.saves;
                if begun.is_none() && self.hub.service.save_last(*how) {
                    *begun = Some(saves);
                    self.gate.open();
                    return;
                }
                if *begun == Some(saves) {
                    if !how.force {
                        tracing::warn!("Error trying to save the DB, can't exit.");
                        return self.go_on();
                    }
                    tracing::warn!("Error trying to save the DB. Exit anyway.");
                }
                let secs = self.shared.with_config(|c| c.int(OptionId::ShutdownTimeout)) as u64;
                tracing::info!("stopping: no new connections, replies leave");
                self.shared.pulse.set_phase(pulse::Phase::Stopping);
                self.hub.driver.stop_listening();
                self.hub.close_all();
                self.gate.open();
                self.phase = Phase::Draining(now_ms + secs * 1000);
            }
            Phase::Draining(until) if self.hub.count == 0 || now_ms >= *until => {
                let result = Rc::new(RefCell::new(None));
                match self.hub.service.take_log() {
                    None => *result.borrow_mut() = Some(Ok(())),
                    Some(log) => {
                        let (slot, gate) = (result.clone(), self.gate.clone());
                        self.rt.spawn(Box::pin(async move {
                            let closed = log.shutdown().await;
                            *slot.borrow_mut() = Some(closed.map_err(StartError::Log));
                            gate.open();
                        }));
                    }
                }
                self.phase = Phase::Closing(result);
                self.advance(now_ms);
            }
            Phase::Closing(result) => {
                let taken = result.borrow_mut().take();
                if let Some(result) = taken {
                    let end = result.map_or_else(|e| ShardEnd::failed(&e), |()| ShardEnd::Stopped);
                    self.phase = Phase::Ended(Some(end));
                }
            }
            Phase::Serving | Phase::Holding(..) | Phase::Draining(_) | Phase::Ended(_) => {}
        }
    }

    /// Serves as before: the stop is given up.
    fn go_on(&mut self) {
        tracing::warn!("the server does not stop, and goes on");
        self.hub.service.give_stop_up();
        self.gate.open();
        self.phase = Phase::Serving;
    }

    /// Puts the recovered data in place of the waiting room.
    fn serve(&mut self, recovered: Recovered) {
        let Recovered { mut shard, log, ground, standing, records, micros } = recovered;
        shard.set_now(self.hub.service.shard.now());
        if let Some(log) = &log {
            let gate = self.gate.clone();
            log.on_advance(Rc::new(move || gate.open()));
        }
        let lsn = log.as_ref().map_or(0, |log| log.last_lsn());
        self.hub.service.host.switch.begin(log.is_some(), standing);
        self.hub.service.install(shard, log);
        match ground {
            Some(ground) => self.hub.service.host.saver.begin(ground),
            None => {
                let secs = self.shared.facts.started_unix_secs;
                self.hub.service.host.saver.only_show(secs);
            }
        }
        self.hub.service.host.recovered = Some((records, micros));
        self.shared.progress.loading.store(false, std::sync::atomic::Ordering::Release);
        let keys: usize = self.hub.service.shard.dbs().iter().map(|d| d.len()).sum();
        let seconds = format!("{:.3}", micros as f64 / 1e6);
        // In the words that scripts made for Redis wait for.
        tracing::info!(keys, records, lsn, seconds, "Server initialized");
        tracing::info!("Ready to accept connections");
        self.phase = Phase::Serving;
        self.shared.pulse.set_phase(pulse::Phase::Serving);
        self.shared.pulse.want();
        sys::wake_main();
    }
}
