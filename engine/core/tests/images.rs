//! Goal: with images on, a record says how each key that it changes was before. Method: a second shard is fed
//! the log effect by effect, and each image is compared with the key as that shard has it (see
//! `common::Harness::check_images`); every write row of the command table is among the commands.

use crate::common::{Harness, NoHost, split, table};
use crate::replay;
use moon_engine::command::Run;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn harness() -> Harness {
    let mut h = Harness::new();
    h.shard.journal.images = true;
    h
}

#[test]
fn what_records_say_of_keys_before() {
    let mut h = harness();
    for (line, record) in [
        ("SET k v", r#""SET" "k" "v" +created"#),
        ("SET k 12", r#""SET" "k" "12" +before(type 0, 5 bytes)"#),
        ("INCR k", r#""INCR" "k" +before(type 0, 6 bytes)"#),
        ("PEXPIRE k 5000", r#""PEXPIREAT" "k" "1005000" +before(type 0, 6 bytes)"#),
        ("APPEND k x", r#""APPEND" "k" "x" +before(type 0, ttl_ms 1005000, 6 bytes)"#),
        ("PERSIST k", r#""PERSIST" "k" +before(type 0, ttl_ms 1005000, 7 bytes)"#),
        (
            "MSET k 1 l 2",
            r#""MSET" "k" "1" "l" "2" +at(word 1, db 0) +before(type 0, 7 bytes) +at(word 3, db 0) +created"#,
        ),
        (
            "RENAME k l",
            r#""RENAME" "k" "l" +at(word 2, db 0) +before(type 0, 5 bytes) +at(word 1, db 0) +removed +before(type 0, 5 bytes)"#,
        ),
        (
            "MOVE l 1",
            r#""MOVE" "l" "1" +at(word 1, db 1) +created +at(word 1, db 0) +removed +before(type 0, 5 bytes)"#,
        ),
        ("HSET h f 1", r#""HSET" "h" "f" "1" +created"#),
        // A type that goes is that of the image.
        ("SET h 1", r#""SET" "h" "1" +before(type 1, 18 bytes)"#),
        ("DEL h none", r#""DEL" "h" "none" +removed +before(type 0, 5 bytes)"#),
        ("SADD s a", r#""SADD" "s" "a" +created"#),
        ("SREM s a", r#""SREM" "s" "a" +removed +before(type 3, 9 bytes)"#),
        // All keys of a database have no images.
        ("FLUSHALL", r#""FLUSHALL""#),
    ] {
        h.run(line);
        assert_eq!(h.last_record(), record, "{line}");
    }
    h.run("SET e 1 PX 5");
    h.advance(10);
    h.run("APPEND e 2");
    assert_eq!(
        h.last_record(),
        r#""DEL" "e" +removed +expired +before(type 0, ttl_ms 1000005, 5 bytes); "APPEND" "e" "2" +created"#
    );
    // Each command of a unit sees what the one before it has left.
    for line in ["MULTI", "SET e 3", "HSETNX none f 1", "INCR e", "DEL e", "EXEC"] {
        h.run(line);
    }
    assert_eq!(
        h.last_record(),
        "\"SET\" \"e\" \"3\" +before(type 0, 5 bytes); \"HSETNX\" \"none\" \"f\" \"1\" +created; \
         \"INCR\" \"e\" +before(type 0, 5 bytes); \"DEL\" \"e\" +removed +before(type 0, 5 bytes)"
    );
    h.check_replay();
}

#[test]
fn one_command_shows_a_key_before_it_and_not_between_its_effects() {
    let mut h = harness();
    h.run("HSET h f 1 g 2 x 3");
    h.run("HPEXPIRE h 5 FIELDS 2 f g");
    h.advance(6);
    h.shard.expire_cycle(&mut NoHost, 100);
    assert_eq!(
        h.last_record(),
        r#""HDEL" "h" "f" +expired +before(type 1, 64 bytes); "HDEL" "h" "g" +expired +before(type 1, left out)"#
    );
    h.check_replay();
}

#[test]
fn what_changes_nothing_leaves_no_image() {
    let mut h = harness();
    h.run("HSET h f 1");
    h.run("SET s x");
    h.effects();
    for line in
        ["HSETNX h f 2", "HDEL h none", "SETRANGE s 3 \"\"", "SMOVE none h m", "LPUSHX no x"]
    {
        h.run(line);
    }
    assert!(h.effects().is_empty());
    // Nor does it stand in the way of the next command of the unit.
    let script = "for i = 1, 1000 do redis.call('HSETNX', 'h', 'f', i) end redis.call('HSET', 'h', 'g', 1) \
                  redis.call('HDEL', 'h', 'f')";
    h.raw(&[b"EVAL", script.as_bytes(), b"0"]);
    assert_eq!(
        h.last_record(),
        "\"HSET\" \"h\" \"g\" \"1\" +before(type 1, 18 bytes); \"HDEL\" \"h\" \"f\" +before(type 1, 28 bytes)"
    );
    h.check_replay();
}

#[test]
fn large_values_are_left_out() {
    let mut h = harness();
    // A body of a string is four bytes longer than it.
    for (len, text) in [(65_532, "65536 bytes"), (65_533, "left out")] {
        h.raw(&[b"SET", b"s", &vec![b'v'; len]]);
        h.run("PEXPIRE s 7000");
        h.run("SET s x");
        let want = format!(r#""SET" "s" "x" +before(type 0, ttl_ms 1007000, {text})"#);
        assert_eq!(h.last_record(), want);
    }
    let all = |one: &dyn Fn(u32) -> String| (0..3000).map(one).collect::<Vec<_>>().join(" ");
    h.run(&format!("HSET h {}", all(&|i| format!("field:{i} value:{i}"))));
    h.run(&format!("ZADD z {}", all(&|i| format!("{i} m{i}"))));
    for i in 1..=200 {
        h.run(&format!("XADD x 1-{i} {} v", "name".repeat(100)));
    }
    for (line, record) in [
        ("HDEL h field:1", r#""HDEL" "h" "field:1" +before(type 1, left out)"#),
        ("XDEL x 1-1", r#""XDEL" "x" "1-1" +before(type 6, left out)"#),
        ("ZREM z m1", r#""ZREM" "z" "m1" +before(type 4, left out)"#),
        ("DEL h", r#""DEL" "h" +removed +before(type 1, left out)"#),
    ] {
        h.run(line);
        assert_eq!(h.last_record(), record, "{line}");
    }
    h.check_replay();
}

/// Names of consumers stand in the body with every entry that they hold.
#[test]
fn a_stream_is_not_written_down_to_be_measured() {
    let mut h = harness();
    let consumer = "c".repeat(60_000);
    h.run("XGROUP CREATE x g 0 MKSTREAM");
    for i in 1..=100 {
        h.run(&format!("XADD x 1-{i} f v"));
    }
    h.run(&format!("XREADGROUP GROUP g {consumer} STREAMS x >"));
    h.run("XADD x 2-1 f v");
    assert_eq!(h.last_record(), r#""XADD" "x" "2-1" "f" "v" +before(type 6, left out)"#);
    h.run(&format!("XGROUP DELCONSUMER x g {consumer}"));
    h.run("XADD x 2-2 f v");
    assert!(h.last_record().ends_with(" bytes)"), "{}", h.last_record());
    h.check_replay();
}

/// A unit holds a bounded number of bytes of images, however many keys it takes.
#[test]
fn images_of_a_unit_are_bounded() {
    let mut h = harness();
    let value = vec![b'v'; 60_000];
    let keys: Vec<String> = (0..400).map(|i| format!("k{i}")).collect();
    for key in &keys {
        h.raw(&[b"SET", key.as_bytes(), &value]);
    }
    let mut words: Vec<&[u8]> = vec![b"DEL"];
    words.extend(keys.iter().map(String::as_bytes));
    h.raw(&words);
    let record = h.last_record();
    let (whole, bare) = (record.matches("60004 bytes").count(), record.matches("left out").count());
    assert_eq!(whole + bare, 400);
    assert_eq!(whole, (16 << 20) / 60_004);
    // And the next unit begins anew.
    h.raw(&[b"SET", b"k", &value]);
    h.run("DEL k");
    assert!(h.last_record().ends_with("60004 bytes)"), "{}", h.last_record());
}

/// A line that has an effect, for each write row; `@` lets time go on, `<...>` is the reply of a command.
const ROWS: &str = r##"
SET s 5
APPEND s 6
BITFIELD s SET u8 0 65
SETBIT s 6 1
SETRANGE s 1 z
SET t 9
BITOP AND u s t
INCR n
INCRBY n 2
DECR n
DECRBY n 3
INCRBYFLOAT n 0.5
SET i 1
INCREX i PX 9000
GETSET n 7
GETEX n PX 5000
GETDEL n
SETEX n 100 v
PSETEX n 900 v
SETNX m 1
MSET s 1 t 2
MSETNX v 1 w 2
MSETEX 2 v 3 w 4 PX 9000
PFADD p a b c
PFADD q d
PFMERGE p q
PFDEBUG TODENSE p
PFCOUNT p
DELEX v
SET v x
DELIFEQ v x
EXPIRE w 100
PEXPIRE w 90000
EXPIREAT w 2000
PEXPIREAT w 1900000
PERSIST w
RENAME w v
RENAMENX v y
COPY y z
COPY z y REPLACE
MOVE z 1
UNLINK y
DEL m
HSET h a 1 b 2 c 3
HSETNX h d 4
HMSET h a 2
HINCRBY h a 5
HINCRBYFLOAT h a 0.5
HEXPIRE h 100 FIELDS 1 a
HPEXPIRE h 90000 FIELDS 1 b
HEXPIREAT h 2000 FIELDS 1 a
HPEXPIREAT h 1900000 FIELDS 1 b
HPERSIST h FIELDS 1 a
HGETEX h PX 5 FIELDS 1 c
@ 6
HSET h a 9
HSETEX h PX 4000 FIELDS 2 e 1 f 2
HSETEX new PX 4000 FIELDS 1 e 1
HGETDEL h FIELDS 1 d
HDEL h a
RPUSH l a b c d e
LPUSH l x
LPUSHX l y
RPUSHX l z
LINSERT l BEFORE a q
LSET l 0 first
LREM l 1 b
LTRIM l 0 6
LMOVE l k LEFT RIGHT
LMOVEM l k LEFT RIGHT COUNT 2 BULK
RPOPLPUSH l k
BRPOPLPUSH l k 0
BLMOVE k l LEFT RIGHT 0
BLMOVEM k l LEFT RIGHT 0 COUNT 2 BULK
LPOP l
RPOP l
RPUSH l 3 1 2
LMPOP 1 l LEFT
BLMPOP 0 1 l LEFT
BLPOP l 0
RPUSH l 3 1 2
BRPOP l 0
SORT l STORE sorted ALPHA
SORT l STORE sorted ALPHA DESC
SADD a 1 2 3 x
SADD b 2 3 4
SINTERSTORE c a b
SUNIONSTORE c a b
SDIFFSTORE c a b
SMOVE a b x
SPOP b
SREM a 1
ZADD za 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h
ZADD zb 1 a 2 b
ZINCRBY za 2 a
ZDIFFSTORE zc 2 za zb
ZINTERSTORE zc 2 za zb
ZUNIONSTORE zc 2 za zb
ZRANGESTORE zd za 0 2
ZRANGESTORE zd za 0 3
ZREM za a
ZPOPMIN za
ZPOPMAX za
BZPOPMIN za 0
BZPOPMAX za 0
ZMPOP 1 za MIN
BZMPOP 0 1 zc MIN
ZREMRANGEBYRANK zc 0 0
ZADD rs 3 a 4 b
ZREMRANGEBYSCORE rs 3 3
ZADD lex 0 a 0 b
ZREMRANGEBYLEX lex [a [a
GEOADD g 13.361389 38.115556 p 15.087269 37.502669 c
GEORADIUS g 15 37 200 km STORE gs
GEORADIUSBYMEMBER g p 200 km STORE gs
GEOSEARCHSTORE gs g FROMMEMBER p BYRADIUS 10 km
XADD x 1-1 f v
XADD x 2-1 f v
XADD x 3-1 f v
XADD x 4-1 f v
XADD x 5-1 f v
XADD x IDMP prod iid * f v
XCFGSET x IDMP-DURATION 50
XGROUP CREATE x gr 0
XGROUP CREATECONSUMER x gr c0
XREADGROUP GROUP gr c1 COUNT 4 STREAMS x >
XACK x gr 1-1
XCLAIM x gr c2 0 2-1
XAUTOCLAIM x gr c3 0 - COUNT 1
XNACK x gr FAIL IDS 1 3-1
XACKDEL x gr KEEPREF IDS 1 4-1
XGROUP SETID x gr 2-1
XGROUP DELCONSUMER x gr c2
XGROUP DESTROY x gr
XDEL x 1-1
XDELEX x KEEPREF IDS 1 2-1
XSETID x 99999999-1
XTRIM x MAXLEN 1
XADD xi 7-1 f v
XIDMPRECORD xi prod other 7-1
RESTORE r 0 <DUMP s>
RESTORE r 0 <DUMP h> REPLACE
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function('f', function() return 2 end)"
FUNCTION RESTORE <FUNCTION DUMP> REPLACE
FUNCTION DELETE lib
FUNCTION FLUSH
SWAPDB 0 2
SWAPDB 0 2
FLUSHDB
SET again 1
FLUSHALL
"##;

#[test]
fn every_write_row_shows_what_it_changes() {
    let mut h = harness();
    let mut effective = BTreeSet::new();
    let mut idle = Vec::new();
    for line in ROWS.lines().filter(|line| !line.is_empty()) {
        if let Some(ms) = line.strip_prefix("@ ") {
            h.advance(ms.parse().expect("milliseconds"));
            continue;
        }
        let mut words = split(line);
        if let Some((before, rest)) = line.split_once('<') {
            let (asked, behind) = rest.split_once('>').expect("its end");
            let asked = split(asked);
            let reply = h.raw(&asked.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let head = reply.windows(2).position(|w| w == b"\r\n").expect("a bulk string") + 2;
            words = split(before);
            words.push(reply[head..reply.len() - 2].to_vec());
            words.extend(split(behind));
        }
        h.effects();
        let reply = h.raw(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        if h.effects().is_empty() {
            idle.push(format!("{line}: {}", reply.escape_ascii()));
        }
        let lower = |n: usize| String::from_utf8_lossy(&words[n]).to_lowercase();
        effective.insert(lower(0));
        if words.len() > 1 {
            effective.insert(format!("{}|{}", lower(0), lower(1)));
        }
    }
    assert!(idle.is_empty(), "no effect:\n{}", idle.join("\n"));
    let rows = table().iter().flat_map(|c| std::iter::once(c).chain(c.subs()));
    let rows = rows.filter(|c| matches!(c.spec.run, Run::Write(_))).map(|c| c.spec.name);
    let missing: Vec<&str> = rows.filter(|name| !effective.contains(*name)).collect();
    assert!(missing.is_empty(), "rows that are not tried: {missing:?}");
    h.check_replay();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..Default::default() })]

    /// Whatever commands run, and whenever images are switched on and off.
    #[test]
    fn images_are_what_was_there(lines in prop::collection::vec(replay::line(), 1..80), off in 0usize..200) {
        let mut h = harness();
        for (n, line) in lines.iter().enumerate() {
            h.shard.journal.images = n != off;
            match line.strip_prefix('@') {
                Some(ms) => h.advance(ms.parse().unwrap()),
                None => _ = h.run(line),
            }
        }
        h.shard.journal.images = true;
        if off >= lines.len() {
            h.check_images();
        }
        let mut other = h.replayed();
        prop_assert_eq!(h.state(), other.state());
    }
}
