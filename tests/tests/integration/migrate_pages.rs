//! Goal: the commands of docs/migrate.md do what the page says. Method: its blocks are run line by line as they are written, with a real
//! redis-server; only ports and directories are others. Before and after, every key is read from both sides.

use crate::migrate::{assert_same, library};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::exchange::fill;
use moon_tests::server::{TempDir, free_port, migrate_binary, moon_binary};
use moon_tests::value::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A command may take this long; a server, to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The blocks of commands below a heading of the page, each without its remarks.
fn blocks(heading: &str) -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migrate.md");
    let text = fs::read_to_string(page).unwrap();
    let start = format!("\n## {heading}\n");
    let (_, section) = text.split_once(&start).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let parts: Vec<&str> = section.split("```").collect();
    let block = |part: &&str| {
        let lines = part.strip_prefix("text\n").unwrap_or_else(|| panic!("{heading}: {part}"));
        let bare = |line: &str| line.split(" # ").next().unwrap().trim_end().to_owned();
        lines.lines().map(bare).filter(|line| !line.is_empty()).collect()
    };
    parts.iter().skip(1).step_by(2).map(block).collect()
}

/// A machine as the page has it, in a directory of its own.
struct Place {
    scratch: TempDir,
    /// What stands for the ports 6379 and 6380.
    ports: [u16; 2],
    servers: Vec<Child>,
}

impl Place {
    fn new() -> Place {
        let scratch = TempDir::new().unwrap();
        let bin = scratch.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(moon_binary(), bin.join("moon")).unwrap();
        symlink(migrate_binary(), bin.join("moon-migrate")).unwrap();
        // There is no Valkey here: what speaks to it speaks to Redis alike.
        fs::write(bin.join("valkey-cli"), "#!/bin/sh\nexec redis-cli \"$@\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(bin.join("valkey-cli"), mode).unwrap();
        for dir in ["redis", "valkey"] {
            fs::create_dir_all(scratch.path().join("lib").join(dir)).unwrap();
        }
        let ports = [free_port().unwrap(), free_port().unwrap()];
        Place { scratch, ports, servers: Vec::new() }
    }

    fn lib(&self, name: &str) -> String {
        self.scratch.path().join("lib").join(name).display().to_string()
    }

    fn client(&self, n: usize) -> Client {
        Client::connect(self.ports[n]).expect("a server that the page has started")
    }

    /// The line as it is to be run here.
    fn here(&self, line: &str) -> String {
        line.replace("/var/lib", &self.lib(""))
            .replace("6379", &self.ports[0].to_string())
            .replace("6380", &self.ports[1].to_string())
    }

    fn bash(&self, line: &str) -> Command {
        let mut bash = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.scratch.path().join("bin").display());
        bash.args(["-euo", "pipefail", "-c", line]).env("PATH", path);
        bash.current_dir(self.scratch.path()).stdin(Stdio::null()).process_group(0);
        bash
    }

    /// Runs a line; one that starts a server, until that answers. What it has printed.
    fn run(&mut self, line: &str) -> String {
        let here = self.here(line);
        if line.starts_with("moon ") || line.starts_with("redis-server ") {
            let port = if line.contains("6380") { 1 } else { 0 };
            let mut bash = self.bash(&format!("exec {here}"));
            let log = fs::File::create(self.lib(&format!("{}.log", self.servers.len()))).unwrap();
            let child = bash.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
            self.servers.push(child);
            self.until(&format!("{line} answers"), |place| {
                Client::connect(place.ports[port])
                    .and_then(|mut client| client.line("PING"))
                    .is_ok_and(|pong| pong == Value::Simple(b"PONG".to_vec()))
            });
            return String::new();
        }
        let output = self.bash(&here).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{line}: {text}");
        text
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Place) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the servers that were told to stop; a line after them may want their port or their directory.
    fn stopped(&mut self, n: usize) {
        let start = Instant::now();
        while self.servers[n].try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "server {n} goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A line of a report, `<field>:<value>`.
    fn field(report: &str, field: &str) -> String {
        let found = report.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        found.unwrap_or_else(|| panic!("no {field} in {report}")).trim().to_owned()
    }

    /// Runs a block in which one server follows another one: the roles change where its remarks say.
    fn follow(&mut self, lines: &[String]) {
        let mut offsets = Vec::new();
        for line in lines {
            let mut said = self.run(line);
            let asks = line.ends_with("INFO replication");
            if asks && line.contains("6380") && offsets.is_empty() {
                let start = Instant::now();
                while Place::field(&said, "master_link_status") != "up" {
                    assert!(start.elapsed() < PATIENCE, "{said}");
                    said = self.run(line);
                }
            } else if asks && line.contains("6379") {
                offsets.push(Place::field(&said, "master_repl_offset"));
            } else if asks {
                let start = Instant::now();
                while Place::field(&said, "slave_repl_offset") != offsets[0] {
                    assert!(start.elapsed() < PATIENCE, "{said}");
                    said = self.run(line);
                }
            } else if !line.starts_with("moon") && !line.starts_with("redis-server") {
                assert_eq!(said.trim(), "OK", "{line}");
            }
        }
        assert_eq!(offsets.len(), 1, "{lines:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A server of Redis with values of every type that answers on the first port, and what it was started by.
fn filled(place: &mut Place, seed: u64, dir: &str) -> Client {
    place.run(&format!("redis-server --dir /var/lib/{dir} --port 6379 --save ''"));
    let mut client = place.client(0);
    fill(&mut client, seed, 250).unwrap();
    library(&mut client);
    client
}

/// A server of Redis on a copy of a file, to compare with.
fn copy_of(place: &mut Place, file: &str) -> Client {
    let dir = place.lib("copy");
    fs::create_dir(&dir).unwrap();
    fs::copy(place.lib(file), format!("{dir}/dump.rdb")).unwrap();
    place.run("redis-server --dir /var/lib/copy --port 6380 --save ''");
    place.client(1)
}

fn with_a_pause(heading: &str, block: usize, dir: &str) {
    let mut place = Place::new();
    let mut client = filled(&mut place, 11, dir);
    for line in &blocks(heading)[block] {
        place.run(line);
        if line.contains("SHUTDOWN") {
            place.stopped(0);
        }
    }
    drop(client.line("PING"));
    let mut want = copy_of(&mut place, &format!("{dir}/dump.rdb"));
    assert_same(&mut want, &mut place.client(0));
    assert!(want.line("DBSIZE").unwrap() != Value::Int(0));
}

#[test]
fn from_redis_with_a_short_pause() {
    with_a_pause("From Redis, with a short pause", 0, "redis");
}

#[test]
fn from_valkey_with_a_short_pause() {
    with_a_pause("From Valkey", 0, "valkey");
}

#[test]
fn from_redis_with_clients_going_on() {
    for (heading, block, dir) in
        [("From Redis, with clients going on", 0, "redis"), ("From Valkey", 1, "valkey")]
    {
        let mut place = Place::new();
        let mut client = filled(&mut place, 12, dir);
        place.follow(&blocks(heading)[block]);
        let mut moon = place.client(1);
        assert_same(&mut client, &mut moon);
        moon.line("SELECT 0").unwrap();
        assert_eq!(moon.line("SET new 1").unwrap().to_string(), "+OK", "{heading}");
    }
}

/// A server of Moon with values of every type that Redis has too.
fn filled_moon(place: &mut Place) -> Client {
    let mut giver = filled(place, 13, "redis");
    for line in &blocks("From Redis, with a short pause")[0] {
        place.run(line);
        if line.contains("SHUTDOWN") {
            place.stopped(0);
        }
    }
    drop(giver.line("PING"));
    let mut moon = place.client(0);
    // Its own log has something to say too.
    fill(&mut moon, 14, 60).unwrap();
    for db in 0..16 {
        moon.line(&format!("SELECT {db}")).unwrap();
        no_field_expires(&mut moon);
    }
    moon
}

/// This Redis knows no hash fields that expire; the page says what becomes of those.
fn no_field_expires(client: &mut Client) {
    let texts = |value: Value| -> Vec<Vec<u8>> {
        let all = value.elements().expect("a list").to_vec();
        all.iter().map(|v| v.text().expect("a text").to_vec()).collect()
    };
    for key in texts(client.line("KEYS *").unwrap()) {
        if client.call(&cmd!["TYPE", key]).unwrap().to_string() == "+hash" {
            let fields = texts(client.call(&cmd!["HKEYS", key]).unwrap());
            let persist = cmd!["HPERSIST", key, "FIELDS", fields.len()];
            client.call(&[persist, fields].concat()).unwrap();
        }
    }
}

#[test]
fn leaving_moon() {
    let mut place = Place::new();
    drop(filled_moon(&mut place));
    fs::remove_file(place.lib("redis/dump.rdb")).unwrap();
    let all = blocks("Leaving Moon");
    assert_eq!(all.len(), 2, "an RDB file, an append-only file");
    let moon = place.servers.len() - 1;
    for line in &all[0] {
        let said = place.run(line);
        if line.contains("SHUTDOWN") {
            place.stopped(moon);
        }
        if line.starts_with("redis-check-rdb") {
            assert!(said.contains("RDB looks OK!"), "{said}");
        }
    }
    let said = place.run(
        "moon-migrate verify --from moon:/var/lib/moon --to redis-rdb:/var/lib/redis/dump.rdb",
    );
    assert!(said.contains("no difference"), "{said}");
    // The directory of Moon is still there to be compared with.
    place.run("moon --dir /var/lib/moon --port 6380");
    let (mut redis, mut moon) = (place.client(0), place.client(1));
    assert_same(&mut moon, &mut redis);
    for client in [&mut redis, &mut moon] {
        let _ = client.line("SHUTDOWN NOSAVE");
    }
    for n in place.servers.len() - 2..place.servers.len() {
        place.stopped(n);
    }
    // With an append-only file; the directory must not exist.
    fs::remove_dir_all(place.lib("redis")).unwrap();
    for line in &all[1] {
        place.run(line);
    }
    place.run("moon --dir /var/lib/moon --port 6380");
    let (mut redis, mut moon) = (place.client(0), place.client(1));
    assert_same(&mut moon, &mut redis);
    redis.line("SELECT 0").unwrap();
    assert_eq!(redis.line("SET more 1").unwrap().to_string(), "+OK");
    assert!(Path::new(&place.lib("redis/appendonlydir/appendonly.aof.manifest")).exists());
}

#[test]
fn redis_follows_moon_with_the_roles_exchanged() {
    let mut place = Place::new();
    let mut moon = filled_moon(&mut place);
    fs::create_dir(place.lib("new")).unwrap();
    let exchanged: Vec<String> = blocks("From Redis, with clients going on")[0]
        .iter()
        .map(|line| match line.starts_with("moon ") {
            true => "redis-server --dir /var/lib/new --port 6380 --save ''".to_owned(),
            false => line.clone(),
        })
        .collect();
    place.follow(&exchanged);
    let mut redis = place.client(1);
    assert_same(&mut moon, &mut redis);
    redis.line("SELECT 0").unwrap();
    assert_eq!(redis.line("SET new 1").unwrap().to_string(), "+OK");
}
