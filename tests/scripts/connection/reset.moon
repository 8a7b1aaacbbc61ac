@redis
# RESET leaves MULTI, the database, the name and RESP3.
> SELECT 1
+OK
> CLIENT SETNAME me
+OK
> HELLO 3
{"server": "redis"...
> MULTI
+OK
> RESET
+RESET
> EXEC
-ERR EXEC without MULTI
> CLIENT GETNAME
nil
> GET missing
nil
> SET k v
+OK
b> GET k
"v"
> CLIENT SETNAME "a b"
-ERR Client names cannot contain spaces, newlines or special characters.
> PING hello
"hello"
> ECHO ""
""
