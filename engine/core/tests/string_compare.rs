//! LCS and DELEX: strings compared.

use crate::common::{Harness, check, continue_with};

#[test]
fn common_subsequences() {
    check(
        r#"
        > MSET a ohmytext b mynewtext
        +OK
        > LCS a b
        mytext
        > LCS a b LEN
        :6
        > LCS a b IDX
        [matches [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] len :6]
        > LCS a b IDX MINMATCHLEN 4
        [matches [[[:4 :7] [:5 :8]]] len :6]
        > LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
        [matches [[[:4 :7] [:5 :8] :4]] len :6]
        > LCS a b IDX MINMATCHLEN -5
        [matches [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] len :6]
        > LCS a nokey
        ""
        > LCS nokey nokey IDX
        [matches [] len :0]
        > LCS a b LEN IDX
        -ERR If you want both the length and indexes, please just use IDX.
        > LCS a b FOO
        -ERR syntax error
        > LCS a b MINMATCHLEN
        -ERR syntax error
        > LCS a b MINMATCHLEN x
        -ERR value is not an integer or out of range
        > LCS a
        -ERR wrong number of arguments for 'lcs' command
        > MSET i 12345 j 345
        +OK
        > LCS i j
        345
        ! resp3
        > LCS a b IDX
        {matches [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] len :6}
        "#,
    );
    let mut h = Harness::new();
    h.shard.limits.proto_max_bulk_len = 100;
    continue_with(
        &mut h,
        "> MSET a 1234 b 1234
         +OK
         > LCS a b
         1234
         > SET a 12345
         +OK
         > LCS a b
         -ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
    );
}

#[test]
fn removing_by_value() {
    check(
        r#"
        > SET k v
        +OK
        > DELEX k IFEQ w
        :0
        = -
        > DELEX k IFEQ v
        :1
        = DEL k
        > DELEX k
        :0
        > SET k 12
        +OK
        > DELEX k IFNE 12
        :0
        > DELEX k ifne 012
        :1
        > SET k hello
        +OK
        > DELEX k IFDNE 9555e8555c62dcfd
        :0
        > DELEX k IFDEQ zzzzzzzzzzzzzzzz
        :0
        > DELEX k IFDEQ 12
        -ERR must be exactly 16 hexadecimal characters
        > DELEX k IFDEQ 9555E8555c62dcfd
        :1
        > DELEX k FOO v
        :0
        > SET k v
        +OK
        > DELEX k FOO v
        -ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE
        > DELEX k IFEQ
        -ERR wrong number of arguments for 'delex' command
        > DELEX k IFEQ v w
        -ERR wrong number of arguments for 'delex' command
        > DELIFEQ k w
        :0
        > DELIFEQ k v
        :1
        = DEL k
        > DELIFEQ k v
        :0
        > SET k v
        +OK
        > DELEX k
        :1
        = DEL k
        "#,
    );
}
