//! The io_uring host: the network ring inside a glommio executor that owns the files.
//!
//! While requests flow the thread sleeps in the network ring itself, for
//! [`RING_WAIT_MAX`](super::RING_WAIT_MAX) at most: one system call per turn. With nothing to do, or with replies
//! that wait for the log, it sleeps in the executor, and an eventfd registered with the
//! network ring ends that sleep.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use glommio::Placement;
use glommio::timer::Timer;
use moon_storage::io::glommio::{DmaDisk, EventFdWait, GlommioRuntime, executor};

use super::{Gate, RING_WAIT_MAX, ShardEnd, ShardLoop, Turned};
use crate::config::OptionId;
use crate::net::Wait;
use crate::net::listen::Listener;
use crate::net::uring::Uring;
use crate::service::shared::Shared;

/// Shares of the storage queue; the network loop has 1000.
const STORAGE_SHARES: usize = 1000;

/// Runs a shard on the calling thread until it is told to stop.
pub(crate) fn run(shared: Arc<Shared>, listeners: Vec<Listener>, seed: u64) -> ShardEnd {
    let made = executor(Placement::Unbound, "shard-0", 1)
        .and_then(|builder| builder.make().map_err(|e| io::Error::other(e.to_string())));
    match made {
        Err(e) => ShardEnd::Io(e),
        Ok(executor) => executor
            .run(async move { serve(shared, listeners, seed).await })
            .unwrap_or_else(ShardEnd::Io),
    }
}

async fn serve(shared: Arc<Shared>, listeners: Vec<Listener>, seed: u64) -> io::Result<ShardEnd> {
    let entries = shared.with_config(|c| c.int(OptionId::UringEntries)) as u32;
    let mut driver = Uring::new(entries)?;
    driver.wake_on(shared.wake.as_raw_fd())?;
    let event = EventFdWait::new()?;
    driver.register_eventfd(event.signal().fd().as_raw_fd())?;
    let rt = GlommioRuntime::new("storage", STORAGE_SHARES);
    let disk = Rc::new(DmaDisk::new());
    let mut shard = ShardLoop::new(driver, rt.as_dyn(), disk, shared, listeners, seed)?;
    let pump = glommio::spawn_local(pump(event, shard.gate.clone()));
    loop {
        shard.gate.take();
        let wait = match shard.wait() {
            Wait::Up(time) if !shard.has_held() => Wait::Up(time.min(RING_WAIT_MAX)),
            _ => Wait::No,
        };
        match shard.turn(wait)? {
            Turned::End => break,
            Turned::Busy if !shard.has_held() => glommio::yield_if_needed().await,
            _ if sleep(&mut shard).await? == Turned::End => break,
            _ => {}
        }
    }
    pump.cancel().await;
    Ok(shard.end())
}

/// Sleeps in the executor until the ring, the log or the clock has something.
async fn sleep(shard: &mut ShardLoop<Uring>) -> io::Result<Turned> {
    shard.hub.driver.set_eventfd(true);
    // Completions from before the switch do not count on the eventfd.
    let turned = shard.turn(Wait::No)?;
    if turned == Turned::Idle
        && let Wait::Up(time) = shard.wait()
    {
        let gate = shard.gate.clone();
        let mut timer = Timer::new(time);
        let mut opened = std::pin::pin!(gate.opened());
        std::future::poll_fn(|cx| {
            use std::future::Future;
            use std::pin::Pin;
            if opened.as_mut().poll(cx).is_ready() || Pin::new(&mut timer).poll(cx).is_ready() {
                return std::task::Poll::Ready(());
            }
            std::task::Poll::Pending
        })
        .await;
    } else {
        glommio::yield_if_needed().await;
    }
    shard.hub.driver.set_eventfd(false);
    Ok(turned)
}

/// Opens the gate for every count of the eventfd.
async fn pump(event: EventFdWait, gate: Rc<Gate>) {
    while event.wait().await.is_ok() {
        gate.open();
    }
}
