@redis
# cmsgpack, struct, bit and cjson give Redis' bytes.
> EVAL "return {cmsgpack.pack(1, -1, 300, 2^40, 0.5, 0.1), cmsgpack.pack('a', true, nil, {1, 2}, {a=1})}" 0
["\x01\xff\xcd\x01,\xcf\x00\x00\x01\x00\x00\x00\x00\x00\xca?\x00\x00\x00\xcb?\xb9\x99\x99\x99\x99\x99\x9a", "\xa1a\xc3\xc0\x92\x01\x02\x81\xa1a\x01"]
> EVAL "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)}" 0
[:2, :1, :2]
> EVAL "return {struct.unpack('>Hbs', struct.pack('>Hbs', 258, -1, 'x'))}" 0
[:258, :-1, "x", :6]
> EVAL "return struct.pack('!4bi', 1, 2)" 0
"\x01\x00\x00\x00\x02\x00\x00\x00"
> EVAL "return bit.tohex(bit.bxor(0xff, 0xf0))" 0
"0000000f"
> EVAL "return cjson.encode(cjson.decode('[1,{\"a\":null}]'))" 0
"[1,{\"a\":null}]"
> EVAL "local ok, e = pcall(redis.call, 'nosuch') return type(e)" 0
"string"
