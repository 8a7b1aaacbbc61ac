//! Goal: a server is recovered to any point of its past that an operator can name, to look at it or to go on
//! from there, and a start with or without the target is never a surprise. Method: the real server; digests
//! taken while it ran; the bytes of its directory; kills; the commands of docs/pitr.md as they stand there.

use moon_tests::ask::{info, line, number, text};
use moon_tests::client::Client;
use moon_tests::server::{Program, Server, TempDir, free_port, inspect_binary, moon_binary};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

const ARGS: &[&str] =
    &["--enable-debug-command", "yes", "--appendfsync", "always", "--pitr-bases", "3"];

fn start(dir: &Path, args: &[&str]) -> (Server, Client) {
    let server = Server::start_in(Program::moon().with(ARGS).with(args), dir).expect("moon starts");
    let client = server.client().expect("a connection");
    (server, client)
}

/// The start ends with this exit code and says this.
fn refused(dir: &Path, args: &[&str], code: u8, words: &str) {
    let program = Program::moon().with(ARGS).with(args);
    let error = Server::start_in(program, dir).expect_err("refused").to_string();
    assert!(error.contains(&format!("exit status: {code}")), "{args:?}: {error}");
    assert!(error.contains(words), "{args:?}: {error}");
    assert!(!error.contains("listening"), "nothing was opened: {error}");
}

fn dry_run(dir: &Path, args: &[&str]) -> Output {
    let mut moon = Command::new(moon_binary());
    moon.arg("--dir").arg(dir).args(ARGS).args(args).arg("--recovery-dry-run");
    moon.output().expect("moon runs")
}

fn digest(c: &mut Client) -> String {
    line(c, "DEBUG DIGEST")
}

/// Every file with its bytes, but that which names the process that had the directory last.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            _ if path.ends_with("moon.lock") => {}
            true => all.extend(content(&path)),
            false => {
                all.insert(path.display().to_string(), fs::read(&path).expect("readable"));
            }
        }
    }
    all
}

/// A moment of the past.
#[derive(Debug, Clone)]
struct Moment {
    lsn: i64,
    /// Between this moment and the next write.
    time: String,
    name: String,
    gtid: i64,
    digest: String,
}

fn rfc3339(c: &mut Client) -> String {
    let now = c.line("TIME").expect("a reply");
    let parts: Vec<String> = now.elements().expect("two").iter().map(text).collect();
    let secs =
        Command::new("date").args(["-u", "-d", &format!("@{}", parts[0]), "+%FT%T"]).output();
    let secs = String::from_utf8(secs.expect("date runs").stdout).expect("text");
    format!("{}.{:0>6}Z", secs.trim(), parts[1])
}

/// A server that has written for a while, stopped; with bases in between.
fn past(dir: &Path) -> Vec<Moment> {
    let (mut server, mut c) = start(dir, &[]);
    let mut moments = Vec::new();
    for i in 0..6 {
        for words in ["INCR n", "RPUSH list a b", "HSET h f 1", "APPEND text more", "XADD s * f v"]
        {
            line(&mut c, words);
        }
        line(&mut c, &format!("SET key:{i} {i} EX {}", 1000 + i));
        let name = format!("point-{i}");
        let made = line(&mut c, &format!("MOON.RESTOREPOINT {name}"));
        let lsn = number(&mut c, "last_lsn");
        assert!(made.contains(&format!("\"gtid\", :{}, \"lsn\", :{lsn}]", i + 1)), "{made}");
        let digest = digest(&mut c);
        sleep(Duration::from_millis(15));
        moments.push(Moment { lsn, time: rfc3339(&mut c), name, gtid: i + 1, digest });
        sleep(Duration::from_millis(15));
        if i % 3 == 1 {
            line(&mut c, "BGREWRITEAOF");
            moon_tests::ask::until("a base", || {
                number(&mut c, "aof_rewrite_in_progress") == 0
                    && number(&mut c, "aof_rewrites") > i / 3
            });
        }
    }
    line(&mut c, "FLUSHALL");
    line(&mut c, "SET after flush");
    assert!(server.terminate().expect("stops").success());
    moments
}

#[test]
fn every_kind_of_target_gives_the_state_it_names() {
    let dir = TempDir::new().expect("a directory");
    let moments = past(dir.path());
    let oldest = moments.iter().position(|m| reaches(dir.path(), m)).expect("some are reachable");
    assert!(oldest <= 2, "the oldest base is that of moment 1");
    let before = content(dir.path());
    for m in &moments[oldest..] {
        for target in [
            ["--recovery-target-lsn", &m.lsn.to_string()],
            ["--recovery-target-lsn", &format!("0:{}", m.lsn)],
            ["--recovery-target-time", &m.time],
            ["--recovery-target-name", &m.name],
            ["--recovery-target-gtid", &m.gtid.to_string()],
        ] {
            let (mut server, mut c) =
                start(dir.path(), &[target[0], target[1], "--recovery-mode", "inspect"]);
            assert_eq!(digest(&mut c), m.digest, "{target:?}");
            assert_eq!(info(&mut c, "recovery_mode"), "inspect");
            assert_eq!(number(&mut c, "recovery_target_lsn"), m.lsn, "{target:?}");
            assert!(server.terminate().expect("stops").success());
        }
    }
    // The end of the log, without a target.
    let (mut server, mut c) = start(dir.path(), &["--recovery-mode", "inspect"]);
    assert_eq!(line(&mut c, "GET after"), "flush");
    assert_eq!(line(&mut c, "DBSIZE"), ":1");
    assert!(server.terminate().expect("stops").success());
    assert!(content(dir.path()) == before, "looking changes nothing");
}

fn reaches(dir: &Path, m: &Moment) -> bool {
    dry_run(dir, &["--recovery-target-name", &m.name]).status.success()
}

/// A copy of a directory, as an operator makes one before a recovery.
fn copy(dir: &Path) -> TempDir {
    let to = TempDir::new().expect("a directory");
    let from = dir.join(".");
    let copied = Command::new("cp").arg("-a").arg(from).arg(to.path()).status();
    assert!(copied.is_ok_and(|status| status.success()));
    to
}

#[test]
fn a_fork_goes_on_and_a_forgotten_flag_changes_nothing() {
    let dir = TempDir::new().expect("a directory");
    let moments = past(dir.path());
    let m = &moments[4];
    let name: &[&str] = &["--recovery-target-name", &m.name];
    let (mut server, mut c) = start(dir.path(), name);
    assert_eq!(digest(&mut c), m.digest);
    assert!(server.log_text().contains("start without recovery target from now on"));
    assert_eq!(number(&mut c, "timeline"), 2);
    assert_eq!(number(&mut c, "timeline_forked_at_lsn"), m.lsn);
    assert!(dir.path().join("shard-0/wal-v3/timeline-1/moon.aof.manifest.left").is_file());
    line(&mut c, "SET on-the-new-timeline 1");
    // Numbers of restore points go on behind those that both timelines share.
    assert!(
        line(&mut c, "MOON.RESTOREPOINT again").contains(&format!("\"gtid\", :{},", m.gtid + 1))
    );
    // A reader of changes that was further on is told, one that knows what both share is served.
    let told = format!("-CDCEPOCH epoch=2 forked-at={}", m.lsn);
    assert_eq!(line(&mut c, &format!("CDC.READ 0 {}", m.lsn + 2)), told);
    assert_eq!(line(&mut c, &format!("CDC.READ 0 {} EPOCH 1", m.lsn)), told);
    assert_eq!(line(&mut c, &format!("CDC.SUBSCRIBE 0 {} EPOCH 1", m.lsn)), told);
    let events = line(&mut c, &format!("CDC.READ 0 {} EPOCH 2", m.lsn + 1));
    assert!(events.contains("on-the-new-timeline") && !events.contains("FLUSHALL"), "{events}");
    assert!(
        events.contains("\\\"record_type\\\":\\\"restore_point\\\"")
            || events.contains("\"record_type\":\"restore_point\""),
        "{events}"
    );
    let now = digest(&mut c);
    server.kill().expect("a kill");
    // Forgotten, given again, and in every other form of the same point.
    let lsn = m.lsn.to_string();
    let flags: [&[&str]; 5] = [
        &[],
        name,
        &["--recovery-target-lsn", &lsn],
        &["--recovery-target-time", &m.time],
        &["--recovery-target-gtid", &m.gtid.to_string()],
    ];
    for flag in flags {
        let (mut server, mut c) = start(dir.path(), flag);
        assert_eq!(digest(&mut c), now, "{flag:?}");
        assert_eq!(number(&mut c, "timeline"), 2, "{flag:?}");
        let said = server.log_text().contains("begins at the recovery target");
        assert_eq!(said, !flag.is_empty(), "{}", server.log_text());
        assert!(server.terminate().expect("stops").success());
    }
    let dry = dry_run(dir.path(), name);
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(said.contains("the timeline in force begins at this target already"), "{said}");
    // What was left is not reachable from here, and the refusal says why.
    let left = &moments[5].name;
    refused(dir.path(), &["--recovery-target-name", left], 2, &format!("forked at lsn {}", m.lsn));
    // A point of the new timeline is.
    let (_server, mut c) = start(dir.path(), &["--recovery-target-name", "again"]);
    assert_eq!((digest(&mut c), number(&mut c, "timeline")), (now, 3));
}

#[test]
fn a_server_that_only_shows_its_data_writes_nothing() {
    let dir = TempDir::new().expect("a directory");
    let (mut server, mut c) = start(dir.path(), &[]);
    line(&mut c, "SET a 1");
    line(&mut c, "SET short 1 PX 1500");
    line(&mut c, "HSET h f 1");
    let lsn = number(&mut c, "last_lsn").to_string();
    line(&mut c, "FLUSHALL");
    // The directory is another server's.
    let inspect: &[&str] = &["--recovery-target-lsn", &lsn, "--recovery-mode", "inspect"];
    refused(dir.path(), inspect, 1, "data directory in use");
    assert_eq!(dry_run(dir.path(), &["--recovery-target-lsn", &lsn]).status.code(), Some(1));
    assert!(server.terminate().expect("stops").success());
    sleep(Duration::from_millis(1600));
    let before = content(dir.path());
    let (mut server, mut c) = start(dir.path(), inspect);
    // As it was then: what has expired since is shown.
    assert!(
        line(&mut c, "PTTL short").trim_start_matches(':').parse::<i64>().is_ok_and(|ms| ms > 0)
    );
    assert_eq!(line(&mut c, "GET short"), "1");
    for words in [
        "SET a 2",
        "DEL a",
        "FLUSHALL",
        "GETEX a EX 10",
        "EVAL return{redis.call('set','a','2')} 0",
        "FUNCTION FLUSH",
        "SAVE",
        "BGSAVE",
        "BGSAVE SCHEDULE",
        "BGREWRITEAOF",
        "REPLICAOF NO ONE",
        "REPLICAOF 127.0.0.1 1",
        "MOON.RESTOREPOINT p",
    ] {
        let reply = line(&mut c, words);
        assert!(reply.contains("READONLY This server only shows"), "{words}: {reply}");
    }
    for (words, error) in [
        ("CONFIG SET appendonly no", "only shows the data at a point in time"),
        ("CONFIG SET appendonly yes", "only shows the data at a point in time"),
        ("CONFIG SET recovery-mode fork", "is given on the command line only"),
        ("SHUTDOWN SAVE", "nothing can be saved"),
        ("CDC.READ 0 0", "there is no log to read changes from"),
        ("WAITAOF 1 0 0", "-ERR"),
    ] {
        let reply = line(&mut c, words);
        assert!(reply.contains(error), "{words}: {reply}");
    }
    line(&mut c, "CONFIG SET save 1 1");
    sleep(Duration::from_millis(1200));
    assert_eq!(line(&mut c, "HGETALL h"), "[\"f\", \"1\"]");
    assert_eq!(
        (info(&mut c, "durability").as_str(), line(&mut c, "DBSIZE").as_str()),
        ("inspect", ":3")
    );
    // Others may look too, and nobody may write.
    let (mut other, mut o) = start(dir.path(), &["--recovery-mode", "inspect"]);
    assert_eq!(line(&mut o, "DBSIZE"), ":0");
    refused(dir.path(), &[], 1, "data directory in use");
    assert!(other.terminate().expect("stops").success());
    let _ = c.line("SHUTDOWN");
    assert!(server.wait_exit().expect("an end").success());
    assert!(content(dir.path()) == before, "nothing was written");
}

#[test]
fn a_dry_run_says_what_a_start_would_do_and_does_nothing() {
    let dir = TempDir::new().expect("a directory");
    let moments = past(dir.path());
    let m = &moments[3];
    let before = content(dir.path());
    let dry = dry_run(dir.path(), &["--recovery-target-name", &m.name]);
    let said = String::from_utf8(dry.stdout).expect("text");
    assert!(dry.status.success(), "{said}");
    for words in [
        format!("lsn {}, written at 20", m.lsn),
        format!("(restore point \"{}\")", m.name),
        format!("base       moon.aof.1.base.rdb, cut at lsn {}", moments[1].lsn),
        format!("last key   \"key:3\" of database 0, SET at lsn {}", m.lsn - 1),
        format!("records, lsn {} (", m.lsn + 1),
        "and 1 base, in timeline-1".into(),
        "then       timeline 2, from lsn ".into(),
        "dry run: nothing has been written".into(),
    ] {
        assert!(said.contains(&words), "{words:?} in\n{said}");
    }
    assert!(content(dir.path()) == before);
    // It does that.
    let (server, mut c) = start(dir.path(), &["--recovery-target-name", &m.name]);
    let from = said.split("timeline 2, from lsn ").nth(1).and_then(|s| s.split('\n').next());
    line(&mut c, "SET first 1");
    assert_eq!(Some(number(&mut c, "last_lsn").to_string().as_str()), from);
    drop(server);
}

#[test]
fn what_cannot_be_recovered_to_is_refused_before_anything_is_opened() {
    let dir = TempDir::new().expect("a directory");
    let moments = past(dir.path());
    let conf = dir.path().with_extension("conf");
    fs::write(&conf, "recovery-target-lsn 1\n").expect("written");
    let before = content(dir.path());
    for (args, code, words) in [
        (
            vec!["--recovery-target-lsn", "1", "--recovery-target-gtid", "1"],
            1,
            "give one recovery target",
        ),
        (vec!["--recovery-target-lsn", "soon"], 1, "an LSN, or 0:LSN"),
        (vec!["--recovery-target-lsn", "1:5"], 1, "there is one shard"),
        (vec!["--recovery-target-time", "12:00"], 1, "RFC 3339"),
        (vec!["--recovery-target-lsn", "5", "--appendonly", "no"], 1, "needs appendonly yes"),
        (vec!["--recovery-mode", "fork"], 1, "there is no recovery target"),
        (vec!["--recovery-target-lsn", "999999"], 2, "reachable is lsn"),
        (vec!["--recovery-target-lsn", "0"], 2, "reachable is lsn"),
        (vec!["--recovery-target-time", "1999-01-01T00:00:00Z"], 2, "reachable is lsn"),
        (vec!["--recovery-target-time", "2999-01-01T00:00:00Z"], 2, "in the future"),
        (vec!["--recovery-target-name", "nobody"], 2, "restore points are \"point-"),
        (vec!["--recovery-target-gtid", "77"], 2, "there is no gtid 77"),
    ] {
        refused(dir.path(), &args, code, words);
        let dry = dry_run(dir.path(), &args);
        assert_eq!(dry.status.code(), Some(code.into()), "{args:?}");
        assert!(String::from_utf8_lossy(&dry.stderr).contains(words), "{args:?}: {dry:?}");
    }
    let file = Program::moon().with_first(&[&conf.display().to_string()]);
    let error = Server::start_in(file, dir.path()).expect_err("refused").to_string();
    assert!(error.contains("exit status: 1") && error.contains("command line only"), "{error}");
    fs::remove_file(&conf).expect("removed");
    assert!(content(dir.path()) == before, "refusals change nothing");
    // The same name twice.
    let (mut server, mut c) = start(dir.path(), &[]);
    line(&mut c, &format!("MOON.RESTOREPOINT {}", moments[5].name));
    line(&mut c, "SET later 1");
    for bad in ["MOON.RESTOREPOINT a/b", "MOON.RESTOREPOINT", "MOON.RESTOREPOINT a b"] {
        assert!(line(&mut c, bad).starts_with("-ERR"), "{bad}");
    }
    assert!(server.terminate().expect("stops").success());
    let twice: &[&str] = &["--recovery-target-name", &moments[5].name];
    refused(dir.path(), twice, 2, "--recovery-time-policy first or last");
    let last = [twice, &["--recovery-time-policy", "last", "--recovery-mode", "inspect"]].concat();
    let (_server, mut c) = start(dir.path(), &last);
    assert_eq!(line(&mut c, "DBSIZE"), ":1");
    // Nowhere is nothing made.
    let nowhere = dir.path().join("nowhere");
    refused(&nowhere, &["--recovery-target-lsn", "1"], 1, "No such file");
    assert!(!nowhere.exists());
    let empty = TempDir::new().expect("a directory");
    refused(empty.path(), &["--recovery-target-lsn", "1"], 2, "holds no data to recover");
    assert_eq!(fs::read_dir(empty.path()).expect("a directory").count(), 0);
}

#[test]
fn a_fork_that_is_killed_leaves_the_old_timeline_or_the_new_one() {
    let dir = TempDir::new().expect("a directory");
    let moments = past(dir.path());
    let m = &moments[3];
    let flag: &[&str] = &["--recovery-target-lsn", &m.lsn.to_string()];
    let (mut old, mut new) = (0, 0);
    for round in 0..24u64 {
        let copied = copy(dir.path());
        let mut server =
            Server::launch(Program::moon().with(ARGS).with(flag), copied.path()).expect("starts");
        sleep(Duration::from_millis(5 + round * 4));
        server.kill().expect("a kill");
        let (mut server, mut c) = start(copied.path(), &[]);
        match line(&mut c, "GET after").as_str() {
            "flush" => old += 1,
            _ => {
                assert_eq!(digest(&mut c), m.digest, "round {round}");
                new += 1;
            }
        }
        assert!(server.terminate().expect("stops").success());
        let (_server, mut c) = start(copied.path(), flag);
        assert_eq!(digest(&mut c), m.digest, "round {round}");
    }
    assert_eq!(old + new, 24);
}

/// The shell of docs/pitr.md, from its first block to its last, on another directory and port.
#[test]
fn the_guide_does_what_it_says() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pitr.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let blocks: Vec<&str> =
        guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    let dir = TempDir::new().expect("a directory");
    let port = free_port().expect("a port").to_string();
    let script = blocks.concat();
    for given in ["DIR=/var/lib/moon-drill\n", "PORT=7400\n"] {
        assert_eq!(script.matches(given).count(), 1, "{given}");
    }
    let here = dir.path().join("drill").display().to_string();
    let script = script
        .replace("DIR=/var/lib/moon-drill\n", &format!("DIR={here}\n"))
        .replace("PORT=7400\n", &format!("PORT={port}\n"));
    let bins = [moon_binary(), inspect_binary()].map(|path| path.parent().expect("a directory"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}", bins[0].display(), bins[1].display());
    let file = dir.path().join("drill.sh");
    fs::write(&file, format!("set -eu -o pipefail\n{script}")).expect("written");
    let done = Command::new("bash").arg(&file).env("PATH", path).current_dir(dir.path()).output();
    let done = done.expect("bash runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}\n{errors}");
    for words in [
        "restore point \"before-cleanup\" gtid 1",
        "READONLY This server only shows the data",
        "drill: the data are back",
        "drill: and gone again on the old timeline",
    ] {
        assert!(said.contains(words), "{words} in\n{said}\n{errors}");
    }
}
