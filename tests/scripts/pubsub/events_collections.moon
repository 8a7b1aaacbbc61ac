@redis
@resp3
b> CONFIG SET notify-keyspace-events EA
+OK
b> PSUBSCRIBE *
>["psubscribe", "*", :1]
> RPUSH l a b c
:3
> LSET l 0 x
+OK
> LINSERT l BEFORE x w
:4
> LREM l 0 w
:1
> LTRIM l 0 1
+OK
> LPOP l
"x"
> RPUSHX l y
:2
> LMOVE l m LEFT RIGHT
"b"
> RPOPLPUSH l m
"y"
b<
>["pmessage", "*", "__keyevent@0__:rpush", "l"]
>["pmessage", "*", "__keyevent@0__:lset", "l"]
>["pmessage", "*", "__keyevent@0__:linsert", "l"]
>["pmessage", "*", "__keyevent@0__:lrem", "l"]
>["pmessage", "*", "__keyevent@0__:ltrim", "l"]
>["pmessage", "*", "__keyevent@0__:lpop", "l"]
>["pmessage", "*", "__keyevent@0__:rpush", "l"]
>["pmessage", "*", "__keyevent@0__:rpush", "m"]
>["pmessage", "*", "__keyevent@0__:lpop", "l"]
>["pmessage", "*", "__keyevent@0__:lpush", "m"]
>["pmessage", "*", "__keyevent@0__:rpop", "l"]
>["pmessage", "*", "__keyevent@0__:del", "l"]
> LMPOP 1 m LEFT COUNT 5
["m", ["y", "b"]]
> RPUSH l a
:1
> LTRIM l 5 9
+OK
b<
>["pmessage", "*", "__keyevent@0__:lpop", "m"]
>["pmessage", "*", "__keyevent@0__:del", "m"]
>["pmessage", "*", "__keyevent@0__:rpush", "l"]
>["pmessage", "*", "__keyevent@0__:ltrim", "l"]
>["pmessage", "*", "__keyevent@0__:del", "l"]
# Sets.
> SADD s a b
:2
> SMOVE s t a
:1
> SREM s b
:1
> SPOP t
"a"
> SADD s a b
:2
> SUNIONSTORE d s
:2
> SINTERSTORE d s
:2
> SDIFFSTORE d nosuch
:0
> SDIFFSTORE d nosuch
:0
b<
>["pmessage", "*", "__keyevent@0__:sadd", "s"]
>["pmessage", "*", "__keyevent@0__:srem", "s"]
>["pmessage", "*", "__keyevent@0__:sadd", "t"]
>["pmessage", "*", "__keyevent@0__:srem", "s"]
>["pmessage", "*", "__keyevent@0__:del", "s"]
>["pmessage", "*", "__keyevent@0__:spop", "t"]
>["pmessage", "*", "__keyevent@0__:del", "t"]
>["pmessage", "*", "__keyevent@0__:sadd", "s"]
>["pmessage", "*", "__keyevent@0__:sunionstore", "d"]
>["pmessage", "*", "__keyevent@0__:sinterstore", "d"]
>["pmessage", "*", "__keyevent@0__:del", "d"]
# Hashes.
> HSET h f 1
:1
> HINCRBY h f 1
:2
> HINCRBYFLOAT h f 0.5
"2.5"
> HSETNX h g v
:1
> HSETNX h g v
:0
> HDEL h f g
:2
b<
>["pmessage", "*", "__keyevent@0__:hset", "h"]
>["pmessage", "*", "__keyevent@0__:hincrby", "h"]
>["pmessage", "*", "__keyevent@0__:hincrbyfloat", "h"]
>["pmessage", "*", "__keyevent@0__:hset", "h"]
>["pmessage", "*", "__keyevent@0__:hdel", "h"]
>["pmessage", "*", "__keyevent@0__:del", "h"]
# Sorted sets.
> ZADD z 1 a 2 b 3 c 4 d 5 e
:5
> ZADD z 1 a
:0
> ZINCRBY z 1 a
,2
> ZADD z INCR 1 a
,3
> ZREM z a
:1
> ZPOPMIN z
["b", ,2]
> ZPOPMAX z
["e", ,5]
> ZRANGESTORE y z 0 -1
:2
> ZUNIONSTORE y 1 z
:2
> ZINTERSTORE y 1 z
:2
> ZDIFFSTORE y 1 z
:2
> ZREMRANGEBYSCORE z 3 3
:1
> ZREMRANGEBYRANK z 0 0
:1
> ZREMRANGEBYLEX y - +
:2
b<
>["pmessage", "*", "__keyevent@0__:zadd", "z"]
>["pmessage", "*", "__keyevent@0__:zincr", "z"]
>["pmessage", "*", "__keyevent@0__:zincr", "z"]
>["pmessage", "*", "__keyevent@0__:zrem", "z"]
>["pmessage", "*", "__keyevent@0__:zpopmin", "z"]
>["pmessage", "*", "__keyevent@0__:zpopmax", "z"]
>["pmessage", "*", "__keyevent@0__:zrangestore", "y"]
>["pmessage", "*", "__keyevent@0__:zunionstore", "y"]
>["pmessage", "*", "__keyevent@0__:zinterstore", "y"]
>["pmessage", "*", "__keyevent@0__:zdiffstore", "y"]
>["pmessage", "*", "__keyevent@0__:zremrangebyscore", "z"]
>["pmessage", "*", "__keyevent@0__:zremrangebyrank", "z"]
>["pmessage", "*", "__keyevent@0__:del", "z"]
>["pmessage", "*", "__keyevent@0__:zremrangebylex", "y"]
>["pmessage", "*", "__keyevent@0__:del", "y"]
# From a transaction: all of it, when it has ended.
> MULTI
+OK
> SET k v
+QUEUED
> SELECT 2
+QUEUED
> SET k w
+QUEUED
> EXEC
[+OK, +OK, +OK]
b<
>["pmessage", "*", "__keyevent@0__:set", "k"]
>["pmessage", "*", "__keyevent@2__:set", "k"]
b> CONFIG SET notify-keyspace-events ""
+OK
