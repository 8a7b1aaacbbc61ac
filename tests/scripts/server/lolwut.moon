# LOLWUT draws something and never fails on numbers.
> LOLWUT VERSION x
-ERR value is not an integer or out of range
