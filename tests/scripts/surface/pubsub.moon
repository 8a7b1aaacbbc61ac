# Channels, patterns, shard channels.

== a message for each subscription that it meets
b> SUBSCRIBE news.it
["subscribe", "news.it", :1]
b> PSUBSCRIBE news.*
["psubscribe", "news.*", :2]
b> PSUBSCRIBE news.*t
["psubscribe", "news.*t", :3]
a> PUBLISH news.it hello
:3
b<
["message", "news.it", "hello"]
b<
["pmessage", "news.*...", "news.it", "hello"]
b<
["pmessage", "news.*...", "news.it", "hello"]
a> PUBLISH nobody hello
:0
B> SUBSCRIBE ch
>["subscribe", "ch", :1]
a> PUBLISH ch x
:1
B<
>["message", "ch", "x"]

== who listens
b> SUBSCRIBE c1 c2
["subscribe", "c1", :1]
b<
["subscribe", "c2", :2]
c> SUBSCRIBE c1
["subscribe", "c1", :1]
c> PSUBSCRIBE p* q*
["psubscribe", "p*", :2]
c<
["psubscribe", "q*", :3]
d> PSUBSCRIBE p*
["psubscribe", "p*", :1]
e> SSUBSCRIBE s1
["ssubscribe", "s1", :1]
a> PUBSUB CHANNELS c1*
["c1"]
a> PUBSUB NUMSUB c1 c2 c3
["c1", :2, "c2", :1, "c3", :0]
a> PUBSUB NUMPAT
:2
a> PUBSUB SHARDCHANNELS
["s1"]
a> PUBSUB SHARDNUMSUB s1 c1
["s1", :1, "c1", :0]
a> SPUBLISH s1 x
:1
e<
["smessage", "s1", "x"]
a> PUBLISH s1 x
:0

== limits of output
a> CONFIG GET client-output-buffer-limit
["client-output-buffer-limit", "normal 268435456 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"]
a> CONFIG SET client-output-buffer-limit "pubsub 0 0 0 normal x 0 0"
-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration.

== rights to channels
a> ACL SETUSER ann on nopass ~* +@all resetchannels &news.*
+OK
b> AUTH ann x
+OK
b> SUBSCRIBE news.it
["subscribe", "news.it", :1]
c> AUTH ann x
+OK
c> SUBSCRIBE other
-NOPERM No permissions to access a channel
c> PSUBSCRIBE news.*
["psubscribe", "news.*", :1]
d> AUTH ann x
+OK
d> PSUBSCRIBE news.i*
-NOPERM No permissions to access a channel
d> PUBLISH news.it x
:2
d> PUBLISH other x
-NOPERM No permissions to access a channel
d> SPUBLISH other x
-NOPERM No permissions to access a channel
a> ACL SETUSER ann resetchannels
+OK
b<
["message", "news.it", "x"]
b!
a> ACL DELUSER ann
:1
