//! Goal: WAITAOF answers when the client's writes are on the disk, under every policy, and WAIT when
//! replicas have them; who waits can be told, ended and forgotten. Method: the durable LSN of INFO beside
//! the replies, and a real redis-server that follows.

use moon_tests::ask::{number, until};
use moon_tests::client::Client;
use moon_tests::server::{Program, Server};
use std::process::Command;
use std::time::{Duration, Instant};

fn ask(client: &mut Client, line: &str, reply: &str) {
    assert_eq!(client.line(line).expect("a reply").to_string(), reply, "for {line}");
}

fn send(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let command: Vec<Vec<u8>> = line.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        client.queue(&command);
    }
    client.flush().expect("sent");
}

fn expect(client: &mut Client, reply: &str) {
    assert_eq!(client.receive().expect("a reply").to_string(), reply);
}

const LOCAL: &str = "[:1, :0]";
const NOTHING: &str = "[:0, :0]";
const ZERO: &str = ":0";

#[test]
fn the_last_write_is_on_the_disk_when_it_is_answered() {
    for policy in ["always", "everysec", "no"] {
        for disk in ["posix", "dma"] {
            let options = ["--appendfsync", policy, "--disk-driver", disk];
            let mut server = Server::start(Program::moon().with(&options)).expect("moon starts");
            let mut client = server.client().expect("a connection");
            // Who has written nothing has nothing to wait for.
            ask(&mut client, "WAITAOF 1 0 0", LOCAL);
            for i in 0..20 {
                send(&mut client, &[&format!("SET k{i} v"), "WAITAOF 1 0 0", "PING"]);
                expect(&mut client, "+OK");
                expect(&mut client, LOCAL);
                expect(&mut client, "+PONG");
                assert_eq!(number(&mut client, "durable_lsn"), number(&mut client, "last_lsn"));
            }
            // A sync that nobody asked for would come after a second, or never.
            let start = Instant::now();
            for i in 0..5 {
                ask(&mut client, &format!("SET again{i} v"), "+OK");
                ask(&mut client, "WAITAOF 1 0 10000", LOCAL);
            }
            assert!(start.elapsed() < Duration::from_secs(4), "{policy}: {:?}", start.elapsed());
            server.kill().expect("killed");
            server.restart().expect("starts again");
            let mut client = server.client().expect("a connection");
            ask(&mut client, "DBSIZE", ":25");
        }
    }
}

#[test]
fn without_replicas_wait_counts_none() {
    let server = Server::start(Program::moon()).expect("moon starts");
    let mut client = server.client().expect("a connection");
    for line in ["WAIT 0 0", "WAIT -1 0", "WAIT 0 1000"] {
        ask(&mut client, line, ZERO);
    }
    let start = Instant::now();
    ask(&mut client, "SET k v", "+OK");
    ask(&mut client, "WAIT 1 100", ZERO);
    ask(&mut client, "WAITAOF 1 1 100", LOCAL);
    assert!(start.elapsed() >= Duration::from_millis(200));
    for (line, error) in [
        ("WAIT a 0", "value is not an integer or out of range"),
        ("WAIT 1 -1", "timeout is negative"),
        ("WAIT 1 a", "timeout is not an integer or out of range"),
        ("WAIT 1 9223372036854775807", "timeout is out of range"),
        ("WAIT 2 9223372036854775808", "timeout is not an integer or out of range"),
        ("WAITAOF 2 0 0", "value is out of range, value must between 0 and 1"),
        ("WAITAOF a 0 0", "value is not an integer or out of range"),
        ("WAITAOF 0 -1 0", "value is out of range, must be positive"),
        ("WAITAOF 0 0 -1", "timeout is negative"),
    ] {
        ask(&mut client, line, &format!("-ERR {error}"));
    }
    // Nobody waits inside EXEC or a script.
    send(&mut client, &["MULTI", "SET k w", "WAIT 3 0", "WAITAOF 1 3 0", "EXEC"]);
    for reply in ["+OK", "+QUEUED", "+QUEUED", "+QUEUED"] {
        expect(&mut client, reply);
    }
    expect(&mut client, &format!("[+OK, {ZERO}, {LOCAL}]"));
    let script = [&b"EVAL"[..], b"return redis.call('wait', 1, 0)", b"0"].map(<[u8]>::to_vec);
    assert_eq!(client.call(&script).expect("a reply").to_string(), ZERO);
}

#[test]
fn without_a_log_there_is_nothing_to_wait_for() {
    let program = Program::moon().with(&["--appendonly", "no"]);
    let server = Server::start(program).expect("moon starts");
    let mut client = server.client().expect("a connection");
    let error = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    ask(&mut client, "SET k v", "+OK");
    ask(&mut client, "WAITAOF 1 0 0", error);
    ask(&mut client, "WAITAOF 0 0 0", NOTHING);
    ask(&mut client, "WAITAOF 0 1 20", NOTHING);
    ask(&mut client, "WAIT 1 20", ZERO);
}

#[test]
fn who_waits_is_shown_ended_and_forgotten() {
    let server = Server::start(Program::moon()).expect("moon starts");
    let mut admin = server.client().expect("a connection");
    let mut waiter = server.client().expect("a connection");
    let id = waiter.line("CLIENT ID").expect("an id").to_string().replace(":", "");
    for (unblock, reply) in [
        (format!("CLIENT UNBLOCK {id}"), ZERO),
        (format!("CLIENT UNBLOCK {id} TIMEOUT"), ZERO),
        (format!("CLIENT UNBLOCK {id} ERROR"), "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        send(&mut waiter, &["WAIT 1 0", "PING"]);
        until("it waits", || number(&mut admin, "blocked_clients") == 1);
        let list = admin.line(&format!("CLIENT LIST ID {id}")).expect("a list");
        let list = String::from_utf8_lossy(list.text().expect("text")).into_owned();
        assert!(list.contains(" flags=b ") && list.contains(" cmd=wait "), "{list}");
        ask(&mut admin, &unblock, ":1");
        expect(&mut waiter, reply);
        expect(&mut waiter, "+PONG");
        ask(&mut admin, &unblock, ZERO);
    }
    assert_eq!(number(&mut admin, "blocked_clients"), 0);
    send(&mut waiter, &["WAIT 1 60000"]);
    until("it waits", || number(&mut admin, "clients_in_timeout_table") == 1);
    drop(waiter);
    until("it is forgotten", || number(&mut admin, "blocked_clients") == 0);
}

/// A server that becomes a replica has no writes of its own to wait for.
#[test]
fn nobody_waits_at_a_replica() {
    let master = Server::start(Program::moon()).expect("moon starts");
    let server = Server::start(Program::moon()).expect("moon starts");
    let mut admin = server.client().expect("a connection");
    let mut waiter = server.client().expect("a connection");
    send(&mut waiter, &["WAIT 1 0"]);
    until("it waits", || number(&mut admin, "blocked_clients") == 1);
    ask(&mut admin, &format!("REPLICAOF 127.0.0.1 {}", master.port()), "+OK");
    let said = waiter.receive().expect("a reply").to_string();
    assert!(said.starts_with("-UNBLOCKED"), "{said}");
    for (line, name) in [("WAIT 0 0", "WAIT"), ("WAITAOF 0 0 0", "WAITAOF")] {
        let said = admin.line(line).expect("a reply").to_string();
        let error = format!("-ERR {name} cannot be used with replica instances.");
        assert!(said.starts_with(&error), "{said}");
    }
    ask(&mut admin, "REPLICAOF NO ONE", "+OK");
    ask(&mut admin, "WAIT 0 0", ZERO);
}

#[test]
fn replicas_count_when_they_have_the_write() {
    let master = Server::start(Program::moon()).expect("moon starts");
    let mut client = master.client().expect("a connection");
    let follow = ["--replicaof", &format!("127.0.0.1 {}", master.port())];
    let replica = Server::start(Program::redis().with(&follow)).expect("redis-server starts");
    until("the replica follows", || {
        number(&mut client, "connected_slaves") == 1
            && replica.client().and_then(|mut c| c.line("GET k")).is_ok_and(|v| !v.is_error())
            && client.line("WAIT 1 10").is_ok_and(|v| v.to_string() == ":1")
    });
    let start = Instant::now();
    for i in 0..10 {
        ask(&mut client, &format!("SET k {i}"), "+OK");
        ask(&mut client, "WAIT 1 0", ":1");
        let there = replica.client().and_then(|mut c| c.line("GET k")).expect("a reply");
        assert_eq!(there.to_string(), format!("\"{i}\""));
    }
    // It is asked: by itself it would say once a second what it has.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    ask(&mut client, "WAIT 2 50", ":1");
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &replica.pid().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()));
    };
    signal("-STOP");
    ask(&mut client, "SET k last", "+OK");
    ask(&mut client, "WAIT 1 100", ZERO);
    let mut other = master.client().expect("a connection");
    // Who has written nothing is content with what it has.
    ask(&mut other, "WAIT 1 100", ":1");
    send(&mut client, &["WAIT 1 0"]);
    signal("-CONT");
    expect(&mut client, ":1");
}
