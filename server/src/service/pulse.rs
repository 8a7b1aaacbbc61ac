//! What the shard's thread tells other threads of the process about itself.
//!
//! The one idea: the shard only stores, and never waits for a reader. A heartbeat is one store a
//! turn; figures are copied when somebody has asked for them, at the shard's next housekeeping.
//! So whoever reads sees a dead or stuck shard by the age of what it said last.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moon_storage::log::LogState;

use super::figures::Figures;

/// A shard that has not turned for so long counts as stuck.
pub(crate) const STUCK: Duration = Duration::from_secs(5);

/// Where a shard is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Its data is being recovered.
    #[default]
    Loading,
    /// Requests are served.
    Serving,
    /// No more connections; it ends.
    Stopping,
    /// Its thread does nothing any more.
    Ended,
}

const PHASES: [Phase; 4] = [Phase::Loading, Phase::Serving, Phase::Stopping, Phase::Ended];

/// The shard's side of the process.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Time of the last turn, in microseconds since the start.
    beat_us: AtomicU64,
    phase: AtomicU8,
    log: AtomicU8,
    /// It follows a master whose stream does not come.
    link_down: AtomicBool,
    wanted: AtomicBool,
    figures: Mutex<Option<Arc<Figures>>>,
}

impl Pulse {
    /// The shard is alive at this time since the start, in microseconds.
    #[inline]
    pub(crate) fn beat(&self, since_start_us: u64) {
        self.beat_us.store(since_start_us, Ordering::Relaxed);
    }

    /// When the shard was alive, since the start.
    pub(crate) fn last_beat(&self) -> Duration {
        Duration::from_micros(self.beat_us.load(Ordering::Relaxed))
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(crate) fn phase(&self) -> Phase {
        PHASES.get(usize::from(self.phase.load(Ordering::Acquire))).copied().unwrap_or_default()
    }

    pub(crate) fn set_log(&self, state: LogState) {
        let at = LogState::ALL.iter().position(|s| *s == state).unwrap_or(0);
        self.log.store(at as u8, Ordering::Release);
    }

    /// State of the log; `Ok` where there is none.
    pub(crate) fn log(&self) -> LogState {
        let at = usize::from(self.log.load(Ordering::Acquire));
        LogState::ALL.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn set_link_down(&self, down: bool) {
        self.link_down.store(down, Ordering::Release);
    }

    /// Whether it follows a master whose stream does not come.
    pub(crate) fn is_link_down(&self) -> bool {
        self.link_down.load(Ordering::Acquire)
    }

    /// Asks the shard for figures.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Whether somebody has asked for figures since the last call.
    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) && self.wanted.swap(false, Ordering::AcqRel)
    }

    /// Publishes figures.
    pub(crate) fn publish(&self, figures: Figures) {
        *self.figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(Arc::new(figures));
    }

    /// The figures published last.
    pub(crate) fn figures(&self) -> Option<Arc<Figures>> {
        self.figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let pulse = Pulse::default();
        assert_eq!((pulse.phase(), pulse.log()), (Phase::Loading, LogState::Ok));
        for phase in PHASES {
            pulse.set_phase(phase);
            assert_eq!(pulse.phase(), phase);
        }
        for state in LogState::ALL {
            pulse.set_log(state);
            assert_eq!(pulse.log(), state);
        }
        pulse.beat(7_000_000);
        assert_eq!(pulse.last_beat(), Duration::from_secs(7));
        assert!(!pulse.take_wanted());
        pulse.want();
        assert!(pulse.take_wanted() && !pulse.take_wanted());
    }
}
