//! The verbs on the log, against logs made by the writer and damaged on purpose.

mod rig;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use moon_formats::resp::encode_command;
use moon_formats::wal::{BeforeImage, EffectMeta, record_flags};
use rig::{TempDir, Writer, flip, golden, inspect, long, shown, snapshot};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_verb_on_a_sound_log() {
    let dir = TempDir::new();
    golden(&dir);
    let wal = dir.wal();
    let mut all = String::new();
    for args in [
        &["wal", "ls"][..],
        &["wal", "header"],
        &["wal", "dump"],
        &["wal", "dump", "--hex", "--from", "4", "--to", "4"],
        &["wal", "dump", "--type", "temporalupsert", "--type", "0x21"],
        &["wal", "dump", "--key", "\\xff\\x00", "--full"],
        &["wal", "dump", "--key", "greeting", "--limit", "1"],
        &["wal", "stats"],
        &["wal", "times", "--every", "0"],
        &["wal", "verify"],
    ] {
        all.push_str(&shown(&dir, args, &wal));
        all.push('\n');
    }
    snapshot("wal-text", &all);
}

#[test]
fn every_verb_as_json() {
    let dir = TempDir::new();
    golden(&dir);
    let mut all = String::new();
    for verb in ["ls", "header", "dump", "stats", "times", "verify"] {
        all.push_str(&shown(&dir, &["wal", verb, "--json"], &dir.wal()));
        all.push('\n');
    }
    snapshot("wal-json", &all);
    let lines = text(&inspect(&["wal", "dump", "--json"], &dir.wal()).stdout);
    assert!(lines.lines().all(|l| l.starts_with('{') && l.ends_with('}')), "{lines}");
}

#[test]
fn a_path_may_be_a_file_a_log_a_shard_or_a_data_directory() {
    let dir = TempDir::new();
    long(&dir, 12, true);
    let whole = text(&inspect(&["wal", "dump"], &dir.wal()).stdout);
    assert!(dir.segment(3).exists(), "the log has several segments");
    for path in [dir.0.join("shard-0"), dir.0.clone()] {
        assert_eq!(text(&inspect(&["wal", "dump"], &path).stdout), whole);
    }
    let one = text(&inspect(&["wal", "dump"], &dir.segment(2)).stdout);
    assert!(one.lines().count() > 3 && one.lines().all(|l| l.contains(" 2:")), "{one}");
    assert!(whole.contains(&one));
    assert_eq!(inspect(&["wal", "dump", "--shard", "0"], &dir.0).status.code(), Some(0));
    assert_eq!(inspect(&["wal", "dump", "--shard", "1"], &dir.0).status.code(), Some(1));
}

#[test]
fn a_killed_writer_leaves_a_crash_tail() {
    let dir = TempDir::new();
    long(&dir, 3, false);
    let shown = shown(&dir, &["wal", "verify"], &dir.wal());
    assert!(shown.contains("crash tail at DIR/shard-0/wal-v3/"), "{shown}");
    assert!(shown.contains("nothing to do"), "{shown}");
    assert!(shown.ends_with("exit 1\n"), "{shown}");
    assert_eq!(inspect(&["wal", "dump"], &dir.wal()).status.code(), Some(0));
}

#[test]
fn what_a_crash_cut_off_is_shown_as_such() {
    let dir = TempDir::new();
    long(&dir, 2, false);
    // The next process goes on behind the crash tail, in a segment with a cut.
    long(&dir, 2, true);
    let header = shown(&dir, &["wal", "header"], &dir.wal());
    assert!(header.contains("AFTER_CRASH"), "{header}");
    assert!(header.contains("cut: keep=16"), "{header}");
    assert!(shown(&dir, &["wal", "verify"], &dir.wal()).ends_with("exit 0\n"));
    // Records that the cut keeps must be there.
    flip(&dir.segment(1), 4096 + 200);
    let shown = shown(&dir, &["wal", "verify"], &dir.wal());
    assert!(shown.contains("hole at DIR/shard-0/wal-v3/000000000001.wal offset 4"), "{shown}");
    assert!(shown.contains("a record kept by a cut is missing"), "{shown}");
    assert!(shown.ends_with("exit 70\n"), "{shown}");
}

#[test]
fn each_kind_of_damage_names_file_offset_and_what_to_do() {
    let sound = TempDir::new();
    long(&sound, 12, true);
    type Plant = fn(&TempDir);
    let cases: [(&str, Plant, &str); 6] = [
        ("record", |d| flip(&d.segment(2), 8192), "a durable record is missing"),
        ("length", |d| flip(&d.segment(1), 4096 + 76 + 2), "a durable record is missing"),
        ("header", |d| flip(&d.segment(2), 30), "segment header: offset 60: header_crc does not"),
        ("missing", |d| fs::remove_file(d.segment(2)).expect("removed"), "the segment is missing"),
        (
            "foreign shard",
            |d| fs::rename(d.0.join("shard-0"), d.0.join("shard-7")).expect("renamed"),
            "shard_id should be 7, found 0",
        ),
        (
            "swapped",
            |d| {
                fs::copy(d.segment(3), d.segment(2)).expect("copied");
            },
            "segment_seq should be 2, found 3",
        ),
    ];
    for (name, plant, reason) in cases {
        let dir = TempDir::new();
        copy_tree(&sound.0, &dir.0);
        plant(&dir);
        let verify = shown(&dir, &["wal", "verify"], &dir.0);
        for part in ["hole at DIR/shard-", ".wal offset ", reason, "h=", "D=", "Restore the named"]
        {
            assert!(verify.contains(part), "{name}: no {part:?} in {verify}");
        }
        assert!(verify.ends_with("exit 70\n"), "{name}: {verify}");
        assert!(!verify.contains("run: moon-inspect wal verify"), "{name}: {verify}");
        let json = shown(&dir, &["wal", "verify", "--json"], &dir.0);
        assert!(json.contains("\"result\":\"hole\"") && json.contains("\"advice\":"), "{json}");
        // What can be read is read, and the exit code still tells.
        let dump = shown(&dir, &["wal", "dump"], &dir.0);
        assert!(dump.contains("! moon-inspect: log damaged: "), "{name}: {dump}");
        assert!(dump.ends_with("exit 70\n"), "{name}: {dump}");
        // Files behind damage are still listed.
        let ls = shown(&dir, &["wal", "ls"], &dir.0);
        assert!(ls.contains("000000000004.wal"), "{name}: {ls}");
        assert!(ls.ends_with("exit 70\n"), "{name}: {ls}");
    }
}

#[test]
fn damage_before_a_segment_does_not_hide_it() {
    let dir = TempDir::new();
    long(&dir, 12, true);
    flip(&dir.segment(1), 4096 + 200);
    assert_eq!(inspect(&["wal", "dump"], &dir.wal()).status.code(), Some(70));
    let one = inspect(&["wal", "dump"], &dir.segment(2));
    assert_eq!(one.status.code(), Some(0));
    assert!(text(&one.stdout).lines().count() > 3);
}

#[test]
fn what_is_not_ours_is_said_in_words() {
    let dir = TempDir::new();
    golden(&dir);
    let readme = dir.0.join("notes.txt");
    fs::write(&readme, "RRD is not RRDWAL").expect("written");
    let renamed = dir.0.join("copy.bin");
    fs::copy(dir.segment(1), &renamed).expect("copied");
    let empty = dir.0.join("empty");
    fs::create_dir(&empty).expect("made");
    for (args, path, want, code) in [
        (["wal", "verify"], &readme, "not a file of Moon: a log segment starts with RRDWAL", 1),
        (["wal", "header"], &readme, "not a file of Moon", 1),
        (["auto", "dump"], &readme, "not a file of Moon", 1),
        (["wal", "dump"], &renamed, "a log segment, but not under its name", 1),
        (["wal", "header"], &renamed, "magic          RRDWAL", 0),
        (["wal", "ls"], &empty, "no log in this directory", 1),
        (["wal", "ls"], &dir.0.join("absent"), "No such file", 1),
    ] {
        let shown = shown(&dir, &args, path);
        assert!(shown.contains(want), "{shown}");
        assert!(shown.ends_with(&format!("exit {code}\n")), "{shown}");
    }
}

#[test]
fn segments_of_a_reference_server_and_of_a_newer_moon_are_named() {
    let reference = TempDir::new();
    golden(&reference);
    let mut header = vec![0; 64];
    header[..8].copy_from_slice(b"RRDWAL\x03\x01");
    header[28] = 1;
    let effect = b"*2\r\n$3\r\nDEL\r\n$5\r\ngoner\r\n";
    moon_formats::wal::put_record(&mut header, 1, 1, 0, 0, effect);
    header.resize(8192, 0);
    fs::write(reference.segment(1), &header).expect("written");
    let ls = shown(&reference, &["wal", "ls"], &reference.wal());
    assert!(ls.contains("reference"), "{ls}");
    let verify = shown(&reference, &["wal", "verify"], &reference.wal());
    assert!(verify.ends_with("exit 0\n"), "{verify}");
    let dump = shown(&reference, &["wal", "dump"], &reference.wal());
    assert!(dump.contains("DEL") && dump.contains("goner"), "{dump}");
    let header = shown(&reference, &["wal", "header"], &reference.segment(1));
    assert!(header.contains("written by a reference server, shard 0"), "{header}");
    assert!(header.ends_with("exit 0\n"), "{header}");

    let newer = TempDir::new();
    golden(&newer);
    let mut bytes = fs::read(newer.segment(1)).expect("readable");
    bytes[6] = 4;
    fs::write(newer.segment(1), bytes).expect("written");
    let verify = shown(&newer, &["wal", "verify"], &newer.wal());
    assert!(verify.contains("WAL version 0x4 is unknown: written by a newer Moon"), "{verify}");
    assert!(verify.contains("nothing is damaged"), "{verify}");
    assert!(verify.ends_with("exit 1\n"), "{verify}");
}

#[test]
fn tail_follows_a_live_log_over_segments() {
    let dir = TempDir::new();
    let w = Writer::open(&dir);
    w.command(0, &[b"SET", b"before", b"1"]);
    w.sync();
    let mut child = Command::new(env!("CARGO_BIN_EXE_moon-inspect"))
        .args(["wal", "tail", "--from", "1", "--limit", "121", "--interval", "5"])
        .arg(dir.wal())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tool runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("readable");
    assert!(first.contains("\"before\""), "{first}");
    for i in 0..120 {
        let key = format!("k{i}");
        w.command(0, &[b"SET", key.as_bytes(), &[b'x'; 1500]]);
        match i % 5 {
            4 => w.sync(),
            _ => w.flush(),
        }
    }
    for i in 0..120 {
        let line = lines.next().expect("a line").expect("readable");
        assert!(line.starts_with(&format!("{} ", i + 2)), "{line}");
        assert!(line.contains(&format!("\"k{i}\"")), "{line}");
    }
    assert!(lines.next().is_none());
    assert!(child.wait().expect("ended").success());
    assert!(dir.segment(3).exists(), "the log went over several segments");
    // Without --from only what is new.
    let mut child = Command::new(env!("CARGO_BIN_EXE_moon-inspect"))
        .args(["wal", "tail", "--limit", "1", "--interval", "5", "--json"])
        .arg(&dir.0)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tool runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut lsn = 121;
    let line = loop {
        // The tool may not have looked yet, so writing goes on until it has.
        if let Ok(Some(_)) = child.try_wait() {
            break lines.next().expect("a line").expect("readable");
        }
        lsn += 1;
        w.command(0, &[b"SET", b"new", b"1"]);
        w.flush();
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(line.contains("\"lsn\":") && line.contains("\"new\""), "{line}");
    assert!(lsn > 121);
    w.kill();
}

#[test]
fn a_log_that_is_written_meanwhile_never_looks_damaged() {
    let dir = TempDir::new();
    let w = Writer::open(&dir);
    w.sync();
    let wal = dir.wal();
    let looks = std::thread::spawn(move || {
        (0..40).map(|_| inspect(&["wal", "verify"], &wal)).collect::<Vec<_>>()
    });
    let mut i = 0u32;
    while !looks.is_finished() {
        w.command(0, &[b"SET", &i.to_le_bytes(), &[b'x'; 300]]);
        w.flush();
        if i.is_multiple_of(16) {
            w.sync();
        }
        i += 1;
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    for look in looks.join().expect("no panic") {
        assert_eq!(look.status.code(), Some(1), "{}", text(&look.stdout));
    }
    w.kill();
}

#[test]
fn a_batch_that_happens_to_be_aligned_does_not_begin_a_group() {
    let dir = TempDir::new();
    let w = Writer::open(&dir);
    // A batch of 128 bytes: 32 of them fill a block.
    let value = [b'x'; 128 - 76 - 20 - 26];
    for _ in 0..100 {
        w.command(0, &[b"SET", b"k", &value]);
        w.flush();
    }
    w.sync();
    w.kill();
    let stats = shown(&dir, &["wal", "stats", "--json"], &dir.wal());
    assert!(stats.contains("\"batch_records\":{\"count\":100,"), "{stats}");
    assert!(stats.contains("\"group_batches\":{\"count\":1,\"min\":100,"), "{stats}");
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).expect("made");
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn tail_shows_the_events_of_cdc_read() {
    let dir = rig::data_dir();
    fs::remove_dir_all(dir.wal()).expect("gone");
    let w = Writer::open(&dir);
    w.command(0, &[b"SET", b"k", b"v"]);
    w.command(0, &[b"DEL", b"k"]);
    let mut unit = Vec::new();
    let mut resp = Vec::new();
    encode_command(&mut resp, [&b"INCR"[..], b"n"].into_iter());
    unit.extend((resp.len() as u32).to_le_bytes());
    unit.extend(&resp);
    let image = BeforeImage { kind: 0, ttl_ms: Some(77), body: Some(b"\x02\0\0\x0041") };
    EffectMeta { before: Some(image), ..EffectMeta::default() }.put(&mut unit);
    w.append(1, record_flags::EFFECT_META, 0, &unit);
    w.append(0xc1, 0, 0, b"of a newer Moon");
    w.sync();
    w.command(3, &[b"SADD", b"s", b"\xff"]);
    w.shutdown();
    let tail = |args: &[&str]| {
        let base = ["wal", "tail", "--format", "debezium", "--from", "1", "--interval", "5"];
        text(&inspect(&[&base, args].concat(), &dir.0).stdout)
    };
    let all = tail(&["--limit", "5"]);
    let lines: Vec<&str> = all.lines().collect();
    let uuid = "ab".repeat(16);
    let starts = [
        "{\"before\":null,\"after\":{\"record_type\":\"kv\",\"db\":0,\"key\":\"k\",\"type\":\"string\",",
        "{\"before\":{\"record_type\":\"kv\",\"db\":0,\"key\":\"k\"},\"after\":null,",
        "{\"before\":{\"record_type\":\"kv\",\"db\":0,\"key\":\"n\",\"type\":\"string\",\"command\":null,\
         \"args\":[],\"value\":\"41\",\"ttl_ms\":77},\"after\":{",
        "{\"before\":null,\"after\":{\"record_type\":\"kv\",\"db\":3,\"key\":\"s\",\"type\":\"set\",\
         \"command\":\"SADD\",\"args\":[\"s\",{\"_b64\":\"/w==\"}]}",
        "{\"before\":null,\"after\":{\"record_type\":\"checkpoint\",",
    ];
    assert_eq!(lines.len(), 5, "{all}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
        assert!(line.contains(&format!("\"connector\":\"moon\",\"name\":\"{uuid}\"")), "{line}");
    }
    // The record before is that of a newer Moon, which is passed over.
    assert!(
        lines[3].contains(r#""sequence":"[\"1:4\",\"1:5\"]","shard":0,"lsn":5"#),
        "{}",
        lines[3]
    );
    assert!(lines[0].contains("\"ts_us\":17672256000"), "the clock of the batch: {}", lines[0]);
    assert_eq!(tail(&["--limit", "1", "--key", "s"]).lines().count(), 1);
    assert!(tail(&["--limit", "1", "--key", "s"]).contains("\"db\":3"));
    assert!(tail(&["--limit", "1", "--type", "Checkpoint"]).contains("\"op\":\"m\""));
}

#[test]
fn a_salvage_plan_says_what_is_kept_and_what_is_given_up() {
    let dir = rig::data_dir();
    fs::remove_dir_all(dir.wal()).expect("gone");
    long(&dir, 12, true);
    let plan = dir.0.join("plan");
    let name = plan.display().to_string();
    let verify = |args: &[&str]| shown(&dir, &[&["wal", "verify"], args].concat(), &dir.0);
    let text = verify(&["--plan", &name]).replace(&name, "PLAN");
    assert!(text.contains("no salvage plan: no log is damaged") && !plan.exists(), "{text}");
    flip(&dir.segment(2), 8192);
    let text = verify(&["--plan", &name]).replace(&name, "PLAN");
    let header = shown(&dir, &["wal", "header"], &plan);
    assert_eq!(shown(&dir, &["auto", "header"], &plan).lines().skip(2).collect::<Vec<_>>(), {
        header.lines().skip(2).collect::<Vec<_>>()
    });
    let made = header.lines().position(|l| l.contains("salvage plan")).expect("its name");
    let stable: String = header
        .lines()
        .enumerate()
        .filter(|(i, _)| *i != made)
        .map(|(_, l)| format!("{l}\n"))
        .collect();
    let json = {
        fs::remove_file(&plan).expect("removed");
        verify(&["--plan", &name, "--json"]).replace(&name, "PLAN")
    };
    snapshot("wal-plan", &format!("{text}\n{stable}\n{json}"));
    for (args, words) in [
        (&["wal", "verify", "--plan", &name][..], "is there already"),
        (&["auto", "verify", "--plan", "other"], "is about the log"),
    ] {
        let text = shown(&dir, args, &dir.0);
        assert!(text.contains(words), "{text}");
    }
    let text = shown(&dir, &["wal", "verify", "--plan", "other"], &dir.wal());
    assert!(text.contains("a whole data directory") && text.ends_with("exit 2\n"), "{text}");
    assert!(!dir.0.join("other").exists());
    let text = shown(&dir, &["auto", "dump"], &plan);
    assert!(text.contains("has one verb"), "{text}");
}
