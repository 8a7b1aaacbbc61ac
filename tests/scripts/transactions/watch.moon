@redis
# A watched key that another connection changes makes EXEC answer null.
> SET k 1
+OK
> WATCH k
+OK
> MULTI
+OK
> INCR k
+QUEUED
b> SET k 5
+OK
> EXEC
nil-array
> GET k
"5"
# The same value again is a change too; an unchanged key is none.
> WATCH k other
+OK
b> SET k 5
+OK
> MULTI
+OK
> PING
+QUEUED
> EXEC
nil-array
> WATCH k
+OK
b> DEL other
:0
> MULTI
+OK
> MULTI
-ERR MULTI calls can not be nested
> WATCH k
-ERR WATCH inside MULTI is not allowed
> INCR k
+QUEUED
> LPUSH k a
+QUEUED
> EXEC
[:6, -WRONGTYPE Operation against a key holding the wrong kind of value]
> MULTI
+OK
> NOSUCH
-ERR unknown command 'NOSUCH', with args beginning with:...
> GET
-ERR wrong number of arguments for 'get' command
> EXEC
-EXECABORT Transaction discarded because of previous errors.
> EXEC
-ERR EXEC without MULTI
> DISCARD
-ERR DISCARD without MULTI
> MULTI
+OK
> EXEC
[]
# DISCARD without MULTI is an error and forgets nothing.
> UNWATCH
+OK
> WATCH k
+OK
> DISCARD
-ERR DISCARD without MULTI
b> SET k changed
+OK
> MULTI
+OK
> PING
+QUEUED
> EXEC
nil-array
