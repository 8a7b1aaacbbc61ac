//! Strings as numbers.

use crate::common::check;

#[test]
fn integers() {
    check(
        r#"
        > INCR n
        :1
        = INCR n
        > INCRBY n 10
        :11
        > DECR n
        :10
        > DECRBY n 11
        :-1
        > OBJECT ENCODING n
        int
        > SET n 10 EX 5
        +OK
        > INCR n
        :11
        > TTL n
        :5
        > INCRBY n 1.5
        -ERR value is not an integer or out of range
        > INCRBY n +1
        -ERR value is not an integer or out of range
        > SET s " 1"
        +OK
        > INCR s
        -ERR value is not an integer or out of range
        = -
        > SET s 9223372036854775807
        +OK
        > INCR s
        -ERR increment or decrement would overflow
        > DECRBY s -9223372036854775808
        -ERR decrement would overflow
        > SET s -9223372036854775808
        +OK
        > DECR s
        -ERR increment or decrement would overflow
        > APPEND m 1
        :1
        > APPEND m 2
        :2
        > OBJECT ENCODING m
        raw
        > INCR m
        :13
        > OBJECT ENCODING m
        int
        "#,
    );
}

#[test]
fn floating_point() {
    check(
        r#"
        > INCRBYFLOAT f 0.1
        0.1
        = SET f 0.1 KEEPTTL
        > INCRBYFLOAT f 0.2
        0.3
        > SET f 5e3
        +OK
        > INCRBYFLOAT f 1
        5001
        = SET f 5001 KEEPTTL
        > OBJECT ENCODING f
        embstr
        > SET f 3 EX 9
        +OK
        > INCRBYFLOAT f 0x10
        19
        > TTL f
        :9
        > INCRBYFLOAT f x
        -ERR value is not a valid float
        = -
        > INCRBYFLOAT f nan
        -ERR value is not a valid float
        > INCRBYFLOAT f " 1"
        -ERR value is not a valid float
        > INCRBYFLOAT f inf
        -ERR increment would produce NaN or Infinity
        > SET s abc
        +OK
        > INCRBYFLOAT s 1
        -ERR value is not a valid float
        ! resp3
        > INCRBYFLOAT f -0.5
        18.5
        "#,
    );
}

#[test]
fn increx_of_integers() {
    check(
        r#"
        > INCREX k
        [:1 :1]
        = SET k 1 KEEPTTL
        > INCREX k BYINT 5 UBOUND 20
        [:6 :5]
        > SET k 10
        +OK
        > INCREX k BYINT 5 UBOUND 12
        [:10 :0]
        = -
        > INCREX k BYINT 5 UBOUND 12 SATURATE
        [:12 :2]
        = SET k 12 KEEPTTL
        > INCREX k BYINT 5 UBOUND 5 SATURATE
        [:5 :-7]
        > INCREX k BYINT -5 LBOUND 8 SATURATE
        [:8 :3]
        > SET k 9223372036854775800
        +OK
        > INCREX k BYINT 10
        [:9223372036854775800 :0]
        > INCREX k BYINT 10 SATURATE
        [:9223372036854775807 :7]
        > INCREX k BYINT -5 UBOUND -9223372036854775808 SATURATE
        -ERR applied increment would overflow
        > INCREX new UBOUND 0
        [:0 :0]
        = -
        > EXISTS new
        :0
        > INCREX new LBOUND 5 SATURATE
        [:5 :5]
        = SET new 5 KEEPTTL
        > INCREX k BYINT 1 LBOUND 10 UBOUND 5
        -ERR LBOUND can't be greater than UBOUND
        > INCREX k UBOUND abc
        -ERR UBOUND is not an integer or out of range
        > INCREX k LBOUND 1.5
        -ERR LBOUND is not an integer or out of range
        > INCREX k BYINT abc
        -ERR Increment is not an integer or out of range
        > SET s abc
        +OK
        > INCREX s
        -ERR value is not an integer or out of range
        > INCREX s BYFLOAT 1
        -ERR value is not a valid float
        > INCREX k FOO
        -ERR syntax error
        > INCREX k BYINT
        -ERR syntax error
        > INCREX k BYINT 1 BYFLOAT 1
        -ERR syntax error
        > INCREX k BYINT 1 BYINT 1
        -ERR syntax error
        > INCREX k EX 1 EX 1
        -ERR syntax error
        > INCREX k PERSIST ENX
        -ERR syntax error
        > INCREX k SATURATE SATURATE
        -ERR syntax error
        > INCREX k ENX
        -ERR ENX flag requires an expiration
        > INCREX k EX 0
        -ERR invalid expire time in 'increx' command
        "#,
    );
}

#[test]
fn increx_of_floats() {
    check(
        r#"
        > SET k 10
        +OK
        > INCREX k BYFLOAT 2.5 LBOUND 5.0 UBOUND 15.0
        [12.5 2.5]
        = SET k 12.5 KEEPTTL
        > INCREX k BYFLOAT 5.5 UBOUND 12.5
        [12.5 0]
        = -
        > INCREX k BYFLOAT 5.5 UBOUND 13 SATURATE
        [13 0.5]
        > INCREX k BYFLOAT -60 LBOUND 8.0 SATURATE
        [8 -5]
        > INCREX k BYFLOAT 1 UBOUND inf
        [9 1]
        > INCREX k BYFLOAT 1 UBOUND -inf
        -ERR LBOUND can't be greater than UBOUND
        > INCREX k BYFLOAT 1 LBOUND inf UBOUND inf SATURATE
        -ERR applied increment would be Infinity
        > INCREX k BYFLOAT inf
        -ERR increment would produce NaN or Infinity
        > INCREX k BYFLOAT abc
        -ERR Increment is not a valid float
        > INCREX k BYFLOAT 1 UBOUND abc
        -ERR UBOUND is not a valid float
        "#,
    );
    let mut h = check("! resp3");
    assert_eq!(h.run("SET k 1.5"), "+OK");
    assert_eq!(h.run("INCREX k BYFLOAT 1"), "[,2.5 ,1]");
    // Beyond the largest number: refused, or the largest number.
    assert_eq!(h.run("SET k 1e4932"), "+OK");
    assert!(h.run("INCREX k BYFLOAT 1e4932").ends_with(" ,0]"));
    assert!(h.run("INCREX k BYFLOAT 1e4932 SATURATE").starts_with("[,118973149535723176502126385"));
}

#[test]
fn increx_times() {
    check(
        r#"
        > INCREX k EX 100
        [:1 :1]
        = SET k 1 PXAT 1100000
        > INCREX k EX 200 ENX
        [:2 :1]
        = SET k 2 KEEPTTL
        > INCREX k PERSIST
        [:3 :1]
        = SET k 3
        > INCREX k PERSIST
        [:4 :1]
        > INCREX k PX 5 ENX
        [:5 :1]
        = SET k 5 PXAT 1000005
        > INCREX k EXAT 1 ENX
        [:6 :1]
        = SET k 6 KEEPTTL
        > INCREX k BYINT 100 UBOUND 15 EX 100
        [:6 :0]
        = -
        > PTTL k
        :5
        > INCREX k EXAT 1
        [:7 :1]
        = DEL k
        > INCREX k EXAT 1
        [:1 :1]
        = -
        > EXISTS k
        :0
        "#,
    );
}
