//! String commands.

use crate::common::{Harness, check, continue_with};

#[test]
fn set_and_get() {
    check(
        r#"
        > GET k
        $-1
        > SET k v
        +OK
        = SET k v
        > GET k
        v
        = -
        > SET k ""
        +OK
        > GET k
        ""
        > SET k 12
        +OK
        > OBJECT ENCODING k
        int
        > SET k 012
        +OK
        > OBJECT ENCODING k
        embstr
        > SET k 12345678901234567890123456789012345678901234
        +OK
        > OBJECT ENCODING k
        embstr
        > SET k 123456789012345678901234567890123456789012345
        +OK
        > OBJECT ENCODING k
        raw
        > SET bin "\x00\xff\r\n"
        +OK
        > GET bin
        \x00\xff\r\n
        > SET k
        -ERR wrong number of arguments for 'set' command
        ! resp3
        > GET nokey
        _
        "#,
    );
}

#[test]
fn set_conditions() {
    check(
        r#"
        > SET k 1 XX
        $-1
        = -
        > SET k 1 NX
        +OK
        = SET k 1
        > SET k 2 nx
        $-1
        = -
        > SET k 2 xX
        +OK
        = SET k 2
        > SET k 3 GET
        2
        = SET k 3
        > SET k 4 NX GET
        3
        = -
        > SET n 4 NX GET
        $-1
        = SET n 4
        > SET m 4 XX GET
        $-1
        = -
        > SET k 4 GET GET XX
        3
        = SET k 4
        > SET k 5 NX XX
        -ERR syntax error
        > SET k 5 XX NX
        -ERR syntax error
        > SET k 5 FOO
        -ERR syntax error
        > SET k 5 NX NX
        $-1
        > GET k
        4
        "#,
    );
}

#[test]
fn set_compares_values() {
    check(
        r#"
        > SET k a IFEQ x
        $-1
        = -
        > SET k a IFNE x
        +OK
        = SET k a
        > SET k b IFEQ x
        $-1
        > SET k b IfEq a
        +OK
        = SET k b
        > SET k c IFNE b
        $-1
        > SET k c IFNE x GET
        b
        = SET k c
        > SET k d IFEQ x GET
        c
        = -
        > SET n d IFEQ x GET
        $-1
        > SET k hello
        +OK
        > DIGEST k
        9555e8555c62dcfd
        > SET k hello IFDEQ 0000000000000000
        $-1
        > SET k hello IFDNE 9555e8555c62dcfd
        $-1
        > SET k hello IFDEQ 9555E8555C62DCFD EX 10
        +OK
        = SET k hello PXAT 1010000
        > SET k hello IFDNE zzzzzzzzzzzzzzzz KEEPTTL
        +OK
        = SET k hello KEEPTTL
        > SET k v IFDEQ 123
        -ERR must be exactly 16 hexadecimal characters
        > SET nokey v IFDEQ 123
        $-1
        > SET nokey v IFDNE 123
        +OK
        > SET k v IFEQ
        -ERR syntax error
        > SET k v IFEQ a NX
        -ERR syntax error
        > SET k v XX IFEQ a
        -ERR syntax error
        > SET k v IFEQ a IFNE b
        -ERR syntax error
        > SET k v IFEQ a IFEQ hello
        +OK
        > SET i 12
        +OK
        > SET i 13 IFEQ 12
        +OK
        > DIGEST nosuch
        $-1
        > DIGEST
        -ERR wrong number of arguments for 'digest' command
        "#,
    );
}

#[test]
fn set_times() {
    check(
        r#"
        > SET k v EX 10
        +OK
        = SET k v PXAT 1010000
        > PTTL k
        :10000
        > SET k v PX 1
        +OK
        = SET k v PXAT 1000001
        > SET k v EXAT 2000
        +OK
        = SET k v PXAT 2000000
        > SET k v PXAT 2000001
        +OK
        = SET k v PXAT 2000001
        > SET k w KEEPTTL
        +OK
        = SET k w KEEPTTL
        > PEXPIRETIME k
        :2000001
        > SET k w XX GET
        w
        = SET k w
        > TTL k
        :-1
        > SET k v EX 5 EX 6
        +OK
        = SET k v PXAT 1006000
        # A time that has passed removes the key.
        > SET k v EXAT 1000
        +OK
        = DEL k
        > EXISTS k
        :0
        > SET k v PXAT 1
        +OK
        = -
        > SET k v EX 0
        -ERR invalid expire time in 'set' command
        > SET k v EX -1
        -ERR invalid expire time in 'set' command
        > SET k v EX 9223372036854775807
        -ERR invalid expire time in 'set' command
        > SET k v PX 9223372036854775807
        -ERR invalid expire time in 'set' command
        > SET k v PX abc
        -ERR value is not an integer or out of range
        > SET k v EX
        -ERR syntax error
        > SET k v EX 1 PX 1
        -ERR syntax error
        > SET k v EX 1 KEEPTTL
        -ERR syntax error
        > SET k v KEEPTTL EX 1
        -ERR syntax error
        > SET k v PERSIST
        -ERR syntax error
        > SETEX k 10 v
        +OK
        = SET k v PXAT 1010000
        > PSETEX k 10 v
        +OK
        = SET k v PXAT 1000010
        > SETEX k 0 v
        -ERR invalid expire time in 'setex' command
        > PSETEX k -5 v
        -ERR invalid expire time in 'psetex' command
        > SETEX k x v
        -ERR value is not an integer or out of range
        > SETNX k v
        :0
        = -
        @ +10
        > SETNX k v
        :1
        = DEL k
        = SET k v
        "#,
    );
}

#[test]
fn reading_on_the_way() {
    check(
        r#"
        > GETDEL k
        $-1
        = -
        > SET k v
        +OK
        > GETDEL k
        v
        = DEL k
        > GETSET k 1
        $-1
        = SET k 1
        > EXPIRE k 10
        :1
        > GETSET k 2
        1
        = SET k 2
        > TTL k
        :-1
        > GETEX k
        2
        = -
        > GETEX k EX 10
        2
        = PEXPIREAT k 1010000
        > GETEX k PERSIST
        2
        = PERSIST k
        > GETEX k PERSIST
        2
        = -
        > GETEX k PXAT 999999
        2
        = DEL k
        > GETEX k EX 0
        $-1
        > GETEX k EX 1 PERSIST
        -ERR syntax error
        > GETEX k PERSIST EX 1
        -ERR syntax error
        > GETEX k NX
        -ERR syntax error
        > GETEX k EX
        -ERR syntax error
        > SET k v
        +OK
        > GETEX k EX 0
        -ERR invalid expire time in 'getex' command
        > GETEX k EX a
        -ERR value is not an integer or out of range
        > GETEX k ex 5 ex 7
        v
        = PEXPIREAT k 1007000
        > STRLEN k
        :1
        > STRLEN nokey
        :0
        > SET k -555
        +OK
        > STRLEN k
        :4
        > MGET k nokey k
        [-555 $-1 -555]
        ! resp3
        > MGET k nokey
        [-555 _]
        "#,
    );
}

#[test]
fn several_keys() {
    check(
        r#"
        > MSET a 1 b 2 a 3
        +OK
        = MSET a 1 b 2 a 3
        > MGET a b
        [3 2]
        > MSET a
        -ERR wrong number of arguments for 'mset' command
        > MSET a 1 b
        -ERR wrong number of arguments for 'mset' command
        > MSETNX a 1 c 2
        :0
        = -
        > EXISTS c
        :0
        > MSETNX c 1 d 2 c 3
        :1
        = MSET c 1 d 2 c 3
        > MSETNX c 1 d
        -ERR wrong number of arguments for 'msetnx' command
        > MSETEX 2 a 1 b 2 EX 10
        :1
        = SET a 1 PXAT 1010000
        = SET b 2 PXAT 1010000
        > MSETEX 1 a x KEEPTTL
        :1
        = SET a x KEEPTTL
        > TTL a
        :10
        > MSETEX 2 a 1 z 2 NX
        :0
        = -
        > MSETEX 2 a 1 z 2 XX
        :0
        = -
        > MSETEX 2 y 1 z 2 NX PX 5
        :1
        = SET y 1 PXAT 1000005
        = SET z 2 PXAT 1000005
        > MSETEX 2 y 1 z 2 EXAT 5
        :1
        = DEL y
        = DEL z
        > MSETEX a b c
        -ERR invalid numkeys value
        > MSETEX 0 b c
        -ERR invalid numkeys value
        > MSETEX 2147483648 b c
        -ERR invalid numkeys value
        > MSETEX 2147483647 b c
        -ERR wrong number of key-value pairs
        > MSETEX 2 a b c
        -ERR wrong number of key-value pairs
        > MSETEX 1 a b GET
        -ERR syntax error
        > MSETEX 1 a b IFEQ b
        -ERR syntax error
        > MSETEX 1 a b NX XX
        -ERR syntax error
        > MSETEX 1 a b EX 1 PX 1
        -ERR syntax error
        > MSETEX 1 a b EX 0
        -ERR invalid expire time in 'msetex' command
        > MSETEX 1 a
        -ERR wrong number of arguments for 'msetex' command
        > COMMAND GETKEYS MSETEX 2 a 1 b 2 NX
        [a b]
        "#,
    );
}

#[test]
fn ranges() {
    check(
        r#"
        > APPEND k Hello
        :5
        = APPEND k Hello
        > OBJECT ENCODING k
        embstr
        > APPEND k " World"
        :11
        > OBJECT ENCODING k
        raw
        > APPEND e ""
        :0
        = APPEND e ""
        > EXISTS e
        :1
        > APPEND k ""
        :11
        > GETRANGE k 0 3
        Hell
        > GETRANGE k 0 -1
        Hello World
        > GETRANGE k -5 -1
        World
        > GETRANGE k 5 3
        ""
        > GETRANGE k 0 -100
        ""
        > GETRANGE nokey 0 -1
        ""
        > GETRANGE k a 1
        -ERR value is not an integer or out of range
        > SUBSTR k 0 4
        Hello
        > SET i 1234
        +OK
        > GETRANGE i -3 -1
        234
        > SETRANGE i 0 ""
        :4
        = -
        > OBJECT ENCODING i
        int
        > SETRANGE i 5 2
        :6
        = SETRANGE i 5 2
        > GET i
        1234\x002
        > OBJECT ENCODING i
        raw
        > SETRANGE nokey 0 ""
        :0
        = -
        > EXISTS nokey
        :0
        > SETRANGE n 2 ab
        :4
        > GET n
        \x00\x00ab
        > SETRANGE n 1 xyz
        :4
        > GET n
        \x00xyz
        > SETRANGE n -1 a
        -ERR offset is out of range
        > SETRANGE n 99999999999999999999 a
        -ERR value is not an integer or out of range
        > SETRANGE n 9223372036854775807 a
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE n 536870912 a
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE none 536870912 ""
        :0
        > SET t v EX 5
        +OK
        > APPEND t w
        :2
        > SETRANGE t 0 u
        :2
        > TTL t
        :5
        "#,
    );
}

#[test]
fn longest_string_holds_for_clients_only() {
    let mut h = Harness::new();
    h.shard.limits.proto_max_bulk_len = 10;
    continue_with(
        &mut h,
        r#"
        > APPEND k 1234567
        :7
        > APPEND k 1234
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        = -
        > SETRANGE k 8 123
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE k 7 123
        :10
        "#,
    );
    // A smaller limit later must not keep the log from being applied.
    let mut other = Harness::new();
    other.shard.limits.proto_max_bulk_len = 3;
    other.run("SET k ab");
    let mut log = Vec::new();
    moon_formats::resp::encode_command(&mut log, [&b"APPEND"[..], b"k", b"cdef"].into_iter());
    other.shard.apply(0, 0, &log).unwrap();
    assert_eq!(other.run("GET k"), "abcdef");
}
