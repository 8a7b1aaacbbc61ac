//! Goal: whoever runs the server is told what it needs: a service manager by notifications, a log
//! collector by lines, an operator by signals and exit codes. Method: real processes, sockets, signals.

use crate::tools::{python, shown};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir, moon_binary};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn line(client: &mut Client, text: &str) -> String {
    client.line(text).expect("a reply").to_string()
}

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, dir }
    }

    fn program(&self) -> Program {
        let path = self.dir.path().join("notify");
        Program::moon().env("NOTIFY_SOCKET", path.to_str().unwrap())
    }

    /// The next message, and whether it came in time.
    fn next(&self) -> String {
        let mut text = [0; 4096];
        let n = self.socket.recv(&mut text).expect("a message");
        String::from_utf8(text[..n].to_vec()).unwrap()
    }

    /// Messages up to one that holds this text.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            all.push(self.next());
            if all.last().is_some_and(|m| m.lines().any(|l| l.starts_with(wanted))) {
                return all;
            }
        }
    }
}

#[test]
fn a_service_manager_hears_of_start_health_and_stop() {
    let manager = Manager::new();
    let options = ["--enable-debug-command", "yes"];
    let program = manager.program().env("WATCHDOG_USEC", "300000").with(&options);
    let mut server = Server::start(program).unwrap();
    manager.until("READY=1");
    manager.until("WATCHDOG=1");
    manager.until("WATCHDOG=1");
    // A stuck shard is not vouched for, and one that goes on is.
    let mut client = server.client().unwrap();
    client.queue(&cmd!["DEBUG", "SLEEP", "7"]);
    client.flush().unwrap();
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        manager.until("WATCHDOG=1");
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    assert!((1000..4000).contains(&longest.as_millis()), "{longest:?}");
    // The log's state is told.
    let (shard, aside) = (server.dir().join("shard-0"), server.dir().join("aside"));
    std::fs::rename(&shard, &aside).unwrap();
    manager.until("STATUS=degraded: dirlost");
    std::fs::rename(&aside, &shard).unwrap();
    manager.until("STATUS=serving");
    assert_eq!(server.terminate().unwrap().code(), Some(0));
    manager.until("STOPPING=1");
}

#[test]
fn a_long_recovery_is_reported_and_asks_for_time() {
    let manager = Manager::new();
    let mut server = Server::start(manager.program()).unwrap();
    manager.until("READY=1");
    let mut client = server.client().unwrap();
    for i in 0..4 {
        let fill = format!("for i = 1, 400000 do redis.call('SET', 'k:{i}:' .. i, i) end");
        assert!(!client.call(&cmd!["EVAL", fill, 0]).unwrap().is_error());
    }
    server.kill().unwrap();
    server.restart().unwrap();
    let said = manager.until("READY=1");
    let percent = |m: &&String| m.starts_with("STATUS=recovering: ");
    assert!(said.iter().any(|m| percent(&m)), "{said:?}");
    assert!(said.iter().any(|m| m == "EXTEND_TIMEOUT_USEC=30000000"), "{said:?}");
}

#[test]
fn supervised_no_tells_nobody() {
    let manager = Manager::new();
    let mut server = Server::start(manager.program().with(&["--supervised", "no"])).unwrap();
    server.terminate().unwrap();
    manager.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
}

#[test]
fn the_pidfile_holds_the_number_of_the_process_while_it_runs() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("moon.pid");
    let program = Program::moon().with(&["--pidfile", path.to_str().unwrap()]);
    let mut server = Server::start(program).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{}\n", server.pid()));
    server.terminate().unwrap();
    assert!(!path.exists());
    // One that cannot be written is a warning.
    let server = Server::start(Program::moon().with(&["--pidfile", "/no/such/place"])).unwrap();
    assert!(server.log_text().contains("no pidfile path=/no/such/place"), "{}", server.log_text());
}

#[test]
fn a_log_file_moved_away_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let (path, old) = (dir.path().join("moon.log"), dir.path().join("moon.log.1"));
    let program = Program::moon().with(&["--logfile", path.to_str().unwrap()]);
    let mut server = Server::start(program).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    wait_for("a line", || read(&path).contains("Ready to accept connections"));
    std::fs::rename(&path, &old).unwrap();
    server.signal("-HUP").unwrap();
    wait_for("the new file", || read(&path).contains("log file opened again"));
    assert_eq!(line(&mut server.client().unwrap(), "PING"), "+PONG");
    server.terminate().unwrap();
    assert!(read(&path).contains("stopped") && !read(&old).contains("stopped"));
}

/// Each line is an object with the parts of the schema; texts with quotes and line breaks are no
/// exception.
#[test]
fn json_lines_follow_the_schema() {
    let options = ["--log-format", "json", "--enable-debug-command", "yes", "--loglevel", "debug"];
    let mut server = Server::start(Program::moon().with(&options)).unwrap();
    let mut client = server.client().unwrap();
    client.call(&cmd!["DEBUG", "LOG", "a \"quote\"\nand a line"]).unwrap();
    client.call(&cmd!["EVAL", "redis.log(redis.LOG_WARNING, 'from a script')", 0]).unwrap();
    server.terminate().unwrap();
    let check = r#"
import json, re, sys
lines = [json.loads(l) for l in sys.stdin]
for l in lines:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", l["time"]), l
    assert l["level"] in ("debug", "verbose", "notice", "warning", "error"), l
    assert l["component"] and l["message"], l
    assert all(re.fullmatch("[a-z_]+", k) and isinstance(v, (str, int, bool)) for k, v in l.items()), l
messages = {l["message"]: l for l in lines}
assert messages["Server initialized"]["keys"] == 0
assert messages['DEBUG LOG: a "quote"\nand a line']["level"] == "warning"
assert messages["from a script"]["component"] == "script"
"#;
    let mut child = Command::new(python())
        .args(["-c", check])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(server.log_text().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", shown(&output), server.log_text());
}

#[test]
fn a_flood_of_lines_is_cut_and_counted() {
    let options = ["--enable-debug-command", "yes"];
    let server = Server::start(Program::moon().with(&options)).unwrap();
    let mut client = server.client().unwrap();
    for i in 0..150 {
        client.call(&cmd!["DEBUG", "LOG", format!("line {i}")]).unwrap();
    }
    assert_eq!(server.log_text().matches("DEBUG LOG: line").count(), 100);
    wait_for("the count", || server.log_text().contains("lines left out dropped=50"));
}

#[test]
fn usr1_writes_the_state_even_of_a_stuck_shard() {
    let options = ["--enable-debug-command", "yes"];
    let server = Server::start(Program::moon().with(&options)).unwrap();
    let mut client = server.client().unwrap();
    line(&mut client, "SET k v");
    server.signal("-USR1").unwrap();
    let dumped = |n| server.log_text().matches("state of the shard").count() == n;
    wait_for("a dump", || dumped(1));
    wait_for("its threads", || server.log_text().contains("name=shard-0 state="));
    let text = server.log_text();
    assert!(text.contains("phase=serving") && text.contains("keys=1 last_lsn=1"), "{text}");
    client.queue(&cmd!["DEBUG", "SLEEP", "3"]);
    client.flush().unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    server.signal("-USR1").unwrap();
    wait_for("a dump of the stuck shard", || dumped(2));
    let text = server.log_text();
    let last = text.lines().rev().find(|l| l.contains("state of the shard")).unwrap();
    let silent = last.split("silent_ms=").nth(1).and_then(|s| s.split(' ').next()).unwrap();
    assert!(silent.parse::<u64>().unwrap() > 1000, "{last}");
}

#[test]
fn a_bug_leaves_a_report_without_user_data_and_loses_nothing() {
    let options = ["--enable-debug-command", "yes"];
    let mut server = Server::start(Program::moon().with(&options)).unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(line(&mut client, "SET topsecret hidden"), "+OK");
    line(&mut client, "GET topsecret");
    client.queue(&cmd!["DEBUG", "PANIC"]);
    client.flush().unwrap();
    let status = server.wait_exit().unwrap();
    assert_eq!(status.signal(), Some(6), "{status}");
    let text = server.log_text();
    for needle in [
        "bug: version ",
        "thread \"shard-0\" at ",
        "DEBUG PANIC",
        "last commands, latest first: debug get set",
        "bug: the process ends version=",
        "commands=\"debug get set",
    ] {
        assert!(text.contains(needle), "{needle} in {text}");
    }
    assert!(!text.contains("topsecret") && !text.contains("hidden"), "{text}");
    server.restart().unwrap();
    assert_eq!(line(&mut server.client().unwrap(), "GET topsecret"), "\"hidden\"");
}

#[test]
fn names_of_clients_stand_in_the_log_only_if_asked_for() {
    for (mode, told) in [("no", false), ("yes", true)] {
        let options = ["--log-user-data", mode, "--client-query-buffer-limit", "1mb"];
        let server = Server::start(Program::moon().with(&options)).unwrap();
        let mut client = server.client().unwrap();
        assert_eq!(line(&mut client, "CLIENT SETNAME somebody"), "+OK");
        client.queue(&cmd!["SET", "k", "x".repeat(3 << 20)]);
        let _ = client.flush();
        wait_for("the line", || server.log_text().contains("closed: query buffer over its limit"));
        assert_eq!(server.log_text().contains("name=somebody"), told, "{}", server.log_text());
    }
}

#[test]
fn the_commands_of_the_unit_files_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    for name in ["moon.service", "moon@.service"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("c.conf"), "port 6390\n").unwrap();
        for key in ["ExecStartPre=", "ExecStart="] {
            let command = text.lines().find_map(|l| l.strip_prefix(key)).unwrap();
            let mut words = command.split(' ');
            assert_eq!(words.next(), Some("/usr/bin/moon"));
            let args = words.map(|w| match w {
                w if w.starts_with("/etc/moon/") => dir.path().join("c.conf").display().to_string(),
                w if w.starts_with("/var/lib/moon") => dir.path().display().to_string(),
                w => w.to_string(),
            });
            // The start itself is asked for a check only.
            let output =
                Command::new(moon_binary()).args(args).arg("--check-config").output().unwrap();
            assert!(output.status.success(), "{command}: {}", shown(&output));
            assert!(shown(&output).contains("port 6390"), "{}", shown(&output));
        }
    }
}
