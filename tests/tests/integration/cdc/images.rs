//! Goal: with `cdc-before-image yes`, events say how each key was. Method: images against rows of snapshots, and
//! against what the change before has left.

use super::{SYNCED, before, cursor, field, read, read_all, rows, start};
use moon_tests::ask::{info, line, number, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::rng::Rng;
use moon_tests::server::{Program, Server, TempDir, migrate_binary, restore_binary};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

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

const IMAGES: &[&str] = &["--appendfsync", "always", "--cdc-before-image", "yes"];

/// What events have left of each string; nothing where they do not say.
type Left = BTreeMap<String, Option<String>>;

fn value(part: &str) -> Option<String> {
    let (_, rest) = part.split_once("\"value\":\"")?;
    rest.split('"').next().map(str::to_string)
}

/// What rows hold.
fn left_by(rows: &[String]) -> Left {
    rows.iter().map(|r| (field(r, "key"), value(r))).collect()
}

/// That each event shows what the one before it has left. How many did.
fn follow(left: &mut Left, events: &[String]) -> usize {
    let mut checked = 0;
    for event in events {
        match &*field(event, "op") {
            "c" | "u" | "d" => {}
            "t" => {
                left.clear();
                continue;
            }
            _ => continue,
        }
        let (was, is) = event.split_once(",\"after\":").expect("an envelope");
        let (key, op) = (field(event, "key"), field(event, "op"));
        match left.get(&key) {
            None => assert_eq!(before(event), "null", "{event}"),
            Some(None) => assert_ne!(before(event), "null", "{event}"),
            Some(known) => assert_eq!((&value(was), &*op != "c"), (known, true), "{event}"),
        }
        checked += usize::from(left.get(&key).is_some_and(Option::is_some));
        if op == "d" {
            left.remove(&key);
        } else {
            left.insert(key, value(is));
        }
    }
    checked
}

/// Random writes of a few strings.
fn write(c: &mut Client, rng: &mut Rng, count: usize) {
    for _ in 0..count {
        let (key, n) = (rng.below(12), rng.below(1000));
        let words = match rng.below(8) {
            0 => format!("DEL k{key} k{}", (key + 1) % 12),
            1 => format!("APPEND k{key} {n}"),
            2 => format!("MSET k{key} {n} k{} {n}", (key + 1) % 12),
            3 => format!("GETDEL k{key}"),
            4 => format!("SET k{key} {n} PX {}", 1 + n % 5),
            _ => format!("SET k{key} {n}"),
        };
        let got = line(c, &words);
        assert!(!got.starts_with('-'), "{words}: {got}");
    }
}

fn run(program: &Path, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("the tool runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn a_replica_writes_images_of_its_own_and_goes_on_as_a_master() {
    let mut rng = Rng::new(301);
    let (master, mut m) = start(SYNCED);
    write(&mut m, &mut rng, 200);
    let (mut replica, mut r) = start(IMAGES);
    line(&mut r, &format!("REPLICAOF 127.0.0.1 {}", master.port()));
    let caught_up = |m: &mut Client, r: &mut Client| {
        until("the replica has everything", || {
            info(r, "master_link_status") == "up"
                && info(r, "slave_repl_offset") == info(m, "master_repl_offset")
        });
    };
    caught_up(&mut m, &mut r);
    // What the master sent as a file is in the replica's log, key by key, as DUMP gives it.
    let (_, loaded) = read_all(&mut r, "1");
    assert!(loaded.iter().any(|e| e.contains("\"RESTORE\"")), "{loaded:?}");
    line(&mut r, "BGREWRITEAOF");
    until("a base", || line(&mut r, "CDC.SNAPSHOT 0").contains("\"S"));
    let (first, behind) = rows(&mut r);
    let mut left = left_by(&first);
    let from = read(&mut m, "0 $").0;
    write(&mut m, &mut rng, 400);
    caught_up(&mut m, &mut r);
    let (next, events) = read_all(&mut r, &behind);
    assert!(follow(&mut left, &events) > 200);
    let theirs = read_all(&mut m, &from.to_string()).1;
    let writes = |events: &[String]| {
        let all = events.iter().filter(|e| field(e, "op") != "m");
        all.map(|e| field(e, "op") + " " + &field(e, "key")).collect::<Vec<String>>()
    };
    assert_eq!(writes(&events), writes(&theirs), "the same changes on both");
    assert!(!theirs.iter().any(|e| before(e).contains("\"value\"")), "the master has no images");
    // The reader goes on with its cursor, over the promotion and a crash behind it.
    assert_eq!(line(&mut r, "REPLICAOF NO ONE"), "OK");
    write(&mut r, &mut rng, 100);
    let (next, events) = read_all(&mut r, &next);
    assert!(follow(&mut left, &events) > 50);
    replica.kill().expect("a kill");
    replica.restart().expect("moon starts again");
    r = replica.client().expect("a connection");
    write(&mut r, &mut rng, 100);
    assert!(follow(&mut left, &read_all(&mut r, &next).1) > 50);
    // A master's images are not for replicas: this one keeps none.
    let (other, mut o) = start(SYNCED);
    line(&mut o, &format!("REPLICAOF 127.0.0.1 {}", replica.port()));
    caught_up(&mut r, &mut o);
    let from = read(&mut o, "0 $").0;
    write(&mut r, &mut rng, 50);
    caught_up(&mut r, &mut o);
    let events = read_all(&mut o, &from.to_string()).1;
    assert!(events.len() > 25 && !events.iter().any(|e| before(e).contains("\"value\"")));
    drop((master, other));
}

#[test]
fn images_of_a_restored_server_go_on_from_those_of_the_backup() {
    let mut rng = Rng::new(302);
    let (server, mut c) = start(IMAGES);
    let scratch = TempDir::new().expect("a directory");
    let repo = scratch.path().join("repo").display().to_string();
    let from = format!("127.0.0.1:{}", server.port());
    write(&mut c, &mut rng, 300);
    line(&mut c, "BGREWRITEAOF");
    until("a base", || line(&mut c, "CDC.SNAPSHOT 0").contains("\"S"));
    write(&mut c, &mut rng, 200);
    run(restore_binary(), &["backup", "full", "--from", &from, "--to", &repo]);
    let between = number(&mut c, "last_lsn") - 40;
    write(&mut c, &mut rng, 200);
    run(restore_binary(), &["backup", "incr", "--from", &from, "--to", &repo]);
    for target in [None, Some(between.to_string())] {
        let to = scratch.path().join(format!("to-{}", target.is_some()));
        let place = to.display().to_string();
        let mut args = vec!["restore", &*repo, "--to", &place];
        args.extend(target.iter().flat_map(|lsn| ["--target-lsn", lsn]));
        run(restore_binary(), &args);
        let restored = Server::start_in(Program::moon().with(IMAGES), &to).expect("moon starts");
        let mut r = restored.client().expect("a connection");
        let (first, behind) = rows(&mut r);
        let mut left = left_by(&first);
        let (next, events) = read_all(&mut r, &behind);
        follow(&mut left, &events);
        write(&mut r, &mut rng, 100);
        let (_, events) = read_all(&mut r, &next);
        assert!(follow(&mut left, &events) > 50, "{target:?}");
    }
}

#[test]
fn images_behind_a_recovery_target_go_on_from_those_before_it() {
    let mut rng = Rng::new(303);
    let dir = TempDir::new().expect("a directory");
    let program = || Program::moon().with(IMAGES).with(&["--pitr-bases", "3"]);
    let mut server = Server::start_in(program(), dir.path()).expect("moon starts");
    let mut c = server.client().expect("a connection");
    let (next, mut left) = (read(&mut c, "0 $").0.to_string(), Left::new());
    write(&mut c, &mut rng, 300);
    let (next, events) = read_all(&mut c, &next);
    assert!(follow(&mut left, &events) > 100);
    let target = number(&mut c, "last_lsn").to_string();
    write(&mut c, &mut rng, 300);
    server.terminate().expect("an end");
    let again = program().with(&["--recovery-target-lsn", &target]);
    let mut server = Server::start_in(again, dir.path()).expect("moon starts");
    let mut c = server.client().expect("a connection");
    write(&mut c, &mut rng, 200);
    // The reader has seen nothing of what was undone, and goes on with its cursor.
    assert_eq!(number(&mut c, "timeline"), 2);
    let (next, events) = read_all(&mut c, &next);
    assert!(follow(&mut left, &events) > 100);
    server.kill().expect("a kill");
    let server = Server::start_in(program(), dir.path()).expect("moon starts");
    let mut c = server.client().expect("a connection");
    write(&mut c, &mut rng, 50);
    assert!(follow(&mut left, &read_all(&mut c, &next).1) > 20);
}

#[test]
fn images_of_what_was_migrated_are_the_rows_of_its_base() {
    let scratch = TempDir::new().expect("a directory");
    let redis = scratch.path().join("redis");
    std::fs::create_dir(&redis).expect("a directory");
    let server = Server::start_in(Program::redis(), &redis).expect("redis-server starts");
    let mut c = server.client().expect("a connection");
    moon_tests::exchange::fill(&mut c, 304, 300).expect("data");
    line(&mut c, "SET plain 1");
    line(&mut c, "SAVE");
    let to = scratch.path().join("moon");
    let (from, place) =
        (format!("redis-rdb:{}", redis.join("dump.rdb").display()), to.display().to_string());
    run(migrate_binary(), &["run", "--from", &from, "--to", &place]);
    let program = Program::moon().with(IMAGES).with(&["--maxmemory-policy", "noeviction"]);
    let server = Server::start_in(program, &to).expect("moon starts");
    let mut c = server.client().expect("a connection");
    let (all, behind) = rows(&mut c);
    assert!(all.len() >= 300, "{}", all.len());
    for db in 0..16 {
        line(&mut c, &format!("SELECT {db}"));
        for key in c.line("KEYS *").expect("a reply").elements().expect("keys") {
            c.call(&cmd!["DEL", key.text().expect("a key").to_vec()]).expect("a reply");
        }
    }
    let place = |e: &str| {
        let (_, row) = e.split_once("\"record_type\":").expect("a row");
        let (name, _) = row.split_once(",\"type\":").expect("a row");
        name.to_string()
    };
    let held: BTreeMap<String, &String> = all.iter().map(|r| (place(r), r)).collect();
    let (_, events) = read_all(&mut c, &behind);
    let gone: Vec<&String> = events.iter().filter(|e| field(e, "op") == "d").collect();
    assert!(gone.len() + 50 > all.len(), "{} of {}", gone.len(), all.len());
    let mut omitted = 0;
    for event in gone {
        let row = held.get(&place(event)).unwrap_or_else(|| panic!("no row: {event}"));
        let (_, row) = row.split_once("\"after\":").expect("an envelope");
        let (row, _) = row.split_once(",\"source\":").expect("an envelope");
        if before(event).contains("\"value_omitted\":true") {
            omitted += 1;
        } else {
            // The members of sets and the fields of hashes have no order, and of a large sorted set
            // memory knows no zero with a sign.
            let pieces = |row: &str| {
                let mut all: Vec<String> = row
                    .split([',', '[', ']'])
                    .filter(|p| !p.is_empty())
                    .map(|p| if p == "-0" { "0" } else { p }.to_string())
                    .collect();
                all.sort();
                all
            };
            let (is, was) = (pieces(before(event)), pieces(row));
            let more = is.iter().filter(|p| !was.contains(p)).collect::<Vec<_>>();
            let less = was.iter().filter(|p| !is.contains(p)).collect::<Vec<_>>();
            assert!(is == was, "{more:?} {less:?}");
        }
    }
    assert!(omitted * 5 < all.len(), "{omitted}");
}
