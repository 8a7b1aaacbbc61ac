//! When the next group commits under `always`.
//!
//! Clients that wait for each answer split into two halves if a group is written the moment the one before it is
//! durable: the half that was just answered comes too late for it, and every sync serves half of them. So the writer
//! pauses, at most a part of the time that the last group took, until as many records have come as were answered.
//!
//! Invariants:
//! * Clients that do not come back at once are not waited for: a pause in which most of those answered did not
//!   come makes the next ones rarer, one that ended early makes them more frequent again.
//! * No pause is longer than [`US_MAX`].
//!
//! (PostgreSQL's `commit_delay` is a pause of that kind with a fixed length.)

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Poll, Waker};

use crate::io::Runtime;

/// The pause is at most this part of the time that the last group took.
const PART: u64 = 2;
/// A shorter pause is not made, in microseconds: it would cost more than the sync that it may spare.
const US_MIN: u64 = 200;
/// Longest pause, in microseconds.
const US_MAX: u64 = 1000;
/// Most groups between two tries.
const SKIP_MAX: u32 = 256;

/// Whether it pays to pause, and the pause under way.
#[derive(Default)]
pub(super) struct Gathering {
    until_lsn: Cell<u64>,
    waker: RefCell<Option<Waker>>,
    /// Groups to commit without a pause.
    skip: Cell<u32>,
    /// How many those were at first.
    skipped: Cell<u32>,
}

impl Gathering {
    /// How long the group of `gathered` records should wait for those that were `answered` just now, by a group
    /// that took `took_us`.
    pub(super) fn pause_us(&self, gathered: u64, answered: u64, took_us: u64) -> Option<u64> {
        let us = (took_us / PART).min(US_MAX);
        // A client alone is never waited for.
        if gathered + answered < 2 || us < US_MIN {
            return None;
        }
        match self.skip.get() {
            0 => Some(us),
            n => {
                self.skip.set(n - 1);
                None
            }
        }
    }

    /// Waits until `until_lsn` was appended, at most `us` microseconds.
    pub(super) async fn wait(&self, rt: &dyn Runtime, until_lsn: u64, us: u64) {
        let mut sleep = rt.sleep_us(us);
        self.until_lsn.set(until_lsn);
        poll_fn(|cx| {
            // `look` clears it once enough is there.
            if self.until_lsn.get() == 0 {
                return Poll::Ready(());
            }
            self.waker.replace(Some(cx.waker().clone()));
            Pin::new(&mut sleep).poll(cx)
        })
        .await;
        self.until_lsn.set(0);
        self.waker.take();
    }

    /// Notes that records up to `last_lsn` are there.
    pub(super) fn look(&self, last_lsn: u64) {
        let until = self.until_lsn.get();
        if until != 0 && last_lsn >= until {
            self.until_lsn.set(0);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// Learns from a pause in which `came` records came of the `answered` that were hoped for.
    pub(super) fn came(&self, came: u64, answered: u64) {
        // Of writes that come at random a third would be there: as many as in any such time.
        let have_come = came * 4 >= answered * 3;
        let skip = match have_come {
            true => self.skipped.get() / 2,
            false => (self.skipped.get() * 2).clamp(1, SKIP_MAX),
        };
        self.skipped.set(skip);
        self.skip.set(skip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::local::LocalRuntime;
    use std::rc::Rc;

    #[test]
    fn a_pause_ends_when_enough_has_come() {
        let rt = LocalRuntime::new().expect("runtime");
        let gathering = Rc::new(Gathering::default());
        let began = rt.mono_us();
        let (other, dyn_rt) = (Rc::clone(&gathering), rt.as_dyn());
        rt.spawn(Box::pin(async move {
            dyn_rt.sleep_us(1000).await;
            other.look(9);
            dyn_rt.sleep_us(1000).await;
            other.look(10);
        }));
        let all = rt.as_dyn();
        rt.block_on(gathering.wait(&*all, 10, 20_000_000));
        let took = rt.mono_us() - began;
        assert!((2000..10_000_000).contains(&took), "{took}");
        rt.block_on(gathering.wait(&*all, 11, 1000));
    }

    /// How many of so many groups pause, if of five answered so many come.
    fn tries(g: &Gathering, groups: u32, come: u64) -> usize {
        let paused = |_: &u32| g.pause_us(5, 5, 400).inspect(|_| g.came(come, 5)).is_some();
        (0..groups).filter(paused).count()
    }

    #[test]
    fn pauses_that_bring_nothing_become_rare() {
        let g = Gathering::default();
        assert_eq!(tries(&g, 1000, 2), 11);
        assert!(tries(&g, 10_000, 2) < 45);
        // Clients that come back at once are waited for by every group, soon.
        assert!(tries(&g, 1000, 4) > 450);
        assert_eq!(tries(&g, 100, 4), 100);
    }

    #[test]
    fn the_length_of_a_pause_follows_the_group() {
        let g = Gathering::default();
        assert_eq!(g.pause_us(5, 5, 400), Some(200));
        assert_eq!(g.pause_us(0, 5, 400), Some(200));
        assert_eq!(g.pause_us(5, 5, 1_000_000), Some(US_MAX));
        assert_eq!(g.pause_us(5, 5, 2 * US_MIN - 1), None, "a device that is fast enough");
        assert_eq!(g.pause_us(0, 1, 400), None, "a client alone");
    }
}
