@redis
# Libraries of functions: names, what is refused, payloads.
> FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(k, a) return {k[1], a[1]} end)"
"lib"
> FCALL F 1 key arg
["key", "arg"]
> FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function() end)"
-ERR Library 'lib' already exists
> FUNCTION LOAD "#!lua name=other\nredis.register_function('F', function() end)"
-ERR Function F already exists
> FUNCTION LOAD REPLACE "#!lua name=\"lib\"\nredis.register_function{function_name='g', callback=function() return redis.call('set', 'k', 'v') end, flags={'no-writes'}}"
"lib"
> FCALL f 0
-ERR Function not found
> FCALL_RO g 0
-ERR Write commands are not allowed from read-only scripts. script: g, on @user_function:2.
> FUNCTION LOAD "#!lua name=third\nreturn math.pi"
-ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'math'
> FUNCTION FLUSH SYNC ASYNC
-ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.
> FUNCTION RESTORE nonsense
-ERR DUMP payload version or checksum are wrong
> FUNCTION RESTORE x SOMEHOW
-ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.
> FUNCTION DELETE lib
+OK
> FUNCTION LIST
[]
> FUNCTION DELETE lib
-ERR Library not found
