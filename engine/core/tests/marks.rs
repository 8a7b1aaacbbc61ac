//! What records say of the keys that they create, change and remove.

use crate::common::{Harness, NoHost};

#[test]
fn what_records_say_of_keys() {
    let mut h = Harness::new();
    for (line, record) in [
        ("SET k v", r#""SET" "k" "v" +created"#),
        ("SET k w", r#""SET" "k" "w""#),
        ("SET k x PXAT 9000000", r#""SET" "k" "x" "PXAT" "9000000""#),
        ("MSET k 1 l 2", r#""MSET" "k" "1" "l" "2" +at(word 1, db 0) +at(word 3, db 0) +created"#),
        ("RENAME k l", r#""RENAME" "k" "l" +at(word 2, db 0) +at(word 1, db 0) +removed"#),
        ("RENAME l m", r#""RENAME" "l" "m" +at(word 2, db 0) +created +at(word 1, db 0) +removed"#),
        ("MOVE m 1", r#""MOVE" "m" "1" +at(word 1, db 1) +created +at(word 1, db 0) +removed"#),
        ("SADD s a b", r#""SADD" "s" "a" "b" +created"#),
        ("SMOVE s t a", r#""SMOVE" "s" "t" "a" +at(word 1, db 0) +at(word 2, db 0) +created"#),
        ("SREM s b", r#""SREM" "s" "b" +removed"#),
        ("SINTERSTORE s t t", r#""SINTERSTORE" "s" "t" "t" +created"#),
        ("DEL s nothing", r#""DEL" "s" "nothing" +removed"#),
        ("SET e 1 PX 5", r#""SET" "e" "1" "PXAT" "1000005" +created"#),
        ("FLUSHDB", r#""FLUSHDB""#),
    ] {
        h.run(line);
        assert_eq!(h.last_record(), record, "{line}");
    }
    h.run("SET e 1 PX 5");
    h.advance(10);
    assert_eq!(h.run("GET e"), "$-1");
    assert_eq!(h.last_record(), r#""DEL" "e" +removed +expired"#);
    h.run("SET e 1 PX 5");
    h.advance(10);
    h.run("APPEND e 2");
    assert_eq!(h.last_record(), r#""DEL" "e" +removed +expired; "APPEND" "e" "2" +created"#);
    h.run("MULTI");
    h.run("SET e 3");
    h.run("SELECT 2");
    h.run("SET f 3");
    h.run("DEL f");
    h.run("EXEC");
    assert_eq!(
        h.last_record(),
        r#""SET" "e" "3"; "SELECT" "2"; "SET" "f" "3" +created; "DEL" "f" +removed"#
    );
    h.check_replay();
}

#[test]
fn fields_that_expire_take_their_hash_along() {
    let mut h = Harness::new();
    h.run("HSET h f 1 g 2");
    h.run("HPEXPIRE h 5 FIELDS 2 f g");
    h.advance(6);
    h.shard.expire_cycle(&mut NoHost, 100);
    assert_eq!(h.last_record(), r#""HDEL" "h" "f" +expired; "HDEL" "h" "g" +removed +expired"#);
    h.check_replay();
}
