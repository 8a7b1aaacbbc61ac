@redis
# What refuses first: the name, then the arity, then everything else.
> NOSUCH
-ERR unknown command 'NOSUCH', with args beginning with:...
> get
-ERR wrong number of arguments for 'get' command
> CONFIG GET
-ERR wrong number of arguments for 'config|get' command
> OBJECT NOSUCH k
-ERR unknown subcommand 'NOSUCH'. Try OBJECT HELP.
> RPUSH l a
:1
> INCR l
-WRONGTYPE Operation against a key holding the wrong kind of value
> LINDEX l x
-ERR value is not an integer or out of range
> AUTH secret
-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
> HELLO 4
-NOPROTO unsupported protocol version
> HELLO abc
-ERR Protocol version is not an integer or out of range
> SELECT 16
-ERR DB index is out of range
> SELECT x
-ERR value is not an integer or out of range
> RENAME missing other
-ERR no such key
> LSET missing 0 x
-ERR no such key
> LSET l 9 x
-ERR index out of range
> SETRANGE k -1 x
-ERR offset is out of range
