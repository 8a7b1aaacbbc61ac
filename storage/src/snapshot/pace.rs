//! How fast a snapshot may go.

/// Bytes a turn may serialise if nothing else is said: a fraction of a millisecond.
const TURN_BYTES: usize = 128 << 10;

/// Bounds on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes serialised in one turn of the shard, about.
    pub turn_bytes: usize,
    /// `snapshot-mb-per-sec`: bytes a second; 0 for as fast as the device takes them.
    pub bytes_per_sec: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { turn_bytes: TURN_BYTES, bytes_per_sec: 0 }
    }
}

/// Keeps a job at its pace.
#[derive(Debug)]
pub(super) struct Clock {
    pace: Pace,
    started_us: u64,
    spent: u64,
    /// Until when a wake-up is on its way.
    armed_until_us: u64,
}

impl Clock {
    pub(super) fn new(pace: Pace, now_us: u64) -> Clock {
        Clock { pace, started_us: now_us, spent: 0, armed_until_us: 0 }
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.spent += bytes as u64;
    }

    /// Monotonic time at which what was spent is paid for.
    fn due_us(&self) -> u64 {
        match self.pace.bytes_per_sec {
            0 => 0,
            rate => {
                let us = u128::from(self.spent) * 1_000_000 / u128::from(rate);
                self.started_us.saturating_add(us as u64)
            }
        }
    }

    pub(super) fn may_go(&self, now_us: u64) -> bool {
        now_us >= self.due_us()
    }

    /// Microseconds until more may be spent; `None` if a wake-up for that is on its way.
    pub(super) fn wait_us(&mut self, now_us: u64) -> Option<u64> {
        let due = self.due_us();
        if self.armed_until_us >= due && self.armed_until_us > now_us {
            return None;
        }
        self.armed_until_us = due;
        Some(due.saturating_sub(now_us).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_a_second_takes_a_second() {
        let pace = Pace { bytes_per_sec: 1 << 20, ..Pace::default() };
        let mut clock = Clock::new(pace, 5);
        assert!(clock.may_go(5));
        clock.spend(1 << 20);
        assert!(!clock.may_go(1_000_004) && clock.may_go(1_000_005));
        assert_eq!(clock.wait_us(5), Some(1_000_000));
        assert_eq!(clock.wait_us(6), None, "one wake-up is enough");
        assert!(Clock::new(Pace::default(), 9).may_go(0), "no pace, no wait");
    }
}
