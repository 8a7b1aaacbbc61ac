//! Sorted set commands: union, intersection, difference.

use crate::common::{Harness, check, continue_with};

#[test]
fn union_inter_diff() {
    check(
        r#"
        > ZADD x 1 a 2 b 3 c
        :3
        > ZADD y 10 b 20 c 30 d
        :3
        > ZUNION 2 x y WITHSCORES
        [a 1 b 12 c 23 d 30]
        > ZUNION 2 x y
        [a b c d]
        > ZUNION 3 x y nokey WEIGHTS 2 3 4 AGGREGATE MAX WITHSCORES
        [a 2 b 30 c 60 d 90]
        > ZUNION 2 x y aggregate min withscores
        [a 1 b 2 c 3 d 30]
        > ZUNION 2 x y AGGREGATE COUNT WITHSCORES
        [a 1 d 1 b 2 c 2]
        > ZUNION 2 x y WEIGHTS 5 0.5 AGGREGATE COUNT WITHSCORES
        [d 0.5 a 5 b 5.5 c 5.5]
        > ZUNION 1 x WEIGHTS -1 WITHSCORES
        [c -3 b -2 a -1]
        > ZUNION 2 x x WITHSCORES
        [a 2 b 4 c 6]
        > ZINTER 2 x y WITHSCORES
        [b 12 c 23]
        > ZINTER 2 x y WEIGHTS 1 -1 WITHSCORES
        [c -17 b -8]
        > ZINTER 2 x nokey
        []
        > ZINTER 3 x x y AGGREGATE COUNT WITHSCORES
        [b 3 c 3]
        > ZINTERCARD 2 x y
        :2
        > ZINTERCARD 2 x y LIMIT 1
        :1
        > ZINTERCARD 2 x y LIMIT 0
        :2
        > ZDIFF 2 x y WITHSCORES
        [a 1]
        > ZDIFF 1 x
        [a b c]
        > ZDIFF 2 x x
        []
        > ZDIFF 2 nokey x
        []
        > ZADD one 1 b
        :1
        > ZDIFF 2 x one WITHSCORES
        [a 1 c 3]
        > ZUNIONSTORE d 2 x y
        :4
        = ZUNIONSTORE d 2 x y
        > ZRANGE d 0 -1 WITHSCORES
        [a 1 b 12 c 23 d 30]
        > ZINTERSTORE d 2 x d WEIGHTS 1 2
        :3
        > ZRANGE d 0 -1 WITHSCORES
        [a 3 b 26 c 49]
        > ZDIFFSTORE d 2 d y
        :1
        > ZRANGE d 0 -1 WITHSCORES
        [a 3]
        > ZDIFFSTORE d 2 x x
        :0
        > EXISTS d
        :0
        > ZINTERSTORE d 1 nokey
        :0
        = -
        ! resp3
        > ZUNION 2 x y WITHSCORES
        [[a ,1] [b ,12] [c ,23] [d ,30]]
        > ZDIFF 2 x y
        [a]
        "#,
    );
}

#[test]
fn infinities_in_aggregates() {
    check(
        r#"
        > ZADD p inf a inf b
        :2
        > ZADD m -inf a 5 b
        :2
        > ZUNION 2 p m WITHSCORES
        [a 0 b inf]
        > ZUNION 1 p WEIGHTS 0 WITHSCORES
        [a 0 b 0]
        > ZUNION 2 m p WEIGHTS 1 0 WITHSCORES
        [a -inf b 5]
        > ZINTER 2 m p WEIGHTS 1 0 WITHSCORES
        [a 0 b 0]
        > ZINTER 2 p m WEIGHTS 0 1 WITHSCORES
        [a -inf b 5]
        > ZINTER 2 m p WEIGHTS 1 0 AGGREGATE MAX WITHSCORES
        [a -inf b 5]
        "#,
    );
}

#[test]
fn errors_of_union_inter_diff() {
    check(
        r#"
        > ZADD x 1 a
        :1
        > SET s v
        +OK
        > ZUNION 0 x
        -ERR at least 1 input key is needed for 'zunion' command
        > ZINTERSTORE d -1 x
        -ERR at least 1 input key is needed for 'zinterstore' command
        > ZINTERCARD 0 x
        -ERR at least 1 input key is needed for 'zintercard' command
        > ZDIFF x x
        -ERR value is not an integer or out of range
        > ZUNION 2 x
        -ERR syntax error
        > ZUNION 9223372036854775807 x
        -ERR syntax error
        > ZUNION 2 x s NONSENSE
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZUNIONSTORE d 2 x s NONSENSE
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZUNION 1 x WEIGHTS
        -ERR syntax error
        > ZUNION 1 x WEIGHTS a
        -ERR weight value is not a float
        > ZUNION 1 x WEIGHTS nan
        -ERR weight value is not a float
        > ZUNION 1 x WEIGHTS 1 2
        -ERR syntax error
        > ZUNION 1 x AGGREGATE
        -ERR syntax error
        > ZUNION 1 x AGGREGATE AVG
        -ERR syntax error
        > ZUNIONSTORE d 1 x WITHSCORES
        -ERR syntax error
        > ZDIFF 1 x WEIGHTS 1
        -ERR syntax error
        > ZDIFFSTORE d 1 x AGGREGATE SUM
        -ERR syntax error
        > ZINTERCARD 1 x LIMIT -1
        -ERR LIMIT can't be negative
        > ZINTERCARD 1 x LIMIT a
        -ERR LIMIT can't be negative
        > ZINTERCARD 1 x LIMIT
        -ERR syntax error
        > ZINTERCARD 1 x WITHSCORES
        -ERR syntax error
        > EXISTS d
        :0
        > ZUNIONSTORE s 1 x
        :1
        > TYPE s
        +zset
        "#,
    );
}

/// Union, intersection and difference of all sizes agree with plain maps, in both encodings of
/// each input and with members that are numbers.
#[test]
fn algebra_agrees_with_maps() {
    use std::collections::BTreeMap;
    type Model = BTreeMap<String, i64>;
    let make = |n: usize, step: usize| -> Model {
        (0..n)
            .map(|i| {
                let id = i * step;
                let name = if id.is_multiple_of(2) { format!("{id}") } else { format!("m{id}") };
                (name, (id % 17) as i64)
            })
            .collect()
    };
    let list = |m: &Model| -> String {
        let mut all: Vec<(i64, &String)> = m.iter().map(|(k, v)| (*v, k)).collect();
        all.sort();
        let words: Vec<String> = all.iter().map(|(v, k)| format!("{k} {v}")).collect();
        format!("[{}]", words.join(" "))
    };
    for (nx, ny) in [(5, 9), (200, 9), (9, 200), (300, 250), (0, 200), (130, 0)] {
        let (x, y) = (make(nx, 2), make(ny, 3));
        let mut h = Harness::new();
        for (key, model) in [("x", &x), ("y", &y)] {
            for (member, score) in model {
                h.run(&format!("ZADD {key} {score} {member}"));
            }
        }
        let mut union = x.clone();
        for (k, v) in &y {
            *union.entry(k.clone()).or_default() += v;
        }
        let inter: Model = x.iter().filter_map(|(k, v)| Some((k.clone(), v + y.get(k)?))).collect();
        let diff: Model =
            x.iter().filter(|(k, _)| !y.contains_key(*k)).map(|(k, v)| (k.clone(), *v)).collect();
        for (op, want) in [("UNION", &union), ("INTER", &inter), ("DIFF", &diff)] {
            assert_eq!(h.run(&format!("Z{op} 2 x y WITHSCORES")), list(want), "{op} {nx} {ny}");
            assert_eq!(h.run(&format!("Z{op}STORE d 2 x y")), format!(":{}", want.len()));
            assert_eq!(h.run("ZRANGE d 0 -1 WITHSCORES"), list(want), "{op}STORE {nx} {ny}");
        }
        assert_eq!(h.run("ZINTERCARD 2 x y"), format!(":{}", inter.len()));
        h.check_replay();
    }
}

#[test]
fn members_that_expire_with_their_key() {
    let mut h = check(
        r#"
        > ZADD x 1 a
        :1
        > ZADD y 2 b
        :1
        > PEXPIRE x 10
        :1
        @ +11
        > ZUNIONSTORE d 2 x y
        :1
        = DEL x
        = ZUNIONSTORE d 2 x y
        "#,
    );
    continue_with(&mut h, "> ZRANGE d 0 -1\n[b]");
}
