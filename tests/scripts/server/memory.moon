# MEMORY: every value knows its size.
> MEMORY USAGE missing
nil
> SET k v
+OK
> MEMORY USAGE k SAMPLES -1
-ERR syntax error
> MEMORY USAGE k FOO
-ERR syntax error
> MEMORY PURGE
+OK
> MEMORY DOCTOR
"This server holds almost nothing...
> MEMORY FOO
-ERR unknown subcommand 'FOO'. Try MEMORY HELP.
