@redis
@resp3
# Shapes of replies in RESP3.
> XADD s 1-0 f v
"1-0"
> XREAD STREAMS s none 0 0
{"s": [["1-0", ["f", "v"]]]}
> XREAD STREAMS none 0
null
> XGROUP CREATE s g 0
+OK
> XREADGROUP GROUP g c STREAMS s >
{"s": [["1-0", ["f", "v"]]]}
> XRANGE s - + COUNT 0
null
> XPENDING s g
[:1, "1-0", "1-0", [["c", "1"]]]
> XINFO GROUPS s
[{"name": "g", "consumers": :1, "pending": :1, "last-delivered-id": "1-0", "entries-read": :1, "lag": :0}]
