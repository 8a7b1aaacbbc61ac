//! Virtual time and a seeded single-thread executor.
//!
//! Invariants:
//! * Time moves only when no task is ready, and then straight to the next event.
//! * With equal seeds, tasks and operations, two runs poll the same tasks in the same order.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::rng::SimRng;
use crate::io::task::{TaskSet, WakeFlag};
use crate::io::{LocalFuture, Runtime};

enum Event {
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

struct Inner {
    mono_us: Cell<u64>,
    wall_minus_mono_us: Cell<i64>,
    tasks: TaskSet,
    ready: RefCell<VecDeque<(u32, u32)>>,
    events: RefCell<BTreeMap<(u64, u64), Event>>,
    event_seq: Cell<u64>,
    shuffle: RefCell<Option<SimRng>>,
}

/// A deterministic [`Runtime`]; cloning gives another handle to the same one.
///
/// A task that holds a handle keeps the runtime alive, so a harness that makes thousands of them calls
/// [`SimRuntime::shutdown`] when a run is over.
#[derive(Clone)]
pub struct SimRuntime(Rc<Inner>);

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimRuntime")
            .field("mono_us", &self.0.mono_us.get())
            .field("tasks", &self.0.tasks.live())
            .finish_non_exhaustive()
    }
}

/// Wall clock at which a fresh simulation starts, in microseconds since 1970 (2024-01-01).
pub const SIM_EPOCH_US: i64 = 1_704_067_200_000_000;

/// Most polls at one instant.
const POLLS_MAX: u64 = 10_000_000;

impl Default for SimRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl SimRuntime {
    /// A runtime at monotonic time 1 s that polls tasks in the order they became ready.
    pub fn new() -> Self {
        Self::starting_at(1_000_000, SIM_EPOCH_US, None)
    }

    /// As [`SimRuntime::new`], but the next task is drawn from the ready ones by the seed.
    pub fn shuffled(seed: u64) -> Self {
        Self::starting_at(1_000_000, SIM_EPOCH_US, Some(seed))
    }

    /// A runtime with chosen clocks (microseconds).
    pub fn starting_at(mono_us: u64, wall_us: i64, shuffle_seed: Option<u64>) -> Self {
        Self(Rc::new(Inner {
            mono_us: Cell::new(mono_us),
            wall_minus_mono_us: Cell::new(wall_us - mono_us as i64),
            tasks: TaskSet::new(None),
            ready: RefCell::default(),
            events: RefCell::default(),
            event_seq: Cell::new(0),
            shuffle: RefCell::new(shuffle_seed.map(SimRng::new)),
        }))
    }

    /// This runtime behind the trait.
    pub fn as_dyn(&self) -> Rc<dyn Runtime> {
        Rc::new(self.clone())
    }

    /// Moves the wall clock by `delta_us`; monotonic time and timers are unaffected.
    pub fn step_wall(&self, delta_us: i64) {
        let w = &self.0.wall_minus_mono_us;
        w.set(w.get().saturating_add(delta_us));
    }

    /// Monotonic time of the next event, if there is one.
    pub fn next_event_us(&self) -> Option<u64> {
        self.0.events.borrow().keys().next().map(|k| k.0)
    }

    /// Tasks that have not ended.
    pub fn live_tasks(&self) -> usize {
        self.0.tasks.live()
    }

    /// Polls ready tasks until none is ready; time stands still. Returns the number of polls.
    ///
    /// # Panics
    /// After ten million polls: some task waits for time by spinning.
    pub fn run_until_stalled(&self) -> u64 {
        let mut polls = 0;
        while self.poll_one() {
            polls += 1;
            assert!(polls < POLLS_MAX, "simulated livelock: tasks wake each other for ever");
        }
        polls
    }

    /// Runs until monotonic time is `mono_us` and nothing is ready.
    pub fn run_until(&self, mono_us: u64) {
        self.run_until_stalled();
        while self.next_event_us().is_some_and(|t| t <= mono_us) {
            self.fire_next();
            self.run_until_stalled();
        }
        self.0.mono_us.set(self.0.mono_us.get().max(mono_us));
    }

    /// Runs for `us` microseconds of virtual time.
    pub fn run_for(&self, us: u64) {
        self.run_until(self.0.mono_us.get().saturating_add(us));
    }

    /// Runs until nothing is ready and no event is left. Does not return while a task sleeps in a loop.
    pub fn run_until_idle(&self) {
        self.run_until_stalled();
        while self.fire_next() {
            self.run_until_stalled();
        }
    }

    /// Runs `future` to its end, other tasks beside it, advancing time as needed.
    ///
    /// # Panics
    /// If the future waits for something that no task and no event will bring.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.try_block_on(future)
            .expect("simulated deadlock: the future waits and no event is left")
    }

    /// As [`SimRuntime::block_on`]; `None` when the future can never be woken again.
    pub fn try_block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let flag = WakeFlag::new(None);
        let waker = Waker::from(flag.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            if flag.take()
                && let Poll::Ready(v) = future.as_mut().poll(&mut cx)
            {
                return Some(v);
            }
            if self.poll_one() {
                continue;
            }
            if !flag.is_set() && !self.fire_next() {
                return None;
            }
        }
    }

    /// Drops every task and event, which also breaks reference cycles through this handle.
    pub fn shutdown(&self) {
        self.0.tasks.clear();
        self.0.ready.borrow_mut().clear();
        let events = std::mem::take(&mut *self.0.events.borrow_mut());
        drop(events);
    }

    /// Runs `call` at a monotonic time (at once if it has passed, but never inside this call).
    pub(super) fn call_at(&self, mono_us: u64, call: Box<dyn FnOnce()>) {
        self.insert(mono_us, Event::Call(call));
    }

    fn insert(&self, mono_us: u64, event: Event) -> (u64, u64) {
        let seq = self.0.event_seq.get();
        self.0.event_seq.set(seq + 1);
        let key = (mono_us.max(self.0.mono_us.get()), seq);
        self.0.events.borrow_mut().insert(key, event);
        key
    }

    fn poll_one(&self) -> bool {
        let id = {
            let mut ready = self.0.ready.borrow_mut();
            if ready.is_empty() || self.0.shuffle.borrow().is_some() {
                self.0.tasks.take_ready(&mut ready);
            }
            if let Some(rng) = self.0.shuffle.borrow_mut().as_mut()
                && ready.len() > 1
            {
                let pick = rng.below(ready.len() as u64) as usize;
                ready.swap(0, pick);
            }
            ready.pop_front()
        };
        let Some(id) = id else { return false };
        self.0.tasks.poll(id);
        true
    }

    fn fire_next(&self) -> bool {
        let Some(((at, _), event)) = self.0.events.borrow_mut().pop_first() else {
            return false;
        };
        self.0.mono_us.set(self.0.mono_us.get().max(at));
        match event {
            Event::Wake(w) => w.wake(),
            Event::Call(f) => f(),
        }
        true
    }
}

impl Runtime for SimRuntime {
    fn mono_us(&self) -> u64 {
        self.0.mono_us.get()
    }

    fn wall_us(&self) -> i64 {
        self.0.wall_minus_mono_us.get().saturating_add(self.0.mono_us.get() as i64)
    }

    fn sleep_us(&self, us: u64) -> LocalFuture<'static, ()> {
        Box::pin(Sleep {
            rt: self.clone(),
            deadline_us: self.0.mono_us.get().saturating_add(us),
            key: None,
        })
    }

    fn spawn(&self, task: LocalFuture<'static, ()>) {
        self.0.tasks.spawn(task);
    }

    /// At once: a computation takes no time here.
    fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

struct Sleep {
    rt: SimRuntime,
    deadline_us: u64,
    key: Option<(u64, u64)>,
}

impl Sleep {
    fn disarm(&mut self) {
        if let Some(key) = self.key.take() {
            let event = self.rt.0.events.borrow_mut().remove(&key);
            drop(event);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.disarm();
        if self.rt.0.mono_us.get() >= self.deadline_us {
            return Poll::Ready(());
        }
        let key = self.rt.insert(self.deadline_us, Event::Wake(cx.waker().clone()));
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}
