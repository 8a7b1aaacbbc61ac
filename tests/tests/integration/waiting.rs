//! Goal: a client that waits for a key is a good citizen of its connection: what it sent behind is
//! answered later and in order, its time ends when it should, and nothing is taken out for one that
//! has gone. Method: real sockets, against Moon and against a real Redis, so that it is true.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn both(test: fn(&Server)) {
    for program in [Program::moon(), Program::redis()] {
        test(&Server::start(program).expect("the server starts"));
    }
}

fn connect(server: &Server) -> Client {
    server.client().expect("a connection")
}

fn id(client: &mut Client) -> i64 {
    match client.line("CLIENT ID") {
        Ok(Value::Int(id)) => id,
        other => panic!("CLIENT ID: {other:?}"),
    }
}

fn field(client: &mut Client, name: &str) -> i64 {
    let info = client.line("INFO clients").expect("INFO");
    let text = String::from_utf8_lossy(info.text().expect("text")).into_owned();
    let line = text.lines().find_map(|l| l.strip_prefix(&format!("{name}:")));
    line.expect("the field").parse().expect("a number")
}

/// Returns once so many clients wait.
fn await_waiting(client: &mut Client, n: i64) {
    for _ in 0..2000 {
        if field(client, "blocked_clients") == n {
            return;
        }
        sleep(Duration::from_millis(2));
    }
    panic!("there are not {n} clients waiting");
}

fn send(client: &mut Client, line: &str) {
    let command: Vec<Vec<u8>> = line.split(' ').map(|w| w.as_bytes().to_vec()).collect();
    client.queue(&command);
    client.flush().expect("sent");
}

fn expect(client: &mut Client, reply: &str) {
    assert_eq!(client.receive().expect("a reply").to_string(), reply);
}

fn ask(client: &mut Client, line: &str, reply: &str) {
    assert_eq!(client.line(line).expect("a reply").to_string(), reply, "for {line}");
}

#[test]
fn what_is_sent_behind_is_answered_behind() {
    both(|server| {
        let (mut a, mut b) = (connect(server), connect(server));
        for line in ["SET x 1", "BLPOP k 0", "INCR x", "BLPOP k j 0", "MULTI", "INCR x", "EXEC"] {
            let command: Vec<Vec<u8>> = line.split(' ').map(|w| w.as_bytes().to_vec()).collect();
            b.queue(&command);
        }
        b.flush().expect("sent");
        expect(&mut b, "+OK");
        await_waiting(&mut a, 1);
        ask(&mut a, "GET x", "\"1\"");
        ask(&mut a, "RPUSH k one", ":1");
        expect(&mut b, "[\"k\", \"one\"]");
        expect(&mut b, ":2");
        await_waiting(&mut a, 1);
        ask(&mut a, "RPUSH j two", ":1");
        expect(&mut b, "[\"j\", \"two\"]");
        expect(&mut b, "+OK");
        expect(&mut b, "+QUEUED");
        expect(&mut b, "[:3]");
    });
}

#[test]
fn who_has_gone_is_not_served() {
    both(|server| {
        let (mut a, mut b, mut c) = (connect(server), connect(server), connect(server));
        send(&mut b, "BLPOP k 0");
        await_waiting(&mut a, 1);
        drop(b);
        await_waiting(&mut a, 0);
        ask(&mut a, "RPUSH k 1", ":1");
        ask(&mut a, "LPOP k", "\"1\"");
        // Killed and pushed for in one transaction.
        let c_id = id(&mut c);
        send(&mut c, "BLPOP k 0");
        await_waiting(&mut a, 1);
        ask(&mut a, "MULTI", "+OK");
        assert!(a.call(&cmd!["CLIENT", "KILL", "ID", c_id]).is_ok());
        ask(&mut a, "RPUSH k 1", "+QUEUED");
        ask(&mut a, "EXEC", "[:1, :1]");
        ask(&mut a, "LLEN k", ":1");
        assert_eq!(c.read_to_end().expect("the end"), b"");
    });
}

#[test]
fn unblocked_by_another_client() {
    both(|server| {
        let (mut a, mut b) = (connect(server), connect(server));
        let b_id = id(&mut b);
        let unblock = |a: &mut Client, how: &str, reply: &str| {
            let mut command = cmd!["CLIENT", "UNBLOCK", b_id];
            command.extend((!how.is_empty()).then(|| how.as_bytes().to_vec()));
            assert_eq!(a.call(&command).expect("a reply").to_string(), reply);
        };
        unblock(&mut a, "", ":0");
        send(&mut b, "BLPOP k 0");
        await_waiting(&mut a, 1);
        unblock(&mut a, "timeout", ":1");
        expect(&mut b, "nil-array");
        unblock(&mut a, "timeout", ":0");
        send(&mut b, "BRPOPLPUSH k j 0");
        await_waiting(&mut a, 1);
        unblock(&mut a, "ERROR", ":1");
        expect(&mut b, "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
        unblock(&mut a, "SOMEHOW", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        ask(&mut a, "CLIENT UNBLOCK x", "-ERR value is not an integer or out of range");
        ask(&mut b, "PING", "+PONG");
    });
}

#[test]
fn time_ends_when_it_should() {
    both(|server| {
        let (mut a, mut b, mut c) = (connect(server), connect(server), connect(server));
        let start = Instant::now();
        send(&mut b, "BLPOP k 0.25");
        send(&mut c, "BZPOPMIN z 0.05");
        expect(&mut c, "nil-array");
        let short = start.elapsed();
        expect(&mut b, "nil-array");
        let long = start.elapsed();
        assert!(short >= Duration::from_millis(50) && long >= Duration::from_millis(250));
        assert!(long < Duration::from_secs(5), "{long:?}");
        assert_eq!(field(&mut a, "blocked_clients"), 0);
    });
}

#[test]
fn the_list_of_clients_shows_who_waits() {
    both(|server| {
        let (mut a, mut b) = (connect(server), connect(server));
        let b_id = id(&mut b);
        send(&mut b, "BLMPOP 60 2 k j LEFT");
        await_waiting(&mut a, 1);
        let line = |a: &mut Client| {
            let list = a.call(&cmd!["CLIENT", "LIST", "ID", b_id]).expect("a list");
            String::from_utf8_lossy(list.text().expect("text")).into_owned()
        };
        let text = line(&mut a);
        assert!(text.contains(" flags=b ") && text.contains(" cmd=blmpop "), "{text}");
        assert_eq!(field(&mut a, "clients_in_timeout_table"), 1);
        ask(&mut a, "LPUSH j x", ":1");
        expect(&mut b, "[\"j\", [\"x\"]]");
        let text = line(&mut a);
        assert!(text.contains(" flags=N "), "{text}");
    });
}

#[test]
fn what_was_taken_stays_taken() {
    let mut server = Server::start(Program::moon()).expect("moon starts");
    let (mut a, mut b) = (connect(&server), connect(&server));
    send(&mut b, "BLMOVE k j LEFT RIGHT 0");
    await_waiting(&mut a, 1);
    ask(&mut a, "RPUSH k 1 2", ":2");
    expect(&mut b, "\"1\"");
    send(&mut b, "BZPOPMAX z 0");
    await_waiting(&mut a, 1);
    ask(&mut a, "ZADD z 1 a 2 b", ":2");
    expect(&mut b, "[\"z\", \"b\", \"2\"]");
    server.kill().expect("a kill");
    server.restart().expect("moon starts again");
    let mut a = connect(&server);
    ask(&mut a, "LRANGE k 0 -1", "[\"2\"]");
    ask(&mut a, "LRANGE j 0 -1", "[\"1\"]");
    ask(&mut a, "ZRANGE z 0 -1", "[\"a\"]");
}

#[test]
fn a_server_that_stops_lets_them_go() {
    let mut server = Server::start(Program::moon()).expect("moon starts");
    let (mut a, mut b) = (connect(&server), connect(&server));
    send(&mut b, "BLPOP k 0");
    await_waiting(&mut a, 1);
    let start = Instant::now();
    let status = server.terminate().expect("an end");
    assert!(status.success() && start.elapsed() < Duration::from_secs(8));
    assert_eq!(b.read_to_end().expect("the end"), b"");
}
