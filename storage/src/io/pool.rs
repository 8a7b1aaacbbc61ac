//! A small pool of threads for calls that block, one pool a shard.
//!
//! Invariants:
//! * Jobs start in the order they were given; with more than one thread they may end in another.
//! * A job whose waiting future was dropped still runs to its end.
//! * No thread exists before the first job; the threads end when the pool is dropped.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads that run blocking jobs.
pub(crate) struct BlockingPool {
    shared: Arc<Shared>,
    max_threads: usize,
}

impl BlockingPool {
    /// A pool that grows to `max_threads` when jobs wait.
    pub(crate) fn new(max_threads: usize) -> Self {
        Self { shared: Arc::default(), max_threads: max_threads.max(1) }
    }

    /// Runs `job` on a pool thread; the future completes on the caller's.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> JobFuture<T> {
        let (answer, future) = answer();
        self.submit(Box::new(move || answer.give(job())));
        future
    }

    /// The same for a job whose end nobody waits for.
    pub(crate) fn submit(&self, job: Job) {
        let mut q = lock(&self.shared.queue);
        q.jobs.push_back(job);
        if q.idle >= q.jobs.len() || q.threads >= self.max_threads {
            drop(q);
            self.shared.more.notify_one();
            return;
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("moon-blocking".to_owned());
        if thread.spawn(move || work(&shared)).is_ok() {
            q.threads += 1;
        } else if q.threads == 0 {
            // No thread to be had: better late on this thread than never.
            let job = q.jobs.pop_back();
            drop(q);
            if let Some(job) = job {
                job();
            }
        }
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.more.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut q = lock(&shared.queue);
    loop {
        if let Some(job) = q.jobs.pop_front() {
            drop(q);
            job();
            q = lock(&shared.queue);
        } else if q.closed {
            return;
        } else {
            q.idle += 1;
            q = shared.more.wait(q).unwrap_or_else(PoisonError::into_inner);
            q.idle -= 1;
        }
    }
}

struct JobSlot<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// The two ends of a value that one thread makes and another waits for.
pub(crate) fn answer<T>() -> (Answer<T>, JobFuture<T>) {
    let slot = Arc::new(Mutex::new(JobSlot { value: None, waker: None }));
    (Answer(Arc::clone(&slot)), JobFuture(slot))
}

/// The giving end. Dropped without a value, it leaves the other end waiting for ever.
pub(crate) struct Answer<T>(Arc<Mutex<JobSlot<T>>>);

impl<T> Answer<T> {
    /// Hands the value over and wakes the waiter.
    pub(crate) fn give(self, value: T) {
        let waker = {
            let mut s = lock(&self.0);
            s.value = Some(value);
            s.waker.take()
        };
        if let Some(w) = waker {
            w.wake();
        }
    }
}

/// Completes when its job has run.
pub(crate) struct JobFuture<T>(Arc<Mutex<JobSlot<T>>>);

impl<T> Future for JobFuture<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut s = lock(&self.0);
        match s.value.take() {
            Some(v) => Poll::Ready(v),
            None => {
                s.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
