//! Goal: values go from server to server unharmed. Method: random values, dumped by one and restored by the
//! other. A reference that is older than the version Moon writes only gives; `moon-exchange --reference PATH`
//! does both with any other.

use moon_tests::exchange::run;
use moon_tests::server::{Program, Server};

#[test]
fn values_arrive() {
    let redis = Server::start(Program::redis()).expect("redis-server starts");
    let moon = Server::start(Program::moon()).expect("moon starts");
    let mut clients =
        [redis.client().expect("redis answers"), moon.client().expect("moon answers")];
    let [redis, moon] = &mut clients;
    let outcome = run(redis, moon, 1, 1500).expect("both answer").unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(outcome.arrived.values().sum::<usize>(), 1500);
    run(moon, redis, 2, 1500).expect("both answer").unwrap_or_else(|f| panic!("{f}"));
}
