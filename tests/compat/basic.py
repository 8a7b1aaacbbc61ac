"""What an application does with redis-py, on RESP2 and RESP3: connect, pool, pipeline, transaction
with WATCH, scan, expiry, every basic type. Usage: basic.py PORT. Any difference is an exception."""

import sys
import threading

import redis

port = int(sys.argv[1])


def check(got, want):
    if got != want:
        raise SystemExit(f"got {got!r}, want {want!r}")


def exercise(protocol):
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    r.flushall()
    check(r.ping(), True)

    check(r.set("s", "hello", ex=100), True)
    check((r.get("s"), r.ttl("s")), ("hello", 100))
    check(r.set("s", "x", nx=True), None)
    check((r.incr("n", 5), r.incrbyfloat("f", 1.5)), (5, 1.5))
    check(r.mget("s", "n", "missing"), ["hello", "5", None])

    check(r.rpush("l", 1, 2, 3), 3)
    check((r.lrange("l", 0, -1), r.lpop("l", 2)), (["1", "2", "3"], ["1", "2"]))

    check(r.hset("h", mapping={"a": 1, "b": 2}), 2)
    check((r.hgetall("h"), r.hmget("h", "a", "z")), ({"a": "1", "b": "2"}, ["1", None]))

    check(r.sadd("t", "a", "b"), 2)
    check((r.smembers("t"), r.sismember("t", "a")), ({"a", "b"}, 1))

    check(r.zadd("z", {"a": 1, "b": 2.5}), 2)
    pairs = r.zrange("z", 0, -1, withscores=True)
    check([tuple(p) for p in pairs], [("a", 1.0), ("b", 2.5)])
    check(r.zscore("z", "b"), 2.5)

    with r.pipeline(transaction=False) as p:
        for i in range(1000):
            p.set(f"k:{i}", i)
        check(p.execute(), [True] * 1000)
    check(len(set(r.scan_iter("k:*", count=50))), 1000)
    check(r.delete(*[f"k:{i}" for i in range(1000)]), 1000)

    with r.pipeline() as p:
        p.watch("n")
        p.multi()
        p.incr("n")
        r.set("n", 100)
        try:
            p.execute()
            raise SystemExit("a watched key changed, but EXEC went through")
        except redis.WatchError:
            pass
    try:
        r.lpush("s", 1)
        raise SystemExit("LPUSH on a string went through")
    except redis.ResponseError as e:
        check(str(e), "WRONGTYPE Operation against a key holding the wrong kind of value")
    check(int(r.info()["redis_version"].split(".")[0]) >= 7, True)


def many_clients():
    """Sixteen threads over one pool add to one counter."""
    pool = redis.ConnectionPool(port=port, max_connections=16)
    redis.Redis(connection_pool=pool).delete("count")

    def add():
        r = redis.Redis(connection_pool=pool)
        for _ in range(200):
            r.incr("count")

    threads = [threading.Thread(target=add) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(redis.Redis(connection_pool=pool).get("count"), b"3200")


exercise(2)
exercise(3)
many_clients()
print("ok")
