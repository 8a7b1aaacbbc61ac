//! Dependency policy: `deny.toml` through cargo-deny.
//!
//! cargo-deny is used from the path, else installed once into `target/tools`. The policy is skipped
//! only when the tool is missing and no registry can be reached, and says so.

use crate::steps::cargo;
use std::path::Path;
use std::process::Command;

/// The version that `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// Messages of cargo that mean "no network", as opposed to a broken installation.
const OFFLINE: [&str; 5] = [
    "Could not resolve host",
    "Couldn't resolve host",
    "failed to download",
    "Couldn't connect to server",
    "Timeout was reached",
];

/// Runs the policy; the result is a remark for the summary.
pub(crate) fn run(root: &Path) -> Result<String, String> {
    let tools = root.join("target/tools");
    let local = tools.join("bin/cargo-deny");
    let works = |program: &Path| {
        Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    let program = if works(Path::new("cargo-deny")) { "cargo-deny".into() } else { local };
    if !works(&program) {
        // Unoptimised it is there in half the time, and the check itself is short.
        println!("installing cargo-deny {VERSION} (once; a few minutes)");
        let mut install = Command::new(cargo());
        install.args([
            "install",
            "--locked",
            "--debug",
            "--quiet",
            "--version",
            VERSION,
            "cargo-deny",
            "--root",
        ]);
        if let Some(reason) = online(install.arg(&tools))? {
            return Ok(skipped(&reason));
        }
    }
    // The policy reads the manifests of all platforms' dependencies, more than a build fetches.
    let mut fetch = Command::new(cargo());
    if let Some(reason) = online(fetch.args(["fetch", "--locked", "--quiet"]).current_dir(root))? {
        return Ok(skipped(&reason));
    }
    let status = Command::new(program)
        .args(["--offline", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .current_dir(root)
        .status()
        .map_err(|e| format!("cannot run cargo-deny: {e}"))?;
    if status.success() { Ok(String::new()) } else { Err(format!("cargo-deny: {status}")) }
}

fn skipped(reason: &str) -> String {
    println!("deny skipped: {reason}");
    format!("SKIPPED: {reason}")
}

/// Runs a command that needs a registry; a reason comes back when there is no network.
fn online(command: &mut Command) -> Result<Option<String>, String> {
    let output = command.output().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    match OFFLINE.iter().find(|m| text.contains(**m)) {
        Some(message) => Ok(Some(format!("no registry can be reached ({message})"))),
        None => Err(format!("{command:?} failed:\n{text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_network_is_a_reason_and_anything_else_an_error() {
        let says = |text: &str| {
            online(Command::new("sh").args(["-c", &format!("echo {text} >&2; exit 1")]))
        };
        assert!(says("error: Could not resolve host: x").unwrap().is_some());
        assert!(says("error: it does not compile").is_err());
        assert_eq!(online(&mut Command::new("true")), Ok(None));
    }
}
