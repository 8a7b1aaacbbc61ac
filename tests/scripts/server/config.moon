# What can be set only at start says so.
> CONFIG SET databases 4
-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config
> CONFIG GET databases
["databases", "16"]
# One bad value and nothing of the whole command is set.
> CONFIG SET io-busy-poll-us 0 timeout x
-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer
> CONFIG GET io-busy-poll-us
["io-busy-poll-us", "20"]
