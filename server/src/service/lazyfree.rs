//! Freeing what the shard has thrown away, on a thread of its own.
//!
//! The thread starts with the first garbage. Its counters are the only thing shared with it; when a
//! client waits for them, it wakes the shard.
//!
//! Invariant: what [`Freer::pending`] counts is garbage that has left the shard's trash or is in it,
//! and has not been freed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use moon_engine::db::{Garbage, Trash};

use super::shared::Shared;
use crate::net::{Slot, sys};

/// What the thread has done.
#[derive(Default)]
struct Done {
    keys: AtomicU64,
    bytes: AtomicU64,
    /// The shard wants to be woken.
    awaited: AtomicBool,
}

/// A client to be answered when what it left has been freed.
struct Waiter {
    slot: Slot,
    /// Keys freed ever by then.
    until: u64,
    reply: Vec<u8>,
}

/// The shard's side.
#[derive(Default)]
pub(crate) struct Freer {
    done: Arc<Done>,
    thread: Option<Sender<Garbage>>,
    waiters: VecDeque<Waiter>,
    /// Keys freed before the last reset of the counters.
    base: u64,
}

fn run(garbage: &Receiver<Garbage>, done: &Done, shared: &Shared) {
    for item in garbage {
        item.free(|keys, bytes| {
            done.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            done.keys.fetch_add(keys as u64, Ordering::Release);
        });
        if done.awaited.load(Ordering::Acquire) {
            sys::eventfd_wake(&shared.wake);
        }
    }
}

impl Freer {
    /// Hands over what has gathered.
    #[cold]
    pub(crate) fn take_out(&mut self, trash: &mut Trash, shared: &Arc<Shared>) {
        for item in trash.take() {
            let sender = match &self.thread {
                Some(sender) => sender,
                None => self.thread.insert(start(self.done.clone(), shared.clone())),
            };
            // Without the thread it is freed here.
            if let Err(mpsc::SendError(item)) = sender.send(item) {
                item.free(|keys, bytes| {
                    self.done.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                    self.done.keys.fetch_add(keys as u64, Ordering::Release);
                });
            }
        }
    }

    fn keys_done(&self) -> u64 {
        self.done.keys.load(Ordering::Acquire)
    }

    /// Keys and bytes that are still to be freed.
    pub(crate) fn pending(&self, trash: &Trash) -> (u64, u64) {
        let bytes = self.done.bytes.load(Ordering::Relaxed);
        (trash.keys().saturating_sub(self.keys_done()), trash.bytes().saturating_sub(bytes))
    }

    /// Keys freed since the last reset.
    pub(crate) fn freed(&self) -> u64 {
        self.keys_done() - self.base
    }

    /// Counts anew (CONFIG RESETSTAT).
    pub(crate) fn reset(&mut self) {
        self.base = self.keys_done();
    }

    /// Keeps the reply of a client until all that is in the trash has been freed.
    pub(crate) fn hold(&mut self, slot: Slot, trash: &Trash, reply: Vec<u8>) {
        self.waiters.push_back(Waiter { slot, until: trash.keys(), reply });
        self.done.awaited.store(true, Ordering::Release);
    }

    /// Forgets a client that is gone.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.waiters.retain(|w| w.slot != slot);
    }

    /// Clients whose replies are kept.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// The next reply that may leave.
    #[inline]
    pub(crate) fn next_reply(&mut self) -> Option<(Slot, Vec<u8>)> {
        let first = self.waiters.front()?;
        if first.until > self.keys_done() {
            return None;
        }
        let first = self.waiters.pop_front()?;
        self.done.awaited.store(!self.waiters.is_empty(), Ordering::Release);
        Some((first.slot, first.reply))
    }
}

fn start(done: Arc<Done>, shared: Arc<Shared>) -> Sender<Garbage> {
    let (sender, garbage) = mpsc::channel();
    let thread = thread::Builder::new().name("lazyfree".into());
    if let Err(error) = thread.spawn(move || run(&garbage, &done, &shared)) {
        tracing::warn!(%error, "no thread for freeing: large values are freed by their commands");
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A channel without a reader hands the garbage back, and it is freed on the spot.
    #[test]
    fn without_a_thread_the_shard_frees() {
        let mut freer = Freer { thread: Some(mpsc::channel().0), ..Freer::default() };
        let mut trash = Trash::default();
        trash.collect();
        assert_eq!(freer.pending(&trash), (0, 0));
        freer.hold(7, &trash, b"+OK".to_vec());
        assert_eq!(freer.next_reply(), Some((7, b"+OK".to_vec())));
        assert_eq!(freer.next_reply(), None);
    }
}
