//! Stream commands: replies, what is logged, and that the log replays to the same state.

use crate::common::check;

#[test]
fn ids() {
    check(
        "
        > XADD s 5-1 f v
        5-1
        = XADD s 5-1 f v
        > XADD s 5-* f v
        5-2
        = XADD s 5-2 f v
        > XADD s 7-* f v
        7-0
        > XADD s 6-* f v
        -ERR The ID specified in XADD is equal or smaller than the target stream top item
        = -
        > XADD s * f v
        1000000-0
        = XADD s 1000000-0 f v
        > XADD s * f v
        1000000-1
        > XADD s *-5 f v
        -ERR Invalid stream ID specified as stream command argument
        > XADD s 5-1-1 f v
        -ERR Invalid stream ID specified as stream command argument
        > XADD s 0-0 f v
        -ERR The ID specified in XADD must be greater than 0-0
        > XADD t 0-* f v
        0-1
        > XADD t 1 f v
        1-0
        > XADD t 18446744073709551615-18446744073709551615 f v
        18446744073709551615-18446744073709551615
        > XADD t * f v
        -ERR The stream has exhausted the last possible ID, unable to add more items
        > XADD t 1-1 f
        -ERR wrong number of arguments for 'xadd' command
        > XADD none NOMKSTREAM 1-1 f v
        $-1
        = -
        > EXISTS none
        :0
        > SET str x
        +OK
        > XADD str 1-1 f v
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XADD u 1-18446744073709551615 f v
        1-18446744073709551615
        > XADD u 1-* f v
        -ERR The ID specified in XADD is equal or smaller than the target stream top item
        ",
    );
}

#[test]
fn trimming_is_logged_exactly() {
    check(
        "
        > XADD s MAXLEN = 2 1-1 f a
        1-1
        = XADD s MAXLEN = 2 1-1 f a
        > XADD s MAXLEN 2 * f b
        1000000-0
        = XADD s 1000000-0 f b
        > XADD s MAXLEN 2 * f c
        1000000-1
        = XADD s MAXLEN = 2 1000000-1 f c
        > XADD s MINID ~ 2000000 LIMIT 10 3000000-0 f d
        3000000-0
        = XADD s 3000000-0 f d
        > XTRIM s MAXLEN ~ 0
        :3
        = XTRIM s MAXLEN = 0
        > EXISTS s
        :1
        > XTRIM s MAXLEN ~ 0
        :0
        = -
        > XTRIM s MINID 5 LIMIT 3
        -ERR syntax error, LIMIT cannot be used without the special ~ option
        > XTRIM s LIMIT 3
        -ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
        > XTRIM s MAXLEN 1 MINID 1
        -ERR syntax error, MAXLEN and MINID options at the same time are not compatible
        > XTRIM s
        -ERR wrong number of arguments for 'xtrim' command
        > XTRIM s MAXLEN -1
        -ERR The MAXLEN argument must be >= 0.
        > XTRIM none MAXLEN 0
        :0
        ",
    );
}

#[test]
fn references_decide_what_goes() {
    check(
        "
        > XADD s 1-0 f v
        1-0
        > XADD s 2-0 f v
        2-0
        > XADD s 3-0 f v
        3-0
        > XGROUP CREATE s g 0
        +OK
        > XADD s MAXLEN = 1 ACKED 4-0 f v
        4-0
        > XLEN s
        :4
        > XREADGROUP GROUP g c COUNT 3 STREAMS s >
        [[s [[1-0 [f v]] [2-0 [f v]] [3-0 [f v]]]]]
        > XACK s g 1-0 3-0
        :2
        > XTRIM s MAXLEN ~ 0 ACKED
        :2
        = XTRIM s MINID = 4-1 ACKED
        > XRANGE s - +
        [[2-0 [f v]] [4-0 [f v]]]
        > XDELEX s ACKED IDS 3 2-0 4-0 9-9
        [:2 :2 :-1]
        = -
        > XDELEX s DELREF IDS 1 2-0
        [:1]
        > XPENDING s g
        [:0 $-1 $-1 *-1]
        > XREADGROUP GROUP g c STREAMS s >
        [[s [[4-0 [f v]]]]]
        > XACKDEL s g ACKED IDS 2 4-0 5-0
        [:1 :-1]
        > XLEN s
        :0
        > XDELEX s KEEPREF ACKED IDS 1 1-1
        -ERR syntax error
        > XDELEX s IDS 0 1-1
        -ERR Number of IDs must be a positive integer
        > XDELEX s IDS 1
        -ERR wrong number of arguments for 'xdelex' command
        > XDELEX s IDS 3 1-1 2-2
        -ERR The `numids` parameter must match the number of arguments
        > XDELEX none IDS 2 1-1 2-2
        [:-1 :-1]
        ",
    );
}

#[test]
fn groups_deliver_and_log_who_holds_what() {
    check(
        "
        > XGROUP CREATE s g $
        -ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
        > XGROUP CREATE s g $ MKSTREAM
        +OK
        = XGROUP CREATE s g $ MKSTREAM
        > XGROUP CREATE s g 0
        -BUSYGROUP Consumer Group name already exists
        > XADD s 1-0 f a
        1-0
        > XADD s 2-0 f b
        2-0
        > XREADGROUP GROUP g alice COUNT 1 STREAMS s >
        [[s [[1-0 [f a]]]]]
        = XGROUP CREATECONSUMER s g alice
        = XCLAIM s g alice 0 1-0 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID
        = XGROUP SETID s g 1-0 ENTRIESREAD 1
        @ +500
        > XREADGROUP GROUP g alice STREAMS s 0
        [[s [[1-0 [f a]]]]]
        = XCLAIM s g alice 0 1-0 TIME 1000500 RETRYCOUNT 2 FORCE JUSTID
        > XREADGROUP GROUP g bob NOACK STREAMS s >
        [[s [[2-0 [f b]]]]]
        = XGROUP CREATECONSUMER s g bob
        = XGROUP SETID s g 2-0 ENTRIESREAD 2
        > XREADGROUP GROUP g bob STREAMS s >
        *-1
        = -
        > XPENDING s g
        [:1 1-0 1-0 [[alice 1]]]
        @ +10
        > XPENDING s g IDLE 5 - + 10 alice
        [[1-0 alice :10 :2]]
        > XCLAIM s g bob 11 1-0
        []
        = -
        > XCLAIM s g bob 10 1-0
        [[1-0 [f a]]]
        = XCLAIM s g bob 0 1-0 TIME 1000510 RETRYCOUNT 3 FORCE JUSTID
        > XDEL s 1-0
        :1
        > XAUTOCLAIM s g carol 0 0
        [0-0 [] [1-0]]
        = XGROUP CREATECONSUMER s g carol
        = XACK s g 1-0
        > XREADGROUP GROUP nope c STREAMS s >
        -NOGROUP No such key 's' or consumer group 'nope' in XREADGROUP with GROUP option
        > XGROUP DELCONSUMER s g carol
        :0
        > XGROUP DESTROY s g
        :1
        > XGROUP DESTROY s g
        :0
        ",
    );
}

#[test]
fn giving_back_and_claiming_while_reading() {
    check(
        "
        > XADD s 1-0 f a
        1-0
        > XADD s 2-0 f b
        2-0
        > XGROUP CREATE s g 0
        +OK
        > XREADGROUP GROUP g x COUNT 1 STREAMS s >
        [[s [[1-0 [f a]]]]]
        @ +50
        > XREADGROUP GROUP g y CLAIM 51 STREAMS s >
        [[s [[2-0 [f b] :0 :0]]]]
        > XREADGROUP GROUP g y CLAIM 50 STREAMS s >
        [[s [[1-0 [f a] :50 :1]]]]
        = XCLAIM s g y 0 1-0 TIME 1000050 RETRYCOUNT 2 FORCE JUSTID
        > XNACK s g FAIL IDS 2 1-0 9-0
        :1
        = XNACK s g FAIL IDS 2 1-0 9-0
        > XREADGROUP GROUP g y STREAMS s 0
        [[s [[2-0 [f b]]]]]
        > XPENDING s g
        [:2 1-0 2-0 [[y 1]]]
        > XAUTOCLAIM s g z 1000 0 JUSTID
        [0-0 [1-0] []]
        > XNACK s g FATAL IDS 1 1-0 RETRYCOUNT 7
        :1
        > XNACK s g NEVER IDS 1 1-0
        -ERR syntax error
        > XNACK s none FAIL IDS 1 1-0
        -NOGROUP No such key 's' or consumer group 'none'
        > XREADGROUP GROUP g y CLAIM -1 STREAMS s >
        -ERR min-idle-time must be a positive integer
        ",
    );
}

#[test]
fn lag_is_exact_or_unknown() {
    check(
        "
        > XADD s 1-0 f v
        1-0
        > XADD s 2-0 f v
        2-0
        > XADD s 3-0 f v
        3-0
        > XGROUP CREATE s g 0
        +OK
        > XINFO GROUPS s
        [[name g consumers :0 pending :0 last-delivered-id 0-0 entries-read $-1 lag :3]]
        > XREADGROUP GROUP g c COUNT 1 STREAMS s >
        [[s [[1-0 [f v]]]]]
        > XINFO GROUPS s
        [[name g consumers :1 pending :1 last-delivered-id 1-0 entries-read :1 lag :2]]
        > XDEL s 2-0
        :1
        > XINFO GROUPS s
        [[name g consumers :1 pending :1 last-delivered-id 1-0 entries-read :1 lag $-1]]
        > XREADGROUP GROUP g c STREAMS s >
        [[s [[3-0 [f v]]]]]
        > XINFO GROUPS s
        [[name g consumers :1 pending :2 last-delivered-id 3-0 entries-read :3 lag :0]]
        ",
    );
}

#[test]
fn reading_after_ids() {
    check(
        "
        > XADD s 1-0 f a
        1-0
        > XADD s 2-0 f b
        2-0
        > XREAD STREAMS s none 0 0
        [[s [[1-0 [f a]] [2-0 [f b]]]]]
        > XREAD COUNT 1 STREAMS s 0
        [[s [[1-0 [f a]]]]]
        > XREAD STREAMS s $
        *-1
        > XREAD STREAMS s +
        [[s [[2-0 [f b]]]]]
        > XDEL s 2-0
        :1
        > XREAD STREAMS s +
        [[s [[1-0 [f a]]]]]
        ! resp3
        > XREAD STREAMS s 0
        {s [[1-0 [f a]]]}
        > XREAD STREAMS none 0
        _
        > XREAD STREAMS s t 0
        -ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.
        > XREAD STREAMS s >
        -ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
        > XREAD COUNT x STREAMS s 0
        -ERR value is not an integer or out of range
        > XREAD BLOCK -1 STREAMS s 0
        -ERR timeout is negative
        ",
    );
}

/// Counters at the end of what can be written are logged in words that apply.
#[test]
fn counters_at_their_end() {
    let mut h = check(
        "> XGROUP CREATE s g 0 MKSTREAM ENTRIESREAD 9223372036854775807
         +OK
         > XADD s 1-1 f v
         1-1
         > XREADGROUP GROUP g c STREAMS s >
         [[s [[1-1 [f v]]]]]
         = XGROUP CREATECONSUMER s g c
         = XCLAIM s g c 0 1-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID
         = XGROUP SETID s g 1-1 ENTRIESREAD 9223372036854775807
         > XSETID s 5-0 ENTRIESADDED 9223372036854775807 MAXDELETEDID 4-0
         +OK
         > XADD s 6-1 f v
         6-1
         > XREADGROUP GROUP g c STREAMS s >
         [[s [[6-1 [f v]]]]]",
    );
    h.check_replay();
}
