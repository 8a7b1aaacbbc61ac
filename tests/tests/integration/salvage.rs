//! Goal: a directory with a damaged log starts again by its salvage plan, with what the plan says and
//! nothing else, as docs/runbooks/damaged-log.md has it. Method: the real programs, a byte changed in a
//! segment of a stopped server.

use moon_tests::ask::{info, line, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir, inspect_binary};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const ARGS: [&str; 6] = [
    "--enable-debug-command",
    "yes",
    "--wal-segment-size",
    "64kb",
    "--auto-aof-rewrite-percentage",
    "0",
];

fn program() -> Program {
    Program::moon().with(&ARGS).with(&["--max-wal-size", "0", "--recovery-target-secs", "0"])
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("shard-0/wal-v3")).expect("the log").filter_map(Result::ok);
    let mut files: Vec<_> = files.map(|f| f.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "wal"));
    files.sort();
    files
}

/// Exit code and all that is said.
fn inspect(args: &[&str]) -> (i32, String) {
    let output = Command::new(inspect_binary()).args(args).output().expect("moon-inspect runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn fill(c: &mut Client, from: usize, to: usize) {
    for n in from..to {
        c.call(&cmd!["SET", format!("key:{n}"), "x".repeat(1000)]).expect("a reply");
        c.call(&cmd!["INCR", "count"]).expect("a reply");
    }
}

/// A start that ends by itself: exit code and log.
fn refused(program: Program, dir: &Path) -> (i32, String) {
    let mut server = Server::launch(program, dir).expect("launched");
    let status = server.wait_exit().expect("it ends");
    (status.code().unwrap_or(-1), server.log_text())
}

#[test]
fn a_damaged_log_starts_again_by_its_plan() {
    let tmp = TempDir::new().expect("a directory");
    let plan = tmp.path().join("salvage.plan");
    let plan = plan.to_str().expect("a name");
    let mut server = Server::start(program()).expect("moon starts");
    let dir = server.dir().to_path_buf();
    let name = dir.to_str().expect("a name").to_owned();
    let mut c = server.client().expect("a connection");
    fill(&mut c, 0, 100);
    line(&mut c, "BGREWRITEAOF");
    until("a base", || info(&mut c, "aof_rewrites") == "1");
    fill(&mut c, 100, 400);
    assert!(server.terminate().expect("it stops").success());
    let all = segments(&dir);
    assert!(all.len() > 4, "{all:?}");
    flip(&all[all.len() / 2], 20_000);
    let (code, log) = refused(program(), &dir);
    assert!(code == 70 && log.contains("moon-inspect wal verify"), "{code}: {log}");
    let (code, text) = inspect(&["wal", "verify", &name, "--plan", plan]);
    assert!(code == 70 && text.contains("given up:  lsn "), "{code}: {text}");
    assert_eq!(inspect(&["wal", "verify", &name, "--plan", plan]).0, 1, "never over a file");
    let kept = text.split("the log up to lsn ").nth(1).and_then(|t| t.split(' ').next());
    let kept = kept.expect("what is kept").to_owned();
    let with_plan = || program().with(&["--salvage", plan]);

    // A plan for another directory, and one of before a change.
    let mut other = Server::start(program()).expect("moon starts");
    assert!(other.terminate().expect("it stops").success());
    let (code, log) = refused(with_plan(), other.dir());
    assert!(code == 2 && log.contains("is for the directory with uuid"), "{code}: {log}");
    let last = all.last().expect("a segment");
    flip(last, 5000);
    let (code, log) = refused(with_plan(), &dir);
    assert!(
        code == 2 && log.contains("has changed since the salvage plan was made"),
        "{code}: {log}"
    );
    flip(last, 5000);
    let (code, _) = refused(program().with(&["--salvage", "/nowhere/plan"]), &dir);
    assert_eq!(code, 1);

    let damaged: Vec<(PathBuf, Vec<u8>)> =
        all.iter().map(|p| (p.clone(), fs::read(p).expect("readable"))).collect();
    let mut server = Server::start_in(with_plan(), &dir).expect("moon starts");
    let log = server.log_text();
    assert!(log.contains(&format!("lsn {kept} is the last that is kept")), "{log}");
    assert!(log.contains("given up: lsn "), "{log}");
    let mut c = server.client().expect("a connection");
    let digest = line(&mut c, "DEBUG DIGEST");
    // Every record is one of a SET and an INCR, so that the two agree.
    let count: usize = line(&mut c, "GET count").parse().expect("a number");
    assert!((100..400).contains(&count), "{count}");
    assert_eq!(line(&mut c, &format!("EXISTS key:{}", count - 1)), ":1");
    assert_eq!(line(&mut c, &format!("EXISTS key:{}", count + 1)), ":0");
    until("a new base", || info(&mut c, "aof_rewrites") == "1");
    // Nothing is gone.
    let aside = fs::read_dir(dir.join("shard-0/wal-v3")).expect("the log").filter_map(Result::ok);
    let aside = aside.map(|f| f.path()).find(|p| p.to_string_lossy().contains("/salvage-"));
    let aside = aside.expect("a directory of what was set aside");
    for (path, bytes) in &damaged[all.len() / 2..] {
        let found = fs::read(aside.join(path.file_name().expect("a name")));
        assert!(found.is_ok_and(|found| found == *bytes), "{}", path.display());
    }
    assert_eq!(
        fs::read(aside.join("salvage.plan")).expect("the plan"),
        fs::read(plan).expect("the plan")
    );
    // What is new begins on a timeline of its own, with the flag and without.
    fill(&mut c, 1000, 1010);
    server.kill().expect("a kill");
    let mut server = Server::start_in(with_plan(), &dir).expect("moon starts with the flag");
    assert!(server.log_text().contains("--salvage is not needed any more"));
    let mut c = server.client().expect("a connection");
    assert_ne!(line(&mut c, "DEBUG DIGEST"), digest);
    let digest = line(&mut c, "DEBUG DIGEST");
    assert!(server.terminate().expect("it stops").success());
    let server = Server::start_in(program(), &dir).expect("moon starts without");
    let mut c = server.client().expect("a connection");
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
    let (code, text) = inspect(&["auto", "verify", &name]);
    // 1: the server runs, so its log ends as after a kill.
    assert!(code <= 1 && text.contains("\ncrash tail at "), "{code}: {text}");
}

#[test]
fn the_plan_is_for_the_command_line_only() {
    let tmp = TempDir::new().expect("a directory");
    let conf = tmp.path().join("moon.conf");
    fs::write(&conf, "salvage /some/plan\n").expect("written");
    let conf = conf.to_str().expect("a name");
    let (code, log) = refused(Program::moon().with_first(&[conf]), tmp.path());
    assert!(code == 1 && log.contains("command line"), "{code}: {log}");
    let sound = Server::start(program()).expect("moon starts");
    let mut c = sound.client().expect("a connection");
    assert!(line(&mut c, "CONFIG SET salvage /some/plan").contains("command line only"));
}
