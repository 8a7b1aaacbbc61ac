//! How much of the log is kept for readers of changes (durability §7).

use std::collections::VecDeque;

use moon_engine::slots::{Slot, Slots};
use moon_storage::log::{Floor, Log, SegmentInfo};

use crate::config::{Config, OptionId};

/// Instants kept of the log's growth; at one a second, and half of them dropped when there are more.
const MARKS_MAX: usize = 4096;

/// The rules, and what is known of the log's past.
#[derive(Default)]
pub(super) struct Retention {
    bytes: u64,
    secs: u64,
    slot_bytes_max: u64,
    /// Up to which change of slots the floor is set.
    pub(super) slots_seen: u64,
    /// When the log's last LSN was what, oldest first. A server knows nothing of the time before its start:
    /// what is older counts as of then.
    marks: VecDeque<(u64, u64)>,
}

impl Retention {
    pub(super) fn refresh(&mut self, config: &Config) {
        self.bytes = config.int(OptionId::CdcRetainBytes) as u64;
        self.secs = config.int(OptionId::CdcRetainSecs) as u64;
        self.slot_bytes_max = config.int(OptionId::CdcSlotMaxBytes) as u64;
    }

    /// Slots that hold more of the log than they may.
    pub(super) fn too_long(&self, log: &Log, slots: &Slots) -> Vec<(Box<[u8]>, Slot)> {
        if self.slot_bytes_max == 0 || slots.is_empty() {
            return Vec::new();
        }
        let segments = log.segments();
        let too_long = |(_, slot): &(&[u8], Slot)| {
            !slot.given_up && held_bytes(&segments, slot) > self.slot_bytes_max
        };
        slots.iter().filter(too_long).map(|(name, slot)| (name.into(), slot)).collect()
    }

    /// Sets the floor for readers. When something of the log is `damaged`, only slots hold it: without them
    /// it goes with the next base, so that no start has to read over the damage.
    pub(super) fn apply(&mut self, log: &Log, slots: &Slots, now_secs: u64, damaged: bool) {
        self.slots_seen = slots.generation();
        self.mark(now_secs, log.last_lsn());
        let segments: Vec<(u64, u64)> =
            log.segments().iter().map(|s| (s.base_lsn, s.bytes)).collect();
        let end = log.last_lsn() + 1;
        let slots = slots.iter().filter(|(_, slot)| !slot.given_up).map(|(_, s)| s.floor_lsn);
        let by_slots = slots.min().unwrap_or(end);
        let kept = self.by_bytes(&segments, end).min(self.by_age(now_secs, end));
        let floor = if damaged { by_slots } else { kept.min(by_slots) };
        if log.floors().get(Floor::Cdc) != Some(floor) {
            log.set_floor(Floor::Cdc, Some(floor));
        }
    }

    /// The first LSN of so much of the log's end that it is as long as asked for.
    fn by_bytes(&self, segments: &[(u64, u64)], end: u64) -> u64 {
        let mut held = 0;
        let mut floor = end;
        for (base, bytes) in segments.iter().rev() {
            if held >= self.bytes {
                break;
            }
            held += bytes;
            floor = *base;
        }
        floor
    }

    fn by_age(&self, now_secs: u64, end: u64) -> u64 {
        if self.secs == 0 {
            return end;
        }
        let edge = now_secs.saturating_sub(self.secs);
        let before = self.marks.iter().rev().find(|(secs, _)| *secs <= edge);
        before.map_or(0, |(_, lsn)| lsn + 1)
    }

    fn mark(&mut self, now_secs: u64, lsn: u64) {
        if self.marks.back().is_some_and(|(secs, last)| *secs == now_secs || *last == lsn) {
            return;
        }
        self.marks.push_back((now_secs, lsn));
        let edge = now_secs.saturating_sub(self.secs);
        while self.marks.get(1).is_some_and(|(secs, _)| *secs <= edge) {
            self.marks.pop_front();
        }
        if self.marks.len() > MARKS_MAX {
            // Coarser, and never later than it was.
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }
}

/// Bytes of the segments that a slot needs.
pub(super) fn held_bytes(segments: &[SegmentInfo], slot: &Slot) -> u64 {
    let needed = segments.iter().filter(|s| s.last_lsn >= slot.floor_lsn);
    needed.map(|s| s.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_age() {
        let mut r = Retention { bytes: 25, secs: 0, ..Retention::default() };
        let segments = [(1, 10), (100, 10), (200, 10), (300, 10)];
        assert_eq!(r.by_bytes(&segments, 400), 100);
        r.bytes = 0;
        assert_eq!(r.by_bytes(&segments, 400), 400);
        r.bytes = 1000;
        assert_eq!(r.by_bytes(&segments, 400), 1);
        assert_eq!(r.by_age(50, 400), 400);
        r.secs = 10;
        assert_eq!(r.by_age(50, 400), 0, "nothing is known yet");
        for (secs, lsn) in [(40, 7), (45, 9), (52, 9), (53, 20)] {
            r.mark(secs, lsn);
        }
        assert_eq!(r.by_age(50, 400), 8);
        assert_eq!(r.by_age(56, 400), 10);
        assert_eq!(r.by_age(100, 400), 21);
    }

    #[test]
    fn the_past_takes_bounded_memory() {
        let mut r = Retention { secs: u64::MAX, ..Retention::default() };
        for n in 0..3 * MARKS_MAX as u64 {
            r.mark(n, n);
        }
        assert!(r.marks.len() <= MARKS_MAX);
        assert_eq!(r.marks.front(), Some(&(0, 0)));
    }
}
