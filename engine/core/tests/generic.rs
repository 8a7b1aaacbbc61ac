//! Commands on keys of any type and on databases.

use crate::common::{Harness, check};

#[test]
fn removing_and_looking() {
    check(
        r#"
        > MSET a 1 b 2 c 3
        +OK
        > EXISTS a a nokey
        :2
        > TOUCH a nokey a
        :2
        > TYPE a
        +string
        > TYPE nokey
        +none
        > DEL a a nokey
        :1
        = DEL a a nokey
        > DEL a
        :0
        = -
        > UNLINK b c
        :2
        = UNLINK b c
        > DBSIZE
        :0
        > DEL
        -ERR wrong number of arguments for 'del' command
        "#,
    );
}

#[test]
fn renaming() {
    check(
        r#"
        > RENAME a b
        -ERR no such key
        > RENAMENX a a
        -ERR no such key
        > SET a 1 EX 10
        +OK
        > SET b 2 EX 99
        +OK
        > RENAME a a
        +OK
        = -
        > RENAMENX a a
        :0
        = -
        > RENAMENX a b
        :0
        = -
        > RENAME a b
        +OK
        = RENAME a b
        > MGET a b
        [$-1 1]
        > TTL b
        :10
        > RENAMENX b c
        :1
        = RENAMENX b c
        > SET c 1
        +OK
        > SET d 1 PX 5
        +OK
        @ +5
        # What has expired is not in the way.
        > RENAMENX c d
        :1
        = DEL d
        = RENAMENX c d
        "#,
    );
}

#[test]
fn moving_and_copying() {
    check(
        r#"
        > MOVE a 0
        -ERR source and destination objects are the same
        > MOVE a 99
        -ERR DB index is out of range
        > MOVE a -1
        -ERR DB index is out of range
        > MOVE a abc
        -ERR value is not an integer or out of range
        > MOVE a 2147483648
        -ERR value is out of range, value must between -2147483648 and 2147483647
        > MOVE a 1
        :0
        = -
        > SET a 1 EX 10
        +OK
        > MOVE a 1
        :1
        = MOVE a 1
        > SET a 2
        +OK
        > MOVE a 1
        :0
        > SELECT 1
        +OK
        > GET a
        1
        > TTL a
        :10
        > COPY a b
        :1
        = COPY a b
        > COPY a b
        :0
        = -
        > COPY a a
        -ERR source and destination objects are the same
        > COPY a a DB 1
        -ERR source and destination objects are the same
        > COPY a a DB 0
        :0
        > COPY a a DB 0 REPLACE
        :1
        = COPY a a DB 0 REPLACE
        > COPY nokey b REPLACE
        :0
        > COPY a b DB 99
        -ERR DB index is out of range
        > COPY a b DB
        -ERR syntax error
        > COPY a b FOO
        -ERR syntax error
        > SELECT 0
        +OK
        > TTL a
        :10
        > APPEND r x
        :1
        > APPEND r y
        :2
        > COPY r s
        :1
        > APPEND r z
        :3
        > MGET r s
        [xyz xy]
        "#,
    );
}

#[test]
fn times_to_live() {
    check(
        r#"
        > EXPIRE a 10
        :0
        = -
        > TTL a
        :-2
        > SET a 1
        +OK
        > TTL a
        :-1
        > EXPIRETIME a
        :-1
        > EXPIRE a 10
        :1
        = PEXPIREAT a 1010000
        > TTL a
        :10
        @ +8501
        > TTL a
        :1
        > PTTL a
        :1499
        @ +1000
        > TTL a
        :0
        > EXPIRETIME a
        :1010
        > PEXPIRE a 1500
        :1
        = PEXPIREAT a 1011001
        > PEXPIRETIME a
        :1011001
        > EXPIRETIME a
        :1011
        > EXPIREAT a 2000
        :1
        = PEXPIREAT a 2000000
        > PEXPIREAT a 2000001
        :1
        = PEXPIREAT a 2000001
        > PERSIST a
        :1
        = PERSIST a
        > PERSIST a
        :0
        = -
        > PERSIST nokey
        :0
        > EXPIRE a 0
        :1
        = DEL a
        > SET a 1
        +OK
        > EXPIRE a -5
        :1
        = DEL a
        > SET a 1
        +OK
        > PEXPIREAT a 1
        :1
        = DEL a
        > EXPIRE a 9223372036854775807
        -ERR invalid expire time in 'expire' command
        > EXPIRE a -9223372036854775808
        -ERR invalid expire time in 'expire' command
        > PEXPIRE a 9223372036854775807
        -ERR invalid expire time in 'pexpire' command
        > EXPIRE a 9223372036854775
        -ERR invalid expire time in 'expire' command
        > EXPIRE a x
        -ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn conditions_of_expire() {
    check(
        r#"
        > SET a 1
        +OK
        > EXPIRE a 10 XX
        :0
        = -
        > EXPIRE a 10 GT
        :0
        > EXPIRE a 10 LT
        :1
        > EXPIRE a 11 NX
        :0
        > EXPIRE a 10 gt
        :0
        > EXPIRE a 11 GT
        :1
        > EXPIRE a 11 LT
        :0
        > EXPIRE a 9 LT XX
        :1
        > PERSIST a
        :1
        > EXPIRE a 9 NX
        :1
        > EXPIRE a -1 GT
        :0
        > EXPIRE a -1 LT
        :1
        = DEL a
        > EXPIRE a 1 NX XX
        -ERR NX and XX, GT or LT options at the same time are not compatible
        > EXPIRE a 1 GT NX
        -ERR NX and XX, GT or LT options at the same time are not compatible
        > EXPIRE a 1 GT LT
        -ERR GT and LT options at the same time are not compatible
        > EXPIRE a x FOO
        -ERR Unsupported option FOO
        "#,
    );
}

#[test]
fn expired_keys_are_gone() {
    let mut h = check(
        r#"
        > SET a 1 PX 5
        +OK
        > SET b 1 PX 5
        +OK
        > SET c 1 PX 6
        +OK
        @ +4
        > GET a
        1
        @ +1
        > GET a
        $-1
        = DEL a
        > EXISTS a b c
        :1
        = DEL b
        > KEYS *
        [c]
        @ +1
        > KEYS *
        []
        > INCR c
        :1
        = DEL c
        = INCR c
        > TTL c
        :-1
        "#,
    );
    assert_eq!(h.shard.stats.expired_keys, 3);
    // One command, one instant; looks are counted.
    let (hits, misses) = (h.shard.stats.keyspace_hits, h.shard.stats.keyspace_misses);
    h.run("EXISTS c nokey");
    h.run("GETEX c");
    assert_eq!(h.shard.stats.keyspace_hits, hits + 2);
    assert_eq!(h.shard.stats.keyspace_misses, misses + 1);
}

#[test]
fn databases() {
    check(
        r#"
        > MSET a 1 b 2
        +OK
        > SELECT 3
        +OK
        > SET c 3
        +OK
        > DBSIZE
        :1
        > SWAPDB 0 3
        +OK
        = SWAPDB 0 3
        > DBSIZE
        :2
        > SWAPDB 3 3
        +OK
        > SWAPDB a 0
        -ERR invalid first DB index
        > SWAPDB 0 b
        -ERR invalid second DB index
        > SWAPDB 0 99
        -ERR DB index is out of range
        > SWAPDB -1 0
        -ERR DB index is out of range
        > FLUSHDB foo
        -ERR syntax error
        > FLUSHDB sync async
        -ERR syntax error
        > FLUSHDB ASYNC
        +OK
        = FLUSHDB ASYNC
        > DBSIZE
        :0
        > FLUSHDB
        +OK
        = FLUSHDB
        > SELECT 0
        +OK
        > DBSIZE
        :1
        > FLUSHALL sync
        +OK
        > DBSIZE
        :0
        "#,
    );
}

#[test]
fn objects() {
    check(
        r#"
        > SET a 9999
        +OK
        > OBJECT REFCOUNT a
        :2147483647
        > SET a 10000
        +OK
        > OBJECT REFCOUNT a
        :1
        > OBJECT REFCOUNT nokey
        $-1
        > OBJECT ENCODING nokey
        $-1
        > OBJECT FREQ nokey
        $-1
        > OBJECT FREQ a
        -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        > OBJECT IDLETIME nokey
        $-1
        > OBJECT IDLETIME a
        :0
        @ +5000
        > TYPE a
        +string
        > EXISTS a
        :1
        > TTL a
        :-1
        > OBJECT IDLETIME a
        :5
        > TOUCH a
        :1
        > OBJECT IDLETIME a
        :0
        @ +3000
        > GET a
        10000
        > OBJECT IDLETIME a
        :0
        > OBJECT
        -ERR wrong number of arguments for 'object' command
        > OBJECT FOO
        -ERR unknown subcommand 'FOO'. Try OBJECT HELP.
        > OBJECT ENCODING
        -ERR wrong number of arguments for 'object|encoding' command
        "#,
    );
    let mut h = Harness::new();
    assert!(h.run("OBJECT HELP").starts_with("[+OBJECT <subcommand>"));
    h.run("SET a 1");
    h.session.no_touch = true;
    h.advance(4000);
    h.run("GET a");
    assert_eq!(h.run("OBJECT IDLETIME a"), ":4");
    h.run("TOUCH a");
    assert_eq!(h.run("OBJECT IDLETIME a"), ":0");
}

#[test]
fn watched_keys() {
    // Each line changes the watched key, or does not.
    for (line, dirty) in [
        ("SET k v", true),
        ("APPEND k v", true),
        ("SETRANGE k 0 x", true),
        ("SETRANGE k 0 \"\"", false),
        ("INCRBYFLOAT n 1", false),
        ("SET k v NX", false),
        ("SET k v XX", true),
        ("SET k v IFEQ no", false),
        ("GETEX k", false),
        ("GETEX k EX 5", true),
        ("EXPIRE k 5", true),
        ("EXPIRE k 5 XX", false),
        ("PERSIST k", false),
        ("RENAME k j", true),
        ("RENAME n k", true),
        ("COPY n k REPLACE", true),
        ("COPY n k", false),
        ("COPY k j", false),
        ("MOVE k 1", true),
        ("DEL k", true),
        ("DEL nokey", false),
        ("FLUSHDB", true),
        ("FLUSHALL", true),
        ("SWAPDB 0 1", true),
        ("SWAPDB 2 3", false),
        ("GETDEL k", true),
        ("TOUCH k", false),
        ("DELEX k IFNE 12", true),
    ] {
        let mut h = Harness::new();
        h.run("MSET k 1 n 2");
        h.run("WATCH k");
        h.run(line);
        h.run("MULTI");
        h.run("PING");
        let reply = h.run("EXEC");
        assert_eq!(reply == "*-1", dirty, "{line}: {reply}");
    }
}

#[test]
fn transactions_are_one_unit() {
    check(
        r#"
        > SET a 1 PX 5
        +OK
        > MULTI
        +OK
        > INCR a
        +QUEUED
        > SELECT 2
        +QUEUED
        > SET b 1 EX 10
        +QUEUED
        > GET b
        +QUEUED
        > EXEC
        [:2 +OK +OK 1]
        = INCR a
        = SELECT 2
        = SET b 1 PXAT 1010000
        "#,
    );
}
