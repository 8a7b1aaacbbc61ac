@redis
# Names of encodings that all versions agree on.
> SET i 123
+OK
> OBJECT ENCODING i
"int"
> SET e 01
+OK
> OBJECT ENCODING e
"embstr"
> APPEND e x
:3
> OBJECT ENCODING e
"raw"
> SET long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
+OK
> OBJECT ENCODING long
"raw"
> SET edge aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
+OK
> OBJECT ENCODING edge
"embstr"
> INCRBYFLOAT f 1.5
"1.5"
> OBJECT ENCODING f
"embstr"
> HSET h f v
:1
> OBJECT ENCODING h
"listpack"
> HSET h f aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
:0
> OBJECT ENCODING h
"hashtable"
> SADD s 1 2 3
:3
> OBJECT ENCODING s
"intset"
> ZADD z 1 a
:1
> OBJECT ENCODING z
"listpack"
> ZADD z 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
:1
> OBJECT ENCODING z
"skiplist"
> OBJECT ENCODING missing
nil
> SET small 9999
+OK
> OBJECT REFCOUNT small
:2147483647
> SET large 10000
+OK
> OBJECT REFCOUNT large
:1
