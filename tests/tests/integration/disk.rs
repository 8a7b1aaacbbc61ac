//! Goal: a disk that fails, fills up or disappears loses nothing that was acknowledged, and says
//! so. Method: the real binary on a small file system, under a file size limit, and with its
//! directory moved away.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir, moon_binary};
use moon_tests::value::Value;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

fn error(value: &Value) -> String {
    match value {
        Value::Error(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("an error was expected: {other}"),
    }
}

fn info(client: &mut Client, field: &str) -> String {
    let Value::Bulk(text) = client.line("INFO persistence").unwrap() else { panic!("INFO") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(&format!("{field}:")));
    line.unwrap_or_default().to_owned()
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_directory_moved_away_refuses_writes_and_serves_reads_until_it_is_back() {
    let mut server = Server::start(Program::moon()).unwrap();
    let mut client = server.client().unwrap();
    client.line("SET k v").unwrap();
    let (shard, aside) = (server.dir().join("shard-0"), server.dir().join("aside"));
    std::fs::rename(&shard, &aside).unwrap();
    wait_for("dirlost", || info(&mut client, "log_state") == "dirlost");
    let refused = error(&client.line("SET k w").unwrap());
    assert!(refused.starts_with("MISCONF dirlost: "), "{refused}");
    assert_eq!(client.line("GET k").unwrap(), Value::Bulk(b"v".to_vec()));
    std::fs::rename(&aside, &shard).unwrap();
    wait_for("the log", || info(&mut client, "log_state") == "ok");
    assert_eq!(client.line("SET k w").unwrap(), Value::Simple(b"OK".to_vec()));
    server.kill().unwrap();
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("GET k").unwrap(), Value::Bulk(b"w".to_vec()));
}

/// A record that no file may hold stands for any write that cannot be made: the client is told
/// after `sync-fail-timeout` and closed, others go on.
#[test]
fn a_client_whose_write_cannot_be_made_is_told_in_time() {
    let dir = TempDir::new().unwrap();
    let script = dir.path().join("limited");
    let moon = moon_binary().display();
    let text = format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f 8192\nexec {moon} \"$@\"\n");
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::at(&script).with(&[
        "--wal-segment-size",
        "1mb",
        "--sync-fail-timeout",
        "1",
        "--appendfsync",
        "always",
    ]);
    let server = Server::start(program).unwrap();
    let mut held = server.client().unwrap();
    let mut other = server.client().unwrap();
    other.line("SET small v").unwrap();
    let refused = error(&held.call(&cmd!["SET", "big", vec![b'x'; 20 << 20]]).unwrap());
    assert!(refused.starts_with("MISCONF "), "{refused}");
    assert!(refused.contains("not known"), "{refused}");
    assert!(held.line("PING").is_err(), "the connection is closed");
    assert_eq!(info(&mut other, "log_state"), "diskfull");
    assert_eq!(other.line("GET small").unwrap(), Value::Bulk(b"v".to_vec()));
    assert!(error(&other.line("GET big").unwrap()).starts_with("MISCONF "));
}

/// A mounted file system of a fixed size, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &TempDir) -> Option<Small> {
        let path = dir.path().to_owned();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&path);
        match mount.output() {
            Ok(out) if out.status.success() => Some(Small(path)),
            _ => None,
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[allow(clippy::print_stdout)] // a test that cannot run says so
fn a_full_file_system_refuses_writes_loses_nothing_and_recovers_by_itself() {
    let dir = TempDir::new().unwrap();
    let Some(small) = Small::mount(&dir) else {
        println!("SKIPPED: no permission to mount a small file system here");
        return;
    };
    let program = Program::moon().with(&["--wal-segment-size", "1mb"]);
    let mut server = Server::start_in(program, &small.0).unwrap();
    let mut client = server.client().unwrap();
    let mut acked = 0;
    let refused = loop {
        let reply = client.call(&cmd!["SET", format!("k:{acked}"), vec![b'x'; 20_000]]).unwrap();
        if reply.is_error() {
            break error(&reply);
        }
        acked += 1;
        assert!(acked < 1000, "an 8 MiB file system holds no 20 MB");
    };
    assert!(refused.starts_with("MISCONF diskfull: "), "{refused}");
    assert_eq!(info(&mut client, "aof_last_write_status"), "err");
    assert_eq!(client.line("DEL k:0").unwrap(), Value::Int(1), "freeing still works");
    assert_eq!(client.line("EXISTS k:1").unwrap(), Value::Int(1));
    // Nothing acknowledged is lost, whether the process dies now or room comes back.
    server.kill().unwrap();
    let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&small.0).status();
    assert!(grown.unwrap().success());
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("DBSIZE").unwrap(), Value::Int(acked - 1));
    assert_eq!(client.line("SET more v").unwrap(), Value::Simple(b"OK".to_vec()));
    server.kill().unwrap();
    drop(server);
}

/// More data than memory: the start says so with exit code 70, and with more memory all is there.
#[test]
fn out_of_memory_during_replay_ends_with_70_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let mut server = Server::start_in(Program::moon(), dir.path()).unwrap();
    let mut client = server.client().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = stat.lines().find_map(|l| l.strip_prefix("VmPeak:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let keys = 192;
    for i in 0..keys {
        client.call(&cmd!["SET", format!("k:{i}"), vec![b'x'; 1 << 20]]).unwrap();
    }
    server.kill().unwrap();
    let files = || {
        let mut all = Vec::new();
        let mut dirs = vec![dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => dirs.push(path),
                    false => all.push((std::fs::metadata(&path).unwrap().len(), path)),
                }
            }
        }
        all.sort();
        all
    };
    let before = files();
    // Room for the process and for a part of the data.
    let limit = peak + (64 << 10);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "ulimit -v {limit}; exec {} --dir {} --port {port} --loglevel warning",
        moon_binary().display(),
        dir.path().display()
    );
    let ended = Command::new("sh").args(["-c", &text]).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(70), "{told}");
    assert!(told.contains("out of memory while the data are loaded"), "{told}");
    let log = |all: Vec<(u64, PathBuf)>| -> Vec<_> {
        all.into_iter().filter(|f| f.1.components().any(|c| c.as_os_str() == "shard-0")).collect()
    };
    assert_eq!(log(files()), log(before), "nothing has changed");
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("DBSIZE").unwrap(), Value::Int(keys));
    server.kill().unwrap();
    drop(server);
}
