@redis
# Clients that wait for entries.
b> XREAD BLOCK 0 STREAMS s $
> XADD s 1-0 f a
"1-0"
b<
[["s", [["1-0", ["f", "a"]]]]]
> XGROUP CREATE s g $
+OK
b> XREADGROUP GROUP g x BLOCK 0 STREAMS s >
> XADD s 2-0 f b
"2-0"
b<
[["s", [["2-0", ["f", "b"]]]]]
> XPENDING s g
[:1, "2-0", "2-0", [["x", "1"]]]
b> XREAD BLOCK 1 STREAMS s $
b<
nil-array
> XREAD BLOCK -1 STREAMS s $
-ERR timeout is negative
