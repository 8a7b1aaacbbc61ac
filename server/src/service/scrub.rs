//! When scrubbing runs, and what becomes of what it finds.
//!
//! What a start would refuse is found while the data are in memory, so the answer to a finding is a new base: it
//! needs neither the damaged base nor the damaged part of the log. State BASE_DAMAGED of durability §4.3 lasts
//! until nothing damaged is listed any more.

use moon_storage::scrub::{Scrub, ScrubStatus};

use super::ShardService;
use crate::config::{Config, OptionId};

/// Milliseconds from the begin of one pass to the next, at least.
const EVERY_MS: u64 = 3_600_000;

/// Scrubbing of a shard with a log.
#[derive(Default)]
pub(crate) struct Scrubbing {
    scrub: Option<Scrub>,
    bytes_per_sec: u64,
    /// When the next pass begins, in milliseconds of the monotonic clock.
    due_ms: u64,
    /// A pass is to begin at once (DEBUG SCRUB).
    asked: bool,
    /// Findings that have been answered.
    answered: u64,
    /// The state is BASE_DAMAGED.
    damaged: bool,
}

/// Figures for /metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ScrubFigures {
    pub(crate) bytes: u64,
    pub(crate) found: u64,
    pub(crate) damaged: usize,
}

impl Scrubbing {
    /// Takes over options.
    pub(crate) fn refresh(&mut self, config: &Config) {
        self.bytes_per_sec = (config.int(OptionId::ScrubMbPerSec) as u64) << 20;
    }

    /// What there is to tell; `None` without a log.
    pub(crate) fn status(&self) -> Option<ScrubStatus> {
        self.scrub.as_ref().map(Scrub::status)
    }

    /// Whether something that is listed is damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Figures for /metrics.
    pub(crate) fn figures(&self) -> ScrubFigures {
        let status = self.status().unwrap_or_default();
        ScrubFigures { bytes: status.bytes, found: status.found, damaged: status.damaged.len() }
    }

    /// Has a pass begin soon, if there is a `log`. False if there is none or scrubbing is off.
    pub(crate) fn ask(&mut self, log: bool) -> bool {
        self.asked = log && self.bytes_per_sec > 0;
        self.asked
    }
}

impl ShardService {
    /// Begins a pass when it is time, and answers findings. A few times a second.
    pub(super) fn tend_scrub(&mut self) {
        let now_ms = self.shard.now().mono_us / 1000;
        let stopping = self.host.shared.is_stopping();
        let scrubbing = &mut self.host.scrub;
        let ground = self.host.saver.ground();
        let parts = ground.and_then(|g| Some((g, g.parts.clone()?)));
        let (Some((ground, parts)), Some(log), false) = (parts, &self.log, stopping) else {
            if let Some(scrub) = scrubbing.scrub.take() {
                scrub.stop();
            }
            return;
        };
        let scrub = scrubbing.scrub.get_or_insert_with(|| {
            scrubbing.due_ms = now_ms + EVERY_MS;
            scrubbing.answered = 0;
            Scrub::new(ground.disk.clone(), ground.rt.clone(), log.clone(), parts)
        });
        scrub.set_pace(scrubbing.bytes_per_sec);
        if scrubbing.bytes_per_sec > 0 && (scrubbing.asked || now_ms >= scrubbing.due_ms) {
            scrubbing.asked = false;
            scrubbing.due_ms = now_ms + EVERY_MS;
            scrub.begin(ground.wake.clone());
        }
        let status = scrub.status();
        let damaged = !status.damaged.is_empty();
        if std::mem::replace(&mut scrubbing.damaged, damaged) && !damaged {
            tracing::info!("nothing that is listed is damaged any more");
        }
        if damaged && status.found > scrubbing.answered && self.host.saver.want_rewrite().is_ok() {
            self.host.scrub.answered = status.found;
            tracing::warn!(
                "a base or segment is damaged: a new base is written, so that it is not needed"
            );
        }
    }
}
