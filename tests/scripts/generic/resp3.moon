@redis
@resp3
# Reply types that differ between the protocols.
> GET missing
null
> HSET h f 1
:1
> HGETALL h
{"f": "1"}
> SADD s a
:1
> SMEMBERS s
~["a"]
> ZADD z 1.5 m
:1
> ZSCORE z m
,1.5
> ZRANGE z 0 -1 WITHSCORES
[["m", ,1.5]]
> ZPOPMIN z
["m", ,1.5]
> LPOP missing 2
null
> SRANDMEMBER s 5
["a"]
