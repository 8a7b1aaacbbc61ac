# XNACK (Redis 8.8) and XREADGROUP CLAIM (Redis 8.4).
@needs XNACK
> XADD s 1-0 f a
"1-0"
> XGROUP CREATE s g 0
+OK
> XREADGROUP GROUP g x STREAMS s >
[["s", [["1-0", ["f", "a"]]]]]
> XREADGROUP GROUP g y CLAIM 100000 STREAMS s >
nil-array
> XNACK s g SILENT IDS 1 1-0
:1
> XREADGROUP GROUP g x STREAMS s 0
[["s", []]]
> XREADGROUP GROUP g y CLAIM 100000 STREAMS s >
[["s", [["1-0", ["f", "a"], ...
> XPENDING s g
[:1, "1-0", "1-0", [["y", "1"]]]
> XNACK s g MAYBE IDS 1 1-0
-ERR syntax error
