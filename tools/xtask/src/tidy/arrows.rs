//! Crate arrows point down: what each package may import, as a table, held against the manifests.

use super::Finding;
use super::manifest;
use super::tree::Tree;

/// Which of our packages a package may import. A package without a row is itself a finding, so a
/// new crate has to state its place here.
const ARROWS: [(&str, &[&str]); 16] = [
    ("moon-formats", &[]),
    ("moon-ds", &[]),
    ("moon-index", &["moon-formats"]),
    ("moon-storage", &["moon-formats"]),
    ("moon-engine", &["moon-formats", "moon-storage", "moon-ds", "moon-index"]),
    ("moon-server", &["moon-engine", "moon-storage", "moon-formats", "moon-manual"]),
    ("moon-inspect", TOOL),
    ("moon-migrate", TOOL),
    ("moon-restore", TOOL),
    ("moon-manual", &[]),
    ("moon-report", &["moon-formats"]),
    ("xtask", &[]),
    ("moon-tests", ALL),
    ("moon-crash", CRASH),
    ("moon-benches", ALL),
    ("moon-fuzz", ALL),
];

const TOOL: &[&str] =
    &["moon-formats", "moon-storage", "moon-engine", "moon-manual", "moon-report"];
const ALL: &[&str] =
    &["moon-formats", "moon-storage", "moon-ds", "moon-index", "moon-engine", "moon-server"];

/// The crash matrix runs backups and migrations too.
const CRASH: &[&str] =
    &["moon-formats", "moon-storage", "moon-engine", "moon-migrate", "moon-restore"];

/// Foreign crates with a place of their own: only these packages may name them.
const FENCED: [(&str, &[&str]); 2] =
    [("glommio", &["moon-storage", "moon-server"]), ("io-uring", &["moon-storage", "moon-server"])];

/// Checks every manifest of the tree.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|f| f.path.ends_with("Cargo.toml")) {
        let manifest = manifest::read(&file.text);
        if manifest.name.is_empty() {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == manifest.name) else {
            let text = format!("package {} has no row in the arrow table", manifest.name);
            out.push(Finding::new("arrows", &file.path, 1, text));
            continue;
        };
        for dependency in &manifest.dependencies {
            let name = dependency.name.as_str();
            let ours = ARROWS.iter().any(|(known, _)| *known == name);
            let fenced = FENCED.iter().find(|(krate, _)| *krate == name);
            if (ours && !allowed.contains(&name))
                || fenced.is_some_and(|(_, users)| !users.contains(&manifest.name.as_str()))
            {
                let text = format!("{} must not import {name}", manifest.name);
                out.push(Finding::new("arrows", &file.path, dependency.line, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::{Plant, findings};

    fn manifest(name: &str, dependency: &str) -> String {
        format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependency}\n")
    }

    #[test]
    fn an_arrow_that_points_up_fails() {
        for (path, name, dependency) in [
            ("formats/Cargo.toml", "moon-formats", "moon-storage.workspace = true"),
            ("engine/ds/Cargo.toml", "moon-ds", "moon-formats = { path = \"../../formats\" }"),
            ("storage/Cargo.toml", "moon-storage", "x = { package = \"moon-engine\" }"),
            ("engine/core/Cargo.toml", "moon-engine", "moon-server = { workspace = true }"),
            ("engine/core/Cargo.toml", "moon-engine", "glommio = { workspace = true }"),
            ("server/Cargo.toml", "moon-server", "moon-ds = { workspace = true }"),
            ("tools/inspect/Cargo.toml", "moon-inspect", "moon-server = { workspace = true }"),
            (
                "server/Cargo.toml",
                "moon-server",
                "\n[dev-dependencies]\nmoon-tests.workspace = true",
            ),
        ] {
            let plant = Plant::new(&[(path, &manifest(name, dependency))]);
            assert_eq!(findings(&plant, "arrows").len(), 1, "{path}: {dependency}");
        }
    }

    #[test]
    fn an_unknown_package_fails_and_arrows_that_point_down_pass() {
        let plant = Plant::new(&[("new/Cargo.toml", &manifest("moon-new", ""))]);
        assert_eq!(findings(&plant, "arrows").len(), 1);
        let plant = Plant::new(&[
            ("server/Cargo.toml", &manifest("moon-server", "moon-engine.workspace = true")),
            ("tests/Cargo.toml", &manifest("moon-tests", "moon-server.workspace = true")),
        ]);
        assert!(findings(&plant, "arrows").is_empty());
    }
}
