//! Goal: hot keys are found, by whoever asks beforehand and by whoever asks only afterwards. Method: skewed
//! traffic whose shape is known.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::rng::Rng;
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;
use std::collections::BTreeMap;

/// The one map of HOTKEYS GET.
fn report(client: &mut Client) -> BTreeMap<String, Value> {
    let reply = client.line("HOTKEYS GET").unwrap();
    let Value::Array(nodes) = reply else { panic!("{reply}") };
    assert_eq!(nodes.len(), 1);
    let text = |v: &Value| String::from_utf8(v.text().expect("a name").to_vec()).unwrap();
    match &nodes[0] {
        Value::Array(flat) => flat.chunks(2).map(|p| (text(&p[0]), p[1].clone())).collect(),
        Value::Map(pairs) => pairs.iter().map(|(k, v)| (text(k), v.clone())).collect(),
        other => panic!("{other}"),
    }
}

/// Keys and sums of a list.
fn top(report: &BTreeMap<String, Value>, name: &str) -> Vec<(String, i64)> {
    let Value::Array(flat) = &report[name] else { panic!("{name}") };
    let pair = |p: &[Value]| match (&p[0], &p[1]) {
        (Value::Bulk(key), Value::Int(n)) => (String::from_utf8(key.clone()).unwrap(), *n),
        other => panic!("{other:?}"),
    };
    flat.chunks(2).map(pair).collect()
}

fn int(report: &BTreeMap<String, Value>, name: &str) -> i64 {
    match report[name] {
        Value::Int(n) => n,
        ref other => panic!("{name}: {other}"),
    }
}

fn ok(client: &mut Client, line: &str) {
    assert_eq!(client.line(line).unwrap().to_string(), "+OK", "{line}");
}

/// Pipelined writes, four of five to one of 20 hot keys out of 100.
fn skewed(client: &mut Client, n: usize) {
    let mut rng = Rng::new(11);
    for chunk in 0..n / 500 {
        for i in 0..500 {
            let key = if rng.below(5) < 4 { rng.below(20) } else { 20 + rng.below(80) };
            client.queue(&cmd!["SET", format!("key:{key}"), format!("value {chunk} {i}")]);
        }
        client.flush().unwrap();
        (0..500).for_each(|_| assert!(!client.receive().unwrap().is_error()));
    }
}

/// How many of the keys are hot ones.
fn hot(list: &[(String, i64)]) -> usize {
    let number = |key: &str| key.strip_prefix("key:").and_then(|n| n.parse::<usize>().ok());
    list.iter().filter(|(key, _)| number(key).is_some_and(|n| n < 20)).count()
}

#[test]
fn sessions_find_hot_keys_at_every_ratio() {
    let server = Server::start(Program::moon()).unwrap();
    let mut client = server.client().unwrap();
    for ratio in [1, 10, 100] {
        ok(&mut client, &format!("HOTKEYS START METRICS 2 CPU NET SAMPLE {ratio}"));
        skewed(&mut client, 20_000);
        let running = report(&mut client);
        assert_eq!((int(&running, "tracking-active"), int(&running, "sample-ratio")), (1, ratio));
        ok(&mut client, "HOTKEYS STOP");
        let got = report(&mut client);
        assert_eq!(int(&got, "tracking-active"), 0);
        for name in ["by-cpu-time-us", "by-net-bytes"] {
            let list = top(&got, name);
            assert_eq!(list.len(), 10, "{name}");
            assert!(hot(&list) >= 7, "{name} at {ratio}: {list:?}");
            assert!(list.windows(2).all(|w| w[0].1 >= w[1].1), "{list:?}");
        }
        let all = int(&got, "net-bytes-all-commands-all-slots");
        // 20,000 requests of some 40 bytes with replies of 5.
        assert!((20_000 * 40..20_000 * 60).contains(&all), "{all}");
        let part = int(&got, "total-net-bytes") * ratio;
        assert!(part > all / 2 && part < all * 2, "{part} of {all}");
        assert!(int(&got, "all-commands-all-slots-us") > 0);
        assert!(int(&got, "collection-duration-ms") < 60_000);
        ok(&mut client, "HOTKEYS RESET");
    }
}

#[test]
fn only_what_was_asked_for_is_told_and_sessions_end_by_themselves() {
    let server = Server::start(Program::moon()).unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("HOTKEYS GET").unwrap().to_string(), "nil", "nothing has been seen");
    ok(&mut client, "HOTKEYS START METRICS 1 CPU DURATION 1 COUNT 1");
    ok(&mut client, "MSET a 1 b 2");
    let script = "return redis.call('SET', KEYS[1], 1)";
    assert_eq!(client.call(&cmd!["EVAL", script, 1, "c"]).unwrap().to_string(), "+OK");
    ok(&mut client, "MULTI");
    client.line("INCR n").unwrap();
    client.line("EXEC").unwrap();
    let got = report(&mut client);
    assert!(got.contains_key("total-cpu-time-user-ms") && got.contains_key("by-cpu-time-us"));
    assert!(!got.contains_key("by-net-bytes") && !got.contains_key("total-net-bytes"));
    assert!(top(&got, "by-cpu-time-us").len() <= 1);
    assert_eq!(int(&got, "tracking-active"), 1);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let got = report(&mut client);
    assert_eq!((int(&got, "tracking-active"), int(&got, "collection-duration-ms")), (0, 1000));
    ok(&mut client, "HOTKEYS START METRICS 1 NET");
    ok(&mut client, "MSET a 1 b 2");
    client.call(&cmd!["EVAL", "redis.call('SET', 'y', 1)", 1, "x"]).unwrap();
    let list = top(&report(&mut client), "by-net-bytes");
    let sum = |key: &str| list.iter().find(|(k, _)| k == key).map_or(0, |(_, n)| *n);
    // The request has 42 bytes, its reply 5; both keys share them.
    assert_eq!((sum("a"), sum("b")), (23, 23), "{list:?}");
    assert!(sum("x") > 50 && sum("y") == 0, "{list:?}");
}

#[test]
fn hot_keys_are_known_without_a_session() {
    let server = Server::start(Program::moon()).unwrap();
    let mut client = server.client().unwrap();
    skewed(&mut client, 100_000);
    let got = report(&mut client);
    assert_eq!((int(&got, "tracking-active"), int(&got, "sample-ratio")), (0, 512));
    let list = top(&got, "by-net-bytes");
    assert!(hot(&list) >= 7, "{list:?}");
    assert!(hot(&top(&got, "by-cpu-time-us")) >= 5);
    ok(&mut client, "HOTKEYS RESET");
}
