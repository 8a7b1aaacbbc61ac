//! The files a check looks at: every text file of the repository, read once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names that hold nothing written by hand.
const SKIPPED: [&str; 5] = ["target", ".git", "node_modules", "__pycache__", "venv"];

/// One text file.
pub(crate) struct SourceFile {
    /// Path from the repository root, with `/`.
    pub(crate) path: String,
    /// Content.
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether the file is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file holds tests only, beside the code or in a folder of their own.
    pub(crate) fn is_test(&self) -> bool {
        let folder = ["tests/", "benches/", "crash-matrix/", "fuzz/"];
        let beside = ["/tests/", "/benches/"];
        self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || folder.iter().any(|f| self.under(f))
            || beside.iter().any(|f| self.path.contains(f))
    }

    /// Whether the file lies under `folder` (given with its trailing `/`).
    pub(crate) fn under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }
}

/// All text files under a root.
pub(crate) struct Tree {
    /// Where the tree lies.
    pub(crate) root: PathBuf,
    /// Its files, sorted by path.
    pub(crate) files: Vec<SourceFile>,
}

impl Tree {
    /// Reads every text file under `root`; files that are not UTF-8 are no text and are left out.
    pub(crate) fn load(root: &Path) -> io::Result<Tree> {
        let mut files = Vec::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                let kind = entry.file_type()?;
                let name = entry.file_name();
                if SKIPPED.iter().any(|s| name == *s) {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file()
                    && let Ok(text) = String::from_utf8(fs::read(&path)?)
                {
                    let relative = path.strip_prefix(root).unwrap_or(&path);
                    let path = relative.to_string_lossy().replace('\\', "/");
                    files.push(SourceFile { path, text });
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { root: root.to_path_buf(), files })
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|f| f.is_rust())
    }
}
