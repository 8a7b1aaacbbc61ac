//! Goal: a real Redis can follow Moon, whatever is written and whenever it comes. Method: random commands
//! of all types run on Moon alone while a redis-server follows; then the whole states of both are compared,
//! reply by reply, as the differential tester compares two servers that were given the same commands.

use moon_tests::ask::{info, line, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::diff::{Generator, Kind, Op, Pair, Proto, run};
use moon_tests::server::{Program, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];
fn caught_up(master: &mut Client, replica: &mut Client) {
    until("the replica has everything", || {
        info(replica, "master_link_status") == "up"
            && info(replica, "slave_repl_offset") == info(master, "master_repl_offset")
    });
}

/// A replica of a replica has everything.
fn chained(master: &mut Client, last: &mut Client) {
    until("the last one has everything", || {
        info(last, "master_link_status") == "up"
            && info(last, "slave_repl_offset") == info(master, "master_repl_offset")
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
        let moon = Server::start(Program::moon().with(args).with(DEBUG)).expect("moon starts");
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

/// Moon behind a real Redis, and another Moon behind that one.
#[test]
fn a_real_redis_is_followed() {
    let redis = real_redis(&[]);
    for args in [&[] as &[&str], &["--appendfsync", "always"]] {
        let [mut first, second] = [(); 2]
            .map(|()| Server::start(Program::moon().with(args).with(DEBUG)).expect("moon starts"));
        let mut generator = Generator::new(303, Proto::Resp2);
        drive(&redis, &generator.sequence(5000));
        follow(&first, &redis);
        follow(&second, &first);
        drive(&redis, &generator.sequence(5000));
        compare(&redis, &first);
        let [mut r, mut f, mut s] =
            [&redis, &first, &second].map(|s| s.client().expect("a connection"));
        chained(&mut r, &mut s);
        compare(&redis, &second);
        assert!(line(&mut f, "SET a 1").starts_with("-READONLY"));
        assert!(line(&mut f, "CLIENT LIST TYPE master").contains(" flags=M "));
        assert!(line(&mut f, "ROLE").contains("connected"), "{}", line(&mut f, "ROLE"));

        // A link that breaks is taken up again where it was.
        let full = info(&mut r, "sync_full");
        assert_eq!(line(&mut r, "CLIENT KILL TYPE replica"), ":1");
        drive(&redis, &generator.sequence(1500));
        compare(&redis, &first);
        assert_eq!(info(&mut r, "sync_full"), full);

        // What has been followed is in the log.
        line(&mut f, "REPLICAOF NO ONE");
        first.kill().expect("a kill");
        first.restart().expect("moon starts again");
        let mut pair = Pair {
            oracle: redis.client().expect("redis answers"),
            subject: first.client().expect("moon answers"),
        };
        if let Err(failure) = run(&mut pair, &[Op::reloaded()]) {
            panic!("after kill and restart: {failure}");
        }
        line(&mut s, "REPLICAOF NO ONE");
    }
}

/// A replica is promoted; the other one follows it, and so does the old master, none with a new file.
#[test]
fn a_promoted_replica_is_followed_from_where_all_were() {
    let servers =
        [(); 3].map(|()| Server::start(Program::moon().with(DEBUG)).expect("moon starts"));
    let [old, new, sister] = &servers;
    let mut generator = Generator::new(304, Proto::Resp2);
    drive(old, &generator.sequence(3000));
    follow(new, old);
    follow(sister, old);
    drive(old, &generator.sequence(1000));
    compare(old, new);
    compare(old, sister);
    let [mut o, mut n, mut s] = [old, new, sister].map(|s| s.client().expect("a connection"));
    line(&mut n, "REPLICAOF NO ONE");
    assert_eq!(info(&mut n, "master_replid2"), info(&mut o, "master_replid"));
    follow(sister, new);
    caught_up(&mut n, &mut s);
    drive(new, &generator.sequence(1000));
    compare(new, sister);
    follow(old, new);
    compare(new, old);
    assert_eq!(info(&mut n, "sync_full"), "0");
    assert_eq!(info(&mut n, "sync_partial_ok"), "2");
    assert_eq!(info(&mut o, "master_replid"), info(&mut n, "master_replid"));
}

/// A master by hand: what it is asked, and what it answers.
struct FakeMaster {
    wire: BufReader<TcpStream>,
}

impl FakeMaster {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("it comes");
        Self { wire: BufReader::new(stream) }
    }

    /// The words of the next request.
    fn asked(&mut self) -> Vec<String> {
        let mut line = || {
            let mut text = String::new();
            self.wire.read_line(&mut text).expect("a line");
            text.trim_end().to_string()
        };
        let count = line().strip_prefix('*').and_then(|n| n.parse().ok()).expect("an array");
        (0..count)
            .map(|_| {
                line();
                line()
            })
            .collect()
    }

    fn say(&mut self, bytes: &[u8]) {
        self.wire.get_mut().write_all(bytes).expect("sent");
    }

    /// Takes the greetings; returns the words of PSYNC.
    fn greet(&mut self) -> Vec<String> {
        for (words, answer) in [
            (&["PING"][..], "+PONG"),
            (&["REPLCONF", "listening-port"], "+OK"),
            (&["REPLCONF", "capa", "eof", "capa", "psync2"], "+OK"),
            // Valkey chooses the form of its file by it, Redis does not know it.
            (&["REPLCONF", "version", "9.1.0"], "-ERR Unrecognized REPLCONF option: version"),
        ] {
            let asked = self.asked();
            assert!(
                asked.starts_with(&words.iter().map(|w| w.to_string()).collect::<Vec<_>>()),
                "{asked:?}"
            );
            self.say(format!("{answer}\r\n").as_bytes());
        }
        self.asked()
    }
}

fn followed_by_hand() -> (Server, Client, TcpListener) {
    let moon = Server::start(Program::moon()).expect("moon starts");
    let mut m = moon.client().expect("a connection");
    line(&mut m, "SET kept yes");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    assert_eq!(line(&mut m, &format!("REPLICAOF 127.0.0.1 {port}")), "OK");
    (moon, m, listener)
}

/// A master that goes away half way through its file, or sends one that does not decode, leaves the data
/// as they are.
#[test]
fn half_a_file_changes_nothing() {
    let (_moon, mut m, listener) = followed_by_hand();
    let id = "a".repeat(40);
    for file in ["$1000000\r\nREDIS0010", "$14\r\nREDIS0010\x7f\x01\x02\x03\x04"] {
        let mut master = FakeMaster::accept(&listener);
        master.greet();
        master.say(format!("+FULLRESYNC {id} 0\r\n{file}").as_bytes());
        drop(master);
    }
    let mut again = FakeMaster::accept(&listener);
    assert_eq!(again.greet(), ["PSYNC", "?", "-1"]);
    assert_eq!(line(&mut m, "GET kept"), "yes");
    line(&mut m, "CONFIG SET replica-serve-stale-data no");
    assert!(line(&mut m, "GET kept").starts_with("-MASTERDOWN"));
    line(&mut m, "REPLICAOF NO ONE");
    assert_eq!(line(&mut m, "GET kept"), "yes");
}

/// A link that breaks inside a transaction is taken up again in front of it: nothing is missing, and nothing
/// is done twice.
#[test]
fn a_break_inside_a_transaction_counts_what_was_done() {
    let (_moon, mut m, listener) = followed_by_hand();
    let id = "b".repeat(40);
    let incr = "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n";
    let select = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
    let multi = "*1\r\n$5\r\nMULTI\r\n";
    let exec = "*1\r\n$4\r\nEXEC\r\n";
    let mut master = FakeMaster::accept(&listener);
    assert_eq!(master.greet(), ["PSYNC", "?", "-1"]);
    // An empty file without a checksum.
    master.say(format!("+FULLRESYNC {id} 100\r\n$18\r\nREDIS0010").as_bytes());
    master.say(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    master.say(format!("{select}{incr}{multi}{incr}").as_bytes());
    m.line("SELECT 3").expect("a reply");
    until("the first one is done", || line(&mut m, "GET a") == "1");
    drop(master);
    let mut again = FakeMaster::accept(&listener);
    let at = 100 + select.len() + incr.len() + 1;
    assert_eq!(again.greet(), ["PSYNC", &id, &at.to_string()]);
    // The database of the stream is the one it was.
    again.say(format!("+CONTINUE\r\n{multi}{incr}{incr}{exec}").as_bytes());
    until("the transaction is done", || line(&mut m, "GET a") == "3");
    // What a pause holds back is not counted before it has been done.
    line(&mut m, "CLIENT PAUSE 60000 WRITE");
    again.say(incr.as_bytes());
    until("it is held", || info(&mut m, "blocked_clients") == "1");
    drop(again);
    let mut third = FakeMaster::accept(&listener);
    let at = at + multi.len() + 2 * incr.len() + exec.len();
    assert_eq!(third.greet(), ["PSYNC", &id, &at.to_string()]);
    third.say(format!("+CONTINUE\r\n{incr}").as_bytes());
    line(&mut m, "CLIENT UNPAUSE");
    until("it is done", || line(&mut m, "GET a") == "4");
}

#[test]
fn a_replica_hides_what_has_expired_and_waits_for_its_master() {
    let [master, replica] =
        [(); 2].map(|()| Server::start(Program::moon().with(DEBUG)).expect("moon starts"));
    follow(&replica, &master);
    let [mut m, mut r] = [&master, &replica].map(|s| s.client().expect("a connection"));
    line(&mut m, "DEBUG SET-ACTIVE-EXPIRE 0");
    line(&mut m, "SET soon gone PX 50");
    caught_up(&mut m, &mut r);
    sleep(Duration::from_millis(100));
    assert_eq!(line(&mut r, "GET soon"), "nil");
    assert_eq!(line(&mut r, "DBSIZE"), ":1");
    assert_eq!(line(&mut m, "GET soon"), "nil");
    until("the master's DEL comes", || line(&mut r, "DBSIZE") == ":0");
}

#[test]
fn who_waits_is_told_when_the_server_becomes_a_replica() {
    let moon = Server::start(Program::moon()).expect("moon starts");
    let [mut waiter, mut m] = [(); 2].map(|()| moon.client().expect("a connection"));
    waiter.queue(&cmd!["BLPOP", "list", "0"]);
    waiter.flush().expect("sent");
    until("it waits", || info(&mut m, "blocked_clients") == "1");
    line(&mut m, "REPLICAOF 127.0.0.1 1");
    assert!(waiter.receive().expect("a reply").to_string().starts_with("-UNBLOCKED"));
    assert_eq!(line(&mut m, "REPLICAOF NO ONE"), "OK");
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
