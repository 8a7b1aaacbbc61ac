//! Goal: health, readiness and metrics are there when they are needed most: while data is loaded, while
//! a script loops, while the shard is stuck, while the disk is gone. Method: plain HTTP over sockets,
//! and the parser of Prometheus' own client library.

use crate::tools::{python, shown};
use moon_tests::client::Client;
use moon_tests::server::{Program, Server, TempDir, free_port};
use moon_tests::value::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A server and its admin port.
fn start(options: &[&str]) -> (Server, u16) {
    let port = free_port().unwrap();
    let server = Server::start(program(port).with(options)).unwrap();
    (server, port)
}

fn program(port: u16) -> Program {
    Program::moon().with(&["--admin-port", &port.to_string()])
}

/// A connection that is used for one request after the other.
struct Http(BufReader<TcpStream>);

impl Http {
    fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Status, head and body of a reply to GET.
    fn reply(&mut self) -> (u16, String, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "closed behind {head:?}");
        }
        let field = |name| head.lines().find_map(|l: &str| l.strip_prefix(name));
        let len: usize = field("Content-Length: ").unwrap().parse().unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        (status, head, String::from_utf8(body).unwrap())
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let (status, _, body) = self.reply();
        (status, body)
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 16]), Ok(0) | Err(_))
    }
}

fn get(port: u16, path: &str) -> (u16, String) {
    Http::open(port).unwrap().get(path)
}

/// The value of a sample with these labels.
fn metric(port: u16, sample: &str) -> Option<f64> {
    let (_, text) = get(port, "/metrics");
    text.lines().find_map(|l| l.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn line(client: &mut Client, text: &str) -> String {
    client.line(text).unwrap().to_string()
}

#[test]
fn a_healthy_server_answers_and_other_requests_get_their_status() {
    let (server, port) = start(&[]);
    assert_eq!(get(port, "/healthz"), (200, "OK\n".into()));
    assert_eq!(get(port, "/readyz?verbose"), (200, "OK\n".into()));
    assert_eq!(get(port, "/").0, 404);
    assert_eq!(get(port, "/metrics/").0, 404);
    let mut http = Http::open(port).unwrap();
    // Two requests at once, then HEAD, on one connection.
    http.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(http.reply().0, 200);
    let (status, head, body) = http.reply();
    assert_eq!(status, 200);
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nmoon_ready 1\n"), "{body}");
    http.send("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let (status, head, _) = http.reply();
    assert_eq!((status, head.contains("Allow: GET, HEAD")), (405, true));
    assert!(http.is_closed());
    for (text, status) in [
        ("BOGUS\r\n\r\n".to_string(), 400),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(5000)), 414),
        (format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(20_000)), 431),
    ] {
        let mut http = Http::open(port).unwrap();
        http.send(&text);
        assert_eq!(http.reply().0, status);
        assert!(http.is_closed());
    }
    drop(server);
}

#[test]
fn slow_and_many_connections_keep_nobody_out() {
    let (_server, port) = start(&[]);
    let mut slow = Http::open(port).unwrap();
    slow.send("GET /healthz HT");
    let idle: Vec<Http> = (0..300).filter_map(|_| Http::open(port).ok()).collect();
    wait_for("a probe", || {
        let Ok(mut http) = Http::open(port) else { return false };
        http.0.get_mut().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        http.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut start = [0; 12];
        http.0.read_exact(&mut start).is_ok() && &start == b"HTTP/1.1 200"
    });
    drop(idle);
    // The request that never ends is answered and closed, if it has not made room before.
    let start = Instant::now();
    let mut rest = String::new();
    let _ = slow.0.read_to_string(&mut rest);
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_looping_script_is_no_reason_to_restart_the_server() {
    let (server, port) = start(&["--busy-reply-threshold", "7000"]);
    let mut looping = server.client().unwrap();
    looping.queue(&moon_tests::cmd!["EVAL", "while true do end", 0]);
    looping.flush().unwrap();
    std::thread::sleep(Duration::from_millis(5500));
    // Nobody has had a turn for more than five seconds, but the script can be stopped soon.
    assert_eq!(get(port, "/healthz"), (200, "OK\n".into()));
    let mut other = server.client().unwrap();
    assert!(line(&mut other, "PING").starts_with("-BUSY"));
    assert_eq!(get(port, "/healthz"), (200, "OK\n".into()));
    assert!(metric(port, "moon_figures_age_seconds").unwrap() < 1.0);
    assert_eq!(line(&mut other, "SCRIPT KILL"), "+OK");
}

#[test]
fn a_stuck_shard_blocks_neither_health_nor_metrics() {
    let (server, port) = start(&["--enable-debug-command", "yes"]);
    assert_eq!(metric(port, "moon_up_shards"), Some(1.0));
    let mut stuck = server.client().unwrap();
    stuck.queue(&moon_tests::cmd!["DEBUG", "SLEEP", "8"]);
    stuck.flush().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    assert_eq!(get(port, "/healthz").0, 200);
    assert!(start.elapsed() < Duration::from_millis(300));
    assert!(metric(port, "moon_commands_processed_total").is_some(), "the last figures");
    assert!(start.elapsed() < Duration::from_secs(3));
    wait_for("503", || get(port, "/healthz").0 == 503);
    let (status, why) = get(port, "/readyz");
    assert_eq!(status, 503);
    assert!(why.starts_with("NOT READY: shard 0 has not turned for "), "{why}");
    let (_, text) = get(port, "/metrics");
    assert!(text.contains("\nmoon_up_shards 0\n") && text.contains("\nmoon_ready 0\n"), "{text}");
    wait_for("the end", || get(port, "/healthz").0 == 200);
}

#[test]
fn it_is_not_ready_while_loading() {
    let (mut server, port) = start(&[]);
    let fill = "for i = 1, 400000 do redis.call('SET', 'key:' .. i, i) end";
    let mut client = server.client().unwrap();
    assert_eq!(client.call(&moon_tests::cmd!["EVAL", fill, 0]).unwrap(), Value::NullBulk);
    assert_eq!(server.terminate().unwrap().code(), Some(0));
    let mut server = Server::launch(program(port), server.dir()).unwrap();
    let mut seen = None;
    wait_for("readiness", || {
        let Ok(mut http) = Http::open(port) else { return false };
        loop {
            match http.get("/readyz") {
                (503, why) => seen = Some(why),
                (status, _) => return status == 200,
            }
        }
    });
    let why = seen.expect("it was loading");
    assert!(why.starts_with("NOT READY: loading ") && why.ends_with(" %\n"), "{why}");
    server.wait_ready().unwrap();
    assert_eq!(metric(port, "moon_loading"), Some(0.0));
    assert_eq!(metric(port, "moon_keys{db=\"0\"}"), Some(400_000.0));
    assert!(metric(port, "moon_recovery_seconds").unwrap() > 0.0);
}

#[test]
fn it_is_not_ready_while_the_log_is_degraded() {
    let (server, port) = start(&[]);
    let (shard, aside) = (server.dir().join("shard-0"), server.dir().join("aside"));
    std::fs::rename(&shard, &aside).unwrap();
    wait_for("503", || get(port, "/readyz").0 == 503);
    assert_eq!(get(port, "/readyz").1, "NOT READY: degraded: dirlost\n");
    assert_eq!(get(port, "/healthz").0, 200, "it still serves reads");
    let state = |name| metric(port, &format!("moon_log_state{{shard=\"0\",state=\"{name}\"}}"));
    assert_eq!((state("dirlost"), state("ok")), (Some(1.0), Some(0.0)));
    std::fs::rename(&aside, &shard).unwrap();
    wait_for("200", || get(port, "/readyz").0 == 200);
}

#[test]
fn the_parser_of_prometheus_reads_the_metrics_and_they_agree_with_info() {
    let (server, port) = start(&["--appendfsync", "always"]);
    let mut client = server.client().unwrap();
    for text in ["SET k v", "SETEX t 100 v", "GET k", "GET none", "GET none2", "LPUSH l a"] {
        assert!(!line(&mut client, text).starts_with('-'));
    }
    for text in ["LPUSH k a", "GET", "NOSUCH"] {
        assert!(line(&mut client, text).starts_with('-'));
    }
    assert_eq!(line(&mut client, "CONFIG SET slowlog-log-slower-than 0"), "+OK");
    line(&mut client, "PING");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/metrics.py");
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let output = Command::new(python())
        .arg(script)
        .args([server.port().to_string(), port.to_string()])
        .arg(pages)
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn metrics_tell_how_far_consumers_of_changes_are_behind() {
    let retain = ["--wal-segment-size", "64kb", "--cdc-retain-bytes", "0"];
    let (server, port) = start(&[&["--appendfsync", "always"], &retain[..]].concat());
    let mut client = server.client().unwrap();
    let at = |sample: &str| metric(port, &format!("moon_cdc_{sample}"));
    assert_eq!(
        (at("slots"), at("subscribers"), at("events_sent_total")),
        (Some(0.), Some(0.), Some(0.))
    );
    assert_eq!(at("lag_lsn{slot=\"one\"}"), None);
    assert_eq!(line(&mut client, "CDC.SLOT CREATE one 0 1"), ":1");
    let mut follower = server.client().unwrap();
    let id = line(&mut follower, "CLIENT ID").replace(':', "");
    assert_eq!(line(&mut follower, "CDC.SUBSCRIBE 0 $ CREDIT 1"), "+OK");
    for i in 0..10 {
        line(&mut client, &format!("SET k{i} v"));
    }
    // The slot's own record counts: it is in the log, though nobody is shown it.
    wait_for("the lag of a slot", || at("lag_lsn{slot=\"one\"}") == Some(11.));
    let subscriber = format!("subscriber_lag_lsn{{client=\"{id}\"}}");
    wait_for("the lag of a subscriber", || at(&subscriber) == Some(9.));
    assert_eq!(
        (at("slots"), at("subscribers"), at("events_sent_total")),
        (Some(1.), Some(1.), Some(1.))
    );
    assert_eq!(line(&mut client, "CDC.ACK one 0 8"), ":8");
    wait_for("less lag", || at("lag_lsn{slot=\"one\"}") == Some(5.));
    let held = at("slot_held_bytes{slot=\"one\"}").unwrap();
    assert!(held >= 4096., "{held}");
    for i in 0..2000 {
        line(&mut client, &format!("SET k{i} {}", "v".repeat(100)));
    }
    wait_for("more of the log", || at("slot_held_bytes{slot=\"one\"}").unwrap() > held);
    assert_eq!(at("slots_invalidated"), Some(0.));
    assert_eq!(line(&mut client, "CONFIG SET cdc-slot-max-bytes 10kb"), "+OK");
    wait_for("it is given up", || at("slots_invalidated") == Some(1.));
    assert_eq!((at("slots"), at("slot_held_bytes{slot=\"one\"}")), (Some(1.), Some(0.)));
    drop(follower);
    wait_for("it is gone", || at("subscribers") == Some(0.) && at(&subscriber).is_none());
    // A label has at most so many values; the others share one.
    for i in 0..210 {
        assert!(line(&mut client, &format!("CDC.SLOT CREATE s{i:03}")).starts_with(':'));
    }
    wait_for("all slots", || at("slots") == Some(211.));
    let (_, text) = get(port, "/metrics");
    assert_eq!(text.matches("moon_cdc_lag_lsn{").count(), 201);
    assert!(text.contains("moon_cdc_lag_lsn{slot=\"other\"}"));
}

#[test]
fn a_replica_without_its_master_is_not_ready() {
    let (mut master, _) = start(&[]);
    let (replica, port) = start(&["--replicaof", &format!("127.0.0.1 {}", master.port())]);
    wait_for("the link", || get(port, "/readyz").0 == 200);
    assert_eq!(metric(port, "moon_replica_link_up"), Some(1.0));
    master.kill().unwrap();
    wait_for("503", || get(port, "/readyz").0 == 503);
    assert_eq!(get(port, "/readyz").1, "NOT READY: link to the master is down\n");
    assert_eq!(get(port, "/healthz").0, 200);
    assert_eq!(line(&mut replica.client().unwrap(), "PING"), "+PONG");
}

/// INFO tells of the turns of the event loop; the section `debug` only by its name.
#[test]
fn info_tells_of_the_event_loop() {
    let (server, _) = start(&[]);
    let mut client = server.client().unwrap();
    let mut info = |section: &str| {
        let Value::Bulk(text) = client.line(&format!("INFO {section}")).unwrap() else { panic!() };
        let text = String::from_utf8(text).unwrap();
        let field = |l: &str| l.split_once(':').map(|(k, v)| (k.to_string(), v.to_string()));
        text.lines().filter_map(field).collect::<std::collections::HashMap<_, _>>()
    };
    std::thread::sleep(Duration::from_millis(1800));
    let (all, debug) = (info("everything"), info("debug"));
    let number = |name: &str| -> u64 {
        let text = all.get(name).or(debug.get(name)).unwrap_or_else(|| panic!("{name}"));
        text.parse().unwrap()
    };
    assert!(number("eventloop_cycles") > 15);
    let (busy, commands) = (number("eventloop_duration_sum"), number("eventloop_duration_cmd_sum"));
    assert!(0 < commands && commands < busy && busy < 1_000_000, "{commands} {busy}");
    // An idle server wakes up some ten times a second, for its housekeeping.
    assert!((5..20).contains(&number("instantaneous_eventloop_cycles_per_sec")));
    assert!((1..10_000).contains(&number("instantaneous_eventloop_duration_usec")));
    assert!(number("eventloop_duration_cron_sum") > 0 && number("eventloop_duration_max") > 0);
    assert!(number("eventloop_cmd_per_cycle_max") >= 1);
    assert!(!all.contains_key("eventloop_duration_aof_sum"), "only by name");
    assert!(debug.contains_key("eventloop_duration_aof_sum"));
}

#[test]
fn too_many_error_codes_are_said_once() {
    let (server, port) = start(&[]);
    let mut client = server.client().unwrap();
    for i in 0..200 {
        let script = format!("return redis.error_reply('CODE{i} text')");
        assert!(client.call(&moon_tests::cmd!["EVAL", script, 0]).unwrap().is_error());
    }
    let text = server.log_text();
    assert_eq!(text.matches("Errorstats stopped adding new errors").count(), 1, "{text}");
    assert!(text.contains("Current errors code list") && !text.contains("CODE7"), "{text}");
    let code = "moon_error_replies_total{code=\"ERRORSTATS_DISABLED\"}";
    assert_eq!(metric(port, code), Some(1.0));
}

#[test]
fn a_taken_admin_port_is_an_error_at_start() {
    let (_server, port) = start(&[]);
    let dir = TempDir::new().unwrap();
    let mut second = Server::launch(program(port), dir.path()).unwrap();
    assert_eq!(second.wait_exit().unwrap().code(), Some(1));
    assert!(second.log_text().contains(&format!("127.0.0.1:{port}")), "{}", second.log_text());
}
