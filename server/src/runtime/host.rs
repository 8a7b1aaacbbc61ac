//! Runs a shard's loop on a thread: turns, storage tasks and sleep.
//!
//! The thread sleeps in the network driver and nowhere else. Storage tasks run between
//! turns on the portable executor; what other threads finish for them wakes the driver
//! through an eventfd, timers bound its sleep.
//!
//! The `dma` driver has its executor on another thread: hosted in one, this thread slept
//! through its timers (docs/adr/0005).

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use moon_storage::io::glommio::DmaDisk;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;
use moon_storage::io::{Disk, Runtime};

use super::{ShardEnd, ShardLoop, Turned};
use crate::net::listen::Listener;
use crate::net::{Driver, Wait};
use crate::service::shared::Shared;

/// Through which driver a shard's files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskDriver {
    /// io_uring on a thread of its own.
    Dma,
    /// System calls on a pool of threads.
    Posix,
}

impl DiskDriver {
    /// Name as `INFO` and the log print it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dma => "dma",
            Self::Posix => "posix",
        }
    }

    /// The driver for a shard of the calling thread.
    fn start(self) -> io::Result<Rc<dyn Disk>> {
        logged(match self {
            Self::Dma => Rc::new(DmaDisk::start(1)?),
            Self::Posix => Rc::new(PosixDisk::new()),
        })
    }
}

/// A driver that, in a test build, logs what it does if `MOON_TRACE` names a file.
pub(crate) fn logged(disk: Rc<dyn Disk>) -> io::Result<Rc<dyn Disk>> {
    #[cfg(feature = "failpoints")]
    if let Some(log) = std::env::var_os("MOON_TRACE") {
        return Ok(Rc::new(moon_storage::io::record::RecordDisk::new(disk, log.as_ref())?));
    }
    Ok(disk)
}

/// Runs a shard on the calling thread until it is told to stop. `make` makes the driver on
/// this thread.
pub(crate) fn run<D: Driver>(
    make: impl FnOnce() -> io::Result<D>,
    disk: DiskDriver,
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    seed: u64,
) -> ShardEnd {
    serve(make, disk, shared, listeners, seed).unwrap_or_else(ShardEnd::Io)
}

fn serve<D: Driver>(
    make: impl FnOnce() -> io::Result<D>,
    disk: DiskDriver,
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    seed: u64,
) -> io::Result<ShardEnd> {
    let rt = LocalRuntime::new()?;
    let mut driver = make()?;
    driver.wake_on(rt.event_fd().as_raw_fd())?;
    driver.wake_on(shared.wake.as_raw_fd())?;
    let mut shard = ShardLoop::new(driver, rt.as_dyn(), disk.start()?, shared, listeners, seed)?;
    loop {
        let due = rt.run_ready();
        let wait = match (shard.wait(), due) {
            (Wait::Up(time), Some(due)) => {
                let left = Duration::from_micros(due.saturating_sub(rt.mono_us()));
                if left.is_zero() { Wait::No } else { Wait::Up(time.min(left)) }
            }
            (wait, _) => wait,
        };
        shard.gate.take();
        if shard.turn(wait)? == Turned::End {
            return Ok(shard.end());
        }
    }
}
