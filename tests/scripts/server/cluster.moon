@redis
# Commands of a cluster where there is none: known, and refused.
> CLUSTER INFO
-ERR This instance has cluster support disabled
> CLUSTER HELP
-ERR This instance has cluster support disabled
> CLUSTER KEYSLOT k
-ERR This instance has cluster support disabled
> CLUSTER NODES
-ERR This instance has cluster support disabled
> CLUSTER RESET HARD
-ERR This instance has cluster support disabled
> CLUSTER SLOTS
-ERR This instance has cluster support disabled
> CLUSTER NODES more
-ERR wrong number of arguments for 'cluster|nodes' command
> CLUSTER NOSUCH
-ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.
> CLUSTER
-ERR wrong number of arguments for 'cluster' command
> ASKING
-ERR This instance has cluster support disabled
> READONLY
-ERR This instance has cluster support disabled
> READWRITE
-ERR This instance has cluster support disabled
> EVAL "return redis.pcall('cluster', 'reset')['err']" 0
"ERR This Redis command is not allowed from script"
> EVAL "return redis.pcall('cluster', 'info')['err']" 0
"ERR This instance has cluster support disabled"
