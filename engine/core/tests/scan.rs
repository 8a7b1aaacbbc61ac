//! KEYS, SCAN, RANDOMKEY.

use crate::common::{Harness, check, continue_with};
use std::collections::BTreeSet;

#[test]
fn scan_errors() {
    check(
        r#"
        > SCAN x
        -ERR invalid cursor
        > SCAN -1
        -ERR invalid cursor
        > SCAN 18446744073709551616
        -ERR invalid cursor
        > SCAN 18446744073709551615
        [0 []]
        > SCAN 0 COUNT 0
        -ERR syntax error
        > SCAN 0 COUNT x
        -ERR value is not an integer or out of range
        > SCAN 0 COUNT
        -ERR syntax error
        > SCAN 0 FOO
        -ERR syntax error
        > SCAN 0 NOVALUES
        -ERR NOVALUES option can only be used in HSCAN
        > SCAN 0 TYPE foo
        -ERR unknown type name 'foo'
        > SCAN 0 TYPE STRING
        [0 []]
        > SET a 1
        +OK
        > SCAN 0 TYPE list
        [0 []]
        > SCAN 0 TYPE string MATCH a* COUNT 5
        [0 [a]]
        > SCAN 0 MATCH b*
        [0 []]
        > KEYS
        -ERR wrong number of arguments for 'keys' command
        > RANDOMKEY
        a
        > FLUSHALL
        +OK
        > RANDOMKEY
        $-1
        "#,
    );
}

/// All keys of a full scan; the number of calls it took.
fn full_scan(h: &mut Harness, options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut keys, mut calls) = ("0".to_string(), Vec::new(), 0);
    loop {
        let reply = h.run(&format!("SCAN {cursor} {options}"));
        let (next, rest) = reply[1..].split_once(' ').unwrap();
        let batch = rest.trim_start_matches('[').trim_end_matches(']');
        keys.extend(batch.split(' ').filter(|k| !k.is_empty()).map(str::to_string));
        calls += 1;
        cursor = next.to_string();
        if cursor == "0" {
            return (keys, calls);
        }
    }
}

#[test]
fn scan_finds_what_stays() {
    let mut h = Harness::new();
    for n in 0..3000 {
        h.run(&format!("SET key:{n} {n}"));
    }
    let want: BTreeSet<String> = (0..3000).map(|n| format!("key:{n}")).collect();
    for count in [1, 7, 10, 1000, 1_000_000] {
        let (keys, calls) = full_scan(&mut h, &format!("COUNT {count}"));
        assert_eq!(keys.len(), 3000);
        assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), want);
        assert!(calls <= 3000 / count + 2000, "{count}: {calls}");
    }
    let (keys, _) = full_scan(&mut h, "MATCH key:1?? COUNT 100");
    assert_eq!(keys.len(), 100);

    // Half of the keys go while others come; those that stay are all found.
    let (mut cursor, mut found, mut step) = ("0".to_string(), BTreeSet::new(), 0);
    loop {
        let reply = h.run(&format!("SCAN {cursor} COUNT 50"));
        let (next, rest) = reply[1..].split_once(' ').unwrap();
        let batch = rest.trim_start_matches('[').trim_end_matches(']');
        found.extend(batch.split(' ').map(str::to_string));
        for n in 0..60 {
            h.run(&format!("DEL key:{}", (step * 60 + n) * 2 + 1));
            h.run(&format!("SET new:{} 1", step * 60 + n));
        }
        step += 1;
        cursor = next.to_string();
        if cursor == "0" {
            break;
        }
    }
    for n in (0..3000).step_by(2) {
        assert!(found.contains(&format!("key:{n}")), "key:{n} is missing");
    }
    h.check_replay();
}

#[test]
fn random_keys() {
    let mut h = Harness::new();
    for n in 0..20 {
        h.run(&format!("SET k{n} 1"));
    }
    let seen: BTreeSet<String> = (0..2000).map(|_| h.run("RANDOMKEY")).collect();
    assert_eq!(seen.len(), 20);
    // Full of expired keys, it still ends, and finds the live one.
    for n in 0..500 {
        h.run(&format!("SET v{n} 1 PX 5"));
    }
    h.run("FLUSHDB");
    for n in 0..500 {
        h.run(&format!("SET v{n} 1 PX 5"));
    }
    h.run("SET live 1");
    h.advance(5);
    assert_eq!(h.run("RANDOMKEY"), "live");
    h.run("DEL live");
    assert_eq!(h.run("RANDOMKEY"), "$-1");
    continue_with(&mut h, "");
}
