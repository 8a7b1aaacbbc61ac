# XADD IDMP and IDMPAUTO, XCFGSET (Redis 8.6), XIDMPRECORD (8.8).
@needs XCFGSET
> XADD s IDMP p i 1-1 f v
-ERR IDMP/IDMPAUTO can be used only with auto-generated IDs
> XADD s IDMP p i IDMPAUTO q * f v
-ERR IDMP/IDMPAUTO specified multiple times
> XADD s IDMP "" i * f v
-ERR IDMP requires a non-empty producer ID
> XADD s 1-1 f v
"1-1"
> XIDMPRECORD s p i 1-1
+OK
> XIDMPRECORD s p i 1-1
+OK
> XIDMPRECORD s p i 1-2
-ERR The specified stream ID was deleted or doesn't exist
> XADD s IDMPAUTO p * a 1 b 2
"...
> XADD s IDMPAUTO p * b 2 a 1
"...
> XLEN s
:2
> XCFGSET s IDMP-DURATION 60 IDMP-MAXSIZE 2
+OK
> XADD s IDMPAUTO p * a 1 b 2
"...
> XLEN s
:3
> XCFGSET s
-ERR At least one parameter must be specified
> XCFGSET s IDMP-DURATION 0
-ERR IDMP-DURATION must be between 1 and 86400 seconds
> XCFGSET s IDMP-MAXSIZE 10001
-ERR IDMP-MAXSIZE must be between 1 and 10000 entries
> XCFGSET none IDMP-MAXSIZE 1
-ERR no such key
