@redis
@needs BLPOP
# Blocked clients are served in order, by any way that creates the value.
b> BLPOP q 0
c> BLPOP q 0
> RPUSH q 1 2 3
:3
b<
["q", "1"]
c<
["q", "2"]
> LRANGE q 0 -1
["3"]
> DEL q
:1
b> BLMOVE q r LEFT RIGHT 0
c> BLPOP r 0
> RPUSH q x
:1
b<
"x"
c<
["r", "x"]
b> BLPOP q 0
> RPUSH other y
:1
> RENAME other q
+OK
b<
["q", "y"]
# A value of another type does not wake; the timeout does.
b> BLPOP q 0.05
> SET q v
+OK
b<
nil-array
> BLPOP q -1
-ERR timeout is negative
> BLPOP q x
-ERR timeout is not a float or out of range
> DEL q
:1
# Pushed and deleted in one transaction: nobody is served.
b> BLPOP q 0
> MULTI
+OK
> RPUSH q a
+QUEUED
> DEL q
+QUEUED
> BLPOP q 0
+QUEUED
> EXEC
[:1, :1, nil-array]
> RPUSH q last
:1
b<
["q", "last"]
