//! When a save or a new base is due, and what a start would have to read until then.

use moon_storage::log::Log;

use super::{RETRY_SECS, Saver};

/// Speed at which a log is taken to be read where no start has measured it.
const REPLAY_BYTES_PER_SEC: u64 = 32 << 20;
/// Bases whose age is remembered.
const BASE_TIMES_MAX: usize = 2000;

impl Saver {
    pub(super) fn due_save_point(&self, dirty: u64, now_secs: u64) -> Option<(u64, u64)> {
        if !self.last_save.ok && now_secs < self.last_save.tried_secs + RETRY_SECS {
            return None;
        }
        let since = now_secs.saturating_sub(self.saved_secs);
        self.points.iter().copied().find(|(secs, changes)| dirty >= *changes && since >= *secs)
    }

    /// Bytes of the log behind its base.
    pub(crate) fn log_since_base(&self, log: &Log) -> u64 {
        let written = log.status().written_bytes.saturating_sub(self.base_log_bytes);
        written + self.opened_log_bytes
    }

    /// Milliseconds for which a start would read so much of the log.
    pub(crate) fn replay_ms(&self, bytes: u64) -> u64 {
        let measured = self.ground.as_ref().and_then(|g| g.replay_bytes_per_sec);
        let rate = measured.unwrap_or(REPLAY_BYTES_PER_SEC).max(1);
        u64::try_from(u128::from(bytes) * 1000 / u128::from(rate)).unwrap_or(u64::MAX)
    }

    /// Where a restore to a moment can begin: LSN, and seconds since 1970, 0 if not known.
    pub(crate) fn oldest_restore(&self) -> Option<(u64, u64)> {
        let ground = self.ground.as_ref()?;
        let list = ground.parts.as_ref()?.list();
        Some(match list.history.last().or(list.base.as_ref()) {
            None => (list.log_from_lsn, 0),
            Some(base) => {
                let made = ground.base_times.iter().find(|(seq, _)| *seq == base.seq);
                (base.cut, made.map_or(0, |(_, secs)| *secs))
            }
        })
    }

    /// The timeline in force, and the last LSN that it shares with the one before.
    pub(crate) fn timeline(&self) -> Option<(u64, Option<u64>)> {
        let list = self.ground.as_ref()?.parts.as_ref()?.list();
        list.timelines.last().map(|timeline| (timeline.epoch, timeline.forked_at))
    }

    /// Bases that are kept, the one in force included.
    pub(crate) fn bases(&self) -> usize {
        let list = self.ground.as_ref().and_then(|g| Some(g.parts.as_ref()?.list()));
        list.map_or(0, |list| list.history.len() + usize::from(list.base.is_some()))
    }

    /// Remembers when a base was made.
    pub(super) fn note_base(&mut self, seq: u64, now_secs: u64) {
        if let Some(ground) = &mut self.ground {
            ground.base_times.push((seq, now_secs));
            let excess = ground.base_times.len().saturating_sub(BASE_TIMES_MAX);
            ground.base_times.sort_unstable();
            ground.base_times.drain(..excess);
        }
    }

    /// Why a new base is due whose log has so many bytes, if it is.
    pub(super) fn why_rewrite(&self, grown: u64, now_secs: u64) -> Option<&'static str> {
        if !self.last_rewrite.ok && now_secs < self.last_rewrite.tried_secs + RETRY_SECS {
            return None;
        }
        let percent = |p: u64| u128::from(self.base_bytes) * u128::from(p) / 100;
        let is_beyond = |p: u64| u128::from(grown) > percent(p);
        if self.growth_percent > 0 && grown > self.growth_min && is_beyond(self.growth_percent) {
            return Some("the log has outgrown its base");
        }
        if self.max_wal > 0 && grown > self.max_wal && is_beyond(10) {
            return Some("the log is longer than max-wal-size");
        }
        let target_ms = self.target_secs.saturating_mul(1000);
        if target_ms > 0 && self.replay_ms(grown) > target_ms && is_beyond(10) {
            return Some("reading the log would take longer than recovery-target-secs");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::Last;
    use super::*;

    #[test]
    fn when_a_new_base_is_due() {
        const MIB: u64 = 1 << 20;
        let saver = Saver {
            growth_percent: 100,
            growth_min: 64 * MIB,
            max_wal: 256 * MIB,
            target_secs: 10,
            base_bytes: 100 * MIB,
            ..Saver::default()
        };
        let why = |saver: &Saver, mib: u64| saver.why_rewrite(mib * MIB, 100).unwrap_or("no");
        assert_eq!(why(&saver, 99), "no");
        assert!(why(&saver, 101).contains("outgrown"));
        let large = Saver { base_bytes: 1000 * MIB, ..saver };
        assert_eq!(why(&large, 256), "no");
        assert!(why(&large, 257).contains("max-wal-size"));
        let huge = Saver { base_bytes: 10_000 * MIB, max_wal: 0, ..large };
        assert_eq!(why(&huge, 999), "no", "less than a tenth of the base");
        assert!(why(&huge, 1001).contains("recovery-target-secs"));
        let never = Saver { target_secs: 0, growth_percent: 0, ..huge };
        assert_eq!(why(&never, 100_000), "no");
        let failed = Last { ok: false, tried_secs: 97, ..Last::default() };
        let failed = Saver { last_rewrite: failed, growth_percent: 1, ..never };
        assert_eq!(why(&failed, 100_000), "no", "not so soon after a failure");
    }
}
