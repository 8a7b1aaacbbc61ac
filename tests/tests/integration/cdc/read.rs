//! Goal: CDC.READ gives changes in order, as they became of keys, and says what it cannot give. Method: the real
//! server; pages against the commands that were sent.

use super::{SYNCED, cursor, field, gist, read, start};
use moon_tests::ask::{line, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use std::thread::spawn;
use std::time::{Duration, Instant};

#[test]
fn changes_come_in_order_with_what_became_of_keys() {
    let (_server, mut c) = start(SYNCED);
    for words in [
        "SET a 1",
        "SET a 2",
        "RPUSH l x y",
        "LPOP l",
        "LPOP l",
        "MSET a 3 b 4",
        "RENAME b d",
        "HSET h f 1",
        "HDEL h f",
        "SELECT 2",
        "XADD s 1-1 f v",
        "FLUSHALL",
    ] {
        line(&mut c, words);
    }
    let (next, events) = read(&mut c, "0 0");
    let want = [
        "c a SET",
        "u a SET",
        "c l RPUSH",
        "u l LPOP",
        "d l",
        "u a MSET",
        "c b MSET",
        "c d RENAME",
        "d b",
        "c h HSET",
        "d h",
        "c s XADD",
        "t null FLUSHALL",
    ];
    assert_eq!(gist(&events), want);
    assert_eq!(next, 12);
    assert_eq!(field(&events[6], "id"), "0:6");
    assert_eq!(field(&events[6], "total_order"), "2");
    assert_eq!(read(&mut c, "0 12"), (12, vec![]));
    // Filters move the cursor past what they leave out.
    assert_eq!(gist(&read(&mut c, "0 1 MATCH h").1), ["c h HSET", "d h", "t null FLUSHALL"]);
    assert_eq!(gist(&read(&mut c, "0 1 DB 2").1), ["c s XADD", "t null FLUSHALL"]);
    assert_eq!(gist(&read(&mut c, "0 1 PLANES stream").1), ["c s XADD"]);
    assert_eq!(read(&mut c, "0 1 MATCH nothing DB 0 PLANES kv LIMIT 1").0, 12);
    // Pages hold whole units; one that is too large is taken in parts.
    let (next, page) = read(&mut c, "0 1 LIMIT 6");
    assert_eq!((next, page.len()), (6, 5));
    let (next, page) = read(&mut c, "0 6 LIMIT 1");
    assert_eq!((next, gist(&page)), (6, vec!["u a MSET".to_string()]));
    let (next, page) = read(&mut c, "0 6 LIMIT 1 OFFSET 1");
    assert_eq!((next, gist(&page)), (7, vec!["c b MSET".to_string()]));
    let (next, page) = read(&mut c, "0 1 BYTES 900");
    assert!(page.len() < 4 && next == page.len() as i64 + 1, "{next} {}", page.len());
    assert!(
        read(&mut c, "0 1 FORMAT raw LIMIT 1").1[0]
            .contains("\"raw_resp\":\"KjMNCiQzDQpTRVQNCiQxDQphDQokMQ0KMQ0K\"")
    );
}

#[test]
fn what_is_refused() {
    let (_server, mut c) = start(SYNCED);
    line(&mut c, "SET a 1");
    for (words, error) in [
        ("1 0", "-ERR no such shard"),
        ("/etc 0", "-ERR no such shard"),
        ("0 x", "-ERR a cursor is an LSN"),
        ("0 -1", "-ERR a cursor is an LSN"),
        ("0 0 LIMIT 10001", "-ERR LIMIT must be from 1 to 10000"),
        ("0 0 LIMIT", "-ERR syntax error"),
        ("0 0 PLANES kv,x", "-ERR PLANES are"),
        ("0 0 DB 16", "-ERR DB must be"),
        ("0 999", "-CDCEPOCH epoch=1 forked-at=0"),
        ("0 0 EPOCH 2", "-CDCEPOCH epoch=1 forked-at=0"),
    ] {
        let got = line(&mut c, &format!("CDC.READ {words}"));
        assert!(got.starts_with(error), "{words}: {got}");
    }
    let (server, mut none) = start(&["--appendonly", "no"]);
    assert!(line(&mut none, "CDC.READ 0 0").starts_with("-ERR there is no log"));
    drop(server);
    // Whose rights a reader has: the category, and the patterns of keys.
    line(&mut c, "SET b 1");
    line(&mut c, "MSET a 2 b 2");
    line(&mut c, "ACL SETUSER eve on nopass +@cdc ~a %W~b");
    line(&mut c, "ACL SETUSER bob on nopass +@all -@cdc ~*");
    let mut eve = c.another().expect("a connection");
    assert_eq!(line(&mut eve, "AUTH eve x"), "OK");
    let events = read(&mut eve, "0 0").1;
    assert_eq!(gist(&events), ["c a SET", "u a MSET"]);
    assert!(!events[1].contains("\"b\""), "{}", events[1]);
    assert_eq!(line(&mut eve, "AUTH bob x"), "OK");
    assert!(line(&mut eve, "CDC.READ 0 0").starts_with("-NOPERM"));
}

#[test]
fn a_reader_waits_for_changes() {
    let (server, mut c) = start(SYNCED);
    line(&mut c, "SET a 1");
    let begun = Instant::now();
    assert_eq!(read(&mut c, "0 $ BLOCK 60"), (2, vec![]));
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let port = server.port();
    let reader = spawn(move || {
        let mut c = Client::connect(port).expect("a connection");
        read(&mut c, "0 $ BLOCK 0 MATCH b")
    });
    until("it waits", || line(&mut c, "CLIENT LIST").contains("flags=b"));
    line(&mut c, "SET a 2");
    line(&mut c, "SET b 2");
    let (next, events) = reader.join().expect("a page");
    assert_eq!((next, gist(&events)), (4, vec!["c b SET".to_string()]));
    // By hand, and by leaving.
    for (reason, reply) in
        [("TIMEOUT", "[:4]"), ("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    {
        let mut waiting = c.another().expect("a connection");
        let id = line(&mut waiting, "CLIENT ID");
        waiting.queue(&cmd!["CDC.READ", "0", "$", "BLOCK", "0"]);
        waiting.flush().expect("sent");
        until("it waits", || line(&mut c, "CLIENT LIST").contains("flags=b"));
        line(&mut c, &format!("CLIENT UNBLOCK {} {reason}", id.trim_start_matches(':')));
        assert_eq!(moon_tests::ask::text(&waiting.receive().expect("a reply")), reply);
    }
    let mut gone = c.another().expect("a connection");
    gone.queue(&cmd!["CDC.READ", "0", "$", "BLOCK", "0"]);
    gone.flush().expect("sent");
    until("it waits", || line(&mut c, "CLIENT LIST").contains("flags=b"));
    drop(gone);
    until("it is forgotten", || moon_tests::ask::info(&mut c, "blocked_clients") == "0");
}

#[test]
fn only_what_a_loss_of_power_cannot_take_is_shown() {
    let (_server, mut c) = start(&["--appendfsync", "everysec"]);
    line(&mut c, "SET a 1");
    let (next, early) = read(&mut c, "0 1");
    let durable = moon_tests::ask::number(&mut c, "durable_lsn");
    assert!(early.is_empty() || durable >= 1);
    assert_eq!(next, 1 + early.len() as i64);
    assert_eq!(gist(&read(&mut c, "0 1 BLOCK 10000").1), ["c a SET"]);
}

#[test]
fn rotation_rewrite_and_restart_are_invisible_and_what_is_gone_is_said_to_be() {
    // By time: how many bytes a record takes depends on how many share a write.
    let retain = ["--cdc-retain-bytes", "0", "--cdc-retain-secs", "3600"];
    let args = [&["--wal-segment-size", "64kb", "--appendfsync", "no"], &retain[..]].concat();
    let (mut server, mut c) = start(&args);
    let mut next = 1;
    let mut seen = 0;
    for round in 0..6 {
        for i in 0..1000 {
            c.queue(&cmd!["SET", format!("k{i}"), format!("{round}:{}", "v".repeat(40))]);
        }
        c.flush().expect("sent");
        (0..1000).for_each(|_| drop(c.receive().expect("a reply")));
        match round {
            1 => drop(line(&mut c, "BGREWRITEAOF")),
            2 => {
                server.kill().expect("a kill");
                server.restart().expect("moon starts again");
                c = server.client().expect("a connection");
            }
            4 => {
                line(&mut c, "BGREWRITEAOF");
                until("a base", || moon_tests::ask::info(&mut c, "aof_rewrite_in_progress") == "0");
            }
            _ => {}
        }
        loop {
            let (then, events) = read(&mut c, &format!("0 {next} LIMIT 333"));
            let keys = events.iter().filter(|e| field(e, "op") != "m");
            for event in keys {
                let (key, value) = (field(event, "key"), field(event, "value"));
                assert_eq!((key, &value[..1]), (format!("k{}", seen % 1000), &*round.to_string()));
                assert_eq!(field(event, "op"), if round == 0 { "c" } else { "u" });
                seen += 1;
            }
            let done = events.is_empty();
            next = then;
            if done {
                break;
            }
        }
        assert_eq!(seen, (round + 1) * 1000);
    }
    line(&mut c, "CONFIG SET cdc-retain-secs 0");
    until("the beginning has been recycled", || {
        line(&mut c, "BGREWRITEAOF");
        let gone = line(&mut c, "CDC.READ 0 1");
        gone.starts_with("-CDCGONE oldest=") && !gone.ends_with("snapshot=0")
    });
}

#[test]
fn a_snapshot_and_what_follows_it_are_the_data() {
    let (mut server, mut c) = start(SYNCED);
    assert_eq!(line(&mut c, "CDC.SNAPSHOT 0"), "[:1, :1]", "the log holds everything");
    for words in
        ["SET s 1", "HSET h f 1 g 2", "RPUSH l a b", "SADD t m", "ZADD z 1.5 m", "XADD x 1-1 f v"]
    {
        line(&mut c, words);
    }
    line(&mut c, "SET e 1 PXAT 9999999999999");
    line(&mut c, "HPEXPIREAT h 9999999999999 FIELDS 1 g");
    line(&mut c, "SELECT 3");
    c.call(&cmd!["SET", "big", "b".repeat(400_000)]).expect("a reply");
    line(&mut c, "BGREWRITEAOF");
    until("a base", || line(&mut c, "CDC.SNAPSHOT 0") != "[:1, :1]");
    line(&mut c, "SET behind 1");
    let both = c.line("CDC.SNAPSHOT 0").expect("a reply");
    let both = both.elements().expect("two cursors").to_vec();
    let (mut at, behind) = (cursor(&both[0]), cursor(&both[1]));
    let mut rows = Vec::new();
    // One at a time, with a start in between: the cursor is all there is.
    while at != behind {
        let reply = c.line(&format!("CDC.READ 0 {at} LIMIT 1")).expect("a reply");
        let Some([next, events @ ..]) = reply.elements() else { panic!("{reply:?}") };
        rows.extend(
            events.iter().map(|e| String::from_utf8_lossy(e.text().expect("text")).to_string()),
        );
        at = cursor(next);
        if rows.len() == 3 {
            server.kill().expect("a kill");
            server.restart().expect("moon starts again");
            c = server.client().expect("a connection");
        }
    }
    assert_eq!(rows.len(), 8);
    assert_eq!(
        (field(&rows[0], "snapshot"), field(&rows[7], "snapshot")),
        ("first".into(), "last".into())
    );
    let row = |key: &str| {
        let found =
            rows.iter().find(|r| field(r, "key") == key).unwrap_or_else(|| panic!("no {key}"));
        assert_eq!(field(found, "op"), "r");
        found.clone()
    };
    assert!(row("s").contains(r#""type":"string","command":null,"args":[],"value":"1"}"#));
    assert!(row("e").contains(r#""value":"1","ttl_ms":9999999999999}"#));
    assert!(row("h").contains(r#"["f","1"]"#) && row("h").contains(r#"["g","2",9999999999999]"#));
    assert!(
        row("l").contains(r#""value":["a","b"]"#) && row("z").contains(r#""value":[["m",1.5]]"#)
    );
    assert!(row("x").contains(r#""entries":[["1-1",["f","v"]]]"#));
    assert!(row("big").len() > 400_000 && field(&row("big"), "db") == "3");
    let (_, events) = read(&mut c, &format!("0 {behind} MATCH behind PLANES kv"));
    assert_eq!(gist(&events), ["m null Checkpoint", "c behind SET"]);
}
