//! Tasks of one thread: the part of an executor that knows no clock and no device.
//!
//! Invariants:
//! * A task is polled only on the thread that owns the [`TaskSet`]; wakers work from any thread.
//! * A task sits in the ready queue at most once.
//! * A finished or dropped task's waker does nothing (slots carry a generation).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::LocalFuture;

thread_local! {
    static TOKEN: u8 = const { 0 };
}

/// A number that differs between threads alive at the same time.
pub(crate) fn thread_token() -> usize {
    TOKEN.with(|t| std::ptr::from_ref(t) as usize)
}

/// Told when a task becomes ready from another thread than the owner.
pub(crate) trait Notify: Send + Sync {
    /// Wakes the owner out of its wait.
    fn notify(&self);
}

/// Slot index and generation of a task.
pub(crate) type TaskId = (u32, u32);

pub(crate) struct ReadyQueue {
    queue: Mutex<VecDeque<TaskId>>,
    owner: usize,
    notify: Option<Arc<dyn Notify>>,
}

impl ReadyQueue {
    fn push(&self, id: TaskId) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(id);
        if let Some(n) = &self.notify
            && thread_token() != self.owner
        {
            n.notify();
        }
    }
}

struct TaskWaker {
    ready: Arc<ReadyQueue>,
    id: TaskId,
    queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.id);
        }
    }
}

struct Slot {
    generation: u32,
    future: Option<LocalFuture<'static, ()>>,
    state: Option<(Arc<TaskWaker>, Waker)>,
}

/// Spawned tasks and which of them are ready.
pub(crate) struct TaskSet {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    live: Cell<usize>,
    generation: Cell<u32>,
    ready: Arc<ReadyQueue>,
}

impl TaskSet {
    /// An empty set owned by the calling thread.
    pub(crate) fn new(notify: Option<Arc<dyn Notify>>) -> Self {
        Self {
            slots: RefCell::default(),
            free: RefCell::default(),
            live: Cell::new(0),
            generation: Cell::new(0),
            ready: Arc::new(ReadyQueue { queue: Mutex::default(), owner: thread_token(), notify }),
        }
    }

    /// Tasks that have not ended.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// Adds a task; it is ready at once.
    pub(crate) fn spawn(&self, future: LocalFuture<'static, ()>) {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { generation: 0, future: None, state: None });
            (slots.len() - 1) as u32
        });
        let slot = &mut slots[index as usize];
        slot.generation = self.generation.get().wrapping_add(1);
        self.generation.set(slot.generation);
        let id = (index, slot.generation);
        let task_waker = Arc::new(TaskWaker {
            ready: Arc::clone(&self.ready),
            id,
            queued: AtomicBool::new(true),
        });
        let waker = Waker::from(Arc::clone(&task_waker));
        slot.future = Some(future);
        slot.state = Some((task_waker, waker));
        drop(slots);
        self.live.set(self.live.get() + 1);
        self.ready.push(id);
    }

    /// Takes the ready tasks in the order they became ready.
    pub(crate) fn take_ready(&self, into: &mut VecDeque<TaskId>) {
        let mut queue = self.ready.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if into.is_empty() {
            std::mem::swap(&mut *queue, into);
        } else {
            into.append(&mut queue);
        }
    }

    /// Polls one task once.
    pub(crate) fn poll(&self, id: TaskId) {
        let (mut future, waker) = {
            let mut slots = self.slots.borrow_mut();
            let Some(slot) = slots.get_mut(id.0 as usize) else {
                return;
            };
            if slot.generation != id.1 {
                return;
            }
            let (Some(future), Some((task_waker, waker))) = (slot.future.take(), &slot.state)
            else {
                return;
            };
            task_waker.queued.store(false, Ordering::Release);
            (future, waker.clone())
        };
        let done = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut slots = self.slots.borrow_mut();
        // `clear` may have run inside the poll; then the slot is gone and the future goes too.
        let Some(slot) = slots.get_mut(id.0 as usize).filter(|s| s.generation == id.1) else {
            drop(slots);
            return;
        };
        if done {
            slot.state = None;
            drop(slots);
            self.free.borrow_mut().push(id.0);
            self.live.set(self.live.get() - 1);
            drop(future);
        } else {
            slot.future = Some(future);
        }
    }

    /// Drops every task.
    pub(crate) fn clear(&self) {
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        self.free.borrow_mut().clear();
        self.live.set(0);
        self.ready.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(slots);
    }
}

/// Set by its waker; drives the root future of a `block_on`.
pub(crate) struct WakeFlag {
    set: AtomicBool,
    owner: usize,
    notify: Option<Arc<dyn Notify>>,
}

impl WakeFlag {
    /// A flag that starts set, so that the first look polls.
    pub(crate) fn new(notify: Option<Arc<dyn Notify>>) -> Arc<Self> {
        Arc::new(Self { set: AtomicBool::new(true), owner: thread_token(), notify })
    }

    /// Reads the flag.
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Reads and clears the flag.
    pub(crate) fn take(&self) -> bool {
        self.set.swap(false, Ordering::AcqRel)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set.store(true, Ordering::Release);
        if let Some(n) = &self.notify
            && thread_token() != self.owner
        {
            n.notify();
        }
    }
}

/// One value handed to one waiting future on the same thread.
pub(crate) struct Promise<T>(Rc<PromiseState<T>>);

struct PromiseState<T> {
    value: Cell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Promise<T> {
    /// The giving and the waiting end.
    pub(crate) fn new() -> (Self, PromiseFuture<T>) {
        let state = Rc::new(PromiseState { value: Cell::new(None), waker: RefCell::new(None) });
        (Self(Rc::clone(&state)), PromiseFuture(state))
    }

    /// Hands the value over.
    pub(crate) fn set(self, value: T) {
        self.0.value.set(Some(value));
        let waker = self.0.waker.borrow_mut().take();
        if let Some(w) = waker {
            w.wake();
        }
    }
}

/// Completes when its [`Promise`] is set; never if the promise is dropped.
pub(crate) struct PromiseFuture<T>(Rc<PromiseState<T>>);

impl<T> Future for PromiseFuture<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.0.value.take() {
            Some(v) => Poll::Ready(v),
            None => {
                *self.0.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
