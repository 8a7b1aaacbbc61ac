# What can be set only at start says so, and says why.
> CONFIG SET appendonly no
-ERR CONFIG SET failed (possibly related to argument 'appendonly') - it can be set at start only: the log has to begin with a snapshot of what is there
> CONFIG GET appendonly
["appendonly", "yes"]
# One bad value and nothing of the whole command is set.
> CONFIG SET io-busy-poll-us 0 timeout x
-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer
> CONFIG GET io-busy-poll-us
["io-busy-poll-us", "20"]
