@redis
# Positions, searches, stored results.
> GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
:2
> ZSCORE s Palermo
"3479099956230698"
> GEODIST s Palermo Catania km
"166.2742"
> GEOHASH s Palermo none Catania
["sqc8b49rny0", nil, "sqdtr74hyu0"]
> GEOPOS s none
[nil-array]
> GEOADD s 200 10 a
-ERR invalid longitude,latitude pair 200.000000,10.000000
> GEOSEARCH s FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST WITHHASH
[["Catania", "56.4413", :3479447370796909], ["Palermo", "190.4424", :3479099956230698]]
> GEOSEARCH s FROMMEMBER Palermo BYRADIUS 100 km
["Palermo"]
> GEOSEARCH s FROMMEMBER Palermo BYRADIUS 100 cm
-ERR unsupported unit provided. please use M, KM, FT, MI
> GEORADIUS s 15 37 200 km COUNT 1 STORE d
:1
> ZRANGE d 0 -1 WITHSCORES
["Catania", "3479447370796909"]
> GEOSEARCHSTORE d s FROMLONLAT 0 0 BYRADIUS 1 m
:0
> EXISTS d
:0
> GEORADIUS_RO s 15 37 200 km STORE d
-ERR syntax error
