@redis
@needs SETBIT
# Bits: encodings and refusals.
> SETBIT bits 1 1
:0
> OBJECT ENCODING bits
"raw"
> SETBIT k -1 1
-ERR bit offset is not an integer or out of range
> SETBIT k 1 2
-ERR bit is not an integer or out of range
> BITOP NOT a b c
-ERR BITOP NOT must be called with a single source key.
