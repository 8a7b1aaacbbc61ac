# What changed after Redis 7.0: WITHSCORE of ranks, what reads as a score, how scores print.
> ZADD z 1.5 a 2 b
:2
> ZRANK z b WITHSCORE
[:1, "2"]
> ZREVRANK z missing WITHSCORE
nil-array
> ZRANK z b FOO
-ERR syntax error
> ZADD z 0x10 c
-ERR value is not a valid float
> ZADD z " 1" c
-ERR value is not a valid float
> ZADD z 0.1 tenth 1e17 big 123456789012345678 long 1e20 exp 1e-7 small
:5
> ZMSCORE z tenth big long exp small
["0.1", "100000000000000000", "123456789012345680", "1e+20", "1e-7"]
