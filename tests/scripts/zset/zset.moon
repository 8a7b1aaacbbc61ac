@redis
# Conditions, ranges and pops of sorted sets.
> ZADD z 1 a 2 b 3 c
:3
> ZADD z NX XX 1 a
-ERR XX and NX options at the same time are not compatible
> ZADD z GT LT 1 a
-ERR GT, LT, and/or NX options at the same time are not compatible
> ZADD z INCR 1 a 2 b
-ERR INCR option supports a single increment-element pair
> ZADD z nan a
-ERR value is not a valid float
> ZADD z XX CH 5 a 6 new
:1
> ZADD z NX INCR 1 a
nil
> ZINCRBY z inf a
"inf"
> ZINCRBY z -inf a
-ERR resulting score is not a number (NaN)
> ZADD z 1 a
:0
> ZRANGE z 0 -1 WITHSCORES
["a", "1", "b", "2", "c", "3"]
> ZRANGE z (1 +inf BYSCORE LIMIT 1 1
["c"]
> ZRANGE z 0 1 LIMIT 0 1
-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
> ZRANGE z x 1
-ERR value is not an integer or out of range
> ZRANGEBYSCORE z x 1
-ERR min or max is not a float
> ZRANGEBYLEX z a +
-ERR min or max not valid string range item
> ZRANK z missing
nil
> ZMSCORE z a missing
["1", nil]
> ZPOPMIN z
["a", "1"]
> ZPOPMAX z 5
["c", "3", "b", "2"]
> ZPOPMIN z
[]
> ZMPOP 1 z MIN
nil-array
> ZADD z 0 -0
:1
> ZADD z -0 m
:1
> ZSCORE z m
"0"
> ZADD z1 1 a 2 b
:2
> ZADD z2 10 b 20 c
:2
> ZUNIONSTORE out 2 z1 z2 WEIGHTS 2 1 AGGREGATE MAX
:3
> ZRANGE out 0 -1 WITHSCORES
["a", "2", "b", "10", "c", "20"]
> ZINTERCARD 2 z1 z2 LIMIT 0
:1
> ZDIFF 2 z1 z2 WITHSCORES
["a", "1"]
> ZUNION 0 z1
-ERR at least 1 input key is needed for 'zunion' command
