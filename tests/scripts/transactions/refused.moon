@redis
# What EXEC would run decides whether it is let in: the state may have changed since MULTI.
> SET k 1
+OK
> MULTI
+OK
> INCR k
+QUEUED
b> CONFIG SET min-replicas-to-write 2
+OK
> EXEC
-EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.
> GET k
"1"
# The transaction is over.
> EXEC
-ERR EXEC without MULTI
> SET k 2
-NOREPLICAS Not enough good replicas to write.
> MULTI
+OK
> GET k
+QUEUED
> EXEC
["1"]
b> CONFIG SET min-replicas-max-lag 0
+OK
> SET k 2
+OK
b> CONFIG SET min-replicas-max-lag 10 min-replicas-to-write 0
+OK
# The same for memory.
> MULTI
+OK
> SET k 3
+QUEUED
> GET k
+QUEUED
b> CONFIG SET maxmemory 1
+OK
> EXEC
-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.
b> CONFIG SET maxmemory 0
+OK
> MULTI
+OK
> GET k
+QUEUED
> PING
+QUEUED
b> CONFIG SET maxmemory 1
+OK
> EXEC
["2", +PONG]
b> CONFIG SET maxmemory 0
+OK
> DEL k
:1
# EXEC that is not let in says so in its own way, also without MULTI.
b> CONFIG SET requirepass secret
+OK
> RESET
+RESET
> GET k
-NOAUTH Authentication required.
> EXEC
-EXECABORT Transaction discarded because of: NOAUTH Authentication required.
> AUTH secret
+OK
> EXEC
-ERR EXEC without MULTI
b> CONFIG SET requirepass ""
+OK
# An EXEC with too many words ends the transaction too.
> MULTI
+OK
> SET k 9
+QUEUED
> EXEC now
-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
> EXEC
-ERR EXEC without MULTI
> EXISTS k
:0
> EXEC now
-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
