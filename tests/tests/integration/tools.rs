//! Goal: the tools that everybody has work unchanged. Method: redis-cli, redis-benchmark and
//! redis-py against a fresh server, judged by their own output and exit status.

use moon_tests::ask::text;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir};
use moon_tests::value::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn moon() -> Server {
    Server::start(Program::moon()).expect("moon starts")
}

fn redis_cli(server: &Server, args: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &server.port().to_string()])
        .args(args)
        .output()
        .expect("redis-cli runs");
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn redis_cli_in_both_protocols() {
    let server = moon();
    for protocol in ["-2", "-3"] {
        let cli = |args: &[&str]| redis_cli(&server, &[&[protocol], args].concat());
        assert_eq!(cli(&["flushall"]), "OK\n");
        assert_eq!(cli(&["set", "greeting", "hello, moon"]), "OK\n");
        assert_eq!(cli(&["get", "greeting"]), "hello, moon\n");
        assert_eq!(cli(&["rpush", "queue", "one", "two"]), "2\n");
        assert_eq!(cli(&["lrange", "queue", "0", "-1"]), "one\ntwo\n");
        assert_eq!(cli(&["hset", "user", "name", "ann"]), "1\n");
        assert_eq!(cli(&["--no-raw", "hgetall", "user"]).matches("\"ann\"").count(), 1);
        assert_eq!(cli(&["zadd", "board", "1.5", "ann"]), "1\n");
        assert_eq!(cli(&["zrange", "board", "0", "-1", "withscores"]), "ann\n1.5\n");
        assert!(cli(&["lpush", "greeting", "x"]).starts_with("WRONGTYPE"));
        assert!(cli(&["info"]).contains("redis_version:"));
    }
    for i in 0..300 {
        redis_cli_quietly(&server, i);
    }
    assert_eq!(redis_cli(&server, &["--scan", "--pattern", "many:*"]).lines().count(), 300);
}

/// One key through a connection of its own.
fn redis_cli_quietly(server: &Server, i: usize) {
    let mut client = server.client().expect("a connection");
    client.line(&format!("SET many:{i} {i}")).expect("SET");
}

#[test]
fn redis_benchmark_runs_every_default_test() {
    const TESTS: [&str; 20] = [
        "PING_INLINE",
        "PING_MBULK",
        "SET",
        "GET",
        "INCR",
        "LPUSH",
        "RPUSH",
        "LPOP",
        "RPOP",
        "SADD",
        "HSET",
        "SPOP",
        "ZADD",
        "ZPOPMIN",
        "LPUSH (needed to benchmark LRANGE)",
        "LRANGE_100",
        "LRANGE_300",
        "LRANGE_500",
        "LRANGE_600",
        "MSET (10 keys)",
    ];
    let server = moon();
    for pipeline in ["1", "16"] {
        let output = Command::new("redis-benchmark")
            .args([
                "-p",
                &server.port().to_string(),
                "-n",
                "2000",
                "-q",
                "-P",
                pipeline,
                "-r",
                "1000",
            ])
            .output()
            .expect("redis-benchmark runs");
        let text = shown(&output);
        assert!(output.status.success(), "{text}");
        for name in TESTS {
            let done = text
                .split(['\r', '\n'])
                .any(|l| l.starts_with(name) && l.contains("requests per second"));
            assert!(done, "{name} did not complete with -P {pipeline}:\n{text}");
        }
        assert!(!text.contains("rror"), "{text}");
    }
}

/// Strings and collections of some sizes.
fn sizes(server: &Server) {
    let mut client = server.client().expect("a connection");
    for i in 0..50 {
        client.line(&format!("SET small:{i} {i}")).expect("SET");
    }
    client.line(&format!("SET large {}", "x".repeat(5000))).expect("SET");
    for i in 0..300 {
        client.line(&format!("RPUSH list {i}")).expect("RPUSH");
        client.line(&format!("HSET hash f{i} {i}")).expect("HSET");
    }
    client.line("SADD set a b c").expect("SADD");
    client.line("ZADD zset 1 a 2 b").expect("ZADD");
    client.line("XADD stream * f v").expect("XADD");
}

#[test]
fn redis_cli_finds_big_keys() {
    let server = moon();
    sizes(&server);
    let text = redis_cli(&server, &["--bigkeys"]);
    for line in [
        "Sampled 56 keys in the keyspace!",
        "Biggest string found '\"large\"' has 5000 bytes",
        "Biggest   list found '\"list\"' has 300 items",
        "Biggest   hash found '\"hash\"' has 300 fields",
        "Biggest    set found '\"set\"' has 3 members",
        "Biggest   zset found '\"zset\"' has 2 members",
        "Biggest stream found '\"stream\"' has 1 entries",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let text = redis_cli(&server, &["--memkeys"]);
    assert!(text.contains("Sampled 56 keys in the keyspace!"), "{text}");
    let largest = text.lines().find(|l| l.starts_with("Biggest string found '\"large\"' has "));
    let bytes = largest.and_then(|l| l.split(' ').rev().nth(1)?.parse::<u64>().ok());
    assert!(bytes.is_some_and(|n| (5000..10_000).contains(&n)), "{text}");
}

#[test]
fn redis_cli_finds_hot_keys_under_an_lfu_policy() {
    let server = moon();
    let mut client = server.client().expect("a connection");
    client.line("CONFIG SET maxmemory-policy allkeys-lfu").expect("CONFIG SET");
    sizes(&server);
    for _ in 0..500 {
        client.line("GET small:7").expect("GET");
    }
    let text = redis_cli(&server, &["--hotkeys"]);
    assert!(text.contains("Sampled 56 keys in the keyspace!"), "{text}");
    let summary = text.split("-------- summary -------").nth(1).expect("a summary");
    let first = summary.lines().find(|l| l.starts_with("hot key found with counter: "));
    let key =
        |l: &str| l.contains("\"small:7\"") || l.contains("\"list\"") || l.contains("\"hash\"");
    assert!(first.is_some_and(key), "{text}");
    assert!(summary.contains("\"small:7\""), "{text}");
}

/// Without a terminal, `--latency` ends after a second. `--stat` never does: it is ended behind its
/// second line.
#[test]
fn redis_cli_watches_latency_and_figures() {
    let server = moon();
    sizes(&server);
    let text = redis_cli(&server, &["--latency", "--raw"]);
    let figures: Vec<f64> = text.split_ascii_whitespace().filter_map(|w| w.parse().ok()).collect();
    assert_eq!(figures.len(), 4, "min max avg samples: {text}");
    assert!(figures[3] > 10.0 && figures[0] <= figures[1], "{text}");
    let mut child = Command::new("redis-cli")
        .args(["-p", &server.port().to_string(), "--stat", "-i", "0.1"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("redis-cli runs");
    let out = std::io::BufReader::new(child.stdout.take().expect("its output"));
    let lines: Vec<String> = std::io::BufRead::lines(out)
        .map_while(Result::ok)
        .filter(|l| !l.is_empty())
        .take(4)
        .collect();
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    assert!(lines[1].starts_with("keys       mem      clients"), "{lines:?}");
    let words: Vec<&str> = lines[2].split_ascii_whitespace().collect();
    assert_eq!((words[0], words[2], words[3]), ("56", "1", "0"), "{lines:?}");
    assert!(words[1].ends_with('M') && words[4].parse::<u64>().is_ok(), "{lines:?}");
}

/// A terminal shows what COMMAND DOCS says.
#[test]
fn redis_cli_completes_and_helps() {
    let server = moon();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/hints.py");
    let port = server.port().to_string();
    let output = Command::new("python3").arg(script).arg(&port).output().expect("python runs");
    assert!(output.status.success(), "{}", shown(&output));
    let stats = redis_cli(&server, &["info", "commandstats"]);
    assert!(stats.contains("cmdstat_command|docs:calls=1,"), "{stats}");
}

/// What `--pipe` brings is there; what `--rdb` and `--functions-rdb` take away starts a Redis.
#[test]
fn redis_cli_loads_and_takes_away() {
    let server = moon();
    let mut requests = Vec::new();
    for i in 0..20_000 {
        let words = cmd![["SET", "RPUSH"][i % 2], format!("{i}"), "v".repeat(i % 300)];
        Value::Array(words.into_iter().map(Value::Bulk).collect()).encode(&mut requests);
    }
    requests.extend_from_slice(b"SADD 0 wrong\r\n");
    let input = server.dir().join("requests");
    fs::write(&input, requests).expect("a file");
    let output = Command::new("redis-cli")
        .args(["-p", &server.port().to_string(), "--pipe"])
        .stdin(fs::File::open(&input).expect("the file"))
        .output()
        .expect("redis-cli runs");
    assert!(shown(&output).contains("errors: 1, replies: 20001"), "{}", shown(&output));
    let library = "#!lua name=lib\nredis.register_function('f', function() return 'here' end)";
    assert_eq!(redis_cli(&server, &["function", "load", library]), "lib\n");

    for (option, keys) in [("--rdb", "20000\n"), ("--functions-rdb", "0\n")] {
        let dir = TempDir::new().expect("a directory");
        let file = dir.path().join("dump.rdb");
        let text = redis_cli(&server, &[option, file.to_str().expect("text")]);
        assert!(!text.contains("rror"), "{text}");
        let redis = Server::start_in(Program::redis(), dir.path()).expect("redis-server starts");
        assert_eq!(redis_cli(&redis, &["dbsize"]), keys, "{option}");
        assert_eq!(redis_cli(&redis, &["fcall", "f", "0"]), "here\n", "{option}");
        if option == "--rdb" {
            assert_eq!(redis_cli(&redis, &["get", "298"]), "v".repeat(298) + "\n");
            assert_eq!(redis_cli(&redis, &["lrange", "7", "0", "-1"]), "vvvvvvv\n");
        }
    }
}

/// The tips of every command and subcommand, as COMMAND tells them.
fn tips(server: &Server) -> BTreeMap<String, Vec<String>> {
    fn walk(row: &Value, into: &mut BTreeMap<String, Vec<String>>) {
        let row = row.elements().expect("a row");
        let tips = row[7].elements().unwrap_or_default().iter().map(text).collect();
        into.insert(text(&row[0]), tips);
        row[9].elements().unwrap_or_default().iter().for_each(|sub| walk(sub, into));
    }
    let reply = server.client().expect("a connection").line("COMMAND").expect("a reply");
    let mut all = BTreeMap::new();
    reply.elements().expect("rows").iter().for_each(|row| walk(row, &mut all));
    all
}

/// Clients route by tips (node-redis).
#[test]
fn tips_are_those_of_redis() {
    /// Changed since 7.0.
    const NEWER: [&str; 10] = [
        "acl|deluser",
        "acl|save",
        "acl|setuser",
        "client|setname",
        "config|resetstat",
        "config|rewrite",
        "latency|reset",
        "msetnx",
        "randomkey",
        "scan",
    ];
    let redis = Server::start(Program::redis()).expect("redis-server starts");
    let (ours, theirs) = (tips(&moon()), tips(&redis));
    let both: Vec<&String> = theirs.keys().filter(|name| ours.contains_key(*name)).collect();
    assert!(both.len() > 300, "{}", both.len());
    let differ: Vec<&String> =
        both.into_iter().filter(|name| ours[*name] != theirs[*name]).collect();
    assert_eq!(differ, NEWER);
    assert_eq!(ours["scan"].len(), 3);
}

#[test]
fn redis_py_does_what_applications_do() {
    let server = moon();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/basic.py");
    let output = Command::new(python())
        .arg(script)
        .arg(server.port().to_string())
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", shown(&output));
}

pub(crate) fn shown(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A Python with the client libraries, in a virtual environment under `target`.
pub(crate) fn python() -> PathBuf {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/requirements.txt");
    let wanted = fs::read_to_string(&requirements).expect("requirements.txt");
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("venv");
    let (python, stamp) = (venv.join("bin/python"), venv.join("installed.txt"));
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return python;
    }
    let made =
        Command::new("python3").args(["-m", "venv"]).arg(&venv).output().expect("python3 runs");
    assert!(made.status.success(), "{}", shown(&made));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    let got = Command::new(&python).args(pip).arg(&requirements).output().expect("pip runs");
    assert!(got.status.success(), "{}", shown(&got));
    fs::write(&stamp, wanted).expect("a stamp");
    python
}
