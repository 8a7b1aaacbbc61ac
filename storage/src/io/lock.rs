//! `moon.lock`: one process per data directory.
//!
//! The lock is `flock(2)` on an open file, held for the life of the process and released by the
//! kernel whatever ends it. The content is the owner's pid and only a hint for messages. This
//! is a lock, not data: it does not go through [`super::Disk`], where no driver could hold it.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use moon_formats::names::LOCK;

/// Bytes of the hint that are read back.
const HINT_MAX: u64 = 32;

/// The held lock of a data directory; dropping it releases the directory.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    path: PathBuf,
}

/// Why a directory cannot be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it.
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the file says about the holder; may be stale or empty.
        pid_hint: String,
    },
    /// The lock file cannot be opened or locked.
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { path, pid_hint } if pid_hint.is_empty() => {
                write!(f, "{} is held by another process", path.display())
            }
            LockError::Held { path, pid_hint } => {
                write!(f, "{} is held by another process (pid {pid_hint})", path.display())
            }
            LockError::Io { path, cause } => write!(f, "cannot lock {}: {cause}", path.display()),
        }
    }
}

impl std::error::Error for LockError {}

/// Somebody has the lock.
fn held(file: &mut File, path: PathBuf) -> LockError {
    let mut hint = Vec::new();
    if let Err(cause) = Read::by_ref(file).take(HINT_MAX).read_to_end(&mut hint) {
        return LockError::Io { path, cause };
    }
    let digits = hint.iter().take_while(|b| b.is_ascii_digit());
    LockError::Held { path, pid_hint: digits.map(|b| char::from(*b)).collect() }
}

impl DirLock {
    /// Locks `dir`, which must exist.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn acquire(dir: &Path) -> Result<DirLock, LockError> {
        let path = dir.join(LOCK);
        let io = |cause| LockError::Io { path: path.clone(), cause };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&mut file, path)),
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(DirLock { file, path })
    }

    /// Shares the lock of `dir` with others who only read: nobody writes there as long as it is held.
    /// Nothing is written. `None` where there is no lock file, so that no server has run there yet.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn share(dir: &Path) -> Result<Option<DirLock>, LockError> {
        let path = dir.join(LOCK);
        let io = |cause| LockError::Io { path: path.clone(), cause };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(DirLock { file, path })),
            Err(TryLockError::WouldBlock) => Err(held(&mut file, path)),
            Err(TryLockError::Error(cause)) => Err(io(cause)),
        }
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing the file would do; a failure here changes nothing.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_it_and_keep_writers_away() {
        let dir = std::env::temp_dir().join(format!("moon-shared-lock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        assert!(DirLock::share(&dir).expect("no server has run").is_none());
        assert_eq!(std::fs::read_dir(&dir).expect("listed").count(), 0, "nothing was written");
        let writer = DirLock::acquire(&dir).expect("free");
        let e = DirLock::share(&dir).expect_err("held").to_string();
        assert!(e.contains(&format!("pid {}", std::process::id())), "{e}");
        drop(writer);
        let readers = [(); 2].map(|()| DirLock::share(&dir).expect("free").expect("a file"));
        assert!(matches!(DirLock::acquire(&dir), Err(LockError::Held { .. })));
        drop(readers);
        drop(DirLock::acquire(&dir).expect("free again"));
        std::fs::remove_dir_all(&dir).expect("removable");
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who() {
        let dir = std::env::temp_dir().join(format!("moon-lock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let lock = DirLock::acquire(&dir).expect("free");
        let e = DirLock::acquire(&dir).expect_err("held").to_string();
        assert!(e.contains(&format!("pid {}", std::process::id())), "{e}");
        drop(lock);
        let again = DirLock::acquire(&dir).expect("free again");
        assert!(again.path().ends_with(LOCK));
        drop(again);
        std::fs::remove_dir_all(&dir).expect("removable");
        assert!(matches!(DirLock::acquire(&dir), Err(LockError::Io { .. })));
    }
}
