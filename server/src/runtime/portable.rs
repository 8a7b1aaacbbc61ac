//! The portable host: epoll for sockets, a blocking pool for files.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use moon_storage::io::Runtime;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;

use super::{ShardEnd, ShardLoop, Turned};
use crate::net::Wait;
use crate::net::epoll::Epoll;
use crate::net::listen::Listener;
use crate::service::shared::Shared;

/// Runs a shard on the calling thread until it is told to stop.
pub(crate) fn run(shared: Arc<Shared>, listeners: Vec<Listener>, seed: u64) -> ShardEnd {
    serve(shared, listeners, seed).unwrap_or_else(ShardEnd::Io)
}

fn serve(shared: Arc<Shared>, listeners: Vec<Listener>, seed: u64) -> io::Result<ShardEnd> {
    let rt = LocalRuntime::new()?;
    let mut driver = Epoll::new()?;
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
