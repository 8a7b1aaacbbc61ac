# The names of encodings that suites and tools know, and what touching a key means.

== strings
a> SET s 123
+OK
a> OBJECT ENCODING s
"int"
a> SET s 12345678901234567890123456789012345678901234
+OK
a> OBJECT ENCODING s
"embstr"
a> SET s 123456789012345678901234567890123456789012345
+OK
a> OBJECT ENCODING s
"raw"
a> SET s 1
+OK
a> APPEND s 2
:2
a> OBJECT ENCODING s
"raw"
a> INCR s
:13
a> OBJECT ENCODING s
"int"
a> INCRBYFLOAT s 0.5
"13.5"
a> OBJECT ENCODING s
"embstr"
a> SETRANGE r 0 x
:1
a> OBJECT ENCODING r
"raw"
a> SETBIT b 1 1
:0
a> OBJECT ENCODING b
"raw"
a> PFADD p a
:1
a> OBJECT ENCODING p
"raw"
a> TYPE p
+string
a> BITOP NOT o b
:1
a> OBJECT ENCODING o
"raw"
a> SET z 007
+OK
a> OBJECT ENCODING z
"embstr"

== lists
a> RPUSH l a
:1
a> OBJECT ENCODING l
"listpack"
a> CONFIG SET list-max-listpack-size 4
+OK
a> RPUSH l b c d e
:5
a> OBJECT ENCODING l
"quicklist"
a> LTRIM l 0 0
+OK
a> OBJECT ENCODING l
"listpack"
a> CONFIG SET list-max-ziplist-size -2
+OK
a> CONFIG GET list-max-*-size
["list-max-listpack-size", "-2", "list-max-ziplist-size", "-2"]

== hashes
a> CONFIG SET hash-max-listpack-entries 2
+OK
a> HSET h a 1 b 2
:2
a> OBJECT ENCODING h
"listpack"
a> HEXPIRE h 100 FIELDS 1 a
[:1]
a> OBJECT ENCODING h
"listpackex"
a> HPERSIST h FIELDS 1 a
[:1]
a> OBJECT ENCODING h
"listpackex"
a> HSET h c 3
:1
a> OBJECT ENCODING h
"hashtable"
a> HDEL h b c
:2
a> OBJECT ENCODING h
"hashtable"
a> HSET i f 12345678901234567890123456789012345678901234567890123456789012345
:1
a> OBJECT ENCODING i
"hashtable"
a> CONFIG SET hash-max-ziplist-entries 512
+OK
a> OBJECT ENCODING h
"hashtable"

== sets
a> SADD i 1 2 3
:3
a> OBJECT ENCODING i
"intset"
a> SADD i x
:1
a> OBJECT ENCODING i
"listpack"
a> CONFIG SET set-max-listpack-entries 4
+OK
a> SADD w 1 2 3 4 5
:5
a> OBJECT ENCODING w
"intset"
a> SADD w x
:1
a> OBJECT ENCODING w
"hashtable"
a> SREM w 1 2 3 4 x
:5
a> OBJECT ENCODING w
"hashtable"
a> CONFIG SET set-max-listpack-entries 128
+OK

== sorted sets
a> ZADD z 1 a
:1
a> OBJECT ENCODING z
"listpack"
a> ZADD z 1 12345678901234567890123456789012345678901234567890123456789012345
:1
a> OBJECT ENCODING z
"skiplist"
a> XADD s 1-1 f v
"1-1"
a> OBJECT ENCODING s
"stream"

== references, frequency, idle time
a> SET n 9999
+OK
a> OBJECT REFCOUNT n
:2147483647
a> SET n 10000
+OK
a> OBJECT REFCOUNT n
:1
a> SET n x
+OK
a> OBJECT REFCOUNT n
:1
a> OBJECT FREQ n
-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
a> OBJECT IDLETIME n
:0
a> CONFIG SET maxmemory-policy allkeys-lfu
+OK
a> OBJECT IDLETIME n
-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
a> SET f x
+OK
a> OBJECT FREQ f
:5
a> CONFIG SET maxmemory-policy noeviction
+OK

== looking does not touch, TOUCH does
a> CONFIG SET maxmemory-policy allkeys-lfu
+OK
a> SET f x
+OK
a> OBJECT ENCODING f
"embstr"
a> TYPE f
+string
a> EXISTS f
:1
a> OBJECT FREQ f
:5
a> CLIENT NO-TOUCH on
+OK
a> GET f
"x"
a> OBJECT FREQ f
:5
a> CONFIG SET maxmemory-policy noeviction
+OK
