@redis
@resp3
# Maps and nested pairs.
> HSET h a 1
:1
> HGETALL h
{"a": "1"}
> HGETALL missing
{}
> HKEYS h
["a"]
> HRANDFIELD h 2 WITHVALUES
[["a", "1"]]
> HRANDFIELD h -2 WITHVALUES
[["a", "1"], ["a", "1"]]
> HSCAN h 0
["0", ["a", "1"]]
> HGET h missing
null
