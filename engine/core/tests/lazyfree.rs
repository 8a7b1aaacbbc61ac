//! What is freed elsewhere, and what at once.

use crate::common::Harness;
use moon_engine::db::LazyFree;

/// A shard whose garbage is collected, with a large and a small value of each type.
fn filled() -> Harness {
    let mut h = Harness::new();
    h.shard.trash.collect();
    for (n, size) in [("large", 3000), ("small", 10)] {
        for i in 0..size {
            h.run(&format!("SADD set:{n} member:{i}"));
            h.run(&format!("HSET hash:{n} field:{i} {i}"));
            h.run(&format!("ZADD zset:{n} {i} member:{i}"));
            h.run(&format!("RPUSH list:{n} {i:0>200}"));
            h.run(&format!("XADD stream:{n} 1-{} f {i:0>200}", i + 1));
        }
    }
    h
}

const TYPES: [&str; 5] = ["set", "hash", "zset", "list", "stream"];

/// Keys and bytes of the garbage, and what freeing it tells.
fn take(h: &mut Harness) -> usize {
    let (mut keys, mut bytes) = (0, 0);
    for item in h.shard.trash.take() {
        let (of_keys, of_bytes) = (item.keys(), item.bytes());
        let (mut freed_keys, mut freed_bytes) = (0, 0);
        item.free(|keys, bytes| {
            freed_keys += keys;
            freed_bytes += bytes;
        });
        assert_eq!((of_keys, of_bytes), (freed_keys, freed_bytes));
        keys += of_keys;
        bytes += of_bytes;
    }
    assert!(keys == 0 || bytes > 10_000 * keys.min(5), "{keys} keys of {bytes} bytes");
    keys
}

#[test]
fn unlink_leaves_large_values_to_somebody_else() {
    let mut h = filled();
    for kind in TYPES {
        let before = h.shard.mem_bytes();
        assert_eq!(h.run(&format!("UNLINK {kind}:small")), ":1");
        assert_eq!(take(&mut h), 0, "{kind}");
        assert_eq!(h.run(&format!("UNLINK {kind}:large")), ":1");
        assert!(h.shard.mem_bytes() < before - 10_000, "{kind} is no longer counted");
        assert_eq!(take(&mut h), 1, "{kind}");
    }
    assert_eq!(h.shard.trash.keys(), 5);
    h.check_replay();
}

#[test]
fn del_does_it_if_told_to() {
    let mut h = filled();
    h.run("DEL set:large");
    assert_eq!(take(&mut h), 0);
    h.shard.trash.lazy.user_del = true;
    h.run("DEL hash:large list:large list:small");
    assert_eq!(take(&mut h), 2);
}

#[test]
fn without_a_collector_nothing_gathers() {
    let mut h = Harness::new();
    h.shard.trash.lazy = LazyFree {
        eviction: true,
        expire: true,
        server_del: true,
        user_del: true,
        user_flush: true,
    };
    for i in 0..1000 {
        h.run(&format!("SADD s member:{i}"));
    }
    h.run("UNLINK s");
    h.run("SET a 1");
    h.run("FLUSHALL");
    assert!(h.shard.trash.is_empty());
}

#[test]
fn options_for_what_the_server_removes() {
    for lazy in [false, true] {
        let mut h = filled();
        h.shard.trash.lazy = LazyFree { expire: lazy, server_del: lazy, ..LazyFree::default() };
        let want = usize::from(lazy);
        h.run("SET set:large 1");
        assert_eq!(take(&mut h), want, "SET");
        h.run("RENAME set:large hash:large");
        assert_eq!(take(&mut h), want, "RENAME");
        h.run("SUNIONSTORE zset:large nothing");
        assert_eq!(take(&mut h), want, "a destination that becomes empty");
        h.run("PEXPIRE list:large 10");
        h.run("PEXPIRE stream:large 10");
        h.advance(10);
        h.run("EXISTS list:large");
        assert_eq!(take(&mut h), want, "met when expired");
        h.expire(10);
        assert_eq!(take(&mut h), want, "found expired");
        assert_eq!(h.run("DBSIZE"), ":6");
        h.check_replay();
    }
}

#[test]
fn flushing() {
    // Command, option, keys to free elsewhere, whether the client waits for that.
    for (command, user_flush, later, awaited) in [
        ("FLUSHALL ASYNC", false, true, false),
        ("FLUSHDB ASYNC", false, true, false),
        ("FLUSHALL", true, true, false),
        ("FLUSHDB", true, true, false),
        ("FLUSHALL", false, true, true),
        ("FLUSHDB SYNC", false, true, true),
        ("FLUSHALL SYNC", true, true, true),
    ] {
        let mut h = filled();
        h.shard.trash.lazy.user_flush = user_flush;
        assert_eq!(h.run(command), "+OK");
        assert_eq!(h.shard.trash.take_awaited(), awaited, "{command}");
        assert_eq!(take(&mut h), if later { 10 } else { 0 }, "{command}");
        assert_eq!(h.shard.dbs()[0].mem_bytes(), Harness::new().shard.dbs()[0].mem_bytes());
        h.run("SET a 1");
        h.check_replay();
    }
    let mut h = filled();
    h.run("MULTI");
    h.run("FLUSHALL");
    assert_eq!(h.run("EXEC"), "[+OK]");
    assert_eq!(h.run("EVAL \"return redis.call('FLUSHDB')\" 0"), "+OK");
    assert!(!h.shard.trash.take_awaited(), "nobody waits in EXEC and scripts");
    assert_eq!(take(&mut h), 0);
}

#[test]
fn a_database_is_freed_in_steps() {
    let mut h = Harness::new();
    h.shard.trash.collect();
    for i in 0..5000 {
        h.run(&format!("SET key:{i} value:{i}"));
    }
    h.run("FLUSHALL ASYNC");
    let garbage = h.shard.trash.take();
    let mut steps = 0;
    for item in garbage {
        item.free(|keys, _| {
            assert!(keys <= 1024);
            steps += 1;
        });
    }
    assert_eq!(steps, 5);
}
