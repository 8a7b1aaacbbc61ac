# Clients that wait.

== first come, first served
b> BLPOP l 0
c> BLPOP l 0
d> BLPOP l 0
a> RPUSH l x y z
:3
b<
["l", "x"]
c<
["l", "y"]
d<
["l", "z"]
a> EXISTS l
:0

== of several keys the first in the client's order
b> BLPOP l m 0
a> MULTI
+OK
a> RPUSH m x
+QUEUED
a> RPUSH l y
+QUEUED
a> EXEC
[:1, :1]
b<
["l", "y"]
a> LRANGE m 0 -1
["x"]

== served when the whole transaction or script has ended
b> BLPOP l 0
a> MULTI
+OK
a> RPUSH l x
+QUEUED
a> DEL l
+QUEUED
a> EXEC
[:1, :1]
b~
a> EVAL "redis.call('rpush',KEYS[1],'x') redis.call('rpush',KEYS[1],'y') return redis.call('llen',KEYS[1])" 1 l
:2
b<
["l", "x"]

== another type wakes nobody
b> BLPOP l 0
a> SET l v
+OK
b~
a> DEL l
:1
a> RPUSH l x
:1
b<
["l", "x"]

== all ways to make the value
b> BLPOP l 0
a> RPUSH m x
:1
a> RENAME m l
+OK
b<
["l", "x"]
b> BLPOP l 0
a> RPUSH m x
:1
a> COPY m l
:1
b<
["l", "x"]
b> BLPOP l 0
a> SORT m ALPHA STORE l
:1
b<
["l", "x"]
b> BLPOP l 0
a> LMOVE m l LEFT LEFT
"x"
b<
["l", "x"]
b> BLPOP l 0
a> SELECT 1
+OK
a> RPUSH l x
:1
a> MOVE l 0
:1
b<
["l", "x"]
b> BLPOP l 0
a> RPUSH l y
:1
a> SWAPDB 0 1
+OK
b<
["l", "y"]
a> FLUSHALL
+OK
b> BLMOVE l m LEFT LEFT 0
c> BLPOP m 0
a> SELECT 0
+OK
a> RPUSH l x
:1
b<
"x"
c<
["m", "x"]
b> BZPOPMIN z 0
a> ZADD y 1 m
:1
a> ZUNIONSTORE z 1 y
:1
b<
["z", "m", "1"]
b> BZPOPMAX z 0
a> GEOADD g 13 38 p
:1
a> GEOSEARCHSTORE z g FROMLONLAT 13 38 BYRADIUS 1 km
:1
b<
["z", "p", "3479065152021743"]
b> XREAD BLOCK 0 STREAMS s $
a> XADD s 1-1 f v
"1-1"
b<
[["s", [["1-1", ["f", "v"]]]]]

== onto a wrong type nothing is lost
a> SET m v
+OK
b> BLMOVE l m LEFT LEFT 0
a> RPUSH l x
:1
b<
-WRONGTYPE Operation against a key holding the wrong kind of value
a> LRANGE l 0 -1
["x"]

== let go by another client
b> BLPOP l 0
a> CLIENT UNBLOCK $b
:1
b<
nil-array
b> BLPOP l 0
a> CLIENT UNBLOCK $b ERROR
:1
b<
-UNBLOCKED client unblocked via CLIENT UNBLOCK
a> CLIENT UNBLOCK $b
:0
a> CLIENT UNBLOCK 999999999
:0
b> BLPOP l 0
a> CLIENT KILL ID $b
:1
b!

== how long
a> BLPOP l x
-ERR timeout is not a float or out of range
a> BLPOP l -1
-ERR timeout is negative
a> BLPOP l 1e300
-ERR timeout is out of range
a> BZPOPMIN z inf
-ERR timeout is out of range
a> BLPOP l 0.01
nil-array
a> XREAD BLOCK -1 STREAMS s $
-ERR timeout is negative

== becoming a replica
b> BLPOP l 0
a> REPLICAOF 127.0.0.1 1
+OK
b<
-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)
a> REPLICAOF NO ONE
+OK

== streams
a> XADD s 5-1 f v
"5-1"
b> XREAD BLOCK 0 STREAMS s $
a> DEL s
:1
b~
a> XADD s 1-1 f v
"1-1"
b~
a> XADD s 6-1 f v
"6-1"
b<
[["s", [["6-1", ["f", "v"]]]]]
b> XREAD BLOCK 0 STREAMS s +
[["s", [["6-1", ["f", "v"]]]]]
b> XGROUP CREATE s g $
+OK
b> XREADGROUP GROUP g c BLOCK 0 STREAMS s >
a> XGROUP DESTROY s g
:1
b<
-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
b> XGROUP CREATE s g $
+OK
b> XREADGROUP GROUP g c BLOCK 0 STREAMS s >
a> DEL s
:1
b<
-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
b> XGROUP CREATE s g $ MKSTREAM
+OK
b> XREADGROUP GROUP g c BLOCK 0 STREAMS s >
a> SET s v
+OK
b<
-WRONGTYPE Operation against a key holding the wrong kind of value

== counted
b> BLPOP l 0
c> BLPOP l m 0
a> INFO clients
"# Clients\r\n...\r\nblocked_clients:2\r\n...\r\ntotal_blocking_keys:2\r\n...
