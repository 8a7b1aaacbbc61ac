//! Goal: whatever a run of moon-migrate was told, and wherever it was cut off, the directory's name stands for the data that the
//! operator means. Method: directories in each state of a run, reached by way of links and relative paths too, with sources that
//! have changed meanwhile; then resume, rollback, and a server that is started or refuses to.

use crate::migrate::{assert_same, carried, migrate, moon, place, refusal, saved};
use moon_tests::server::{Server, TempDir, migrate_binary};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// A directory of the reference with one key.
fn reference(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let resp = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    fs::write(dir.join("appendonly.aof"), resp).unwrap();
}

#[test]
fn an_upgrade_takes_the_place_of_what_was_there() {
    let scratch = TempDir::new().unwrap();
    let (dir, backup) = (scratch.path().join("data"), scratch.path().join("data.v1.bak"));
    reference(&dir);
    // A server of the reference that left its lock behind.
    fs::write(dir.join("moon.lock"), "").unwrap();
    fs::write(dir.join("vector-indexes.meta"), "VMIX").unwrap();
    let to = dir.to_str().unwrap();
    let (code, said) = migrate(&["upgrade", "--to", to]);
    assert!(code == 4 && said.contains("vector") && !backup.exists(), "{code} {said}");
    let accept = ["--accept-loss", "vector"];
    carried(&[&["upgrade", "--to", to, "--dry-run"], &accept[..]].concat());
    assert!(!backup.exists() && !dir.join("moon.storage").exists());
    let said = carried(&[&["upgrade", "--to", to], &accept[..]].concat());
    assert!(said.contains("data.v1.bak"), "{said}");
    assert!(backup.join("appendonly.aof").exists() && dir.join("moon.storage").exists());
    let mut server = moon(&dir);
    let mut client = server.client().unwrap();
    client.line("SELECT 3").unwrap();
    assert_eq!(client.line("GET a").unwrap().to_string(), "\"1\"");
    server.terminate().unwrap();
    // There is no older revision of Moon's own than this one.
    let said = carried(&["upgrade", "--to", to]);
    assert!(said.contains("revision 1, the newest: nothing to do"), "{said}");
    carried(&["rollback", "--to", to]);
    assert!(dir.join("appendonly.aof").exists() && !dir.join("moon.storage").exists());
    let (code, said) = migrate(&["upgrade", "--to", scratch.path().to_str().unwrap()]);
    assert!(code == 2 && said.contains("no data directory"), "{code} {said}");
}

/// The value of `a` in database 3.
fn value(server: &Server) -> String {
    let mut client = server.client().unwrap();
    client.line("SELECT 3").unwrap();
    client.line("GET a").unwrap().to_string()
}

/// The journal of a run with a word of it replaced, its checksum right.
fn edited(journal: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(journal).unwrap();
    assert!(text.contains(from), "{from:?} in {text}");
    let body = text.rsplit_once("end ").unwrap().0.replacen(from, to, 1);
    let sum = crate::migrate::crc32c(body.as_bytes());
    fs::write(journal, format!("{body}end {sum:08x}\n")).unwrap();
}

/// As a run that has verified its copy, and was killed then: the names are as before it.
fn back_to_verified(dir: &Path) {
    let beside = |suffix: &str| {
        dir.with_file_name(format!("{}{suffix}", dir.file_name().unwrap().to_str().unwrap()))
    };
    let journal = beside(".moon.migrate.journal");
    fs::rename(dir, beside(".new")).unwrap();
    if beside(".v1.bak").exists() {
        fs::rename(beside(".v1.bak"), dir).unwrap();
        let name = format!("backup {}\n", beside(".v1.bak").file_name().unwrap().to_str().unwrap());
        edited(&journal, &name, "");
    }
    edited(&journal, "state done", "state verified");
}

#[test]
fn an_upgrade_that_was_cut_off_takes_what_the_old_server_wrote_meanwhile() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("data");
    let to = dir.to_str().unwrap();
    reference(&dir);
    carried(&["upgrade", "--to", to]);
    back_to_verified(&dir);
    // Nothing was written: the copy is good.
    let said = carried(&["resume", "--to", to]);
    assert!(!said.contains("copied again"), "{said}");
    assert_eq!(value(&moon(&dir)), "\"1\"");

    fs::remove_dir_all(&dir).unwrap();
    fs::rename(scratch.path().join("data.v1.bak"), &dir).unwrap();
    carried(&["upgrade", "--to", to]);
    back_to_verified(&dir);
    // The old server was started again, and wrote.
    let log = dir.join("appendonly.aof");
    let more = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n2\r\n";
    fs::write(&log, [fs::read(&log).unwrap(), more.into()].concat()).unwrap();
    let said = carried(&["resume", "--to", to]);
    assert!(said.contains("changed since it was copied: it is copied again"), "{said}");
    assert_eq!(value(&moon(&dir)), "\"2\"");

    // A rollback that was cut off between its renames: the source has no name.
    carried(&["rollback", "--to", to]);
    fs::rename(&dir, scratch.path().join("data.v1.bak")).unwrap();
    carried(&["resume", "--to", to]);
    assert_eq!(value(&moon(&dir)), "\"2\"");

    // After a rollback the old server writes once more: neither tree has everything, and a person decides.
    carried(&["rollback", "--to", to]);
    let last = more.replace("\r\n2\r\n", "\r\n3\r\n");
    fs::write(&log, [fs::read(&log).unwrap(), last.into()].concat()).unwrap();
    let (code, said) = migrate(&["resume", "--to", to]);
    assert!(code == 2 && said.contains("data.new") && said.contains("--ignore-source"), "{said}");
    assert!(log.exists(), "{said}");
    carried(&["resume", "--to", to, "--ignore-source"]);
    assert_eq!(value(&moon(&dir)), "\"2\"");
    assert!(scratch.path().join("data.v1.bak/appendonly.aof").exists());
}

#[test]
fn a_source_of_redis_is_looked_at_again_too() {
    let scratch = TempDir::new().unwrap();
    let (file, redis_server) = saved(scratch.path(), 8, 30);
    let (from, dir) = (place("redis-rdb", &file), scratch.path().join("moon"));
    let to = dir.to_str().unwrap();
    carried(&["run", "--from", &from, "--to", to]);
    back_to_verified(&dir);
    let mut client = redis_server.client().unwrap();
    client.line("SET written later").unwrap();
    client.line("SAVE").unwrap();
    let said = carried(&["resume", "--to", to]);
    assert!(said.contains("copied again"), "{said}");
    assert_same(&mut client, &mut moon(&dir).client().unwrap());
    // Gone altogether.
    back_to_verified(&dir);
    fs::remove_file(&file).unwrap();
    let (code, said) = migrate(&["resume", "--to", to]);
    assert!(code == 2 && said.contains("--ignore-source") && !dir.exists(), "{code} {said}");
    carried(&["resume", "--to", to, "--ignore-source"]);
    assert_same(&mut client, &mut moon(&dir).client().unwrap());
}

#[test]
fn a_link_and_what_it_leads_to_are_one_target() {
    let scratch = TempDir::new().unwrap();
    let around = scratch.path().canonicalize().unwrap();
    let (file, redis_server) = saved(&around, 9, 30);
    let from = place("redis-rdb", &file);
    let (disk, link) = (around.join("disk"), around.join("link"));
    let real = disk.join("moon");
    fs::create_dir_all(&real).unwrap();
    symlink("disk/moon", &link).unwrap();
    let mut server = moon(&link);
    server.client().unwrap().line("SET old data").unwrap();
    server.terminate().unwrap();
    let said = carried(&["run", "--from", &from, "--to", link.to_str().unwrap()]);
    assert!(said.contains(real.to_str().unwrap()), "{said}");
    let journal = disk.join("moon.moon.migrate.journal");
    assert!(journal.exists() && disk.join("moon.v1.bak").exists());
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("disk/moon"), "the link stays");
    assert_same(&mut redis_server.client().unwrap(), &mut moon(&link).client().unwrap());

    // Between the renames nothing has the name, and the link leads nowhere.
    fs::rename(&real, disk.join("moon.new")).unwrap();
    edited(&journal, "state done", "state swapping");
    for way in [&link, &real, &around.join("disk/../link/"), &around.join("disk/./moon/")] {
        let text = refusal(way);
        let hint = format!("run moon-migrate resume --to {}", real.display());
        assert!(text.contains(&hint) && !real.exists(), "{}: {text}", way.display());
    }
    let said = carried(&["resume", "--to", &format!("{}/", link.display())]);
    assert!(said.contains("is the new tree"), "{said}");
    assert_same(&mut redis_server.client().unwrap(), &mut moon(&link).client().unwrap());

    // A name relative to where the tool is run, with what a shell completes to it.
    for (cwd, to) in [(&disk, "moon/"), (&real, "."), (&real, "../moon"), (&around, "link/.")] {
        for verb in ["rollback", "resume"] {
            let mut tool = Command::new(migrate_binary());
            let output = tool.args([verb, "--to", to]).current_dir(cwd).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{verb} --to {to}: {text}");
            assert!(real.join("moon.storage").exists() && journal.exists());
        }
    }
    assert_same(&mut redis_server.client().unwrap(), &mut moon(&real).client().unwrap());
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 3, "directory, old tree, journal");
}

/// The kinds of the items that a command line with --json reports, each checked by a reader that is not ours.
fn kinds(args: &[&str]) -> (i32, Vec<String>) {
    let output = Command::new(migrate_binary()).args(args).arg("--json").output().unwrap();
    let script = "import json, sys\nfor line in sys.stdin:\n    item = json.loads(line)\n    \
                  print(next(iter(item)), item['kind'])";
    let mut python = Command::new("python3");
    let python = python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("python3");
    child.stdin.take().unwrap().write_all(&output.stdout).unwrap();
    let read = child.wait_with_output().unwrap();
    let lines = String::from_utf8(read.stdout).unwrap();
    assert!(read.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    let kind = |line: &str| line.strip_prefix("kind ").expect("kind comes first").to_owned();
    (output.status.code().unwrap(), lines.lines().map(kind).collect())
}

#[test]
fn every_report_is_objects_on_demand() {
    let scratch = TempDir::new().unwrap();
    let (file, _) = saved(scratch.path(), 10, 30);
    let (from, dir) = (place("redis-rdb", &file), scratch.path().join("moon"));
    let to = dir.to_str().unwrap();
    let run = ["--from", &from, "--to", to];
    let has = |args: &[&str], wanted: &[&str]| {
        let (code, found) = kinds(args);
        assert_eq!(code, 0, "{args:?}: {found:?}");
        for kind in wanted {
            assert!(found.iter().any(|found| found == kind), "{args:?}: {kind} in {found:?}");
        }
    };
    let read = ["database", "type", "total", "shard", "note", "space"];
    has(&[&["plan"], &run[..]].concat(), &[&read[..], &["target"]].concat());
    has(&[&["run"], &run[..]].concat(), &[&read[..], &["carried"]].concat());
    has(&[&["verify"], &run[..]].concat(), &["database", "functions", "same"]);
    has(&["upgrade", "--to", to], &["newest"]);
    has(&[&["run"], &run[..]].concat(), &["carried"]);
    has(&["rollback", "--to", to], &["names"]);
    has(&["resume", "--to", to], &["names"]);
    let out = place("redis-rdb", &scratch.path().join("out.rdb"));
    has(&["run", "--from", &place("moon", &dir), "--to", &out], &["database", "carried"]);
    // What is lost, beside an exit code.
    let old = scratch.path().join("old");
    reference(&old);
    fs::write(old.join("vector-indexes.meta"), "VMIX").unwrap();
    let (code, found) = kinds(&["upgrade", "--to", old.to_str().unwrap()]);
    assert!(code == 4 && found.iter().any(|kind| kind == "loss"), "{code} {found:?}");
}

#[test]
fn a_reader_that_leaves_does_not_end_a_run() {
    let scratch = TempDir::new().unwrap();
    let (file, redis_server) = saved(scratch.path(), 11, 30);
    let to = scratch.path().join("moon");
    let mut tool = Command::new(migrate_binary());
    tool.args(["run", "--from", &place("redis-rdb", &file), "--to", to.to_str().unwrap()]);
    let mut child = tool.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_same(&mut redis_server.client().unwrap(), &mut moon(&to).client().unwrap());
}

#[test]
fn what_is_somebody_elses_does_not_make_way() {
    let scratch = TempDir::new().unwrap();
    let (file, _) = saved(scratch.path(), 12, 5);
    let from = place("redis-rdb", &file);
    let (other, text) = (scratch.path().join("other"), scratch.path().join("text"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "dear").unwrap();
    fs::write(&text, "dear").unwrap();
    for verb in ["plan", "run"] {
        for (to, why) in [(&other, "letter"), (&text, "is a file")] {
            let (code, said) = migrate(&[verb, "--from", &from, "--to", to.to_str().unwrap()]);
            assert!(code == 2 && said.contains(why), "{verb} {}: {code} {said}", to.display());
        }
    }
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "not even a lock");
    for (from, why) in [
        (place("redis-rdb", &scratch.path().join("absent")), "needs a dump.rdb"),
        (place("redis", &scratch.path().join("absent")), "No such file"),
        (place("redis", &other), "needs a dump.rdb or an append-only file"),
        (place("redis", &text), "neither as an RDB file nor as an append-only file"),
        (place("moon", &other), "no data directory of Moon"),
    ] {
        let to = scratch.path().join("moon");
        let (code, said) = migrate(&["run", "--from", &from, "--to", to.to_str().unwrap()]);
        assert!((code == 1 || code == 2) && said.contains(why), "{from}: {code} {said}");
        assert!(!to.exists());
    }
    let dir = scratch.path().join("moon");
    fs::create_dir(&dir).unwrap();
    let server = moon(&dir);
    server.client().unwrap().line("SAVE").unwrap();
    drop(server);
    let (code, said) = migrate(&["plan", "--from", &place("redis", &dir), "--to", "new"]);
    assert!(code == 2 && said.contains("moon:PATH"), "{code} {said}");
}
