//! CONFIG SET appendonly: the log begun and ended while the server runs.
//!
//! The option says what is wanted; each turn looks whether the log stands so and takes the next step.
//! Steps that write run in tasks ([`moon_storage::switch`]); what touches the shard is done between two
//! turns, where no unit is open.
//!
//! Invariants:
//! * The first unit that a new log holds is the first one behind the cut of its base.
//! * The log counts from the commit of that base on, and is shown so from then on.
//! * Replies to what the log holds wait for it, also while it ends.
//! * No save begins while a log ends: which of the two is newer would not be known.
//!
//! | state | writes are logged | a start reads | next |
//! |---|---|---|---|
//! | off | no | the last save, or the log that has ended | opening, clearing |
//! | opening | no | the same | opened, or off for a while |
//! | opened | no | the same | founding, at the cut |
//! | founding | yes | the same | on, or founding with a later cut, or dropping |
//! | on | yes | base and log | leaving |
//! | leaving, ending | no | base and log | off |
//! | dropping | no | as in off | off |
//! | clearing: a save has taken the log's place | no | the save | off |

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use moon_engine::snapshot::SnapshotRefused;
use moon_storage::log::Log;
use moon_storage::parts::Parts;
use moon_storage::recovery::Opened;
use moon_storage::switch::{self, Standing};

use super::ShardService;
use super::host::log_config;
use super::saver::{Ground, RETRY_SECS};

/// Microseconds between two attempts to end a log that is degraded.
const AGAIN_US: u64 = 200_000;

/// What a task leaves when it has ended.
type Left<T> = Rc<RefCell<Option<T>>>;

/// A log to be ended.
struct Leaving {
    log: Log,
    parts: Parts,
}

enum State {
    Off,
    Opening(Left<Option<(Opened, Standing)>>),
    Opened(Opened),
    Founding(Opened),
    On,
    Leaving(Leaving),
    Ending(Left<Option<Standing>>),
    Dropping(Left<()>),
    Clearing(Left<Option<Standing>>),
}

/// Where the log of a shard stands.
pub(crate) struct Switch {
    /// `appendonly`.
    pub(super) wanted: bool,
    state: State,
    /// What is left of an earlier log.
    standing: Option<Standing>,
    /// After a failure nothing is tried before this time, in milliseconds of the monotonic clock. 0: the
    /// last attempt has not failed, so a stop waits for it.
    retry_at_ms: u64,
    /// The base that is being written was called off: its end is no failure.
    called_off: bool,
    /// Tells the task that ends a log to give up after an attempt: the server stops.
    gives_up: Rc<Cell<bool>>,
}

impl Default for Switch {
    fn default() -> Self {
        Self {
            wanted: false,
            state: State::Off,
            standing: None,
            retry_at_ms: 0,
            called_off: false,
            gives_up: Rc::default(),
        }
    }
}

impl Switch {
    /// The data are there.
    pub(crate) fn begin(&mut self, has_log: bool, standing: Option<Standing>) {
        self.state = if has_log { State::On } else { State::Off };
        self.standing = standing;
    }

    /// Whether what is logged is found by a start.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.state, State::On)
    }

    /// Whether a log is on its way: wanted, and without its base.
    pub(crate) fn is_founding(&self) -> bool {
        self.wanted && !self.is_on()
    }

    /// Whether nothing is under way that a stop has to wait for.
    fn is_settled(&self) -> bool {
        match self.state {
            State::On => true,
            // What was written since the log ended is nowhere else, unless it was tried in vain.
            State::Off => !self.wanted || self.retry_at_ms > 0,
            State::Founding(_) => self.retry_at_ms > 0,
            _ => false,
        }
    }

    /// Whether the next turn has to look.
    #[inline]
    pub(super) fn is_unsettled(&self) -> bool {
        match &self.state {
            State::On => !self.wanted,
            State::Off => self.wanted || self.standing.as_ref().is_some_and(Standing::holds_data),
            _ => true,
        }
    }
}

fn spawn<T: 'static>(ground: &Ground, task: impl Future<Output = T> + 'static) -> Left<T> {
    let left: Left<T> = Rc::default();
    let (out, wake) = (left.clone(), ground.wake.clone());
    ground.rt.spawn(Box::pin(async move {
        let result = task.await;
        *out.borrow_mut() = Some(result);
        wake();
    }));
    left
}

impl ShardService {
    /// Takes the next step, if there is one.
    #[cold]
    pub(super) fn tend_switch(&mut self) {
        let now_ms = self.shard.now().mono_us / 1000;
        let stopping = self.host.shared.is_stopping();
        let (wanted, retry_at_ms) = (self.host.switch.wanted, self.host.switch.retry_at_ms);
        // A server that stops tries once, and does not wait to try again.
        let due = now_ms >= retry_at_ms && (!stopping || retry_at_ms == 0);
        self.host.switch.gives_up.set(stopping);
        let state = std::mem::replace(&mut self.host.switch.state, State::Off);
        let next = match state {
            State::Off if wanted && due => self.open_log(),
            State::Off => self.clear_or_stay(),
            State::Opening(left) => match left.take() {
                None => State::Opening(left),
                Some(Some((opened, standing))) => {
                    self.host.switch.standing = Some(standing);
                    State::Opened(opened)
                }
                Some(None) => {
                    self.host.saver.note_failed_rewrite(self.shard.now().unix_ms / 1000);
                    self.host.switch.retry_at_ms = now_ms + RETRY_SECS * 1000;
                    State::Off
                }
            },
            State::Opened(opened) if !wanted => self.drop_log(opened.log),
            State::Opened(opened) => self.found(opened, true),
            State::Founding(opened) if self.host.saver.is_rewriting() => {
                if !wanted {
                    self.host.switch.called_off = true;
                    self.host.saver.cancel_rewrite(&mut self.shard);
                }
                State::Founding(opened)
            }
            State::Founding(opened) if !wanted && !self.is_busy() => {
                self.detach_log();
                self.drop_log(opened.log)
            }
            State::Founding(opened) if wanted && due => self.found(opened, false),
            State::On if !wanted && !self.is_busy() => self.leave(),
            State::Leaving(leaving) if !self.host.saver.is_rewriting() => self.end_log(leaving),
            State::Ending(left) => match left.take() {
                None => State::Ending(left),
                Some(standing) => {
                    tracing::info!("the log has ended: appendonly no");
                    self.ending = None;
                    self.host.saver.hold(false);
                    if let Some(standing) = &standing {
                        self.host.saver.set_cut_without_log(standing.lsn());
                    }
                    self.host.switch.standing = standing;
                    State::Off
                }
            },
            State::Dropping(left) => match left.take() {
                None => State::Dropping(left),
                Some(()) => {
                    self.ending = None;
                    State::Off
                }
            },
            State::Clearing(left) => match left.take() {
                None => State::Clearing(left),
                Some(cleared) => {
                    match cleared {
                        Some(standing) => self.host.switch.standing = Some(standing),
                        None => self.host.switch.retry_at_ms = now_ms + RETRY_SECS * 1000,
                    }
                    State::Off
                }
            },
            other => other,
        };
        self.host.switch.state = next;
    }

    /// A rewrite has ended. The first one behind a new log makes it count.
    pub(super) fn rewrite_ended(&mut self, ok: bool) {
        let now_ms = self.shard.now().mono_us / 1000;
        let switch = &mut self.host.switch;
        match std::mem::replace(&mut switch.state, State::Off) {
            State::Founding(opened) if ok => {
                tracing::info!("the log has begun: appendonly yes");
                self.host.saver.set_parts(Some(opened.parts));
                switch.standing = None;
                switch.retry_at_ms = 0;
                switch.state = State::On;
            }
            State::Founding(opened) => {
                switch.retry_at_ms = match switch.called_off {
                    true => 0,
                    false => now_ms + RETRY_SECS * 1000,
                };
                switch.state = State::Founding(opened);
            }
            state => switch.state = state,
        }
        switch.called_off = false;
    }

    /// Whether a stop need not wait for the switch.
    pub(crate) fn has_switched(&self) -> bool {
        self.host.switch.is_settled()
    }

    fn open_log(&mut self) -> State {
        let Some(ground) = self.host.saver.ground() else { return State::Off };
        let cfg = self.host.shared.with_config(log_config);
        let standing = self.host.switch.standing.clone();
        let after_lsn = self.host.saver.cut_without_log();
        let (disk, rt, paths) = (ground.disk.clone(), ground.rt.clone(), ground.paths.clone());
        State::Opening(spawn(ground, async move {
            let begun = switch::begin(disk, rt, &paths, 1, cfg, standing, after_lsn).await;
            begun.inspect_err(|error| tracing::warn!(%error, "the log cannot be begun")).ok()
        }))
    }

    /// Makes the cut, if it can be made now; from there on writes are logged.
    fn found(&mut self, opened: Opened, first: bool) -> State {
        let again = if first { State::Opened } else { State::Founding };
        if self.is_busy() || !self.host.saver.is_idle() {
            return again(opened);
        }
        let parts = Some(opened.parts.clone());
        match self.host.saver.start(&mut self.shard, Some(&opened.log), parts) {
            Ok(()) if first => self.attach_log(&opened.log),
            Ok(()) => {}
            Err(SnapshotRefused::ScriptRunning) => return again(opened),
            Err(refused) => {
                tracing::warn!("no base for the log: {refused}");
                let now = self.shard.now();
                self.host.saver.note_failed_rewrite(now.unix_ms / 1000);
                self.host.switch.retry_at_ms = now.mono_us / 1000 + RETRY_SECS * 1000;
                return again(opened);
            }
        }
        self.host.switch.retry_at_ms = 0;
        State::Founding(opened)
    }

    fn attach_log(&mut self, log: &Log) {
        if let Some(ground) = self.host.saver.ground() {
            let wake = ground.wake.clone();
            log.on_advance(Rc::new(move || wake()));
        }
        self.shard.journal.attach(Rc::new(log.clone()));
        self.host.log = Some(log.clone());
        self.log = Some(log.clone());
    }

    /// Logs nothing from here on. What was logged is still waited for.
    fn detach_log(&mut self) {
        self.ending = self.take_log();
        self.suspects = None;
    }

    /// Gives up a log that has not come to count.
    fn drop_log(&mut self, log: Log) -> State {
        let Some(ground) = self.host.saver.ground() else { return State::Off };
        State::Dropping(spawn(ground, async move {
            if let Err(error) = log.shutdown().await {
                tracing::warn!(%error, "a log that was given up does not end cleanly");
            }
        }))
    }

    fn leave(&mut self) -> State {
        let (Some(parts), Some(log)) = (self.host.saver.set_parts(None), self.log.clone()) else {
            return State::On;
        };
        self.detach_log();
        self.host.saver.hold(true);
        self.host.saver.cancel_rewrite(&mut self.shard);
        State::Leaving(Leaving { log, parts })
    }

    fn end_log(&mut self, leaving: Leaving) -> State {
        let Some(ground) = self.host.saver.ground() else { return State::Leaving(leaving) };
        let (disk, rt, gives_up) =
            (ground.disk.clone(), ground.rt.clone(), self.host.switch.gives_up.clone());
        State::Ending(spawn(ground, async move {
            let mut said = false;
            loop {
                match switch::end(&*disk, &leaving.log, &leaving.parts).await {
                    Ok(standing) => return Some(standing),
                    Err(error) if !std::mem::replace(&mut said, true) => {
                        tracing::warn!(%error, "the log cannot be ended, and is tried again");
                    }
                    Err(_) => {}
                }
                if gives_up.get() {
                    return None;
                }
                rt.sleep_us(AGAIN_US).await;
            }
        }))
    }

    /// Frees what a later save has taken the place of.
    fn clear_or_stay(&mut self) -> State {
        let now_ms = self.shard.now().mono_us / 1000;
        let (Some(standing), Some(ground)) =
            (self.host.switch.standing.clone(), self.host.saver.ground())
        else {
            return State::Off;
        };
        let replaced = self.host.saver.saved_lsn().is_some_and(|lsn| lsn >= standing.lsn());
        if !standing.holds_data() || !replaced || now_ms < self.host.switch.retry_at_ms {
            return State::Off;
        }
        let disk = ground.disk.clone();
        State::Clearing(spawn(ground, async move {
            let cleared = switch::supersede(&*disk, &standing).await;
            cleared.inspect_err(|error| tracing::warn!(%error, "the old log stays")).ok()
        }))
    }
}
