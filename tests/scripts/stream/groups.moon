@redis
# Consumer groups: delivery, history, claims.
> XGROUP CREATE s g $
-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
> XGROUP CREATE s g $ MKSTREAM
+OK
> XGROUP CREATE s g 0
-BUSYGROUP Consumer Group name already exists
> XADD s 1-0 f a
"1-0"
> XADD s 2-0 f b
"2-0"
> XREADGROUP GROUP g alice COUNT 1 STREAMS s >
[["s", [["1-0", ["f", "a"]]]]]
> XREADGROUP GROUP g bob STREAMS s >
[["s", [["2-0", ["f", "b"]]]]]
> XREADGROUP GROUP g bob STREAMS s >
nil-array
> XREADGROUP GROUP g alice STREAMS s 0
[["s", [["1-0", ["f", "a"]]]]]
> XREADGROUP GROUP g carol STREAMS s 0
[["s", []]]
> XPENDING s g
[:2, "1-0", "2-0", [["alice", "1"], ["bob", "1"]]]
> XCLAIM s g carol 0 1-0 JUSTID
["1-0"]
> XPENDING s g - + 10 carol
[["1-0", "carol", ...
> XDEL s 2-0
:1
> XREADGROUP GROUP g bob STREAMS s 0
[["s", [["2-0", nil-array]]]]
> XAUTOCLAIM s g dave 0 0 COUNT 10
["0-0", [["1-0", ["f", "a"]]], ["2-0"]]
> XACK s g 1-0 2-0
:1
> XPENDING s g
[:0, nil, nil, nil-array]
> XGROUP DELCONSUMER s g dave
:0
> XGROUP SETID s g 0
+OK
> XINFO GROUPS s
[["name", "g", "consumers", :3, "pending", :0, "last-delivered-id", "0-0", "entries-read", nil, "lag", ...
> XGROUP DESTROY s g
:1
> XREADGROUP GROUP g bob STREAMS s >
-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
> XGROUP CREATE s g x
-ERR Invalid stream ID specified as stream command argument
> XGROUP CREATE s g 0 FOO
-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.
> XINFO STREAM none
-ERR no such key
