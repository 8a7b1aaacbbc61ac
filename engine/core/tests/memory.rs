//! `maxmemory`, and what entries remember of their use.

use crate::common::{Harness, check};
use moon_engine::exec::MemoryRules;

fn rules(policy: &str, max: usize) -> MemoryRules {
    let (evictable, order) = MemoryRules::policy(policy);
    MemoryRules { max, evictable, order, samples: 5, lfu_log_factor: 10, lfu_decay_minutes: 1 }
}

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

fn filled(n: usize) -> Harness {
    let mut h = Harness::new();
    for i in 0..n {
        h.run(&format!("SET key:{i:05} {}", "x".repeat(100)));
    }
    h
}

#[test]
fn without_eviction_writes_that_need_memory_are_refused() {
    for policy in ["noeviction", "volatile-lru", "volatile-ttl", "volatile-random"] {
        let mut h = filled(100);
        let used = h.shard.mem_bytes();
        h.shard.set_memory_rules(rules(policy, used - 1));
        h.effects();
        assert_eq!(h.run("SET a 1"), OOM, "{policy}");
        assert_eq!(h.run("EXISTS key:00001"), ":1");
        assert_eq!(h.run("MULTI"), "+OK");
        assert_eq!(h.run("SET a 1"), OOM);
        assert_eq!(h.run("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
        assert_eq!(h.effects(), Vec::<String>::new());
        assert_eq!(h.run("DEL key:00001 key:00002"), ":2");
        assert_eq!(h.run("SET a 1"), "+OK");
        assert_eq!(h.shard.stats.evicted_keys, 0);
    }
}

#[test]
fn what_the_host_holds_counts() {
    let mut h = filled(10);
    h.shard.set_memory_rules(rules("noeviction", h.shard.mem_bytes() + 5000));
    assert_eq!(h.run("SET a 1"), "+OK");
    h.shard.outside_bytes = 6000;
    assert_eq!(h.run("SET a 1"), OOM);
}

#[test]
fn eviction_makes_room_and_is_logged() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let mut h = filled(500);
        let max = h.shard.mem_bytes() * 9 / 10;
        h.shard.set_memory_rules(rules(policy, max));
        assert_eq!(h.run("SET a 1"), "+OK", "{policy}");
        assert!(h.shard.mem_bytes() <= max + 200);
        let gone = h.shard.stats.evicted_keys;
        assert!((10..128).contains(&gone), "{policy} {gone}");
        assert!(h.effects().iter().filter(|l| l.starts_with("DEL key:")).count() as u64 == gone);
        h.check_replay();
    }
}

#[test]
fn a_step_ends_at_its_budget() {
    let mut h = filled(1000);
    h.shard.set_memory_rules(rules("allkeys-random", 1));
    assert_eq!(h.run("SET a 1"), "+OK");
    assert_eq!(h.shard.stats.evicted_keys, 128);
}

/// Of old and new keys mostly the old go, of rarely and often used ones the rarely used.
#[test]
fn the_policy_decides_who_goes() {
    let survivors =
        |h: &mut Harness| (0..100).filter(|i| h.run(&format!("EXISTS key:{i:05}")) == ":1").count();
    let shrink = |h: &mut Harness, policy: &str| {
        let max = h.shard.mem_bytes() * 7 / 10;
        h.shard.set_memory_rules(rules(policy, max));
        while h.shard.mem_bytes() > max {
            h.run("PING");
        }
    };
    let mut h = filled(200);
    h.advance(100_000);
    for i in 0..100 {
        h.run(&format!("GET key:{i:05}"));
    }
    shrink(&mut h, "allkeys-lru");
    assert!(survivors(&mut h) > 90);

    let mut h = Harness::new();
    h.shard.set_memory_rules(rules("allkeys-lfu", usize::MAX));
    for i in 0..200 {
        h.run(&format!("SET key:{i:05} {}", "x".repeat(100)));
    }
    for _ in 0..50 {
        for i in 0..100 {
            h.run(&format!("GET key:{i:05}"));
        }
    }
    shrink(&mut h, "allkeys-lfu");
    assert!(survivors(&mut h) > 90);

    let mut h = filled(200);
    for i in 100..200 {
        h.run(&format!("EXPIRE key:{i:05} {}", 1000 + i));
    }
    h.shard.set_memory_rules(rules("volatile-ttl", 1));
    for _ in 0..3 {
        h.run("PING");
    }
    assert_eq!((survivors(&mut h), h.shard.stats.evicted_keys), (100, 100));
    assert_eq!(h.run("SET a 1"), OOM);
}

#[test]
fn object_tells_what_the_policy_tracks() {
    let mut h = check(
        "> SET k v
         +OK
         @ +5000
         > OBJECT IDLETIME k
         :5
         > OBJECT FREQ k
         -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
         > OBJECT FREQ none
         $-1
         > GET k
         v
         > OBJECT IDLETIME k
         :0",
    );
    h.shard.set_memory_rules(rules("allkeys-lfu", 0));
    assert_eq!(h.run("SET n v"), "+OK");
    assert_eq!(h.run("OBJECT FREQ n"), ":5");
    assert!(h.run("OBJECT IDLETIME n").starts_with("-ERR An LFU maxmemory policy is selected"));
    h.run("GET n");
    assert_eq!(h.run("OBJECT FREQ n"), ":6", "the first use above the start always counts");
    h.advance(3 * 60_000);
    assert_eq!(h.run("OBJECT FREQ n"), ":3");
    for _ in 0..2000 {
        h.run("GET n");
    }
    let n: u32 = h.run("OBJECT FREQ n")[1..].parse().expect("a number");
    assert!((10..80).contains(&n), "{n}");
}
