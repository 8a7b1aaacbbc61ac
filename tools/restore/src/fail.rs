//! How a run ends: exit codes and what is said on the way out.

use std::fmt;
use std::io;
use std::path::Path;

use moon_formats::DecodeError;
use moon_storage::recovery::RecoveryError;
use moon_storage::scan::ScanError;
use moon_storage::whole::FileError;

/// Exit code when everything is well.
pub const DONE: u8 = 0;
/// Exit code of wrong usage, and of an environment that does not let the run go on.
pub const USAGE: u8 = 1;
/// Exit code of what is refused: nothing is damaged, the operator decides.
const REFUSED: u8 = 2;
/// Exit code of data that are sound and not those that were backed up.
const DIFFERS: u8 = 3;
/// Exit code of damage.
pub const DAMAGE: u8 = 70;

/// A run that cannot go on.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// What is said of it.
    pub message: String,
}

impl Failure {
    /// Of the command line, or of what is around the run.
    pub fn environment(message: impl Into<String>) -> Failure {
        Failure { code: USAGE, message: message.into() }
    }

    /// Of what the operator decides.
    pub fn refused(message: impl Into<String>) -> Failure {
        Failure { code: REFUSED, message: message.into() }
    }

    /// Of data that are not those that were backed up.
    pub(crate) fn differs(message: impl Into<String>) -> Failure {
        Failure { code: DIFFERS, message: message.into() }
    }

    pub(crate) fn damage(path: &Path, cause: impl fmt::Display) -> Failure {
        Failure { code: DAMAGE, message: format!("{}: {cause}", path.display()) }
    }

    /// The same once more.
    #[must_use]
    pub fn again(&self) -> Failure {
        Failure { code: self.code, message: self.message.clone() }
    }

    /// A file or directory that cannot be `doing`, such as "read".
    pub fn io(doing: &str, path: &Path, cause: impl fmt::Display) -> Failure {
        Failure::environment(format!("cannot {doing} {}: {cause}", path.display()))
    }

    /// As [`Failure::io`], of a file of a set: one that is gone or cannot be read is damage.
    pub(crate) fn stored(path: &Path, cause: &io::Error) -> Failure {
        match cause.kind() {
            io::ErrorKind::NotFound => Failure::damage(path, "the file is missing"),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Failure::damage(path, cause)
            }
            _ => Failure::io("read", path, cause),
        }
    }

    /// What a decoder said.
    pub(crate) fn decode(path: &Path, e: &DecodeError) -> Failure {
        match e.is_newer() {
            true => Failure::refused(format!(
                "{}: {e}; nothing is damaged: use the moon-restore of that version",
                path.display()
            )),
            false => Failure::damage(path, e),
        }
    }
}

impl From<RecoveryError> for Failure {
    fn from(e: RecoveryError) -> Failure {
        Failure { code: e.exit_code(), message: e.to_string() }
    }
}

impl From<ScanError> for Failure {
    fn from(e: ScanError) -> Failure {
        RecoveryError::Scan(e).into()
    }
}

impl From<FileError> for Failure {
    fn from(e: FileError) -> Failure {
        match e {
            FileError::Bad { path, cause } => Failure::decode(&path, &cause),
            FileError::Io { path, cause } => Failure::io("read or write", &path, cause),
        }
    }
}
