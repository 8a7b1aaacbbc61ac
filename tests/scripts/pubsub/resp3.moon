@redis
@resp3
> SUBSCRIBE c
>["subscribe", "c", :1]
> PSUBSCRIBE c
>["psubscribe", "c", :2]
> PING
+PONG
> SET k v
+OK
b> PUBLISH c one
:2
a<
>["message", "c", "one"]
>["pmessage", "c", "c", "one"]
> UNSUBSCRIBE
>["unsubscribe", "c", :1]
> UNSUBSCRIBE
>["unsubscribe", null, :1]
# CLIENT REPLY OFF mutes replies, not messages.
> CLIENT REPLY OFF
b> PUBLISH c two
:1
a<
>["pmessage", "c", "c", "two"]
> GET k
> SUBSCRIBE d
>["subscribe", "d", :2]
> CLIENT REPLY ON
+OK
