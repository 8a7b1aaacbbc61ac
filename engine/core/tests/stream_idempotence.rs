//! Idempotent ids of streams. The clock starts at 1000000.

use crate::common::{Harness, check};

#[test]
fn an_entry_sent_again_is_not_added_again() {
    check(
        "> XADD s IDMP p i MAXLEN 9 * a 1
         1000000-0
         = XADD s 1000000-0 a 1
         = XIDMPRECORD s p i 1000000-0
         > XADD s MAXLEN 9 IDMP p i * a 2
         1000000-0
         = -
         > XADD s IDMP q i * a 2
         1000000-1
         > XADD s IDMP p * * a 3
         1000000-2
         > XADD s IDMP p * * a 3
         1000000-2
         > XADD s NOMKSTREAM IDMPAUTO p * a 1 b 2
         1000000-3
         > XADD s IDMPAUTO p * b 2 a 1
         1000000-3
         = -
         > XADD s IDMPAUTO p * b 1 a 2
         1000000-4
         > XADD none NOMKSTREAM IDMP p i * a 1
         $-1
         > XLEN s
         :5
         @ +100000
         > XADD s IDMP p i * a 4
         1100000-0
         > XADD s IDMP q i * a 4
         1100000-1",
    );
}

#[test]
fn refusals() {
    check(
        "> XADD s IDMP p * f v
         -ERR Invalid stream ID specified as stream command argument
         > XADD s IDMP p i 1-1 f v
         -ERR IDMP/IDMPAUTO can be used only with auto-generated IDs
         > XADD s IDMPAUTO p 1-* f v
         -ERR IDMP/IDMPAUTO can be used only with auto-generated IDs
         > XADD s IDMP p i IDMP q i * f v
         -ERR IDMP/IDMPAUTO specified multiple times
         > XADD s IDMPAUTO p IDMP q i * f v
         -ERR IDMP/IDMPAUTO specified multiple times
         > XADD s IDMP \"\" i * f v
         -ERR IDMP requires a non-empty producer ID
         > XADD s IDMP p \"\" * f v
         -ERR IDMP requires a non-empty idempotent ID
         > XADD s IDMPAUTO \"\" * f v
         -ERR IDMPAUTO requires a non-empty producer ID
         > EXISTS s
         :0
         > XCFGSET s IDMP-DURATION 5
         -ERR no such key
         > XIDMPRECORD s p i 1-1
         -ERR no such key
         > XADD s 1-1 f v
         1-1
         > XCFGSET s
         -ERR At least one parameter must be specified
         > XCFGSET s IDMP-DURATION
         -ERR syntax error
         > XCFGSET s IDMP-DURATION x IDMP-MAXSIZE
         -ERR value is not an integer or out of range
         > XCFGSET s IDMP-DURATION 000
         -ERR value is not an integer or out of range
         > XCFGSET s IDMP-DURATION 86401
         -ERR IDMP-DURATION must be between 1 and 86400 seconds
         > XCFGSET s IDMP-MAXSIZE -1
         -ERR IDMP-MAXSIZE must be between 1 and 10000 entries
         > XIDMPRECORD s p i 2-1
         -ERR The specified stream ID was deleted or doesn't exist
         > XIDMPRECORD s \"\" i 1-1
         -ERR XIDMPRECORD requires a non-empty producer ID
         > SET t 1
         +OK
         > XCFGSET t IDMP-DURATION 5
         -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn settings() {
    let mut h = check(
        "> XADD s IDMP p i * a 1
         1000000-0
         > XCFGSET s IDMP-DURATION 100
         +OK
         = -
         > XADD s IDMP p i * a 1
         1000000-0
         > XCFGSET s IDMP-MAXSIZE 2 IDMP-DURATION 5
         +OK
         = XCFGSET s IDMP-DURATION 5 IDMP-MAXSIZE 2
         > XADD s IDMP p i * a 1
         1000000-1
         > XADD s IDMP p j * a 1
         1000000-2
         > XADD s IDMP p k * a 1
         1000000-3
         > XADD s IDMP p j * a 1
         1000000-2
         > XADD s IDMP p i * a 1
         1000000-4
         > XIDMPRECORD s p i 1000000-4
         +OK
         = -
         > XIDMPRECORD s p i 1000000-3
         -ERR The producer ID and idempotent ID already map to a different stream ID
         > XIDMPRECORD s q z 1000000-3
         +OK
         = XIDMPRECORD s q z 1000000-3
         > XADD s IDMP q z * a 1
         1000000-3",
    );
    let info = h.run("XINFO STREAM s");
    let want = "idmp-duration :5 idmp-maxsize :2 pids-tracked :2 iids-tracked :3 iids-added :6 \
                iids-duplicates :3 groups";
    assert!(info.contains(want), "{info}");
    h.advance(5000);
    let info = h.run("XINFO STREAM s FULL");
    assert!(info.contains("pids-tracked :0 iids-tracked :0 iids-added :6"), "{info}");
}

/// The options of the server are those of a stream without its own, and what they were is in the log.
#[test]
fn options_of_the_server() {
    let mut h = Harness::new();
    h.shard.limits.stream_idempotence.max = 1;
    h.run("XADD s IDMP p i * a 1");
    assert_eq!(
        h.effects(),
        [
            "XADD s 1000000-0 a 1",
            "XCFGSET s IDMP-DURATION 100 IDMP-MAXSIZE 1",
            "XIDMPRECORD s p i 1000000-0"
        ]
    );
    h.run("XADD s IDMP p j * a 1");
    assert_eq!(h.run("XADD s IDMP p i * a 1"), "1000000-2", "forgotten");
    h.shard.limits.stream_idempotence.max = 50;
    assert_eq!(h.run("XADD s IDMP p j * a 1"), "1000000-3", "the stream keeps its settings");
    h.check_replay();
}

/// An entry that its own XADD trims away is remembered, after a replay as well.
#[test]
fn what_is_trimmed_at_once() {
    let h = check(
        "> XADD s IDMP p i MAXLEN 0 * a 1
         1000000-0
         > XLEN s
         :0
         > XADD s IDMP p i * a 1
         1000000-0",
    );
    assert_eq!(h.replayed().run("XADD s IDMP p i * a 1"), "1000000-0");
}

#[test]
fn they_travel_with_the_stream() {
    let mut h = Harness::new();
    h.run("XADD s IDMP p i * a 1");
    h.run("XCFGSET s IDMP-DURATION 50");
    h.run("XADD s IDMP p i * a 1");
    h.run("COPY s t");
    h.run("RENAME s u");
    let payload = h.raw(&[b"DUMP", b"t"]);
    let from = payload.iter().position(|b| *b == b'\n').unwrap() + 1;
    let payload = payload[from..payload.len() - 2].to_vec();
    assert_eq!((payload[0], payload[payload.len() - 10]), (26, 13), "type and version");
    h.raw(&[b"RESTORE", b"v", b"0", &payload]);
    for key in ["t", "u", "v"] {
        assert_eq!(h.run(&format!("XADD {key} IDMP p i * a 1")), "1000000-1", "{key}");
        assert!(h.run(&format!("XINFO STREAM {key}")).contains("idmp-duration :50"));
    }
    h.check_replay();
}
