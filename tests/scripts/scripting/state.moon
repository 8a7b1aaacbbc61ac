@redis
# What a script declares decides what the state of the server keeps it from.
> SET x v
+OK
> CONFIG SET min-replicas-to-write 1
+OK
> EVAL "#!lua flags=no-writes\nreturn redis.call('get','x')" 1 x
"v"
> EVAL "return redis.call('get','x')" 1 x
"v"
> EVAL "#!lua\nreturn redis.call('get','x')" 1 x
-NOREPLICAS Not enough good replicas to write.
> EVAL "return redis.call('set','x',1)" 1 x
-NOREPLICAS Not enough good replicas to write...
> CONFIG SET min-replicas-to-write 0
+OK
> CONFIG SET replica-serve-stale-data no
+OK
> REPLICAOF 127.0.0.1 1
+OK
> EVAL "return redis.call('get','x')" 1 x
-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.
> EVAL "#!lua flags=no-writes\nreturn 1" 0
-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.
> EVAL "#!lua flags=allow-stale,no-writes\nreturn 1" 0
:1
> EVAL "#!lua flags=allow-stale,no-writes\nreturn redis.call('echo','there')" 0
"there"
> EVAL "#!lua flags=allow-stale,no-writes\nreturn redis.pcall('get','x')['err']" 1 x
"ERR Can not execute the command on a stale replica"
> REPLICAOF NO ONE
+OK
> CONFIG SET replica-serve-stale-data yes
+OK
