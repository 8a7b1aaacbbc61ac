//! The digests of DEBUG DIGEST and DEBUG DIGEST-VALUE are those that Redis 8 gave for the same data.

use crate::common::Harness;
use moon_engine::redis_digest;

fn hex(digest: [u8; 20]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn digests_are_those_of_redis() {
    let mut h = Harness::new();
    assert_eq!(redis_digest::of_all(h.shard.dbs()), [0; 20]);
    for line in [
        "SET a 1",
        "SET b hello EX 1000",
        "SET c 12.5",
        "RPUSH l a b c 1 2 3",
        "SADD s 1 2 3",
        "SADD s2 a b c 99",
        "ZADD z 1 a 2.5 b 1e8 c 100000000000 d 1e17 e -0.0001 f inf g 3 h",
        "HSET h f1 v1 f2 2",
        "PFADD hll a b c",
        "SETBIT bits 100 1",
        "GEOADD geo 13.361389 38.115556 Palermo",
        "XADD st 1-1 a 1 b two",
        "XADD st 2-0 a x",
        "SELECT 3",
        "SET x y",
    ] {
        assert!(!h.run(line).starts_with('-'), "{line}");
    }
    assert_eq!(
        hex(redis_digest::of_all(h.shard.dbs())),
        "7dac4f193828f9cbe680915e3923010c98edb90f"
    );
    for (key, want) in [
        ("a", "b4fc66738120fba0b5aa500ab5c2bf89cea1c5da"),
        ("b", "d037c4eb8a8b36b602fbced4000daeab0714c1e3"),
        ("c", "65fe1ec19e609c6265bd54023f349f773c631915"),
        ("l", "28150a3b2cc0efbc98d23e7962f278329e3b583b"),
        ("s", "2a462a3f51a1db89738ebbeef0c47ce1bbc85246"),
        ("s2", "c3459a75666f12a5b7d42eed6a8db604d56bbfd2"),
        ("z", "b349ed95824bff8cd07db7380bcc7936fd5eefde"),
        ("h", "fc076e867f7dbf566ea58172a151d82d78b8f845"),
        ("hll", "f579608d33b88f5e9f7172d6fb480ecf5d13ddf5"),
        ("bits", "b92d5cbfe6ad10464759782af71120636feb6f84"),
        ("st", "dbabaecf0dd39317eba5b77c70f265e1383d8874"),
        ("geo", "ed7fcd59ddde04179a0e51cd98d25bbc67bbc19b"),
    ] {
        let entry = h.shard.dbs()[0].table().get(key.as_bytes()).expect(key);
        assert_eq!(hex(redis_digest::of_value(entry)), want, "{key}");
    }
}
