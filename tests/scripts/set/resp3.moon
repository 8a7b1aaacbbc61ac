@redis
@resp3
# What comes back as a set, and what as an array.
> SADD s 1 2
:2
> SMEMBERS s
~["1", "2"]
> SINTER s missing
~[]
> SRANDMEMBER s 5
sorted ["1", "2"]
> SPOP missing
null
> SPOP missing 1
~[]
> SPOP s 0
~[]
> SSCAN missing 0
["0", []]
