# Fields with a time to live: one answer a field, in the order asked.
> HSET h a 1 b 2
:2
> HEXPIRE h 100 FIELDS 3 a b c
[:1, :1, :-2]
> HEXPIRE none 100 FIELDS 2 a b
[:-2, :-2]
> HEXPIRE h 10 NX FIELDS 1 a
[:0]
> HTTL h FIELDS 3 a b c
[:100, :100, :-2]
> HPERSIST h FIELDS 3 a a c
[:1, :-1, :-2]
> OBJECT ENCODING h
"listpackex"
> HSET h b 3
:0
> HTTL h FIELDS 1 b
[:-1]
> HEXPIREAT h 1 FIELDS 1 b
[:2]
> HGETALL h
["a", "1"]
> HSETEX h FNX EX 10 FIELDS 2 a 1 c 3
:0
> HSETEX h EX 10 FIELDS 1 c 3
:1
> HINCRBY h c 1
:4
> HTTL h FIELDS 1 c
[:10]
> HGETEX h PERSIST FIELDS 1 c
["4"]
> HTTL h FIELDS 1 c
[:-1]
> HEXPIRE h -1 FIELDS 1 a
-ERR invalid expire time, must be >= 0
> HEXPIRE h 1 FIELDS 2 a
-ERR The `numfields` parameter must match the number of arguments
> HGETDEL h FIELDS 3 a b c
["1", nil, "4"]
> EXISTS h
:0
