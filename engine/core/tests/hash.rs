//! Hash commands.

use crate::common::check;
use std::collections::BTreeSet;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn setting_and_getting() {
    check(
        "> HSET h a 1 b two
         :2
         = HSET h a 1 b two
         > HSET h a 1
         :0
         = HSET h a 1
         > HSET h a 3 c \"\"
         :1
         > HGET h a
         3
         > HGET h c
         \"\"
         > HGET h nope
         $-1
         > HGET none a
         $-1
         > HMGET h b nope a
         [two $-1 3]
         > HMGET none a b
         [$-1 $-1]
         > HGETALL h
         [a 3 b two c \"\"]
         > HKEYS h
         [a b c]
         > HVALS h
         [3 two \"\"]
         > HGETALL none
         []
         > HKEYS none
         []
         > HLEN h
         :3
         > HLEN none
         :0
         > HEXISTS h a
         :1
         > HEXISTS h z
         :0
         > HEXISTS none a
         :0
         > HSTRLEN h b
         :3
         > HSTRLEN h a
         :1
         > HSTRLEN h z
         :0
         > HSETNX h a 9
         :0
         = -
         > HSETNX h d -12
         :1
         = HSETNX h d -12
         > HSTRLEN h d
         :3
         > HMSET h e 5 f 6
         +OK
         = HMSET h e 5 f 6
         > HSET h a
         -ERR wrong number of arguments for 'hset' command
         > HSET h a 1 b
         -ERR wrong number of arguments for 'hset' command
         = -
         > HMSET h a 1 b
         -ERR wrong number of arguments for 'hmset' command
         > HSET new x 1 x 2 x 3
         :1
         > HGET new x
         3
         ! resp3
         > HGETALL new
         {x 3}
         > HGETALL none
         {}
         > HKEYS new
         [x]
         > HVALS none
         []
         > HGET none a
         _
         > HMGET none a
         [_]",
    );
}

#[test]
fn removing() {
    check(
        "> HSET h a 1 b 2 c 3
         :3
         > HDEL h x
         :0
         = -
         > HDEL h a x a
         :1
         = HDEL h a x a
         > PEXPIRE h 100000
         :1
         > HSET h d 4
         :1
         > PTTL h
         :100000
         > HDEL h b c d
         :3
         > EXISTS h
         :0
         > HDEL h b
         :0
         = -",
    );
}

#[test]
fn numbers() {
    check(
        "> HINCRBY h n 5
         :5
         = HINCRBY h n 5
         > HINCRBY h n -7
         :-2
         > HGET h n
         -2
         > HINCRBY h n x
         -ERR value is not an integer or out of range
         > HSET h s word max 9223372036854775807
         :2
         > HINCRBY h s 1
         -ERR hash value is not an integer
         = -
         > HINCRBY h max 1
         -ERR increment or decrement would overflow
         > HGET h max
         9223372036854775807
         > HINCRBY h max -1
         :9223372036854775806
         > HINCRBYFLOAT h n 0.5
         -1.5
         = HSET h n -1.5
         > HINCRBYFLOAT h f 3.0e3
         3000
         = HSET h f 3000
         > HINCRBY h f 1
         :3001
         > HINCRBYFLOAT h f 0.1
         3001.10000000000000009
         > HINCRBY h f 1
         -ERR hash value is not an integer
         > HINCRBYFLOAT h s 1
         -ERR hash value is not a float
         > HINCRBYFLOAT h f x
         -ERR value is not a valid float
         > HINCRBYFLOAT h f inf
         -ERR value is NaN or Infinity
         > HINCRBYFLOAT h f -inf
         -ERR value is NaN or Infinity
         > HSET h inf inf
         :1
         > HINCRBYFLOAT h inf 1
         -ERR increment would produce NaN or Infinity
         = -
         > HINCRBYFLOAT none x 1 2
         -ERR wrong number of arguments for 'hincrbyfloat' command
         > HINCRBY none x nope
         -ERR value is not an integer or out of range
         > EXISTS none
         :0",
    );
}

#[test]
fn encodings() {
    let mut h = check("");
    for n in 0..512 {
        h.run(&format!("HSET h f{n} v"));
    }
    assert_eq!(h.run("OBJECT ENCODING h"), "listpack");
    h.run("HSETNX h more v");
    assert_eq!(h.run("OBJECT ENCODING h"), "hashtable");
    assert_eq!(h.run("HLEN h"), ":513");
    h.run("HDEL h more");
    assert_eq!(h.run("OBJECT ENCODING h"), "hashtable", "no way back");
    for (line, want) in [
        (format!("HSET v f {}", "x".repeat(64)), "listpack"),
        (format!("HSET v f {}", "x".repeat(65)), "hashtable"),
        (format!("HSET f {} v", "x".repeat(64)), "listpack"),
        (format!("HSET f {} v", "x".repeat(65)), "hashtable"),
    ] {
        h.run(&line);
        assert_eq!(h.run(&format!("OBJECT ENCODING {}", &line[5..6])), want, "{line}");
    }
    let many: Vec<String> = (0..513).map(|n| format!("f{n} {n}")).collect();
    assert_eq!(h.run(&format!("HSET many {}", many.join(" "))), ":513");
    assert_eq!(h.run("OBJECT ENCODING many"), "hashtable");
    assert_eq!(h.run("HINCRBY many f512 1"), ":513");
    assert_eq!(h.run("HINCRBYFLOAT many f1 0.5"), "1.5");
    assert_eq!(h.run("HSTRLEN many f100"), ":3");
    h.check_replay();
}

#[test]
fn random_fields() {
    let mut h = check(
        "> HRANDFIELD none
         $-1
         > HRANDFIELD none 2
         []
         > HRANDFIELD none 2 WITHVALUES
         []
         > HSET h a 1
         :1
         > HRANDFIELD h
         a
         = -
         > HRANDFIELD h 0
         []
         > HRANDFIELD h 5
         [a]
         > HRANDFIELD h 5 withvalues
         [a 1]
         > HRANDFIELD h -3
         [a a a]
         > HRANDFIELD h -2 WITHVALUES
         [a 1 a 1]
         > HRANDFIELD h x
         -ERR value is not an integer or out of range
         > HRANDFIELD h 1 FOO
         -ERR syntax error
         > HRANDFIELD h 1 WITHVALUES x
         -ERR syntax error
         > HRANDFIELD h 9223372036854775807 WITHVALUES
         -ERR value is out of range
         > HRANDFIELD h -9223372036854775808
         -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
         > HRANDFIELD h -9223372036854775807
         -ERR value is out of range
         ! resp3
         > HRANDFIELD h 5 WITHVALUES
         [[a 1]]
         > HRANDFIELD h -2 WITHVALUES
         [[a 1] [a 1]]
         > HRANDFIELD h 2
         [a]
         > HRANDFIELD none
         _",
    );
    for n in 0..1000 {
        h.run(&format!("HSET t f{n} {n}"));
    }
    for n in [1, 10, 249, 251, 999, 1000, 2000] {
        let reply = h.run(&format!("HRANDFIELD t {n}"));
        let distinct: BTreeSet<_> = reply[1..reply.len() - 1].split(' ').collect();
        assert_eq!(distinct.len(), n.min(1000));
    }
}

#[test]
fn scanning() {
    let mut h = check(
        "> HSET h a 1 b 2 ab 3
         :3
         > HSCAN h 0
         [0 [a 1 b 2 ab 3]]
         > HSCAN h 0 MATCH a*
         [0 [a 1 ab 3]]
         > HSCAN h 0 NOVALUES MATCH a*
         [0 [a ab]]
         > HSCAN none 0
         [0 []]
         > HSCAN h x
         -ERR invalid cursor
         > HSCAN h 0 COUNT x
         -ERR value is not an integer or out of range
         > HSCAN h 0 TYPE hash
         -ERR syntax error
         ! resp3
         > HSCAN h 0 COUNT 1
         [0 [a 1 b 2 ab 3]]",
    );
    for n in 0..1000 {
        h.run(&format!("HSET t f{n} {n}"));
    }
    let (mut seen, mut cursor) = (BTreeSet::new(), "0".to_string());
    loop {
        let reply = h.run(&format!("HSCAN t {cursor} COUNT 50"));
        let (next, pairs) = reply[1..reply.len() - 2].split_once(" [").expect("two parts");
        let words: Vec<&str> = pairs.split(' ').filter(|w| !w.is_empty()).collect();
        for pair in words.chunks(2) {
            assert_eq!(pair[0], format!("f{}", pair[1]));
            seen.insert(pair[0].to_string());
        }
        cursor = next.to_string();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
}

#[test]
fn wrong_types_change_nothing() {
    let mut h = check(
        "> SET str v
         +OK",
    );
    for line in [
        "HSET str a 1",
        "HMSET str a 1",
        "HSETNX str a 1",
        "HDEL str a",
        "HGET str a",
        "HMGET str a",
        "HEXISTS str a",
        "HSTRLEN str a",
        "HLEN str",
        "HGETALL str",
        "HKEYS str",
        "HVALS str",
        "HINCRBY str a 1",
        "HINCRBYFLOAT str a 1",
        "HRANDFIELD str",
        "HRANDFIELD str 1 WITHVALUES",
        "HSCAN str 0",
    ] {
        assert_eq!(h.run(line), WRONG, "{line}");
    }
    assert_eq!(h.run("GET str"), "v");
}
