@redis
# Bits: encodings, ranges, fields, refusals.
> SETBIT bits 1 1
:0
> OBJECT ENCODING bits
"raw"
> SETBIT k -1 1
-ERR bit offset is not an integer or out of range
> SETBIT k 1 2
-ERR bit is not an integer or out of range
> GETBIT bits 1
:1
> SET k foobar
+OK
> BITCOUNT k 5 30 BIT
:17
> BITPOS k 1 9 -1 BIT
:9
> BITFIELD f SET u8 #1 255 GET i8 #1 OVERFLOW FAIL INCRBY u8 #1 1 OVERFLOW SAT INCRBY u8 #1 1
[:0, :-1, nil, :255]
> BITFIELD_RO f GET u4 12 GET u63 900
[:15, :0]
> BITFIELD_RO f SET u4 12 1
-ERR BITFIELD_RO only supports the GET subcommand
> BITOP XOR d k f
:6
> BITCOUNT d
:22
> BITOP NOT a b c
-ERR BITOP NOT must be called with a single source key.
