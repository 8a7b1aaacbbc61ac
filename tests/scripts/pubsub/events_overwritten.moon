@resp3
# Classes that later versions of Redis brought: o and c.
b> CONFIG SET notify-keyspace-events Eoc
+OK
b> CONFIG GET notify-keyspace-events
{"notify-keyspace-events": "Eoc"}
b> PSUBSCRIBE *
>["psubscribe", "*", :1]
> SET k v
+OK
> SET k w
+OK
> SET k 1 KEEPTTL
+OK
> INCR k
:2
> INCRBYFLOAT k 1
"3"
> SADD s a
:1
> SUNIONSTORE k s
:1
> SET k v
+OK
> RENAME s k
+OK
b<
>["pmessage", "*", "__keyevent@0__:overwritten", "k"]
>["pmessage", "*", "__keyevent@0__:overwritten", "k"]
>["pmessage", "*", "__keyevent@0__:overwritten", "k"]
>["pmessage", "*", "__keyevent@0__:type_changed", "k"]
>["pmessage", "*", "__keyevent@0__:overwritten", "k"]
>["pmessage", "*", "__keyevent@0__:type_changed", "k"]
>["pmessage", "*", "__keyevent@0__:overwritten", "k"]
>["pmessage", "*", "__keyevent@0__:type_changed", "k"]
b> CONFIG SET notify-keyspace-events ""
+OK
