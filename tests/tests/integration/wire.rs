//! Goal: the byte level of the protocol, good and bad. Method: raw bytes on a fresh connection, the
//! raw answer until the server closes; the same table against a real Redis, so that it is true.

use moon_tests::client::Client;
use moon_tests::rng::Rng;
use moon_tests::server::{Program, Server};
use moon_tests::value::{Value, quoted};
use std::time::Duration;

/// What is sent and the whole answer; each case ends in QUIT or in a protocol error.
const CASES: [(&str, &str); 22] = [
    ("PING\r\nQUIT\r\n", "+PONG\r\n+OK\r\n"),
    ("PING\nQUIT\n", "+PONG\r\n+OK\r\n"),
    ("\r\n\r\nQUIT\r\n", "+OK\r\n"),
    ("*0\r\n*-1\r\nQUIT\r\n", "+OK\r\n"),
    ("ECHO \"a b\\x41\\n\"\r\nQUIT\r\n", "$5\r\na bA\n\r\n+OK\r\n"),
    ("ECHO 'a\\'b'\r\nQUIT\r\n", "$3\r\na'b\r\n+OK\r\n"),
    ("*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\nQUIT\r\n", "+PONG\r\n$0\r\n\r\n+OK\r\n"),
    (
        "*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n",
        "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
    ),
    ("*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
    ("*1\r\n:4\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"),
    ("*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
    ("*1\r\n$abc\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
    ("*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
    ("ECHO \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ("ECHO \"a\"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ("POST / HTTP/1.1\r\nPING\r\n", ""),
    ("Host: x\r\nPING\r\n", ""),
    ("QUIT\r\nPING\r\n", "+OK\r\n"),
    ("GET\r\nQUIT\r\n", "-ERR wrong number of arguments for 'get' command\r\n+OK\r\n"),
    (
        "FOO a b\r\nQUIT\r\n",
        "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n+OK\r\n",
    ),
    ("CONFIG NOSUCH\r\nQUIT\r\n", "-ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.\r\n+OK\r\n"),
    ("SELECT 99\r\nQUIT\r\n", "-ERR DB index is out of range\r\n+OK\r\n"),
];

fn answer(port: u16, input: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(port).expect("a connection");
    client.set_patience(Duration::from_secs(10)).expect("a timeout");
    client.send_raw(input).expect("the input is taken");
    client
        .read_to_end()
        .unwrap_or_else(|e| panic!("{}: the server does not close: {e}", quoted(input)))
}

fn table_holds(port: u16) {
    for (input, expected) in CASES {
        let got = answer(port, input.as_bytes());
        assert_eq!(quoted(&got), quoted(expected.as_bytes()), "for {}", quoted(input.as_bytes()));
    }
    let long = |mark: &str| [mark.as_bytes(), &b"1".repeat(70_000)].concat();
    for (mark, what) in
        [("*", "mbulk count string"), ("*1\r\n$", "bulk count string"), ("a", "inline request")]
    {
        let expected = format!("-ERR Protocol error: too big {what}\r\n");
        assert_eq!(quoted(&answer(port, &long(mark))), quoted(expected.as_bytes()));
    }
}

#[test]
fn the_table_holds_on_redis() {
    table_holds(Server::start(Program::redis()).expect("redis-server starts").port());
}

#[test]
fn the_table_holds_on_moon() {
    table_holds(Server::start(Program::moon()).expect("moon starts").port());
}

/// A request cut at every byte, with a pause at the cut, is the same request.
#[test]
fn a_request_may_arrive_in_any_pieces() {
    let server = Server::start(Program::moon()).expect("moon starts");
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nvalue\r\nvalue\r\nGET k\r\nQUIT\r\n";
    for cut in 1..input.len() {
        let mut client = server.client().expect("a connection");
        client.send_raw(&input[..cut]).expect("the first piece");
        std::thread::sleep(Duration::from_millis(1));
        client.send_raw(&input[cut..]).expect("the second piece");
        let got = client.read_to_end().expect("an answer");
        assert_eq!(
            quoted(&got),
            quoted(b"+OK\r\n$12\r\nvalue\r\nvalue\r\n+OK\r\n"),
            "cut at {cut}"
        );
    }
}

/// Noise on many connections: each is answered or closed, and the server serves on.
#[test]
fn garbage_does_not_disturb_the_server() {
    let mut server = Server::start(Program::moon()).expect("moon starts");
    let mut witness = server.client().expect("a connection");
    witness.line("SET k v").expect("SET");
    let mut rng = Rng::new(7);
    for round in 0..300 {
        let mut client = server.client().expect("a connection");
        let mut noise: Vec<u8> = (0..rng.below(400)).map(|_| rng.bits() as u8).collect();
        if round % 2 == 0 {
            // Close to the real thing: valid requests with some bytes changed. None of their pieces
            // names a command that would stop or empty the server.
            noise = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nabc\r\nGET a\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(3);
            for _ in 0..4 {
                let at = rng.below(noise.len());
                noise[at] = rng.bits() as u8;
            }
        }
        client.send_raw(&noise).expect("the noise is taken");
        if round % 10 == 0 {
            assert_eq!(witness.line("GET k").expect("GET"), Value::Bulk(b"v".to_vec()));
        }
    }
    assert!(server.is_running(), "{}", server.log_text());
    assert_eq!(witness.line("PING").expect("PING"), Value::Simple(b"PONG".to_vec()));
}

/// An announced count or length allocates nothing before its bytes come.
#[test]
fn large_announcements_cost_nothing() {
    let server = Server::start(Program::moon()).expect("moon starts");
    let before = resident_kib(server.pid());
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = server.client().expect("a connection");
        client.send_raw(b"*1000000\r\n$500000000\r\nab").expect("sent");
        clients.push(client);
    }
    assert_eq!(
        server.client().and_then(|mut c| c.line("PING")).expect("PING"),
        Value::Simple(b"PONG".to_vec())
    );
    let grown = resident_kib(server.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB for a hundred announcements");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}
