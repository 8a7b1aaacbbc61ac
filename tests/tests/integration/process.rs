//! Goal: start, stop and death of the process lose nothing that was acknowledged. Method: real
//! processes, signals, and a comparison with what the client had seen.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir};
use moon_tests::value::Value;
use std::time::{Duration, Instant};

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

/// Writes one key of each type and some expiries.
fn fill(client: &mut Client) {
    for i in 0..500 {
        assert_eq!(
            client.call(&cmd!["SET", format!("s:{i}"), format!("value {i}")]).unwrap(),
            ok()
        );
    }
    for line in [
        "RPUSH list a b c d",
        "LPOP list",
        "HSET hash f 1 g 2",
        "HDEL hash g",
        "SADD set x y z",
        "ZADD zset 1 a 2.5 b",
        "SETEX timed 1000 v",
        "SET gone v",
        "DEL gone",
        "INCRBY n 41",
        "INCR n",
        "SELECT 3",
        "SET third v",
        "SELECT 0",
    ] {
        assert!(!client.line(line).unwrap().is_error(), "{line}");
    }
}

fn verify(client: &mut Client) {
    for i in 0..500 {
        assert_eq!(client.line(&format!("GET s:{i}")).unwrap(), bulk(&format!("value {i}")));
    }
    let list = Value::Array(["b", "c", "d"].map(bulk).to_vec());
    assert_eq!(client.line("LRANGE list 0 -1").unwrap(), list);
    assert_eq!(client.line("HGETALL hash").unwrap(), Value::Array(["f", "1"].map(bulk).to_vec()));
    assert_eq!(client.line("SCARD set").unwrap(), Value::Int(3));
    assert_eq!(client.line("ZSCORE zset b").unwrap(), bulk("2.5"));
    assert_eq!(client.line("GET n").unwrap(), bulk("42"));
    assert_eq!(client.line("EXISTS gone").unwrap(), Value::Int(0));
    assert!(matches!(client.line("TTL timed").unwrap(), Value::Int(900..=1000)));
    assert_eq!(client.line("SELECT 3").unwrap(), ok());
    assert_eq!(client.line("GET third").unwrap(), bulk("v"));
}

#[test]
fn killed_and_started_again_everything_is_there() {
    for (policy, disk) in
        [("always", "posix"), ("always", "dma"), ("everysec", "auto"), ("no", "auto")]
    {
        let options = ["--appendfsync", policy, "--disk-driver", disk];
        let mut server = Server::start(Program::moon().with(&options)).unwrap();
        fill(&mut server.client().unwrap());
        // Twice: the second recovery reads what the first one left.
        for _ in 0..2 {
            server.kill().unwrap();
            server.restart().unwrap();
            verify(&mut server.client().unwrap());
        }
    }
}

/// Goal: which disk driver runs, and why, can be asked. Where the host lacks what `dma` needs, the
/// reason says so and `posix` runs.
/// Value of a row of `INFO server`.
fn info(server: &Server, name: &str) -> String {
    let info = server.client().unwrap().line("INFO server").unwrap();
    let Value::Bulk(text) = info else { panic!("{info:?}") };
    let text = String::from_utf8(text).unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("{name} is missing in {text}")).to_owned()
}

#[test]
fn refused_io_uring_it_serves_by_other_means_and_says_why() {
    for disk in ["auto", "dma"] {
        let program = Program::moon_without_io_uring().with(&["--disk-driver", disk]);
        let mut server = Server::start(program).unwrap();
        fill(&mut server.client().unwrap());
        server.kill().unwrap();
        server.restart().unwrap();
        verify(&mut server.client().unwrap());
        assert_eq!(info(&server, "multiplexing_api"), "epoll");
        let why = info(&server, "io_driver_reason");
        assert!(why.starts_with("io_uring is not permitted"), "{why}");
        assert_eq!(info(&server, "disk_driver"), "posix");
        if disk == "dma" {
            let why = info(&server, "disk_driver_reason");
            assert!(why.contains("io_uring is forbidden"), "{why}");
        }
    }
    let dir = TempDir::new().unwrap();
    let program = Program::moon_without_io_uring().with(&["--io-driver", "uring"]);
    let mut server = Server::launch(program, dir.path()).unwrap();
    assert!(!server.wait_exit().unwrap().success());
    assert!(server.log_text().contains("io_uring is not permitted"), "{}", server.log_text());
}

#[test]
fn info_tells_the_disk_driver() {
    for disk in ["auto", "posix", "dma"] {
        let server = Server::start(Program::moon().with(&["--disk-driver", disk])).unwrap();
        let driver = info(&server, "disk_driver");
        let reason = info(&server, "disk_driver_reason");
        match disk {
            "dma" if driver == "dma" => assert_eq!(reason, "disk-driver dma"),
            "posix" => assert_eq!(reason, "disk-driver posix"),
            _ => assert!(driver == "posix" && !reason.is_empty(), "{driver}: {reason}"),
        }
    }
}

#[test]
fn stopped_by_a_signal_it_ends_well_and_keeps_everything() {
    let mut server = Server::start(Program::moon()).unwrap();
    fill(&mut server.client().unwrap());
    let status = server.terminate().unwrap();
    assert!(status.success(), "{status}:\n{}", server.log_text());
    server.restart().unwrap();
    verify(&mut server.client().unwrap());
}

/// Pipelined increments under load, killed at an arbitrary moment: the counter is at least what was
/// acknowledged and at most what was sent, and the list has exactly as many elements.
#[test]
fn killed_under_load_no_acknowledged_write_is_lost() {
    for (round, policy) in ["always", "everysec", "no", "everysec"].into_iter().enumerate() {
        let mut server = Server::start(Program::moon().with(&["--appendfsync", policy])).unwrap();
        let mut client = server.client().unwrap();
        let (mut sent, mut acknowledged) = (0, 0);
        let end = Instant::now() + Duration::from_millis(120 + 60 * round as u64);
        while Instant::now() < end {
            for _ in 0..20 {
                for command in
                    [cmd!["MULTI"], cmd!["INCR", "n"], cmd!["RPUSH", "l", sent], cmd!["EXEC"]]
                {
                    client.queue(&command);
                }
                sent += 1;
            }
            client.flush().unwrap();
            // Replies lag behind what is sent, so that the kill meets writes in flight.
            while acknowledged + 60 < sent {
                receive_transaction(&mut client).unwrap();
                acknowledged += 1;
            }
        }
        server.kill().unwrap();
        while receive_transaction(&mut client).is_ok() {
            acknowledged += 1;
        }
        server.restart().unwrap();
        let mut client = server.client().unwrap();
        let n = match client.line("GET n").unwrap() {
            Value::Bulk(text) => String::from_utf8(text).unwrap().parse().unwrap(),
            other => panic!("{other}"),
        };
        assert!((acknowledged..=sent).contains(&n), "{policy}: {acknowledged} <= {n} <= {sent}");
        assert!(acknowledged > 0, "{policy}: nothing was acknowledged");
        assert_eq!(client.line("LLEN l").unwrap(), Value::Int(n), "half a transaction survived");
    }
}

fn receive_transaction(client: &mut Client) -> std::io::Result<()> {
    (0..4).try_for_each(|_| client.receive().map(|_| ()))
}

#[test]
fn a_second_server_on_the_directory_is_refused() {
    let mut first = Server::start(Program::moon()).unwrap();
    first.client().unwrap().line("SET k v").unwrap();
    let mut second = Server::launch(Program::moon(), first.dir()).unwrap();
    let status = second.wait_exit().unwrap();
    assert!(!status.success(), "{}", second.log_text());
    let said = second.log_text();
    assert!(
        said.contains(&first.dir().display().to_string()),
        "the directory is not named: {said}"
    );
    assert_eq!(first.client().unwrap().line("GET k").unwrap(), bulk("v"));
    first.kill().unwrap();
    first.restart().unwrap();
    assert_eq!(first.client().unwrap().line("GET k").unwrap(), bulk("v"));
}

#[test]
fn a_wrong_start_says_what_is_wrong_and_ends() {
    let dir = TempDir::new().unwrap();
    for args in [&["--nosuchoption", "1"][..], &["--appendfsync", "sometimes"], &["--port", "abc"]]
    {
        let mut server = Server::launch(Program::moon().with(args), dir.path()).unwrap();
        let status = server.wait_exit().unwrap();
        assert!(!status.success(), "{args:?} started");
        let said = server.log_text();
        assert!(args.iter().any(|a| said.contains(a.trim_start_matches('-'))), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let taken = Server::start(Program::moon()).unwrap();
    let port = taken.port().to_string();
    let mut server = Server::launch(Program::moon().with(&["--port", &port]), dir.path()).unwrap();
    assert!(!server.wait_exit().unwrap().success());
    assert!(server.log_text().contains(&port), "{}", server.log_text());
}
