//! Goal: changes are pushed in order, as far as the subscriber lets them. Method: pushes against writes, with
//! credit and with a connection that takes nothing.

use super::{SYNCED, field, gist, pushed, start};
use moon_tests::ask::{line, until};
use moon_tests::cmd;

#[test]
fn changes_are_pushed_as_far_as_credit_goes() {
    for proto in [2, 3] {
        let (_server, mut c) = start(SYNCED);
        line(&mut c, "SET a 1");
        let mut s = c.another().expect("a connection");
        line(&mut s, &format!("HELLO {proto}"));
        assert_eq!(line(&mut s, "CDC.SUBSCRIBE * 1 CREDIT 2 MATCH a"), "OK");
        let first = pushed(&mut s);
        assert_eq!(first[..4], ["cdc", "event", "0", "2"]);
        assert_eq!(gist(&first[4..]), ["c a SET"]);
        line(&mut c, "SET a 2");
        line(&mut c, "SET b 2");
        line(&mut c, "SET a 3");
        assert_eq!(gist(&pushed(&mut s)[4..]), ["u a SET"]);
        if proto == 2 {
            assert!(line(&mut s, "GET a").starts_with("-ERR Can't execute 'get'"));
        } else {
            assert_eq!(line(&mut s, "GET a"), "3");
        }
        let listed = line(&mut c, "CLIENT LIST");
        assert!(listed.contains(" cdc-cursor=") && listed.contains(" cdc-lag="), "{listed}");
        assert_eq!(line(&mut s, "CDC.CREDIT 1"), ":1");
        assert_eq!(gist(&pushed(&mut s)[4..]), ["u a SET"]);
        assert_eq!(moon_tests::ask::info(&mut c, "cdc_subscribers"), "1");
        assert_eq!(line(&mut s, "CDC.UNSUBSCRIBE"), "OK");
        line(&mut c, "SET a 4");
        assert_eq!(line(&mut s, "GET a"), "4");
        drop(s);
        until("nobody follows", || moon_tests::ask::info(&mut c, "cdc_subscribers") == "0");
    }
}

#[test]
fn a_slow_subscriber_costs_no_memory_and_misses_nothing() {
    let (server, mut c) = start(&["--appendfsync", "no"]);
    let mut s = c.another().expect("a connection");
    assert_eq!(line(&mut s, "CDC.SUBSCRIBE 0 $"), "OK");
    let value = "v".repeat(1000);
    for _ in 0..20 {
        (0..1000).for_each(|i| c.queue(&cmd!["SET", format!("k{i}"), value.clone()]));
        c.flush().expect("sent");
        (0..1000).for_each(|_| drop(c.receive().expect("a reply")));
    }
    let listed = line(&mut c, "CLIENT LIST");
    let omem = listed.split("cdc-cursor").next().and_then(|l| l.rsplit("omem=").next());
    let omem: u64 =
        omem.and_then(|o| o.split(' ').next()).expect("omem").parse().expect("a number");
    assert!(omem < 8 << 20, "{omem}");
    let mut lsns = std::collections::BTreeSet::new();
    for n in 1..=20_000 {
        let push = pushed(&mut s);
        assert_eq!((&push[1], &push[3]), (&"event".to_string(), &(n + 1).to_string()));
        assert!(lsns.insert(field(&push[4], "lsn")));
    }
    drop(server);
}
