//! Counters the executor keeps, as INFO prints them.

use std::collections::BTreeMap;

/// Distinct error codes that are counted by name (INFO errorstats).
const ERROR_CODES_MAX: usize = 128;
/// The only row there is when more came: nothing is counted by code any more, as in Redis.
const ERRORS_FULL: &str = "ERRORSTATS_DISABLED";

/// Figures of one command row.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Clock ticks spent by runs that are in the histogram, in the host's unit (see [`super::Host::ticks`]).
    pub ticks_in_histogram: u64,
    /// The same of runs that are not.
    pub ticks_besides: u64,
    /// Refused before running.
    pub rejected: u64,
    /// Ran and answered an error.
    pub failed: u64,
    /// How often it took how long, see [`CommandStats::ran`].
    pub histogram: [u32; 32],
}

/// Ticks of the first bucket of a histogram, as a power of two; each further bucket is twice as wide.
pub const HISTOGRAM_FIRST_BITS: u32 = 9;

impl CommandStats {
    /// Clock ticks spent by all runs.
    pub fn ticks(&self) -> u64 {
        self.ticks_in_histogram + self.ticks_besides
    }

    /// Adds the figures of another row.
    pub fn add(&mut self, other: &CommandStats) {
        self.calls += other.calls;
        self.ticks_in_histogram += other.ticks_in_histogram;
        self.ticks_besides += other.ticks_besides;
        self.rejected += other.rejected;
        self.failed += other.failed;
        for (n, more) in self.histogram.iter_mut().zip(&other.histogram) {
            *n = n.saturating_add(*more);
        }
    }

    /// Counts a run, `in_histogram` too: fewer than `2^(i + HISTOGRAM_FIRST_BITS)` ticks go into
    /// bucket `i`.
    #[inline]
    pub(crate) fn ran(&mut self, ticks: u64, in_histogram: bool) {
        self.calls += 1;
        if !in_histogram {
            self.ticks_besides += ticks;
            return;
        }
        self.ticks_in_histogram += ticks;
        let bits = u64::BITS - ticks.leading_zeros();
        let bucket = bits.saturating_sub(HISTOGRAM_FIRST_BITS) as usize;
        self.histogram[bucket.min(self.histogram.len() - 1)] += 1;
    }
}

/// Figures of a shard.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Commands run, those inside EXEC included.
    pub commands: u64,
    /// Reads that found their key.
    pub keyspace_hits: u64,
    /// Reads that did not.
    pub keyspace_misses: u64,
    /// Keys removed because their time ran out.
    pub expired_keys: u64,
    /// Hash fields removed because their time ran out.
    pub expired_subkeys: u64,
    /// Keys removed because memory was short.
    pub evicted_keys: u64,
    /// Error replies.
    pub error_replies: u64,
    /// Error replies by code.
    pub errors: BTreeMap<Box<str>, u64>,
    /// The codes when there were too many, to be told once.
    errors_full: Option<String>,
    /// How long commands take is counted (`latency-tracking`).
    pub histograms: bool,
    /// By command id.
    pub by_command: Vec<CommandStats>,
}

impl Stats {
    /// Counters for a table of `rows` commands.
    pub fn new(rows: usize) -> Self {
        let by_command = vec![CommandStats::default(); rows];
        Stats { by_command, histograms: true, ..Stats::default() }
    }

    /// Sets all counters to zero (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        let histograms = self.histograms;
        *self = Stats { histograms, ..Stats::new(self.by_command.len()) };
    }

    /// Counts a run of a command that ended without running (a wait whose time is over).
    pub fn count_call(&mut self, id: u16, failed: bool) {
        self.commands += 1;
        let row = &mut self.by_command[usize::from(id)];
        row.calls += 1;
        row.failed += u64::from(failed);
    }

    /// Counts an error reply under its code.
    pub fn count_error(&mut self, code: &str) {
        self.error_replies += 1;
        if let Some(n) = self.errors.get_mut(code) {
            *n += 1;
        } else if self.errors.contains_key(ERRORS_FULL) {
            // Scripts make codes of what they like.
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.insert(code.into(), 1);
        } else {
            let codes: Vec<&str> = self.errors.keys().map(|code| &**code).collect();
            self.errors_full = Some(codes.join(", "));
            self.errors = BTreeMap::from([(ERRORS_FULL.into(), 1)]);
        }
    }

    /// The codes that were counted until one too many came, once.
    pub fn take_errors_full(&mut self) -> Option<String> {
        self.errors_full.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_too_many_ends_the_count_by_code() {
        let mut stats = Stats::new(0);
        for i in 0..ERROR_CODES_MAX {
            stats.count_error(&format!("E{i}"));
        }
        stats.count_error("E0");
        assert_eq!((stats.errors.len(), stats.errors["E0"]), (ERROR_CODES_MAX, 2));
        assert_eq!(stats.take_errors_full(), None);
        stats.count_error("ONE");
        stats.count_error("MORE");
        assert_eq!(stats.errors, BTreeMap::from([(ERRORS_FULL.into(), 1)]));
        assert_eq!(stats.error_replies, ERROR_CODES_MAX as u64 + 3);
        let codes = stats.take_errors_full().expect("the codes");
        assert_eq!(codes.split(", ").count(), ERROR_CODES_MAX);
        assert_eq!(stats.take_errors_full(), None);
        stats.reset();
        stats.count_error("ERR");
        assert_eq!(stats.errors["ERR"], 1);
    }
}
