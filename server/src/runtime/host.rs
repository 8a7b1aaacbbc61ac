//! Runs a shard's loop on a thread: turns, storage tasks and sleep.
//!
//! The thread sleeps in the network driver and nowhere else. Storage tasks run between
//! turns on the portable executor; what other threads finish for them wakes the driver
//! through an eventfd, timers bound its sleep.
//!
//! glommio's executor is not used here. Two ways of hosting the ring in it were tried with
//! glommio 0.9 on kernel 6.18: parking in it, woken through an eventfd, and keeping it awake
//! while it has work. Both cost two to three system calls more per turn, and in both its park
//! sometimes slept through its own timer. The posix driver commits a group faster than that.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use moon_storage::io::Runtime;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;

use super::{ShardEnd, ShardLoop, Turned};
use crate::net::listen::Listener;
use crate::net::{Driver, Wait};
use crate::service::shared::Shared;

/// Runs a shard on the calling thread until it is told to stop. `make` makes the driver on
/// this thread.
pub(crate) fn run<D: Driver>(
    make: impl FnOnce() -> io::Result<D>,
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    seed: u64,
) -> ShardEnd {
    serve(make, shared, listeners, seed).unwrap_or_else(ShardEnd::Io)
}

fn serve<D: Driver>(
    make: impl FnOnce() -> io::Result<D>,
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    seed: u64,
) -> io::Result<ShardEnd> {
    let rt = LocalRuntime::new()?;
    let mut driver = make()?;
    driver.wake_on(rt.event_fd().as_raw_fd())?;
    driver.wake_on(shared.wake.as_raw_fd())?;
    let disk = Rc::new(PosixDisk::new());
    let mut shard = ShardLoop::new(driver, rt.as_dyn(), disk, shared, listeners, seed)?;
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
