//! Goal: damage on the disk is found while the server runs, and a restart does not meet it. Method: the real
//! server, bytes of its files changed under it.

use moon_tests::ask::{info, line, number, until};
use moon_tests::cmd;
use moon_tests::server::{Program, Server};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
    file.sync_all().expect("synced");
}

fn first(dir: &Path, ending: &str) -> std::path::PathBuf {
    let files = fs::read_dir(dir).expect("the directory").filter_map(Result::ok);
    let mut files: Vec<_> = files.map(|f| f.path()).collect();
    files.sort();
    let is = |p: &&std::path::PathBuf| p.to_string_lossy().ends_with(ending);
    files.iter().find(is).expect("a file").clone()
}

#[test]
fn damage_on_the_disk_is_found_and_replaced() {
    let args = ["--enable-debug-command", "yes", "--wal-segment-size", "64kb"];
    let mut server = Server::start(Program::moon().with(&args)).expect("moon starts");
    let mut c = server.client().expect("a connection");
    let fill = |c: &mut moon_tests::client::Client| {
        for n in 0..300 {
            c.call(&cmd!["SET", format!("key{n}"), "x".repeat(1000)]).expect("a reply");
        }
    };
    fill(&mut c);
    line(&mut c, "BGREWRITEAOF");
    until("a base", || info(&mut c, "aof_rewrites") == "1");
    fill(&mut c);
    line(&mut c, "CONFIG SET scrub-mb-per-sec 100");
    assert_eq!(line(&mut c, "DEBUG SCRUB"), "OK");
    until("a pass", || info(&mut c, "scrub_passes") == "1");
    assert_eq!(
        (info(&mut c, "base_state"), info(&mut c, "scrub_findings")),
        ("ok".into(), "0".into())
    );
    assert!(number(&mut c, "scrub_bytes") > 500_000);
    let digest = line(&mut c, "DEBUG DIGEST");
    let places = [("appendonlydir/shard-0", ".rdb", 5000), ("shard-0/wal-v3", ".wal", 9000)];
    for (i, (dir, ending, at)) in (1..).zip(places) {
        let rewrites = number(&mut c, "aof_rewrites");
        flip(&first(&server.dir().join(dir), ending), at);
        line(&mut c, "DEBUG SCRUB");
        until("it is found", || number(&mut c, "scrub_findings") >= i);
        until("a new base", || number(&mut c, "aof_rewrites") > rewrites);
        line(&mut c, "DEBUG SCRUB");
        until("nothing is damaged", || {
            line(&mut c, "DEBUG SCRUB");
            info(&mut c, "base_state") == "ok"
        });
        assert!(server.log_text().contains("scrub: "), "it is in the log");
        fill(&mut c);
    }
    server.kill().expect("a kill");
    server.restart().expect("moon starts again");
    let mut c = server.client().expect("a connection");
    assert_eq!(line(&mut c, "DEBUG DIGEST"), digest);
    line(&mut c, "CONFIG SET scrub-mb-per-sec 0");
    until("it is off", || line(&mut c, "DEBUG SCRUB").starts_with("-ERR"));
}
