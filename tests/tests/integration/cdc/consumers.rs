//! Goal: consumers end up with every durable change once, whatever is killed when. Method: the examples and
//! readers of this binary beside a writer with counted values; kills of both sides, rewrites, rotation.

use super::{SYNCED, field, gist, start};
use moon_tests::ask::{line, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::rng::Rng;
use moon_tests::server::TempDir;
use moon_tests::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

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
fn the_copy_follows_keys_that_move() {
    let (server, mut c) = start(SYNCED);
    let dir = TempDir::new().expect("a directory");
    let database = dir.path().join("copy.db");
    // Twice: what the base holds, and what changes behind it.
    for base in [true, false] {
        for words in [
            "SELECT 0",
            "MSET a 1 b 2 c 3",
            "RENAME a d",
            "COPY b e",
            "COPY b e REPLACE",
            "MOVE c 4",
            "SELECT 4",
            "SET f 5 PXAT 9999999999999",
            "MULTI",
            "RENAME f g",
            "MOVE g 5",
            "EXEC",
            "SWAPDB 0 5",
            "SELECT 6",
            "SET gone 1",
            "FLUSHDB",
        ] {
            assert!(!line(&mut c, words).starts_with('-'), "{words}");
        }
        if base {
            line(&mut c, "BGREWRITEAOF");
            until("a base", || line(&mut c, "CDC.SNAPSHOT 0").contains("\"S"));
        }
        assert!(
            consumer(server.port(), &database, &["--until-idle"]).wait().expect("an end").success()
        );
        let mut has = Vec::new();
        for db in 0..7 {
            line(&mut c, &format!("SELECT {db}"));
            for key in c.line("KEYS *").expect("a reply").leaves() {
                let key = String::from_utf8_lossy(key.text().expect("a key")).to_string();
                has.push(format!("{db}|{key}|{}", line(&mut c, &format!("GET {key}"))));
            }
        }
        has.sort();
        let mut copied = query(&database, "SELECT db, key, value FROM keys");
        copied.sort();
        assert!(copied == has && has.len() >= 5, "{copied:?} {has:?}");
        line(&mut c, "SELECT 4");
        line(&mut c, "DEL c");
        line(&mut c, "SELECT 0");
        line(&mut c, "DEL g");
        line(&mut c, "SELECT 5");
        line(&mut c, "DEL g");
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

/// What a consumer has kept: its place, and events by LSN and order.
#[derive(Default)]
struct Kept {
    cursor: String,
    offset: u64,
    events: BTreeMap<(u64, u64), String>,
    /// Times that it was killed with something in its hands.
    kills: u32,
    /// Events that came again.
    again: u32,
}

impl Kept {
    fn keep(&mut self, event: &str) -> (u64, u64) {
        let number = |name: &str| field(event, name).parse().expect("a number");
        let order = if event.contains("\"transaction\":{") { number("total_order") } else { 1 };
        let name = (number("lsn"), order);
        let what = format!("{} {} {}", field(event, "op"), field(event, "key"), last_value(event));
        if let Some(known) = self.events.insert(name, what.clone()) {
            assert_eq!(known, what, "the same event for ever: {name:?}");
            self.again += 1;
        }
        name
    }
}

/// The new value, if an event has one.
fn last_value(event: &str) -> String {
    let (_, after) = event.split_once(",\"after\":").expect("an envelope");
    if after.contains("\"value\":") { field(after, "value") } else { String::new() }
}

/// Asks for pages from its slot on, and dies now and then with one in its hands.
fn read_until(
    c: &mut Client,
    slot: &str,
    kept: &mut Kept,
    rng: &mut Rng,
    stop: &AtomicBool,
) -> io::Result<bool> {
    loop {
        let done = stop.load(Ordering::Relaxed);
        let limit = [1, 2, 50, 1000][rng.below(4)];
        let (cursor, offset) = (&kept.cursor, kept.offset);
        let words = format!("CDC.READ 0 {cursor} LIMIT {limit} OFFSET {offset} BLOCK 50");
        let reply = c.line(&words)?;
        let Some([Value::Int(next), events @ ..]) = reply.elements() else {
            assert!(reply.to_string().contains("LOADING"), "{words}: {reply}");
            return Ok(false);
        };
        if rng.chance(4) {
            kept.kills += 1;
            return Ok(false);
        }
        let mut last = (0, 0);
        for event in events {
            last = kept.keep(&String::from_utf8_lossy(event.text().expect("an event")));
        }
        if events.is_empty() && done {
            return Ok(true);
        }
        let next = *next as u64;
        kept.offset = if !events.is_empty() && last.0 == next { last.1 } else { 0 };
        kept.cursor = next.to_string();
        if !events.is_empty() && rng.chance(30) {
            c.line(&format!("CDC.ACK {slot} 0 {next}"))?;
        }
    }
}

/// The same for what is pushed to it.
fn listen_until(
    c: &mut Client,
    slot: &str,
    kept: &mut Kept,
    rng: &mut Rng,
    stop: &AtomicBool,
) -> io::Result<bool> {
    let reply = c.line(&format!("CDC.SUBSCRIBE 0 {} CREDIT 40", kept.cursor))?;
    if reply.is_error() {
        assert!(reply.to_string().contains("LOADING"), "{reply}");
        return Ok(false);
    }
    let mut credit = 40;
    loop {
        let done = stop.load(Ordering::Relaxed);
        let Some(push) = c.receive_within(Duration::from_millis(200))? else {
            if done {
                return Ok(true);
            }
            continue;
        };
        let words: Vec<&Value> = push.leaves();
        let [_, kind, _, next, event] = words[..] else { panic!("{push}") };
        assert_eq!(kind.text(), Some(&b"event"[..]), "{push}");
        kept.keep(&String::from_utf8_lossy(event.text().expect("an event")));
        kept.cursor = next.to_string().trim_start_matches(':').to_string();
        if rng.below(300) == 0 {
            kept.kills += 1;
            return Ok(false);
        }
        credit -= 1;
        if credit == 0 {
            // The replies come between pushes, in the order of the commands.
            assert_eq!(
                c.line(&format!("CDC.ACK {slot} 0 {}", kept.cursor))?.to_string().chars().next(),
                Some(':')
            );
            assert_eq!(c.line("CDC.CREDIT 40")?.to_string(), ":40");
            credit = 40;
        }
    }
}

/// A consumer with a slot, until it has everything behind the end of the writer.
fn run_consumer(port: Arc<AtomicU16>, n: usize, stop: Arc<AtomicBool>) -> JoinHandle<Kept> {
    spawn(move || {
        let mut rng = Rng::new(900 + n as u64);
        let mut kept = Kept { cursor: "1".into(), ..Kept::default() };
        let slot = format!("slot{n}");
        loop {
            let port = port.load(Ordering::Relaxed);
            let done = Client::connect(port).and_then(|mut c| match n % 2 {
                0 => read_until(&mut c, &slot, &mut kept, &mut rng, &stop),
                _ => listen_until(&mut c, &slot, &mut kept, &mut rng, &stop),
            });
            match done {
                Ok(true) => return kept,
                // The server has been killed: it comes again.
                Ok(false) | Err(_) => sleep(Duration::from_millis(5)),
            }
        }
    })
}

/// Goal: several consumers with slots, killed with pages in their hands, end up with every durable effect once
/// and nothing else, over rotation, rewrites, and kills of the server. Method: counted values, alone and in
/// units; what consumers have kept, by LSN and order, against what was acknowledged and what the server holds.
#[test]
fn consumers_with_slots_agree_on_every_durable_change() {
    let args = ["--appendfsync", "always", "--wal-segment-size", "64kb", "--cdc-retain-bytes", "0"];
    let (mut server, mut c) = start(&args);
    let stop = Arc::new(AtomicBool::new(false));
    let port = Arc::new(AtomicU16::new(server.port()));
    let mut rng = Rng::new(404);
    (0..4).for_each(|n| assert_eq!(line(&mut c, &format!("CDC.SLOT CREATE slot{n} 0 1")), ":1"));
    let consumers: Vec<_> =
        (0..4).map(|n| run_consumer(Arc::clone(&port), n, Arc::clone(&stop))).collect();
    let (mut acked, mut next) = (BTreeSet::new(), 0u64);
    for round in 0..8 {
        for _ in 0..150 + rng.below(200) {
            let count = if rng.chance(20) { 3 } else { 1 };
            let sets = (next..next + count).map(|n| format!("SET k{} {n}", n % 61));
            let words: Vec<String> = match count {
                1 => sets.collect(),
                _ => ["MULTI".into()].into_iter().chain(sets).chain(["EXEC".into()]).collect(),
            };
            words.iter().for_each(|w| assert!(!line(&mut c, w).starts_with('-'), "{w}"));
            acked.extend(next..next + count);
            next += count;
        }
        if round % 2 == 1 {
            line(&mut c, "BGREWRITEAOF");
        }
        if round % 3 == 2 {
            // Some writes, and perhaps the rewrite, are under way.
            for n in next..next + 30 {
                c.queue(&cmd!["SET", format!("k{}", n % 61), n.to_string()]);
            }
            next += 30;
            c.flush().expect("sent");
            sleep(Duration::from_millis(rng.below(6) as u64));
            server.kill().expect("a kill");
            server.restart().expect("moon starts again");
            port.store(server.port(), Ordering::Relaxed);
            c = server.client().expect("a connection");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let kept: Vec<Kept> = consumers.into_iter().map(|c| c.join().expect("a consumer")).collect();
    assert!(kept.iter().all(|k| k.kills > 0) && kept.iter().any(|k| k.again > 0));
    for other in &kept[1..] {
        assert_eq!(other.events, kept[0].events);
    }
    let mut values = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for what in kept[0].events.values().filter(|w| !w.starts_with('m')) {
        let [_, key, value] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{what}") };
        assert!(seen.insert(value.parse::<u64>().expect("a number")), "{what} twice");
        values.insert(key.to_string(), value.to_string());
    }
    let missed: Vec<&u64> = acked.difference(&seen).collect();
    assert!(missed.is_empty(), "{missed:?}");
    for (key, value) in &values {
        assert_eq!(
            &line(&mut c, &format!("GET {key}")),
            value,
            "{key}: shown, and lost by the server"
        );
    }
    assert_eq!(line(&mut c, "DBSIZE"), format!(":{}", values.len()));
    // Nobody needs the beginning now.
    (0..4).for_each(|n| drop(line(&mut c, &format!("CDC.ACK slot{n} 0 $"))));
    until("the beginning has gone", || {
        line(&mut c, "BGREWRITEAOF");
        line(&mut c, "CDC.READ 0 1").starts_with("-CDCGONE")
    });
}
