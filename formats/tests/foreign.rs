//! Payloads and files made by real servers, kept in `golden/redis_rdb/v<N>/` by RDB version.
//!
//! Goal: each decodes to the meaning written down beside it, and survives being written again. With
//! `MOON_GOLDEN=new` in the environment a missing `EXPLAINED.md` is written; an existing one never is.

use moon_formats::redis_rdb::{Encoder, FileReader, Item, Limits, Payload, Step};
use moon_formats::value::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/redis_rdb");
    let mut all: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

fn files(folder: &Path, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if name.ends_with(ending) {
            all.push((name, fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

fn body(payload: &[u8]) -> (u8, Vec<u8>) {
    let mut body = Vec::new();
    let payload = Payload::open(payload, false).expect("a sound payload");
    let kind = payload.decode(&Limits::default(), &mut body).expect("a sound value");
    (kind.code(), body)
}

/// What a folder's files mean, in the form of its `EXPLAINED.md`.
fn explained(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let mut text = format!(
        "# RDB {name}\n\nThe type byte opens a file's name. Under it stands what it decodes to.\n"
    );
    for (name, payload) in files(folder, ".bin") {
        let (code, body) = body(&payload);
        let value = Value::decode(&body, code, 0).unwrap();
        write!(text, "\n## {name}\n\n```text\n{value}\n```\n").unwrap();
    }
    for (name, file) in files(folder, ".rdb") {
        write!(text, "\n## {name}\n\n```text\n").unwrap();
        let mut reader = FileReader::new(Limits::default());
        let mut rest = &file[..];
        loop {
            let Step::Item(taken, item) = reader.next(rest, true).expect("a sound file") else {
                panic!("the whole file is there");
            };
            rest = &rest[taken..];
            let line = match item {
                Item::Head(format) => format!("{:?} {}", format.magic, format.version),
                Item::Aux(name, value) => {
                    format!("{} = {}", name.escape_ascii(), value.escape_ascii())
                }
                Item::Resize(keys, expires) => format!("{keys} keys, {expires} expire"),
                Item::Function(source) => format!("function {}", source.escape_ascii()),
                Item::Key(k) => {
                    let value = k.value().expect("a sound value");
                    let (key, idle) = (k.key.escape_ascii(), k.idle_secs);
                    format!("db {} {key} expires {:?} idle {idle:?}: {value}", k.db, k.expire_ms)
                }
                Item::Module(_) => unreachable!("only a reader that was asked to skips them"),
                Item::End { checked } => {
                    writeln!(text, "end, checked {checked}\n```").unwrap();
                    break;
                }
            };
            writeln!(text, "{line}").unwrap();
        }
        assert!(rest.is_empty());
    }
    text
}

#[test]
fn what_servers_wrote_means_what_is_written_down() {
    assert!(!folders().is_empty());
    for folder in folders() {
        let page = folder.join("EXPLAINED.md");
        let text = explained(&folder);
        if std::env::var("MOON_GOLDEN").is_ok_and(|v| v == "new") && !page.exists() {
            fs::write(&page, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&page).unwrap(), text, "{}", page.display());
    }
}

#[test]
fn what_servers_wrote_is_written_again() {
    for (name, payload) in folders().iter().flat_map(|f| files(f, ".bin")) {
        let (code, bytes) = body(&payload);
        let value = Value::decode(&bytes, code, 0).unwrap();
        let mut again = Vec::new();
        Encoder::default().dump(&value, &mut again).unwrap();
        assert_eq!(body(&again).0, code, "{name}");
        // The same encoding was chosen, except where thresholds or versions decide.
        let kept = !name.contains("plain-node") && !name.starts_with("19");
        if kept && !name.starts_with("02") && !name.starts_with("18") {
            assert_eq!(again[0], payload[0], "{name}");
        }
    }
}
