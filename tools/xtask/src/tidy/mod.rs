//! Rules that neither the compiler nor clippy can state, checked by reading the tree.
//!
//! A rule adds findings; any finding fails the gate. Each rule has a test that plants a violation
//! in a temporary tree and requires the failure.

mod arrows;
mod commands;
mod layers;
mod lexer;
mod manifest;
mod text;
mod tree;
mod unsafety;

use std::fmt;
use std::io;
use std::path::Path;

/// One violation of one rule.
#[derive(Debug)]
pub(crate) struct Finding {
    rule: &'static str,
    path: String,
    line: usize,
    text: String,
}

impl Finding {
    fn new(rule: &'static str, path: &str, line: usize, text: String) -> Finding {
        Finding { rule, path: path.to_string(), line, text }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.path, self.line, self.rule, self.text)
    }
}

/// What the rules found.
pub(crate) struct Report {
    /// Violations; the gate passes when there are none.
    pub(crate) findings: Vec<Finding>,
    /// Files that are getting long, for the reader's attention only.
    pub(crate) long: Vec<String>,
    /// Rows of the command table that were recognised.
    pub(crate) rows: usize,
    /// Files read.
    pub(crate) files: usize,
}

/// Runs all rules over the tree at `root`.
pub(crate) fn run(root: &Path) -> io::Result<Report> {
    let tree = tree::Tree::load(root)?;
    let mut findings = Vec::new();
    arrows::check(&tree, &mut findings);
    unsafety::check(&tree, &mut findings);
    layers::check(&tree, &mut findings);
    commands::check(&tree, &mut findings);
    let long = text::check(&tree, &mut findings);
    Ok(Report { findings, long, rows: commands::rows(&tree), files: tree.files.len() })
}

#[cfg(test)]
pub(crate) mod testing {
    //! A temporary tree with planted files.

    use super::{Finding, run};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A temporary tree, removed when dropped.
    pub(crate) struct Plant {
        root: PathBuf,
    }

    impl Plant {
        /// Writes `files` (path, content) under a fresh folder.
        pub(crate) fn new(files: &[(&str, &str)]) -> Plant {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let root = std::env::temp_dir().join(format!("moon-tidy-{}-{n}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Plant { root }
        }

        /// Where the tree lies.
        pub(crate) fn root(&self) -> &Path {
            &self.root
        }
    }

    impl Drop for Plant {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    /// The findings of one rule.
    pub(crate) fn findings(plant: &Plant, rule: &str) -> Vec<Finding> {
        run(plant.root()).unwrap().findings.into_iter().filter(|f| f.rule == rule).collect()
    }
}
