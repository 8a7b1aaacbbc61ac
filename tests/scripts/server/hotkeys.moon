# HOTKEYS as in Redis 8.6, which is newer than the oracle: refusals as its documentation and tests have them.
> HOTKEYS RESET
+OK
> HOTKEYS STOP
nil
> HOTKEYS START
-ERR METRICS parameter is required
> HOTKEYS START COUNT 3
-ERR METRICS parameter is required
> HOTKEYS START METRICS 0
-ERR METRICS count must be > 0 and <= 2
> HOTKEYS START METRICS 3 CPU NET
-ERR METRICS count must be > 0 and <= 2
> HOTKEYS START METRICS x CPU
-ERR METRICS count must be > 0 and <= 2
> HOTKEYS START METRICS 2 CPU
-ERR METRICS count does not match number of metric types provided
> HOTKEYS START METRICS 1 CPU NET
-ERR syntax error
> HOTKEYS START METRICS 1 GPU
-ERR METRICS no valid metrics passed. Supported: CPU|NET
> HOTKEYS START METRICS 2 CPU CPU
-ERR METRICS CPU defined more than once!
> HOTKEYS START METRICS 2 NET NET
-ERR METRICS NET defined more than once!
> HOTKEYS START METRICS 1 CPU COUNT 0
-ERR COUNT must be between 1 and 64
> HOTKEYS START METRICS 1 CPU COUNT 65
-ERR COUNT must be between 1 and 64
> HOTKEYS START METRICS 1 CPU DURATION 0
-ERR DURATION must be between 1 and 1000000
> HOTKEYS START METRICS 1 CPU SAMPLE 0
-ERR SAMPLE ratio must be positive
> HOTKEYS START METRICS 1 CPU SLOTS 2 0 5
-ERR SLOTS parameter cannot be used in non-cluster mode
> HOTKEYS START METRICS 1 CPU COUNT
-ERR syntax error
> HOTKEYS START METRICS 2 GPU CPU COUNT 64 DURATION 1000000 SAMPLE 7
+OK
> HOTKEYS START METRICS 1 NET
-ERR hotkey tracking session already in progress
> HOTKEYS RESET
-ERR hotkey tracking session in progress, stop tracking first
> HOTKEYS STOP
+OK
> HOTKEYS STOP
nil
> HOTKEYS RESET
+OK
> HOTKEYS GET x
-ERR wrong number of arguments for 'hotkeys|get' command
> HOTKEYS NOSUCH
-ERR unknown subcommand 'NOSUCH'. Try HOTKEYS HELP.
