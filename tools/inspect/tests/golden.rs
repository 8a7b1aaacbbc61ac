//! Goal: what moon-inspect says of every golden file stays what it was, and whoever reads a format has its
//! output at hand. Method: beside each golden file lies `<name>.inspect.txt`; `MOON_GOLDEN=new` writes those
//! that are missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bodies that stand in no file of their own, where moon-inspect reads what contains them, and sets of backups,
/// which are moon-restore's.
const OTHERS: [&str; 2] = ["bin", "json"];
/// What explains the golden files, and what this test holds.
const TEXTS: [&str; 2] = ["md", "txt"];

fn golden_files(dir: &Path, out: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry").path());
    for path in entries {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_dir() {
            golden_files(&path, out);
        } else if !OTHERS.contains(&ending) && !TEXTS.contains(&ending) {
            out.push(path);
        }
    }
    out.sort();
}

/// Head and content, as a person sees them.
fn inspected(path: &Path) -> String {
    let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
    let mut all = String::new();
    for verb in ["header", "dump"] {
        let output = Command::new(env!("CARGO_BIN_EXE_moon-inspect"))
            .args(["auto", verb, name])
            .current_dir(path.parent().expect("a folder"))
            .output()
            .expect("moon-inspect runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        all.push_str(&format!("$ moon-inspect auto {verb} {name}\n{said}{error}"));
    }
    all
}

#[test]
fn what_is_said_of_golden_files_is_what_lies_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../formats/golden");
    let mut files = Vec::new();
    golden_files(&root, &mut files);
    assert!(files.len() >= 16, "{files:?}");
    let mut stale = Vec::new();
    for path in &files {
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        let beside = path.with_file_name(format!("{name}.inspect.txt"));
        let want = inspected(path);
        if !beside.exists() && std::env::var("MOON_GOLDEN").is_ok_and(|v| v == "new") {
            fs::write(&beside, &want).expect("written");
        }
        if fs::read_to_string(&beside).unwrap_or_default() != want {
            stale.push(beside);
        }
    }
    assert!(stale.is_empty(), "remove {stale:?} and run with MOON_GOLDEN=new");
}
