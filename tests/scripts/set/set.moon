@redis
# Replies of set commands on missing keys, wrong types and counts.
> SADD s a b c
:3
> SADD s a
:0
> SPOP missing
nil
> SPOP missing 2
[]
> SPOP s -1
-ERR value is out of range, must be positive
> SRANDMEMBER missing
nil
> SRANDMEMBER missing 2
[]
> SRANDMEMBER s 10
sorted ["a", "b", "c"]
> SMISMEMBER s a z
[:1, :0]
> SMISMEMBER missing a
[:0]
> SADD t b c d
:3
> SINTERSTORE out s t
:2
> SMEMBERS out
sorted ["b", "c"]
> SDIFFSTORE out s s
:0
> EXISTS out
:0
> SINTERCARD 2 s t LIMIT 1
:1
> SINTERCARD 2 s t LIMIT -1
-ERR LIMIT can't be negative
> SMOVE s t a
:1
> SMOVE s t nope
:0
> SET str v
+OK
> SUNION s str
-WRONGTYPE Operation against a key holding the wrong kind of value
> SREM s b c
:2
> TYPE s
+none
