//! Fields with a time to live (redis-surface §7). The clock starts at 1000000.

use crate::common::{Harness, check};

#[test]
fn setting_answers_for_each_field() {
    check(
        "> HSET h a 1 b 2 c 3
         :3
         > HEXPIRE h 10 FIELDS 3 a b nope
         [:1 :1 :-2]
         = HPEXPIREAT h 1010000 FIELDS 2 a b
         > HEXPIRE none 10 FIELDS 2 a b
         [:-2 :-2]
         = -
         > HPEXPIRE h 5000 NX FIELDS 2 a c
         [:0 :1]
         = HPEXPIREAT h 1005000 NX FIELDS 1 c
         > HPEXPIREAT h 1005000 FIELDS 1 c
         [:1]
         > HEXPIREAT h 2000 XX FIELDS 2 a b
         [:1 :1]
         = HPEXPIREAT h 2000000 XX FIELDS 2 a b
         > HPERSIST h FIELDS 1 b
         [:1]
         = HPERSIST h FIELDS 1 b
         > HEXPIRE h 10 XX FIELDS 1 b
         [:0]
         > HEXPIRE h 10 GT FIELDS 1 b
         [:0]
         > HEXPIRE h 10 LT FIELDS 1 b
         [:1]
         > HPEXPIREAT h 1010000 GT FIELDS 1 b
         [:0]
         > HPEXPIREAT h 1010000 LT FIELDS 1 b
         [:0]
         > HPEXPIREAT h 1010001 GT FIELDS 1 b
         [:1]
         > HPEXPIREAT h 1010000 LT FIELDS 1 b
         [:1]
         > HPERSIST h FIELDS 3 b b nope
         [:1 :-1 :-2]
         > HPERSIST none FIELDS 1 b
         [:-2]
         = -",
    );
}

#[test]
fn a_time_that_has_come_removes_the_field() {
    check(
        "> HSET h a 1 b 2 c 3
         :3
         > HEXPIRE h 0 FIELDS 2 a a
         [:2 :-2]
         = HDEL h a
         > HEXPIREAT h 1 NX FIELDS 2 b nope
         [:2 :-2]
         = HDEL h b
         > HPEXPIREAT h 999999 FIELDS 1 c
         [:2]
         = HDEL h c
         > EXISTS h
         :0",
    );
}

#[test]
fn asking() {
    check(
        "> HSET h a 1 b 2
         :2
         > HPEXPIRE h 1500 FIELDS 1 a
         [:1]
         > HTTL h FIELDS 3 a b c
         [:2 :-1 :-2]
         > HPTTL h FIELDS 1 a
         [:1500]
         > HEXPIRETIME h FIELDS 2 a b
         [:1002 :-1]
         > HPEXPIRETIME h FIELDS 1 a
         [:1001500]
         > HTTL none FIELDS 2 a b
         [:-2 :-2]
         > OBJECT ENCODING h
         listpackex
         > HPERSIST h FIELDS 1 a
         [:1]
         > OBJECT ENCODING h
         listpackex",
    );
}

#[test]
fn refusals() {
    check(
        "> HSET h a 1
         :1
         > SET s 1
         +OK
         > HEXPIRE s x y z 1 a
         -WRONGTYPE Operation against a key holding the wrong kind of value
         > HEXPIRE h x FIELDS 1 a
         -ERR value is not an integer or out of range
         > HEXPIRE h -1 FIELDS 1 a
         -ERR invalid expire time, must be >= 0
         > HEXPIRE h 70368744178 FIELDS 1 a
         -ERR invalid expire time in 'hexpire' command
         > HPEXPIREAT h 70368744177664 FIELDS 1 a
         -ERR invalid expire time in 'hpexpireat' command
         > HPEXPIREAT h 70368744177663 FIELDS 1 a
         [:1]
         > HEXPIREAT h 9223372036854775807 FIELDS 1 a
         -ERR invalid expire time in 'hexpireat' command
         > HEXPIRE h 1 FIELD 1 a
         -ERR Mandatory argument FIELDS is missing or not at the right position
         > HEXPIRE h 1 NX 1 a b
         -ERR Mandatory argument FIELDS is missing or not at the right position
         > HEXPIRE h 1 FIELDS 0 a
         -ERR Parameter `numFields` should be greater than 0
         > HEXPIRE h 1 FIELDS x a
         -ERR Parameter `numFields` should be greater than 0
         > HEXPIRE h 1 FIELDS 2 a
         -ERR The `numfields` parameter must match the number of arguments
         > HEXPIRE h 1 FIELDS 1 a b
         -ERR The `numfields` parameter must match the number of arguments
         > HTTL h FIELDS 0 a
         -ERR Number of fields must be a positive integer
         > HPERSIST h FIELDS 0 a
         -ERR Number of fields must be a positive integer
         > HTTL h FIELDS 3 a
         -ERR The `numfields` parameter must match the number of arguments
         > HTTL s FIELDS 3 a
         -WRONGTYPE Operation against a key holding the wrong kind of value
         > HPERSIST h a b c
         -ERR Mandatory argument FIELDS is missing or not at the right position
         > HTTL h FIELDS 1
         -ERR wrong number of arguments for 'httl' command
         > HGETEX h FIELDS 0 a
         -ERR Number of fields must be a positive integer
         > HGETEX h EX 10 PERSIST FIELDS 1 a
         -ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified
         > HGETEX h EX -1 FIELDS 1 a
         -ERR invalid expire time, must be >= 0
         > HGETDEL h FIELDS 2 a
         -ERR The `numfields` parameter must match the number of arguments
         > HGETDEL s FIELDS 1 a
         -WRONGTYPE Operation against a key holding the wrong kind of value
         > HSETEX h FIELDS 2 a 1
         -ERR wrong number of arguments for 'hsetex' command
         > HSETEX h FIELDS 1 a 1 b
         -ERR unknown argument: b
         > HSETEX h NO FIELDS 1 a 1
         -ERR unknown argument: NO
         > HSETEX h FNX FXX FIELDS 1 a 1
         -ERR Only one of FXX or FNX arguments can be specified
         > HSETEX h EX 1 KEEPTTL FIELDS 1 a 1
         -ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
         > HSETEX h FIELDS 0 a 1
         -ERR invalid number of fields
         > HSETEX s FIELDS 1 a 1
         -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

/// Whoever names a due field does not find it, and it goes; whoever lists fields does not list it, and
/// it stays. Until it goes it counts.
#[test]
fn due_fields_are_met_by_nobody() {
    let naming = "> HGET h gone
         $-1
         > HMGET h gone stays gone
         [$-1 7 $-1]
         > HEXISTS h gone
         :0
         > HSTRLEN h gone
         :0
         > HRANDFIELD h 9
         [stays]
         > HSETNX h gone 1
         :1
         > HINCRBY h gone 1
         :1
         > HINCRBYFLOAT h gone 1
         1
         > HGETDEL h FIELDS 1 gone
         [$-1]
         > HGETEX h PERSIST FIELDS 1 gone
         [$-1]
         > HEXPIRE h 5 FIELDS 1 gone
         [:-2]
         > HPERSIST h FIELDS 1 gone
         [:-2]
         > HSETEX h FXX FIELDS 1 gone 1
         :0
         > HSETEX h KEEPTTL FIELDS 1 gone 1
         :1";
    let listing = "> HLEN h
         :2
         > HKEYS h
         [stays]
         > HVALS h
         [7]
         > HGETALL h
         [stays 7]
         > HSCAN h 0
         [0 [stays 7]]
         > HTTL h FIELDS 2 gone stays
         [:-2 :-1]
         > HDEL h gone
         :1
         > HSET h gone 1
         :0";
    for (lines, expired) in [(naming, 1), (listing, 0)] {
        for line in lines.split("> ").skip(1) {
            for large in [false, true] {
                let mut h = Harness::new();
                if large {
                    h.shard.limits.hash_max_listpack_entries = 0;
                }
                h.run("HSETEX h PX 100 FIELDS 1 gone 7");
                h.run("HSET h stays 7");
                h.advance(100);
                let (command, want) = line.split_once('\n').expect("a command and its reply");
                assert_eq!(h.run(command), want.trim(), "{command}");
                assert_eq!(h.shard.stats.expired_subkeys, expired, "{command}");
                h.check_replay();
            }
        }
    }
}

#[test]
fn a_key_is_there_until_its_last_field_goes() {
    for (look, want, named) in [
        ("EXISTS h", ":1", ""),
        ("TYPE h", "+hash", ""),
        ("HLEN h", ":2", ""),
        ("HGETALL h", "[]", ""),
        ("HSET h a 1", ":0", ""),
        ("HSETNX h a 1", ":1", "HDEL h a"),
        ("SET h 1 NX", "$-1", ""),
        ("RENAME h i", "+OK", ""),
        ("HMGET h a b", "[$-1 $-1]", "HDEL h a, HDEL h b"),
        ("HRANDFIELD h", "$-1", "HDEL h a, HDEL h b"),
        ("HGETDEL h FIELDS 2 b a", "[$-1 $-1]", "HDEL h b, HDEL h a"),
    ] {
        let mut h = Harness::new();
        h.run("HSETEX h PX 100 FIELDS 2 a 1 b 2");
        h.advance(100);
        h.effects();
        assert_eq!(h.run(look), want, "{look}");
        let effects = h.effects();
        let lost: Vec<_> = effects.into_iter().filter(|e| e.starts_with("HDEL")).collect();
        assert_eq!(lost.join(", "), named, "{look}");
        while h.expire(1) > 0 {}
        let left = if look.starts_with("HSET") { 1 } else { 0 };
        assert_eq!(h.shard.dbs()[0].len(), left, "{look}");
        assert_eq!(h.shard.dbs()[0].field_expires(), 0);
        h.check_replay();
    }
}

#[test]
fn what_keeps_and_what_clears() {
    check(
        "> HSETEX h EX 100 FIELDS 4 a 1 b 2 c 3 d 4
         :1
         = HSETEX h PXAT 1100000 FIELDS 4 a 1 b 2 c 3 d 4
         > HSET h a 5
         :0
         > HINCRBY h b 1
         :3
         > HINCRBYFLOAT h c 0.5
         3.5
         = HINCRBYFLOAT h c 0.5
         > HSETEX h KEEPTTL FIELDS 1 d 9
         :1
         = HSETEX h KEEPTTL FIELDS 1 d 9
         > HTTL h FIELDS 4 a b c d
         [:-1 :100 :100 :100]
         > HMSET h b 1
         +OK
         > HSETEX h FIELDS 1 c 1
         :1
         = HSET h c 1
         > HTTL h FIELDS 4 a b c d
         [:-1 :-1 :-1 :100]
         > RENAME h i
         +OK
         > COPY i j
         :1
         > HTTL i FIELDS 1 d
         [:100]
         > HTTL j FIELDS 1 d
         [:100]
         @ +100000
         > HGETALL i
         [a 5 b 1 c 1]
         > HGETALL j
         [a 5 b 1 c 1]
         > HINCRBY j d 1
         :1
         > HTTL j FIELDS 1 d
         [:-1]",
    );
}

#[test]
fn getting_with_a_side_effect() {
    check(
        "> HSET h a 1 b 2 c 3
         :3
         > HGETEX h FIELDS 2 a nope
         [1 $-1]
         = -
         > HGETEX h EX 10 FIELDS 2 a nope
         [1 $-1]
         = HPEXPIREAT h 1010000 FIELDS 1 a
         > HGETEX h PERSIST FIELDS 2 a b
         [1 2]
         = HPERSIST h FIELDS 1 a
         > HGETEX h PXAT 1 FIELDS 1 a
         [1]
         = HDEL h a
         > HGETEX h EX 0 FIELDS 1 b
         [2]
         = HDEL h b
         > HGETEX none EX 1 FIELDS 2 a b
         [$-1 $-1]
         > HGETDEL h FIELDS 2 c c
         [3 $-1]
         = HDEL h c
         > EXISTS h
         :0
         > HGETDEL h FIELDS 2 c d
         [$-1 $-1]
         = -",
    );
}

#[test]
fn setting_all_or_none() {
    check(
        "> HSETEX h FNX EX 5 FIELDS 2 a 1 b 2
         :1
         > HSETEX h FNX FIELDS 2 b 1 c 2
         :0
         = -
         > HSETEX h FXX FIELDS 2 b 1 c 2
         :0
         > HSETEX h FXX PXAT 1 FIELDS 1 b 1
         :1
         = HDEL h b
         > HSETEX h NX FIELDS 1 a 2
         :0
         > HSETEX i XX FIELDS 1 a 2
         :0
         > HSETEX i NX FIELDS 1 a 2 EXAT 2000
         :1
         = HSETEX i PXAT 2000000 FIELDS 1 a 2
         > HSETEX j PX 0 FIELDS 1 a 2
         :1
         = -
         > EXISTS j
         :0",
    );
}

#[test]
fn active_expiry_follows_the_order_of_times_and_its_budget() {
    for entries in [512, 0] {
        let mut h = Harness::new();
        h.shard.limits.hash_max_listpack_entries = entries;
        for key in ["x", "y"] {
            for i in 0..50 {
                h.run(&format!("HSETEX {key} PX {} FIELDS 1 f{i} v", 100 + i));
            }
        }
        h.run("HSET plain f v");
        assert_eq!(h.shard.dbs()[0].field_expires(), 2);
        h.advance(110);
        h.effects();
        assert_eq!(h.expire(5), 5);
        assert_eq!(h.expire(1000), 17);
        assert_eq!(h.expire(1000), 0);
        assert_eq!(h.shard.stats.expired_subkeys, 22);
        assert_eq!(h.run("HLEN x"), ":39");
        assert!(h.effects().contains(&"HDEL x f0".to_string()));
        h.advance(1000);
        while h.expire(7) > 0 {}
        assert_eq!(h.run("KEYS *"), "[plain]");
        assert_eq!(h.shard.dbs()[0].field_expires(), 0);
        h.check_replay();
    }
}

/// The index of next times follows every way a hash comes, changes and goes.
#[test]
fn the_index_follows_the_keys() {
    let mut h = Harness::new();
    let count = |h: &Harness| h.shard.dbs()[0].field_expires();
    for (line, want) in [
        ("HSETEX a EX 9 FIELDS 2 x 1 y 2", 1),
        ("COPY a b", 2),
        ("RENAME b c", 2),
        ("COPY a c REPLACE", 2),
        ("SET c 1", 1),
        ("HSET a x 1", 1),
        ("HSET a y 1", 0),
        ("HEXPIRE a 5 FIELDS 1 x", 1),
        ("HPERSIST a FIELDS 1 x", 0),
        ("HEXPIRE a 5 FIELDS 1 x", 1),
        ("HDEL a x", 0),
        ("HEXPIRE a 5 FIELDS 1 y", 1),
        ("MOVE a 1", 0),
        ("SWAPDB 0 1", 1),
        ("DEL a", 0),
        ("HSETEX a EX 9 FIELDS 1 x 1", 1),
        ("FLUSHDB", 0),
    ] {
        h.run(line);
        assert_eq!(count(&h), want, "{line}");
    }
    h.check_replay();
}

/// Hashes without field times pay nothing; one with 100,000 pays for the times and their order.
#[test]
fn memory_of_field_times() {
    let fill = |ttl: bool| {
        let mut h = Harness::new();
        let before = h.shard.mem_bytes();
        for i in 0..100_000 {
            h.run(&format!("HSET h field:{i:06} value:{i:06}"));
            if ttl {
                h.run(&format!("HEXPIRE h {} FIELDS 1 field:{i:06}", 1000 + i));
            }
        }
        (h.shard.mem_bytes() - before) as f64 / 100_000.0
    };
    let (plain, timed) = (fill(false), fill(true));
    assert!(timed - plain < 40.0, "{plain:.1} and {timed:.1} bytes a field");
}
