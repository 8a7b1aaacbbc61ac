# MULTI, EXEC, WATCH.

== every command is queued
a> MULTI
+OK
a> CONFIG GET appendfsync
+QUEUED
a> CLIENT GETNAME
+QUEUED
a> ACL WHOAMI
+QUEUED
a> SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff
+QUEUED
a> FUNCTION LIST
+QUEUED
a> PUBLISH ch m
+QUEUED
a> SELECT 3
+QUEUED
a> SET k v
+QUEUED
a> SELECT 0
+QUEUED
a> EXEC
[["appendfsync", "everysec"], nil, "default", [:0], [], :0, +OK, +OK, +OK]
a> EXISTS k
:0

== what is not queued, and what may not stand inside
a> MULTI
+OK
a> MULTI
-ERR MULTI calls can not be nested
a> WATCH k
-ERR WATCH inside MULTI is not allowed
a> UNWATCH
+QUEUED
a> EXEC
[+OK]
a> EXEC
-ERR EXEC without MULTI
a> DISCARD
-ERR DISCARD without MULTI
a> MULTI
+OK
a> SET k v
+QUEUED
a> DISCARD
+OK
a> EXISTS k
:0
a> MULTI
+OK
a> RESET
+RESET
a> EXEC
-ERR EXEC without MULTI

== one wrong command ends it all, a failing one does not
a> MULTI
+OK
a> SET k
-ERR wrong number of arguments for 'set' command
a> SET k v
+QUEUED
a> EXEC
-EXECABORT Transaction discarded because of previous errors.
a> MULTI
+OK
a> NOSUCHCOMMAND
-ERR unknown command 'NOSUCHCOMMAND', with args beginning with:...
a> EXEC
-EXECABORT Transaction discarded because of previous errors.
a> SET s v
+OK
a> MULTI
+OK
a> LPUSH s x
+QUEUED
a> SET k v
+QUEUED
a> EXEC
[-WRONGTYPE Operation against a key holding the wrong kind of value, +OK]
a> MULTI
+OK
a> EXEC
[]

== a blocking command acts as if its time were over
a> MULTI
+OK
a> BLPOP no 0
+QUEUED
a> BZPOPMIN no 0
+QUEUED
a> XREAD BLOCK 0 STREAMS no $
+QUEUED
a> WAIT 1 0
+QUEUED
a> EXEC
[nil-array, nil-array, nil-array, :0]

== what makes a watched key dirty
a> SET k v
+OK
a> WATCH k
+OK
b> SET k v
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> WATCH k
+OK
a> SET k w
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> WATCH k
+OK
b> EXPIRE k 100
:1
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> WATCH k
+OK
b> RENAME k l
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> WATCH k
+OK
b> COPY l k
:1
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> WATCH k
+OK
b> FLUSHDB
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> SET k v
+OK
a> WATCH k
+OK
b> FLUSHALL
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> WATCH k
+OK
b> SELECT 1
+OK
b> SET k other
+OK
b> SWAPDB 0 1
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array
a> SET e v PX 20
+OK
a> WATCH e
+OK
pause 40
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
nil-array

== what does not
a> SADD s m
:1
a> ZADD z 1 m
:1
a> WATCH s no z
+OK
b> SADD s m
:0
b> DEL no
:0
b> ZADD z 1 m
:0
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
[+PONG]
a> WATCH no
+OK
b> FLUSHALL
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
[+PONG]
a> DEBUG SET-ACTIVE-EXPIRE 0
+OK
a> SET e v PX 1
+OK
pause 20
a> WATCH e
+OK
b> GET e
nil
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
[+PONG]
a> DEBUG SET-ACTIVE-EXPIRE 1
+OK

== what clears a watch
a> WATCH k
+OK
b> SET k 1
+OK
a> UNWATCH
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
[+PONG]
a> WATCH k
+OK
b> SET k 2
+OK
a> MULTI
+OK
a> DISCARD
+OK
a> MULTI
+OK
a> PING
+QUEUED
a> EXEC
[+PONG]

== a change of rights reaches what is queued
a> ACL SETUSER ann on nopass ~* +@all
+OK
b> AUTH ann x
+OK
b> MULTI
+OK
b> SET k v
+QUEUED
b> GET k
+QUEUED
a> ACL SETUSER ann -set
+OK
b> EXEC
[-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand, nil]
a> ACL DELUSER ann
:1

== the whole goes out at its end
a> CONFIG SET notify-keyspace-events KEA
+OK
b> SUBSCRIBE __keyevent@0__:set
["subscribe", "__keyevent@0__:set", :1]
a> MULTI
+OK
a> SET k v
+QUEUED
a> SET l v
+QUEUED
b~
a> EXEC
[+OK, +OK]
b<
["message", "__keyevent@0__:set", "k"]
b<
["message", "__keyevent@0__:set", "l"]
a> CONFIG SET notify-keyspace-events ""
+OK
