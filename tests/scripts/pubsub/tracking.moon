@redis
# Default mode: keys read are told once when they change, then forgotten.
> HELLO 3
{...
> CLIENT TRACKING ON
+OK
> SET k 1
+OK
> GET k
"1"
b> SET k 2
+OK
a<
>["invalidate", ["k"]]
b> SET k 3
+OK
> GET k
"3"
# The own write: after its reply.
> SET k 4
+OK
>["invalidate", ["k"]]
# Whatever the cause, and whatever the database.
> MGET k l
["4", null]
b> RENAME k l
+OK
a<
>["invalidate", ["k"]]
>["invalidate", ["l"]]
> GET l
"4"
b> SELECT 3
+OK
b> SET l x
+OK
a<
>["invalidate", ["l"]]
> GET l
"4"
b> FLUSHDB
+OK
a<
>["invalidate", null]
# After EXEC, not inside its reply.
> MULTI
+OK
> GET l
+QUEUED
> SET l 5
+QUEUED
> EXEC
["4", +OK]
>["invalidate", ["l"]]
# A key read after the write of the same transaction is cached.
> MULTI
+OK
> SET l 6
+QUEUED
> GET l
+QUEUED
> EXEC
[+OK, "6"]
b> SELECT 0
+OK
b> SET l 7
+OK
a<
>["invalidate", ["l"]]
# Messages go on under CLIENT REPLY OFF.
> GET l
"7"
> CLIENT REPLY OFF
b> SET l 8
+OK
a<
>["invalidate", ["l"]]
> CLIENT REPLY ON
+OK
> CLIENT TRACKING OFF
+OK
> GET l
"8"
b> SET l 9
+OK
> PING
+PONG
