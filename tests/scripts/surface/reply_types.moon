# How each kind of reply looks in RESP2 (clients a, b) and RESP3 (A, B).

== a value that is not there
a> GET no
nil
A> GET no
null
a> HGET no f
nil
A> HGET no f
null
a> LINDEX no 0
nil
A> LINDEX no 0
null
a> ZSCORE no m
nil
A> ZSCORE no m
null
a> SET k v
+OK
a> SET k w NX
nil
A> SET k w NX
null
a> SPOP no
nil
A> SPOP no
null
a> OBJECT ENCODING no
nil
A> OBJECT ENCODING no
null
a> GEOADD geo 13.361389 38.115556 p
:1
a> GEODIST geo p q
nil
A> GEODIST geo p q
null

== nothing came in time, or there is nothing to pop
a> BLPOP no 0.01
nil-array
A> BLPOP no 0.01
null
a> BRPOP no 0.01
nil-array
a> BZPOPMIN no 0.01
nil-array
A> BZPOPMIN no 0.01
null
a> BLMOVE no to LEFT LEFT 0.01
nil-array
A> BLMOVE no to LEFT LEFT 0.01
null
a> BLMPOP 0.01 1 no LEFT
nil-array
A> BLMPOP 0.01 1 no LEFT
null
a> LMPOP 1 no LEFT
nil-array
A> LMPOP 1 no LEFT
null
a> ZMPOP 1 no MIN
nil-array
A> ZMPOP 1 no MIN
null
a> XREAD STREAMS no 0
nil-array
A> XREAD STREAMS no 0
null
a> XREAD BLOCK 10 STREAMS no 0
nil-array
a> XGROUP CREATE s g $ MKSTREAM
+OK
a> XREADGROUP GROUP g c BLOCK 10 STREAMS s >
nil-array
A> XREADGROUP GROUP g c BLOCK 10 STREAMS s >
null
a> LPOP no 2
nil-array
A> LPOP no 2
null
a> ZRANK no m WITHSCORE
nil-array
A> ZRANK no m WITHSCORE
null
a> GEOADD geo 13.361389 38.115556 p
:1
a> GEOPOS geo q
[nil-array]
A> GEOPOS geo q
[null]
a> WATCH w
+OK
b> SET w 1
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
A> WATCH w
+OK
b> SET w 2
+OK
A> MULTI
+OK
A> PING
+QUEUED
A> EXEC
null

== nothing, as an empty array
a> RPUSH l x
:1
a> LPOP l 0
[]
A> LPOP l 0
[]
a> ZPOPMIN no
[]
A> ZPOPMIN no
[]
a> SRANDMEMBER no 2
[]
A> SRANDMEMBER no 2
[]
a> GEOSEARCH no FROMLONLAT 0 0 BYRADIUS 1 m
[]
a> GEOSEARCH no FROMMEMBER m BYRADIUS 1 m
[]
A> GEOSEARCH no FROMMEMBER m BYRADIUS 1 m
[]

== a range of a stream with a count of nothing
a> XADD s 1-1 f v
"1-1"
a> XRANGE s - + COUNT 0
nil-array
A> XRANGE s - + COUNT 0
null
a> XREVRANGE s + - COUNT -1
nil-array
A> XREVRANGE s + - COUNT -1
null

== maps
a> HSET h f v
:1
a> HGETALL h
["f", "v"]
A> HGETALL h
{"f": "v"}
a> CONFIG GET appendfsync
["appendfsync", "everysec"]
A> CONFIG GET appendfsync
{"appendfsync": "everysec"}
a> XADD s 1-1 f v
"1-1"
a> XREAD STREAMS s 0
[["s", [["1-1", ["f", "v"]]]]]
A> XREAD STREAMS s 0
{"s": [["1-1", ["f", "v"]]]}
a> XGROUP CREATE s g 0
+OK
a> XINFO GROUPS s
[["name", "g", "consumers", :0, "pending", :0, "last-delivered-id", "0-0", "entries-read", nil, "lag", :1]]
A> XINFO GROUPS s
[{"name": "g", "consumers": :0, "pending": :0, "last-delivered-id": "0-0", "entries-read": null, "lag": :1}]
a> XREADGROUP GROUP g c STREAMS s >
[["s", [["1-1", ["f", "v"]]]]]
A> XREADGROUP GROUP g c STREAMS s 0
{"s": [["1-1", ["f", "v"]]]}
a> MSET x ohmytext y mynewtext
+OK
a> LCS x y IDX MINMATCHLEN 4
["matches", [[[:4, :7], [:5, :8]]], "len", :6]
A> LCS x y IDX MINMATCHLEN 4
{"matches": [[[:4, :7], [:5, :8]]], "len": :6}
a> FUNCTION LIST
[]
A> FUNCTION LIST
[]
a> FUNCTION STATS
["running_script", nil, "engines", ["LUA", ["libraries_count", :0, "functions_count", :0]]]
A> FUNCTION STATS
{"running_script": null, "engines": {"LUA": {"libraries_count": :0, "functions_count": :0}}}
a> CLIENT TRACKINGINFO
["flags", ["off"], "redirect", :-1, "prefixes", []]
A> CLIENT TRACKINGINFO
{"flags": ~["off"], "redirect": :-1, "prefixes": []}
a> LATENCY HISTOGRAM nosuchcommand
[]
A> LATENCY HISTOGRAM nosuchcommand
{}
a> PUBSUB NUMSUB ch
["ch", :0]
A> PUBSUB NUMSUB ch
["ch", :0]
A> ACL GETUSER nobody
null

== sets
a> SADD x m
:1
a> SADD y m
:1
a> SMEMBERS x
["m"]
A> SMEMBERS x
~["m"]
A> SINTER x y
~["m"]
A> SUNION x y
~["m"]
a> SDIFF x y
[]
A> SDIFF x y
~[]
A> SRANDMEMBER x 3
["m"]
A> SPOP x 3
~["m"]
a> SPOP y 3
["m"]
a> HSET h f v
:1
A> HKEYS h
["f"]
A> HVALS h
["v"]
a> SET only 1
+OK
a> DEL y h
:1
A> KEYS onl*
["only"]

== scores
a> ZADD z 1.5 m 2 n
:2
a> ZSCORE z m
"1.5"
A> ZSCORE z m
,1.5
a> ZINCRBY z 1 m
"2.5"
A> ZINCRBY z 1 m
,3.5
a> ZMSCORE z m no
["3.5", nil]
A> ZMSCORE z m no
[,3.5, null]
a> ZADD z INCR 1 n
"3"
A> ZADD z INCR 1 n
,4
a> ZRANGE z 0 -1 WITHSCORES
["m", "3.5", "n", "4"]
A> ZRANGE z 0 -1 WITHSCORES
[["m", ,3.5], ["n", ,4]]
A> ZRANDMEMBER z 1 WITHSCORES
[["...", ,...]]
a> ZUNION 1 z WITHSCORES
["m", "3.5", "n", "4"]
A> ZUNION 1 z WITHSCORES
[["m", ,3.5], ["n", ,4]]
a> HSET h f v
:1
a> HRANDFIELD h 1 WITHVALUES
["f", "v"]
A> HRANDFIELD h 1 WITHVALUES
[["f", "v"]]
a> ZPOPMIN z
["m", "3.5"]
a> ZADD z 1.5 m
:1
A> ZPOPMIN z
["m", ,1.5]
a> ZADD z 1.5 m
:1
a> ZPOPMIN z 1
["m", "1.5"]
a> ZADD z 1.5 m
:1
A> ZPOPMIN z 1
[["m", ,1.5]]
a> ZADD z 1.5 m 2 n
:1
a> ZMPOP 1 z MIN COUNT 2
["z", [["m", "1.5"], ["n", "2"]]]
a> ZADD z 1.5 m 2 n
:2
A> ZMPOP 1 z MIN COUNT 2
["z", [["m", ,1.5], ["n", ,2]]]
a> ZADD z 1.5 m
:1
A> BZPOPMIN z 0
["z", "m", ,1.5]
a> ZADD z 1.5 m
:1
a> BZMPOP 0 1 z MIN
["z", [["m", "1.5"]]]

== scans give strings, scores as well
a> ZADD z 1.5 m
:1
A> ZSCAN z 0
["0", ["m", "1.5"]]
a> HSET h f v
:1
A> HSCAN h 0
["0", ["f", "v"]]
a> SADD x m
:1
A> SSCAN x 0
["0", ["m"]]

== places and distances
a> GEOADD geo 13.361389 38.115556 p 15.087269 37.502669 q
:2
a> GEOPOS geo p
[["13.361389338970184", "38.1155563954963"]]
A> GEOPOS geo p
[[,13.361389338970184, ,38.1155563954963]]
a> GEODIST geo p q
"166274.1516"
A> GEODIST geo p q
"166274.1516"
a> GEOSEARCH geo FROMMEMBER p BYRADIUS 200 km ASC WITHCOORD WITHDIST
[["p", "0.0000", ["13.361389338970184", "38.1155563954963"]], ["q", "166.2742", ["15.087267458438873", "37.50266842333162"]]]
A> GEOSEARCH geo FROMMEMBER p BYRADIUS 200 km ASC WITHCOORD WITHDIST
[["p", "0.0000", [,13.361389338970184, ,38.1155563954963]], ["q", "166.2742", [,15.087267458438873, ,37.50266842333162]]]
A> INCRBYFLOAT n 1.5
"1.5"
A> HINCRBYFLOAT h n 1.5
"1.5"

== integers that are no booleans
a> SADD x m
:1
A> SMISMEMBER x m n
[:1, :0]
A> SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff
[:0]
A> EXISTS x no
:1
a> HSET h f v
:1
A> HEXPIRE h 100 FIELDS 2 f no
[:1, :-2]

== pending entries in short
a> XGROUP CREATE s g 0 MKSTREAM
+OK
a> XADD s 1-1 f v
"1-1"
a> XREADGROUP GROUP g c STREAMS s >
[["s", [["1-1", ["f", "v"]]]]]
a> XPENDING s g
[:1, "1-1", "1-1", [["c", "1"]]]
A> XPENDING s g
[:1, "1-1", "1-1", [["c", "1"]]]

== what COMMAND INFO says
a> COMMAND INFO get
[["get", :2, [+readonly, +fast], :1, :1, :1, [+@fast, +@read, +@string], [], [["flags", [+RO, +access], "begin_search", ["type", "index", "spec", ["index", :1]], "find_keys", ["type", "range", "spec", ["lastkey", :0, "keystep", :1, "limit", :0]]]], []]]
A> COMMAND INFO get
[["get", :2, ~[+readonly, +fast], :1, :1, :1, ~[+@fast, +@read, +@string], ~[], ~[{"flags": ~[+RO, +access], "begin_search": {"type": "index", "spec": {"index": :1}}, "find_keys": {"type": "range", "spec": {"lastkey": :0, "keystep": :1, "limit": :0}}}], ~[]]]

== flags of tracking
a> CLIENT TRACKINGINFO
["flags", ["off"], "redirect", :-1, "prefixes", []]
A> CLIENT TRACKING on BCAST PREFIX p
+OK
A> CLIENT TRACKINGINFO
{"flags": ~["on", "bcast"], "redirect": :0, "prefixes": ["p"]}

== DEBUG PROTOCOL knows every type
a> DEBUG PROTOCOL string
"Hello World"
A> DEBUG PROTOCOL string
"Hello World"
a> DEBUG PROTOCOL integer
:12345
a> DEBUG PROTOCOL double
"3.141"
A> DEBUG PROTOCOL double
,3.141
a> DEBUG PROTOCOL null
nil
A> DEBUG PROTOCOL null
null
a> DEBUG PROTOCOL array
[:0, :1, :2]
a> DEBUG PROTOCOL set
[:0, :1, :2]
A> DEBUG PROTOCOL set
~[:0, :1, :2]
a> DEBUG PROTOCOL map
[:0, :0, :1, :1, :2, :0]
A> DEBUG PROTOCOL map
{:0: #f, :1: #t, :2: #f}
a> DEBUG PROTOCOL verbatim
"This is a verbatim\nstring"
A> DEBUG PROTOCOL verbatim
="txt:This is a verbatim\nstring"
a> DEBUG PROTOCOL true
:1
A> DEBUG PROTOCOL true
#t
a> DEBUG PROTOCOL false
:0
A> DEBUG PROTOCOL false
#f
a> DEBUG PROTOCOL bignum
"1234567999999999999999999999999999999"
A> DEBUG PROTOCOL bignum
(1234567999999999999999999999999999999

== the history of a consumer, and entries that are no more
a> XGROUP CREATE s g 0 MKSTREAM
+OK
a> XREADGROUP GROUP g c STREAMS s 0
[["s", []]]
A> XREADGROUP GROUP g c STREAMS s 0
{"s": []}
a> XADD s 1-1 f v
"1-1"
a> XADD s 2-1 f v
"2-1"
a> XREADGROUP GROUP g c STREAMS s >
[["s", [["1-1", ["f", "v"]], ["2-1", ["f", "v"]]]]]
a> XDEL s 1-1
:1
a> XREADGROUP GROUP g c STREAMS s 0
[["s", [["1-1", nil-array], ["2-1", ["f", "v"]]]]]
a> XCLAIM s g d 0 1-1 2-1
[["2-1", ["f", "v"]]]
a> XADD s 3-1 f v
"3-1"
a> XREADGROUP GROUP g c STREAMS s >
[["s", [["3-1", ["f", "v"]]]]]
a> XDEL s 3-1
:1
a> XAUTOCLAIM s g d 0 0
["0-0", [["2-1", ["f", "v"]]], ["3-1"]]

== subscribing
a> SUBSCRIBE c1 c2
["subscribe", "c1", :1]
a<
["subscribe", "c2", :2]
a> PSUBSCRIBE p*
["psubscribe", "p*", :3]
a> SSUBSCRIBE sh
["ssubscribe", "sh", :1]
a> UNSUBSCRIBE c1
["unsubscribe", "c1", :2]
a> GET k
-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
a> PING
["pong", ""]
a> PUNSUBSCRIBE
["punsubscribe", "p*", :1]
a> UNSUBSCRIBE
["unsubscribe", "c2", :0]
a> SUNSUBSCRIBE
["sunsubscribe", "sh", :0]
a> PING
+PONG
a> UNSUBSCRIBE
["unsubscribe", nil, :0]
A> SUBSCRIBE c1
>["subscribe", "c1", :1]
A> GET k
null
A> PING
+PONG
A> UNSUBSCRIBE c1
>["unsubscribe", "c1", :0]

== subscribing inside a transaction
a> MULTI
+OK
a> SUBSCRIBE ch
+QUEUED
a> EXEC
[["subscribe", "ch", :1]]
