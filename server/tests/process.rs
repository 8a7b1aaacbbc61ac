//! The `moon` process from outside: start, refusals, signals, recovery, options, clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MOON: &str = env!("CARGO_BIN_EXE_moon");

fn fresh(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("moon-process-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Moon {
    child: Child,
    port: u16,
}

impl Moon {
    fn start(dir: &Path, driver: &str, more: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new(MOON)
            .args(["--port", &port.to_string(), "--io-driver", driver, "--dir"])
            .arg(dir)
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let moon = Self { child, port };
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(mut conn) = Conn::open(port)
                && conn.send("PING\r\n").starts_with("+PONG")
            {
                return moon;
            }
            assert!(Instant::now() < until, "no answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn connect(&self) -> Conn {
        Conn::open(self.port).unwrap()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end; the exit code.
    fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Moon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Conn {
    reader: BufReader<TcpStream>,
}

impl Conn {
    fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    fn write(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends inline commands and reads one reply: a line, or the content of a bulk string.
    fn send(&mut self, text: &str) -> String {
        self.write(text);
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        if self.reader.read_line(&mut line).unwrap_or(0) == 0 {
            return "closed".into();
        }
        match line.strip_prefix('$').map(|n| n.trim().parse::<i64>().unwrap()) {
            Some(n) if n >= 0 => {
                let mut bulk = vec![0; n as usize + 2];
                self.reader.read_exact(&mut bulk).unwrap();
                bulk.truncate(n as usize);
                String::from_utf8(bulk).unwrap()
            }
            _ => line.trim_end().to_string(),
        }
    }
}

/// The drivers this machine has.
fn drivers() -> Vec<&'static str> {
    let dir = fresh("probe");
    let probe = Moon::start(&dir, "auto", &[]);
    let info = probe.connect().send("INFO server\r\n");
    let both = info.contains("multiplexing_api:uring");
    if both { vec!["epoll", "uring"] } else { vec!["epoll"] }
}

#[test]
fn data_survives_a_stop_and_a_kill() {
    for driver in drivers() {
        for policy in ["always", "everysec", "no"] {
            let dir = fresh(&format!("data-{driver}-{policy}"));
            let args = ["--appendfsync", policy];
            let moon = Moon::start(&dir, driver, &args);
            let mut conn = moon.connect();
            for i in 0..200 {
                assert_eq!(conn.send(&format!("SET k{i} v{i}\r\n")), "+OK");
            }
            assert!(conn.send("INFO persistence\r\n").contains("last_lsn:200\r\n"));
            moon.signal("-TERM");
            assert_eq!(conn.reply(), "closed");
            assert_eq!(moon.wait(), Some(0), "{driver} {policy}");

            let moon = Moon::start(&dir, driver, &args);
            let mut conn = moon.connect();
            assert_eq!(conn.send("DBSIZE\r\n"), ":200");
            assert_eq!(conn.send("GET k199\r\n"), "v199");
            for i in 0..100 {
                assert_eq!(conn.send(&format!("DEL k{i}\r\n")), ":1");
            }
            moon.signal("-KILL");
            drop(moon);

            // A killed process loses nothing that it has acknowledged, whatever the policy.
            let moon = Moon::start(&dir, driver, &args);
            let mut conn = moon.connect();
            assert_eq!(conn.send("DBSIZE\r\n"), ":100", "{driver} {policy}");
            assert_eq!(conn.send("SHUTDOWN\r\n"), "closed");
            assert_eq!(moon.wait(), Some(0));
        }
    }
}

#[test]
fn acknowledged_writes_survive_sigterm_under_load() {
    for driver in drivers() {
        let dir = fresh(&format!("load-{driver}"));
        let moon = Moon::start(&dir, driver, &[]);
        let port = moon.port;
        let writers: Vec<_> = (0..4)
            .map(|w| {
                std::thread::spawn(move || {
                    let mut conn = Conn::open(port).unwrap();
                    let mut acked = 0;
                    loop {
                        let line = format!("SET w{w}-{acked} x\r\n");
                        if conn.reader.get_mut().write_all(line.as_bytes()).is_err()
                            || conn.reply() != "+OK"
                        {
                            return acked;
                        }
                        acked += 1;
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        moon.signal("-TERM");
        assert_eq!(moon.wait(), Some(0));
        let acked: Vec<usize> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        assert!(acked.iter().sum::<usize>() > 100);
        let moon = Moon::start(&dir, driver, &[]);
        let mut conn = moon.connect();
        for (w, n) in acked.iter().enumerate() {
            for i in [0, n / 2, n - 1] {
                assert_eq!(
                    conn.send(&format!("GET w{w}-{i}\r\n")),
                    "x",
                    "{driver} w{w}-{i} of {n}"
                );
            }
        }
    }
}

fn output(args: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(MOON).args(args).output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn refusals_name_the_cause_and_the_exit_code() {
    let dir = fresh("refuse");
    let path = dir.to_str().unwrap();
    let moon = Moon::start(&dir, "auto", &[]);
    let port = free_port().to_string();
    let (code, text) = output(&["--dir", path, "--port", &port]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("moon.lock is held by another process"), "{text}");
    let other = fresh("refuse-other");
    let busy = moon.port.to_string();
    let (code, text) = output(&["--dir", other.to_str().unwrap(), "--port", &busy]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&format!("listen on 127.0.0.1:{busy}: Address already in use")),
        "{text}"
    );
    drop(moon);

    let (code, text) = output(&["--dir", path, "--port", &port, "--databases", "4"]);
    assert_eq!((code, text.contains("start with --databases 16")), (Some(2), true), "{text}");
    let (code, text) = output(&["--shards", "2"]);
    assert_eq!((code, text.contains("only one shard")), (Some(1), true), "{text}");
    let (code, text) = output(&["--bogus", "1", "--port", "x", "--check-config"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--bogus") && text.contains("--port"), "all errors: {text}");
    let (code, text) = output(&["--check-config", "--dir", path, "--hz", "20"]);
    assert_eq!((code, text.contains("hz 20 # flag")), (Some(0), true), "{text}");
    // The same check as at the start, without a start.
    let (code, text) = output(&["--check-config", "--dir", path, "--databases", "4"]);
    assert_eq!((code, text.contains("start with --databases 16")), (Some(1), true), "{text}");
    let foreign = fresh("foreign");
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::write(foreign.join("dump.rdb"), "REDIS0011").unwrap();
    let (code, text) = output(&["--dir", foreign.to_str().unwrap(), "--port", &port]);
    assert_eq!((code, text.contains("moon-migrate run --from redis:")), (Some(2), true), "{text}");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
}

/// What an uncommented sample file sets is what is built in, and the file names all of it.
#[test]
fn the_sample_file_is_the_built_in_defaults() {
    let dir = fresh("sample");
    std::fs::create_dir_all(&dir).unwrap();
    let (_, sample) = output(&["--sample-config"]);
    let lines = sample.lines().filter_map(|l| l.strip_prefix('#'));
    let text: Vec<&str> = lines.filter(|l| !l.starts_with([' ', '#'])).collect();
    let path = dir.join("all.conf");
    std::fs::write(&path, text.join("\n")).unwrap();
    let print = |args: &[&str]| {
        let (code, text) = output(&[args, &["--print-config"]].concat());
        assert_eq!(code, Some(0), "{text}");
        let lines = text.lines().map(|l| l.rsplit_once(" # ").unwrap_or((l, "")));
        lines.map(|(set, from)| (set.trim_end().to_string(), from.to_string())).collect::<Vec<_>>()
    };
    let (built_in, from_file) = (print(&[]), print(&[path.to_str().unwrap()]));
    assert!(built_in.len() > 100 && built_in.iter().all(|(_, from)| from == "default"));
    let mut named = 0;
    for ((want, _), (got, from)) in built_in.iter().zip(&from_file) {
        assert_eq!(want, got);
        named += usize::from(from.contains("all.conf:"));
    }
    assert_eq!(named, text.len());
    let (_, version) = output(&["--version"]);
    for part in ["moon server v=", "commit=", "target=", "wal="] {
        assert!(version.contains(part), "{version}");
    }
}

#[test]
fn damage_below_the_durable_end_stops_with_70() {
    let dir = fresh("damage");
    let moon = Moon::start(&dir, "auto", &["--appendfsync", "always"]);
    let mut conn = moon.connect();
    for i in 0..50 {
        assert_eq!(conn.send(&format!("SET key{i} value{i}\r\n")), "+OK");
    }
    moon.signal("-TERM");
    assert_eq!(moon.wait(), Some(0));
    let log = dir.join("shard-0/wal-v3/000000000001.wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(5).position(|w| w == b"key10").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let port = free_port().to_string();
    let (code, text) = output(&["--dir", dir.to_str().unwrap(), "--port", &port]);
    assert_eq!(code, Some(70), "{text}");
    assert!(text.contains("000000000001.wal"), "{text}");
    assert!(std::fs::read(&log).unwrap() == bytes, "recovery wrote something");
}

#[test]
fn clients_options_and_passwords() {
    for driver in drivers() {
        let dir = fresh(&format!("clients-{driver}"));
        let moon = Moon::start(&dir, driver, &[]);
        let (mut a, mut b) = (moon.connect(), moon.connect());
        let id_a: u64 = a.send("CLIENT ID\r\n")[1..].parse().unwrap();
        let id_b: u64 = b.send("CLIENT ID\r\n")[1..].parse().unwrap();
        assert!(id_b > id_a);
        assert_eq!(b.send("CLIENT SETNAME bob\r\n"), "+OK");
        assert!(b.send("CLIENT SETNAME \"b b\"\r\n").starts_with("-ERR Client names cannot"));
        let list = a.send("CLIENT LIST\r\n");
        assert!(list.contains(&format!("id={id_b} ")) && list.contains(" name=bob "), "{list}");

        // REPLY: what is off has no reply, ON has one.
        assert_eq!(b.send("CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n"), "+OK");
        assert_eq!(b.send("CLIENT REPLY SKIP\r\nPING\r\nECHO seen\r\n"), "seen");

        // A paused write waits; a read does not; UNPAUSE lets it through.
        assert_eq!(a.send("CLIENT PAUSE 60000 WRITE\r\n"), "+OK");
        b.write("SET paused 1\r\nGET paused\r\n");
        assert_eq!(a.send("GET paused\r\n"), "$-1");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(a.send("GET paused\r\n"), "$-1");
        assert_eq!(a.send("CLIENT UNPAUSE\r\n"), "+OK");
        assert_eq!((b.reply(), b.reply()), ("+OK".into(), "1".into()));
        assert_eq!(a.send("CLIENT PAUSE 50 ALL\r\n"), "+OK");
        let start = Instant::now();
        assert_eq!(b.send("PING\r\n"), "+PONG");
        assert!(start.elapsed() >= Duration::from_millis(30));

        assert_eq!(a.send(&format!("CLIENT KILL ID {id_b}\r\n")), ":1");
        assert_eq!(b.reply(), "closed");

        assert!(a.send("CONFIG SET hz 20 timeout x\r\n").starts_with("-ERR CONFIG SET failed"));
        assert_eq!(a.send("CONFIG GET hz\r\n"), "*2");
        assert_eq!((a.reply(), a.reply()), ("hz".into(), "10".into()));
        assert!(a.send("CONFIG SET dir /tmp\r\n").ends_with("can't set immutable config"));
        assert!(a.send("CONFIG REWRITE\r\n").contains("without a config file"));
        assert!(a.send("DEBUG SLEEP 0\r\n").starts_with("-ERR DEBUG command not allowed"));

        assert_eq!(a.send("CONFIG SET requirepass secret\r\n"), "+OK");
        let mut c = moon.connect();
        assert_eq!(c.send("GET x\r\n"), "-NOAUTH Authentication required.");
        assert!(c.send("AUTH wrong\r\n").starts_with("-WRONGPASS"));
        assert!(c.send("HELLO 3\r\n").starts_with("-NOAUTH HELLO"));
        assert_eq!(c.send("AUTH default secret\r\n"), "+OK");
        assert_eq!(c.send("GET x\r\n"), "$-1");
        assert_eq!(c.send("RESET\r\n"), "+RESET");
        assert!(c.send("GET x\r\n").starts_with("-NOAUTH"));

        // One connection too many.
        assert_eq!(a.send("CONFIG SET maxclients 2\r\n"), "+OK");
        let mut d = moon.connect();
        assert_eq!(d.reply(), "-ERR max number of clients reached");
        let info = a.send("INFO everything\r\n");
        for needle in [
            "rejected_connections:1\r\n",
            "cmdstat_client|kill:calls=1,",
            "errorstat_NOAUTH:count=3\r\n",
            "db0:keys=1,",
        ] {
            assert!(info.contains(needle), "{needle} in {info}");
        }
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let dir = fresh("twice");
    let moon = Moon::start(&dir, "epoll", &[]);
    // A connection whose replies cannot leave keeps the first stop waiting.
    let mut stuck = moon.connect();
    stuck.write(&format!("SET big {}\r\n", "x".repeat(60_000)));
    for _ in 0..400 {
        stuck.write("GET big\r\n");
    }
    std::thread::sleep(Duration::from_millis(300));
    moon.signal("-TERM");
    std::thread::sleep(Duration::from_millis(300));
    moon.signal("-TERM");
    let start = Instant::now();
    assert_eq!(moon.wait(), Some(143));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_file_on_standard_input_and_a_unix_socket() {
    let dir = fresh("stdin");
    let socket = std::env::temp_dir().join(format!("moon-{}.sock", std::process::id()));
    let mut child = Command::new(MOON)
        .args(["-", "--dir"])
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = format!("port 0\nunixsocket {}\nunixsocketperm 700\n", socket.display());
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let moon = Moon { child, port: 0 };
    let until = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(e) => assert!(Instant::now() < until, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    stream.write_all(b"ECHO hi\r\n").unwrap();
    let mut got = [0; 8];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"$2\r\nhi\r\n");
    drop(stream);
    moon.signal("-INT");
    assert_eq!(moon.wait(), Some(0));
    assert!(!socket.exists());
}
