#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool: its output is its purpose
//! `cargo xtask`: the gate. Every step that CI runs is a command here, so it can be run anywhere.

mod deny;
mod readme;
mod steps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  check    format, clippy, tidy, unit tests: the gate before every merge
  ci       check, then integration tests, a short crash matrix, dependency policy, the README's
           commands
  gen      write the pages that are made from the code (docs/commands.md,
           docs/configuration.md, docs/metrics.md, server/moon.conf, packaging/man), and
           packaging/completions, which is not in the repository
  tidy     the rules that the compiler cannot state (layers, unsafe, command table, text)
  readme   run the marked commands of README.md and docs/backup.md as written and compare their
           output; with the name of a page, only that one's
  deny     licences, sources and bans of all dependencies (cargo-deny, installed on demand)
";

fn main() -> ExitCode {
    let root = root();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => steps::check(&root),
        ["ci"] => steps::ci(&root),
        ["gen"] => steps::generate(&root),
        ["tidy"] => tidy(&root),
        ["readme"] => readme::run(&root, None),
        ["readme", page] => readme::run(&root, Some(page)),
        ["deny"] => deny::run(&root).map(|_| ()),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("unknown arguments: {}\n\n{USAGE}", args.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The repository root: two levels above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_path_buf()
}

/// Runs the tidy rules and prints what they found.
fn tidy(root: &Path) -> Result<(), String> {
    let report = tidy::run(root).map_err(|e| format!("cannot read the tree: {e}"))?;
    for line in &report.long {
        println!("long: {line}");
    }
    for finding in &report.findings {
        println!("{finding}");
    }
    println!(
        "tidy: {} files, {} command rows, {} findings",
        report.files,
        report.rows,
        report.findings.len()
    );
    if report.findings.is_empty() { Ok(()) } else { Err("tidy found violations".to_string()) }
}
