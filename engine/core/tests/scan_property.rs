//! What SCAN, HSCAN, SSCAN and ZSCAN promise while what they go through grows, shrinks and expires: whatever
//! is there from the first call to the last comes out at least once, and nothing comes out that is not there.

use crate::common::Harness;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is gone through.
#[derive(Debug, Clone, Copy)]
enum Of {
    Keys,
    Hash,
    Set,
    ZSet,
}

/// What happens between two calls.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// So many elements come.
    Grow(u16),
    /// So many elements go, those first that came first.
    Shrink(u16),
    /// All that may go does.
    Empty,
    /// So many milliseconds pass; what comes to expire lives 50 milliseconds.
    Wait(u8),
    /// Active expiry runs.
    Reap,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (1u16..400).prop_map(Change::Grow),
        3 => (1u16..400).prop_map(Change::Shrink),
        1 => Just(Change::Empty),
        2 => (1u8..60).prop_map(Change::Wait),
        1 => Just(Change::Reap),
    ]
}

/// Something gone through, with a model of it.
struct Subject {
    h: Harness,
    of: Of,
    now_ms: u64,
    next: usize,
    /// Elements that may go, with the time at which they do; only keys and fields can expire.
    passing: BTreeMap<usize, Option<u64>>,
}

impl Subject {
    fn new(of: Of, staying: usize, limit: usize) -> Subject {
        let mut h = Harness::new();
        h.shard.limits.hash_max_listpack_entries = limit;
        h.shard.limits.set_max_listpack_entries = limit;
        h.shard.limits.zset_max_listpack_entries = limit;
        let mut subject = Subject { h, of, now_ms: 0, next: 0, passing: BTreeMap::new() };
        (0..staying).for_each(|n| subject.add(&format!("stay:{n}"), false));
        subject
    }

    fn add(&mut self, name: &str, expires: bool) {
        let line = match (self.of, expires) {
            (Of::Keys, false) => format!("SET {name} v"),
            (Of::Keys, true) => format!("SET {name} v PX 50"),
            (Of::Hash, false) => format!("HSET x {name} v"),
            (Of::Hash, true) => format!("HSETEX x PX 50 FIELDS 1 {name} v"),
            (Of::Set, _) => format!("SADD x {name}"),
            (Of::ZSet, _) => format!("ZADD x {} {name}", self.next % 7),
        };
        self.h.run(&line);
    }

    fn remove(&mut self, n: usize) {
        let line = match self.of {
            Of::Keys => format!("DEL go:{n}"),
            Of::Hash => format!("HDEL x go:{n}"),
            Of::Set => format!("SREM x go:{n}"),
            Of::ZSet => format!("ZREM x go:{n}"),
        };
        self.h.run(&line);
        self.passing.remove(&n);
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Grow(count) => {
                for _ in 0..count {
                    let n = self.next;
                    self.next += 1;
                    let expires = matches!(self.of, Of::Keys | Of::Hash) && n.is_multiple_of(3);
                    self.add(&format!("go:{n}"), expires);
                    self.passing.insert(n, expires.then_some(self.now_ms + 50));
                }
            }
            Change::Shrink(count) => {
                let gone: Vec<usize> = self.passing.keys().take(count.into()).copied().collect();
                gone.into_iter().for_each(|n| self.remove(n));
            }
            Change::Empty => self.apply(Change::Shrink(u16::MAX)),
            Change::Wait(ms) => {
                self.h.advance(ms.into());
                self.now_ms += u64::from(ms);
                let now_ms = self.now_ms;
                self.passing.retain(|_, at| at.is_none_or(|at| at > now_ms));
            }
            Change::Reap => drop(self.h.expire(100)),
        }
    }

    /// One call; what came out, and the next cursor.
    fn call(&mut self, cursor: &str, count: u16) -> (Vec<String>, String) {
        let line = match self.of {
            Of::Keys => format!("SCAN {cursor} COUNT {count}"),
            Of::Hash => format!("HSCAN x {cursor} COUNT {count} NOVALUES"),
            Of::Set => format!("SSCAN x {cursor} COUNT {count}"),
            Of::ZSet => format!("ZSCAN x {cursor} COUNT {count}"),
        };
        let reply = self.h.run(&line);
        let (next, rest) = reply[1..].split_once(' ').expect("a cursor and a list");
        let rest = rest.trim_start_matches('[').trim_end_matches(']');
        let step = if matches!(self.of, Of::ZSet) { 2 } else { 1 };
        let found = rest.split(' ').filter(|name| !name.is_empty()).step_by(step);
        (found.map(str::to_string).collect(), next.to_string())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_stays_is_found_and_what_is_gone_is_not(
        of in prop_oneof![Just(Of::Keys), Just(Of::Hash), Just(Of::Set), Just(Of::ZSet)],
        staying in prop_oneof![1usize..20, 100usize..700],
        limit in prop_oneof![Just(0usize), Just(128)],
        before in vec(change(), 0..4),
        between in vec((change(), 1u16..120), 0..40),
    ) {
        let mut s = Subject::new(of, staying, limit);
        before.into_iter().for_each(|change| s.apply(change));
        let mut found = BTreeSet::new();
        let (mut cursor, mut calls) = ("0".to_string(), 0);
        let mut between = between.into_iter();
        loop {
            // When nothing changes any more, the scan must end.
            let step = between.next();
            let (names, next) = s.call(&cursor, step.map_or(50, |(_, count)| count));
            for name in names {
                let passing = name.strip_prefix("go:").map(|n| n.parse::<usize>().unwrap());
                let there = passing.is_none_or(|n| s.passing.contains_key(&n));
                prop_assert!(there, "{} is gone", name);
                found.insert(name);
            }
            if let Some((change, _)) = step {
                s.apply(change);
            }
            calls += 1;
            prop_assert!(calls < 20_000, "the scan does not end");
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        for n in 0..staying {
            let name = format!("stay:{n}");
            prop_assert!(found.contains(&name), "{} is missing", name);
        }
    }
}
