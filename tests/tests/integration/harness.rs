//! Goal: the differential tester neither cries wolf nor sleeps. Method: a real Redis against itself
//! must show no difference; against a Redis that lies in one kind of reply, or is configured
//! otherwise, the tester must find the difference and shrink it to what matters.

use moon_tests::client::Client;
use moon_tests::diff::{Failure, Generator, Op, Pair, Proto, run, shrink};
use moon_tests::proxy::{self, Tamper};
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;
use std::sync::Arc;
use std::time::Duration;

fn pair(oracle: u16, subject: u16) -> Pair {
    let mut pair = Pair {
        oracle: Client::connect(oracle).expect("the oracle answers"),
        subject: Client::connect(subject).expect("the subject answers"),
    };
    pair.oracle.line("FLUSHALL").expect("FLUSHALL");
    pair.subject.line("FLUSHALL").expect("FLUSHALL");
    pair
}

#[test]
fn redis_does_not_differ_from_itself() {
    let [a, b] = [(); 2].map(|()| Server::start(Program::redis()).expect("redis-server starts"));
    for (seed, proto) in [(11, Proto::Resp2), (12, Proto::Resp3), (13, Proto::Both)] {
        let ops = Generator::new(seed, proto).sequence(20_000);
        let stats =
            run(&mut pair(a.port(), b.port()), &ops).unwrap_or_else(|f| panic!("seed {seed}: {f}"));
        assert!(stats.commands >= 20_000 && stats.keys > 100, "{stats:?}");
        // Neither all errors nor none: the generator hits both sides of the rules.
        assert!(
            stats.errors * 20 > stats.commands && stats.errors * 2 < stats.commands,
            "{stats:?}"
        );
    }
}

#[test]
fn the_same_seed_makes_the_same_sequence() {
    let make = |seed| format!("{:?}", Generator::new(seed, Proto::Both).sequence(2000));
    assert_eq!(make(5), make(5));
    assert_ne!(make(5), make(6));
}

/// The difference that the tester finds against `subject`, shrunk.
fn found(oracle: u16, subject: u16) -> (Vec<Op>, Failure) {
    let ops = Generator::new(21, Proto::Resp2).sequence(6000);
    let mut replay = |ops: &[Op]| run(&mut pair(oracle, subject), ops).err().map(|f| *f);
    let first = replay(&ops).expect("the tester sees no difference");
    shrink(&ops, first, Duration::from_secs(30), &mut replay)
}

fn lies(tamper: Tamper) -> (Vec<Op>, Failure) {
    let redis = [(); 2].map(|()| Server::start(Program::redis()).expect("redis-server starts"));
    let liar = proxy::start(redis[1].port(), tamper).expect("the proxy starts");
    found(redis[0].port(), liar)
}

fn named(failure: &Failure) -> String {
    String::from_utf8_lossy(&failure.command[0]).to_ascii_uppercase()
}

#[test]
fn an_integer_that_is_one_too_high_is_found_and_shrunk() {
    let (ops, failure) = lies(Arc::new(|command, reply| {
        if let (true, Value::Int(n @ 4..)) = (command[0].eq_ignore_ascii_case(b"STRLEN"), reply) {
            *n += 1;
        }
    }));
    assert_eq!(named(&failure), "STRLEN");
    assert!(ops.len() <= 3, "a write or two and the STRLEN are enough: {ops:?}");
}

#[test]
fn a_swapped_order_is_found() {
    let (_, failure) = lies(Arc::new(|command, reply| {
        if let (true, Value::Array(elements)) = (command[0].eq_ignore_ascii_case(b"LRANGE"), reply)
        {
            elements.reverse();
        }
    }));
    assert_eq!(named(&failure), "LRANGE");
}

#[test]
fn a_random_member_that_the_set_does_not_hold_is_found() {
    let (_, failure) = lies(Arc::new(|command, reply| {
        if command[0].eq_ignore_ascii_case(b"SRANDMEMBER")
            && let Value::Array(elements) = reply
            && let Some(first) = elements.first_mut()
        {
            *first = Value::Bulk(b"nowhere".to_vec());
        }
    }));
    assert_eq!(named(&failure), "SRANDMEMBER");
    assert!(failure.why.contains("not in the key"), "{failure}");
}

#[test]
fn another_error_text_is_found() {
    let (_, failure) = lies(Arc::new(|_, reply| {
        if let Value::Error(text) = reply
            && text.starts_with(b"WRONGTYPE")
        {
            text.pop();
        }
    }));
    assert!(failure.replies.is_some_and(|(oracle, _)| oracle.is_error()));
}

#[test]
fn a_wrong_expiry_is_found_by_the_state_comparison() {
    let (_, failure) = lies(Arc::new(|command, reply| {
        if let (b"PTTL", Value::Int(n @ 1..)) = (command[0].as_slice(), reply) {
            *n /= 1000;
        }
    }));
    assert_eq!(named(&failure), "PTTL");
}

#[test]
fn another_configuration_is_found_by_the_state_comparison() {
    let oracle = Server::start(Program::redis()).expect("redis-server starts");
    let other = Program::redis().with(&["--hash-max-listpack-entries", "3"]);
    let subject = Server::start(other).expect("redis-server starts");
    let (ops, failure) = found(oracle.port(), subject.port());
    assert_eq!(named(&failure), "OBJECT");
    assert!(ops.len() <= 8, "a hash of four fields is enough: {ops:?}");
}

#[test]
fn generated_scripts_have_their_names() {
    let redis = Server::start(Program::redis()).expect("redis-server starts");
    let mut client = redis.client().expect("a connection");
    for (sha, text) in moon_tests::diff::script_texts() {
        let loaded = client.call(&moon_tests::cmd!["SCRIPT", "LOAD", text]).expect("a reply");
        assert_eq!(loaded.text(), Some(sha.as_bytes()), "{text}");
    }
}
