# Key extraction tells what this very request does with its keys.
> COMMAND GETKEYSANDFLAGS SET k v
[["k", [+OW, +update]]]
> COMMAND GETKEYSANDFLAGS SET k v EX 10 get
[["k", [+RW, +access, +update]]]
> COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0 OVERFLOW WRAP
[["k", [+RO, +access]]]
> COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0 SET u8 0 1
[["k", [+RW, +access, +update]]]
> COMMAND GETKEYSANDFLAGS DELEX k
[["k", [+RM, +delete]]]
> COMMAND GETKEYSANDFLAGS DELEX k IFEQ v
[["k", [+RW, +access, +delete]]]
> COMMAND GETKEYS EVAL "return 1" 0
[]
> COMMAND GETKEYS EVAL "return 1" 5 a
[]
> COMMAND GETKEYS ZUNIONSTORE d 0 a
-ERR Invalid arguments specified for command
> ROLE
["master", :0, []]
> COMMAND GETKEYSANDFLAGS MIGRATE h p k 0 1 COPY
[["k", [+RW, +access, +delete]]]
> COMMAND GETKEYS MIGRATE h p "" 0 1 AUTH2 KEYS KEYS KEYS a b
["a", "b"]
> COMMAND GETKEYS MIGRATE h p "" 0 1 AUTH KEYS KEYS KEYS b
["KEYS", "b"]
