//! Goal: what the server shows and enforces about its clients is true: the order in which monitors see
//! commands, the figures of CLIENT LIST, the cap of all clients' memory. Method: real sockets, against
//! Moon and, where it says the same, a real Redis.

use moon_tests::client::Client;
use moon_tests::server::{Program, Server};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn connect(server: &Server) -> Client {
    server.client().expect("a connection")
}

fn ask(client: &mut Client, words: &[&str]) -> String {
    let words: Vec<Vec<u8>> = words.iter().map(|w| w.as_bytes().to_vec()).collect();
    client.call(&words).expect("a reply").to_string()
}

/// The next command a monitor sees, without its time and the port of its client.
fn seen(monitor: &mut Client) -> String {
    let line = monitor.receive().expect("a line").to_string();
    let (_, rest) = line.split_once('[').expect("an origin");
    let (from, command) = rest.split_once("] ").expect("a command");
    let from = from.rsplit_once(':').map_or(from, |(host, _)| host);
    format!("{from}: {command}")
}

#[test]
fn monitors_see_commands_in_their_order() {
    for program in [Program::moon(), Program::redis()] {
        let server = Server::start(program).expect("the server starts");
        let [mut monitor, mut a, mut b] = [(); 3].map(|()| connect(&server));
        assert_eq!(ask(&mut monitor, &["MONITOR"]), "+OK");
        // A script comes before its commands, which are shown as its own.
        ask(&mut a, &["EVAL", "return redis.call('set', KEYS[1], 'v')", "1", "k"]);
        let eval = r#"0 127.0.0.1: "EVAL" "return redis.call('set', KEYS[1], 'v')" "1" "k""#;
        assert_eq!(seen(&mut monitor), eval);
        assert_eq!(seen(&mut monitor), r#"0 lua: "set" "k" "v""#);
        // EXEC comes after what it runs; one that is refused is shown all the same.
        for words in [&["MULTI"] as &[&str], &["SET", "k", "w"], &["EXEC"]] {
            ask(&mut a, words);
        }
        for name in [r#""MULTI""#, r#""SET" "k" "w""#, r#""EXEC""#] {
            assert_eq!(seen(&mut monitor), format!("0 127.0.0.1: {name}"));
        }
        ask(&mut a, &["MULTI"]);
        ask(&mut a, &["SET", "k", "w"]);
        ask(&mut b, &["CONFIG", "SET", "maxmemory", "1"]);
        assert!(ask(&mut a, &["EXEC"]).starts_with("-EXECABORT Transaction discarded because of"));
        ask(&mut b, &["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(seen(&mut monitor), r#"0 127.0.0.1: "MULTI""#);
        assert_eq!(seen(&mut monitor), r#"0 127.0.0.1: "EXEC""#);
        // What waits is shown when it begins to, and once.
        let words: Vec<Vec<u8>> = ["BLPOP", "list", "0"].map(|w| w.as_bytes().to_vec()).to_vec();
        b.queue(&words);
        b.flush().expect("sent");
        assert_eq!(seen(&mut monitor), r#"0 127.0.0.1: "BLPOP" "list" "0""#);
        ask(&mut a, &["RPUSH", "list", "x"]);
        b.receive().expect("the element");
        ask(&mut a, &["ECHO", "end"]);
        assert_eq!(seen(&mut monitor), r#"0 127.0.0.1: "RPUSH" "list" "x""#);
        assert_eq!(seen(&mut monitor), r#"0 127.0.0.1: "ECHO" "end""#);
    }
}

fn field(line: &str, name: &str) -> String {
    let word = line.split([' ', '"', '\n']).find_map(|w| w.strip_prefix(&format!("{name}=")));
    word.unwrap_or_else(|| panic!("no {name} in {line}")).to_string()
}

#[test]
fn the_client_that_asks_sees_its_own_request() {
    for program in [Program::moon(), Program::redis()] {
        let server = Server::start(program).expect("the server starts");
        let mut client = connect(&server);
        for _ in 0..3 {
            let line = ask(&mut client, &["CLIENT", "INFO"]);
            // The length of this very request; nothing is left to send of those before.
            assert_eq!(field(&line, "qbuf"), "26", "{line}");
            assert_eq!(field(&line, "omem"), "0", "{line}");
            assert_eq!(field(&line, "events"), "r", "{line}");
        }
    }
}

#[test]
fn the_largest_clients_go_when_all_take_too_much() {
    for program in [Program::moon(), Program::redis()] {
        let server = Server::start(program).expect("the server starts");
        let [mut admin, mut small, mut large, mut spared] = [(); 4].map(|()| connect(&server));
        assert_eq!(ask(&mut spared, &["CLIENT", "NO-EVICT", "ON"]), "+OK");
        assert_eq!(ask(&mut admin, &["CONFIG", "SET", "maxmemory-clients", "3mb"]), "+OK");
        // Half of a request of 2 MiB each: the two together are over the cap.
        let half = [b"*2\r\n$4\r\nECHO\r\n$2097152\r\n".as_slice(), &[b'x'; 2_000_000]].concat();
        spared.send_raw(&half).expect("sent");
        large.send_raw(&half).expect("sent");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ask(&mut admin, &["INFO", "stats"]).contains("evicted_clients:1") {
            assert!(Instant::now() < deadline, "nobody was closed");
            sleep(Duration::from_millis(10));
        }
        assert!(large.receive().is_err());
        assert_eq!(ask(&mut small, &["PING"]), "+PONG");
        spared.send_raw(&[&[b'x'; 97_152] as &[u8], b"\r\n"].concat()).expect("sent");
        assert_eq!(spared.receive().expect("a reply").to_string().len(), 2_097_152 + 2);
    }
}

#[test]
fn the_port_can_be_changed() {
    for program in [Program::moon(), Program::redis()] {
        let server = Server::start(program).expect("the server starts");
        let mut client = connect(&server);
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken_port = taken.local_addr().expect("an address").port().to_string();
        let refused = ask(&mut client, &["CONFIG", "SET", "maxmemory", "5mb", "port", &taken_port]);
        let why = "argument 'port') - Unable to listen on this port";
        assert!(
            refused.starts_with("-ERR CONFIG SET failed") && refused.contains(why),
            "{refused}"
        );
        assert_eq!(ask(&mut client, &["CONFIG", "GET", "maxmemory"]), r#"["maxmemory", "0"]"#);
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        assert_eq!(ask(&mut client, &["CONFIG", "SET", "port", &port.to_string()]), "+OK");
        // The client that asked stays; others find the new port, and the old one only until a turn has passed.
        let mut other = Client::connect(port).expect("the new port");
        assert_eq!(ask(&mut other, &["PING"]), "+PONG");
        assert_eq!(ask(&mut client, &["PING"]), "+PONG");
        assert!(Client::connect(server.port()).is_err());
        assert!(ask(&mut other, &["INFO", "server"]).contains(&format!("tcp_port:{port}")));
        assert_eq!(ask(&mut client, &["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"]), "+OK");
        assert_eq!(ask(&mut other, &["PING"]), "+PONG");
        assert!(TcpStream::connect(("127.0.0.2", port)).is_ok());
        assert_eq!(ask(&mut client, &["CONFIG", "SET", "bind", "-192.0.2.1 127.0.0.1"]), "+OK");
        assert!(TcpStream::connect(("127.0.0.2", port)).is_err());
        // Back, so that the server can be stopped as it was started.
        let old = server.port().to_string();
        assert_eq!(ask(&mut client, &["CONFIG", "SET", "port", &old]), "+OK");
    }
}

#[test]
fn refusals_and_times_are_counted_by_command() {
    for program in [Program::moon(), Program::redis()] {
        let server = Server::start(program).expect("the server starts");
        let mut client = connect(&server);
        assert!(ask(&mut client, &["SET", "k"]).starts_with("-ERR wrong number"));
        assert!(ask(&mut client, &["CLIENT", "KILL"]).starts_with("-ERR wrong number"));
        let info = ask(&mut client, &["INFO", "commandstats"]);
        for name in ["cmdstat_set:calls=0", "cmdstat_client|kill:calls=0"] {
            let row = info.split("\\r\\n").find(|row| row.contains(name));
            let row = row.unwrap_or_else(|| panic!("no {name} in {info}"));
            assert!(row.contains("rejected_calls=1,failed_calls=0"), "{row}");
        }
        let percentiles = |client: &mut Client| ask(client, &["INFO", "latencystats"]);
        ask(&mut client, &["CONFIG", "SET", "latency-tracking", "no"]);
        ask(&mut client, &["SET", "k", "v"]);
        assert!(!percentiles(&mut client).contains("usec_set:"));
        let set = ["latency-tracking", "yes", "latency-tracking-info-percentiles", "0.0 50 100"];
        assert_eq!(ask(&mut client, &[&["CONFIG", "SET"], &set[..]].concat()), "+OK");
        ask(&mut client, &["SET", "k", "v"]);
        let shown = percentiles(&mut client);
        let row = shown.split("latency_percentiles_usec_set:").nth(1).expect("a row");
        let at = |name: &str| row.find(name).unwrap_or_else(|| panic!("no {name} in {row}"));
        assert!(at("p0=") < at(",p50=") && at(",p50=") < at(",p100="));
        ask(&mut client, &["WATCH", "a", "b", "a"]);
        assert!(
            ask(&mut client, &["INFO", "clients"]).contains("watching_clients:1")
                || program_is_old(&mut client)
        );
    }
}

/// Redis 7.0 counts no watched keys.
fn program_is_old(client: &mut Client) -> bool {
    ask(client, &["INFO", "server"]).contains("redis_version:7.0")
}
