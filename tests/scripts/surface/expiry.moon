# When keys expire, and what says so.

== times that make no sense
a> SET k v EX 0
-ERR invalid expire time in 'set' command
a> SET k v EX -1
-ERR invalid expire time in 'set' command
a> SET k v PX 9223372036854775807
-ERR invalid expire time in 'set' command
a> SET k v EX 9223372036854775807
-ERR invalid expire time in 'set' command
a> SETEX k 0 v
-ERR invalid expire time in 'setex' command
a> PSETEX k -5 v
-ERR invalid expire time in 'psetex' command
a> GETEX k EX 0
nil
a> SET k v EX 10 EX 20
+OK
a> SET k v EX 10 PX 20
-ERR syntax error
a> SET k v
+OK
a> SET k v EXAT 1
+OK
a> EXISTS k
:0
a> EXPIRE k x
-ERR value is not an integer or out of range
a> SET k v
+OK
a> EXPIRE k 9223372036854775807
-ERR invalid expire time in 'expire' command
a> PEXPIRE k 9223372036854775807
-ERR invalid expire time in 'pexpire' command

== a new value loses its time to live
a> SET k v EX 100
+OK
a> SET k w
+OK
a> TTL k
:-1
a> SET k v EX 100
+OK
a> SET k w KEEPTTL
+OK
a> TTL k
:100
a> GETSET k x
"w"
a> TTL k
:-1
a> SET k v EX 100
+OK
a> MSET k x
+OK
a> TTL k
:-1
a> SADD s m
:1
a> SET k v EX 100
+OK
a> SUNIONSTORE k s
:1
a> TTL k
:-1
a> SET k v EX 100
+OK
a> SORT s ALPHA STORE k
:1
a> TTL k
:-1

== a change in place keeps it
a> SET n 1 EX 100
+OK
a> INCR n
:2
a> APPEND n 0
:2
a> SETRANGE n 0 5
:2
a> SETBIT n 1 1
:0
a> TTL n
:100
a> HSET h f v
:1
a> EXPIRE h 100
:1
a> HSET h g w
:1
a> TTL h
:100
a> LPUSH l x
:1
a> EXPIRE l 100
:1
a> LPUSH l y
:2
a> TTL l
:100
a> PFADD p a
:1
a> EXPIRE p 100
:1
a> PFADD p b
:1
a> TTL p
:100

== RENAME, COPY and MOVE take it along
a> SET k v EX 100
+OK
a> RENAME k l
+OK
a> TTL l
:100
a> COPY l m
:1
a> TTL m
:100
a> MOVE m 5
:1
a> SELECT 5
+OK
a> TTL m
:100

== GETEX looks for the key first
a> GETEX no EX 0
nil
a> SET k v
+OK
a> GETEX k PXAT 1
"v"
a> EXISTS k
:0

== a time that is over deletes
a> CONFIG SET notify-keyspace-events KEA
+OK
b> PSUBSCRIBE __keyevent*
["psubscribe", "__keyevent*", :1]
a> SET k v
+OK
b<
["pmessage", "__keyevent*", "__keyevent@0__:set", "k"]
a> EXPIRE k 0
:1
b<
["pmessage", "__keyevent*", "__keyevent@0__:del", "k"]
a> SET k v
+OK
b<
["pmessage", "__keyevent*", "__keyevent@0__:set", "k"]
a> PEXPIREAT k 1
:1
b<
["pmessage", "__keyevent*", "__keyevent@0__:del", "k"]
a> EXPIRE k -5
:0
a> CONFIG SET notify-keyspace-events ""
+OK

== conditions
a> SET k v
+OK
a> EXPIRE k 100 XX
:0
a> EXPIRE k 100 GT
:0
a> EXPIRE k 100 LT
:1
a> EXPIRE k 100 NX
:0
a> EXPIRE k 50 GT
:0
a> EXPIRE k 200 GT
:1
a> EXPIRE k 300 LT
:0
a> EXPIRE k 100 NX XX
-ERR NX and XX, GT or LT options at the same time are not compatible
a> EXPIRE k 100 GT LT
-ERR GT and LT options at the same time are not compatible
a> EXPIRE k 100 FOO
-ERR Unsupported option FOO

== what is left
a> TTL no
:-2
a> PTTL no
:-2
a> EXPIRETIME no
:-2
a> SET k v
+OK
a> TTL k
:-1
a> PTTL k
:-1
a> PEXPIRE k 1800
:1
a> TTL k
:2
a> PEXPIREAT k 33177117420000
:1
a> EXPIRETIME k
:33177117420
a> PEXPIRETIME k
:33177117420000

== time stands still for one command, script, transaction
a> EVAL "redis.call('set',KEYS[1],'v','px',5); local t=redis.call('time'); repeat local n=redis.call('time') until (n[1]-t[1])*1000000+(n[2]-t[2]) > 20000 or n[2]==t[2]; return redis.call('exists',KEYS[1])" 1 k
:1

== what has expired is met, counted and told
a> CONFIG RESETSTAT
+OK
a> DEBUG SET-ACTIVE-EXPIRE 0
+OK
a> CONFIG SET notify-keyspace-events KEx
+OK
b> SUBSCRIBE __keyevent@0__:expired
["subscribe", "__keyevent@0__:expired", :1]
a> SET k v PX 1
+OK
pause 20
a> DBSIZE
:1
a> GET k
nil
b<
["message", "__keyevent@0__:expired", "k"]
a> DBSIZE
:0
a> DEBUG SET-ACTIVE-EXPIRE 1
+OK
a> CONFIG SET notify-keyspace-events ""
+OK

== active expiry needs nobody to look
a> CONFIG SET notify-keyspace-events KEx
+OK
b> SUBSCRIBE __keyevent@0__:expired
["subscribe", "__keyevent@0__:expired", :1]
a> SET k v PX 10
+OK
b<
["message", "__keyevent@0__:expired", "k"]
a> DBSIZE
:0
a> CONFIG SET notify-keyspace-events ""
+OK

== RANDOMKEY among the expired ends
a> DEBUG SET-ACTIVE-EXPIRE 0
+OK
a> SET k v PX 1
+OK
a> SET l v PX 1
+OK
pause 20
a> RANDOMKEY
nil
a> DEBUG SET-ACTIVE-EXPIRE 1
+OK
