//! Bits: growth, ranges, fields with their overflow rules, combinations; and what is logged of them.

use crate::common::check;

#[test]
fn single_bits() {
    check(
        r#"
        > SETBIT b 7 1
        :0
        = SETBIT b 7 1
        > SETBIT b 7 1
        :1
        = -
        > GET b
        \x01
        > OBJECT ENCODING b
        raw
        > SETBIT b 17 0
        :0
        = SETBIT b 17 0
        > STRLEN b
        :3
        > GETBIT b 7
        :1
        > GETBIT b 4294967295
        :0
        > GETBIT b 4294967296
        -ERR bit offset is not an integer or out of range
        > SETBIT b #1 1
        -ERR bit offset is not an integer or out of range
        > SETBIT b 0 2
        -ERR bit is not an integer or out of range
        > SETBIT new 0 0
        :0
        = SETBIT new 0 0
        > SET n 5
        +OK
        > GETBIT n 2
        :1
        > SETBIT n 6 0
        :0
        = -
        > OBJECT ENCODING n
        raw
        > SETBIT n 6 1
        :0
        > GET n
        7
        > LPUSH l a
        :1
        > SETBIT l 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GETBIT l 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn ranges() {
    check(
        r#"
        > SET k foobar
        +OK
        > BITCOUNT k
        :26
        > BITCOUNT k 0 0
        :4
        > BITCOUNT k 5 30 BIT
        :17
        > BITCOUNT k -2 -5
        :0
        > BITCOUNT k -100 -50
        :4
        > BITCOUNT k 1
        -ERR syntax error
        > BITCOUNT none 0 -1 BIT
        :0
        > BITCOUNT none 0 -1 FOO
        -ERR syntax error
        > SET ones "\xff\xff"
        +OK
        > BITPOS ones 0
        :16
        > BITPOS ones 0 0
        :16
        > BITPOS ones 0 0 -1
        :-1
        > BITPOS ones 0 2
        :-1
        > BITPOS ones 1 9 -1 BIT
        :9
        > BITPOS none 1
        :-1
        > BITPOS none 0 5 6
        :0
        > BITPOS ones 2
        -ERR The bit argument must be 1 or 0.
        > BITPOS ones 0 0 -1 BIT x
        -ERR syntax error
        "#,
    );
}

#[test]
fn fields() {
    check(
        r#"
        > BITFIELD f SET u8 #1 255 GET u8 #1 GET i8 #1 GET u4 12
        [:0 :255 :-1 :15]
        = BITFIELD f SET u8 #1 255 GET u8 #1 GET i8 #1 GET u4 12
        > BITFIELD f GET u63 200
        [:0]
        = -
        > STRLEN f
        :2
        > BITFIELD f INCRBY u8 #1 1 OVERFLOW SAT INCRBY i8 #0 300 OVERFLOW FAIL INCRBY i8 #0 1
        [:0 :127 $-1]
        > BITFIELD f SET u8 0 -1 OVERFLOW SAT SET u8 0 -1 SET i8 0 -500 SET i64 0 -9223372036854775808
        [:127 :255 :-1 :-9223372036854775808]
        > BITFIELD f OVERFLOW SAT INCRBY i64 0 -1 INCRBY u63 1 9223372036854775807 INCRBY u63 1 1
        [:-9223372036854775808 :9223372036854775807 :9223372036854775807]
        > BITFIELD f OVERFLOW NO
        -ERR Invalid OVERFLOW type specified
        > BITFIELD f GET u64 0
        -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD f GET u8 #9223372036854775807
        -ERR bit offset is not an integer or out of range
        > BITFIELD f SET u8 0
        -ERR syntax error
        > BITFIELD_RO f GET i8 0 SET i8 0 1
        -ERR BITFIELD_RO only supports the GET subcommand
        > BITFIELD_RO f GET i8 0
        [:-1]
        > BITFIELD f
        []
        "#,
    );
}

/// In Redis the string grows and nobody is told; here the log is.
#[test]
fn growth_without_a_written_field_is_logged() {
    check(
        r#"
        > BITFIELD f OVERFLOW FAIL SET u2 0 9
        [$-1]
        = BITFIELD f OVERFLOW FAIL SET u2 0 9
        > STRLEN f
        :1
        "#,
    );
}

#[test]
fn combinations() {
    check(
        r#"
        > SET a "\xf0\x0f\xaa"
        +OK
        > SET b "\xcc\xcc"
        +OK
        > SET n 12
        +OK
        > BITOP AND d a b
        :3
        = BITOP AND d a b
        > GET d
        \xc0\x0c\x00
        > OBJECT ENCODING d
        raw
        > BITOP NOT d n
        :2
        > GET d
        \xce\xcd
        > BITOP DIFF d a b
        :3
        > GET d
        0\x03\xaa
        > BITOP diff1 d a b
        :3
        > GET d
        \x0c\xc0\x00
        > BITOP ANDOR d a b n
        :3
        > GET d
        \xf0\x0e\x00
        > BITOP ONE d a b n
        :3
        > GET d
        \r\xf1\xaa
        > BITOP ONE d a
        :3
        > BITOP XOR d none other
        :0
        = BITOP XOR d none other
        > EXISTS d
        :0
        > BITOP OR d none
        :0
        = -
        > BITOP NOT d a b
        -ERR BITOP NOT must be called with a single source key.
        > BITOP andor d a
        -ERR BITOP ANDOR must be called with at least two source keys.
        > BITOP NOR d a
        -ERR syntax error
        > LPUSH l x
        :1
        > BITOP OR d none l
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > BITOP OR l a
        :3
        > TYPE l
        +string
        "#,
    );
}
