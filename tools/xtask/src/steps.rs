//! The steps of `check` and `ci`, run one after the other; the first failure stops.
//!
//! Output passes through as it comes; libtest's `test result:` lines are counted on the way, so the
//! closing summary states how many tests really ran.

use crate::{deny, readme, tidy};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What has run so far.
#[derive(Default)]
struct Summary {
    steps: Vec<(String, Duration, String)>,
    passed: usize,
    skipped: usize,
}

impl Summary {
    /// Runs one step and notes its time; the step returns a remark for the summary.
    fn step(
        &mut self,
        name: &str,
        run: impl FnOnce(&mut Summary) -> Result<String, String>,
    ) -> Result<(), String> {
        println!("\n=== {name}");
        let start = Instant::now();
        let remark = run(self).map_err(|e| format!("{name} failed: {e}"))?;
        self.steps.push((name.to_string(), start.elapsed(), remark));
        Ok(())
    }

    /// A step that is one cargo call.
    fn cargo(&mut self, root: &Path, name: &str, args: &[&str]) -> Result<(), String> {
        self.step(name, |s| {
            let before = s.passed;
            s.tee(Command::new(cargo()).args(args).current_dir(root))?;
            let tests = s.passed - before;
            Ok(if tests > 0 { format!("{tests} tests") } else { String::new() })
        })
    }

    /// Runs a command, passing its standard output through and counting test results in it.
    fn tee(&mut self, command: &mut Command) -> Result<(), String> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {command:?}: {e}"))?;
        let output = child.stdout.take().ok_or("no standard output")?;
        for line in BufReader::new(output).lines() {
            let line = line.map_err(|e| e.to_string())?;
            println!("{line}");
            if let Some((passed, skipped)) = test_result(&line) {
                self.passed += passed;
                self.skipped += skipped;
            }
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("{status}")) }
    }

    fn print(&self) {
        println!("\n=== summary");
        for (name, time, remark) in &self.steps {
            println!("{name:<24} {:>7.1} s  {remark}", time.as_secs_f64());
        }
        println!("tests: {} passed, {} ignored, 0 failed", self.passed, self.skipped);
    }
}

/// The cargo that started this tool.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string())
}

/// `check`: needs nothing but the Rust toolchain.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let mut summary = Summary::default();
    check_steps(root, &mut summary)?;
    summary.print();
    Ok(())
}

/// `ci`: `check`, then what needs real Redis tools, Python and the network.
pub(crate) fn ci(root: &Path) -> Result<(), String> {
    let mut summary = Summary::default();
    check_steps(root, &mut summary)?;
    summary.cargo(root, "integration", &["test", "-p", "moon-tests", "--test", "integration"])?;
    let crash = |verb: &'static str| {
        let run = ["run", "--quiet", "-p", "moon-crash", "--features", "mutants", "--", verb];
        run.into_iter().chain(["--runs", "1"]).collect::<Vec<_>>()
    };
    summary.cargo(root, "crash matrix", &crash("quick"))?;
    summary.cargo(root, "crash matrix, bugs", &crash("mutants"))?;
    // The binary that stops itself comes first, so that the usual one is what stays behind.
    let build = ["build", "-p", "moon-server", "--bin", "moon"];
    let stops = [&build[..], &["--features", "failpoints"]].concat();
    summary.cargo(root, "moon with failpoints", &stops)?;
    let mut points = crash("failpoints");
    points.extend(["--moon", "target/debug/moon", "--share", "20"]);
    summary.cargo(root, "crash matrix, steps", &points)?;
    let mut traces = crash("trace");
    traces.extend(["--moon", "target/debug/moon", "--only", "mixed", "--runs", "8"]);
    summary.cargo(root, "crash matrix, traces", &traces)?;
    summary.cargo(root, "moon for kills", &build)?;
    let mut kill = crash("kill");
    kill.extend(["--moon", "target/debug/moon"]);
    summary.cargo(root, "crash matrix, kills", &kill)?;
    summary.step("deny", |_| deny::run(root))?;
    summary.step("readme", |_| {
        readme::run(root, None).map(|()| "commands run as written".to_string())
    })?;
    summary.print();
    Ok(())
}

/// `gen`: the tests that compare generated pages write them instead.
pub(crate) fn generate(root: &Path) -> Result<(), String> {
    let mut command = Command::new(cargo());
    command.args([
        "test",
        "--quiet",
        "-p",
        "moon-server",
        "-p",
        "moon-inspect",
        "-p",
        "moon-migrate",
        "-p",
        "moon-restore",
    ]);
    command.args(["--lib", "--bins", "is_current"]);
    let status = command.env("MOON_WRITE_PAGES", "1").current_dir(root).status();
    match status.map_err(|e| e.to_string())? {
        status if status.success() => Ok(()),
        status => Err(status.to_string()),
    }
}

fn check_steps(root: &Path, summary: &mut Summary) -> Result<(), String> {
    summary.cargo(root, "format", &["fmt", "--all", "--check"])?;
    summary.step("tidy", |_| {
        crate::tidy(root)?;
        let report = tidy::run(root).map_err(|e| e.to_string())?;
        Ok(format!("{} files, {} command rows", report.files, report.rows))
    })?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    summary.cargo(root, "clippy", &clippy)?;
    let tests = ["test", "--workspace", "--exclude", "moon-tests", "--no-fail-fast"];
    summary.cargo(root, "tests", &tests)?;
    summary.cargo(root, "tests of the test tools", &["test", "-p", "moon-tests", "--lib"])
}

/// The counts of a libtest result line: passed and ignored.
fn test_result(line: &str) -> Option<(usize, usize)> {
    let rest = line.strip_prefix("test result: ")?;
    let count = |word: &str| {
        let (before, _) = rest.split_once(&format!(" {word};"))?;
        before.rsplit([' ', '.', ';']).next()?.parse().ok()
    };
    Some((count("passed")?, count("ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(test_result(line), Some((12, 3)));
        assert_eq!(test_result("running 12 tests"), None);
    }

    #[test]
    fn a_failing_command_fails_its_step() {
        let mut summary = Summary::default();
        let step = summary.step("x", |s| s.tee(&mut Command::new("false")).map(|()| String::new()));
        assert!(step.unwrap_err().starts_with("x failed"));
        assert!(summary.steps.is_empty());
    }
}
