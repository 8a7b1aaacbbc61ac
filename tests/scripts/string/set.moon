@redis
# SET and its options.
> SET k v
+OK
> GET k
"v"
> SET k w NX
nil
> SET k w XX GET
"v"
> SET missing w XX
nil
> SET k v EX 0
-ERR invalid expire time in 'set' command
> SET k v EX 10 PX 10
-ERR syntax error
> SET k v EX 100
+OK
> TTL k
:100
> SET k v KEEPTTL
+OK
> TTL k
:100
> SET k v
+OK
> TTL k
:-1
> SET k v EXAT 1
+OK
> GET k
nil
> RPUSH l a
:1
> SET l v GET
-WRONGTYPE Operation against a key holding the wrong kind of value
> SET l v
+OK
> SET k
-ERR wrong number of arguments for 'set' command
