# DUMP and RESTORE.

== what a payload looks like
a> SET k hello
+OK
a> DUMP no
nil
a> RESTORE k 0 ""
-BUSYKEY Target key name already exists.
a> RESTORE k 0 "\x00\x05hello\x0b\x00\x98\xb7\xd4\x2e\x7b\x9a\x26\x4e"
-BUSYKEY Target key name already exists.
a> RESTORE l 0 "\x00\x05hello\x0b\x00\x98\xb7\xd4\x2e\x7b\x9a\x26\x4f"
-ERR DUMP payload version or checksum are wrong

== what is refused
a> RESTORE k -1 x
-ERR Invalid TTL value, must be >= 0
a> RESTORE k x x
-ERR value is not an integer or out of range
a> RESTORE k 0 x FREQ 256
-ERR Invalid FREQ value, must be >= 0 and <= 255
a> RESTORE k 0 x IDLETIME -1
-ERR Invalid IDLETIME value, must be >= 0
