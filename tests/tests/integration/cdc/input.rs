//! Goal: odd input gets an error that says what is wrong, or the answer that the words mean, and harms nothing.
//! Method: tables of requests and answers; then clients that leave, lose rights, or take nothing at odd moments.

use super::{SYNCED, before, field, gist, pushed, read, read_all, start};
use moon_tests::ask::{info, line, text, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::value::Value;
use std::time::{Duration, Instant};

const CURSOR: &str = "-ERR a cursor is an LSN, EARLIEST, $ or what CDC.SNAPSHOT gives";
const SHARD: &str = "-ERR no such shard";
const SYNTAX: &str = "-ERR syntax error";
const ARITY: &str = "-ERR wrong number of arguments";
const OTHER: &str = "-CDCEPOCH epoch=1 forked-at=0";

const REFUSED: &[(&str, &str)] = &[
    ("CDC.READ", ARITY),
    ("CDC.READ 0", ARITY),
    ("CDC.READ 1 0", SHARD),
    ("CDC.READ 00 0", SHARD),
    ("CDC.READ -0 0", SHARD),
    ("CDC.READ * 0", SHARD),
    ("CDC.READ / 0", SHARD),
    ("CDC.READ 0 -1", CURSOR),
    ("CDC.READ 0 +1", CURSOR),
    ("CDC.READ 0 01", CURSOR),
    ("CDC.READ 0 1.5", CURSOR),
    ("CDC.READ 0 $$", CURSOR),
    ("CDC.READ 0 LATEST", CURSOR),
    ("CDC.READ 0 9223372036854775808", CURSOR),
    ("CDC.READ 0 18446744073709551616", CURSOR),
    ("CDC.READ 0 S", CURSOR),
    ("CDC.READ 0 S1", CURSOR),
    ("CDC.READ 0 S1:", CURSOR),
    ("CDC.READ 0 S:1", CURSOR),
    ("CDC.READ 0 S-1:0", CURSOR),
    ("CDC.READ 0 S1:99999999999999999999", CURSOR),
    ("CDC.READ 0 S99:0", "-CDCGONE oldest=1 snapshot=0"),
    ("CDC.READ 0 S18446744073709551615:18446744073709551615", "-CDCGONE oldest=1 snapshot=0"),
    ("CDC.READ 0 99", OTHER),
    ("CDC.READ 0 9223372036854775807", OTHER),
    ("CDC.READ 0 0 EPOCH 0", OTHER),
    ("CDC.READ 0 0 EPOCH 2", OTHER),
    ("CDC.READ 0 0 EPOCH x", OTHER),
    ("CDC.READ 0 0 LIMIT", SYNTAX),
    ("CDC.READ 0 0 LIMIT 0", "-ERR LIMIT must be from 1 to 10000"),
    ("CDC.READ 0 0 LIMIT -1", "-ERR LIMIT must be from 1 to 10000"),
    ("CDC.READ 0 0 LIMIT x", "-ERR LIMIT must be from 1 to 10000"),
    ("CDC.READ 0 0 LIMIT 10001", "-ERR LIMIT must be from 1 to 10000"),
    ("CDC.READ 0 0 LIMIT 99999999999999999999", "-ERR LIMIT must be from 1 to 10000"),
    ("CDC.READ 0 0 BYTES 0", "-ERR BYTES must be from 1 to 67108864"),
    ("CDC.READ 0 0 BYTES 67108865", "-ERR BYTES must be from 1 to 67108864"),
    ("CDC.READ 0 0 BLOCK -1", "-ERR timeout is negative"),
    ("CDC.READ 0 0 BLOCK x", "-ERR timeout is not an integer or out of range"),
    ("CDC.READ 0 0 BLOCK 99999999999999999999", "-ERR timeout is not an integer or out of range"),
    ("CDC.READ 0 0 OFFSET -1", "-ERR OFFSET must be from 0"),
    ("CDC.READ 0 0 DB -1", "-ERR DB must be from 0 to 15"),
    ("CDC.READ 0 0 DB 16", "-ERR DB must be from 0 to 15"),
    ("CDC.READ 0 0 DB x", "-ERR DB must be from 0 to 15"),
    ("CDC.READ 0 0 PLANES ,", "-ERR PLANES are"),
    ("CDC.READ 0 0 PLANES kv,,stream", "-ERR PLANES are"),
    ("CDC.READ 0 0 PLANES kvs", "-ERR PLANES are"),
    ("CDC.READ 0 0 FORMAT xml", SYNTAX),
    ("CDC.READ 0 0 BEFORE maybe", SYNTAX),
    ("CDC.READ 0 0 CREDIT 1", SYNTAX),
    ("CDC.READ 0 0 WHAT 1", SYNTAX),
    ("CDC.READ 0 0 MATCH", SYNTAX),
    ("CDC.SNAPSHOT", ARITY),
    ("CDC.SNAPSHOT 1", SHARD),
    ("CDC.SNAPSHOT *", SHARD),
    ("CDC.SNAPSHOT 0 0", ARITY),
    ("CDC.SUBSCRIBE 0", ARITY),
    ("CDC.SUBSCRIBE 1 0", SHARD),
    ("CDC.SUBSCRIBE * x", CURSOR),
    ("CDC.SUBSCRIBE 0 99", OTHER),
    ("CDC.SUBSCRIBE 0 SLOT", CURSOR),
    ("CDC.SUBSCRIBE 0 SLOT none", "-ERR no such slot"),
    ("CDC.SUBSCRIBE 0 0 LIMIT 1", SYNTAX),
    ("CDC.SUBSCRIBE 0 0 BYTES 1", SYNTAX),
    ("CDC.SUBSCRIBE 0 0 BLOCK 1", SYNTAX),
    ("CDC.SUBSCRIBE 0 0 CREDIT -1", "-ERR CREDIT must be from 0"),
    ("CDC.SUBSCRIBE 0 0 CREDIT x", "-ERR CREDIT must be from 0"),
    ("CDC.UNSUBSCRIBE 1", SHARD),
    ("CDC.UNSUBSCRIBE 0 0", ARITY),
    ("CDC.CREDIT", ARITY),
    ("CDC.CREDIT 0", "-ERR the credit must be from 1"),
    ("CDC.CREDIT x", "-ERR the credit must be from 1"),
    ("CDC.CREDIT 1", "-ERR no changes are pushed to this connection"),
    ("CDC.SLOT", ARITY),
    ("CDC.SLOT WHAT", "-ERR unknown subcommand"),
    // How slots are logged is nobody's command.
    ("CDC.SLOT SET a", "-ERR unknown subcommand 'SET'"),
    ("CDC.SLOT SET a 1 1 0", "-ERR unknown subcommand 'SET'"),
    ("CDC.SLOT|SET a 1 1 0", "-ERR unknown command"),
    ("ACL SETUSER a +cdc.slot|set", "-ERR Error in ACL SETUSER modifier"),
    ("CDC.SLOT CREATE", ARITY),
    ("CDC.SLOT CREATE a 0", ARITY),
    ("CDC.SLOT CREATE a 1 0", SHARD),
    ("CDC.SLOT CREATE a 0 x", CURSOR),
    ("CDC.SLOT CREATE a 0 99", OTHER),
    ("CDC.SLOT CREATE a 0 S1:0", "-ERR a slot holds the log"),
    ("CDC.SLOT CREATE a/b", "-ERR a slot is named with 1 to 64"),
    (
        "CDC.SLOT CREATE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "-ERR a slot is named with 1 to 64",
    ),
    ("CDC.SLOT DROP none", "-ERR no such slot"),
    ("CDC.SLOT LIST a b", ARITY),
    ("CDC.ACK none 0 1", "-ERR no such slot"),
    ("CDC.ACK none 1 1", SHARD),
    ("CDC.ACK none 0 x", CURSOR),
    ("CDC.ACK none 0 99", OTHER),
    ("CDC.ACK none 0", ARITY),
];

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let (_server, mut c) = start(SYNCED);
    line(&mut c, "SET a 1");
    for proto in [2, 3] {
        line(&mut c, &format!("HELLO {proto}"));
        for (words, error) in REFUSED {
            let got = line(&mut c, words);
            assert!(got.starts_with(error), "{words}: {got}");
        }
        // In a unit and in a script no reader can wait, so none of these commands is there.
        for words in ["CDC.READ 0 0", "CDC.SUBSCRIBE 0 0", "CDC.SLOT CREATE a", "CDC.CREDIT 1"] {
            assert_eq!(line(&mut c, "MULTI"), "OK");
            let got = line(&mut c, words);
            assert_eq!(got, "-ERR Command not allowed inside a transaction", "{words}");
            assert!(line(&mut c, "EXEC").starts_with("-EXECABORT"));
            let call = words.to_lowercase().replace(' ', "','");
            let script = format!("return redis.call('{call}')");
            let got = text(&c.call(&cmd!["EVAL", script, "0"]).expect("a reply"));
            assert!(got.contains("not allowed from script"), "{words}: {got}");
        }
    }
    line(&mut c, "HELLO 2");
    assert_eq!(info(&mut c, "cdc_slots"), "0");
    assert_eq!(info(&mut c, "cdc_subscribers"), "0");
    assert_eq!(read(&mut c, "0 0").0, 2);
}

#[test]
fn what_words_mean_at_their_edges() {
    let (server, mut c) = start(SYNCED);
    for words in ["SET a 1", "MSET a 2 b 2", "SET ab 3", "SELECT 1", "SET a 4"] {
        line(&mut c, words);
    }
    let all = ["c a", "u a", "c b", "c ab", "c a"];
    let long = format!("{}b", "a*".repeat(2000));
    let dir = server.dir().join("shard-0/wal-v3");
    let cases: &[(&str, &[&str])] = &[
        ("0 EARLIEST", &all),
        ("0 earliest", &all),
        ("0 0 EPOCH 1", &all),
        ("0 0 LIMIT 10000 BYTES 67108864 BLOCK 1", &all),
        ("0 0 BYTES 1", &["c a"]),
        ("0 0 planes KV,Stream,GRAPH,temporal,ws,mq,index", &all),
        ("0 0 before no format debezium", &all),
        // Of an option that is given twice the last counts.
        ("0 0 LIMIT 1 LIMIT 10000", &all),
        ("0 0 MATCH b MATCH ab", &["c ab"]),
        ("0 0 DB 0 DB 1", &["c a"]),
        ("0 0 MATCH [a-b]", &["c a", "u a", "c b", "c a"]),
        ("0 0 MATCH \\a", &["c a", "u a", "c a"]),
        ("0 0 MATCH [", &[]),
        ("0 0 MATCH *", &all),
        // An offset passes over what its reader has of the unit, all of it if it is as long.
        ("0 2 OFFSET 1", &["c b", "c ab", "c a"]),
        ("0 2 OFFSET 2", &["c ab", "c a"]),
        ("0 5 OFFSET 9223372036854775807", &[]),
        ("0 $", &[]),
        ("0 5", &[]),
    ];
    let dir = dir.display().to_string();
    let more: [(String, &[&str]); 2] =
        [(format!("0 0 MATCH {long}"), &[]), (format!("{dir} 0"), &all)];
    let cases = cases.iter().map(|(w, want)| (w.to_string(), *want)).chain(more);
    for proto in [2, 3] {
        line(&mut c, &format!("HELLO {proto}"));
        for (words, want) in cases.clone() {
            let begun = Instant::now();
            let (next, events) = read(&mut c, &words);
            let got: Vec<String> =
                events.iter().map(|e| field(e, "op") + " " + &field(e, "key")).collect();
            assert_eq!(got, want, "{words}");
            assert!(next == 5 || words.contains("BYTES 1"), "{words}: {next}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{words}");
        }
        assert_eq!(line(&mut c, "CDC.SLOT LIST none"), "[]");
        assert_eq!(line(&mut c, "CDC.UNSUBSCRIBE"), "OK", "of nothing");
    }
    // A reply that nobody wants is not sent.
    c.queue(&cmd!["CLIENT", "REPLY", "SKIP"]);
    c.queue(&cmd!["CDC.READ", "0", "0"]);
    c.queue(&cmd!["ECHO", "next"]);
    c.flush().expect("sent");
    assert_eq!(text(&c.receive().expect("a reply")), "next");
}

#[test]
fn keys_that_move_are_told_with_where_they_are() {
    let (_server, mut c) = start(&["--appendfsync", "always", "--cdc-before-image", "yes"]);
    let commands = [
        "SET s 1",
        "RENAME s t",
        "COPY t u",
        "COPY t u DB 2",
        "MOVE u 3",
        "SET u 2",
        "COPY t u REPLACE",
        "SWAPDB 0 3",
        "SELECT 3",
        "RENAME t u",
        "SELECT 2",
        "FLUSHDB",
        "SET x 1",
        "SWAPDB 2 2",
        "FLUSHALL",
    ];
    for words in commands {
        let got = line(&mut c, words);
        assert!(!got.starts_with('-'), "{words}: {got}");
    }
    let (_, events) = read(&mut c, "0 0");
    let told: Vec<String> = events
        .iter()
        .map(|e| {
            let (_, after) = e.split_once("\"after\":").expect("an envelope");
            let (after, source) = after.split_once("\"source\":").expect("an envelope");
            let command =
                if after.contains("\"command\"") { field(after, "command") } else { String::new() };
            let was = match before(e) {
                "null" => String::new(),
                row => format!(" was {}", field(row, "value")),
            };
            let what = format!("{} {} {command}", field(e, "op"), field(e, "key"));
            format!("{} in {}{was}", what.trim_end(), field(source, "db"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "c s SET in 0",
            "c t RENAME in 0",
            "d s in 0 was 1",
            "c u COPY in 0",
            "c u COPY in 2",
            "c u MOVE in 3",
            "d u in 0 was 1",
            "c u SET in 0",
            "u u COPY in 0 was 2",
            "m null SWAPDB in null",
            "u u RENAME in 3 was 1",
            "d t in 3 was 1",
            "t null FLUSHDB in 2",
            "c x SET in 2",
            "m null SWAPDB in null",
            "t null FLUSHALL in null",
        ]
    );
}

#[test]
fn a_large_value_is_told_whole_and_nothing_stands_within_it() {
    let (_server, mut c) = start(&["--appendfsync", "no"]);
    line(&mut c, "SET small 1");
    c.call(&cmd!["SET", "big", vec![b'v'; 64 << 20]]).expect("a reply");
    line(&mut c, "SET behind 1");
    // More than a reply may have, if it is the only one; and it is in one piece for a subscriber too.
    let (next, events) = read(&mut c, "0 1 BYTES 100");
    assert_eq!((next, events.len()), (2, 1));
    let mut s = c.another().expect("a connection");
    assert!(!line(&mut s, "HELLO 3").is_empty());
    line(&mut s, "CLIENT TRACKING ON BCAST PREFIX x");
    s.queue(&cmd!["CDC.READ", "0", "2", "BYTES", "100"]);
    s.queue(&cmd!["ECHO", "last"]);
    s.flush().expect("sent");
    // What is said meanwhile waits for the end of the reply, of which the connection takes only a part.
    until("a part is sent, and the rest is its memory", || {
        let listed = line(&mut c, "CLIENT LIST");
        let mut held = listed.split(" omem=").skip(1).filter_map(|l| l.split(' ').next());
        held.any(|bytes| bytes.parse::<u64>().expect("a number") > 32 << 20)
    });
    for i in 0..50 {
        line(&mut c, &format!("SET x{i} 1"));
    }
    let (mut pushes, mut replies) = (0, Vec::new());
    while pushes < 50 || replies.len() < 2 {
        match s.receive().expect("a value") {
            Value::Push(_) => pushes += 1,
            other => replies.push(other),
        }
    }
    let Some([Value::Int(3), Value::Bulk(event)]) = replies[0].elements() else {
        panic!("{:.200}", replies[0].to_string())
    };
    assert!(event.len() > 64 << 20 && event.ends_with(b"}"));
    assert_eq!(text(&replies[1]), "last");
    let mut s = c.another().expect("a connection");
    assert_eq!(line(&mut s, "CDC.SUBSCRIBE 0 1 MATCH b* PLANES kv"), "OK");
    assert!(pushed(&mut s)[4].len() > 64 << 20);
    assert_eq!(gist(&pushed(&mut s)[4..]), ["c behind SET"]);
    // Its base, which is due by now, may be told in between.
    s.queue(&cmd!["PING"]);
    s.flush().expect("sent");
    let is_event = |v: &Value| v.to_string().contains("event");
    let pong = std::iter::repeat_with(|| s.receive().expect("a value")).find(|v| !is_event(v));
    assert!(pong.is_some_and(|v| v.to_string().contains("pong")));
}

/// What of a page has not been handed to a connection yet is output that has not left, like the part that has.
#[test]
fn a_page_that_waits_for_a_slow_reader_counts_as_its_output() {
    for driver in ["auto", "epoll"] {
        let options = ["--appendfsync", "no", "--io-driver", driver];
        let (_server, mut c) = start(&options);
        let value = vec![b'v'; 1 << 20];
        (0..48).for_each(|i| c.queue(&cmd!["SET", format!("k{i}"), value.clone()]));
        c.flush().expect("sent");
        (0..48).for_each(|_| drop(c.receive().expect("a reply")));
        let mut slow = c.another().expect("a connection");
        let id = line(&mut slow, "CLIENT ID").trim_start_matches(':').to_string();
        slow.queue(&cmd!["CDC.READ", "0", "1", "BYTES", "67108864"]);
        slow.flush().expect("sent");
        let held = |c: &mut Client| {
            let listed = line(c, &format!("CLIENT LIST ID {id}"));
            let omem = listed.split_once(" omem=").and_then(|(_, rest)| rest.split(' ').next());
            omem.and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0)
        };
        until("the page waits", || held(&mut c) > 16 << 20);
        let recent: u64 = info(&mut c, "client_recent_max_output_buffer").parse().expect("bytes");
        assert!(recent > 16 << 20, "{recent}");
        // Far more than sockets and the pieces under way take.
        let limit = cmd!["CONFIG", "SET", "client-output-buffer-limit", "normal 16mb 0 0"];
        assert_eq!(text(&c.call(&limit).expect("a reply")), "OK");
        until("it is closed", || info(&mut c, "client_output_buffer_limit_disconnections") == "1");
        assert_eq!(held(&mut c), 0, "{driver}");
        // A reader that takes what it is sent is not.
        let (_, events) = read(&mut c, "0 1 BYTES 8388608");
        assert!(events.len() >= 2, "{driver}: {}", events.len());
    }
}

#[test]
fn clients_that_leave_in_the_middle_of_a_reply_leave_nothing_behind() {
    let (_server, mut c) = start(&["--appendfsync", "no"]);
    let value = vec![b'v'; 1 << 20];
    (0..32).for_each(|i| c.queue(&cmd!["SET", format!("k{i}"), value.clone()]));
    c.flush().expect("sent");
    (0..32).for_each(|_| drop(c.receive().expect("a reply")));
    for round in 0..6 {
        let mut gone = c.another().expect("a connection");
        let id = line(&mut gone, "CLIENT ID");
        match round % 3 {
            0 => gone.queue(&cmd!["CDC.SUBSCRIBE", "0", "1"]),
            _ => gone.queue(&cmd!["CDC.READ", "0", "1", "BYTES", "67108864"]),
        }
        gone.flush().expect("sent");
        std::thread::sleep(Duration::from_millis(100));
        if round % 3 == 2 {
            let killed = line(&mut c, &format!("CLIENT KILL ID {}", id.trim_start_matches(':')));
            assert_eq!(killed, ":1");
        }
        drop(gone);
    }
    until("they are forgotten", || {
        info(&mut c, "connected_clients") == "1"
            && info(&mut c, "cdc_subscribers") == "0"
            && info(&mut c, "blocked_clients") == "0"
    });
    assert_eq!(read_all(&mut c, "1").1.len(), 32);
    // CLIENT UNBLOCK is for those that wait for changes, not for those that are being answered.
    let sent = info(&mut c, "cdc_events_sent");
    let mut slow = c.another().expect("a connection");
    let id = line(&mut slow, "CLIENT ID");
    slow.queue(&cmd!["CDC.READ", "0", "1", "BYTES", "67108864", "BLOCK", "0"]);
    slow.flush().expect("sent");
    until("its page is there", || info(&mut c, "cdc_events_sent") != sent);
    line(&mut c, &format!("CLIENT UNBLOCK {} ERROR", id.trim_start_matches(':')));
    // It holds what 16 MiB of the log have.
    assert_eq!(slow.receive().expect("a page").elements().map(<[Value]>::len), Some(17));
}

/// What is pushed next, in time.
fn next(s: &mut Client) -> Option<Vec<String>> {
    let push = s.receive_within(Duration::from_millis(300)).expect("a push or nothing")?;
    Some(push.leaves().iter().map(|v| text(v)).collect())
}

#[test]
fn credit_slots_and_rights_that_change_under_a_subscriber() {
    let args = ["--appendfsync", "always", "--wal-segment-size", "64kb", "--cdc-retain-bytes", "0"];
    let (_server, mut c) = start(&args);
    line(&mut c, "SET a 1");
    // Without credit nothing comes, until there is some.
    let mut s = c.another().expect("a connection");
    assert_eq!(line(&mut s, "CDC.SUBSCRIBE 0 1 CREDIT 0"), "OK");
    assert_eq!(next(&mut s), None);
    assert_eq!(line(&mut s, "CDC.CREDIT 1"), ":1");
    assert_eq!(gist(&pushed(&mut s)[4..]), ["c a SET"]);
    // To subscribe again is to go elsewhere; the last one counts.
    assert_eq!(line(&mut s, "CDC.SUBSCRIBE 0 1"), "OK");
    assert_eq!(gist(&pushed(&mut s)[4..]), ["c a SET"]);
    assert_eq!(info(&mut c, "cdc_subscribers"), "1");
    drop(s);
    // Rights: keys that were taken away are not shown from then on; without the command it is closed.
    line(&mut c, "ACL SETUSER eve on nopass +@cdc +auth +hello ~a* ~b*");
    let mut eve = c.another().expect("a connection");
    assert_eq!(line(&mut eve, "AUTH eve x"), "OK");
    assert_eq!(line(&mut eve, "CDC.SUBSCRIBE 0 $ PLANES kv"), "OK");
    line(&mut c, "SET b1 1");
    assert_eq!(gist(&pushed(&mut eve)[4..]), ["c b1 SET"]);
    line(&mut c, "ACL SETUSER eve resetkeys ~a*");
    line(&mut c, "SET b2 1");
    line(&mut c, "SET a2 1");
    assert_eq!(gist(&pushed(&mut eve)[4..]), ["c a2 SET"]);
    for (rules, reads) in [("ACL SETUSER eve -@cdc", false), ("ACL DELUSER eve", true)] {
        if reads {
            line(&mut c, "ACL SETUSER eve +@cdc");
            eve = c.another().expect("a connection");
            assert_eq!(line(&mut eve, "AUTH eve x"), "OK");
            eve.queue(&cmd!["CDC.READ", "0", "$", "BLOCK", "0"]);
            eve.flush().expect("sent");
            until("it waits", || info(&mut c, "blocked_clients") == "1");
        }
        line(&mut c, rules);
        line(&mut c, "SET a3 1");
        assert_eq!(eve.read_to_end().expect("the end"), b"", "{rules}");
    }
    assert_eq!(info(&mut c, "blocked_clients"), "0");
    // A slot that goes while its subscriber stands still: the subscriber goes on as long as the log is there.
    assert!(line(&mut c, "CDC.SLOT CREATE one 0 $").starts_with(':'));
    let mut s = c.another().expect("a connection");
    assert_eq!(line(&mut s, "CDC.SUBSCRIBE 0 SLOT one CREDIT 1 PLANES kv"), "OK");
    for i in 0..3000 {
        c.queue(&cmd!["SET", format!("k{}", i % 50), "v".repeat(100)]);
    }
    c.flush().expect("sent");
    (0..3000).for_each(|_| drop(c.receive().expect("a reply")));
    assert_eq!(gist(&pushed(&mut s)[4..]), ["c k0 SET"]);
    assert!(line(&mut s, "CDC.ACK one 0 $").starts_with(':'));
    assert_eq!(line(&mut c, "CDC.SLOT DROP one"), "OK");
    assert_eq!(line(&mut s, "CDC.ACK one 0 $"), "-ERR no such slot");
    assert_eq!(line(&mut s, "CDC.CREDIT 1"), ":1");
    assert_eq!(gist(&pushed(&mut s)[4..]), ["c k1 SET"]);
    until("the log has gone", || {
        line(&mut c, "BGREWRITEAOF");
        line(&mut c, "CDC.READ 0 1").starts_with("-CDCGONE")
    });
    assert_eq!(line(&mut s, "CDC.CREDIT 5"), ":5");
    let gone = pushed(&mut s);
    assert_eq!(gone[..3], ["cdc", "gone", "0"], "{gone:?}");
    assert_eq!(s.read_to_end().expect("the end"), b"");
}
