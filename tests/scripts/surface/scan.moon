# SCAN and its kin, and the commands that look at all keys.

== cursors
a> SCAN 0
["0", []]
a> SCAN x
-ERR invalid cursor
a> SCAN -1
-ERR invalid cursor
a> SCAN 18446744073709551616
-ERR invalid cursor
a> SCAN 0 COUNT 0
-ERR syntax error
a> SCAN 0 COUNT x
-ERR value is not an integer or out of range
a> SCAN 0 TYPE foo
-ERR unknown type name 'foo'
a> SCAN 123456789
["0", []]
a> SSCAN no 12345
["0", []]

== filters
a> MSET k1 v k2 v l1 v
+OK
a> SCAN 0 MATCH k1*
["0", ["k1"]]
a> RPUSH list x
:1
a> SCAN 0 TYPE list
["0", ["list"]]
a> SCAN 0 TYPE LIST MATCH k*
["0", []]

== small collections come as a whole
a> SADD s 1 2 3
:3
a> SSCAN s 0 COUNT 1
["0", ["1", "2", "3"]]
a> HSET h f v g w
:2
a> HSCAN h 0 COUNT 1
["0", ["f", "v", "g", "w"]]
a> HSCAN h 0 NOVALUES
["0", ["f", "g"]]
a> SSCAN s 0 NOVALUES
-ERR NOVALUES option can only be used in HSCAN
a> ZADD z 1 m 2 n
:2
a> ZSCAN z 0 COUNT 1
["0", ["m", "1", "n", "2"]]

== patterns
a> MSET abc 1 abd 2 a*c 3
+OK
a> KEYS ab[c-d]x
[]
a> KEYS ab[^c]
["abd"]
a> KEYS a\\*c
[]
a> KEYS ?bc
["abc"]
a> KEYS *a*a*a*a*a*a*a*a*a*a*a*a*b
[]
a> SET aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa v
+OK
a> KEYS *a*a*a*a*a*a*a*a*a*a*a*a*b
[]
