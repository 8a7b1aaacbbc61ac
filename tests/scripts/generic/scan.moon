@redis
# The SCAN family on small collections, and its refusals.
> SCAN 0
["0", []]
> SCAN abc
-ERR invalid cursor
> SCAN 0 COUNT 0
-ERR syntax error
> SCAN 0 COUNT x
-ERR value is not an integer or out of range
> SET a 1
+OK
> RPUSH b 1
:1
> SCAN 0 TYPE list
["0", ["b"]]
> SCAN 0 MATCH a*
["0", ["a"]]
> HSET h f 1
:1
> HSCAN h 0
["0", ["f", "1"]]
> HSCAN h 0 MATCH z*
["0", []]
> SADD s x
:1
> SSCAN s 0
["0", ["x"]]
> ZADD z 1.5 m
:1
> ZSCAN z 0
["0", ["m", "1.5"]]
> ZSCAN missing 0
["0", []]
> SSCAN a 0
-WRONGTYPE Operation against a key holding the wrong kind of value
> KEYS [ab]
sorted ["a", "b"]
> KEYS nothing*
[]
