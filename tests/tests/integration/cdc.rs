//! Goal: a reader of changes sees every durable change once, in order, over anything that happens to log and
//! server. Method: the real server and its files; what events say is compared with what was written.

use moon_tests::ask::{line, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir};
use moon_tests::value::Value;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::spawn;
use std::time::{Duration, Instant};

const SYNCED: &[&str] = &["--appendfsync", "always"];

fn start(args: &[&str]) -> (Server, Client) {
    let server = Server::start(Program::moon().with(args)).expect("moon starts");
    let client = server.client().expect("a connection");
    (server, client)
}

/// A page: the cursor behind it, and its events.
fn read(c: &mut Client, words: &str) -> (i64, Vec<String>) {
    let reply = c.line(&format!("CDC.READ {words}")).expect("a reply");
    let Some([Value::Int(next), events @ ..]) = reply.elements() else {
        panic!("{words}: {reply:?}")
    };
    let text = |e: &Value| String::from_utf8(e.text().expect("an event").to_vec()).expect("text");
    (*next, events.iter().map(text).collect())
}

/// What stands behind `"name":` in an event, up to the next comma or brace outside of a string.
fn field(event: &str, name: &str) -> String {
    let (_, rest) = event.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{event}"));
    match rest.strip_prefix('"') {
        Some(text) => text.split('"').next().unwrap_or_default().to_string(),
        None => rest.split([',', '}']).next().unwrap_or_default().to_string(),
    }
}

/// Letter, key and command of each event.
fn gist(events: &[String]) -> Vec<String> {
    let one = |e: &String| {
        let command = if e.contains("\"command\"") { field(e, "command") } else { String::new() };
        format!("{} {} {command}", field(e, "op"), field(e, "key"))
    };
    events.iter().map(|e| one(e).trim_end().to_string()).collect()
}

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

/// A cursor as CDC.SNAPSHOT gives it, or CDC.READ within a snapshot.
fn cursor(value: &Value) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        other => String::from_utf8(other.text().expect("a cursor").to_vec()).expect("text"),
    }
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

/// `before` of an event, whole.
fn before(event: &str) -> &str {
    let (before, _) = event.split_once(",\"after\":").expect("an envelope");
    before.strip_prefix("{\"before\":").expect("an envelope")
}

#[test]
fn images_are_the_rows_that_were_there() {
    let (mut server, mut c) = start(&["--appendfsync", "always", "--cdc-before-image", "yes"]);
    for words in [
        "SET s 1 PXAT 9999999999999",
        "HSET h f 1 g 2",
        "HPEXPIREAT h 9999999999999 FIELDS 1 g",
        "RPUSH l a b",
        "SADD t m",
        "ZADD z 1.5 m",
        "XADD x 1-1 f v",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g c STREAMS x >",
    ] {
        assert!(!line(&mut c, words).starts_with('-'), "{words}");
    }
    c.call(&cmd!["SET", "big", "b".repeat(100_000)]).expect("a reply");
    line(&mut c, "BGREWRITEAOF");
    until("a base", || line(&mut c, "CDC.SNAPSHOT 0") != "[:1, :1]");
    for format in ["debezium", "raw"] {
        let both = c.line("CDC.SNAPSHOT 0").expect("a reply");
        let both = both.elements().expect("two cursors").to_vec();
        let (rows, behind) = (cursor(&both[0]), cursor(&both[1]));
        let rows = c.line(&format!("CDC.READ 0 {rows} FORMAT {format}")).expect("a reply");
        let rows: Vec<String> = rows.elements().expect("a page")[1..]
            .iter()
            .map(|e| String::from_utf8_lossy(e.text().expect("text")).to_string())
            .collect();
        assert_eq!(rows.len(), 7);
        if format == "debezium" {
            for key in ["s", "h", "l", "t", "z", "x", "big"] {
                line(&mut c, &format!("DEL {key}"));
            }
        }
        let (_, events) = read(&mut c, &format!("0 {behind} FORMAT {format} PLANES kv"));
        let gone: Vec<&String> = events.iter().filter(|e| field(e, "op") == "d").collect();
        assert_eq!(gone.len(), 7);
        for event in gone {
            let key = field(event, "key");
            let row = rows.iter().find(|r| field(r, "key") == key).expect("a row");
            let (_, row) = row.split_once("\"after\":").expect("an envelope");
            let (row, _) = row.split_once(",\"source\":").expect("an envelope");
            match key.as_str() {
                "big" => assert_eq!(
                    before(event),
                    r#"{"record_type":"kv","db":0,"key":"big","type":"string","command":null,"args":[],"value_omitted":true}"#
                ),
                _ => assert_eq!(before(event), row, "{key}"),
            }
        }
        let (_, events) = read(&mut c, &format!("0 {behind} FORMAT {format} BEFORE NO MATCH s"));
        let gone = events.iter().find(|e| field(e, "op") == "d").expect("a removal");
        assert_eq!(before(gone), r#"{"record_type":"kv","db":0,"key":"s"}"#);
    }
    // A unit, what memory and time take, a key that moves, and the option switched while the server runs.
    let next = read(&mut c, "0 $").0;
    let script = "redis.call('APPEND', 'a', '0') redis.call('RENAME', 'a', 'b')";
    for words in
        ["SET a 1", "MULTI", "INCR a", "INCR a", "EXEC", "EVAL", "MSET b 5 c 6", "PEXPIRE c 1"]
    {
        let answer = match words {
            "EVAL" => c.call(&cmd!["EVAL", script, "0"]).expect("a reply").to_string(),
            words => line(&mut c, words),
        };
        assert!(!answer.starts_with('-'), "{words}: {answer}");
    }
    until("its time runs out", || line(&mut c, "DBSIZE") == ":1");
    line(&mut c, "CONFIG SET maxmemory-policy allkeys-random");
    line(&mut c, "CONFIG SET maxmemory 1");
    until("it is evicted", || line(&mut c, "DBSIZE") == ":0");
    line(&mut c, "CONFIG SET maxmemory 0");
    line(&mut c, "SET d 1");
    line(&mut c, "FLUSHDB");
    line(&mut c, "SET d 1");
    line(&mut c, "CONFIG SET cdc-before-image no");
    line(&mut c, "SET d 2");
    line(&mut c, "CONFIG SET cdc-before-image yes");
    line(&mut c, "SET d 3");
    let (_, events) = read(&mut c, &format!("0 {next}"));
    let keys: Vec<String> =
        events.iter().map(|e| field(e, "op") + " " + &field(e, "key")).collect();
    assert_eq!(
        keys,
        [
            "c a", "u a", "u a", "u a", "c b", "d a", "u b", "c c", "u c", "d c", "d b", "c d",
            "t null", "c d", "u d", "u d"
        ]
    );
    let was: Vec<&str> = events
        .iter()
        .map(|e| match before(e) {
            "null" => "null",
            row => row.split_once("\"value\":\"").expect("a value").1.split('"').next().unwrap(),
        })
        .collect();
    assert_eq!(
        was,
        [
            "null", "1", "2", "3", "null", "30", "30", "null", "6", "6", "5", "null", "null",
            "null", "null", "2"
        ]
    );
    let reasons: Vec<String> = events[9..11].iter().map(|e| field(e, "reason")).collect();
    assert_eq!(reasons, ["expire", "evict"]);
    // Recovery takes no notice of images.
    line(&mut c, "HSET h a 1 b 2");
    line(&mut c, "HDEL h a");
    let digest = line(&mut c, "DEBUG DIGEST");
    server.kill().expect("a kill");
    server.restart().expect("moon starts again");
    c = server.client().expect("a connection");
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
}

#[test]
fn slots_keep_the_log_over_rewrites_and_starts() {
    let args = ["--wal-segment-size", "64kb", "--cdc-retain-bytes", "0", "--appendfsync", "no"];
    let (mut server, mut c) = start(&args);
    let fill = |c: &mut Client| {
        (0..3000).for_each(|i| c.queue(&cmd!["SET", format!("k{}", i % 50), "v".repeat(100)]));
        c.flush().expect("sent");
        (0..3000).for_each(|_| drop(c.receive().expect("a reply")));
    };
    let rewrite = |c: &mut Client| {
        let before = line(c, "CDC.SNAPSHOT 0");
        line(c, "BGREWRITEAOF");
        until("a base", || line(c, "CDC.SNAPSHOT 0") != before);
    };
    fill(&mut c);
    assert_eq!(line(&mut c, "CDC.SLOT CREATE one 0 5"), ":5");
    assert_eq!(line(&mut c, "CDC.SLOT CREATE two"), ":3002");
    for (words, error) in [
        ("CDC.SLOT CREATE one", "-ERR there is a slot"),
        ("CDC.SLOT CREATE a/b", "-ERR a slot is named"),
        ("CDC.SLOT CREATE far 0 999999", "-CDCEPOCH"),
        ("CDC.SLOT DROP three", "-ERR no such slot"),
        ("CDC.ACK three 0 9", "-ERR no such slot"),
    ] {
        let got = line(&mut c, words);
        assert!(got.starts_with(error), "{words}: {got}");
    }
    for _ in 0..2 {
        rewrite(&mut c);
        fill(&mut c);
        server.kill().expect("a kill");
        server.restart().expect("moon starts again");
        c = server.client().expect("a connection");
    }
    // Slots are internal: a reader sees writes and checkpoints.
    let (next, events) = read(&mut c, "0 5 LIMIT 10000 BYTES 60000000");
    assert!(events.len() > 8990 && !events.iter().any(|e| e.contains("CDC.")), "{}", events.len());
    let listed = line(&mut c, "CDC.SLOT LIST one");
    assert!(listed.contains(r#""cursor", :5, "lag", :"#), "{listed}");
    assert!(listed.contains(r#""state", "active""#), "{listed}");
    assert_eq!(line(&mut c, &format!("CDC.ACK one 0 {next}")), format!(":{next}"));
    assert_eq!(line(&mut c, "CDC.ACK one 0 7"), format!(":{next}"), "a slot does not go back");
    assert_eq!(line(&mut c, "CDC.SLOT DROP two"), "OK");
    rewrite(&mut c);
    until("the log before it has gone", || line(&mut c, "CDC.READ 0 5").starts_with("-CDCGONE"));
    assert!(line(&mut c, "CDC.SLOT CREATE late 0 5").starts_with("-CDCGONE"));
    assert_eq!(moon_tests::ask::info(&mut c, "cdc_slots"), "1");
    // One that holds too much is given up, and that is remembered.
    fill(&mut c);
    line(&mut c, "CONFIG SET cdc-slot-max-bytes 100kb");
    until("it is given up", || moon_tests::ask::info(&mut c, "cdc_slots_invalidated") == "1");
    assert!(line(&mut c, &format!("CDC.ACK one 0 {next}")).starts_with("-CDCGONE"));
    assert!(line(&mut c, "CDC.SUBSCRIBE 0 SLOT one").starts_with("-CDCGONE"));
    server.kill().expect("a kill");
    server.restart().expect("moon starts again");
    c = server.client().expect("a connection");
    assert!(line(&mut c, "CDC.SLOT LIST").contains("invalidated"));
}

/// The words of a push.
fn pushed(c: &mut Client) -> Vec<String> {
    let push = c.receive().expect("a push");
    push.leaves()
        .iter()
        .map(|v| match v {
            Value::Int(n) => n.to_string(),
            other => String::from_utf8_lossy(other.text().unwrap_or_default()).to_string(),
        })
        .collect()
}

#[test]
fn changes_are_pushed_as_far_as_credit_goes() {
    for proto in [2, 3] {
        let (_server, mut c) = start(SYNCED);
        line(&mut c, "SET a 1");
        let mut s = c.another().expect("a connection");
        line(&mut s, &format!("HELLO {proto}"));
        assert_eq!(line(&mut s, "CDC.SUBSCRIBE * 1 CREDIT 2 MATCH a"), "OK");
        let first = pushed(&mut s);
        assert_eq!(first[..4], ["cdc", "event", "0", "2"]);
        assert_eq!(gist(&first[4..]), ["c a SET"]);
        line(&mut c, "SET a 2");
        line(&mut c, "SET b 2");
        line(&mut c, "SET a 3");
        assert_eq!(gist(&pushed(&mut s)[4..]), ["u a SET"]);
        if proto == 2 {
            assert!(line(&mut s, "GET a").starts_with("-ERR Can't execute 'get'"));
        } else {
            assert_eq!(line(&mut s, "GET a"), "3");
        }
        let listed = line(&mut c, "CLIENT LIST");
        assert!(listed.contains(" cdc-cursor=") && listed.contains(" cdc-lag="), "{listed}");
        assert_eq!(line(&mut s, "CDC.CREDIT 1"), ":1");
        assert_eq!(gist(&pushed(&mut s)[4..]), ["u a SET"]);
        assert_eq!(moon_tests::ask::info(&mut c, "cdc_subscribers"), "1");
        assert_eq!(line(&mut s, "CDC.UNSUBSCRIBE"), "OK");
        line(&mut c, "SET a 4");
        assert_eq!(line(&mut s, "GET a"), "4");
        drop(s);
        until("nobody follows", || moon_tests::ask::info(&mut c, "cdc_subscribers") == "0");
    }
}

#[test]
fn a_slow_subscriber_costs_no_memory_and_misses_nothing() {
    let (server, mut c) = start(&["--appendfsync", "no"]);
    let mut s = c.another().expect("a connection");
    assert_eq!(line(&mut s, "CDC.SUBSCRIBE 0 $"), "OK");
    let value = "v".repeat(1000);
    for _ in 0..20 {
        (0..1000).for_each(|i| c.queue(&cmd!["SET", format!("k{i}"), value.clone()]));
        c.flush().expect("sent");
        (0..1000).for_each(|_| drop(c.receive().expect("a reply")));
    }
    let listed = line(&mut c, "CLIENT LIST");
    let omem = listed.split("cdc-cursor").next().and_then(|l| l.rsplit("omem=").next());
    let omem: u64 =
        omem.and_then(|o| o.split(' ').next()).expect("omem").parse().expect("a number");
    assert!(omem < 8 << 20, "{omem}");
    let mut lsns = std::collections::BTreeSet::new();
    for n in 1..=20_000 {
        let push = pushed(&mut s);
        assert_eq!((&push[1], &push[3]), (&"event".to_string(), &(n + 1).to_string()));
        assert!(lsns.insert(field(&push[4], "lsn")));
    }
    drop(server);
}

/// A consumer that runs until it is killed.
fn consumer(port: u16, database: &Path, more: &[&str]) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cdc_sqlite.py");
    Command::new("python3")
        .arg(script)
        .args(["--port", &port.to_string(), "--slot", "copy", "--database"])
        .arg(database)
        .args(more)
        .spawn()
        .expect("python runs")
}

/// What a query answers, a line a row, columns with bars between them.
fn query(database: &Path, sql: &str) -> Vec<String> {
    let script = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]):\n print('|'.join(v.decode() if isinstance(v, bytes) else str(v) for v in row))";
    let output = Command::new("python3").args(["-c", script]).arg(database).arg(sql).output();
    let output = output.expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}

/// Goal: whatever is killed when, a consumer ends up with each acknowledged write once, and a copy of the keys.
/// Method: a writer with counted values; consumer and server are killed in turns, with rewrites and rotation.
#[test]
fn a_consumer_is_exact_whatever_is_killed() {
    let args = ["--appendfsync", "always", "--wal-segment-size", "64kb", "--cdc-retain-bytes", "0"];
    let (mut server, mut c) = start(&[&args[..], &["--cdc-before-image", "yes"]].concat());
    let dir = TempDir::new().expect("a directory");
    let database = dir.path().join("copy.db");
    let mut rng = moon_tests::rng::Rng::new(77);
    line(&mut c, "CDC.SLOT CREATE copy 0 1");
    line(&mut c, "HSET h seed 0");
    line(&mut c, "SET goes away PXAT 9999999999999");
    line(&mut c, "DEL goes");
    // It has a place before anything is written that it could find in a base alone.
    consumer(server.port(), &database, &["--until-idle"]).wait().expect("an end");
    let mut acked = Vec::new();
    let mut next = 0u64;
    for round in 0..8 {
        let mut child = consumer(server.port(), &database, &[]);
        let writes = 200 + rng.below(400);
        for _ in 0..writes {
            let words = cmd!["SET", format!("k{}", next % 97), next.to_string()];
            match c.call(&words) {
                Ok(_) => acked.push(next),
                Err(e) => panic!("round {round}: {e}"),
            }
            next += 1;
            if next.is_multiple_of(50) {
                line(&mut c, &format!("HSET h f{} {next}", next % 5));
            }
        }
        if round % 3 == 1 {
            line(&mut c, "BGREWRITEAOF");
        }
        // Some writes are under way when the server goes.
        if round % 2 == 1 {
            for _ in 0..20 {
                c.queue(&cmd!["SET", format!("k{}", next % 97), next.to_string()]);
                next += 1;
            }
            c.flush().expect("sent");
            std::thread::sleep(Duration::from_millis(rng.below(4) as u64));
            server.kill().expect("a kill");
            server.restart().expect("moon starts again");
            c = server.client().expect("a connection");
        } else {
            std::thread::sleep(Duration::from_millis(rng.below(300) as u64));
        }
        child.kill().expect("a kill");
        child.wait().expect("an end");
    }
    line(&mut c, "DEL k5");
    let done = consumer(server.port(), &database, &["--until-idle"]).wait().expect("an end");
    assert!(done.success());
    let values: Vec<u64> = query(
        &database,
        "SELECT json_extract(envelope, '$.after.value') FROM changes WHERE CAST(key AS TEXT) LIKE 'k%' AND op IN ('c', 'u') \
         ORDER BY shard, lsn, ord",
    )
    .iter()
    .map(|v| v.parse().expect("a number"))
    .collect();
    assert!(values.is_sorted_by(|a, b| a < b), "each once, in order");
    let seen: std::collections::BTreeSet<u64> = values.into_iter().collect();
    let missed: Vec<&u64> = acked.iter().filter(|n| !seen.contains(n)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    // Each says what the one before it has left, over kills of the server too.
    let mut left = std::collections::BTreeMap::new();
    let told = query(
        &database,
        "SELECT CAST(key AS TEXT), json_extract(envelope, '$.before.value'), json_extract(envelope, '$.after.value') \
         FROM changes WHERE CAST(key AS TEXT) LIKE 'k%' ORDER BY shard, lsn, ord",
    );
    assert!(told.len() > acked.len());
    for change in told {
        let [key, was, is] = change.split('|').collect::<Vec<_>>()[..] else { panic!("{change}") };
        let known = left.insert(key.to_string(), is.to_string()).unwrap_or_else(|| "None".into());
        assert_eq!(known, was, "{change}");
    }
    // And the copy is what the server has.
    let mut server_has = Vec::new();
    for key in c.line("KEYS *").expect("a reply").leaves() {
        let key = String::from_utf8_lossy(key.text().expect("a key")).to_string();
        if key != "h" {
            server_has.push(format!("{key}|{}", line(&mut c, &format!("GET {key}"))));
        }
    }
    server_has.sort();
    let mut copied = query(&database, "SELECT key, value FROM keys WHERE type = 'string'");
    copied.sort();
    assert_eq!(copied, server_has);
    let hash = query(&database, "SELECT value FROM keys WHERE type = 'hash'");
    for field in ["seed", "f0"] {
        let value = line(&mut c, &format!("HGET h {field}"));
        assert!(hash[0].contains(&format!("\\\"{field}\\\"\": \"{value}\"")), "{hash:?} {value}");
    }
}

#[test]
fn the_example_that_prints_goes_on_where_it_was() {
    let (server, mut c) = start(SYNCED);
    let dir = TempDir::new().expect("a directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cdc_follow.py");
    let follow = || {
        let output = Command::new("python3")
            .arg(&script)
            .args(["--port", &server.port().to_string(), "--until-idle", "--state"])
            .arg(dir.path().join("state.json"))
            .output()
            .expect("python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).replace("\": ", "\":");
        gist(&text.lines().map(str::to_string).collect::<Vec<_>>())
    };
    line(&mut c, "SET a 1");
    assert_eq!(follow(), ["c a SET"]);
    line(&mut c, "SET a 2");
    line(&mut c, "DEL a");
    assert_eq!(follow(), ["u a SET", "d a"]);
    assert!(follow().is_empty());
}
