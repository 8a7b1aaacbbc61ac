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
    if !works(&program)
        && let Some(reason) = install(&tools)?
    {
        println!("deny skipped: {reason}");
        return Ok(format!("SKIPPED: {reason}"));
    }
    let status = Command::new(program)
        .args(["--offline", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .current_dir(root)
        .status()
        .map_err(|e| format!("cannot run cargo-deny: {e}"))?;
    if status.success() { Ok(String::new()) } else { Err(format!("cargo-deny: {status}")) }
}

/// Installs cargo-deny under `tools`; a reason comes back when there is no network.
fn install(tools: &Path) -> Result<Option<String>, String> {
    println!("installing cargo-deny {VERSION} (once; a few minutes)");
    let output = Command::new(cargo())
        .args(["install", "--locked", "--quiet", "--version", VERSION, "cargo-deny", "--root"])
        .arg(tools)
        .output()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    match OFFLINE.iter().find(|m| text.contains(**m)) {
        Some(message) => {
            Ok(Some(format!("cargo-deny is missing and cannot be fetched ({message})")))
        }
        None => Err(format!("cannot install cargo-deny:\n{text}")),
    }
}
