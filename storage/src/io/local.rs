//! The portable single-thread executor: tools, tests and the epoll network driver run on it.
//!
//! It never waits by itself except in [`LocalRuntime::block_on`]. A network driver owns the waiting:
//!
//! ```text
//! loop {
//!     let deadline = rt.run_ready();              // tasks and timers; None = no timer armed
//!     epoll_wait(.., until deadline)              // rt.event_fd() is in the set, edge-triggered
//!     handle sockets
//! }
//! ```
//!
//! Wakers work from any thread: from another one they signal the event descriptor.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::pool::BlockingPool;
use super::task::{Notify, TaskSet, WakeFlag};
use super::{LocalFuture, Runtime, sys};

/// Most polls in one [`LocalRuntime::run_ready`], so that tasks cannot starve the sockets.
const POLLS_MAX: usize = 1024;

struct EventFd(std::fs::File);

impl Notify for EventFd {
    fn notify(&self) {
        // Fails only when the counter is full, and then the owner is about to wake anyway.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }
}

struct Inner {
    tasks: TaskSet,
    ready: RefCell<VecDeque<(u32, u32)>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    timer_seq: Cell<u64>,
    start: Instant,
    event: Arc<EventFd>,
    /// Computes for the tasks. Not the threads of a disk: a sync must not wait behind a computation.
    computing: BlockingPool,
}

/// A single-thread [`Runtime`] over the real clock; cloning gives another handle to the same one.
#[derive(Clone)]
pub struct LocalRuntime(Rc<Inner>);

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRuntime").field("tasks", &self.0.tasks.live()).finish_non_exhaustive()
    }
}

impl LocalRuntime {
    /// A runtime of the calling thread. Fails when the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let event = Arc::new(EventFd(sys::eventfd(false)?.into()));
        Ok(Self(Rc::new(Inner {
            tasks: TaskSet::new(Some(event.clone())),
            ready: RefCell::default(),
            timers: RefCell::default(),
            timer_seq: Cell::new(0),
            start: Instant::now(),
            event,
            computing: BlockingPool::new(1),
        })))
    }

    /// This runtime behind the trait.
    pub fn as_dyn(&self) -> Rc<dyn Runtime> {
        Rc::new(self.clone())
    }

    /// Becomes readable when another thread woke a task. Register it edge-triggered, or call
    /// [`LocalRuntime::drain_event`] each time it is readable.
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.0.event.0.as_fd()
    }

    /// Clears the event descriptor.
    pub fn drain_event(&self) {
        let mut count = [0; 8];
        // EAGAIN means there was nothing to clear.
        let _ = (&self.0.event.0).read(&mut count);
    }

    /// Tasks that have not ended.
    pub fn live_tasks(&self) -> usize {
        self.0.tasks.live()
    }

    /// Fires due timers and polls ready tasks, without waiting. Returns the monotonic time in
    /// microseconds to come back at: at once if tasks are left, else the next timer; `None` if only a waker can bring work.
    pub fn run_ready(&self) -> Option<u64> {
        let mut polls = 0;
        loop {
            if !self.0.timers.borrow().is_empty() {
                self.fire_due();
            }
            let mut ready = self.0.ready.take();
            self.0.tasks.take_ready(&mut ready);
            if ready.is_empty() {
                self.0.ready.replace(ready);
                return self.0.timers.borrow().keys().next().map(|k| k.0);
            }
            while let Some(id) = ready.pop_front() {
                self.0.tasks.poll(id);
                polls += 1;
                if polls == POLLS_MAX {
                    self.0.ready.replace(ready);
                    return Some(self.mono_us());
                }
            }
            self.0.ready.replace(ready);
        }
    }

    /// Runs `future` to its end, other tasks beside it, waiting for timers and other threads as needed.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let flag = WakeFlag::new(Some(self.0.event.clone()));
        let waker = Waker::from(flag.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            if flag.take()
                && let Poll::Ready(v) = future.as_mut().poll(&mut cx)
            {
                return v;
            }
            let deadline = self.run_ready();
            if flag.is_set() {
                continue;
            }
            let wait = deadline.map(|d| Duration::from_micros(d.saturating_sub(self.mono_us())));
            // An error here is a bad descriptor, which cannot be; treated as a spurious wake.
            if matches!(sys::wait_readable(self.event_fd(), wait), Ok(true)) {
                self.drain_event();
            }
        }
    }

    /// Drops every task, which also breaks reference cycles through this handle.
    pub fn shutdown(&self) {
        self.0.tasks.clear();
        self.0.ready.borrow_mut().clear();
    }

    fn fire_due(&self) {
        let now = self.mono_us();
        loop {
            let due = {
                let mut timers = self.0.timers.borrow_mut();
                match timers.first_entry() {
                    Some(e) if e.key().0 <= now => e.remove(),
                    _ => return,
                }
            };
            due.wake();
        }
    }
}

impl Runtime for LocalRuntime {
    fn mono_us(&self) -> u64 {
        self.0.start.elapsed().as_micros() as u64
    }

    fn wall_us(&self) -> i64 {
        wall_us()
    }

    fn sleep_us(&self, us: u64) -> LocalFuture<'static, ()> {
        Box::pin(Sleep {
            rt: self.clone(),
            deadline_us: self.mono_us().saturating_add(us),
            key: None,
        })
    }

    fn spawn(&self, task: LocalFuture<'static, ()>) {
        self.0.tasks.spawn(task);
    }

    fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        self.0.computing.submit(job);
    }
}

/// The system's wall clock in microseconds since 1970.
pub(crate) fn wall_us() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(d) => d.as_micros() as i64,
        Err(e) => -(e.duration().as_micros() as i64),
    }
}

struct Sleep {
    rt: LocalRuntime,
    deadline_us: u64,
    key: Option<(u64, u64)>,
}

impl Sleep {
    fn disarm(&mut self) {
        if let Some(key) = self.key.take() {
            self.rt.0.timers.borrow_mut().remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.disarm();
        if self.rt.mono_us() >= self.deadline_us {
            return Poll::Ready(());
        }
        let seq = self.rt.0.timer_seq.get();
        self.rt.0.timer_seq.set(seq + 1);
        let key = (self.deadline_us, seq);
        let waker = cx.waker().clone();
        self.rt.0.timers.borrow_mut().insert(key, waker);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_cancel() {
        let rt = LocalRuntime::new().expect("runtime");
        let log = Rc::new(RefCell::new(Vec::new()));
        for ms in [6u64, 2, 4] {
            let (rt2, log) = (rt.clone(), Rc::clone(&log));
            rt.spawn(Box::pin(async move {
                rt2.sleep_us(ms * 1000).await;
                log.borrow_mut().push(ms);
            }));
        }
        let mut cancelled = rt.sleep_us(1_000);
        assert!(cancelled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(cancelled);
        rt.block_on(rt.sleep_us(20_000));
        assert_eq!(*log.borrow(), [2, 4, 6]);
        assert_eq!(rt.run_ready(), None);
        assert_eq!(rt.live_tasks(), 0);
    }

    #[test]
    fn another_thread_wakes_through_the_descriptor() {
        let rt = LocalRuntime::new().expect("runtime");
        let pool = super::super::pool::BlockingPool::new(1);
        let got = Rc::new(Cell::new(0));
        let (job, out) = (
            pool.run(|| {
                std::thread::sleep(Duration::from_millis(5));
                42
            }),
            Rc::clone(&got),
        );
        rt.spawn(Box::pin(async move { out.set(job.await) }));
        // As a network driver does it: no block_on.
        assert_eq!(rt.run_ready(), None);
        let readable = sys::wait_readable(rt.event_fd(), Some(Duration::from_secs(10)));
        assert!(readable.expect("poll"));
        rt.drain_event();
        rt.run_ready();
        assert_eq!(got.get(), 42);
        let quiet = sys::wait_readable(rt.event_fd(), Some(Duration::ZERO));
        assert!(!quiet.expect("poll"));
    }

    #[test]
    fn a_busy_task_does_not_keep_run_ready() {
        struct Busy(u32);
        impl Future for Busy {
            type Output = ();
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                self.0 += 1;
                if self.0 == 5000 {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
        let rt = LocalRuntime::new().expect("runtime");
        rt.spawn(Box::pin(Busy(0)));
        let mut turns = 1;
        while rt.run_ready().is_some() {
            turns += 1;
        }
        assert_eq!(turns, 5);
    }

    #[test]
    fn an_idle_block_on_sleeps() {
        let rt = LocalRuntime::new().expect("runtime");
        let before = thread_cpu_us();
        rt.block_on(rt.sleep_us(100_000));
        assert!(thread_cpu_us() - before < 20_000);
    }

    fn thread_cpu_us() -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
        let ns = text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
        ns.expect("a number") / 1000
    }
}
