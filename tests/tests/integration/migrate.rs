//! Goal: data comes over from a real redis-server, and goes back, with nothing lost and nothing silently
//! changed. Method: random values of every type on one side, moon-migrate, and DEBUG DIGEST-VALUE of
//! every key, which both servers compute alike, on the other side; then sources with damage, losses and interruptions.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::exchange::{fill, read, shows};
use moon_tests::server::{Program, Server, TempDir, migrate_binary};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit code and all that was said.
pub(crate) fn migrate(args: &[&str]) -> (i32, String) {
    let output = Command::new(migrate_binary()).args(args).output().expect("moon-migrate runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it exits"), String::from_utf8_lossy(&said).into_owned())
}

pub(crate) fn carried(args: &[&str]) -> String {
    let (code, said) = migrate(args);
    assert_eq!(code, 0, "{args:?}: {said}");
    said
}

pub(crate) fn place(kind: &str, path: &Path) -> String {
    format!("{kind}:{}", path.display())
}

fn digest(client: &mut Client) -> String {
    client.line("DEBUG DIGEST").expect("an answer").to_string()
}

/// That both hold the same, key by key, so that a difference has a name. What is read is all that a client could read.
pub(crate) fn assert_same(want: &mut Client, got: &mut Client) {
    for db in 0..16 {
        let select = format!("SELECT {db}");
        want.line(&select).unwrap();
        got.line(&select).unwrap();
        let keys = want.line("KEYS *").unwrap();
        let keys: Vec<Vec<u8>> =
            keys.elements().unwrap().iter().map(|k| k.text().unwrap().to_vec()).collect();
        for key in keys {
            let kind = want.call(&cmd!["TYPE", key]).unwrap().to_string();
            let mut commands = shows(&kind[1..], &key);
            assert!(!commands.is_empty(), "a key of type {kind}");
            commands.extend([cmd!["TYPE", key], cmd!["PEXPIRETIME", key]]);
            for command in commands {
                let (a, b) = (read(want, &command).unwrap(), read(got, &command).unwrap());
                let name = String::from_utf8_lossy(&key).into_owned();
                assert!(a == b, "db {db} {name:?}: {}:\n{a}\n{b}", moon_tests::shown(&command));
            }
        }
        assert_eq!(want.line("DBSIZE").unwrap(), got.line("DBSIZE").unwrap(), "db {db}");
    }
    let libraries = |client: &mut Client| {
        let list = client.line("FUNCTION LIST WITHCODE").unwrap();
        let mut all = list.elements().expect("a list").to_vec();
        all.sort();
        all
    };
    assert_eq!(libraries(want), libraries(got));
}

pub(crate) fn redis(more: &[&str]) -> Program {
    Program::redis().with(&["--enable-debug-command", "yes"]).with(more)
}

pub(crate) fn moon(dir: &Path) -> Server {
    let program = Program::moon().with(&["--enable-debug-command", "yes"]);
    Server::start_in(program, dir).expect("moon starts on what was migrated")
}

/// A redis-server with random data, and the file it has saved.
pub(crate) fn saved(scratch: &Path, seed: u64, count: usize) -> (PathBuf, Server) {
    let dir = scratch.join(format!("redis-{seed}"));
    fs::create_dir(&dir).unwrap();
    let server = Server::start_in(redis(&[]), &dir).expect("redis-server starts");
    let mut client = server.client().unwrap();
    fill(&mut client, seed, count).unwrap();
    library(&mut client);
    client.line("SAVE").unwrap();
    (dir.join("dump.rdb"), server)
}

/// A library with a function `f` that answers 7.
pub(crate) fn library(client: &mut Client) {
    let library = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    assert_eq!(client.call(&cmd!["FUNCTION", "LOAD", library]).unwrap().to_string(), "\"lib\"");
}

#[test]
fn a_save_of_redis_comes_over_and_goes_back() {
    let scratch = TempDir::new().unwrap();
    let (file, redis_server) = saved(scratch.path(), 1, 700);
    let mut original = redis_server.client().unwrap();
    let (from, to) = (place("redis-rdb", &file), scratch.path().join("moon"));
    let planned = carried(&["plan", "--from", &from, "--to", to.to_str().unwrap()]);
    assert!(planned.contains("700 keys") && !to.exists(), "{planned}");
    carried(&["run", "--from", &from, "--to", to.to_str().unwrap()]);
    assert!(fs::read_dir(&to).unwrap().count() > 0);
    let mut server = moon(&to);
    let mut client = server.client().unwrap();
    assert_same(&mut original, &mut client);
    client.line("SELECT 0").unwrap();
    assert_eq!(client.line("FCALL f 0").unwrap().to_string(), ":7");
    // What was carried is the base of a log that goes on.
    client.line("SET later on").unwrap();
    let (code, said) = migrate(&["verify", "--from", &from, "--to", to.to_str().unwrap()]);
    assert_eq!(code, 1, "a directory in use: {said}");
    let with_later = digest(&mut client);
    server.kill().unwrap();
    let (code, said) = migrate(&["verify", "--from", &from, "--to", to.to_str().unwrap()]);
    assert!(code == 3 && said.contains("keys in the source"), "{code} {said}");
    let mut server = moon(&to);
    assert_eq!(digest(&mut server.client().unwrap()), with_later);
    server.client().unwrap().line("DEL later").unwrap();
    server.terminate().unwrap();
    carried(&["verify", "--from", &from, "--to", to.to_str().unwrap()]);

    let back = scratch.path().join("back");
    fs::create_dir(&back).unwrap();
    let (from, out) = (place("moon", &to), place("redis-rdb", &back.join("dump.rdb")));
    carried(&["run", "--from", &from, "--to", &out, "--rdb-version", "10"]);
    let server = Server::start_in(redis(&[]), &back).expect("redis-server takes the file");
    assert_same(&mut original, &mut server.client().unwrap());
    let (code, said) = migrate(&["run", "--from", &from, "--to", &out, "--rdb-version", "10"]);
    assert!(code == 2 && said.contains("exists"), "nothing is written over: {said}");

    let aof = scratch.path().join("aof");
    let out = place("redis-aof", &aof);
    carried(&["run", "--from", &from, "--to", &out, "--rdb-version", "10"]);
    let server =
        Server::start_in(redis(&["--appendonly", "yes"]), &aof).expect("redis-server takes it");
    assert_same(&mut original, &mut server.client().unwrap());
}

#[test]
fn an_append_only_file_of_redis_comes_over() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("redis");
    fs::create_dir(&dir).unwrap();
    let options =
        ["--appendonly", "yes", "--aof-timestamp-enabled", "yes", "--appendfsync", "always"];
    let mut server = Server::start_in(redis(&options), &dir).expect("redis-server starts");
    let mut client = server.client().unwrap();
    fill(&mut client, 2, 200).unwrap();
    client.line("BGREWRITEAOF").unwrap();
    moon_tests::ask::until("the rewrite ends", || {
        moon_tests::ask::info(&mut client, "aof_rewrite_in_progress") == "0"
    });
    fill(&mut client, 3, 200).unwrap();
    for line in ["SELECT 4", "MULTI", "SET in unit", "SELECT 5", "INCR n", "EXEC", "INCR n"] {
        client.line(line).unwrap();
    }
    let to = scratch.path().join("moon");
    carried(&["run", "--from", &place("redis", &dir), "--to", to.to_str().unwrap()]);
    // With what Redis itself makes of the file: a few numbers that it only reckons are not in there.
    server.kill().unwrap();
    server.restart().expect("redis-server reads its file");
    assert_same(&mut server.client().unwrap(), &mut moon(&to).client().unwrap());
    server.kill().unwrap();

    // A crash in the middle of the last command.
    let incr = fs::read_dir(dir.join("appendonlydir")).unwrap().map(|e| e.unwrap().path());
    let incr = incr.filter(|p| p.to_string_lossy().ends_with(".incr.aof")).max().unwrap();
    let bytes = fs::read(&incr).unwrap();
    fs::write(&incr, &bytes[..bytes.len() - 3]).unwrap();
    let cut = scratch.path().join("cut");
    let args = ["run", "--from", &place("redis-aof", &dir), "--to", cut.to_str().unwrap()];
    let (code, said) = migrate(&args);
    assert!(code == 4 && said.contains("tail") && !cut.exists(), "{code} {said}");
    carried(&[&args[..], &["--accept-loss", "tail"]].concat());
    let server = moon(&cut);
    let mut client = server.client().unwrap();
    client.line("SELECT 5").unwrap();
    assert_eq!(client.line("GET n").unwrap().to_string(), "\"1\"", "all but the last command");
}

#[test]
fn what_cannot_be_carried_is_named_first() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("moon");
    fs::create_dir(&dir).unwrap();
    let mut server = moon(&dir);
    let mut client = server.client().unwrap();
    for line in ["SET plain 1", "HSET timed f v g w", "HPEXPIREAT timed 33000000000000 FIELDS 1 f"]
    {
        client.line(line).unwrap();
    }
    let all = digest(&mut client);
    server.terminate().unwrap();
    let (from, file) = (place("moon", &dir), scratch.path().join("out.rdb"));
    let args = ["run", "--from", &from, "--to", &place("redis-rdb", &file)];
    let (code, said) = migrate(&args);
    assert!(code == 4 && said.contains("timed") && !file.exists(), "{code} {said}");
    carried(&[&args[..], &["--accept-loss", "value"]].concat());
    let again = scratch.path().join("again");
    let from = place("redis-rdb", &file);
    let said = carried(&["run", "--from", &from, "--to", again.to_str().unwrap()]);
    assert!(said.contains("1 keys are in"), "{said}");
    // A newer form holds it.
    fs::remove_file(&file).unwrap();
    carried(&[&args[..], &["--rdb-version", "12"]].concat());
    let whole = scratch.path().join("whole");
    carried(&["run", "--from", &from, "--to", whole.to_str().unwrap()]);
    assert_eq!(digest(&mut moon(&whole).client().unwrap()), all);
}

#[test]
fn damage_is_found_before_anything_is_written() {
    let scratch = TempDir::new().unwrap();
    let (file, _) = saved(scratch.path(), 4, 60);
    let bytes = fs::read(&file).unwrap();
    let to = scratch.path().join("moon");
    for (at, name) in [(bytes.len() / 2, "a byte"), (bytes.len() - 4, "the checksum")] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        let args = ["run", "--from", &place("redis-rdb", &file), "--to", to.to_str().unwrap()];
        let (code, said) = migrate(&args);
        assert!(matches!(code, 2 | 70), "{name}: {code} {said}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "{name}: {said}");
    }
    fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    let (code, said) =
        migrate(&["run", "--from", &place("redis-rdb", &file), "--to", to.to_str().unwrap()]);
    assert_eq!(code, 70, "{said}");
}

#[test]
fn a_run_over_old_data_keeps_it_and_can_be_undone() {
    let scratch = TempDir::new().unwrap();
    let (file, redis_server) = saved(scratch.path(), 5, 40);
    let to = scratch.path().join("moon");
    fs::create_dir(&to).unwrap();
    let mut server = moon(&to);
    server.client().unwrap().line("SET old data").unwrap();
    let args = ["run", "--from", &place("redis-rdb", &file), "--to", to.to_str().unwrap()];
    let (code, said) = migrate(&args);
    assert!(code == 1 && said.contains("stop it first"), "a live target: {code} {said}");
    server.terminate().unwrap();
    // A run that was killed while it copied.
    let from = place("redis-rdb", &file);
    let journal = scratch.path().join("moon.moon.migrate.journal");
    fs::write(&journal, journal_of("copying", &from, None)).unwrap();
    fs::create_dir(scratch.path().join("moon.new")).unwrap();
    fs::write(scratch.path().join("moon.new/half"), "of a copy").unwrap();
    let (code, said) = migrate(&args);
    assert!(code == 2 && said.contains("resume"), "{code} {said}");
    carried(&["resume", "--to", to.to_str().unwrap()]);
    assert_same(&mut redis_server.client().unwrap(), &mut moon(&to).client().unwrap());
    carried(&["rollback", "--to", to.to_str().unwrap()]);
    let server = moon(&to);
    let mut client = server.client().unwrap();
    assert_eq!(client.line("GET old").unwrap().to_string(), "\"data\"");
    assert_eq!(client.line("DBSIZE").unwrap().to_string(), ":1");
}

/// The journal of a run, from the table of docs/formats/text-files.md.
pub(crate) fn journal_of(state: &str, from: &str, backup: Option<&str>) -> String {
    let mut text = format!("moon-migrate 1\nstate {state}\nfrom {from}\n");
    if let Some(name) = backup {
        text.push_str(&format!("backup {name}\n"));
    }
    let crc = crc32c(text.as_bytes());
    format!("{text}end {crc:08x}\n")
}

/// That a server does not start in a directory, and what it says about it.
pub(crate) fn refusal(dir: &Path) -> String {
    let output = Command::new(moon_tests::server::moon_binary())
        .args(["--dir", dir.to_str().unwrap(), "--port", "0", "--unixsocket"])
        .arg(dir.with_extension("sock"))
        .output()
        .expect("the server runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    text
}

#[test]
fn a_server_does_not_start_between_two_renames() {
    let scratch = TempDir::new().unwrap();
    let (file, redis_server) = saved(scratch.path(), 6, 40);
    let (from, to) = (place("redis-rdb", &file), scratch.path().join("moon"));
    fs::create_dir(&to).unwrap();
    let mut server = moon(&to);
    server.client().unwrap().line("SET old data").unwrap();
    server.terminate().unwrap();
    carried(&["run", "--from", &from, "--to", to.to_str().unwrap()]);
    // As a crash between the renames leaves it.
    let (new, old) = (scratch.path().join("moon.new"), scratch.path().join("moon.v1.bak"));
    let journal = scratch.path().join("moon.moon.migrate.journal");
    let done = fs::read_to_string(&journal).unwrap();
    assert!(
        done.starts_with(&format!("moon-migrate 1\nstate done\nfrom {from}\nsource ")),
        "{done}"
    );
    assert!(done.contains("\nbackup moon.v1.bak\n"), "{done}");
    fs::rename(&to, &new).unwrap();
    fs::write(&journal, journal_of("swapping", &from, Some("moon.v1.bak"))).unwrap();
    let text = refusal(&to);
    let hint = format!("run moon-migrate resume --to {}", to.display());
    assert!(text.contains(&hint) && !to.exists(), "{text}");
    carried(&["resume", "--to", to.to_str().unwrap()]);
    assert_same(&mut redis_server.client().unwrap(), &mut moon(&to).client().unwrap());
    // A rollback that was cut off after the first of its renames.
    fs::rename(&to, &new).unwrap();
    fs::write(&journal, journal_of("back", &from, Some("moon.v1.bak"))).unwrap();
    let text = refusal(&to);
    assert!(text.contains("moon-migrate rollback") && !to.exists(), "{text}");
    carried(&["rollback", "--to", to.to_str().unwrap()]);
    assert!(!old.exists());
    let server = moon(&to);
    let mut client = server.client().unwrap();
    assert_eq!(client.line("GET old").unwrap().to_string(), "\"data\"");
}

#[test]
fn a_directory_of_the_reference_comes_over() {
    let scratch = TempDir::new().unwrap();
    let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
    fs::create_dir_all(old.join("appendonlydir")).unwrap();
    let files = old.join("appendonlydir");
    fs::write(files.join("moon.aof.manifest"), "seq 1\nincr moon.aof.1.incr.aof\n").unwrap();
    let resp = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    fs::write(files.join("moon.aof.1.incr.aof"), resp).unwrap();
    fs::write(old.join("vector-indexes.meta"), "VMIX").unwrap();
    let args = ["--from", &place("moon", &old), "--to", new.to_str().unwrap()];
    let (code, said) = migrate(&[&["run"], &args[..]].concat());
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("vector-indexes.meta"), "{said}");
    carried(&[&["run"], &args[..], &["--accept-loss", "vector"]].concat());
    carried(&[&["verify"], &args[..], &["--accept-loss", "vector"]].concat());
    let server = moon(&new);
    let mut client = server.client().unwrap();
    client.line("SELECT 3").unwrap();
    assert_eq!(client.line("GET a").unwrap().to_string(), "\"1\"");
    assert_eq!(client.line("DBSIZE").unwrap().to_string(), ":1");
}

#[test]
fn a_plan_counts_and_refuses_what_a_run_would() {
    let scratch = TempDir::new().unwrap();
    let (file, _) = saved(scratch.path(), 6, 50);
    let to = scratch.path().join("moon");
    let from = place("redis-rdb", &file);
    let args = ["--from", &from, "--to", to.to_str().unwrap()];
    let planned = carried(&[&["plan"], &args[..]].concat());
    let line = |start: &str| {
        let found = planned.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line {start:?} in {planned}"))
    };
    assert!(line("50 keys, ").ends_with(" bytes of values, 1 function libraries"), "{planned}");
    assert!(line("shard 0 of 1: 50 keys, ").ends_with(", 100 % of all"), "{planned}");
    let space = line("space: ");
    let numbers: Vec<u64> = space.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [needed, free] = numbers[..] else { panic!("{space}") };
    assert!(needed > 32 << 20 && free > needed, "{space}");
    assert!(space.ends_with(scratch.path().to_str().unwrap()), "{space}");
    // The figure holds for what is then written.
    carried(&[&["run"], &args[..]].concat());
    let written = size_of(&to);
    assert!(written.abs_diff(needed) < 1 << 20, "{written} of {needed} bytes");
    for verb in ["plan", "run", "verify"] {
        let (code, said) = migrate(&[&[verb], &args[..], &["--shards", "4"]].concat());
        assert!(code == 2 && said.contains("--shards 4: "), "{verb}: {code} {said}");
    }
    carried(&[&["verify"], &args[..], &["--shards", "1"]].concat());
}

/// CRC32C, bit by bit.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0x82f6_3b78 & (c & 1).wrapping_neg()))
    })
}

#[test]
fn what_a_later_version_has_written_is_refused_by_number() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("data");
    fs::create_dir(&dir).unwrap();
    moon(&dir).terminate().unwrap();
    let marker = dir.join("moon.storage");
    let good = fs::read_to_string(&marker).unwrap();
    for (line, newer) in [
        ("moon-storage 1", "moon-storage 2"),
        ("revision 1", "revision 7"),
        ("min-reader 1", "min-reader 7"),
    ] {
        assert!(good.contains(line), "{good}");
        let body = good.rsplit_once("end ").unwrap().0.replacen(line, newer, 1);
        let sum = crc32c(body.as_bytes());
        fs::write(&marker, format!("{body}end {sum:08x}\n")).unwrap();
        let to = dir.to_str().unwrap();
        let elsewhere = scratch.path().join("new");
        let from = place("moon", &dir);
        for args in [
            &["upgrade", "--to", to][..],
            &["run", "--from", &from, "--to", elsewhere.to_str().unwrap()],
        ] {
            let (code, said) = migrate(args);
            let number = newer.rsplit_once(' ').unwrap().1;
            let told = format!("0x{number} is unknown: written by a newer Moon");
            assert!(code == 2 && said.contains(&told) && said.contains("moon.storage"), "{said}");
        }
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}

#[test]
fn global_numbers_go_on_in_a_new_directory() {
    let scratch = TempDir::new().unwrap();
    let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
    fs::create_dir(&old).unwrap();
    let number = |dir: &Path, name: &str| {
        let mut server = moon(dir);
        let point = server.client().unwrap().line(&format!("MOON.RESTOREPOINT {name}")).unwrap();
        server.terminate().unwrap();
        point.elements().expect("pairs")[1].to_string()
    };
    assert_eq!(number(&old, "one"), ":1");
    let from = place("moon", &old);
    carried(&["run", "--from", &from, "--to", new.to_str().unwrap()]);
    assert_eq!(number(&new, "two"), ":2");
    // Written again in its own place.
    carried(&["run", "--from", &from, "--to", old.to_str().unwrap()]);
    assert!(scratch.path().join("old.v1.bak/moon.storage").exists());
    assert_eq!(number(&old, "two"), ":2");
}

/// Bytes of all files below a directory.
fn size_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            meta if meta.is_dir() => size_of(&entry.path()),
            meta => meta.len(),
        })
        .sum()
}

#[test]
fn a_difference_has_a_place() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("redis");
    fs::create_dir(&dir).unwrap();
    // Replayed, and streamed.
    let mut server = Server::start_in(redis(&["--appendonly", "yes"]), &dir).unwrap();
    let mut client = server.client().unwrap();
    for line in ["SET a 1", "SELECT 3", "SADD b 1 2 x", "SELECT 7", "HSET c f v g w", "SAVE"] {
        client.line(line).unwrap();
    }
    library(&mut client);
    server.terminate().unwrap();
    let to = scratch.path().join("moon");
    let from = place("redis-aof", &dir);
    let args = ["--from", &from, "--to", to.to_str().unwrap()];
    carried(&[&["run"], &args[..]].concat());
    let said = carried(&[&["verify"], &args[..]].concat());
    for part in ["db0: 1 keys, digest ", "db3: 1 keys, ", "db7: 1 keys, ", "functions: 1 libraries"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let changed = |lines: &[&str]| {
        let mut server = moon(&to);
        let mut client = server.client().unwrap();
        lines.iter().for_each(|line| drop(client.line(line).unwrap()));
        server.terminate().unwrap();
        let (code, said) = migrate(&[&["verify"], &args[..]].concat());
        assert!(code == 3 || code == 0, "{code} {said}");
        said
    };
    let said = changed(&["SELECT 3", "SREM b x", "SADD b y"]);
    assert!(said.contains("database 3 has 1 keys in both, and they differ"), "{said}");
    // Only the time to live.
    let said = changed(&["SELECT 3", "SREM b y", "SADD b x", "SELECT 7", "EXPIRE c 90000"]);
    assert!(said.contains("database 7 has 1 keys in both, and they differ"), "{said}");
    let said = changed(&["SELECT 7", "PERSIST c", "SELECT 9", "SET more 1"]);
    assert!(said.contains("database 9 has 0 keys in the source and 1 in the target"), "{said}");
    let said = changed(&["SELECT 9", "DEL more", "FUNCTION FLUSH"]);
    assert!(said.contains("1 function libraries in the source and 0 in the target"), "{said}");
}
