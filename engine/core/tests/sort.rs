//! SORT and SORT_RO.

use crate::common::check;

#[test]
fn orders() {
    check(
        "> RPUSH l 3 10 2 1.5
         :4
         > SORT l
         [1.5 2 3 10]
         > SORT l DESC LIMIT 1 2
         [3 2]
         > SORT l ALPHA
         [1.5 10 2 3]
         > SORT l LIMIT -5 2
         [1.5 2]
         > SORT l LIMIT 2 -1
         [3 10]
         > SORT l LIMIT 9 9
         []
         > SORT l BY nosort
         [3 10 2 1.5]
         > SORT l BY nosort DESC LIMIT 1 2
         [2 10]
         > SORT_RO l DESC
         [10 3 2 1.5]
         > SORT none
         []
         > RPUSH w b a
         :2
         > SORT w
         -ERR One or more scores can't be converted into double
         > SORT w ALPHA DESC
         [b a]
         > ZADD z 3 a 2 b 1 c
         :3
         > SORT z BY nosort
         [c b a]
         > SORT z BY nosort DESC LIMIT 0 2
         [a b]
         > SORT z ALPHA
         [a b c]
         > SET s 1
         +OK
         > SORT s
         -WRONGTYPE Operation against a key holding the wrong kind of value
         > SORT l LIMIT 1
         -ERR syntax error
         > SORT l LIMIT a b
         -ERR value is not an integer or out of range
         > SORT_RO l STORE x
         -ERR syntax error
         > RPUSH e \"\" 1e400
         :2
         > SORT e
         -ERR One or more scores can't be converted into double",
    );
}

#[test]
fn by_and_get() {
    check(
        "> RPUSH l 1 2 3
         :3
         > MSET w1 30 w2 10 n1 one n3 three
         +OK
         > SORT l BY w*
         [3 2 1]
         > SORT l BY w* GET # GET n* GET plain
         [3 three $-1 2 $-1 $-1 1 one $-1]
         > HSET h1 f 5 g x
         :2
         > HSET h2 f 4
         :1
         > HSET h3 f 6
         :1
         > SORT l BY h*->f GET h*->g
         [$-1 x $-1]
         > SORT l BY w*->f
         [1 2 3]
         > SORT l GET h*->
         [$-1 $-1 $-1]
         > SORT l BY n* ALPHA
         [2 1 3]
         > MSET w1 a w2 b
         +OK
         > SORT l BY w*
         -ERR One or more scores can't be converted into double",
    );
}

#[test]
fn storing_is_logged_as_what_came_out() {
    check(
        "> SADD s 3 1 2
         :3
         > SORT s STORE d
         :3
         = RPUSH d 1 2 3
         > SORT s DESC LIMIT 0 2 STORE d
         :2
         = DEL d
         = RPUSH d 3 2
         > LRANGE d 0 -1
         [3 2]
         > SORT s BY nosort STORE d
         :3
         = DEL d
         = RPUSH d 1 2 3
         > SORT s GET x* STORE d
         :3
         > LRANGE d 0 -1
         [\"\" \"\" \"\"]
         > SORT none STORE d
         :0
         = DEL d
         > SORT none STORE d
         :0
         = -
         > SORT s STORE s
         :3
         > TYPE s
         +list",
    );
}
