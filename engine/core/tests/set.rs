//! Set commands.

use crate::common::{Harness, check, continue_with};
use std::collections::BTreeSet;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn adding_and_removing() {
    check(
        "> SADD s 3 1 2
         :3
         = SADD s 3 1 2
         > SADD s 1 2
         :0
         = -
         > SADD s 1 4 1
         :1
         > SCARD s
         :4
         > SMEMBERS s
         [1 2 3 4]
         > SISMEMBER s 4
         :1
         > SISMEMBER s 04
         :0
         > SMISMEMBER s 1 x 4
         [:1 :0 :1]
         > SMISMEMBER none a b
         [:0 :0]
         > SREM s 9
         :0
         = -
         > SREM s 1 9 1 2
         :2
         = SREM s 1 9 1 2
         > SREM s 3 4 5
         :2
         > EXISTS s
         :0
         > SREM s 3
         :0
         = -
         > SCARD s
         :0
         > SMEMBERS s
         []
         > SADD s
         -ERR wrong number of arguments for 'sadd' command
         ! resp3
         > SMEMBERS s
         ~[]
         > SADD s a
         :1
         > SMEMBERS s
         ~[a]",
    );
}

#[test]
fn encodings() {
    let mut h = check(
        "> SADD i 1 2 3
         :3
         > OBJECT ENCODING i
         intset
         > SADD i x
         :1
         > OBJECT ENCODING i
         listpack
         > SREM i x
         :1
         > OBJECT ENCODING i
         listpack
         > SADD w word
         :1
         > OBJECT ENCODING w
         listpack",
    );
    for (key, n, limit) in [("ints", 512, "intset"), ("words", 128, "listpack")] {
        let prefix = if key == "ints" { "" } else { "w" };
        let line = |m: usize| format!("SADD {key} {prefix}{m}");
        for m in 0..n {
            assert_eq!(h.run(&line(m)), ":1");
        }
        assert_eq!(h.run(&format!("OBJECT ENCODING {key}")), limit);
        assert_eq!(h.run(&line(n)), ":1");
        assert_eq!(h.run(&format!("OBJECT ENCODING {key}")), "hashtable");
        assert_eq!(h.run(&format!("SCARD {key}")), format!(":{}", n + 1));
    }
    h.run(&format!("SADD long {}", "x".repeat(64)));
    assert_eq!(h.run("OBJECT ENCODING long"), "listpack");
    h.run(&format!("SADD long {}", "x".repeat(65)));
    assert_eq!(h.run("OBJECT ENCODING long"), "hashtable");
    // The numbers of a table become an intset again where they are stored anew.
    h.run("SADD some x 1 2 3");
    assert_eq!(h.run("SINTERSTORE to ints some"), ":3");
    assert_eq!(h.run("OBJECT ENCODING to"), "intset");
    h.check_replay();
}

#[test]
fn moving() {
    check(
        "> SADD a 1 2
         :2
         > SADD b x
         :1
         > SMOVE a b 1
         :1
         = SMOVE a b 1
         > SMOVE a b 9
         :0
         = -
         > SMEMBERS a
         [2]
         > SADD b 2
         :1
         > SMOVE a b 2
         :1
         > EXISTS a
         :0
         > SCARD b
         :3
         > SMOVE a b 2
         :0
         > SMOVE b b 2
         :1
         = -
         > SMOVE b b 9
         :0
         > SMOVE b new 2
         :1
         > SMEMBERS new
         [2]
         > SET str v
         +OK
         > SMOVE none str 1
         :0
         > SMOVE b str 9
         -WRONGTYPE Operation against a key holding the wrong kind of value
         > SMOVE str b 9
         -WRONGTYPE Operation against a key holding the wrong kind of value
         = -",
    );
}

#[test]
fn popping() {
    let mut h = check(
        "> SPOP none
         $-1
         > SPOP none 2
         []
         > SADD s a
         :1
         > SPOP s 0
         []
         = -
         > SPOP s
         a
         = SREM s a
         > EXISTS s
         :0
         > SADD s 1 2 3
         :3
         > SPOP s 3
         [1 2 3]
         = DEL s
         > EXISTS s
         :0
         > SADD s 1 2 3
         :3
         > SPOP s 100
         [1 2 3]
         = DEL s
         > SPOP s -1
         -ERR value is out of range, must be positive
         > SPOP s x
         -ERR value is out of range, must be positive
         > SPOP s 1 2
         -ERR syntax error
         > SET str v
         +OK
         > SPOP str 0
         -WRONGTYPE Operation against a key holding the wrong kind of value
         > SPOP str
         -WRONGTYPE Operation against a key holding the wrong kind of value
         ! resp3
         > SPOP none
         _
         > SPOP none 2
         ~[]
         > SADD s a
         :1
         > SPOP s 5
         ~[a]",
    );
    // From every encoding, up to the last but one; the log names the members.
    for (name, members) in [("ints", 400), ("words", 100), ("table", 3000)] {
        let prefix = if name == "ints" { "" } else { "w" };
        for m in 0..members {
            h.run(&format!("SADD {name} {prefix}{m}"));
        }
        h.effects();
        let mut popped = BTreeSet::new();
        for count in [1, members / 2, members / 2 - 2] {
            let reply = h.run(&format!("SPOP {name} {count}"));
            let reply = reply.trim_start_matches("~[").trim_end_matches(']');
            let got: Vec<String> = reply.split(' ').map(str::to_string).collect();
            assert_eq!(got.len(), count);
            let logged: Vec<String> = h
                .effects()
                .iter()
                .flat_map(|line| {
                    let words = line.strip_prefix(&format!("SREM {name} ")).expect("a SREM");
                    let words: Vec<String> = words.split(' ').map(str::to_string).collect();
                    assert!(words.len() <= 1024);
                    words
                })
                .collect();
            assert_eq!(got, logged);
            got.into_iter().for_each(|m| assert!(popped.insert(m), "popped once"));
        }
        assert_eq!(h.run(&format!("SCARD {name}")), ":1");
    }
    h.check_replay();
}

#[test]
fn random_members() {
    let mut h = check(
        "> SRANDMEMBER none
         $-1
         > SRANDMEMBER none 3
         []
         > SADD s a
         :1
         > SRANDMEMBER s
         a
         = -
         > SRANDMEMBER s 0
         []
         > SRANDMEMBER s 5
         [a]
         > SRANDMEMBER s -3
         [a a a]
         > SRANDMEMBER s x
         -ERR value is not an integer or out of range
         > SRANDMEMBER s -9223372036854775808
         -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
         > SRANDMEMBER s -9223372036854775807
         -ERR value is out of range
         > SRANDMEMBER s 1 2
         -ERR syntax error
         ! resp3
         > SRANDMEMBER s 5
         [a]
         > SRANDMEMBER none
         _",
    );
    for m in 0..1000 {
        h.run(&format!("SADD t m{m}"));
    }
    for n in [1, 10, 249, 251, 999, 1000, 2000] {
        let reply = h.run(&format!("SRANDMEMBER t {n}"));
        let distinct: BTreeSet<_> = reply[1..reply.len() - 1].split(' ').collect();
        assert_eq!(distinct.len(), n.min(1000));
    }
    assert_eq!(h.run("SRANDMEMBER t -50").split(' ').count(), 50);
}

#[test]
fn algebra() {
    check(
        "> SADD a 1 2 3 4
         :4
         > SADD b 3 4 5
         :3
         > SADD c 4 6
         :2
         > SINTER a b c
         [4]
         > SINTER a none
         []
         > SINTER a a
         [1 2 3 4]
         > SDIFF a b c
         [1 2]
         > SDIFF a a
         []
         > SDIFF none a
         []
         > SDIFF a none
         [1 2 3 4]
         > SDIFF a c c c c c c c
         [1 2 3]
         > SUNION c none
         [4 6]
         > SUNION a b c
         [1 2 3 4 5 6]
         > SUNION none
         []
         > SINTERCARD 2 a b
         :2
         > SINTERCARD 2 a b LIMIT 1
         :1
         > SINTERCARD 2 a b LIMIT 0
         :2
         > SINTERCARD 2 a none
         :0
         > SUNIONCARD 3 a b c
         :6
         > SUNIONCARD 3 a b c limit 4 approx
         :4
         > SUNIONCARD 6 a b c c b a
         :6
         > SUNIONCARD 1 none
         :0
         > SDIFFCARD 2 a b
         :2
         > SDIFFCARD 2 a b LIMIT 1
         :1
         > SDIFFCARD 2 a b APPROX
         -ERR syntax error
         > SINTERCARD 0 a
         -ERR numkeys should be greater than 0
         > SINTERCARD x a
         -ERR numkeys should be greater than 0
         > SINTERCARD 2 a
         -ERR Number of keys can't be greater than number of args
         > SINTERCARD 1 a LIMIT
         -ERR syntax error
         > SINTERCARD 1 a LIMIT -1
         -ERR LIMIT can't be negative
         > SINTERCARD 1 a b
         -ERR syntax error
         > SINTERSTORE d a b
         :2
         = SINTERSTORE d a b
         > SMEMBERS d
         [3 4]
         > EXPIRE d 100
         :1
         > SUNIONSTORE d d c
         :3
         > TTL d
         :-1
         > SDIFFSTORE d a b
         :2
         > SDIFFSTORE d a a
         :0
         > EXISTS d
         :0
         > SDIFFSTORE d a a
         :0
         = -
         > SET str v
         +OK
         > SUNIONSTORE str a b
         :5
         > SINTERSTORE str none a
         :0
         > EXISTS str
         :0
         ! resp3
         > SINTER a b c
         ~[4]
         > SINTER a none
         ~[]
         > SDIFF none
         ~[]
         > SUNION c
         ~[4 6]",
    );
}

#[test]
fn wrong_types_change_nothing() {
    let mut h = check(
        "> SET str v
         +OK
         > SADD s a
         :1",
    );
    for line in [
        "SADD str a",
        "SREM str a",
        "SCARD str",
        "SMEMBERS str",
        "SISMEMBER str a",
        "SMISMEMBER str a",
        "SRANDMEMBER str",
        "SRANDMEMBER str 1",
        "SSCAN str 0",
        "SINTER none str",
        "SINTER s str",
        "SUNION s str",
        "SDIFF s str",
        "SDIFF none str",
        "SINTERCARD 2 none str",
        "SUNIONCARD 1 str",
        "SDIFFCARD 2 s str",
        "SINTERSTORE s none str",
        "SUNIONSTORE s s str",
        "SDIFFSTORE s s str",
    ] {
        assert_eq!(h.run(line), WRONG, "{line}");
    }
    continue_with(&mut h, "> SMEMBERS s\n[a]");
}

#[test]
fn scanning() {
    let mut h = check(
        "> SADD s 1 2 30
         :3
         > SSCAN s 0
         [0 [1 2 30]]
         > SSCAN s 0 MATCH 3*
         [0 [30]]
         > SSCAN none 0
         [0 []]
         > SSCAN s x
         -ERR invalid cursor
         > SSCAN s 0 COUNT 0
         -ERR syntax error
         > SSCAN s 0 NOVALUES
         -ERR NOVALUES option can only be used in HSCAN
         > SSCAN none 0 FOO
         [0 []]",
    );
    for m in 0..1000 {
        h.run(&format!("SADD t m{m}"));
    }
    let (mut seen, mut cursor, mut calls) = (BTreeSet::new(), "0".to_string(), 0);
    loop {
        let reply = h.run(&format!("SSCAN t {cursor} COUNT 50 MATCH m*"));
        let (next, members) = reply[1..reply.len() - 2].split_once(" [").expect("two parts");
        seen.extend(members.split(' ').filter(|m| !m.is_empty()).map(str::to_string));
        cursor = next.to_string();
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!((10..60).contains(&calls), "{calls} calls");
}

#[test]
fn a_set_from_a_script_of_its_own_log_is_the_same() {
    let mut h = Harness::new();
    for n in 0..300u32 {
        h.run(&format!("SADD k{} {} w{}", n % 3, n * 7 % 50, n * 11 % 40));
        match n % 7 {
            0 => drop(h.run(&format!("SPOP k{} {}", n % 3, n % 5))),
            1 => drop(h.run("SMOVE k0 k1 w11")),
            2 => drop(h.run("SUNIONSTORE k2 k0 k1")),
            3 => drop(h.run(&format!("SDIFFSTORE k0 k2 k{}", n % 3))),
            4 => drop(h.run("SPOP k1")),
            _ => {}
        }
    }
    h.check_replay();
}
