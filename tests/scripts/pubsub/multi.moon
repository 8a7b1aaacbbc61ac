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
