//! Sorted set commands: members and scores.

use crate::common::{Harness, check};

#[test]
fn add() {
    check(
        r#"
        > ZADD z 1 a
        :1
        = ZADD z 1 a
        > ZADD z 1 a
        :0
        = -
        > ZADD z 2 a 3 b +5 c 5. d
        :3
        > ZADD z CH 2 a 4 b 9 e
        :2
        > ZRANGE z 0 -1 WITHSCORES
        [a 2 b 4 c 5 d 5 e 9]
        > ZADD z NX 7 a 7 f
        :1
        > ZADD z XX 8 a 8 nobody
        :0
        > ZADD z XX CH 9 a 8 nobody
        :1
        > ZADD none XX 1 a
        :0
        = -
        > EXISTS none
        :0
        > ZADD z GT 8 a
        :0
        = -
        > ZADD z GT CH 10 a 1 new
        :2
        > ZADD z LT CH 11 a 0.5 new
        :1
        > ZMSCORE z a new nobody
        [10 0.5 $-1]
        > ZADD z 1 twice 2 twice
        :1
        > ZADD z CH 1 twice 2 twice
        :2
        > ZSCORE z twice
        2
        ! resp3
        > ZSCORE z new
        ,0.5
        > ZSCORE z nobody
        _
        > ZMSCORE nokey a
        [_]
        "#,
    );
}

#[test]
fn add_errors_change_nothing() {
    check(
        r#"
        > SET s v
        +OK
        > ZADD s 1 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZADD z 1
        -ERR wrong number of arguments for 'zadd' command
        > ZADD z 1 a 2
        -ERR syntax error
        > ZADD z NX 1
        -ERR syntax error
        > ZADD z NX XX CH
        -ERR syntax error
        > ZADD z NX XX 1 a
        -ERR XX and NX options at the same time are not compatible
        > ZADD z NX GT 1 a
        -ERR GT, LT, and/or NX options at the same time are not compatible
        > ZADD z GT LT 1 a
        -ERR GT, LT, and/or NX options at the same time are not compatible
        > ZADD z INCR 1 a 2 b
        -ERR INCR option supports a single increment-element pair
        > ZADD z INCR NX XX x a 2 b
        -ERR XX and NX options at the same time are not compatible
        > ZADD z 1 a nan b
        -ERR value is not a valid float
        > ZADD z 1 a 0x10 b
        -ERR value is not a valid float
        > ZADD z " 1" a
        -ERR value is not a valid float
        > ZADD s x a
        -ERR value is not a valid float
        > EXISTS z
        :0
        > ZADD z inf a
        :1
        > ZINCRBY z -inf a
        -ERR resulting score is not a number (NaN)
        = -
        > ZADD z INCR XX -inf a
        -ERR resulting score is not a number (NaN)
        = -
        > ZSCORE z a
        inf
        "#,
    );
}

#[test]
fn increment() {
    check(
        r#"
        > ZINCRBY z 1.5 a
        1.5
        = ZINCRBY z 1.5 a
        > ZINCRBY z -2 a
        -0.5
        > ZINCRBY z 0 a
        -0.5
        = -
        > ZINCRBY z 0 new
        0
        = ZINCRBY z 0 new
        > ZADD z INCR 0.1 a
        -0.4
        > ZADD z NX INCR 1 a
        $-1
        = -
        > ZADD z XX INCR 1 nobody
        $-1
        > ZADD nokey XX INCR 1 nobody
        $-1
        > ZADD z GT INCR -1 a
        $-1
        > ZADD z LT INCR -1 a
        -1.4
        > ZADD z GT INCR 0 a
        $-1
        > ZINCRBY z NX a
        -ERR syntax error
        > ZINCRBY z x a
        -ERR value is not a valid float
        > SET s v
        +OK
        > ZINCRBY s 1 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        ! resp3
        > ZINCRBY z 1 a
        ,-0.3999999999999999
        > ZADD z NX INCR 1 a
        _
        > ZADD z INCR 1e400 a
        ,inf
        "#,
    );
}

#[test]
fn scores_print_as_redis_does() {
    check(
        r#"
        > ZADD z 1e17 a 123456789012345678 b 1e20 c 1e21 d 0.30000000000000004 e 1e-7 f 0.00001 g
        :7
        > ZADD z 1.5e300 h 5e-324 i -inf j -0 k 3.0 l 12 12
        :6
        > ZMSCORE z a b c d e f g
        [100000000000000000 123456789012345680 1e+20 1e+21 0.30000000000000004 1e-7 0.00001]
        > ZMSCORE z h i j k l 12
        [1.5e+300 5e-324 -inf 0 3 12]
        "#,
    );
}

#[test]
fn rank_and_count() {
    check(
        r#"
        > ZADD z 1 a 2 b 2 c 3 d
        :4
        > ZCARD z
        :4
        > ZCARD nokey
        :0
        > ZRANK z c
        :2
        > ZREVRANK z a
        :3
        > ZRANK z c WITHSCORE
        [:2 2]
        > ZREVRANK z d withscore
        [:0 3]
        > ZRANK z x
        $-1
        > ZRANK z x WITHSCORE
        *-1
        > ZRANK nokey x WITHSCORE
        *-1
        > ZRANK z a WITHSCORES
        -ERR syntax error
        > ZRANK z a WITHSCORE more
        -ERR wrong number of arguments for 'zrank' command
        > ZREVRANK z a x y
        -ERR wrong number of arguments for 'zrevrank' command
        > ZCOUNT z 2 3
        :3
        > ZCOUNT z (2 +inf
        :1
        > ZCOUNT z -inf (2
        :1
        > ZCOUNT z 3 1
        :0
        > ZCOUNT z "" 1
        :1
        > ZCOUNT z ( 1
        :1
        > ZCOUNT z -1 (
        :0
        > ZCOUNT z a 1
        -ERR min or max is not a float
        > ZCOUNT z 1 nan
        -ERR min or max is not a float
        > ZLEXCOUNT z - +
        :4
        > ZLEXCOUNT z [b (d
        :2
        > ZLEXCOUNT z b d
        -ERR min or max not valid string range item
        > SET s v
        +OK
        > ZCOUNT s x y
        -ERR min or max is not a float
        > ZCOUNT s 1 2
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZCARD s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZSCORE s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZMSCORE s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZRANK s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        ! resp3
        > ZRANK z c WITHSCORE
        [:2 ,2]
        > ZRANK z x WITHSCORE
        _
        > ZREVRANK z x
        _
        "#,
    );
}

#[test]
fn remove() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d 5 e 6 f
        :6
        > ZREM z a x a
        :1
        = ZREM z a x a
        > ZREM z x
        :0
        = -
        > ZREM nokey x
        :0
        > ZREMRANGEBYRANK z 0 0
        :1
        > ZREMRANGEBYRANK z 9 10
        :0
        = -
        > ZREMRANGEBYSCORE z (3 4
        :1
        = ZREMRANGEBYSCORE z (3 4
        > ZREMRANGEBYSCORE z x 4
        -ERR min or max is not a float
        > ZREMRANGEBYRANK z x 4
        -ERR value is not an integer or out of range
        > ZREMRANGEBYLEX z x 4
        -ERR min or max not valid string range item
        > ZRANGE z 0 -1
        [c e f]
        > ZREMRANGEBYRANK z -1 -1
        :1
        > ZREMRANGEBYLEX z [c (e
        :1
        > ZREM z e
        :1
        > EXISTS z
        :0
        > ZADD z 1 a 2 b
        :2
        > ZREMRANGEBYRANK z 0 -1
        :2
        > EXISTS z
        :0
        > SET s v
        +OK
        > ZREM s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZREMRANGEBYRANK s 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn pop() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d 5 e
        :5
        > ZPOPMIN z
        [a 1]
        = ZPOPMIN z
        > ZPOPMAX z 2
        [e 5 d 4]
        = ZPOPMAX z 2
        > ZPOPMIN z 0
        []
        = -
        > ZPOPMIN nokey
        []
        > ZPOPMIN z -1
        -ERR value is out of range, must be positive
        > ZPOPMIN z x
        -ERR value is out of range, must be positive
        > ZPOPMIN z 1 2
        -ERR syntax error
        > ZPOPMAX z 99
        [c 3 b 2]
        > EXISTS z
        :0
        > SET s v
        +OK
        > ZPOPMIN s 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        ! resp3
        > ZADD z 1 a 2 b 3 c 4 d 5 e
        :5
        > ZPOPMIN z
        [a ,1]
        > ZPOPMIN z 1
        [[b ,2]]
        > ZPOPMAX z 2
        [[e ,5] [d ,4]]
        > ZPOPMIN z 0
        []
        > ZPOPMIN z 5
        [[c ,3]]
        "#,
    );
}

#[test]
fn pop_from_the_first_key() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d
        :4
        > ZMPOP 2 nokey z MIN
        [z [[a 1]]]
        = ZPOPMIN z 1
        > ZMPOP 1 z max COUNT 2
        [z [[d 4] [c 3]]]
        = ZPOPMAX z 2
        > ZMPOP 1 nokey MIN
        *-1
        = -
        > ZMPOP 0 z MIN
        -ERR numkeys should be greater than 0
        > ZMPOP x z MIN
        -ERR numkeys should be greater than 0
        > ZMPOP 2 z MIN
        -ERR syntax error
        > ZMPOP 9223372036854775807 z MIN
        -ERR syntax error
        > ZMPOP 1 z MID
        -ERR syntax error
        > ZMPOP 1 z MIN COUNT 0
        -ERR count should be greater than 0
        > ZMPOP 1 z MIN COUNT x
        -ERR count should be greater than 0
        > ZMPOP 1 z MIN COUNT 0 COUNT 1
        -ERR count should be greater than 0
        > ZMPOP 1 z MIN COUNT 1 COUNT 1
        -ERR syntax error
        > ZMPOP 1 z MIN COUNT
        -ERR syntax error
        > SET s v
        +OK
        > ZMPOP 2 s z MIN
        -WRONGTYPE Operation against a key holding the wrong kind of value
        ! resp3
        > ZMPOP 2 z s MIN COUNT 10
        [z [[b ,2]]]
        = ZPOPMIN z 1
        > EXISTS z
        :0
        > ZMPOP 1 z MIN
        _
        "#,
    );
}

#[test]
fn encodings() {
    let mut h = Harness::new();
    let members = |from: usize, n: usize| -> String {
        (from..from + n).map(|i| format!(" {i} m{i}")).collect()
    };
    let mut expect = |command: &str, key: &str, encoding: &str| {
        h.run(command);
        let start = &command[..command.len().min(40)];
        assert_eq!(h.run(&format!("OBJECT ENCODING {key}")), encoding, "{start}");
    };
    expect(&format!("ZADD a{}", members(0, 128)), "a", "listpack");
    expect("ZADD a 5 m5", "a", "listpack");
    expect("ZADD a 1 more", "a", "skiplist");
    expect(&format!("ZADD b{}", members(0, 129)), "b", "skiplist");
    expect(&format!("ZADD c 1 {}", "x".repeat(64)), "c", "listpack");
    expect(&format!("ZADD c 1 {}", "x".repeat(65)), "c", "skiplist");
    expect("ZRANGESTORE d a 0 127", "d", "listpack");
    expect("ZRANGESTORE d a 0 128", "d", "skiplist");
    expect("ZUNIONSTORE e 1 d", "e", "skiplist");
    expect("ZINTERSTORE e 2 d a", "e", "skiplist");
    expect("ZUNIONSTORE f 1 c", "f", "skiplist");
    expect("ZPOPMIN b 5", "b", "skiplist");
    expect("ZUNIONSTORE g 1 b", "g", "listpack");
    h.check_replay();
}
