//! Driver `dma`: direct I/O through io_uring on glommio executors, one executor a shard.
//!
//! The only place (with the server's executor module) that knows glommio. What glommio 0.9 needs
//! to be told, and where it is told:
//!
//! | trap | answer |
//! |---|---|
//! | three rings pin `io_memory` each; over the memlock limit buffers silently stay unregistered | [`Sizing`] |
//! | the first direct open of an *empty* file on a thread can mark the device as pollable; later reads fail with EOPNOTSUPP | `DmaDisk` shows it a file with data first; a file that still answers EOPNOTSUPP falls back |
//! | `DmaFile::create` is write-only | `OpenOptions`, on a file made before |
//! | a file system that refuses `O_DIRECT` | such files go through `posix`, one by one |
//! | `yield_now` is not a reactor turn | [`GlommioRuntime`] puts storage tasks into a queue with shares; `preempt_timer` of [`executor`] |
//! | no public way to wait for a descriptor | [`EventFdWait`] |

mod disk;
mod event;
#[cfg(test)]
mod measure;
mod probe;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use glommio::{
    GlommioError, Latency, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle, executor as ex,
};

use super::{LocalFuture, Runtime, local, sys};

pub use disk::DmaDisk;
pub use event::{EventFdWait, EventSignal};
pub use probe::{Caps, Reason, probe};

/// glommio keeps at least this much per ring, in bytes.
const IO_MEMORY_MIN: u64 = 64 << 10;
/// More brings nothing: larger buffers are not taken from it, in bytes.
const IO_MEMORY_MAX: u64 = 10 << 20;
/// glommio refuses to start below this memlock limit, in bytes.
pub(super) const MEMLOCK_MIN: u64 = 512 << 10;
/// Rings of an executor that register the same buffers.
const RINGS: u64 = 3;

/// Pinned memory an executor asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// Limit of the process in bytes; `u64::MAX` without one.
    pub memlock: u64,
    /// Bytes per ring; an executor pins three times as much.
    pub io_memory: usize,
    /// False if even the smallest size goes over the limit: I/O works, buffers are not registered.
    pub fits: bool,
}

impl Sizing {
    /// Shares the process's memlock limit among `shards` executors.
    pub fn for_shards(shards: usize) -> io::Result<Self> {
        Ok(Self::of(sys::memlock_limit()?, shards))
    }

    fn of(memlock: u64, shards: usize) -> Self {
        let rings = RINGS * shards.max(1) as u64;
        let share = memlock / rings / 4096 * 4096;
        Self {
            memlock,
            io_memory: share.clamp(IO_MEMORY_MIN, IO_MEMORY_MAX) as usize,
            fits: share >= IO_MEMORY_MIN,
        }
    }
}

/// Settings for the executor of one of `shards` shards; logs what it asks for.
pub fn executor(
    placement: Placement,
    name: &str,
    shards: usize,
) -> io::Result<LocalExecutorBuilder> {
    let sizing = Sizing::for_shards(shards)?;
    tracing::info!(
        memlock = sizing.memlock,
        io_memory = sizing.io_memory,
        registered = sizing.fits,
        shards,
        "io_uring executor {name}"
    );
    Ok(LocalExecutorBuilder::new(placement)
        .name(name)
        .io_memory(sizing.io_memory)
        .preempt_timer(Duration::from_micros(200)))
}

/// glommio's error as the system's, with the error number kept.
pub(super) fn io_error<T>(e: GlommioError<T>) -> io::Error {
    match e {
        GlommioError::IoError(e) | GlommioError::EnhancedIoError { source: e, .. } => e,
        other => io::Error::other(other.to_string()),
    }
}

/// Time and tasks of a glommio executor. Lives on the thread that made it, inside the executor.
#[derive(Clone)]
pub struct GlommioRuntime {
    queue: TaskQueueHandle,
    start: Instant,
}

impl fmt::Debug for GlommioRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlommioRuntime").finish_non_exhaustive()
    }
}

impl GlommioRuntime {
    /// Makes a task queue of its own with `shares` (1000 is what the default queue has), so that its tasks run
    /// beside a busy network task. Call inside an executor.
    pub fn new(name: &str, shares: usize) -> Self {
        let latency = Latency::Matters(Duration::from_millis(1));
        Self {
            queue: ex().create_task_queue(Shares::Static(shares), latency, name),
            start: Instant::now(),
        }
    }

    /// This runtime behind the trait.
    pub fn as_dyn(&self) -> Rc<dyn Runtime> {
        Rc::new(self.clone())
    }
}

impl Runtime for GlommioRuntime {
    fn mono_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn wall_us(&self) -> i64 {
        local::wall_us()
    }

    fn sleep_us(&self, us: u64) -> LocalFuture<'static, ()> {
        Box::pin(glommio::timer::sleep(Duration::from_micros(us)))
    }

    fn spawn(&self, task: LocalFuture<'static, ()>) {
        match glommio::spawn_local_into(task, self.queue) {
            Ok(t) => drop(t.detach()),
            // The queue is made in `new` and never removed.
            Err(e) => unreachable!("storage task queue is gone: {e}"),
        }
    }
}
