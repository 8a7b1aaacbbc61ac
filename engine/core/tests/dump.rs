//! DUMP, RESTORE and the reload of the whole data set.
//!
//! Goal: every payload is a value or a refusal, what DUMP gives RESTORE takes, and a data set that went
//! through its RDB form, or through the log's read-back path, is the same. Method: scripts for replies and
//! effects; random commands with a reload after each; payloads mutated with a right checksum.

use crate::common::{Harness, check, render};
use crate::replay::line;
use moon_engine::reload::Through;
use moon_formats::redis_rdb::seal;
use proptest::prelude::*;

/// The payload of a key.
fn dump(h: &mut Harness, key: &str) -> Vec<u8> {
    let reply = h.raw(&[b"DUMP", key.as_bytes()]);
    let start = reply.windows(2).position(|w| w == b"\r\n").expect("a line") + 2;
    reply[start..reply.len() - 2].to_vec()
}

fn restore(h: &mut Harness, key: &str, ttl: &str, payload: &[u8], options: &str) -> String {
    let mut words = vec![&b"RESTORE"[..], key.as_bytes(), ttl.as_bytes(), payload];
    words.extend(options.split(' ').filter(|w| !w.is_empty()).map(str::as_bytes));
    render(&h.raw(&words))
}

/// Fills a harness with keys of every type and encoding.
fn filled() -> (Harness, Vec<String>) {
    let mut h = Harness::new();
    let long = "x".repeat(3000);
    let text = "ab".repeat(40);
    let mut keys = Vec::new();
    let mut add = |h: &mut Harness, key: &str, line: String| {
        assert!(!h.run(&line).starts_with('-'), "{line}");
        keys.push(key.to_string());
    };
    add(&mut h, "int", "SET int 12345".into());
    add(&mut h, "text", format!("SET text {text}"));
    add(&mut h, "float", "SET float 3.5".into());
    add(&mut h, "list", format!("RPUSH list 1 two {text} -70000 \"\""));
    add(&mut h, "biglist", format!("RPUSH biglist {long} {long} {long} {long} 5"));
    add(&mut h, "intset", "SADD intset 1 -2 300000 5000000000".into());
    add(&mut h, "set", "SADD set a b 3".into());
    add(&mut h, "bigset", format!("SADD bigset a b 3 {text}"));
    add(&mut h, "zset", "ZADD zset 1 a 2.5 b -inf c inf d 1e30 e -0 f".into());
    add(&mut h, "bigzset", format!("ZADD bigzset 1 a 2.5 b -inf {text} 0.1 e"));
    add(&mut h, "hash", "HSET hash f v 1 2 g \"\"".into());
    add(&mut h, "bighash", format!("HSET bighash f {text} 1 2"));
    add(&mut h, "ttlhash", "HSET ttlhash f v g w h 3".into());
    h.run("HPEXPIREAT ttlhash 4102444800000 FIELDS 2 f g");
    add(&mut h, "bigttlhash", format!("HSET bigttlhash f {text} g w"));
    h.run("HPEXPIREAT bigttlhash 4102444800000 FIELDS 1 g");
    add(&mut h, "stream", "XADD stream 1-1 f v g 2".into());
    for line in [
        "XADD stream 1-2 f w g 3",
        "XADD stream 5-0 other x",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g alice COUNT 2 STREAMS stream >",
        "XREADGROUP GROUP g bob STREAMS stream >",
        "XDEL stream 1-2",
    ] {
        assert!(!h.run(line).starts_with('-'), "{line}");
    }
    for n in 0..300 {
        h.run(&format!("ZADD many {n}.25 m{n}"));
        h.run(&format!("RPUSH manylist e{n}"));
    }
    keys.extend(["many".to_string(), "manylist".to_string()]);
    (h, keys)
}

#[test]
fn replies_and_effects() {
    let mut h = Harness::new();
    h.run("SET k hello");
    let payload = dump(&mut h, "k");
    assert_eq!(payload[..9], *b"\x00\x05hello\x0b\x00");
    let text: String = payload.iter().map(|b| format!("\\x{b:02x}")).collect();
    let other = payload.escape_ascii().to_string();
    let script = r#"
        > DUMP k
        $-1
        > RESTORE k 0 "PAYLOAD"
        +OK
        = RESTORE k 0 L ABSTTL
        > GET k
        hello
        > RESTORE k 0 "PAYLOAD"
        -BUSYKEY Target key name already exists.
        = -
        > RESTORE k 500 "PAYLOAD" REPLACE IDLETIME 9
        +OK
        = RESTORE k 1000500 L ABSTTL REPLACE IDLETIME 9
        > OBJECT IDLETIME k
        :9
        > PTTL k
        :500
        > RESTORE k 999 "PAYLOAD" REPLACE ABSTTL
        +OK
        = DEL k
        > RESTORE k 999 "PAYLOAD" ABSTTL
        +OK
        = -
        > RESTORE k 1000700 "PAYLOAD" ABSTTL FREQ 255
        +OK
        = RESTORE k 1000700 L ABSTTL FREQ 255
        > RESTORE j -1 "PAYLOAD"
        -ERR Invalid TTL value, must be >= 0
        > RESTORE j x "PAYLOAD"
        -ERR value is not an integer or out of range
        > RESTORE j 0 "PAYLOAD" IDLETIME -1
        -ERR Invalid IDLETIME value, must be >= 0
        > RESTORE j 0 "PAYLOAD" FREQ 256
        -ERR Invalid FREQ value, must be >= 0 and <= 255
        > RESTORE j 0 "PAYLOAD" FREQ 1 IDLETIME 1
        -ERR syntax error
        > RESTORE j 0 "PAYLOAD" FOO
        -ERR syntax error
        > RESTORE j 0 "PAYLOAD."
        -ERR DUMP payload version or checksum are wrong
        > RESTORE j 0 short
        -ERR DUMP payload version or checksum are wrong
    "#;
    check(&script.replace("PAYLOAD", &text).replace(" L ", &format!(" {other} ")));
}

#[test]
fn what_dump_gives_restore_takes() {
    let (mut h, keys) = filled();
    for key in &keys {
        let payload = dump(&mut h, key);
        assert_eq!(restore(&mut h, &format!("{key}2"), "0", &payload, ""), "+OK");
        let state = h.state();
        let of = |k: &str| state[&(0, k.to_string())].clone();
        assert_eq!(of(key), of(&format!("{key}2")));
        assert_eq!(dump(&mut h, &format!("{key}2")).len(), payload.len());
    }
    h.check_replay();
}

#[test]
fn a_wrong_checksum_is_logged_right() {
    let mut h = Harness::new();
    h.run("RPUSH l a b");
    let mut payload = dump(&mut h, "l");
    *payload.last_mut().unwrap() ^= 1;
    let refused = "-ERR DUMP payload version or checksum are wrong";
    assert_eq!(restore(&mut h, "k", "0", &payload, ""), refused);
    h.shard.limits.unchecked_payloads = true;
    assert_eq!(restore(&mut h, "k", "0", &payload, ""), "+OK");
    // The shard that replays looks at the checksum.
    h.check_replay();
}

#[test]
fn fields_that_have_expired_are_left_out() {
    let mut h = Harness::new();
    // f until 999, g until 2000000, h for ever; now is 1000000.
    let head =
        b"\x18\xe7\x03\0\0\0\0\0\0\x03\x01\x01f\x01v\x80\x00\x1e\x80\x9a\x01g\x01v\x00\x01h\x01w";
    let mut payload = head.to_vec();
    seal(&mut payload, 0, 12);
    assert_eq!(restore(&mut h, "k", "0", &payload, ""), "+OK");
    assert_eq!(h.run("HGETALL k"), "[g v h w]");
    h.check_replay();
    // None is left: no key, and one that was there goes.
    let mut payload = b"\x18\xe7\x03\0\0\0\0\0\0\x01\x01\x01f\x01v".to_vec();
    seal(&mut payload, 0, 12);
    assert_eq!(restore(&mut h, "k", "0", &payload, "REPLACE"), "+OK");
    assert_eq!(h.run("EXISTS k"), ":0");
    h.check_replay();
}

#[test]
fn elements_that_occur_twice_are_refused() {
    for content in [
        &b"\x02\x02\x01a\x01a"[..],
        b"\x04\x02\x01f\x01v\x01f\x01w",
        b"\x05\x02\x01a\0\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\xf8\x3f",
        b"\x02\x02\x011\xc0\x01",
    ] {
        let mut payload = content.to_vec();
        seal(&mut payload, 0, 11);
        let mut h = Harness::new();
        assert_eq!(restore(&mut h, "k", "0", &payload, ""), "-ERR Bad data format");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2000, ..Default::default() })]

    /// With a reload after each command a shard ends up as one without.
    #[test]
    fn a_reload_changes_nothing(lines in prop::collection::vec(line(), 1..60)) {
        let (mut plain, mut reloaded) = (Harness::new(), Harness::new());
        for (i, line) in lines.iter().enumerate() {
            for h in [&mut plain, &mut reloaded] {
                match line.strip_prefix('@') {
                    Some(ms) => h.advance(ms.parse().unwrap()),
                    None => drop(h.run(line)),
                }
            }
            let through = if i % 2 == 0 { Through::RdbFile } else { Through::Effects };
            let before = reloaded.shard.digest();
            let bytes = reloaded.shard.mem_bytes();
            reloaded.shard.reload(through).unwrap();
            prop_assert_eq!(reloaded.shard.digest(), before);
            prop_assert!(reloaded.shard.mem_bytes() <= bytes + 4096);
        }
        // Chance picks by place in the table, which a reload may change.
        if !lines.iter().any(|l| l.contains("SPOP")) {
            prop_assert_eq!(plain.state(), reloaded.state());
        }
        reloaded.check_replay();
    }
}

/// Goal: no payload crashes or corrupts a shard. Method: payloads of every type are mutated and sealed again,
/// so that the checksum hides nothing; whatever is accepted is then read, changed, dumped and removed, and the
/// memory accounts must come back to where they were.
///
/// `MOON_PAYLOADS=1000000 cargo test --release -p moon-engine --test main mutated_payloads` makes a million.
#[test]
fn mutated_payloads() {
    let rounds =
        std::env::var("MOON_PAYLOADS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let (mut source, keys) = filled();
    let mut samples: Vec<Vec<u8>> = keys.iter().map(|k| dump(&mut source, k)).collect();
    for sample in &mut samples {
        sample.truncate(sample.len() - 10);
    }
    samples.extend(moon_formats::testing::rdb_value_samples());
    let mut state = 0x6d6f_6f6e_u64;
    let mut next = |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % below.max(1) as u64) as usize
    };
    // A table keeps its first segment.
    let used = || {
        let mut h = Harness::new();
        h.run("SET k 1");
        h.run("DEL k");
        h
    };
    let mut h = used();
    let empty = h.shard.mem_bytes();
    let mut accepted = 0;
    for round in 0..rounds {
        let mut payload = samples[next(samples.len())].clone();
        for _ in 0..=next(3) {
            let at = next(payload.len());
            match next(6) {
                0 => payload.truncate(at),
                1 => payload.insert(at, next(256) as u8),
                2 if payload.len() > 1 => drop(payload.remove(at)),
                3 => {
                    let end = (at + next(5)).min(payload.len());
                    payload[at..end].fill([0, 0x7f, 0x80, 0xff][next(4)]);
                }
                _ if payload.is_empty() => {}
                4 => payload[at] = next(256) as u8,
                _ => payload[at] ^= 1 << next(8),
            }
        }
        let version = [9, 10, 11, 12, 80][next(5)];
        seal(&mut payload, 0, version);
        let reply = restore(&mut h, "k", "0", &payload, "");
        if reply == "+OK" {
            accepted += 1;
            for line in [
                "STRLEN k",
                "APPEND k x",
                "LRANGE k 0 -1",
                "LPUSH k a",
                "LPOP k",
                "SMEMBERS k",
                "SADD k a",
                "SREM k a",
                "ZRANGE k 0 -1 WITHSCORES",
                "ZADD k 1 a",
                "ZREM k a",
                "HGETALL k",
                "HSET k a b",
                "HDEL k a",
                "DUMP k",
                "OBJECT ENCODING k",
                "XADD k * f v",
                "XRANGE k - +",
                "XINFO STREAM k FULL",
                "XTRIM k MAXLEN 1",
                "XREADGROUP GROUP g c STREAMS k >",
            ] {
                h.run(line);
            }
            h.shard.digest();
            h.run("DEL k");
        } else {
            assert!(reply.starts_with("-ERR "), "{reply}");
        }
        if round % 64 == 0 {
            h = used();
        } else {
            assert_eq!(h.shard.mem_bytes(), empty, "round {round}");
        }
    }
    assert!(
        accepted > rounds / 50,
        "{accepted} of {rounds} accepted: the mutations are too coarse"
    );
}
