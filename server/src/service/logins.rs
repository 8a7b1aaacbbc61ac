//! How fast passwords can be tried (`auth-rate-limit`).
//!
//! An address whose logins have failed [`FREE_FAILURES`] times within [`MEMORY_MS`] of each other may
//! try so many times a second: a login that comes sooner waits for its turn, unseen, with its connection;
//! one that would wait longer than [`WAIT_MAX_MS`] is refused whatever its password. A login that succeeds
//! forgives nothing: whoever has one account may be guessing another.
//!
//! Invariants:
//! * Memory is bounded: [`ADDRESSES_MAX`] addresses are remembered, those that have waited longest go first.
//! * Of IPv6 the network (/64) is the address: its owner has all the others in it.
//! * While nobody fails, a login costs a look at an empty table.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::net::Slot;

/// Failures of an address that have no consequence.
const FREE_FAILURES: u32 = 5;
/// How long the last failure of an address is remembered.
const MEMORY_MS: u64 = 60_000;
/// Longest wait.
const WAIT_MAX_MS: u64 = 5_000;
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

/// Where a login comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    V4([u8; 4]),
    /// The network.
    V6([u8; 8]),
    /// A Unix socket.
    Local,
}

impl Origin {
    /// Of the address of a peer as CLIENT LIST shows it.
    pub(crate) fn of(peer: &str) -> Self {
        match peer.parse::<SocketAddr>().map(|a| a.ip().to_canonical()) {
            Ok(IpAddr::V4(ip)) => Self::V4(ip.octets()),
            Ok(IpAddr::V6(ip)) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
            Err(_) => Self::Local,
        }
    }
}

/// What happens to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is looked at.
    Now,
    /// It is looked at later; until then the request is held.
    Later,
    /// It is refused.
    Refused,
}

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    failures: u32,
    failed_ms: u64,
    /// From when on the next login is looked at, in microseconds.
    next_us: u64,
}

/// The logins of a server.
#[derive(Default)]
pub(crate) struct Logins {
    /// Logins a second of an address that has failed; 0 is any number.
    rate: u64,
    records: HashMap<Origin, Record>,
    /// Connections whose login waits, and until when (milliseconds).
    waiting: Vec<(u64, Slot)>,
    /// Those whose turn it is.
    granted: Vec<Slot>,
    /// The running request is to be held.
    hold: bool,
    /// Logins that had to wait, and that were refused.
    pub(crate) delayed: u64,
    pub(crate) refused: u64,
}

impl Logins {
    /// `auth-rate-limit`.
    pub(super) fn set_rate(&mut self, rate: u64) {
        self.rate = rate;
        if rate == 0 {
            self.records.clear();
        }
    }

    /// A connection tries to log in.
    pub(crate) fn attempt(
        &mut self,
        slot: Slot,
        origin: &Origin,
        now_ms: u64,
        may_wait: bool,
    ) -> Verdict {
        if let Some(at) = self.granted.iter().position(|s| *s == slot) {
            self.granted.swap_remove(at);
            return Verdict::Now;
        }
        let Some(record) = self.records.get_mut(origin) else { return Verdict::Now };
        if now_ms.saturating_sub(record.failed_ms) > MEMORY_MS {
            self.records.remove(origin);
            return Verdict::Now;
        }
        if record.failures < FREE_FAILURES || self.rate == 0 {
            return Verdict::Now;
        }
        let at_us = record.next_us.max(now_ms * 1000);
        let until_ms = at_us.div_ceil(1000);
        if until_ms > now_ms && (!may_wait || until_ms - now_ms > WAIT_MAX_MS) {
            self.refused += 1;
            return Verdict::Refused;
        }
        record.next_us = at_us + 1_000_000 / self.rate;
        if until_ms <= now_ms {
            return Verdict::Now;
        }
        self.delayed += 1;
        self.waiting.push((until_ms, slot));
        self.hold = true;
        Verdict::Later
    }

    /// A login has failed.
    pub(crate) fn failed(&mut self, origin: Origin, now_ms: u64) {
        if self.rate == 0 {
            return;
        }
        if self.records.len() >= ADDRESSES_MAX && !self.records.contains_key(&origin) {
            self.make_room(now_ms);
        }
        let record = self.records.entry(origin).or_default();
        if now_ms.saturating_sub(record.failed_ms) > MEMORY_MS {
            *record = Record::default();
        }
        record.failures = record.failures.saturating_add(1);
        record.failed_ms = now_ms;
    }

    /// Forgets the half that has not failed for longest.
    #[cold]
    fn make_room(&mut self, now_ms: u64) {
        let mut times: Vec<u64> = self.records.values().map(|r| r.failed_ms).collect();
        let (_, median, _) = times.select_nth_unstable(ADDRESSES_MAX / 2);
        let oldest = (*median).max(now_ms.saturating_sub(MEMORY_MS));
        self.records.retain(|_, r| r.failed_ms > oldest);
    }

    /// Whether the request that has run is to be held.
    #[inline]
    pub(super) fn take_hold(&mut self) -> bool {
        std::mem::take(&mut self.hold)
    }

    /// When the next login may go on, in milliseconds.
    #[inline]
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|(until, _)| *until).min()
    }

    /// Connections whose turn has come, in the order of their turns.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Vec<Slot> {
        let mut due: Vec<(u64, Slot)> =
            self.waiting.iter().copied().filter(|(until, _)| *until <= now_ms).collect();
        due.sort_unstable();
        self.waiting.retain(|(until, _)| *until > now_ms);
        let due: Vec<Slot> = due.into_iter().map(|(_, slot)| slot).collect();
        self.granted.extend(&due);
        due
    }

    /// Forgets a connection that is gone.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.waiting.retain(|(_, s)| *s != slot);
        self.granted.retain(|s| *s != slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(rate: u64) -> (Logins, Origin) {
        let mut logins = Logins::default();
        logins.set_rate(rate);
        let origin = Origin::of("10.0.0.1:4000");
        (logins, origin)
    }

    #[test]
    fn after_some_failures_each_waits_for_its_turn() {
        let (mut logins, origin) = logins(10);
        let now = 1_000_000;
        for _ in 0..FREE_FAILURES {
            assert_eq!(logins.attempt(1, &origin, now, true), Verdict::Now);
            logins.failed(origin.clone(), now);
        }
        // The first is free, the next come every 100 ms.
        assert_eq!(logins.attempt(1, &origin, now, true), Verdict::Now);
        for slot in 2..=51 {
            assert_eq!(logins.attempt(slot, &origin, now, true), Verdict::Later);
            assert!(logins.take_hold() && !logins.take_hold());
        }
        assert_eq!(logins.attempt(99, &origin, now, true), Verdict::Refused);
        assert_eq!((logins.delayed, logins.refused), (50, 1));
        assert_eq!(logins.due_ms(), Some(now + 100));
        assert_eq!(logins.take_due(now + 99), Vec::<Slot>::new());
        assert_eq!(logins.take_due(now + 200), [2, 3]);
        // Its turn is its own, and good once.
        assert_eq!(logins.attempt(2, &origin, now + 200, true), Verdict::Now);
        logins.forget(3);
        assert_eq!(logins.attempt(3, &origin, now + 200, false), Verdict::Refused);
        logins.forget(4);
        assert_eq!(logins.take_due(now + 300), Vec::<Slot>::new());
        // Others are not concerned.
        let other = Origin::of("10.0.0.2:4000");
        assert_eq!(logins.attempt(5, &other, now, true), Verdict::Now);
    }

    #[test]
    fn failures_are_forgotten_after_a_minute() {
        let (mut logins, origin) = logins(1);
        for _ in 0..20 {
            logins.failed(origin.clone(), 5);
        }
        assert_eq!(logins.attempt(1, &origin, 10, true), Verdict::Now);
        assert_eq!(logins.attempt(1, &origin, 10, true), Verdict::Later);
        assert_eq!(logins.attempt(2, &origin, 6 + MEMORY_MS, true), Verdict::Now);
        assert_eq!(logins.attempt(2, &origin, 6 + MEMORY_MS, true), Verdict::Now);
        assert!(logins.records.is_empty());
    }

    #[test]
    fn no_limit_remembers_nothing() {
        let (mut logins, origin) = logins(0);
        for _ in 0..100 {
            logins.failed(origin.clone(), 5);
            assert_eq!(logins.attempt(1, &origin, 5, true), Verdict::Now);
        }
        assert!(logins.records.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_the_latest_stay() {
        let (mut logins, _) = logins(10);
        for i in 0..3 * ADDRESSES_MAX as u32 {
            logins.failed(Origin::V4(i.to_be_bytes()), 1000 + u64::from(i));
            assert!(logins.records.len() <= ADDRESSES_MAX);
        }
        let last = Origin::V4((3 * ADDRESSES_MAX as u32 - 1).to_be_bytes());
        assert!(logins.records.contains_key(&last));
        // All at one time: nobody is older, and room is made all the same.
        for i in 0..3 * ADDRESSES_MAX as u32 {
            logins.failed(Origin::V4(i.to_be_bytes()), 5_000_000);
            assert!(logins.records.len() <= ADDRESSES_MAX);
        }
    }

    #[test]
    fn a_network_is_one_address() {
        assert_eq!(Origin::of("[2001:db8::1]:1"), Origin::of("[2001:db8::ffff:2]:9"));
        assert_ne!(Origin::of("[2001:db8::1]:1"), Origin::of("[2001:db8:0:1::1]:1"));
        assert_eq!(Origin::of("[::ffff:10.0.0.1]:1"), Origin::of("10.0.0.1:7"));
        assert_eq!(Origin::of("/run/moon.sock:0"), Origin::Local);
    }
}
