# Combinations of Redis 8.2.
> SET a "\xf0\x0f"
+OK
> SET b "\xcc"
+OK
> BITOP DIFF d a b
:2
> BITPOS d 1
:2
> BITCOUNT d
:6
> BITOP DIFF1 d a b
:2
> BITCOUNT d
:2
> BITOP ANDOR d a b
:2
> BITCOUNT d
:2
> BITOP ONE d a b
:2
> BITCOUNT d
:8
> BITOP DIFF d a
-ERR BITOP DIFF must be called with at least two source keys.
