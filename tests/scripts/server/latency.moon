@redis
# LATENCY: what there is to say when nothing was slow, and counts by command.
> LATENCY RESET
:0
> LATENCY LATEST
[]
> LATENCY HISTORY command
[]
> LATENCY GRAPH command
-ERR No samples available for event 'command'
> CONFIG RESETSTAT
+OK
> LATENCY HISTOGRAM hget nosuchcommand
[]
> LATENCY HELP x
-ERR wrong number of arguments for 'latency|help' command
