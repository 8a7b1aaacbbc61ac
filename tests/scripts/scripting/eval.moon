@redis
# What scripts return, raise and may not do.
> EVAL "return {1,'a',true,false}" 0
[:1, "a", :1, nil]
> EVAL "return {ok='fine'}" 0
+fine
> EVAL "return redis.call('set',KEYS[1],ARGV[1])" 1 k v
+OK
> GET k
"v"
> EVAL "return redis.pcall('lpush','k','x').err" 0
"WRONGTYPE Operation against a key holding the wrong kind of value"
> EVAL "return 1" -1
-ERR Number of keys can't be negative
> EVAL "return 1" 2 a
-ERR Number of keys can't be greater than number of args
> EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
-NOSCRIPT No matching script. Please use EVAL.
> SCRIPT LOAD "return 5"
"4ca238f611c9d0ae4e9a75a5dbac22aedc379801"
> EVALSHA 4CA238F611C9D0AE4E9A75A5DBAC22AEDC379801 0
:5
> SCRIPT EXISTS 4ca238f611c9d0ae4e9a75a5dbac22aedc379801 x
[:1, :0]
> SCRIPT FLUSH
+OK
> EVALSHA 4ca238f611c9d0ae4e9a75a5dbac22aedc379801 0
-NOSCRIPT No matching script. Please use EVAL.
> EVAL "return redis.error_reply('My Err')" 0
-My Err
> EVAL "return bit.band(0xff, 0x0f)" 0
:15
> EVAL "return cjson.encode({1,2})" 0
"[1,2]"
> SCRIPT KILL
-NOTBUSY No scripts in execution right now.
