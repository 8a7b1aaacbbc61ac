@redis
# Ids, ranges, deletion and trimming of streams.
> XADD s 1-1 name a value 1
"1-1"
> XADD s 1-* name b value 2
"1-2"
> XADD s 2 name c other 3
"2-0"
> XADD s 1-5 f v
-ERR The ID specified in XADD is equal or smaller than the target stream top item
> XADD s 0-0 f v
-ERR The ID specified in XADD must be greater than 0-0
> XADD s x f v
-ERR Invalid stream ID specified as stream command argument
> XADD none NOMKSTREAM 1-1 f v
nil
> XLEN s
:3
> XRANGE s - +
[["1-1", ["name", "a", "value", "1"]], ["1-2", ["name", "b", "value", "2"]], ["2-0", ["name", "c", "other", "3"]]]
> XREVRANGE s + - COUNT 1
[["2-0", ["name", "c", "other", "3"]]]
> XRANGE s (1-1 1
[["1-2", ["name", "b", "value", "2"]]]
> XRANGE s - + COUNT 0
nil-array
> XRANGE s (18446744073709551615-18446744073709551615 +
-ERR invalid start ID for the interval
> XDEL s 1-2 9-9
:1
> XINFO STREAM s FULL COUNT 1
["length", :2, "radix-tree-keys", :1, "radix-tree-nodes", ...
> XTRIM s MAXLEN 1
:1
> XTRIM s MAXLEN = 1 LIMIT 5
-ERR syntax error, LIMIT cannot be used without the special ~ option
> XSETID s 1-2
-ERR The ID specified in XSETID is smaller than the target stream top item
> XSETID s 5-0 ENTRIESADDED 9 MAXDELETEDID 4-0
+OK
> XDEL s 2-0
:1
> EXISTS s
:1
> TYPE s
+stream
> OBJECT ENCODING s
"stream"
> XREAD STREAMS s none 0 0
nil-array
