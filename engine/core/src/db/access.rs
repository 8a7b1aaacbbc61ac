//! The access field of an entry: when, or how often, it was used.
//!
//! 24 bits. Under an LRU policy, and without one, seconds modulo 2^24; under an LFU policy 16 bits of
//! minutes and 8 of a counter that grows ever more rarely (Morris) and falls by one each
//! `lfu-decay-time` minutes without use. Which it is belongs to the shard, not to the entry:
//! after a change of policy old entries tell nonsense until they are used, as in Redis.

use super::Live;
use crate::clock::Now;
use std::cell::Cell;

const MASK: u32 = 0x00ff_ffff;
/// Counter of a new entry, and the count from which growth slows down.
const LFU_FRESH: u32 = 5;

/// Parameters of the LFU counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lfu {
    /// `lfu-log-factor`
    pub log_factor: u32,
    /// `lfu-decay-time`, minutes; 0 never decays.
    pub decay_minutes: u32,
}

/// The clock that entries are stamped with.
#[derive(Debug)]
pub(crate) struct Access {
    seconds: u32,
    minutes: u32,
    lfu: Option<Lfu>,
    /// Chance of the counter; reads log nothing, so it is apart from the shard's.
    draws: Cell<u64>,
}

impl Access {
    pub(crate) fn new(seed: u64) -> Self {
        Access { seconds: 0, minutes: 0, lfu: None, draws: Cell::new(seed) }
    }

    pub(crate) fn set_now(&mut self, now: Now) {
        self.seconds = (now.unix_ms / 1000) as u32 & MASK;
        self.minutes = (now.unix_ms / 60_000) as u32 & 0xffff;
    }

    pub(crate) fn set_lfu(&mut self, lfu: Option<Lfu>) {
        self.lfu = lfu;
    }

    /// The parameters of counting, under a policy that counts.
    pub(crate) fn lfu(&self) -> Option<Lfu> {
        self.lfu
    }

    /// Makes an entry look unused for so many seconds. Without meaning under a policy that counts.
    pub(crate) fn set_idle(&self, e: &Live, secs: u64) {
        if self.lfu.is_none() {
            e.set_access(self.seconds.wrapping_sub(secs as u32) & MASK);
        }
    }

    /// Sets how often an entry is used. Without meaning under a policy that does not count.
    pub(crate) fn set_frequency(&self, e: &Live, count: u8) {
        if self.lfu.is_some() {
            e.set_access(self.minutes << 8 | u32::from(count));
        }
    }

    /// Whether entries count how often they are used.
    pub(crate) fn counts(&self) -> bool {
        self.lfu.is_some()
    }

    /// An entry is used.
    #[inline]
    pub(crate) fn touch(&self, e: &Live) {
        match self.lfu {
            None => e.set_access(self.seconds),
            Some(lfu) => {
                let count = self.grown(lfu, self.frequency(e));
                e.set_access(self.minutes << 8 | count);
            }
        }
    }

    /// An entry has come into being.
    #[inline]
    pub(crate) fn begin(&self, e: &Live) {
        match self.lfu {
            None => e.set_access(self.seconds),
            Some(_) => e.set_access(self.minutes << 8 | LFU_FRESH),
        }
    }

    /// An entry is used that was there, or has come into being.
    #[inline]
    pub(crate) fn stamp(&self, e: &Live, existed: bool) {
        if existed { self.touch(e) } else { self.begin(e) }
    }

    fn grown(&self, lfu: Lfu, count: u32) -> u32 {
        if count >= 255 {
            return 255;
        }
        let draw = self.draws.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.draws.set(draw);
        let over = u128::from(count.saturating_sub(LFU_FRESH));
        let one_in = over * u128::from(lfu.log_factor) + 1;
        count + u32::from(u128::from(draw) * one_in <= u128::from(u64::MAX))
    }

    /// Seconds since an entry was used, under a policy that does not count.
    pub(crate) fn idle_seconds(&self, e: &Live) -> u32 {
        self.seconds.wrapping_sub(e.access()) & MASK
    }

    /// How often an entry is used, decay included.
    pub(crate) fn frequency(&self, e: &Live) -> u32 {
        let count = e.access() & 0xff;
        let idle = self.minutes.wrapping_sub(e.access() >> 8) & 0xffff;
        match self.lfu.map_or(0, |lfu| lfu.decay_minutes) {
            0 => count,
            decay => count.saturating_sub(idle / decay),
        }
    }
}
