//! Goal: a script that does not end keeps nobody from the server: others are told, and can have it
//! stopped; one that has written runs to its end, and its work is done wholly or not at all. Method:
//! real sockets, against Moon and against a real Redis where it does the same.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BUSY: &str = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or \
                    SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str = "-BUSY Redis is busy running a script. You can only call FUNCTION \
                             KILL or SHUTDOWN NOSAVE.";
const FOR_EVER: &str = "while true do end";
/// Ends by itself, long after others have been told.
const A_WHILE: &str = "for i = 1, 150000000 do end";

fn start(program: Program) -> Server {
    let server = Server::start(program).expect("the server starts");
    ask(&mut connect(&server), "CONFIG SET busy-reply-threshold 50", "+OK");
    server
}

fn both(test: fn(&Server)) {
    for program in [Program::moon(), Program::redis()] {
        test(&start(program));
    }
}

fn connect(server: &Server) -> Client {
    server.client().expect("a connection")
}

fn ask(client: &mut Client, line: &str, reply: &str) {
    assert_eq!(client.line(line).expect("a reply").to_string(), reply, "for {line}");
}

fn expect(client: &mut Client, reply: &str) {
    assert_eq!(client.receive().expect("a reply").to_string(), reply);
}

fn send(client: &mut Client, command: &[Vec<u8>]) {
    client.queue(command);
    client.flush().expect("sent");
}

/// Sends a script without keys, and returns once others are told that it runs.
fn eval(client: &mut Client, other: &mut Client, script: &str) {
    send(client, &cmd!["EVAL", script, "0"]);
    await_busy(other);
}

fn await_busy(other: &mut Client) {
    for _ in 0..1000 {
        if other.line("GET k").expect("a reply").to_string().starts_with("-BUSY") {
            return;
        }
        sleep(Duration::from_millis(5));
    }
    panic!("the server is not busy");
}

#[test]
fn others_are_told_and_can_stop_it() {
    both(|server| {
        let (mut a, mut b) = (connect(server), connect(server));
        ask(&mut b, "SCRIPT KILL", "-NOTBUSY No scripts in execution right now.");
        for script in [
            FOR_EVER.to_string(),
            format!("local f = function() {FOR_EVER} end while true do pcall(f) end"),
        ] {
            eval(&mut a, &mut b, &script);
            ask(&mut b, "GET k", BUSY);
            ask(&mut b, "FUNCTION STATS", BUSY);
            ask(&mut b, "FUNCTION KILL", BUSY);
            ask(&mut b, "SHUTDOWN", BUSY);
            ask(&mut b, "MULTI", "+OK");
            ask(&mut b, "GET k", BUSY);
            let aborted = format!("-EXECABORT Transaction discarded because of: {}", &BUSY[1..]);
            ask(&mut b, "EXEC", &aborted);
            ask(&mut connect(server), "PING", BUSY);
            ask(&mut b, "SCRIPT KILL", "+OK");
            let reply = a.receive().expect("a reply").to_string();
            assert!(reply.starts_with("-ERR"), "{reply}");
            assert!(reply.contains("Script killed by user with SCRIPT KILL..."), "{reply}");
            ask(&mut b, "GET k", "nil");
        }
    });
}

#[test]
fn one_that_has_written_ends_by_itself() {
    both(|server| {
        let (mut a, mut b) = (connect(server), connect(server));
        let script =
            format!("redis.call('set', 'k', '1') {A_WHILE} redis.call('rpush', 'l', 'x') return 7");
        eval(&mut a, &mut b, &script);
        ask(&mut b, "WATCH l", "+OK");
        let reply = b.line("SCRIPT KILL").expect("a reply").to_string();
        assert!(reply.starts_with("-UNKILLABLE Sorry the script already"), "{reply}");
        expect(&mut a, ":7");
        ask(&mut b, "MULTI", "+OK");
        ask(&mut b, "PING", "+QUEUED");
        ask(&mut b, "EXEC", "nil-array");
        ask(&mut b, "GET k", "\"1\"");
        ask(&mut b, "LLEN l", ":1");
    });
}

#[test]
fn whoever_waits_is_served_when_it_has_ended() {
    both(|server| {
        let (mut a, mut b, mut c) = (connect(server), connect(server), connect(server));
        send(&mut c, &cmd!["BLPOP", "l", "0"]);
        sleep(Duration::from_millis(50));
        eval(&mut a, &mut b, &format!("redis.call('rpush', 'l', 'x') {A_WHILE}"));
        expect(&mut c, "[\"l\", \"x\"]");
        expect(&mut a, "nil");
        ask(&mut b, "EXISTS l", ":0");
    });
}

/// A script that waits for a time would never end if TIME stood still; its keys stay as they are.
#[test]
fn time_goes_on_for_it_and_its_keys_do_not_expire() {
    both(|server| {
        let mut client = connect(server);
        let script = "redis.call('set', KEYS[1], 'v', 'px', 100)
            local function now() local t = redis.call('time') return t[1] * 1000 + t[2] / 1000 end
            local start = now()
            while now() < start + 300 do end
            return redis.call('get', KEYS[1])";
        send(&mut client, &cmd!["EVAL", script, "1", "k"]);
        expect(&mut client, "\"v\"");
        ask(&mut client, "GET k", "nil");
    });
}

#[test]
fn in_a_transaction_and_of_a_client_that_goes() {
    both(|server| {
        let (mut a, mut b) = (connect(server), connect(server));
        let script = format!("redis.call('append', 'k', '1') {A_WHILE} return {{ok='DONE'}}");
        for command in [
            cmd!["MULTI"],
            cmd!["EVAL", script, "0"],
            cmd!["APPEND", "k", "2"],
            cmd!["EVAL", script, "0"],
            cmd!["GET", "k"],
            cmd!["EXEC"],
        ] {
            a.queue(&command);
        }
        a.flush().expect("sent");
        await_busy(&mut b);
        for reply in ["+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED"] {
            expect(&mut a, reply);
        }
        expect(&mut a, "[+DONE, :2, +DONE, \"121\"]");
        ask(&mut b, "GET k", "\"121\"");
        eval(&mut a, &mut b, &format!("{A_WHILE} redis.call('set', 'k', 'gone')"));
        drop(a);
        for _ in 0..1000 {
            if b.line("GET k").expect("a reply").to_string() == "\"gone\"" {
                return;
            }
            sleep(Duration::from_millis(5));
        }
        panic!("the script did not run to its end");
    });
}

#[test]
fn functions_have_their_own_words() {
    both(|server| {
        let (mut a, mut b) = (connect(server), connect(server));
        let library =
            format!("#!lua name=l\nredis.register_function('f', function() {FOR_EVER} end)");
        let loaded = b.call(&cmd!["FUNCTION", "LOAD", library]).expect("a reply");
        assert_eq!(loaded.to_string(), "\"l\"");
        send(&mut a, &cmd!["FCALL", "f", "1", "key", "arg"]);
        await_busy(&mut b);
        ask(&mut b, "GET k", BUSY_FUNCTION);
        ask(&mut b, "SCRIPT KILL", BUSY_FUNCTION);
        let stats = b.line("FUNCTION STATS").expect("a reply").to_string();
        assert!(
            stats.starts_with(
                "[\"running_script\", [\"name\", \"f\", \"command\", [\"FCALL\", \"f\", \"1\", \
                 \"key\", \"arg\"], \"duration_ms\", :"
            ),
            "{stats}"
        );
        ask(&mut b, "FUNCTION KILL", "+OK");
        let reply = a.receive().expect("a reply").to_string();
        assert!(reply.contains("Script killed by user with SCRIPT KILL..."), "{reply}");
        ask(&mut b, "GET k", "nil");
    });
}

#[test]
fn a_stop_leaves_all_or_nothing_of_it() {
    let mut server = start(Program::moon());
    let (mut a, mut b) = (connect(&server), connect(&server));
    ask(&mut b, "SET kept 1", "+OK");
    eval(&mut a, &mut b, &format!("redis.call('set', 'k', '1') {FOR_EVER}"));
    let from = Instant::now();
    send(&mut b, &cmd!["SHUTDOWN", "NOSAVE"]);
    assert_eq!(b.read_to_end().expect("the end"), b"");
    assert!(from.elapsed() < Duration::from_secs(5), "{:?}", from.elapsed());
    server.kill().expect("its end");
    server.restart().expect("moon starts again");
    let mut b = connect(&server);
    ask(&mut b, "KEYS *", "[\"kept\"]");
}
