@redis
@resp3
b> CONFIG SET notify-keyspace-events KEA
+OK
b> CONFIG GET notify-keyspace-events
{"notify-keyspace-events": "AKE"}
b> CONFIG SET notify-keyspace-events KEx?
-ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.
# First the channel of the key, then the channel of the event.
b> CONFIG SET notify-keyspace-events KE$g
+OK
b> CONFIG GET notify-keyspace-events
{"notify-keyspace-events": "g$KE"}
b> PSUBSCRIBE *
>["psubscribe", "*", :1]
> SET k 1
+OK
b<
>["pmessage", "*", "__keyspace@0__:k", "set"]
>["pmessage", "*", "__keyevent@0__:set", "k"]
b> CONFIG SET notify-keyspace-events EAn
+OK
> SET new v EX 100
+OK
b<
>["pmessage", "*", "__keyevent@0__:new", "new"]
>["pmessage", "*", "__keyevent@0__:set", "new"]
>["pmessage", "*", "__keyevent@0__:expire", "new"]
> GETEX new PERSIST
"v"
b<
>["pmessage", "*", "__keyevent@0__:persist", "new"]
> GETEX new EX 10
"v"
b<
>["pmessage", "*", "__keyevent@0__:expire", "new"]
> GETDEL new
"v"
b<
>["pmessage", "*", "__keyevent@0__:del", "new"]
b> CONFIG SET notify-keyspace-events EA
+OK
> GETSET k 2
"1"
b<
>["pmessage", "*", "__keyevent@0__:set", "k"]
> MSET k 3 l 4
+OK
b<
>["pmessage", "*", "__keyevent@0__:set", "k"]
>["pmessage", "*", "__keyevent@0__:set", "l"]
> INCR k
:4
> DECRBY k 2
:2
> INCRBYFLOAT k 1.5
"3.5"
> APPEND k x
:4
> SETRANGE k 0 y
:4
b<
>["pmessage", "*", "__keyevent@0__:incrby", "k"]
>["pmessage", "*", "__keyevent@0__:incrby", "k"]
>["pmessage", "*", "__keyevent@0__:incrbyfloat", "k"]
>["pmessage", "*", "__keyevent@0__:append", "k"]
>["pmessage", "*", "__keyevent@0__:setrange", "k"]
> SETNX k z
:0
> SET k z NX
null
> SETEX k 10 v
+OK
b<
>["pmessage", "*", "__keyevent@0__:set", "k"]
>["pmessage", "*", "__keyevent@0__:expire", "k"]
b> CONFIG SET notify-keyspace-events ""
+OK
