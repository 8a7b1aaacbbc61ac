@redis
# SUBSCRIBE and PUBLISH are queued; the array of EXEC holds the confirmation.
> MULTI
+OK
> SUBSCRIBE c
+QUEUED
> EXEC
[["subscribe", "c", :1]]
b> MULTI
+OK
b> PUBLISH c one
+QUEUED
b> SELECT 3
+QUEUED
b> PUBLISH c two
+QUEUED
b> EXEC
[:1, +OK, :1]
a<
["message", "c", "one"]
["message", "c", "two"]
# What EXEC and scripts run is not refused for a subscription that they began.
c> MULTI
+OK
c> SUBSCRIBE d
+QUEUED
c> SET k v
+QUEUED
c> EXEC
[["subscribe", "d", :1], +OK]
c> SET k v
-ERR Can't execute 'set': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
