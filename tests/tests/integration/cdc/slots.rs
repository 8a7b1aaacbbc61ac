//! Goal: a slot keeps the log for its reader, as long as it may. Method: rewrites, kills and limits while slots
//! stand still.

use super::{read, start};
use moon_tests::ask::{line, until};
use moon_tests::client::Client;
use moon_tests::cmd;

#[test]
fn slots_keep_the_log_over_rewrites_and_starts() {
    let args = ["--wal-segment-size", "64kb", "--cdc-retain-bytes", "0", "--appendfsync", "no"];
    let (mut server, mut c) = start(&args);
    let fill = |c: &mut Client| {
        (0..3000).for_each(|i| c.queue(&cmd!["SET", format!("k{}", i % 50), "v".repeat(100)]));
        c.flush().expect("sent");
        (0..3000).for_each(|_| drop(c.receive().expect("a reply")));
    };
    let rewrite = |c: &mut Client| {
        let before = line(c, "CDC.SNAPSHOT 0");
        line(c, "BGREWRITEAOF");
        until("a base", || line(c, "CDC.SNAPSHOT 0") != before);
    };
    fill(&mut c);
    assert_eq!(line(&mut c, "CDC.SLOT CREATE one 0 5"), ":5");
    assert_eq!(line(&mut c, "CDC.SLOT CREATE two"), ":3002");
    for (words, error) in [
        ("CDC.SLOT CREATE one", "-ERR there is a slot"),
        ("CDC.SLOT CREATE a/b", "-ERR a slot is named"),
        ("CDC.SLOT CREATE far 0 999999", "-CDCEPOCH"),
        ("CDC.SLOT DROP three", "-ERR no such slot"),
        ("CDC.ACK three 0 9", "-ERR no such slot"),
    ] {
        let got = line(&mut c, words);
        assert!(got.starts_with(error), "{words}: {got}");
    }
    for _ in 0..2 {
        rewrite(&mut c);
        fill(&mut c);
        server.kill().expect("a kill");
        server.restart().expect("moon starts again");
        c = server.client().expect("a connection");
    }
    // Slots are internal: a reader sees writes and checkpoints.
    let (next, events) = read(&mut c, "0 5 LIMIT 10000 BYTES 60000000");
    assert!(events.len() > 8990 && !events.iter().any(|e| e.contains("CDC.")), "{}", events.len());
    let listed = line(&mut c, "CDC.SLOT LIST one");
    assert!(listed.contains(r#""cursor", :5, "lag", :"#), "{listed}");
    assert!(listed.contains(r#""state", "active""#), "{listed}");
    assert_eq!(line(&mut c, &format!("CDC.ACK one 0 {next}")), format!(":{next}"));
    assert_eq!(line(&mut c, "CDC.ACK one 0 7"), format!(":{next}"), "a slot does not go back");
    assert_eq!(line(&mut c, "CDC.SLOT DROP two"), "OK");
    rewrite(&mut c);
    until("the log before it has gone", || line(&mut c, "CDC.READ 0 5").starts_with("-CDCGONE"));
    assert!(line(&mut c, "CDC.SLOT CREATE late 0 5").starts_with("-CDCGONE"));
    assert_eq!(moon_tests::ask::info(&mut c, "cdc_slots"), "1");
    // One that holds too much is given up, and that is remembered.
    fill(&mut c);
    line(&mut c, "CONFIG SET cdc-slot-max-bytes 100kb");
    until("it is given up", || moon_tests::ask::info(&mut c, "cdc_slots_invalidated") == "1");
    assert!(line(&mut c, &format!("CDC.ACK one 0 {next}")).starts_with("-CDCGONE"));
    assert!(line(&mut c, "CDC.SUBSCRIBE 0 SLOT one").starts_with("-CDCGONE"));
    server.kill().expect("a kill");
    server.restart().expect("moon starts again");
    c = server.client().expect("a connection");
    assert!(line(&mut c, "CDC.SLOT LIST").contains("invalidated"));
}
