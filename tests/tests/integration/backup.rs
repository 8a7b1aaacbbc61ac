//! Goal: a backup of a running server holds what the server held, at every moment that it reaches, and holds the
//! server up for nothing longer than its lease. Method: a client writes numbers without a pause, so that any state
//! says by itself which writes are in it; moon-restore backs up meanwhile; servers start on what is restored.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir, inspect_binary, restore_binary};
use moon_tests::value::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::tls::Certs;

/// Exit code and all that was said.
fn tool(args: &[&str]) -> (i32, String) {
    tool_with(args, None)
}

fn tool_with(args: &[&str], password: Option<&str>) -> (i32, String) {
    let mut command = Command::new(restore_binary());
    command.args(args).env_remove("MOON_RESTORE_PASSWORD");
    if let Some(password) = password {
        command.env("MOON_RESTORE_PASSWORD", password);
    }
    let output = command.output().expect("moon-restore runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it exits"), String::from_utf8_lossy(&said).into_owned())
}

fn done(args: &[&str]) -> String {
    let (code, said) = tool(args);
    assert_eq!(code, 0, "{args:?}: {said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn moon(more: &[&str]) -> Program {
    let usual = ["--enable-debug-command", "yes", "--wal-segment-size", "1mb", "--save", ""];
    Program::moon().with(&usual).with(more)
}

fn digest(client: &mut Client) -> String {
    client.line("DEBUG DIGEST").expect("an answer").to_string()
}

fn info(client: &mut Client, name: &str) -> Option<String> {
    let text = client.line("INFO persistence").expect("INFO");
    let text = String::from_utf8_lossy(text.text().expect("text")).into_owned();
    let start = format!("{name}:");
    text.lines().find_map(|l| l.strip_prefix(&start)).map(|l| l.trim().to_owned())
}

/// A member of a JSON object on one line, as text.
fn member(line: &str, name: &str) -> String {
    let (_, rest) = line.split_once(&format!("\"{name}\":")).expect("the member");
    let end = rest.find([',', '}']).expect("an end");
    rest[..end].trim_matches('"').to_owned()
}

fn value_of(client: &mut Client, line: &str) -> i64 {
    match client.line(line).expect("a reply") {
        Value::Int(n) => n,
        Value::Bulk(text) => String::from_utf8_lossy(&text).parse().expect("a number"),
        Value::Null => 0,
        other => panic!("{line}: {other}"),
    }
}

/// That a server holds the first n writes and nothing else; n.
fn prefix(client: &mut Client) -> i64 {
    let n = value_of(client, "LLEN numbers");
    assert_eq!(value_of(client, "GET count"), n, "the last pair is there or not");
    let all = client.line("LRANGE numbers 0 -1").expect("a list");
    for (i, item) in (1..).zip(all.elements().expect("a list")) {
        assert_eq!(item.text().expect("text"), i.to_string().as_bytes());
    }
    for i in (1..=n).step_by(97) {
        assert_eq!(value_of(client, &format!("GET n:{i}")), i);
    }
    assert_eq!(value_of(client, "DBSIZE"), n + 2);
    n
}

/// A client that writes until it is told to stop: each number in one unit of three writes.
fn writer(port: u16, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<i64> {
    std::thread::spawn(move || {
        let mut client = Client::connect(port).expect("a connection");
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            n += 1;
            client.line("MULTI").expect("MULTI");
            client.line(&format!("SET n:{n} {n}")).expect("queued");
            client.line(&format!("RPUSH numbers {n}")).expect("queued");
            client.line("INCR count").expect("queued");
            client.line("EXEC").expect("EXEC");
        }
        n
    })
}

#[test]
fn full_and_increments_under_load_restore_to_every_boundary_and_between() {
    let server = Server::start(moon(&[])).expect("moon starts");
    let scratch = TempDir::new().expect("a directory");
    let repo = scratch.path().join("repo");
    let (from, repo) = (format!("127.0.0.1:{}", server.port()), text(&repo).to_owned());
    let stop = Arc::new(AtomicBool::new(false));
    let writing = writer(server.port(), Arc::clone(&stop));
    let mut client = server.client().expect("a connection");
    let mut at_least = Vec::new();
    for round in 0..4 {
        std::thread::sleep(Duration::from_millis(300));
        if round == 2 {
            client.line("BGREWRITEAOF").expect("a rewrite");
        }
        at_least.push(value_of(&mut client, "GET count"));
        let kind = if round == 0 { "full" } else { "incr" };
        let compress: &[&str] = if round % 2 == 1 { &["--compress"] } else { &[] };
        let args = [&["backup", kind, "--from", &from, "--to", &repo][..], compress].concat();
        let said = done(&args);
        assert!(!said.contains("a full backup, because"), "{said}");
    }
    stop.store(true, Ordering::Relaxed);
    let written = writing.join().expect("the writer ends");
    let want = digest(&mut client);
    done(&["backup", "incr", "--from", &from, "--to", &repo]);
    assert_eq!(info(&mut client, "backups_running").as_deref(), Some("0"));
    assert!(info(&mut client, "backup_last_success_time").is_some_and(|secs| secs != "0"));

    let said = done(&["verify", &repo, "--deep"]);
    assert!(said.contains("sound, 5 digests compared"), "{said}");
    let listed = done(&["list", &repo, "--json"]);
    let sets: Vec<&str> = listed.lines().filter(|l| l.contains("\"kind\":\"set\"")).collect();
    assert_eq!(sets.len(), 5, "{listed}");
    let mut before: Option<(i64, u64)> = None;
    for (i, line) in sets.iter().enumerate() {
        let lsn: u64 = member(line, "lsn_to").parse().expect("a number");
        let to = scratch.path().join(format!("to-{i}"));
        let said = done(&["restore", &repo, "--to", text(&to), "--set", &member(line, "set")]);
        assert!(said.contains(&format!("equal to the backup at {} points", i + 1)), "{said}");
        let restored = Server::start_in(moon(&[]), &to).expect("moon starts on what was restored");
        let mut client = restored.client().expect("a connection");
        let n = prefix(&mut client);
        assert!(n <= written && at_least.get(i).is_none_or(|least| n >= *least), "set {i}: {n}");
        if i == 4 {
            assert_eq!((digest(&mut client), n), (want.clone(), written));
            client.line("SET after restored").expect("it goes on");
        }
        if let Some((fewer, earlier)) = before {
            let between = (earlier + lsn) / 2;
            let to = scratch.path().join(format!("between-{i}"));
            let lsn = between.to_string();
            done(&["restore", &repo, "--to", text(&to), "--target-lsn", &lsn]);
            let restored = Server::start_in(moon(&[]), &to).expect("moon starts");
            let m = prefix(&mut restored.client().expect("a connection"));
            assert!((fewer..=n).contains(&m), "{fewer} {m} {n}");
        }
        before = Some((n, lsn));
    }
    // A restored server goes on in the same repository: with a full set, for its past is another.
    let mut restored =
        Server::start_in(moon(&[]), &scratch.path().join("to-4")).expect("moon starts");
    let from = format!("127.0.0.1:{}", restored.port());
    let said = done(&["backup", "incr", "--from", &from, "--to", &repo]);
    assert!(said.contains("a full backup, because") && said.contains("timeline"), "{said}");
    // And stopped, from its directory.
    let dir = text(&scratch.path().join("to-4")).to_owned();
    let (code, said) = tool(&["backup", "incr", "--from", &dir, "--to", &repo]);
    assert!(code == 1 && said.contains("is held by another process"), "{code}: {said}");
    let mut client = restored.client().expect("a connection");
    client.line("SET last word").expect("written");
    let want = digest(&mut client);
    restored.terminate().expect("it stops");
    done(&["backup", "incr", "--from", &dir, "--to", &repo]);
    done(&["verify", &repo, "--deep"]);
    let to = scratch.path().join("stopped");
    done(&["restore", &repo, "--to", text(&to)]);
    let restored = Server::start_in(moon(&[]), &to).expect("moon starts");
    assert_eq!(digest(&mut restored.client().expect("a connection")), want);
    // On its timeline nothing has been written yet.
    let from = format!("127.0.0.1:{}", restored.port());
    let said = done(&["backup", "incr", "--from", &from, "--to", &repo]);
    assert!(said.contains("a full backup, because"), "{said}");
    let to = scratch.path().join("again");
    done(&["restore", &repo, "--to", text(&to)]);
    let again = Server::start_in(moon(&[]), &to).expect("moon starts");
    assert_eq!(digest(&mut again.client().expect("a connection")), want);
    let said = done(&["prune", &repo, "--keep", "2"]);
    assert_eq!(said.lines().filter(|l| l.contains("removed")).count(), 5, "{said}");
    done(&["verify", &repo, "--deep"]);
}

/// Names and contents of the files that an answer of MOON.BACKUP BEGIN names.
fn leased(client: &mut Client, dir: &Path) -> (String, Vec<(String, Vec<u8>)>) {
    let reply = client.line("MOON.BACKUP BEGIN 100").expect("a reply").to_string();
    let words: Vec<&str> =
        reply.split(|c: char| c.is_whitespace() || "\"[],()".contains(c)).collect();
    let id = words.iter().position(|w| *w == "id").expect("an id");
    let id = words[id + 1..].iter().find(|w| w.contains('-')).expect("an id").to_string();
    let files = words.iter().filter(|w| w.ends_with(".wal") || w.ends_with(".base.rdb"));
    let files = files.filter(|w| w.contains('/'));
    let read =
        |name: &&str| (name.to_string(), fs::read(dir.join(name)).expect("the file is there"));
    (id, files.map(read).collect())
}

#[test]
fn a_lease_keeps_files_and_ends_with_its_time() {
    let server = Server::start(moon(&["--cdc-retain-bytes", "0"])).expect("moon starts");
    let mut client = server.client().expect("a connection");
    let value = "x".repeat(100_000);
    let churn = |client: &mut Client| {
        for round in 0..2 {
            for i in 0..30 {
                client
                    .call(&cmd!["SET", format!("k{i}"), format!("{round}{value}")])
                    .expect("written");
            }
            client.line("BGREWRITEAOF").expect("a rewrite");
            let begun = Instant::now();
            while info(client, "aof_rewrite_in_progress").as_deref() != Some("0") {
                assert!(begun.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    };
    churn(&mut client);
    let (id, files) = leased(&mut client, server.dir());
    assert!(files.len() >= 2, "{}", files.len());
    assert_eq!(info(&mut client, "backups_running").as_deref(), Some("1"));
    churn(&mut client);
    churn(&mut client);
    for (name, bytes) in &files {
        assert!(fs::read(server.dir().join(name)).expect("kept") == *bytes, "{name} has changed");
    }
    assert_eq!(
        client.line(&format!("MOON.BACKUP RENEW {id} 50")).expect("a reply"),
        Value::Int(50)
    );
    let ok = Value::Simple(b"OK".to_vec());
    assert_eq!(client.line(&format!("MOON.BACKUP END {id} FAILED")).expect("a reply"), ok);
    for line in [format!("MOON.BACKUP END {id}"), format!("MOON.BACKUP RENEW {id}")] {
        let reply = client.line(&line).expect("a reply").to_string();
        assert!(reply.contains("no such backup"), "{line}: {reply}");
    }
    for line in ["MOON.BACKUP BEGIN 0", "MOON.BACKUP BEGIN 86401", "MOON.BACKUP BEGIN x"] {
        let reply = client.line(line).expect("a reply").to_string();
        assert!(reply.contains("from 1 to 86400"), "{line}: {reply}");
    }
    churn(&mut client);
    let left = files.iter().filter(|(name, _)| server.dir().join(name).is_file()).count();
    assert!(left < files.len(), "nobody holds them any more");
    assert_eq!(info(&mut client, "backup_last_success_time").as_deref(), Some("0"));
    // Whoever dies with a lease costs no more than its time.
    client.line("MOON.BACKUP BEGIN 1").expect("a reply");
    assert_eq!(info(&mut client, "backups_running").as_deref(), Some("1"));
    assert!(info(&mut client, "backup_floor_lsn").is_some());
    let begun = Instant::now();
    while info(&mut client, "backups_running").as_deref() != Some("0") {
        assert!(begun.elapsed() < Duration::from_secs(10), "the lease does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(info(&mut client, "backup_leases_expired").as_deref(), Some("1"));
    assert_eq!(info(&mut client, "backup_floor_lsn"), None);
}

#[test]
fn who_may_not_and_what_cannot_be_is_refused() {
    let server = Server::start(moon(&[])).expect("moon starts");
    let mut client = server.client().expect("a connection");
    client.line("CONFIG SET requirepass secret").expect("a reply");
    client.line("AUTH secret").expect("a reply");
    client.line("ACL SETUSER keeper on >word +moon.backup").expect("a user");
    client.line("ACL SETUSER reader on >word +@read ~*").expect("a user");
    client.line("SET a 1").expect("written");
    let scratch = TempDir::new().expect("a directory");
    let (repo, file) = (scratch.path().join("repo"), scratch.path().join("password"));
    fs::write(&file, "word\n").expect("written");
    let from = format!("127.0.0.1:{}", server.port());
    let base = ["backup", "full", "--from", &from, "--to", text(&repo)];
    let (code, said) = tool(&base);
    assert!(code == 2 && said.contains("NOAUTH"), "{code}: {said}");
    let (code, said) = tool_with(&base, Some("wrong"));
    assert!(code == 2 && said.contains("WRONGPASS"), "{code}: {said}");
    let as_user = |name| [&base[..], &["--user", name, "--password-file", text(&file)]].concat();
    let (code, said) = tool(&as_user("reader"));
    assert!(code == 2 && said.contains("NOPERM"), "{code}: {said}");
    let (code, said) = tool(&as_user("keeper"));
    assert_eq!(code, 0, "{said}");
    let (code, said) = tool_with(&base, Some("secret"));
    assert_eq!(code, 0, "{said}");
    // The files are where the server is: elsewhere they cannot be copied.
    let moved = scratch.path().join("moved");
    fs::rename(server.dir(), &moved).expect("moved");
    let (code, said) = tool_with(&base, Some("secret"));
    fs::rename(&moved, server.dir()).expect("moved back");
    assert!(code == 2 && said.contains("on the server's machine"), "{code}: {said}");
    assert_eq!(info(&mut client, "backups_running").as_deref(), Some("0"), "its lease is ended");

    let unlogged = Server::start(moon(&["--appendonly", "no"])).expect("moon starts");
    let from = format!("127.0.0.1:{}", unlogged.port());
    let (code, said) = tool(&["backup", "full", "--from", &from, "--to", text(&repo)]);
    assert!(code == 2 && said.contains("appendonly no"), "{code}: {said}");
    let nobody = moon_tests::server::free_port().expect("a port");
    let from = format!("127.0.0.1:{nobody}");
    let (code, said) = tool(&["backup", "full", "--from", &from, "--to", text(&repo)]);
    assert!(code == 1 && said.contains("cannot connect"), "{code}: {said}");
    for (args, want) in [
        (&["restore"][..], 1),
        (&["frobnicate"], 1),
        (&["--help"], 0),
        (&["--version"], 0),
        (&["list", "/no/such/repository"], 2),
        (&["show", text(&repo), "set-20260101T000000Z-00000000"], 2),
        (&["restore", text(&repo), "--to", text(server.dir())], 2),
        (&["restore", text(&repo), "--to", text(scratch.path())], 2),
    ] {
        let (code, said) = tool(args);
        assert_eq!(code, want, "{args:?}: {said}");
    }
}

#[test]
fn a_server_that_speaks_tls_only_is_backed_up() {
    let (certs, port) = (Certs::new(), moon_tests::server::free_port().expect("a port"));
    certs.sign("keeper", "ca", "/CN=keeper", "extendedKeyUsage=clientAuth");
    let server = Server::start(moon(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &certs.path("server.pem"),
        "--tls-key-file",
        &certs.path("server.key"),
        "--tls-ca-cert-file",
        &certs.path("ca.pem"),
    ]));
    let server = server.expect("moon starts");
    server.client().expect("a connection").line("SET a 1").expect("written");
    let scratch = TempDir::new().expect("a directory");
    let repo = scratch.path().join("repo");
    let from = format!("127.0.0.1:{port}");
    let (ca, cert, key) =
        (certs.path("ca.pem"), certs.path("keeper.pem"), certs.path("keeper.key"));
    let base = ["backup", "full", "--from", &from, "--to", text(&repo), "--tls", "--tls-ca", &ca];
    let name = [&base[..], &["--tls-name", "localhost"]].concat();
    let (code, said) = tool(&name);
    assert_eq!(code, 1, "a certificate is asked for: {said}");
    let whole = [&name[..], &["--tls-cert", &cert, "--tls-key", &key]].concat();
    done(&whole);
    let another = [&base[..], &["--tls-cert", &cert, "--tls-key", &key]].concat();
    let (code, said) = tool(&another);
    assert!(code == 1 && said.contains("TLS"), "the name is another one: {code}: {said}");
}

#[test]
fn what_readers_of_changes_hold_comes_along() {
    let mut server = Server::start(moon(&[])).expect("moon starts");
    let mut client = server.client().expect("a connection");
    client.line("SET a 1").expect("written");
    client.line("CDC.SLOT CREATE reader").expect("a slot");
    let library = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    let loaded = client.call(&cmd!["FUNCTION", "LOAD", library]).expect("a reply");
    assert_eq!(loaded, Value::Bulk(b"lib".to_vec()));
    client.line("SET a 2").expect("written");
    let want = digest(&mut client);
    let scratch = TempDir::new().expect("a directory");
    let (repo, to) = (scratch.path().join("repo"), scratch.path().join("to"));
    let from = format!("127.0.0.1:{}", server.port());
    done(&["backup", "full", "--from", &from, "--to", text(&repo)]);
    let shown =
        Command::new(inspect_binary()).args(["storage", "digest"]).arg(server.dir()).output();
    assert!(shown.expect("moon-inspect runs").status.success(), "a log with slots can be replayed");
    server.kill().expect("it ends");
    done(&["restore", text(&repo), "--to", text(&to)]);
    let restored = Server::start_in(moon(&[]), &to).expect("moon starts");
    let mut client = restored.client().expect("a connection");
    assert_eq!(digest(&mut client), want);
    let slots = client.line("CDC.SLOT LIST").expect("slots").to_string();
    assert!(slots.contains("reader"), "{slots}");
    assert_eq!(client.line("FCALL f 0").expect("a call"), Value::Int(7));
}

/// A tool that is killed while it writes leaves no set, and holds the server no longer than its lease lasts.
#[test]
fn a_backup_that_is_killed_leaves_nothing_that_looks_like_one() {
    let server = Server::start(moon(&[])).expect("moon starts");
    let mut client = server.client().expect("a connection");
    let value = "v".repeat(1 << 20);
    for i in 0..64 {
        client.call(&cmd!["SET", format!("k{i}"), value]).expect("written");
    }
    let scratch = TempDir::new().expect("a directory");
    let repo = scratch.path().join("repo");
    let from = format!("127.0.0.1:{}", server.port());
    let args = ["backup", "full", "--from", &from, "--to", text(&repo), "--compress"];
    let mut sets = 0;
    for wait_ms in [5, 20, 60, 120, 200, 300] {
        let mut child =
            Command::new(restore_binary()).args(args).spawn().expect("moon-restore runs");
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let (code, said) = tool(&["list", text(&repo)]);
        assert!(code == 0 || said.contains("no backup is there"), "{code}: {said}");
        sets = said.lines().filter(|l| l.starts_with("set-")).count();
    }
    done(&args);
    let listed = done(&["verify", text(&repo), "--deep"]);
    assert!(listed.contains(&format!("{} sets", sets + 1)), "{listed}");
    // The server is as usable as before.
    client.line("BGREWRITEAOF").expect("a rewrite");
    assert_eq!(value_of(&mut client, "DBSIZE"), 64);
}

#[test]
fn the_commands_of_the_unit_files_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    let unit = fs::read_to_string(folder.join("moon-backup@.service")).expect("the unit");
    let server = Server::start(moon(&[])).expect("moon starts");
    let scratch = TempDir::new().expect("a directory");
    let repo = scratch.path().join("repo");
    for kind in ["full", "incr"] {
        let timer = fs::read_to_string(folder.join(format!("moon-backup-{kind}.timer")));
        assert!(timer.expect("a timer").contains(&format!("Unit=moon-backup@{kind}.service")));
        for key in ["ExecStart=", "ExecStartPost="] {
            let command = unit.lines().find_map(|l| l.strip_prefix(key)).expect("a command");
            let mut words = command.split(' ');
            assert_eq!(words.next(), Some("/usr/bin/moon-restore"));
            let args: Vec<String> = words
                .map(|word| match word {
                    "%i" => kind.to_owned(),
                    "127.0.0.1:6379" => format!("127.0.0.1:{}", server.port()),
                    "/var/backups/moon" => text(&repo).to_owned(),
                    other => other.to_owned(),
                })
                .collect();
            done(&args.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    assert!(done(&["list", text(&repo)]).contains("2 sets"));
}

#[test]
fn what_is_no_data_directory_stays_as_it_is() {
    let scratch = TempDir::new().expect("a directory");
    let at = |name: &str| scratch.path().join(name).to_str().expect("UTF-8").to_owned();
    let (repo, other, file) = (at("repo"), at("other"), at("file"));
    fs::create_dir(&other).expect("made");
    fs::write(&file, "text").expect("written");
    for (from, code, why) in [
        (at("absent"), 1, "is no directory; a running server is named by HOST:PORT"),
        (file.clone(), 1, "is no directory"),
        (other.clone(), 2, "no data directory of Moon"),
    ] {
        let (found, said) = tool(&["backup", "full", "--from", &from, "--to", &repo]);
        assert!(found == code && said.contains(why), "{from}: {found} {said}");
    }
    assert!(!Path::new(&repo).exists(), "nothing was made");
    let (code, said) = tool(&["prune", &repo, "--keep", "1"]);
    assert!(code == 2 && said.contains("no backup is there"), "{code} {said}");
    assert!(!Path::new(&repo).exists(), "nothing was made");
    let server = Server::start(moon(&[])).expect("moon starts");
    done(&["backup", "full", "--from", &format!("127.0.0.1:{}", server.port()), "--to", &repo]);
    fs::write(Path::new(&other).join("letter"), "dear").expect("written");
    for (to, code, why) in [
        (&other, 2, "is not empty (letter)"),
        (&file, 1, "Not a directory"),
        (&server.dir().to_str().expect("UTF-8").to_owned(), 2, "restore to another"),
    ] {
        let (found, said) = tool(&["restore", &repo, "--to", to]);
        assert!(found == code && said.contains(why), "{to}: {found} {said}");
    }
    assert_eq!(fs::read_dir(&other).expect("listed").count(), 1, "not even a lock");
}
