@redis
# Expiry: conditions, conflicts, the past, and which writes keep it.
> EXPIRE missing 100
:0
> SET k v
+OK
> TTL k
:-1
> TTL missing
:-2
> PTTL missing
:-2
> EXPIRETIME k
:-1
> EXPIRE k 100 XX
:0
> EXPIRE k 100 GT
:0
> EXPIRE k 100 LT
:1
> EXPIRE k 200 GT
:1
> EXPIRE k 300 NX
:0
> TTL k
:200
> EXPIRE k 100 NX XX
-ERR NX and XX, GT or LT options at the same time are not compatible
> EXPIRE k 100 GT LT
-ERR GT and LT options at the same time are not compatible
> EXPIRE k 100 FOO
-ERR Unsupported option FOO
> EXPIRE k 9223372036854775807
-ERR invalid expire time in 'expire' command
> APPEND k w
:2
> TTL k
:200
> RENAME k k2
+OK
> TTL k2
:200
> COPY k2 k3
:1
> TTL k3
:200
> PERSIST k3
:1
> PERSIST k3
:0
> GETEX k2 PERSIST
"vw"
> TTL k2
:-1
> GETEX missing EX 0
nil
> EXPIRE k2 -1
:1
> EXISTS k2
:0
> SETEX k 0 v
-ERR invalid expire time in 'setex' command
> PEXPIREAT k3 33000000000000
:1
> PEXPIRETIME k3
:33000000000000
> EXPIRETIME k3
:33000000000
