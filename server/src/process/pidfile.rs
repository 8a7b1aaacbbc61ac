//! The file that holds the number of the process while it runs (`pidfile`).

use std::fs;
use std::path::{Path, PathBuf};

/// The file, removed when dropped if it is still ours.
#[derive(Debug)]
pub(super) struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes the file; none for an empty path. As in Redis, a failure is worth a warning only.
    pub(super) fn write(path: &str) -> Self {
        if path.is_empty() {
            return Self(None);
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Self(Some(path)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no pidfile");
                Self(None)
            }
        }
    }
}

fn holds_us(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == std::process::id().to_string())
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = self.0.take().filter(|path| holds_us(path)) {
            let _ = fs::remove_file(path);
        }
    }
}
