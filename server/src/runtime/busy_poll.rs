//! Looking for new requests for a moment before the thread sleeps, as long as that pays.
//!
//! A sleeping thread costs whoever sends to it a wake-up, and itself the way back; under load the
//! next request is often there sooner than that is done. The window bounds one look; looks that
//! found nothing make the next ones rarer (up to one idle period in [`SKIP_MAX`]), so an idle or
//! lightly loaded server does not spin, nor one whose clients need its core.

/// Idle periods without a look after looks that found nothing.
const SKIP_MAX: u32 = 255;

/// Decides, in an idle period, between another look and sleep.
#[derive(Debug, Default)]
pub(super) struct BusyPoll {
    window_us: u64,
    /// When the look of this idle period began.
    since_us: Option<u64>,
    /// Whether the look of this idle period has found nothing.
    failed: bool,
    /// Idle periods still to pass without a look.
    skip: u32,
    /// What `skip` was set to last.
    penalty: u32,
}

impl BusyPoll {
    /// How long a look may last, in microseconds; 0 turns it off, as it is at first.
    pub(super) fn set_window(&mut self, window_us: u64) {
        self.window_us = window_us;
    }

    /// There is nothing to do: whether to look again rather than sleep.
    pub(super) fn look(&mut self, now_us: u64) -> bool {
        if self.window_us == 0 || self.skip > 0 || self.failed {
            return false;
        }
        let since_us = *self.since_us.get_or_insert(now_us);
        if now_us.saturating_sub(since_us) < self.window_us {
            return true;
        }
        self.failed = true;
        self.penalty = (self.penalty * 2 + 1).min(SKIP_MAX);
        false
    }

    /// Something came: the idle period, if there was one, is over.
    pub(super) fn arrived(&mut self) {
        if self.failed {
            self.skip = self.penalty;
        } else if self.since_us.is_some() {
            self.penalty /= 2;
        } else {
            self.skip = self.skip.saturating_sub(1);
        }
        self.since_us = None;
        self.failed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(window_us: u64) -> BusyPoll {
        let mut poll = BusyPoll::default();
        poll.set_window(window_us);
        poll
    }

    /// Runs idle periods of that length and counts how long the thread looked in all of them.
    fn looked_us(poll: &mut BusyPoll, periods: u32, idle_us: u64) -> u64 {
        let mut looked = 0;
        for _ in 0..periods {
            for at in 0..idle_us {
                if !poll.look(1_000 + at) {
                    break;
                }
                looked += 1;
            }
            poll.arrived();
        }
        looked
    }

    #[test]
    fn it_looks_as_long_as_requests_come_within_the_window() {
        let mut poll = window(20);
        assert_eq!(looked_us(&mut poll, 1000, 10), 10_000);
    }

    #[test]
    fn it_hardly_looks_when_they_come_later() {
        let mut poll = window(20);
        let looked = looked_us(&mut poll, 100_000, 100);
        assert!(looked < 100_000 / 10, "{looked} us in 100,000 idle periods");
    }

    #[test]
    fn it_looks_again_soon_after_the_load_comes_back() {
        let mut poll = window(20);
        looked_us(&mut poll, 100_000, 100);
        looked_us(&mut poll, 2 * SKIP_MAX, 10);
        assert_eq!(looked_us(&mut poll, 100, 10), 1000);
    }

    #[test]
    fn a_window_of_zero_never_looks() {
        assert_eq!(looked_us(&mut window(0), 100, 10), 0);
    }
}
