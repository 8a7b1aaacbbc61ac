//! List commands.

use crate::common::check;

#[test]
fn push_pop_and_length() {
    check(
        "> LPUSH l a b c
         :3
         > RPUSH l d 12
         :5
         > LRANGE l 0 -1
         [c b a d 12]
         > LLEN l
         :5
         > LPOP l
         c
         > RPOP l 2
         [12 d]
         > LPOP l 0
         []
         > LPOP none
         $-1
         > LPOP none 2
         *-1
         > LPOP l -1
         -ERR value is out of range, must be positive
         > LPUSHX none a
         :0
         = -
         > RPUSHX l z
         :3
         > LPOP l 9
         [b a z]
         > EXISTS l
         :0",
    );
}

#[test]
fn inside() {
    check(
        "> RPUSH l a b c b a
         :5
         > LINDEX l -1
         a
         > LINDEX l 9
         $-1
         > LSET l 1 X
         +OK
         > LSET l 9 X
         -ERR index out of range
         > LSET none 0 X
         -ERR no such key
         > LINSERT l BEFORE X y
         :6
         > LINSERT l AFTER nope y
         :-1
         > LREM l -9223372036854775808 a
         -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
         > LREM l -1 a
         :1
         > LPOS l b
         :4
         > LPOS l a COUNT 0
         [:0]
         > LPOS l a RANK 0
         -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
         > LTRIM l 1 2
         +OK
         > LRANGE l 0 -1
         [y X]
         > LTRIM l 5 9
         +OK
         > EXISTS l
         :0",
    );
}

#[test]
fn moves_keep_the_time_to_live_and_rotate() {
    check(
        "> RPUSH l a b c
         :3
         > PEXPIRE l 100000
         :1
         > RPOPLPUSH l l
         c
         > LMOVE l l LEFT RIGHT
         c
         > LMOVEM l l RIGHT LEFT COUNT 9 BULK
         [a b c]
         > PTTL l
         :100000
         > LMOVEM l m LEFT LEFT COUNT 2 OBO
         [b a]
         > LRANGE m 0 -1
         [b a]
         > LMOVEM l m LEFT LEFT EXACTLY 2 OBO
         *-1
         > LMOVEM m l RIGHT RIGHT COUNT 2 BULK
         [b a]
         > LRANGE l 0 -1
         [c b a]
         > SET s v
         +OK
         > LMOVE l s LEFT LEFT
         -WRONGTYPE Operation against a key holding the wrong kind of value
         > LLEN l
         :3
         > LMPOP 2 none l RIGHT COUNT 2
         [l [a b]]
         = RPOP l 2
         > LMPOP 0 l LEFT
         -ERR numkeys should be greater than 0",
    );
}
