//! Goal: a real Redis can follow Moon, whatever is written and whenever it comes. Method: random commands
//! of all types run on Moon alone while a redis-server follows; then the whole states of both are compared,
//! reply by reply, as the differential tester compares two servers that were given the same commands.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::diff::{Generator, Kind, Op, Pair, Proto, run};
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) | Value::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.to_string(),
    }
}

fn line(client: &mut Client, words: &str) -> String {
    text(&client.line(words).expect("a reply"))
}

/// A field of INFO; empty if there is none.
fn info(client: &mut Client, field: &str) -> String {
    let all = line(client, "INFO everything");
    let found = all.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    found.unwrap_or_default().to_string()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not in time");
        sleep(Duration::from_millis(10));
    }
}

fn caught_up(master: &mut Client, replica: &mut Client) {
    until("the replica has everything", || {
        info(replica, "master_link_status") == "up"
            && info(replica, "slave_repl_offset") == info(master, "master_repl_offset")
    });
}

/// Runs commands on one server, whatever they answer.
fn drive(server: &Server, ops: &[Op]) {
    let mut client = server.client().expect("a connection");
    for op in ops.iter().filter(|op| op.kind != Kind::Waits) {
        for command in &op.commands {
            client.call(command).expect("a reply");
        }
    }
    // What is on its way to expire would differ by the time of the look.
    client.line("SCRIPT FLUSH").expect("a reply");
}

fn compare(master: &Server, replica: &Server) {
    let mut pair = Pair {
        oracle: replica.client().expect("the replica answers"),
        subject: master.client().expect("moon answers"),
    };
    caught_up(&mut pair.subject, &mut pair.oracle);
    if let Err(failure) = run(&mut pair, &[Op::reloaded()]) {
        panic!("the replica differs: {failure}\n{}", replica.log_text());
    }
}

fn follow(replica: &Server, master: &Server) {
    let mut client = replica.client().expect("a connection");
    let reply = line(&mut client, &format!("REPLICAOF 127.0.0.1 {}", master.port()));
    assert_eq!(reply, "OK");
}

fn real_redis(args: &[&str]) -> Server {
    let program = Program::redis().with(args).with(&["--repl-diskless-load", "disabled"]);
    Server::start(program).expect("redis-server starts")
}

#[test]
fn a_real_redis_follows() {
    for args in [&[] as &[&str], &["--appendfsync", "always"]] {
        let moon =
            Server::start(Program::moon().with(args).with(&["--enable-debug-command", "yes"]))
                .expect("moon starts");
        let redis = real_redis(&[]);
        let mut generator = Generator::new(301, Proto::Resp2);
        // First what the file brings, then what the stream does.
        drive(&moon, &generator.sequence(6000));
        follow(&redis, &moon);
        drive(&moon, &generator.sequence(6000));
        compare(&moon, &redis);

        let [mut m, mut r] = [&moon, &redis].map(|s| s.client().expect("a connection"));
        assert_eq!(info(&mut m, "connected_slaves"), "1");
        assert_eq!(info(&mut m, "sync_full"), "1");
        assert!(line(&mut m, "CLIENT LIST TYPE replica").contains(" flags=S "));
        assert!(
            line(&mut m, "ROLE").contains(&redis.port().to_string()),
            "{}",
            line(&mut m, "ROLE")
        );

        // A link that breaks is taken up again where it was.
        assert_eq!(line(&mut m, "CLIENT KILL TYPE replica"), ":1");
        drive(&moon, &generator.sequence(2000));
        compare(&moon, &redis);
        assert_eq!(info(&mut m, "sync_full"), "1");
        assert_eq!(info(&mut m, "sync_partial_ok"), "1");

        // Under another name it is another history.
        let old = info(&mut m, "master_replid");
        assert_eq!(line(&mut m, "DEBUG CHANGE-REPL-ID"), "OK");
        assert_eq!(line(&mut m, "CLIENT KILL TYPE replica"), ":1");
        drive(&moon, &generator.sequence(500));
        compare(&moon, &redis);
        assert_eq!(info(&mut m, "sync_full"), "2");
        assert_ne!(info(&mut m, "master_replid"), old);
        assert_eq!(info(&mut m, "master_replid"), info(&mut r, "master_replid"));
    }
}

#[test]
fn messages_reach_the_listeners_of_a_replica() {
    let moon = Server::start(Program::moon()).expect("moon starts");
    let redis = real_redis(&[]);
    follow(&redis, &moon);
    let [mut m, mut r] = [&moon, &redis].map(|s| s.client().expect("a connection"));
    caught_up(&mut m, &mut r);
    r.line("SUBSCRIBE news").expect("subscribed");
    m.line("PUBLISH news hello").expect("a reply");
    let message = r.receive().expect("a message");
    assert!(message.to_string().contains("hello"), "{message}");
}

#[test]
fn writes_ask_for_replicas_where_that_is_configured() {
    let args = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "3"];
    let moon = Server::start(Program::moon().with(&args)).expect("moon starts");
    let mut m = moon.client().expect("a connection");
    assert!(line(&mut m, "SET a 1").starts_with("-NOREPLICAS"));
    let mut redis = real_redis(&[]);
    follow(&redis, &moon);
    until("a write is let in", || line(&mut m, "SET a 1") == "OK");
    redis.terminate().expect("redis ends");
    until("a write is refused", || line(&mut m, "SET a 1").starts_with("-NOREPLICAS"));
}

/// A replica that reads slowly gets everything, at its own pace, and costs the master no memory.
#[test]
fn a_slow_replica_is_behind_and_nothing_more() {
    let moon = Server::start(Program::moon()).expect("moon starts");
    let mut m = moon.client().expect("a connection");
    let value = vec![b'x'; 1 << 20];
    for i in 0..24 {
        m.call(&cmd!["SET", format!("big{i}"), value.clone()]).expect("a reply");
    }
    let mut slow = TcpStream::connect(("127.0.0.1", moon.port())).expect("a connection");
    slow.write_all(b"SYNC\r\n").expect("sent");
    until("it counts as a replica", || info(&mut m, "connected_slaves") == "1");
    for i in 0..8 {
        m.call(&cmd!["SET", format!("more{i}"), value.clone()]).expect("a reply");
    }
    let output = |m: &mut Client| {
        let list = line(m, "CLIENT LIST TYPE replica");
        let at = list.find(" omem=").expect("a replica") + 6;
        list[at..].split(' ').next().and_then(|n| n.parse::<usize>().ok()).expect("a number")
    };
    assert!(output(&mut m) <= 3 << 20, "{}", output(&mut m));
    let mut slow = BufReader::new(slow);
    let mut length = String::new();
    slow.read_line(&mut length).expect("a line");
    let length = length.trim().strip_prefix('$').and_then(|n| n.parse().ok()).expect("a length");
    let mut file = vec![0; length];
    slow.read_exact(&mut file).expect("the file");
    assert!(file.starts_with(b"REDIS0010"));
    let mut stream = vec![0; 8 << 20];
    slow.read_exact(&mut stream).expect("the stream");
    assert!(stream.starts_with(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n"));
}

#[test]
fn redis_cli_takes_a_file_that_redis_loads() {
    let moon = Server::start(Program::moon()).expect("moon starts");
    drive(&moon, &Generator::new(302, Proto::Resp2).sequence(5000));
    let mut m = moon.client().expect("a connection");
    let lua = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    m.call(&cmd!["FUNCTION", "LOAD", lua]).expect("a reply");
    let digest = line(&mut m, "DEBUG DIGEST");
    let dir = moon_tests::server::TempDir::new().expect("a directory");
    let file = dir.path().join("dump.rdb");
    let taken = Command::new("redis-cli")
        .args(["-p", &moon.port().to_string(), "--rdb"])
        .arg(&file)
        .output()
        .expect("redis-cli runs");
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let redis = Server::start_in(Program::redis(), dir.path()).expect("redis-server loads it");
    let mut r = redis.client().expect("a connection");
    assert!(line(&mut r, "FUNCTION LIST").contains("lib"));
    let redis_digest = line(&mut r, "DEBUG DIGEST");
    let mut pair = Pair { oracle: r, subject: moon.client().expect("moon answers") };
    if let Err(failure) = run(&mut pair, &[Op::reloaded()]) {
        panic!("the file differs: {failure}");
    }
    assert_eq!(digest, redis_digest);
}
