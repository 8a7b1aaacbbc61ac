# Deletion that minds consumer groups (Redis 8.2).
@needs XDELEX
> XADD s 1-0 f v
"1-0"
> XADD s 2-0 f v
"2-0"
> XGROUP CREATE s g 0
+OK
> XDELEX s ACKED IDS 2 1-0 9-9
[:2, :-1]
> XREADGROUP GROUP g c STREAMS s >
[["s", [["1-0", ["f", "v"]], ["2-0", ["f", "v"]]]]]
> XACKDEL s g ACKED IDS 1 1-0
[:1]
> XTRIM s MAXLEN 0 ACKED
:0
> XTRIM s MAXLEN 0 DELREF
:1
> XPENDING s g
[:0, nil, nil, nil-array]
> XDELEX s KEEPREF DELREF IDS 1 1-1
-ERR syntax error
> XDELEX s IDS 0 1-1
-ERR Number of IDs must be a positive integer
> XREAD STREAMS s +
nil-array
