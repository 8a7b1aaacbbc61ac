//! Goal: Moon answers as Redis does. Method: the differential tester against a real Redis; then the
//! server is killed and started again, and its whole state is compared once more.

use crate::LACKING;
use moon_tests::client::Client;
use moon_tests::diff::{Generator, Op, Pair, Proto, lacking, run, without};
use moon_tests::server::{Program, Server};

fn compare(seed: u64, proto: Proto, commands: usize) {
    let oracle = Server::start(Program::redis()).expect("redis-server starts");
    let mut subject = Server::start(Program::moon()).expect("moon starts");
    let connect = |subject: &Server| Pair {
        oracle: oracle.client().expect("the oracle answers"),
        subject: Client::connect(subject.port()).expect("moon answers"),
    };
    let mut ops = Generator::new(seed, proto).sequence(commands);
    let mut pair = connect(&subject);
    let lacks = lacking(&ops, &mut pair.oracle, &mut pair.subject).expect("COMMAND INFO");
    assert_eq!(Vec::from_iter(&lacks), LACKING);
    without(&mut ops, &lacks);
    let replay =
        format!("cargo run -p moon-tests --bin moon-diff -- --seed {seed} --commands {commands}");
    if let Err(failure) = run(&mut pair, &ops) {
        panic!(
            "{failure}\nthe minimal sequence: {replay} --resp {proto:?}\n{}",
            subject.log_text()
        );
    }
    for _ in 0..2 {
        subject.kill().expect("a kill");
        subject.restart().expect("moon starts again");
        if let Err(failure) = run(&mut connect(&subject), &[Op::reloaded()]) {
            panic!("after kill and restart: {failure}\n{replay}");
        }
    }
}

#[test]
fn in_resp2() {
    compare(101, Proto::Resp2, 40_000);
}

#[test]
fn in_resp3() {
    compare(102, Proto::Resp3, 40_000);
}

#[test]
fn changing_between_the_protocols() {
    compare(103, Proto::Both, 40_000);
}
