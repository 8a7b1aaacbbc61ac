//! Goal: the log is switched on and off while the server runs, and whatever it is killed at, a start finds
//! what was promised. Method: the real server, kills, starts with the other option; DEBUG DIGEST.

use moon_tests::ask::{info, line, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir};
use std::fs;
use std::path::Path;
use std::thread::spawn;

fn start(dir: &Path, log: &str, args: &[&str]) -> (Server, Client) {
    let program =
        Program::moon().with(&["--enable-debug-command", "yes", "--appendonly", log]).with(args);
    let server = Server::start_in(program, dir).expect("moon starts");
    let client = server.client().expect("a connection");
    (server, client)
}

fn refused(dir: &Path, log: &str) -> String {
    let program = Program::moon().with(&["--appendonly", log]);
    Server::start_in(program, dir).expect_err("refused").to_string()
}

fn switch(c: &mut Client, log: &str) {
    assert_eq!(line(c, &format!("CONFIG SET appendonly {log}")), "OK");
    assert_eq!(info(c, "aof_enabled"), if log == "yes" { "1" } else { "0" });
}

/// As the test suite of Redis does.
fn switch_on(c: &mut Client) {
    switch(c, "yes");
    until("the log has its base", || info(c, "aof_rewrite_in_progress") == "0");
    assert_eq!(info(c, "aof_last_bgrewrite_status"), "ok");
    assert_eq!(info(c, "durability"), "everysec");
}

fn segments(dir: &Path) -> usize {
    let files = fs::read_dir(dir.join("shard-0/wal-v3")).map(Iterator::count);
    files.unwrap_or(0)
}

#[test]
fn a_log_begun_under_load_holds_everything_from_its_base_on() {
    let dir = TempDir::new().expect("a directory");
    let (mut server, mut c) = start(dir.path(), "no", &[]);
    line(&mut c, "DEBUG POPULATE 30000 key 100");
    let port = server.port();
    let writers: Vec<_> = (0..3)
        .map(|i| {
            spawn(move || {
                let mut w = Client::connect(port).expect("a connection");
                for n in 0..4000 {
                    w.call(&cmd!["RPUSH", format!("list{i}"), n.to_string()]).expect("a reply");
                    w.call(&cmd!["INCR", format!("n:{}", n % 50)]).expect("a reply");
                }
            })
        })
        .collect();
    switch_on(&mut c);
    writers.into_iter().for_each(|w| w.join().expect("a writer"));
    line(&mut c, "SET last 1");
    assert_eq!(line(&mut c, "WAITAOF 1 0 5000"), "[:1, :0]");
    let digest = line(&mut c, "DEBUG DIGEST");
    line(&mut c, "DEBUG LOADAOF");
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
    server.kill().expect("a kill");
    let error = refused(dir.path(), "no");
    assert!(error.contains("exit status: 2") && error.contains("--appendonly yes"), "{error}");
    let (_server, mut c) = start(dir.path(), "yes", &[]);
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
    assert_eq!(line(&mut c, "LLEN list0"), ":4000");
}

#[test]
fn a_log_switched_off_is_read_until_a_save_takes_its_place() {
    let dir = TempDir::new().expect("a directory");
    let (mut server, mut c) = start(dir.path(), "yes", &[]);
    line(&mut c, "RPUSH list a b c");
    switch(&mut c, "no");
    until("the log has ended", || info(&mut c, "durability") == "snapshot-only");
    assert_eq!(line(&mut c, "SET unlogged 1"), "OK");
    assert!(line(&mut c, "WAITAOF 1 0 0").starts_with("-ERR WAITAOF cannot be used"));
    assert!(line(&mut c, "BGREWRITEAOF").starts_with("-ERR there is no log"));
    until("it says so", || server.log_text().contains("the log has ended"));
    server.kill().expect("a kill");

    // Nothing was saved: the log is the data, for both kinds of start.
    let (mut server, mut c) = start(dir.path(), "no", &[]);
    assert_eq!(line(&mut c, "LRANGE list 0 -1"), "[\"a\", \"b\", \"c\"]");
    assert_eq!(line(&mut c, "EXISTS unlogged"), ":0");
    assert!(segments(dir.path()) > 0);
    server.kill().expect("a kill");
    let (mut server, mut c) = start(dir.path(), "yes", &[]);
    assert_eq!(line(&mut c, "RPUSH list d"), ":4");
    switch(&mut c, "no");
    until("the log has ended", || server.log_text().contains("the log has ended"));
    line(&mut c, "SET saved 1");
    assert_eq!(line(&mut c, "SAVE"), "OK");
    until("the old log is gone", || segments(dir.path()) == 0);
    line(&mut c, "SET lost 1");
    server.kill().expect("a kill");

    let error = refused(dir.path(), "yes");
    assert!(error.contains("exit status: 2") && error.contains("--appendonly no"), "{error}");
    let (mut server, mut c) = start(dir.path(), "no", &[]);
    assert_eq!(line(&mut c, "MGET saved lost"), "[\"1\", nil]");
    assert_eq!(line(&mut c, "LLEN list"), ":4");
    // And on again.
    switch_on(&mut c);
    line(&mut c, "SET logged 1");
    server.kill().expect("a kill");
    let (_server, mut c) = start(dir.path(), "yes", &[]);
    assert_eq!(line(&mut c, "MGET saved logged"), "[\"1\", \"1\"]");
}

#[test]
fn the_switch_goes_back_and_forth_and_a_stop_waits_for_it() {
    let dir = TempDir::new().expect("a directory");
    let (mut server, mut c) = start(dir.path(), "no", &["--save", ""]);
    line(&mut c, "DEBUG POPULATE 100000 key 100");
    // Slow enough to be given up.
    line(&mut c, "CONFIG SET snapshot-mb-per-sec 1");
    switch(&mut c, "yes");
    until("the base is being written", || !info(&mut c, "snapshot_written_bytes").is_empty());
    assert_eq!(info(&mut c, "durability"), "snapshot-only");
    assert_eq!(
        line(&mut c, "BGREWRITEAOF"),
        "-ERR Background append only file rewriting already in progress"
    );
    line(&mut c, "SET early 1");
    assert_eq!(line(&mut c, "WAITAOF 1 0 50"), "[:0, :0]");
    switch(&mut c, "no");
    until("it is given up", || info(&mut c, "aof_rewrite_in_progress") == "0");
    line(&mut c, "CONFIG SET snapshot-mb-per-sec 0");
    switch_on(&mut c);
    for _ in 0..5 {
        switch(&mut c, "no");
        line(&mut c, "INCR n");
        switch(&mut c, "yes");
        line(&mut c, "INCR n");
    }
    let digest = line(&mut c, "DEBUG DIGEST");
    assert_eq!(server.terminate().expect("an end").code(), Some(0));
    let (_server, mut c) = start(dir.path(), "yes", &[]);
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
    assert_eq!(line(&mut c, "GET n"), "10");
}

#[test]
fn a_base_that_cannot_be_written_is_tried_again() {
    let dir = TempDir::new().expect("a directory");
    let (mut server, mut c) = start(dir.path(), "no", &[]);
    line(&mut c, "SET a 1");
    // Something is in the way of the base.
    let tmp = dir.path().join("appendonlydir/shard-0/moon.aof.1.base.rdb.tmp");
    fs::create_dir_all(tmp.join("x")).expect("a directory");
    switch(&mut c, "yes");
    until("it has failed", || info(&mut c, "aof_last_bgrewrite_status") == "err");
    assert_eq!(info(&mut c, "durability"), "snapshot-only");
    assert_eq!(line(&mut c, "SET b 1"), "OK");
    fs::remove_dir_all(&tmp).expect("removed");
    until("the log counts", || info(&mut c, "durability") == "everysec");
    server.kill().expect("a kill");
    let (_server, mut c) = start(dir.path(), "yes", &[]);
    assert_eq!(line(&mut c, "MGET a b"), "[\"1\", \"1\"]");
}

#[test]
fn config_rewrite_keeps_the_switch() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("moon.conf");
    fs::write(&file, "appendonly no\nsave \"\"\n").expect("written");
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let program = || Program::moon().with_first(&[file.to_str().expect("a name")]);
    let mut server = Server::start_in(program(), &data).expect("moon starts");
    let mut c = server.client().expect("a connection");
    line(&mut c, "SET a 1");
    switch_on(&mut c);
    assert_eq!(line(&mut c, "CONFIG REWRITE"), "OK");
    assert!(fs::read_to_string(&file).expect("a file").contains("appendonly yes"));
    server.kill().expect("a kill");
    let server = Server::start_in(program(), &data).expect("moon starts");
    let mut c = server.client().expect("a connection");
    assert_eq!(line(&mut c, "GET a"), "1");
    assert_eq!(info(&mut c, "aof_enabled"), "1");
}
