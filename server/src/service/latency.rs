//! The latency monitor: what took at least `latency-monitor-threshold` milliseconds, by kind of event.

use std::collections::{BTreeMap, VecDeque};

/// Samples kept of an event.
const SAMPLES_MAX: usize = 160;

/// The samples of an event, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Series {
    samples: VecDeque<(u64, u64)>,
    /// The longest since the last reset, in milliseconds.
    pub(crate) max: u64,
}

impl Series {
    /// Unix seconds and milliseconds.
    pub(crate) fn samples(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.samples.iter().copied()
    }

    fn add(&mut self, unix_secs: u64, millis: u64) {
        self.max = self.max.max(millis);
        // One sample a second, the longest.
        match self.samples.back_mut() {
            Some((secs, longest)) if *secs == unix_secs => *longest = (*longest).max(millis),
            _ => self.samples.push_back((unix_secs, millis)),
        }
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }
}

/// All events.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    events: BTreeMap<&'static str, Series>,
    /// In milliseconds; 0 is off.
    pub(crate) threshold: u64,
}

impl Monitor {
    /// Adds what has taken some time, if it was long enough.
    pub(crate) fn add(&mut self, event: &'static str, unix_secs: u64, micros: u64) {
        let millis = micros / 1000;
        if self.threshold > 0 && millis >= self.threshold {
            self.events.entry(event).or_default().add(unix_secs, millis);
        }
    }

    pub(crate) fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &Series)> {
        self.events.iter().map(|(name, series)| (*name, series))
    }

    /// An event with the name that it has.
    pub(crate) fn event(&self, name: &[u8]) -> Option<(&'static str, &Series)> {
        self.events().find(|(event, _)| event.as_bytes() == name)
    }

    /// Forgets an event; false if there was none.
    pub(crate) fn reset(&mut self, name: &[u8]) -> bool {
        let Some((event, _)) = self.event(name) else { return false };
        self.events.remove(event).is_some()
    }

    /// Forgets all events, and tells how many there were.
    pub(crate) fn reset_all(&mut self) -> usize {
        let n = self.events.len();
        self.events.clear();
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_the_longest_of_a_second() {
        let mut monitor = Monitor::default();
        monitor.add("command", 1, 9_000_000);
        assert_eq!(monitor.events().len(), 0, "it is off");
        monitor.threshold = 10;
        for (secs, millis) in [(1, 9), (1, 20), (1, 15), (2, 11)] {
            monitor.add("command", secs, millis * 1000);
        }
        let (_, series) = monitor.event(b"command").expect("an event");
        assert_eq!(series.samples().collect::<Vec<_>>(), [(1, 20), (2, 11)]);
        assert_eq!(series.max, 20);
        for secs in 0..200 {
            monitor.add("command", secs + 10, 10_000);
        }
        assert_eq!(monitor.event(b"command").map(|(_, s)| s.samples().count()), Some(SAMPLES_MAX));
        assert!(monitor.reset(b"command") && !monitor.reset(b"command"));
        assert_eq!(monitor.reset_all(), 0);
    }
}
