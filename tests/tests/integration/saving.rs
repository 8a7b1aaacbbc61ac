//! Goal: what was saved is there after a start, whatever went on meanwhile, and a failure to save costs
//! nothing else. Method: the real server, its files, kills and starts; states are compared by DEBUG DIGEST.

use moon_tests::ask::{info, line, number, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::diff::{Generator, Kind, Op, Proto};
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;
use std::fs;
use std::thread::{sleep, spawn};
use std::time::Duration;

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];
const NO_LOG: &[&str] = &["--enable-debug-command", "yes", "--appendonly", "no"];

fn start(args: &[&str]) -> (Server, Client) {
    let server = Server::start(Program::moon().with(args)).expect("moon starts");
    let client = server.client().expect("a connection");
    (server, client)
}

fn again(server: &mut Server) -> Client {
    server.restart().expect("moon starts again");
    server.client().expect("a connection")
}

/// Keys of all types in several databases, none of them on its way to expire.
fn fill(client: &mut Client, seed: u64) {
    let ops: Vec<Op> = Generator::new(seed, Proto::Resp2).sequence(4000);
    for op in ops.iter().filter(|op| op.kind != Kind::Waits) {
        for command in &op.commands {
            client.call(command).expect("a reply");
        }
    }
    for db in 0..16 {
        client.line(&format!("SELECT {db}")).expect("a reply");
        let keys = client.line("KEYS *").expect("a reply");
        for key in keys.elements().unwrap_or_default() {
            let Value::Bulk(key) = key else { continue };
            client.call(&cmd!["PERSIST", key.clone()]).expect("a reply");
        }
    }
    client.line("SELECT 0").expect("a reply");
    let lua = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    client.call(&cmd!["FUNCTION", "LOAD", "REPLACE", lua]).expect("a reply");
}

#[test]
fn without_a_log_the_last_save_is_the_data() {
    let (mut server, mut c) = start(NO_LOG);
    fill(&mut c, 401);
    let saved = line(&mut c, "DEBUG DIGEST");
    assert_eq!(line(&mut c, "SAVE"), "OK");
    assert_eq!(info(&mut c, "rdb_changes_since_last_save"), "0");
    line(&mut c, "SET lost 1");
    server.kill().expect("a kill");
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "DEBUG DIGEST"), saved);
    assert_eq!(line(&mut c, "FCALL f 0"), ":7");

    // A stop saves, unless it is told not to.
    line(&mut c, "SET kept 1");
    let kept = line(&mut c, "DEBUG DIGEST");
    server.terminate().expect("an end");
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "DEBUG DIGEST"), kept);
    line(&mut c, "SET lost 1");
    let _ = c.line("SHUTDOWN NOSAVE");
    server.wait_exit().expect("an end");
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "DEBUG DIGEST"), kept);

    // With a log the directory would be another one.
    line(&mut c, "SAVE");
    server.terminate().expect("an end");
    assert!(server.dir().join("shard-0/shard-0.rrdshard").exists());
}

#[test]
fn bgsave_answers_at_once_and_save_points_save() {
    let (mut server, mut c) = start(NO_LOG);
    fill(&mut c, 402);
    let before = line(&mut c, "LASTSAVE");
    sleep(Duration::from_millis(1100));
    assert_eq!(line(&mut c, "BGSAVE"), "Background saving started");
    until("the save has ended", || info(&mut c, "rdb_bgsave_in_progress") == "0");
    assert_eq!(info(&mut c, "rdb_last_bgsave_status"), "ok");
    assert_ne!(line(&mut c, "LASTSAVE"), before);
    c.call(&cmd!["CONFIG", "SET", "save", "1 2"]).expect("a reply");
    line(&mut c, "MSET a 1 b 2");
    let digest = line(&mut c, "DEBUG DIGEST");
    until("the save point has been met", || info(&mut c, "rdb_saves") == "2");
    server.kill().expect("a kill");
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
    assert!(line(&mut c, "BGSAVE CANCEL").starts_with("-ERR Background save is currently not"));
    // Slow enough to be seen.
    line(&mut c, "DEBUG POPULATE 200000 key 100");
    line(&mut c, "CONFIG SET snapshot-mb-per-sec 1");
    assert_eq!(line(&mut c, "BGSAVE"), "Background saving started");
    until("it is being written", || info(&mut c, "rdb_bgsave_in_progress") == "1");
    assert_eq!(line(&mut c, "BGSAVE"), "-ERR Background save already in progress");
    assert_eq!(line(&mut c, "SAVE"), "-ERR Background save already in progress");
    assert_eq!(line(&mut c, "BGSAVE CANCEL"), "Background save cancelled");
    until("it is gone", || info(&mut c, "rdb_bgsave_in_progress") == "0");
    assert!(!server.dir().join("shard-0/shard-0.rrdshard.tmp").exists());
}

/// The base and the log behind it are the data, with writes before, during and after the cut.
#[test]
fn a_rewrite_under_load_loses_nothing() {
    for policy in ["everysec", "always"] {
        let (mut server, mut c) = start(&[DEBUG, &["--appendfsync", policy]].concat());
        fill(&mut c, 403);
        line(&mut c, "DEBUG POPULATE 50000 key 100");
        let port = server.port();
        let writers: Vec<_> = (0..3)
            .map(|i| {
                spawn(move || {
                    let mut w = Client::connect(port).expect("a connection");
                    for n in 0..4000 {
                        w.call(&cmd!["RPUSH", format!("list{i}"), n.to_string()]).expect("a reply");
                        w.call(&cmd!["INCR", format!("key:{}", (n * 37 + i) % 50_000)])
                            .expect("a reply");
                        w.call(&cmd!["HSET", "hash", format!("f{n}"), i.to_string()])
                            .expect("a reply");
                    }
                })
            })
            .collect();
        for round in 1..=3 {
            assert_eq!(
                line(&mut c, "BGREWRITEAOF"),
                "Background append only file rewriting started"
            );
            until("a new base", || info(&mut c, "aof_rewrites") == round.to_string());
            assert_eq!(info(&mut c, "aof_last_bgrewrite_status"), "ok");
        }
        writers.into_iter().for_each(|w| w.join().expect("a writer"));
        let digest = line(&mut c, "DEBUG DIGEST");
        server.kill().expect("a kill");
        let mut c = again(&mut server);
        assert_eq!(line(&mut c, "DEBUG DIGEST"), digest, "{policy}");
        assert_eq!(line(&mut c, "LLEN list0"), ":4000");
        assert_eq!(line(&mut c, "FCALL f 0"), ":7");
        let parts = server.dir().join("appendonlydir/shard-0");
        let bases = fs::read_dir(&parts).expect("the directory").filter_map(Result::ok);
        let bases: Vec<_> = bases
            .map(|f| f.file_name())
            .filter(|n| n.to_string_lossy().ends_with(".rdb"))
            .collect();
        assert_eq!(bases.len(), 1, "{bases:?}");
        // From the base alone.
        assert_eq!(line(&mut c, "BGREWRITEAOF"), "Background append only file rewriting started");
        until("a new base", || info(&mut c, "aof_rewrites") == "1");
        server.terminate().expect("an end");
        let mut c = again(&mut server);
        assert_eq!(line(&mut c, "DEBUG DIGEST"), digest, "{policy}, from the base");
        assert_eq!(info(&mut c, "recovered_records"), "0");
    }
}

#[test]
fn a_log_that_has_outgrown_its_base_is_rewritten() {
    let args = ["--auto-aof-rewrite-min-size", "1mb", "--auto-aof-rewrite-percentage", "100"];
    let (server, mut c) = start(&[DEBUG, &args].concat());
    let value = "x".repeat(10_000);
    for n in 0..400 {
        c.call(&cmd!["SET", "one", format!("{value}{n}")]).expect("a reply");
    }
    until("a new base", || info(&mut c, "aof_rewrites") != "0");
    drop(server);
}

#[test]
fn a_log_longer_than_its_limit_is_rewritten_also_after_a_start() {
    let args = ["--auto-aof-rewrite-percentage", "0", "--max-wal-size", "2mb"];
    let (mut server, mut c) = start(&[DEBUG, &args].concat());
    let value = "x".repeat(10_000);
    // Half of it, a kill, the other half: what was read at the start counts.
    for round in 0..2 {
        for n in 0..110 {
            c.call(&cmd!["SET", "one", format!("{value}{n}")]).expect("a reply");
        }
        if round == 0 {
            assert_eq!(info(&mut c, "aof_rewrites"), "0");
            server.kill().expect("a kill");
            c = again(&mut server);
            assert!(number(&mut c, "log_since_base") > 1_000_000);
        }
    }
    until("a new base", || info(&mut c, "aof_rewrites") == "1");
    until("the log is short", || number(&mut c, "log_since_base") < 1_000_000);
}

#[test]
fn older_bases_are_kept_as_the_options_say() {
    let (mut server, mut c) = start(&[DEBUG, &["--pitr-bases", "2"]].concat());
    let rewrite = |c: &mut Client| {
        let done = number(c, "aof_rewrites") + 1;
        line(c, "INCR n");
        line(c, "BGREWRITEAOF");
        until("a new base", || number(c, "aof_rewrites") == done);
    };
    let bases = |server: &Server| {
        let dir = server.dir().join("appendonlydir/shard-0");
        let names = fs::read_dir(dir).expect("the directory").filter_map(Result::ok);
        names.filter(|f| f.file_name().to_string_lossy().ends_with(".rdb")).count()
    };
    assert_eq!(info(&mut c, "pitr_oldest_lsn"), "1");
    rewrite(&mut c);
    let first = number(&mut c, "pitr_oldest_lsn");
    let made = number(&mut c, "pitr_oldest_time");
    assert!(made > 1_700_000_000);
    rewrite(&mut c);
    assert_eq!(
        (number(&mut c, "pitr_oldest_lsn"), info(&mut c, "pitr_bases")),
        (first, "2".into())
    );
    rewrite(&mut c);
    assert!(number(&mut c, "pitr_oldest_lsn") > first);
    assert_eq!(bases(&server), 2);
    // A window of an hour keeps everything, whatever their number.
    line(&mut c, "CONFIG SET pitr-window 1h pitr-bases 1");
    rewrite(&mut c);
    assert_eq!(info(&mut c, "pitr_bases"), "3");
    let oldest = number(&mut c, "pitr_oldest_lsn");
    server.kill().expect("a kill");
    let mut c = again(&mut server);
    assert_eq!(number(&mut c, "pitr_oldest_lsn"), oldest);
    assert!(number(&mut c, "pitr_oldest_time") >= made);
    // Told to, it lets them go.
    line(&mut c, "CONFIG SET pitr-window 0 pitr-bases 1");
    rewrite(&mut c);
    until("one is left", || bases(&server) == 1);
    assert_eq!(info(&mut c, "pitr_bases"), "1");
    assert_eq!(line(&mut c, "GET n"), "5");
}

#[test]
fn a_save_that_fails_is_shown_and_stops_writes_where_that_is_wanted() {
    let (server, mut c) = start(&[NO_LOG, &["--save", "3600 1"]].concat());
    line(&mut c, "SET a 1");
    // Something is in the way of the file.
    let tmp = server.dir().join("shard-0/shard-0.rrdshard.tmp");
    fs::create_dir_all(tmp.join("x")).expect("a directory");
    assert!(line(&mut c, "SAVE").starts_with("-ERR cannot"));
    assert_eq!(info(&mut c, "rdb_last_bgsave_status"), "err");
    assert!(line(&mut c, "SET b 1").starts_with("-MISCONF"));
    assert_eq!(line(&mut c, "GET a"), "1");
    line(&mut c, "CONFIG SET stop-writes-on-bgsave-error no");
    assert_eq!(line(&mut c, "SET b 1"), "OK");
    line(&mut c, "CONFIG SET stop-writes-on-bgsave-error yes");
    assert!(line(&mut c, "SET c 1").starts_with("-MISCONF"));
    fs::remove_dir_all(&tmp).expect("removed");
    assert_eq!(line(&mut c, "SAVE"), "OK");
    assert_eq!(line(&mut c, "SET c 1"), "OK");
}

#[test]
fn a_server_without_a_log_does_not_leave_one_behind() {
    let (mut server, mut c) = start(DEBUG);
    line(&mut c, "SET a 1");
    server.terminate().expect("an end");
    let program = Program::moon().with(&["--appendonly", "no"]);
    let error = Server::start_in(program, server.dir()).expect_err("refused").to_string();
    assert!(error.contains("start with --appendonly yes"), "{error}");
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "GET a"), "1");
}

/// Bytes of the save file; none without one.
fn saved_bytes(server: &Server) -> Option<u64> {
    fs::metadata(server.dir().join("shard-0/shard-0.rrdshard")).ok().map(|m| m.len())
}

#[test]
fn a_signal_stops_as_its_option_says() {
    let (mut server, mut c) = start(NO_LOG);
    line(&mut c, "SET a 1");
    assert_eq!(line(&mut c, "CONFIG SET shutdown-on-sigterm nosave"), "OK");
    assert_eq!(server.terminate().expect("an end").code(), Some(0));
    assert_eq!(saved_bytes(&server), None);
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "EXISTS a"), ":0");
    // The other signal has an option of its own.
    line(&mut c, "SET a 2");
    line(&mut c, "CONFIG SET shutdown-on-sigterm nosave");
    server.signal("-INT").expect("a signal");
    assert_eq!(server.wait_exit().expect("an end").code(), Some(0));
    assert!(saved_bytes(&server).is_some());
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "GET a"), "2");
    drop(server);

    // `save` where nothing would be saved otherwise: there is a log.
    let (mut server, mut c) = start(&["--shutdown-on-sigterm", "save now"]);
    assert_eq!(
        line(&mut c, "CONFIG GET shutdown-on-sigterm"),
        "[\"shutdown-on-sigterm\", \"save now\"]"
    );
    line(&mut c, "SET a 1");
    server.terminate().expect("an end");
    assert!(saved_bytes(&server).is_some());
}

#[test]
fn a_server_that_cannot_save_goes_on_unless_it_is_forced() {
    let (mut server, mut c) = start(&[NO_LOG, &["--shutdown-timeout", "2"]].concat());
    line(&mut c, "SET a 1");
    let tmp = server.dir().join("shard-0/shard-0.rrdshard.tmp");
    fs::create_dir_all(tmp.join("x")).expect("a directory");
    for _ in 0..2 {
        server.signal("-TERM").expect("a signal");
        until("it has given up", || server.log_text().contains("can't exit"));
        assert_eq!(line(&mut c, "SET b 2"), "OK");
    }
    assert_eq!(line(&mut c, "SHUTDOWN SAVE"), "-ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(line(&mut c, "APPEND b 2"), ":2");
    assert!(server.is_running());
    line(&mut c, "CONFIG SET shutdown-on-sigterm force");
    assert_eq!(server.terminate().expect("an end").code(), Some(0));
    assert_eq!(saved_bytes(&server), None);
}

#[test]
fn a_stop_that_is_aborted_leaves_everything_as_it_was() {
    let (server, mut c) = start(NO_LOG);
    assert_eq!(line(&mut c, "SHUTDOWN ABORT"), "-ERR No shutdown in progress.");
    line(&mut c, "DEBUG POPULATE 100000 key 100");
    line(&mut c, "CONFIG SET snapshot-mb-per-sec 1");
    server.signal("-TERM").expect("a signal");
    let mut other = c.another().expect("a connection");
    until("it is being saved", || info(&mut c, "rdb_bgsave_in_progress") == "1");
    // Reads go on, writes wait.
    let writer = spawn(move || line(&mut other, "SET late 1"));
    assert_eq!(line(&mut c, "DBSIZE"), ":100000");
    assert_eq!(line(&mut c, "EXISTS late"), ":0");
    assert_eq!(line(&mut c, "SHUTDOWN ABORT"), "OK");
    assert_eq!(writer.join().expect("a reply"), "OK");
    assert_eq!(line(&mut c, "EXISTS late"), ":1");
    until("the save is given up", || info(&mut c, "rdb_bgsave_in_progress") == "0");
    assert_eq!(info(&mut c, "rdb_last_bgsave_status"), "ok");
    assert!(saved_bytes(&server).is_none());
}

#[test]
fn a_stop_amid_a_save_gives_it_up_and_saves_what_there_is() {
    let (mut server, mut c) = start(NO_LOG);
    line(&mut c, "DEBUG POPULATE 50000 key 100");
    line(&mut c, "CONFIG SET snapshot-mb-per-sec 1");
    line(&mut c, "BGSAVE");
    until("it is being written", || info(&mut c, "rdb_bgsave_in_progress") == "1");
    line(&mut c, "SET later 1");
    line(&mut c, "CONFIG SET snapshot-mb-per-sec 0");
    let digest = line(&mut c, "DEBUG DIGEST");
    assert_eq!(server.terminate().expect("an end").code(), Some(0));
    assert!(!server.dir().join("shard-0/shard-0.rrdshard.tmp").exists());
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
}

#[test]
fn a_log_is_not_begun_beside_a_lone_save() {
    let (mut server, mut c) = start(NO_LOG);
    line(&mut c, "SET a 1");
    server.terminate().expect("an end");
    let before = saved_bytes(&server).expect("a save");
    let program = Program::moon().with(&["--appendonly", "yes"]);
    let error = Server::start_in(program, server.dir()).expect_err("refused").to_string();
    assert!(error.contains("exit status: 2"), "{error}");
    assert!(error.contains("--appendonly no"), "{error}");
    assert_eq!(saved_bytes(&server), Some(before));
    assert!(!server.dir().join("appendonlydir").exists());
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "GET a"), "1");
}

#[test]
fn a_script_that_does_not_end_is_not_saved_half() {
    let (mut server, mut c) =
        start(&[NO_LOG, &["--shutdown-timeout", "1", "--busy-reply-threshold", "100"]].concat());
    line(&mut c, "SET before 1");
    // One that has written nothing is stopped, and the rest saved.
    let mut s = c.another().expect("a connection");
    s.queue(&cmd!["EVAL", "while true do end", "0"]);
    s.flush().expect("sent");
    until("the server is busy", || line(&mut c, "PING").starts_with("-BUSY"));
    assert_eq!(server.terminate().expect("an end").code(), Some(0));
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "GET before"), "1");
    let mut s = c.another().expect("a connection");
    s.queue(&cmd!["EVAL", "redis.call('SET', 'before', '2') while true do end", "0"]);
    s.flush().expect("sent");
    until("the server is busy", || line(&mut c, "PING").starts_with("-BUSY"));
    assert_eq!(server.terminate().expect("an end").code(), Some(0));
    let mut c = again(&mut server);
    assert_eq!(line(&mut c, "GET before"), "1");
}
