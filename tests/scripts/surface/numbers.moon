# Numbers as arguments and in replies.

== integers are written in one way only
a> INCRBY n +5
-ERR value is not an integer or out of range
a> INCRBY n " 5"
-ERR value is not an integer or out of range
a> INCRBY n 05
-ERR value is not an integer or out of range
a> INCRBY n -0
-ERR value is not an integer or out of range
a> INCRBY n 5
:5
a> SET n 9223372036854775807
+OK
a> INCR n
-ERR increment or decrement would overflow
a> DECRBY n -9223372036854775808
-ERR decrement would overflow
a> SET s abc
+OK
a> INCR s
-ERR value is not an integer or out of range

== floats
a> INCRBYFLOAT n " 1"
-ERR value is not a valid float
a> INCRBYFLOAT n 1x
-ERR value is not a valid float
a> INCRBYFLOAT n nan
-ERR value is not a valid float
a> INCRBYFLOAT n inf
-ERR increment would produce NaN or Infinity
a> ZADD z nan m
-ERR value is not a valid float
a> ZADD z inf m
:1
a> ZRANGEBYSCORE z x 1
-ERR min or max is not a float
a> ZRANGEBYLEX z x [a
-ERR min or max not valid string range item
a> ZADD z 0x10 m
-ERR value is not a valid float
a> ZADD z " 1" m
-ERR value is not a valid float
a> ZADD z +5 m
:0
a> ZADD z 5. n
:1
a> ZADD z 1e400 o
:1
a> ZRANGE z 0 -1 WITHSCORES
["m", "5", "n", "5", "o", "inf"]

== INCRBYFLOAT computes in 80 bits
a> SET n 0.1
+OK
a> INCRBYFLOAT n 0.2
"0.3"
a> SET n 10.50
+OK
a> INCRBYFLOAT n 0.1
"10.6"
a> SET n 5e3
+OK
a> INCRBYFLOAT n 1
"5001"
a> SET n 1e17
+OK
a> INCRBYFLOAT n 1
"100000000000000001"
a> SET n 3.14159265358979323846
+OK
a> INCRBYFLOAT n 0
"3.14159265358979324"
a> SET n 0
+OK
a> INCRBYFLOAT n 1e-20
"0"
a> SET n 0
+OK
a> INCRBYFLOAT n 1e21
"1000000000000000000000"
a> HSET h f 0.1
:1
a> HINCRBYFLOAT h f 0.2
"0.3"

== scores print as the shortest text that reads back
a> ZADD z 1e17 a 123456789012345678 b 1e20 c 1e21 d 0.30000000000000004 e 1e-7 f 0.00001 g 1.5e300 h 5e-324 i inf j -inf k -0 l 3 m
:13
a> ZMSCORE z a b c d e f g h i j k l m
["100000000000000000", "123456789012345680", "1e+20", "1e+21", "0.30000000000000004", "1e-7", "0.00001", "1.5e+300", "5e-324", "inf", "-inf", "0", "3"]

== infinities that do not add up
a> ZADD z inf m
:1
a> ZINCRBY z -inf m
-ERR resulting score is not a number (NaN)
a> ZADD y -inf m
:1
a> ZUNIONSTORE o 2 z y
:1
a> ZSCORE o m
"0"
a> ZUNIONSTORE o 1 z WEIGHTS 0
:1
a> ZSCORE o m
"0"

== equal scores are ordered by bytes
a> ZADD z 1 b 1 a 1 aa 1 B 1 ab
:5
a> ZRANGE z 0 -1
["B", "a", "aa", "ab", "b"]
a> ZRANGEBYLEX z [a [ab
["a", "aa", "ab"]
a> ZADD y 2 a 1 b
:2
a> ZRANGEBYLEX y - +
["b", "a"]

== numbers of Lua are cut towards zero
a> EVAL "return {3.99, -3.99, 1e15}" 0
[:3, :-3, :1000000000000000]

== bits
a> SETBIT b 4294967296 1
-ERR bit offset is not an integer or out of range
a> SETBIT b -1 1
-ERR bit offset is not an integer or out of range
a> SETBIT b 7 2
-ERR bit is not an integer or out of range
a> SETBIT b 7 1
:0
a> BITFIELD b SET u64 0 1
-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
a> BITFIELD b SET u63 0 1
[:36028797018963968]
a> BITFIELD b GET i64 0
[:2]
a> DEL b
:1
a> BITFIELD b SET u8 #1 255 INCRBY u8 #1 1
[:0, :0]
a> BITFIELD b SET u8 0 255 OVERFLOW SAT INCRBY u8 0 1 OVERFLOW FAIL INCRBY u8 0 1 OVERFLOW WRAP INCRBY u8 0 1
[:0, :255, nil, :0]

== strings that would grow too long
a> SETRANGE s 536870912 x
-ERR string exceeds maximum allowed size (proto-max-bulk-len)
a> SETRANGE s 0 ""
:0
a> EXISTS s
:0
a> SETRANGE s -1 x
-ERR offset is out of range
a> APPEND s ""
:0
a> EXISTS s
:1

== replicas to wait for
a> WAIT 0 0
:0
a> WAIT -1 0
:0
a> WAIT 0 -1
-ERR timeout is negative
