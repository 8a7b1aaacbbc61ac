@redis
# Long double arithmetic, printed without an exponent and without trailing zeros.
> SET f 0.1
+OK
> INCRBYFLOAT f 0.2
"0.3"
> SET f 10.50
+OK
> INCRBYFLOAT f 0.1
"10.6"
> SET f 5.0e3
+OK
> INCRBYFLOAT f 1
"5001"
> SET f 1e17
+OK
> INCRBYFLOAT f 1
"100000000000000001"
> SET f 1e21
+OK
> INCRBYFLOAT f 0
"1000000000000000000000"
> SET f 1e-20
+OK
> INCRBYFLOAT f 0
"0"
> INCRBYFLOAT f abc
-ERR value is not a valid float
> INCRBYFLOAT f inf
-ERR increment would produce NaN or Infinity
> SET f " 1"
+OK
> INCRBYFLOAT f 1
-ERR value is not a valid float
> SET i 9223372036854775807
+OK
> INCR i
-ERR increment or decrement would overflow
> DECRBY i -9223372036854775808
-ERR decrement would overflow
