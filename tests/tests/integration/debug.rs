//! Goal: DEBUG does what it says. Method: a server that allows it, beside a real Redis where both must
//! come out the same.

use moon_tests::cmd;
use moon_tests::diff::{Generator, Op, Proto};
use moon_tests::server::{Program, Server};

fn start(program: Program) -> Server {
    Server::start(program.with(&["--enable-debug-command", "yes"])).expect("the server starts")
}

#[test]
fn digests_are_those_of_a_real_redis() {
    let (redis, moon) = (start(Program::redis()), start(Program::moon()));
    let (mut oracle, mut subject) =
        (redis.client().expect("redis answers"), moon.client().expect("moon answers"));
    let groups = [moon_tests::diff::Group::Strings, moon_tests::diff::Group::Lists];
    let ops: Vec<Op> = Generator::new(7, Proto::Resp2).only(&groups).sequence(3000);
    for command in ops.iter().flat_map(|op| &op.commands) {
        // A blocking command would wait, and one that Moon lacks would make a difference.
        if command[0].starts_with(b"B") {
            continue;
        }
        oracle.call(command).expect("redis answers");
        subject.call(command).expect("moon answers");
    }
    for line in ["EXEC", "SELECT 0"] {
        oracle.line(line).expect("redis answers");
        subject.line(line).expect("moon answers");
    }
    let digest = oracle.line("DEBUG DIGEST").expect("a digest");
    assert_eq!(subject.line("DEBUG DIGEST").expect("a digest"), digest);
    assert_ne!(digest.to_string(), format!("+{}", "0".repeat(40)), "there is something to digest");
}

#[test]
fn populate_survives_a_kill() {
    let mut moon = start(Program::moon());
    let mut client = moon.client().expect("moon answers");
    let mut ask = |line: &str| client.line(line).expect("moon answers").to_string();
    assert_eq!(ask("SET foo:7 kept"), "+OK");
    assert_eq!(ask("DEBUG POPULATE 2500 foo 10"), "+OK");
    assert_eq!(ask("DBSIZE"), ":2500");
    assert_eq!(ask("GET foo:7"), "\"kept\"");
    assert_eq!(ask("STRLEN foo:2499"), ":10");
    let digest = ask("DEBUG DIGEST");
    moon.kill().expect("a kill");
    moon.restart().expect("moon starts again");
    let mut client = moon.client().expect("moon answers");
    assert_eq!(client.line("DEBUG DIGEST").expect("moon answers").to_string(), digest);
}

#[test]
fn what_is_not_provided_is_refused_with_the_reason() {
    let moon = start(Program::moon());
    let mut client = moon.client().expect("moon answers");
    let mut ask = |line: &str| client.line(line).expect("moon answers").to_string();
    assert!(ask("DEBUG SEGFAULT").starts_with("-ERR DEBUG SEGFAULT is not provided: use PANIC"));
    assert!(ask("DEBUG FOO").starts_with("-ERR unknown subcommand or wrong number of arguments"));
    assert_eq!(ask("DEBUG OBJECT none"), "-ERR no such key");
    assert_eq!(ask("SET k 12345"), "+OK");
    assert!(ask("DEBUG OBJECT k").contains("encoding:int serializedlength:3 lru:"));
    assert_eq!(ask("DEBUG STRINGMATCH-LEN a*c abbc"), ":1");
    assert!(ask("DEBUG HTSTATS 0").contains("number of elements: 1"));
    assert_eq!(ask("DEBUG HTSTATS 99"), "-ERR Out of range database");
    assert_eq!(ask("DEBUG SLEEP x"), "-ERR value is not a valid float");
    let slept = client.call(&cmd!["DEBUG", "SLEEP", "0\r\n"]).expect("moon answers");
    assert_eq!(slept.to_string(), "+OK");
}

#[test]
fn nothing_expires_while_the_cron_is_paused() {
    let moon = start(Program::moon());
    let mut client = moon.client().expect("moon answers");
    let mut ask = |line: &str| client.line(line).expect("moon answers").to_string();
    assert_eq!(ask("DEBUG PAUSE-CRON 1"), "+OK");
    assert_eq!(ask("SET k v PX 1"), "+OK");
    assert_eq!(ask("DEBUG SLEEP 0.3"), "+OK");
    assert_eq!(ask("DBSIZE"), ":1");
    assert_eq!(ask("DEBUG PAUSE-CRON 0"), "+OK");
    let gone = (0..100).any(|_| ask("DEBUG SLEEP 0.05") == "+OK" && ask("DBSIZE") == ":0");
    assert!(gone, "expiry goes on");
}
