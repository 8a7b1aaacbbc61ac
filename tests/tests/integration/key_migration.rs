//! Goal: MIGRATE carries every type of value between Moon and a real Redis, what has arrived is gone here for
//! good, and nobody but its own client waits for a slow network. Method: both servers, digests of values, a
//! target that says nothing, kills.

use moon_tests::ask::{info, line, text, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::diff::{Generator, Kind, Op, Proto};
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;
use std::net::TcpListener;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];

fn start(program: Program) -> (Server, Client) {
    let server = Server::start(program).expect("a server starts");
    let client = server.client().expect("a connection");
    (server, client)
}

fn pair() -> (Server, Client, Server, Client) {
    let (moon, m) = start(Program::moon().with(DEBUG));
    let (redis, r) = start(Program::redis().with(DEBUG));
    (moon, m, redis, r)
}

/// Names and digests of all keys of the current database, in order.
fn digests(client: &mut Client) -> Vec<(Vec<u8>, String)> {
    let keys = client.line("KEYS *").expect("a reply");
    let keys = keys.elements().unwrap_or_default();
    let mut keys: Vec<Vec<u8>> = keys.iter().filter_map(|k| Some(k.text()?.to_vec())).collect();
    keys.sort();
    let digest = |key: &Vec<u8>| {
        let reply = client.call(&cmd!["DEBUG", "DIGEST-VALUE", key.clone()]).expect("a reply");
        (key.clone(), reply.to_string())
    };
    keys.iter().map(digest).collect()
}

fn migrate_all(from: &mut Client, to: &Server, keys: &[(Vec<u8>, String)]) {
    for some in keys.chunks(50) {
        let port = to.port().to_string();
        let mut words = cmd!["MIGRATE", "127.0.0.1", port, "", "0", "20000", "KEYS"];
        words.extend(some.iter().map(|(key, _)| key.clone()));
        assert_eq!(from.call(&words).expect("a reply"), Value::Simple(b"OK".to_vec()));
    }
}

#[test]
fn every_type_goes_to_redis_and_comes_back() {
    let (moon, mut m, redis, mut r) = pair();
    let ops: Vec<Op> = Generator::new(601, Proto::Resp2).sequence(6000);
    for op in ops.iter().filter(|op| op.kind != Kind::Waits) {
        for command in &op.commands {
            m.call(command).expect("a reply");
        }
    }
    line(&mut m, "SELECT 0");
    for (key, _) in digests(&mut m) {
        m.call(&cmd!["PERSIST", key]).expect("a reply");
    }
    line(&mut m, "SET ttl here EX 1000");
    let before = digests(&mut m);
    assert!(before.len() > 30, "{} keys", before.len());
    migrate_all(&mut m, &redis, &before);
    assert_eq!(line(&mut m, "DBSIZE"), ":0");
    assert_eq!(digests(&mut r), before);
    let left: i64 = line(&mut r, "PTTL ttl").trim_start_matches(':').parse().expect("a number");
    assert!((900_000..=1_000_000).contains(&left), "{left}");
    migrate_all(&mut r, &moon, &before);
    assert_eq!(line(&mut r, "DBSIZE"), ":0");
    assert_eq!(digests(&mut m), before);
}

#[test]
fn options_and_refusals_are_those_of_redis() {
    let (_moon, mut m, redis, mut r) = pair();
    let port = redis.port();
    let to = format!("MIGRATE 127.0.0.1 {port}");
    line(&mut m, "MSET a 1 b 2 c 3");
    assert_eq!(line(&mut m, &format!("{to} nothing 0 1000")), "NOKEY");
    assert_eq!(line(&mut m, &format!("{to} a 0 1000 COPY")), "OK");
    assert_eq!(line(&mut m, "GET a"), "1");
    assert_eq!(line(&mut r, "GET a"), "1");
    assert_eq!(info(&mut m, "migrate_cached_sockets"), "1");
    let busy = "-ERR Target instance replied with error: BUSYKEY Target key name already exists.";
    assert_eq!(line(&mut m, &format!("{to} a 0 1000")), busy);
    assert_eq!(line(&mut m, "SET a 9"), "OK");
    assert_eq!(line(&mut m, &format!("{to} a 0 1000 REPLACE")), "OK");
    assert_eq!(line(&mut m, "EXISTS a"), ":0");
    assert_eq!(line(&mut r, "GET a"), "9");
    // Of several, those that arrive go.
    line(&mut m, "SET a 7");
    let words =
        cmd!["MIGRATE", "127.0.0.1", port.to_string(), "", "0", "1000", "KEYS", "b", "a", "x", "c"];
    assert_eq!(m.call(&words).expect("a reply").to_string(), busy);
    assert_eq!(line(&mut m, "EXISTS a"), ":1");
    assert_eq!(line(&mut m, "EXISTS b c"), ":0");
    assert_eq!(line(&mut r, "MGET b c"), "[\"2\", \"3\"]");
    let not_empty =
        "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string";
    assert_eq!(line(&mut m, &format!("{to} a 0 1000 KEYS a")), not_empty);
    assert_eq!(line(&mut m, &format!("{to} a 0 1000 AUTH")), "-ERR syntax error");
    assert!(
        line(&mut m, &format!("{to} a 99 1000"))
            .starts_with("-ERR Target instance replied with error: ERR")
    );
    let nobody = "-IOERR error or timeout connecting to the client";
    assert_eq!(line(&mut m, "MIGRATE 127.0.0.1 1 a 0 1000"), nobody);
    // Passwords.
    line(&mut r, "CONFIG SET requirepass secret");
    let mut m2 = m.another().expect("a connection");
    assert_eq!(line(&mut m2, &format!("{to} a 3 1000 REPLACE AUTH secret")), "OK");
    line(&mut m, "SET a 5");
    assert!(line(&mut m, &format!("{to} a 3 1000 REPLACE AUTH wrong")).contains("WRONGPASS"));
    assert_eq!(line(&mut m, &format!("{to} a 3 1000 REPLACE AUTH2 default secret")), "OK");
    line(&mut r, "AUTH secret");
    line(&mut r, "SELECT 3");
    assert_eq!(line(&mut r, "GET a"), "5");
    let shown = line(&mut m, "SLOWLOG GET 50");
    assert!(!shown.contains("secret"), "{shown}");
    until("unused connections are closed", || info(&mut m, "migrate_cached_sockets") == "0");
}

#[test]
fn what_has_arrived_stays_away_after_a_kill() {
    let (mut moon, mut m, redis, mut r) = pair();
    line(&mut m, "CONFIG SET appendfsync always");
    line(&mut m, "MSET a 1 b 2 c 3 kept 4");
    let port = redis.port();
    assert_eq!(line(&mut m, &format!("MIGRATE 127.0.0.1 {port} a 0 1000")), "OK");
    // In a transaction, and in a script.
    line(&mut m, "MULTI");
    line(&mut m, &format!("MIGRATE 127.0.0.1 {port} b 0 1000"));
    line(&mut m, "INCR n");
    let replies = m.line("EXEC").expect("a reply");
    assert_eq!(replies.elements().map(|e| e[0].to_string()), Some("+OK".into()));
    let script = "return redis.call('MIGRATE', '127.0.0.1', ARGV[1], KEYS[1], 0, 1000)";
    let reply = m.call(&cmd!["EVAL", script, "1", "c", port.to_string()]).expect("a reply");
    assert_eq!(reply, Value::Simple(b"OK".to_vec()));
    assert_eq!(line(&mut r, "DBSIZE"), ":3");
    moon.kill().expect("a kill");
    moon.restart().expect("a start");
    let mut m = moon.client().expect("a connection");
    assert_eq!(line(&mut m, "EXISTS a b c"), ":0");
    assert_eq!(line(&mut m, "GET kept"), "4");
    assert_eq!(line(&mut m, "GET n"), "1");
}

#[test]
fn nobody_else_waits_for_a_slow_target() {
    let (_moon, mut m) = start(Program::moon());
    line(&mut m, "MSET moving 1 other 2");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let mut c = m.another().expect("a connection");
    let begun = Instant::now();
    let waiting = spawn(move || line(&mut c, &format!("MIGRATE 127.0.0.1 {port} moving 0 1500")));
    until("it is under way", || info(&mut m, "blocked_clients") == "1");
    // Everybody goes on, also with what is read of the key itself.
    let start = Instant::now();
    for _ in 0..200 {
        assert_eq!(line(&mut m, "INCR other").chars().next(), Some(':'));
        assert_eq!(line(&mut m, "GET moving"), "1");
    }
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    // A write of the key waits, by name and by other ways.
    let late = |words: Vec<Vec<u8>>| {
        let mut w = m.another().expect("a connection");
        spawn(move || (text(&w.call(&words).expect("a reply")), begun.elapsed()))
    };
    let writers = [
        late(cmd!["APPEND", "moving", "x"]),
        late(cmd!["EVAL", "return redis.call('append', 'moving', 'y')", "0"]),
        late(cmd!["COPY", "other", "moving", "REPLACE", "DB", "3"]),
    ];
    sleep(Duration::from_millis(100));
    assert_eq!(line(&mut m, "GET moving"), "1");
    assert_eq!(
        waiting.join().expect("a reply"),
        "-IOERR error or timeout reading to target instance"
    );
    for writer in writers {
        let (reply, after) = writer.join().expect("a reply");
        assert!(
            !reply.starts_with('-') && after >= Duration::from_millis(1400),
            "{reply} {after:?}"
        );
    }
    let moved = line(&mut m, "GET moving");
    assert!(moved == "1xy" || moved == "1yx", "{moved}");
}

/// A client that waits for one key would write another that is on its way: then the move has the shard.
#[test]
fn a_waiter_never_writes_what_is_on_its_way() {
    let (_moon, mut m, redis, mut r) = pair();
    line(&mut m, "RPUSH to first");
    let mut w = m.another().expect("a connection");
    let waiting = spawn(move || line(&mut w, "BLMOVE from to LEFT RIGHT 20"));
    until("it waits", || info(&mut m, "blocked_clients") == "1");
    let reply = line(&mut m, &format!("MIGRATE 127.0.0.1 {} to 0 1000", redis.port()));
    assert_eq!(reply, "OK");
    line(&mut m, "RPUSH from second");
    assert_eq!(waiting.join().expect("a reply"), "second");
    assert_eq!(line(&mut m, "LRANGE to 0 -1"), "[\"second\"]");
    assert_eq!(line(&mut r, "LRANGE to 0 -1"), "[\"first\"]");
}
