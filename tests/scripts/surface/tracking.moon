# Client-side caching.

== a key that was read is told of once
A> CLIENT TRACKING on
+OK
a> SET k v
+OK
A> GET k
"v"
a> SET k w
+OK
A<
>["invalidate", ["k"]]
a> SET k x
+OK
A~
A> EVAL "return redis.call('get',KEYS[1])" 1 k
"x"
a> DEL k
:1
A<
>["invalidate", ["k"]]
A> MULTI
+OK
A> GET k
+QUEUED
A> EXEC
[null]
a> SET k y
+OK
A<
>["invalidate", ["k"]]

== in broadcast mode prefixes decide
A> CLIENT TRACKING on BCAST PREFIX user: PREFIX item:
+OK
a> SET user:1 x
+OK
A<
>["invalidate", ["user:1"]]
a> SET other x
+OK
A~
A> CLIENT TRACKING on BCAST PREFIX user:1
-ERR Prefix 'user:1' overlaps with an existing prefix 'user:'. Prefixes for a single client must not overlap.
A> CLIENT TRACKING off
+OK
A> CLIENT TRACKING on BCAST
+OK
a> SET any x
+OK
A<
>["invalidate", ["any"]]

== OPTIN, OPTOUT, NOLOOP
A> CLIENT TRACKING on OPTIN
+OK
a> SET k v
+OK
A> GET k
"v"
a> SET k w
+OK
A~
A> CLIENT CACHING yes
+OK
A> GET k
"w"
a> SET k x
+OK
A<
>["invalidate", ["k"]]
A> CLIENT TRACKING off
+OK
A> CLIENT TRACKING on OPTOUT
+OK
A> CLIENT CACHING no
+OK
A> GET k
"x"
a> SET k y
+OK
A~
A> GET k
"y"
a> SET k z
+OK
A<
>["invalidate", ["k"]]
A> CLIENT TRACKING off
+OK
A> CLIENT TRACKING on NOLOOP
+OK
A> GET k
"z"
A> SET k mine
+OK
A~

== the cause does not matter
A> CLIENT TRACKING on
+OK
a> SET k v PX 20
+OK
A> GET k
"v"
A<
>["invalidate", ["k"]]
a> SET k v
+OK
A> GET k
"v"
a> RENAME k l
+OK
A<
>["invalidate", ["k"]]
A> GET l
"v"
a> FLUSHALL
+OK
A<
>["invalidate", null]
a> SET k v
+OK
A> GET k
"v"
a> EVAL "redis.call('set',KEYS[1],'x')" 1 k
nil
A<
>["invalidate", ["k"]]

== sent to another connection
b> SUBSCRIBE __redis__:invalidate
["subscribe", "__redis__:invalidate", :1]
a> CLIENT TRACKING on REDIRECT $b
+OK
c> SET k v
+OK
a> GET k
"v"
c> SET k w
+OK
b<
["message", "__redis__:invalidate", ["k"]]
a> GET k
"w"
c> FLUSHALL
+OK
b<
["message", "__redis__:invalidate", nil]

== when the other one has gone
b> PING
+PONG
A> CLIENT TRACKING on REDIRECT $b
+OK
c> SET k v
+OK
A> GET k
"v"
c> CLIENT KILL ID $b
:1
c> SET k w
+OK
A<
>["tracking-redir-broken", :...]
A> CLIENT TRACKINGINFO
{"flags": ~["on", "broken_redirect"], "redirect": :..., "prefixes": []}

== what is refused
a> CLIENT TRACKING on PREFIX x
-ERR PREFIX option requires BCAST mode to be enabled
a> CLIENT TRACKING on BCAST OPTIN
-ERR OPTIN and OPTOUT are not compatible with BCAST
a> CLIENT TRACKING on OPTIN OPTOUT
-ERR You can't specify both OPTIN mode and OPTOUT mode
a> CLIENT TRACKING on REDIRECT 99999999
-ERR The client ID you want redirect to does not exist
a> CLIENT CACHING yes
-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
A> CLIENT TRACKING on
+OK
A> CLIENT TRACKING on BCAST
-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.
A> CLIENT TRACKING on OPTIN
+OK
