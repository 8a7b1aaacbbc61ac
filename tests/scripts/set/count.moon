# Counting a union or a difference (Redis 8.10).
> SADD a 1 2 3
:3
> SADD b 3 4
:2
> SUNIONCARD 2 a b
:4
> SUNIONCARD 2 a b LIMIT 3
:3
> SUNIONCARD 2 a b APPROX LIMIT 0
:4
> SUNIONCARD 1 missing
:0
> SDIFFCARD 2 a b
:2
> SDIFFCARD 2 a b LIMIT 1
:1
> SDIFFCARD 2 a b APPROX
-ERR syntax error
> SDIFFCARD 3 a b
-ERR Number of keys can't be greater than number of args
> SUNIONCARD 0 a
-ERR numkeys should be greater than 0
