//! Driver `dma`: direct I/O through io_uring on glommio executors, one executor thread a shard.
//!
//! The only place that knows glommio. What glommio 0.9 needs to be told, and where it is told:
//!
//! | trap | answer |
//! |---|---|
//! | three rings pin `io_memory` each; over the memlock limit buffers silently stay unregistered | [`Sizing`] |
//! | the first direct open of an *empty* file on a thread can mark the device as pollable; later reads fail with EOPNOTSUPP | `DmaDisk` shows it a file with data first; a file that still answers EOPNOTSUPP falls back |
//! | `DmaFile::create` is write-only | `OpenOptions`, on a file made before |
//! | a file system that refuses `O_DIRECT` | such files go through `posix`, one by one |
//! | a parked executor now and then sleeps through a waker of another thread | nothing on it waits for one: the module `host` wakes it through an event descriptor, pool calls stay with the caller |
//! | no public way to wait for a descriptor | the module `event` |

mod disk;
mod event;
mod host;
#[cfg(test)]
mod measure;
mod probe;
#[cfg(test)]
mod tests;

use std::io;

use glommio::{GlommioError, LocalExecutorBuilder, Placement};

use super::sys;

pub use disk::DmaDisk;
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
struct Sizing {
    /// Limit of the process in bytes; `u64::MAX` without one.
    memlock: u64,
    /// Bytes per ring; an executor pins three times as much.
    io_memory: usize,
    /// False if even the smallest size goes over the limit: I/O works, buffers are not registered.
    fits: bool,
}

impl Sizing {
    /// Shares the process's memlock limit among `shards` executors.
    fn for_shards(shards: usize) -> io::Result<Self> {
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
fn executor(name: &str, shards: usize) -> io::Result<LocalExecutorBuilder> {
    let sizing = Sizing::for_shards(shards)?;
    tracing::debug!(
        memlock = sizing.memlock,
        io_memory = sizing.io_memory,
        registered = sizing.fits,
        shards,
        "io_uring executor {name}"
    );
    Ok(LocalExecutorBuilder::new(Placement::Unbound).name(name).io_memory(sizing.io_memory))
}

/// glommio's error as the system's, with the error number kept.
pub(super) fn io_error<T>(e: GlommioError<T>) -> io::Error {
    match e {
        GlommioError::IoError(e) | GlommioError::EnhancedIoError { source: e, .. } => e,
        other => io::Error::other(other.to_string()),
    }
}
