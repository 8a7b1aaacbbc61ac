@redis
m> MONITOR
+OK
> SET k "a \"b\"\x00"
+OK
m<
...
> AUTH user secret
-WRONGPASS...
m<
...
> MULTI
+OK
> SELECT 3
+QUEUED
> EXEC
[+OK]
m<
...
...
...
# Commands of administration are not shown; a monitor does not touch keys.
> CONFIG GET nosuch
[]
m> GET k
-ERR Replica can't interact with the keyspace
> ECHO last
"last"
m<
...
m> RESET
+RESET
m> GET k
"a \"b\"\x00"
