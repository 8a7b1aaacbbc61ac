@redis
@resp3
b> CONFIG SET notify-keyspace-events EAnm
+OK
b> PSUBSCRIBE *
>["psubscribe", "*", :1]
> SET a 1
+OK
> EXPIRE a 100
:1
> PERSIST a
:1
> RENAME a b
+OK
> COPY b c
:1
> MOVE c 1
:1
> DEL nosuch b
:1
b<
>["pmessage", "*", "__keyevent@0__:new", "a"]
>["pmessage", "*", "__keyevent@0__:set", "a"]
>["pmessage", "*", "__keyevent@0__:expire", "a"]
>["pmessage", "*", "__keyevent@0__:persist", "a"]
>["pmessage", "*", "__keyevent@0__:new", "b"]
>["pmessage", "*", "__keyevent@0__:rename_from", "a"]
>["pmessage", "*", "__keyevent@0__:rename_to", "b"]
>["pmessage", "*", "__keyevent@0__:new", "c"]
>["pmessage", "*", "__keyevent@0__:copy_to", "c"]
>["pmessage", "*", "__keyevent@1__:new", "c"]
>["pmessage", "*", "__keyevent@0__:move_from", "c"]
>["pmessage", "*", "__keyevent@1__:move_to", "c"]
>["pmessage", "*", "__keyevent@0__:del", "b"]
# Looks in vain; not by OBJECT, not by writes.
> GET none
null
> EXISTS none
:0
> OBJECT ENCODING none
null
> DEL none
:0
> TTL none
:-2
b<
>["pmessage", "*", "__keyevent@0__:keymiss", "none"]
>["pmessage", "*", "__keyevent@0__:keymiss", "none"]
>["pmessage", "*", "__keyevent@0__:keymiss", "none"]
b> CONFIG SET notify-keyspace-events EA
+OK
# A time in the past deletes; what runs out is told when it is removed.
> SET k v
+OK
> EXPIRE k -1
:1
> SET k v PX 1
+OK
# The line for c leaves time to pass.
c> PING
> GET k
null
b<
>["pmessage", "*", "__keyevent@0__:set", "k"]
>["pmessage", "*", "__keyevent@0__:del", "k"]
>["pmessage", "*", "__keyevent@0__:set", "k"]
>["pmessage", "*", "__keyevent@0__:expire", "k"]
>["pmessage", "*", "__keyevent@0__:expired", "k"]
# None for changes of nothing, for FLUSHALL, for SWAPDB.
> SADD s a
:1
> SADD s a
:0
> FLUSHDB
+OK
> SWAPDB 0 1
+OK
> FLUSHALL
+OK
> UNLINK s
:0
> SET last v
+OK
b<
>["pmessage", "*", "__keyevent@0__:sadd", "s"]
>["pmessage", "*", "__keyevent@0__:set", "last"]
b> CONFIG SET notify-keyspace-events ""
+OK
