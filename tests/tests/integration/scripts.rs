//! Goal: the replies written down in `tests/scripts` hold. Method: each script runs on an empty
//! server; those marked `@redis` run against a real Redis too, so that what we wrote down is true.

use crate::LACKING;
use moon_tests::script::{Script, find};
use moon_tests::server::{Program, Server};
use std::fs;
use std::path::Path;

/// Runs all scripts that `wanted` selects against one server, emptied before each.
fn run_all(program: Program, wanted: impl Fn(&Script) -> bool) {
    let program = program.with(&["--enable-debug-command", "yes"]);
    let server = Server::start(program).expect("the server starts");
    let files = find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"));
    let mut failures = Vec::new();
    let mut ran = 0;
    for file in &files {
        let text = fs::read_to_string(file).expect("a readable script");
        let script = Script::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        if !wanted(&script) {
            continue;
        }
        server.client().and_then(|mut c| c.line("FLUSHALL")).expect("FLUSHALL");
        ran += 1;
        if let Err(reason) = script.run(server.port()) {
            failures.push(format!("{}: {reason}", file.display()));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {ran} scripts fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(ran > 0, "no script ran");
}

#[test]
fn what_is_written_down_holds_on_redis() {
    run_all(Program::redis(), |script| script.on_redis);
}

#[test]
fn a_wrong_expectation_fails() {
    let server = Server::start(Program::redis()).expect("the server starts");
    let run = |text: &str| Script::parse(text).expect("a script").run(server.port());
    assert_eq!(run("> SET k v\n+OK\n> GET k\n\"v\"\n"), Ok(()));
    assert!(run("> SET k v\n+OK\n> GET k\n\"w\"\n").is_err_and(|e| e.starts_with("line 4")));
}

#[test]
fn what_is_written_down_holds_on_moon() {
    run_all(Program::moon(), |s| !s.needs.iter().any(|n| LACKING.contains(&n.as_str())));
}
