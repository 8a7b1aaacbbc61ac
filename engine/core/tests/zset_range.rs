//! Sorted set commands: ranges, random members, ZSCAN.

use crate::common::{Harness, check};

#[test]
fn ranges() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d 5 5
        :5
        > ZRANGE z 0 -1
        [a b c d 5]
        > ZRANGE z 1 2 WITHSCORES
        [b 2 c 3]
        > ZRANGE z -2 99
        [d 5]
        > ZRANGE z 3 1
        []
        > ZRANGE nokey 0 -1
        []
        > ZRANGE z 0 1 REV
        [5 d]
        > ZREVRANGE z 0 1 WITHSCORES
        [5 5 d 4]
        > ZREVRANGE z 0 1 REV
        -ERR syntax error
        > ZRANGE z 2 (4 BYSCORE
        [b c]
        > ZRANGE z (4 2 BYSCORE REV WITHSCORES
        [c 3 b 2]
        > ZRANGE z 2 4 BYSCORE REV
        []
        > ZRANGE z -inf +inf BYSCORE LIMIT 1 2
        [b c]
        > ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2
        [d c]
        > ZRANGE z -inf +inf BYSCORE LIMIT 1 -1
        [b c d 5]
        > ZRANGE z -inf +inf BYSCORE LIMIT 9 1
        []
        > ZRANGE z -inf +inf BYSCORE LIMIT -1 1
        []
        > ZRANGE z -inf +inf BYSCORE LIMIT 0 0
        []
        > ZRANGEBYSCORE z 2 +inf WITHSCORES LIMIT 0 2
        [b 2 c 3]
        > ZREVRANGEBYSCORE z +inf 2 LIMIT 3 9
        [b]
        > ZRANGEBYSCORE z 1 2 BYSCORE
        -ERR syntax error
        > ZRANGE z 0 -1 LIMIT 0 1
        -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        > ZRANGE z 0 -1 LIMIT 0 -1
        [a b c d 5]
        > ZRANGE z - + BYLEX WITHSCORES
        -ERR syntax error, WITHSCORES not supported in combination with BYLEX
        > ZRANGE z - + BYLEX BYSCORE
        -ERR syntax error
        > ZRANGE z x 1
        -ERR value is not an integer or out of range
        > ZRANGE z 0 1 BYLEX
        -ERR min or max not valid string range item
        > ZRANGE z a 1 BYSCORE
        -ERR min or max is not a float
        > ZRANGE z 0 1 LIMIT x 1 BYSCORE
        -ERR value is not an integer or out of range
        > ZRANGE z 0 1 LIMIT 1
        -ERR syntax error
        > SET s v
        +OK
        > ZRANGE s 0 -1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZRANGE s x -1
        -ERR value is not an integer or out of range
        ! resp3
        > ZRANGE z 0 1 WITHSCORES
        [[a ,1] [b ,2]]
        > ZRANGE z 0 1
        [a b]
        "#,
    );
}

#[test]
fn lexicographical_ranges() {
    check(
        r#"
        > ZADD z 0 a 0 aa 0 b 0 c 0 "" 0 7
        :6
        > ZRANGE z - + BYLEX
        ["" 7 a aa b c]
        > ZRANGEBYLEX z [a (c
        [a aa b]
        > ZRANGEBYLEX z [7 [a LIMIT 1 5
        [a]
        > ZREVRANGEBYLEX z + (a
        [c b aa]
        > ZREVRANGEBYLEX z [c - LIMIT 1 2
        [b aa]
        > ZRANGE z (c [a BYLEX REV
        [b aa a]
        > ZRANGEBYLEX z + -
        []
        > ZRANGEBYLEX z [ ( 
        []
        > ZRANGEBYLEX z [a [c WITHSCORES
        -ERR syntax error, WITHSCORES not supported in combination with BYLEX
        "#,
    );
}

#[test]
fn range_store() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d
        :4
        > ZRANGESTORE d z 1 2
        :2
        = ZRANGESTORE d z 1 2
        > ZRANGE d 0 -1 WITHSCORES
        [b 2 c 3]
        > EXPIRE d 100
        :1
        > ZRANGESTORE d z (2 4 BYSCORE LIMIT 1 1
        :1
        > TTL d
        :-1
        > ZRANGE d 0 -1 WITHSCORES
        [d 4]
        > ZRANGESTORE z z 0 1 REV
        :2
        > ZRANGE z 0 -1
        [c d]
        > ZRANGESTORE d z 5 9
        :0
        = ZRANGESTORE d z 5 9
        > EXISTS d
        :0
        > ZRANGESTORE d nokey 0 -1
        :0
        = -
        > ZRANGESTORE d z 0 -1 WITHSCORES
        -ERR syntax error
        > ZRANGESTORE d z 0 -1 LIMIT 0 1
        -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        > SET s v
        +OK
        > ZRANGESTORE d s 0 -1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZRANGESTORE s z 0 0
        :1
        > TYPE s
        +zset
        > ZRANGESTORE s nokey 0 0
        :0
        > EXISTS s
        :0
        "#,
    );
}

#[test]
fn random_members() {
    check(
        r#"
        > ZRANDMEMBER nokey
        $-1
        > ZRANDMEMBER nokey 3
        []
        > ZADD z 1 a
        :1
        > ZRANDMEMBER z
        a
        = -
        > ZRANDMEMBER z 5
        [a]
        > ZRANDMEMBER z -3
        [a a a]
        > ZRANDMEMBER z -2 WITHSCORES
        [a 1 a 1]
        > ZRANDMEMBER z 0
        []
        > ZRANDMEMBER z 1 SCORES
        -ERR syntax error
        > ZRANDMEMBER z 1 WITHSCORES x
        -ERR syntax error
        > ZRANDMEMBER z x
        -ERR value is not an integer or out of range
        > ZRANDMEMBER z -9223372036854775808
        -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > ZRANDMEMBER z -9223372036854775807 WITHSCORES
        -ERR value is out of range
        > ZRANDMEMBER z -9223372036854775807
        -ERR value is out of range
        > ZRANDMEMBER z 9223372036854775807
        [a]
        > SET s v
        +OK
        > ZRANDMEMBER s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        ! resp3
        > ZRANDMEMBER z -2 WITHSCORES
        [[a ,1] [a ,1]]
        > ZRANDMEMBER nokey
        _
        "#,
    );
}

#[test]
fn random_members_differ_or_repeat() {
    for n in [20, 500] {
        let mut h = Harness::new();
        for i in 0..n {
            h.run(&format!("ZADD z {i} m{i}"));
        }
        for count in [1, 7, n / 2, n, n + 5] {
            let reply = h.run(&format!("ZRANDMEMBER z {count}"));
            let mut members: Vec<&str> = reply.trim_matches(['[', ']']).split(' ').collect();
            members.sort_unstable();
            members.dedup();
            assert_eq!(members.len(), count.min(n), "{count} of {n}");
            let reply = h.run(&format!("ZRANDMEMBER z -{count}"));
            let members = reply.trim_matches(['[', ']']).split(' ');
            assert_eq!(members.count(), count, "-{count} of {n}");
        }
        let reply = h.run(&format!("ZRANDMEMBER z -{}", n * 20));
        let mut members: Vec<&str> = reply.trim_matches(['[', ']']).split(' ').collect();
        members.sort_unstable();
        members.dedup();
        assert_eq!(members.len(), n, "every member has its turn");
        h.effects();
    }
}

#[test]
fn scan() {
    check(
        r#"
        > ZADD z 1 a 0.1 b 3 ab
        :3
        > ZSCAN z 0
        [0 [b 0.1 a 1 ab 3]]
        > ZSCAN z 0 MATCH a* COUNT 1
        [0 [a 1 ab 3]]
        > ZSCAN nokey 0 NONSENSE
        [0 []]
        > ZSCAN z x
        -ERR invalid cursor
        > ZSCAN z 0 COUNT 0
        -ERR syntax error
        > ZSCAN z 0 COUNT x
        -ERR value is not an integer or out of range
        > ZSCAN z 0 TYPE zset
        -ERR syntax error
        > ZSCAN z 0 NOVALUES
        -ERR NOVALUES option can only be used in HSCAN
        ! resp3
        > ZSCAN z 0 MATCH b
        [0 [b 0.1]]
        "#,
    );
    let mut h = Harness::new();
    for i in 0..1000 {
        h.run(&format!("ZADD z {i} m{i}"));
    }
    let (mut cursor, mut seen) = (String::from("0"), std::collections::BTreeSet::new());
    loop {
        let reply = h.run(&format!("ZSCAN z {cursor} COUNT 50"));
        let (next, rest) = reply[1..].split_once(' ').unwrap();
        let words: Vec<&str> = rest.trim_matches(['[', ']']).split(' ').collect();
        for pair in words.chunks_exact(2) {
            assert_eq!(pair[0], format!("m{}", pair[1]));
            seen.insert(pair[0].to_string());
        }
        cursor = next.to_string();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
}
