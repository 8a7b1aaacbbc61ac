@redis
> HELLO 3
{...
> CLIENT CACHING YES
-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
> CLIENT TRACKING ON OPTIN
+OK
> GET a
null
b> SET a 1
+OK
> CLIENT CACHING YES
+OK
> GET a
"1"
> GET c
null
b> MSET a 2 c 3
+OK
a<
>["invalidate", ["a"]]
> CLIENT CACHING NO
-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
> CLIENT CACHING YES
+OK
> MULTI
+OK
> GET a
+QUEUED
> GET c
+QUEUED
> EXEC
["2", "3"]
b> MSET a 2 c 3
+OK
a<
>["invalidate", ["a"]]
>["invalidate", ["c"]]
> CLIENT TRACKING ON OPTOUT
-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.
> CLIENT TRACKING OFF
+OK
> CLIENT TRACKING ON OPTOUT NOLOOP
+OK
> CLIENT TRACKINGINFO
{"flags": ~["on", "optout", "noloop"], "redirect": :0, "prefixes": []}
> CLIENT CACHING NO
+OK
> GET a
"2"
> GET c
"3"
> SET c 4
+OK
> GET c
"4"
b> MSET a 1 c 1
+OK
a<
>["invalidate", ["c"]]
> CLIENT TRACKING ON BCAST
-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.
> CLIENT TRACKING OFF
+OK
# Broadcast: every change under the prefixes.
> CLIENT TRACKING ON PREFIX x
-ERR PREFIX option requires BCAST mode to be enabled
> CLIENT TRACKING ON BCAST OPTIN
-ERR OPTIN and OPTOUT are not compatible with BCAST
> CLIENT TRACKING ON BCAST PREFIX user: PREFIX item: NOLOOP
+OK
> CLIENT TRACKING ON BCAST PREFIX user:1
-ERR Prefix 'user:1' overlaps with an existing prefix 'user:'. Prefixes for a single client must not overlap.
> CLIENT TRACKING ON BCAST PREFIX q PREFIX qq
-ERR Prefix 'q' overlaps with another provided prefix 'qq'. Prefixes for a single client must not overlap.
> SET user:1 own
+OK
b> MSET user:1 a other b
+OK
a<
>["invalidate", ["user:1"]]
b> MSET user:2 a user:3 b
+OK
a<
>["invalidate", ["user:2", "user:3"]]
b> FLUSHALL
+OK
a<
>["invalidate", null]
> CLIENT TRACKINGINFO
{"flags": ~["on", "bcast", "noloop"], "redirect": :0, "prefixes": ["item:", "user:"]}
> RESET
+RESET
> CLIENT TRACKINGINFO
["flags", ["off"], "redirect", :-1, "prefixes", []]
> CLIENT GETREDIR
:-1
> CLIENT TRACKING ON REDIRECT 123456789
-ERR The client ID you want redirect to does not exist
> CLIENT TRACKING MAYBE
-ERR syntax error
> CLIENT TRACKING ON REDIRECT x
-ERR value is not an integer or out of range
