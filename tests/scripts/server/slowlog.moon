@redis
# SLOWLOG: what is kept, what is hidden, how counts are read.
> CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 10
+OK
> SLOWLOG RESET
+OK
> PING
+PONG
> CONFIG SET slowlog-log-slower-than -1
+OK
> PING
+PONG
> SLOWLOG LEN
:2
> SLOWLOG GET 0
[]
> SLOWLOG GET -2
-ERR count should be greater than or equal to -1
> CONFIG SET slowlog-max-len 0
+OK
> CONFIG SET slowlog-log-slower-than 0
+OK
> PING
+PONG
> SLOWLOG GET -1
[]
> CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128
+OK
