@redis
# A negative zero in a sorted set of usual size is a zero.
> ZADD z -0 m 0 n
:2
> ZSCORE z m
"0"
> ZMSCORE z m n
["0", "0"]
> ZRANGE z 0 -1 WITHSCORES
["m", "0", "n", "0"]
> ZRANGEBYSCORE z -0 -0
["m", "n"]
> ZCOUNT z 0 -0
:2
> ZRANGEBYSCORE z (-0 +inf
[]
> ZADD z CH 0 m -0 n
:0
> ZADD z GT CH 0 m
:0
> ZINCRBY z -0 m
"0"
> ZINCRBY z -1 n
"-1"
> ZINCRBY z 1 n
"0"
> ZUNION 1 z WEIGHTS 1 WITHSCORES
["m", "0", "n", "0"]
> ZRANGESTORE to z 0 -1
:2
> COPY z other
:1
> ZRANGE other 0 -1 WITHSCORES
["m", "0", "n", "0"]
> ZPOPMIN to
["m", "0"]
> EVAL "redis.call('ZADD', KEYS[1], '-0', 'm') return redis.call('ZSCORE', KEYS[1], 'm')" 1 scripted
"0"
