@redis
# Hash replies and arithmetic.
> HSET h a 1 b 2
:2
> HSET h a
-ERR wrong number of arguments for 'hset' command
> HSET h a 1 b
-ERR wrong number of arguments for 'hset' command
> HMSET h c 3
+OK
> HGET h missing
nil
> HMGET missing a b
[nil, nil]
> HGETALL missing
[]
> HINCRBY h a 5
:6
> HINCRBY h a x
-ERR value is not an integer or out of range
> HSET h s text
:1
> HINCRBY h s 1
-ERR hash value is not an integer
> HINCRBYFLOAT h s 1
-ERR hash value is not a float
> HINCRBYFLOAT h n 0.1
"0.1"
> HINCRBYFLOAT h n 0.2
"0.3"
> HSET h big 9223372036854775807
:1
> HINCRBY h big 1
-ERR increment or decrement would overflow
> HRANDFIELD missing
nil
> HRANDFIELD missing 3
[]
> HSTRLEN h s
:4
> HDEL h a b c s n big
:6
> EXISTS h
:0
