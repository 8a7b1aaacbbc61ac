@resp3
# A message to oneself comes after the reply of the command that caused it, and after EXEC.
> SUBSCRIBE c
>["subscribe", "c", :1]
> PUBLISH c one
:1
>["message", "c", "one"]
> MULTI
+OK
> PUBLISH c two
+QUEUED
> SET k v
+QUEUED
> EXEC
[:1, +OK]
>["message", "c", "two"]
