//! Goal: what is logged recreates the state, whatever commands ran. Method: random commands
//! with a moving clock; the state after them is compared with that of a second shard that
//! applied the log.

use crate::common::{Harness, NoHost};
use moon_engine::slots::Slot;
use proptest::prelude::*;

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d", "e"]).prop_map(str::to_string)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["", "x", "12", "-3", "0.5", "1e3", "007", "hello"])
            .prop_map(|v| if v.is_empty() { "\"\"".into() } else { v.to_string() }),
        "[a-z]{40,60}",
    ]
}

/// Times around now, those that have passed included.
fn time() -> impl Strategy<Value = String> {
    let fixed = vec!["EX 1", "EX 100", "PX 7", "PX 300", "EXAT 1", "PXAT 1000020", "KEEPTTL", ""];
    prop::sample::select(fixed).prop_map(str::to_string)
}

pub(crate) fn line() -> impl Strategy<Value = String> {
    let only = prop::sample::select(vec!["", "", "NX", "XX", "GET", "IFEQ x", "IFNE 12", "NX GET"]);
    let expire = prop::sample::select(vec![
        "EXPIRE k 1",
        "EXPIRE k 0",
        "PEXPIRE k 9",
        "PEXPIRE k 500 GT",
        "EXPIREAT k 1001",
        "PEXPIREAT k 1000100 NX",
        "PERSIST k",
    ]);
    let numbers = prop::sample::select(vec![
        "INCR k",
        "DECRBY k 3",
        "INCRBYFLOAT k 0.1",
        "INCRBYFLOAT k 2",
        "INCREX k",
        "INCREX k BYFLOAT 1.5 EX 1 ENX",
        "INCREX k BYINT 9 UBOUND 20 SATURATE PX 9",
        "INCREX k PERSIST",
        "INCREX k EXAT 1",
    ]);
    let one = prop::sample::select(vec![
        "GET k",
        "GETDEL k",
        "GETEX k",
        "GETEX k PX 9",
        "GETEX k PERSIST",
        "GETEX k PXAT 5",
        "DEL k",
        "DELEX k IFEQ 12",
        "DELEX k",
        "DELIFEQ k x",
        "TYPE k",
        "MOVE k 1",
        "MOVE k 0",
        "SETNX k v",
        "SETEX k 1 v",
    ]);
    let two = prop::sample::select(vec![
        "RENAME k j",
        "RENAMENX k j",
        "COPY k j",
        "COPY k j REPLACE",
        "COPY k j DB 1 REPLACE",
        "MSETNX k 1 j 2",
        "MSETEX 2 k 1 j 2 PX 9",
        "MSETEX 2 k 1 j 2 XX KEEPTTL",
        "DEL k j",
    ]);
    let sets = prop::sample::select(vec![
        "SADD k 1 2 3",
        "SADD k 5 x",
        "SADD k 2 y z",
        "SREM k 1 x",
        "SPOP k",
        "SPOP k 2",
        "SPOP k 9",
        "SMOVE k j 2",
        "SUNIONSTORE k k j",
        "SINTERSTORE k j a",
        "SDIFFSTORE j k a",
        "SRANDMEMBER k 2",
    ]);
    let hashes = prop::sample::select(vec![
        "HSET k a 1 b x",
        "HSETNX k c 2",
        "HMSET k a 2 d 3",
        "HDEL k a",
        "HDEL k b c d",
        "HINCRBY k a 5",
        "HINCRBYFLOAT k a 0.25",
        "HINCRBYFLOAT k e 1e3",
        "HPEXPIRE k 9 FIELDS 2 a b",
        "HPEXPIRE k 30 GT FIELDS 3 a c d",
        "HEXPIRE k 0 FIELDS 1 b",
        "HEXPIRE k 1 NX FIELDS 2 a d",
        "HPERSIST k FIELDS 2 a b",
        "HGETEX k PX 20 FIELDS 2 a e",
        "HGETEX k PXAT 1 FIELDS 1 c",
        "HGETEX k PERSIST FIELDS 1 a",
        "HSETEX k PX 5 FIELDS 2 a 7 b 8",
        "HSETEX k FNX EX 1 FIELDS 1 e 5",
        "HSETEX k KEEPTTL FIELDS 2 a x b 4",
        "HGETDEL k FIELDS 2 a b",
        "HGETALL k",
    ]);
    let whole = prop::sample::select(vec![
        "SELECT 0",
        "SELECT 1",
        "SWAPDB 0 1",
        "FLUSHDB",
        "FLUSHALL",
        "KEYS *",
        "RANDOMKEY",
        "SCAN 0",
        "MULTI",
        "EXEC",
        "EXEC",
        "DISCARD",
    ])
    .prop_map(str::to_string);
    prop_oneof![
        6 => (key(), value(), only, time()).prop_map(|(k, v, o, t)| format!("SET {k} {v} {o} {t}")),
        3 => (key(), expire).prop_map(|(k, l)| l.replace(" k", &format!(" {k}"))),
        4 => (key(), numbers).prop_map(|(k, l)| l.replace(" k", &format!(" {k}"))),
        4 => (key(), one).prop_map(|(k, l)| l.replace(" k", &format!(" {k}"))),
        8 => (key(), key(), prop_oneof![3 => two, 4 => sets, 5 => hashes])
            .prop_map(|(k, j, l)| l.replace(" k", &format!(" {k}")).replace(" j", &format!(" {j}"))),
        2 => (key(), value()).prop_map(|(k, v)| format!("APPEND {k} {v}")),
        1 => (key(), 0..20u8, value()).prop_map(|(k, n, v)| format!("SETRANGE {k} {n} {v}")),
        1 => (key(), key(), value()).prop_map(|(k, j, v)| format!("MSET {k} {v} {j} {v}")),
        1 => whole,
        2 => (1..40u32).prop_map(|ms| format!("@{ms}")),
    ]
}

fn feed(h: &mut Harness, lines: &[String]) {
    for line in lines {
        match line.strip_prefix('@') {
            Some(ms) => h.advance(ms.parse().unwrap()),
            None => {
                h.run(line);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..Default::default() })]

    #[test]
    fn the_log_recreates_the_state(lines in prop::collection::vec(line(), 1..80)) {
        let mut h = Harness::new();
        feed(&mut h, &lines);
        let mut other = h.replayed();
        prop_assert_eq!(h.state(), other.state());
        prop_assert_eq!(h.shard.dbs()[0].len(), other.shard.dbs()[0].len());
        // A command that changed nothing logged nothing: repeating pure reads adds no record.
        h.effects();
        for line in ["GET a", "MGET a b c", "TTL a", "SCAN 0", "OBJECT ENCODING b", "LCS a b"] {
            h.run("DISCARD");
            h.run(line);
        }
        prop_assert_eq!(h.effects(), Vec::<String>::new());
    }
}

/// A slot is also moved where no command runs: the unit before it, a command's or that of active expiry, has been
/// logged then and is not logged again.
#[test]
fn what_is_changed_outside_of_commands_repeats_nothing() {
    let mut h = Harness::new();
    let slot = Slot { floor_lsn: 1, created_us: 1, given_up: true };
    h.run("INCR n");
    h.shard.set_slot(&mut NoHost, b"s", Some(slot)).expect("logged");
    assert_eq!(h.effects(), ["INCR n", "CDC.SLOT SET s 1 1 1"]);
    h.run("SET a 1 PX 5");
    h.run("SET b 1 PX 5");
    h.advance(10);
    assert_eq!(h.expire(100), 2);
    h.effects();
    h.shard.set_slot(&mut NoHost, b"s", None).expect("logged");
    assert_eq!(h.effects(), ["CDC.SLOT SET s"]);
}
