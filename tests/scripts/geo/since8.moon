@resp3
# What is not in Redis 7.0: positions in their shortest form, polygons (Valkey 9).
> GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
:2
> GEOPOS s Palermo none
[[,13.361389338970184, ,38.1155563954963], null]
> GEOSEARCH s BYPOLYGON 4 13 38 14 38 14 39 13 39 WITHCOORD
[["Palermo", [,13.361389338970184, ,38.1155563954963]]]
