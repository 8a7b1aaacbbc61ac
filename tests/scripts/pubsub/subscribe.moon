@redis
# One reply per name; channels and patterns are counted together, shard channels apart.
> SUBSCRIBE c1 c2
["subscribe", "c1", :1]
["subscribe", "c2", :2]
> PSUBSCRIBE c*
["psubscribe", "c*", :3]
> SSUBSCRIBE s1
["ssubscribe", "s1", :1]
> SUBSCRIBE c1
["subscribe", "c1", :3]
# A client with the channel and a matching pattern gets the message twice.
b> PUBLISH c1 hello
:2
a<
["message", "c1", "hello"]
["pmessage", "c*", "c1", "hello"]
b> PUBLISH s1 hello
:0
b> SPUBLISH s1 hi
:1
a<
["smessage", "s1", "hi"]
b> SPUBLISH c1 hi
:0
# RESP2 subscriber mode allows few commands.
> GET k
-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
> PING
["pong", ""]
> PING text
["pong", "text"]
> UNSUBSCRIBE nosuch
["unsubscribe", "nosuch", :3]
> UNSUBSCRIBE c1
["unsubscribe", "c1", :2]
> UNSUBSCRIBE
["unsubscribe", "c2", :1]
> UNSUBSCRIBE
["unsubscribe", nil, :1]
> PUNSUBSCRIBE
["punsubscribe", "c*", :0]
> PUNSUBSCRIBE
["punsubscribe", nil, :0]
> GET k
-ERR Can't execute 'get'...
> SUNSUBSCRIBE
["sunsubscribe", "s1", :0]
> SUNSUBSCRIBE
["sunsubscribe", nil, :0]
> GET k
nil
> PING
+PONG
# RESET ends everything.
> SUBSCRIBE c1
["subscribe", "c1", :1]
> RESET
+RESET
b> PUBLISH c1 x
:0
b> PUBSUB NUMSUB c1
["c1", :0]
