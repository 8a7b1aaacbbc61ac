//! Goal: the tools that everybody has work unchanged. Method: redis-cli, redis-benchmark and
//! redis-py against a fresh server, judged by their own output and exit status.

use moon_tests::server::{Program, Server};
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
