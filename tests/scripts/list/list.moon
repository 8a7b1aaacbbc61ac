@redis
# Nulls, counts and moves.
> LPOP missing
nil
> LPOP missing 2
nil-array
> RPUSH l a b c d
:4
> LPOP l 0
[]
> LPOP l 2
["a", "b"]
> LPOP l -1
-ERR value is out of range, must be positive
> LPUSHX missing a
:0
> LPOS l d
:1
> LPOS l z
nil
> LPOS l d COUNT 0
[:1]
> LPOS l d RANK 0
-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list...
> LINSERT l BEFORE d x
:3
> LINSERT l BEFORE nope x
:-1
> LREM l 0 x
:1
> LMOVE l l LEFT RIGHT
"c"
> LRANGE l 0 -1
["d", "c"]
> LMPOP 2 missing l RIGHT COUNT 9
["l", ["c", "d"]]
> EXISTS l
:0
> LMPOP 1 missing LEFT
nil-array
> LMPOP 0 l LEFT
-ERR numkeys should be greater than 0
