//! Goal: what is seldom comes over as well: values of many megabytes, keys whose time is up, consumers with deliveries to repeat,
//! several libraries, databases with high numbers; and what cannot come over is named. Method: made on a real redis-server, carried by
//! moon-migrate, read from both sides.

use crate::migrate::{assert_same, carried, migrate, moon, place, redis};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Server, TempDir};
use moon_tests::value::Value;
use std::fs;
use std::path::Path;

/// Values that are large in each way: one string, many elements, many entries that are pending.
fn large(client: &mut Client) {
    client.call(&cmd!["SET", "large string", vec![b'x'; 20 << 20]]).unwrap();
    client.call(&cmd!["SETRANGE", "large zeros", "5000000", "end"]).unwrap();
    let queued = std::cell::Cell::new(0);
    let put = |client: &mut Client, command: moon_tests::Command| {
        client.queue(&command);
        queued.set(queued.get() + 1);
        if queued.get() % 500 == 0 {
            client.flush().unwrap();
            (0..500).for_each(|_| assert!(!client.receive().unwrap().is_error()));
        }
    };
    put(client, cmd!["XGROUP", "CREATE", "large stream", "g", "0", "MKSTREAM"]);
    for i in 0..30_000u64 {
        let value = format!("value {i} {}", "y".repeat(i as usize % 90));
        put(client, cmd!["HSET", "large hash", format!("field {i}"), value]);
        put(client, cmd!["RPUSH", "large list", value]);
        put(client, cmd!["ZADD", "large zset", i, value]);
        put(client, cmd!["SADD", "large set", value]);
        if i < 9_000 {
            put(client, cmd!["XADD", "large stream", format!("{}-1", i + 1), "n", i]);
        }
    }
    for consumer in ["one", "two", "three"] {
        let read = cmd!["XREADGROUP", "GROUP", "g", consumer, "COUNT", "2500"];
        put(client, [read, cmd!["STREAMS", "large stream", ">"]].concat());
    }
    while queued.get() % 500 != 0 {
        put(client, cmd!["XACK", "large stream", "g", format!("{}-1", queued.get() % 7_000)]);
    }
}

#[test]
fn large_values_and_a_database_with_a_high_number() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("redis");
    fs::create_dir(&dir).unwrap();
    let with = ["--databases", "100", "--appendonly", "yes"];
    let mut redis_server = Server::start_in(redis(&with), &dir).unwrap();
    let mut client = redis_server.client().unwrap();
    large(&mut client);
    for n in 0..3 {
        let source = format!(
            "#!lua name=lib{n}\nredis.register_function('f{n}', function() return {n} end)"
        );
        client.call(&cmd!["FUNCTION", "LOAD", source]).unwrap();
    }
    for line in ["SELECT 99", "SET far away", "PEXPIREAT far 33000000000000", "SAVE"] {
        client.line(line).unwrap();
    }
    // As a file, and as commands.
    for (kind, source) in [("redis-rdb", "dump.rdb"), ("redis-aof", "appendonlydir")] {
        if kind == "redis-aof" {
            // A few numbers that Redis only reckons are not in its commands.
            redis_server.terminate().unwrap();
            redis_server.restart().expect("redis-server reads its file");
            client = redis_server.client().unwrap();
        }
        let to = scratch.path().join(kind);
        let from = place(kind, &dir.join(source));
        carried(&["run", "--from", &from, "--to", to.to_str().unwrap()]);
        let program = moon_tests::server::Program::moon().with(&["--databases", "100"]);
        let mut server = Server::start_in(program, &to).unwrap();
        let mut moon = server.client().unwrap();
        assert_same(&mut client, &mut moon);
        moon.line("SELECT 99").unwrap();
        assert_eq!(moon.line("GET far").unwrap().to_string(), "\"away\"");
        assert_eq!(moon.line("PEXPIRETIME far").unwrap().to_string(), ":33000000000000");
        server.terminate().unwrap();
        // And back.
        let back = scratch.path().join(format!("{kind}-back"));
        fs::create_dir(&back).unwrap();
        let out = place("redis-rdb", &back.join("dump.rdb"));
        carried(&["run", "--from", &place("moon", &to), "--to", &out, "--rdb-version", "10"]);
        let server = Server::start_in(redis(&["--databases", "100"]), &back).unwrap();
        assert_same(&mut client, &mut server.client().unwrap());
    }
}

#[test]
fn a_key_whose_time_is_up_does_not_come_back() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("redis");
    fs::create_dir(&dir).unwrap();
    let server = Server::start_in(redis(&[]), &dir).unwrap();
    let mut client = server.client().unwrap();
    for line in [
        "DEBUG SET-ACTIVE-EXPIRE 0",
        "SET stays 1",
        "SET goes 1 PX 1",
        "HSET gone f v",
        "PEXPIRE gone 1",
    ] {
        client.line(line).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    client.line("SAVE").unwrap();
    let (from, to) = (place("redis-rdb", &dir.join("dump.rdb")), scratch.path().join("moon"));
    let said = carried(&["run", "--from", &from, "--to", to.to_str().unwrap()]);
    assert!(said.contains("db0: 3 keys, 2 of them expire"), "{said}");
    carried(&["verify", "--from", &from, "--to", to.to_str().unwrap()]);
    let server = moon(&to);
    let mut client = server.client().unwrap();
    assert_eq!(client.line("MGET stays goes").unwrap().to_string(), "[\"1\", nil]");
    assert_eq!(client.line("EXISTS stays goes gone").unwrap().to_string(), ":1");
}

/// A file of Redis 7.2 without a checksum, with this between its head and its end.
fn file_with(path: &Path, content: &[u8]) {
    fs::write(path, [b"REDIS0011", content, b"\xff", &[0; 8]].concat()).unwrap();
}

/// The number that stands for a type of a module: nine letters of 6 bits, and 10 bits of its version.
fn module_type(name: &str) -> Vec<u8> {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let packed = name.chars().fold(0u64, |id, c| id << 6 | letters.find(c).unwrap() as u64);
    [&[0x81][..], &(packed << 10 | 1).to_be_bytes()].concat()
}

#[test]
fn data_of_modules_are_left_out_when_that_is_accepted() {
    let scratch = TempDir::new().unwrap();
    let (file, to) = (scratch.path().join("dump.rdb"), scratch.path().join("moon"));
    let json =
        |key: &[u8]| [b"\x07", key, &module_type("ReJSON-RL"), b"\x05\x02{}\x02\x05\x00"].concat();
    let beside = [&b"\xf7"[..], &module_type("MBbloom--"), b"\x02\x01\x02\x07\x00"].concat();
    file_with(&file, &[&beside, &json(b"\x01a")[..], b"\x00\x01k\x01v", &json(b"\x01b")].concat());
    let from = place("redis-rdb", &file);
    let args = |verb| [verb, "--from", &from, "--to", to.to_str().unwrap()];
    for verb in ["plan", "run"] {
        let (code, said) = migrate(&args(verb));
        assert_eq!(code, 4, "{said}");
        let loss = "loss module: 3 times, first a field beside the keys: data of modules are left out: \
            MBbloom-- 1, ReJSON-RL 2";
        assert!(said.contains(loss), "{said}");
        assert!(!to.exists());
    }
    for verb in ["run", "verify"] {
        carried(&[&args(verb)[..], &["--accept-loss", "module"]].concat());
    }
    let server = moon(&to);
    let mut client = server.client().unwrap();
    assert_eq!(client.line("DBSIZE").unwrap(), Value::Int(1));
    assert_eq!(client.line("GET k").unwrap(), Value::Bulk(b"v".to_vec()));
}

/// Before Redis 4 nothing said where data of a module end.
#[test]
fn old_data_of_modules_are_refused_by_name() {
    let scratch = TempDir::new().unwrap();
    let (file, to) = (scratch.path().join("dump.rdb"), scratch.path().join("moon"));
    let value = [&b"\x06\x01j"[..], &module_type("ReJSON-RL"), b"\x05\x02{}\x00"].concat();
    file_with(&file, &value);
    for verb in ["plan", "run"] {
        let from = place("redis-rdb", &file);
        let (code, said) = migrate(&[verb, "--from", &from, "--to", to.to_str().unwrap()]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("ReJSON-RL") && said.contains("nothing is damaged"), "{said}");
        assert!(!to.exists());
    }
}
