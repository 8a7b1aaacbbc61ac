//! Counters of the server around a shard, as INFO prints them: traffic, refusals, turns.

use moon_engine::exec::Shard;

use super::host::{ServerHost, ticks};

/// Counters of the network side.
#[derive(Debug, Default, Clone)]
pub(crate) struct NetStats {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) query_limit: u64,
    pub(crate) output_limit: u64,
    pub(crate) write_timeouts: u64,
    /// Closed because all clients together took too much memory.
    pub(crate) evicted_clients: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) auth_failures: u64,
    /// Certificates that name nobody who may log in.
    pub(crate) denied_certificates: u64,
    /// Handshakes that ended well, and those that did not.
    pub(crate) tls_handshakes: u64,
    pub(crate) tls_failures: u64,
    /// Those of the latter whose peer did not speak TLS.
    pub(crate) tls_plain: u64,
    /// Requests denied for want of a right to the command, a key, a channel.
    pub(crate) denied_commands: u64,
    pub(crate) denied_keys: u64,
    pub(crate) denied_channels: u64,
    pub(crate) denied_databases: u64,
}

/// Turns of the shard's thread and what they take, in clock ticks.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Turns {
    pub(crate) count: u64,
    /// Time in which the thread worked rather than waited.
    pub(crate) busy: u64,
    /// The longest turn.
    pub(crate) longest: u64,
    /// Time for expiry and the samples behind INFO.
    pub(crate) cron: u64,
    /// Time for handing records to the log.
    pub(crate) flush: u64,
    /// Commands of the turn with the most of them.
    pub(crate) commands_max: u64,
    /// When the present turn began, and how many commands had run then.
    begun: (u64, u64),
}

impl Turns {
    /// Starts anew; the present turn goes on.
    fn reset(&mut self) {
        *self = Self { begun: self.begun, ..Self::default() };
    }

    /// A turn begins.
    #[inline]
    pub(crate) fn begin(&mut self, ticks: u64, commands: u64) {
        self.begun = (ticks, commands);
    }

    /// It has ended.
    #[inline]
    pub(crate) fn end(&mut self, commands: u64) {
        let spent = ticks().wrapping_sub(self.begun.0);
        self.count += 1;
        self.busy += spent;
        self.longest = self.longest.max(spent);
        self.commands_max = self.commands_max.max(commands.saturating_sub(self.begun.1));
    }
}

/// The mean of the last 16 samples, 1.6 s (Redis `trackInstantaneousMetric`).
#[derive(Debug, Default)]
pub(crate) struct Rate {
    samples: [u64; 16],
    at: usize,
    last: (u64, u64),
}

impl Rate {
    /// Adds how much `value` has grown for each `scale` of `base`.
    fn sample(&mut self, value: u64, base: u64, scale: u64) {
        let grown = value.saturating_sub(self.last.0).saturating_mul(scale);
        let figure = grown.checked_div(base.saturating_sub(self.last.1));
        self.samples[self.at] = figure.unwrap_or_default();
        self.at = (self.at + 1) % self.samples.len();
        self.last = (value, base);
    }

    pub(crate) fn mean(&self) -> u64 {
        self.samples.iter().sum::<u64>() / self.samples.len() as u64
    }
}

/// Rates INFO prints, per second but for the last.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    pub(crate) ops: Rate,
    pub(crate) input: Rate,
    pub(crate) output: Rate,
    pub(crate) turns: Rate,
    /// Microseconds of a turn.
    pub(crate) turn_us: Rate,
    sampled_ms: u64,
}

impl ServerHost {
    /// Takes the samples behind INFO's rates and peaks. Returns the bytes in use.
    pub(crate) fn sample(&mut self, shard: &Shard) -> usize {
        let now_ms = shard.now().mono_us / 1000;
        if now_ms.saturating_sub(self.rates.sampled_ms) >= 100 {
            let (turns, busy_us) = (self.turns.count, self.ticks_to_us(self.turns.busy));
            let rates = &mut self.rates;
            rates.sampled_ms = now_ms;
            rates.ops.sample(shard.stats.commands, now_ms, 1000);
            rates.input.sample(self.stats.bytes_in, now_ms, 1000);
            rates.output.sample(self.stats.bytes_out, now_ms, 1000);
            rates.turns.sample(turns, now_ms, 1000);
            rates.turn_us.sample(busy_us, turns, 1);
        }
        let allocated = crate::memory::allocated();
        self.memory_peak = self.memory_peak.max(allocated);
        allocated
    }

    /// Says once that error replies have too many codes to be counted by code.
    pub(crate) fn say_errors_full(&self, codes: &str) {
        tracing::warn!(
            "Errorstats stopped adding new errors because there are too many codes; CONFIG RESETSTAT \
             starts anew"
        );
        // Scripts make codes of what they like.
        let codes = self.may_log_user_data().then_some(codes);
        tracing::warn!(codes, "Current errors code list");
    }

    /// Starts all counters anew (CONFIG RESETSTAT).
    pub(crate) fn reset_stats(&mut self) {
        self.traffic_base.0 += self.stats.bytes_in;
        self.traffic_base.1 += self.stats.bytes_out;
        self.stats = NetStats::default();
        self.turns.reset();
        self.freer.reset();
        self.rates = Rates::default();
        self.memory_peak = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_outlives_a_reset() {
        let mut turns = Turns::default();
        let start = ticks();
        turns.begin(start, 7);
        turns.reset();
        turns.end(10);
        assert!(turns.busy <= ticks() - start && turns.longest == turns.busy);
        // Counters of commands may have been reset too.
        turns.begin(ticks(), 10);
        turns.end(1);
        assert_eq!((turns.count, turns.commands_max), (2, 3));
    }

    #[test]
    fn rates_are_means_of_what_has_grown() {
        let mut rate = Rate::default();
        for i in 1..=40 {
            rate.sample(i * 50, i * 100, 1000);
        }
        assert_eq!(rate.mean(), 500);
        // Counters that were reset, and a base that stands still, count as nothing.
        rate.sample(0, 4100, 1000);
        rate.sample(9, 4100, 1000);
        assert_eq!(rate.mean(), 500 * 14 / 16);
    }
}
