# Hash fields with a time to live: one result per field.

== setting
a> HEXPIRE no 10 FIELDS 2 f g
[:-2, :-2]
a> HSET h f v g w
:2
a> HEXPIRE h 10 FIELDS 3 f no g
[:1, :-2, :1]
a> HEXPIRE h 20 NX FIELDS 1 f
[:0]
a> HPERSIST h FIELDS 1 g
[:1]
a> HEXPIRE h 20 XX FIELDS 2 f g
[:1, :0]
a> HEXPIRE h 10 GT FIELDS 2 f g
[:0, :0]
a> HEXPIRE h 30 LT FIELDS 1 g
[:1]
a> HEXPIREAT h 1 FIELDS 1 f
[:2]
a> HPEXPIRE h 0 FIELDS 1 g
[:2]
a> EXISTS h
:0

== asking
a> HTTL no FIELDS 2 f g
[:-2, :-2]
a> HPERSIST no FIELDS 1 f
[:-2]
a> HSET h f v g w
:2
a> HEXPIREAT h 33177117420 FIELDS 1 f
[:1]
a> HTTL h FIELDS 2 g no
[:-1, :-2]
a> HEXPIRETIME h FIELDS 3 f g no
[:33177117420, :-1, :-2]
a> HPEXPIRETIME h FIELDS 1 f
[:33177117420000]
a> HPERSIST h FIELDS 3 f g no
[:1, :-1, :-2]
a> HPTTL h FIELDS 1 f
[:-1]

== what is refused
a> HSET h f v
:1
a> HEXPIRE h 10 NOFIELDS 1 f
-ERR Mandatory argument FIELDS is missing or not at the right position
a> HEXPIRE h 10 FIELDS 0 f
-ERR Parameter `numFields` should be greater than 0
a> HEXPIRE h 10 FIELDS 2 f
-ERR The `numfields` parameter must match the number of arguments
a> HEXPIRE h 10 FIELDS 1 f g
-ERR The `numfields` parameter must match the number of arguments
a> HEXPIRE h -1 FIELDS 1 f
-ERR invalid expire time, must be >= 0
a> HEXPIRE h x FIELDS 1 f
-ERR value is not an integer or out of range
a> HPEXPIRE h 9223372036854775807 FIELDS 1 f
-ERR invalid expire time in 'hpexpire' command
a> HPEXPIREAT h 70368744177664 FIELDS 1 f
-ERR invalid expire time in 'hpexpireat' command
a> HPEXPIREAT h 70368744177663 FIELDS 1 f
[:1]
a> HEXPIRE h 10 NX XX FIELDS 1 f
-ERR Mandatory argument FIELDS is missing or not at the right position
a> SET s v
+OK
a> HEXPIRE s 10 FIELDS 1 f
-WRONGTYPE Operation against a key holding the wrong kind of value
a> HTTL h 1 f
-ERR wrong number of arguments for 'httl' command

== a new value loses the field's time, arithmetic keeps it
a> HSET h f 1
:1
a> HEXPIRE h 100 FIELDS 1 f
[:1]
a> HINCRBY h f 1
:2
a> HTTL h FIELDS 1 f
[:100]
a> HINCRBYFLOAT h f 0.5
"2.5"
a> HTTL h FIELDS 1 f
[:100]
a> HSET h f 2
:0
a> HTTL h FIELDS 1 f
[:-1]
a> HEXPIRE h 100 FIELDS 1 f
[:1]
a> HMSET h f 3
+OK
a> HTTL h FIELDS 1 f
[:-1]

== an expired field is not to be seen
a> DEBUG SET-ACTIVE-EXPIRE 0
+OK
a> HSET h f v g w
:2
a> HPEXPIRE h 1 FIELDS 1 f
[:1]
pause 20
a> HGET h f
nil
a> HMGET h f g
[nil, "w"]
a> HGETALL h
["g", "w"]
a> HKEYS h
["g"]
a> HVALS h
["w"]
a> HEXISTS h f
:0
a> HSTRLEN h f
:0
a> HSCAN h 0
["0", ["g", "w"]]
a> HRANDFIELD h -2
["g", "g"]
a> HLEN h
:1
a> DEBUG SET-ACTIVE-EXPIRE 1
+OK

== the last field takes the key along
a> CONFIG SET notify-keyspace-events KEA
+OK
b> PSUBSCRIBE __keyevent*
["psubscribe", "__keyevent*", :1]
a> HSET h f v
:1
b<
["pmessage", "__keyevent*", "__keyevent@0__:hset", "h"]
a> HPEXPIRE h 5 FIELDS 1 f
[:1]
b<
["pmessage", "__keyevent*", "__keyevent@0__:hexpire", "h"]
b<
["pmessage", "__keyevent*", "__keyevent@0__:hexpired", "h"]
b<
["pmessage", "__keyevent*", "__keyevent@0__:del", "h"]
a> EXISTS h
:0
a> CONFIG SET notify-keyspace-events ""
+OK

== HGETEX
a> HGETEX no EX 10 FIELDS 1 f
[nil]
a> HSET h f v g w
:2
a> HGETEX h FIELDS 2 f no
["v", nil]
a> HGETEX h EX 100 FIELDS 1 f
["v"]
a> HTTL h FIELDS 1 f
[:100]
a> HGETEX h PERSIST FIELDS 1 f
["v"]
a> HTTL h FIELDS 1 f
[:-1]
a> HGETEX h PXAT 1 FIELDS 1 f
["v"]
a> HEXISTS h f
:0
a> HGETEX h EX 0 FIELDS 1 g
["w"]
a> HSET h g w
:1
a> HGETEX h FIELDS 0 g
-ERR Number of fields must be a positive integer
a> HGETEX h FIELDS x g
-ERR Number of fields must be a positive integer
a> HGETEX h FIELDS 2 g
-ERR The `numfields` parameter must match the number of arguments
a> HGETEX h EX 10 PERSIST FIELDS 1 g
-ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified

== HSETEX
a> HSETEX h EX 100 FIELDS 2 f v g w
:1
a> HTTL h FIELDS 2 f g
[:100, :100]
a> HSETEX h FNX FIELDS 2 f x n y
:0
a> HSETEX h FXX FIELDS 2 f x n y
:0
a> HSETEX h FXX KEEPTTL FIELDS 1 f x
:1
a> HTTL h FIELDS 1 f
[:100]
a> HSETEX h FIELDS 1 f x
:1
a> HTTL h FIELDS 1 f
[:-1]
a> HSETEX h FNX FXX FIELDS 1 f x
-ERR Only one of FXX or FNX arguments can be specified
a> HSETEX h EX 10 KEEPTTL FIELDS 1 f x
-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
a> HSETEX h FIELDS 0 f x
-ERR invalid number of fields
a> HSETEX h FIELDS 2 f x
-ERR wrong number of arguments for 'hsetex' command
a> HSETEX h FOO FIELDS 1 f x
-ERR unknown argument: FOO

== HGETDEL
a> HSET h f v g w
:2
a> HGETDEL h FIELDS 2 f no
["v", nil]
a> HGETDEL h FIELDS 1 g
["w"]
a> EXISTS h
:0
a> HGETDEL h FIELDS 1 g
[nil]
a> HGETDEL h FIELDS 0 g
-ERR Number of fields must be a positive integer
