@redis
# HyperLogLogs: the bytes are Redis'.
> PFADD k a b c
:1
> PFADD k a
:0
> GET k
"HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80`\xf3\x80P\xb1\x84K\xfb\x80BZ"
> PFCOUNT k
:3
> GET k
"HYLL\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00`\xf3\x80P\xb1\x84K\xfb\x80BZ"
> PFADD other c d
:1
> PFCOUNT k other none
:4
> PFMERGE d k other
+OK
> PFDEBUG DECODE other
"Z:7292 v:1,1 Z:1143 v:1,1 Z:7947"
> PFDEBUG TODENSE d
:1
> STRLEN d
:12304
> PFDEBUG ENCODING d
+dense
> SET s hello
+OK
> PFADD s a
-WRONGTYPE Key is not a valid HyperLogLog string value.
> SET bad "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x41\x00"
+OK
> PFCOUNT bad
-INVALIDOBJ Corrupted HLL object detected
