@redis
> SUBSCRIBE c1 c2
["subscribe", "c1", :1]
["subscribe", "c2", :2]
b> SUBSCRIBE c2
["subscribe", "c2", :1]
b> PSUBSCRIBE x* y*
["psubscribe", "x*", :2]
["psubscribe", "y*", :3]
a> PSUBSCRIBE x*
["psubscribe", "x*", :3]
a> SSUBSCRIBE s1
["ssubscribe", "s1", :1]
c> PUBSUB CHANNELS
sorted ["c1", "c2"]
c> PUBSUB CHANNELS *2
["c2"]
c> PUBSUB NUMSUB
[]
c> PUBSUB NUMSUB c1 c2 none
["c1", :1, "c2", :2, "none", :0]
c> PUBSUB NUMPAT
:2
c> PUBSUB SHARDCHANNELS
["s1"]
c> PUBSUB SHARDCHANNELS x*
[]
c> PUBSUB SHARDNUMSUB s1 c1
["s1", :1, "c1", :0]
c> PUBSUB NUMPAT x
-ERR wrong number of arguments for 'pubsub|numpat' command
c> PUBSUB NOSUCH
-ERR unknown subcommand 'NOSUCH'. Try PUBSUB HELP.
c> PUBLISH c1
-ERR wrong number of arguments for 'publish' command
