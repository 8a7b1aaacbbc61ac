//! How a run ends: exit codes and what is said on the way out.

use std::fmt;
use std::path::Path;

use moon_formats::DecodeError;
use moon_storage::whole::FileError;

/// Exit code of a path that cannot be read or written.
const ENVIRONMENT: u8 = 1;
/// Exit code of what is refused before anything is written.
const REFUSED: u8 = 2;
/// Exit code of a target that differs from its source.
const DIFFERS: u8 = 3;
/// Exit code of losses that nobody has accepted.
const LOSSES: u8 = 4;
/// Exit code of a damaged source.
const DAMAGE: u8 = 70;

/// A run that cannot go on.
#[derive(Debug)]
pub struct Failure {
    /// Exit code; the help of the command line lists them.
    pub code: u8,
    /// What happened and what to do about it.
    pub message: String,
}

impl Failure {
    /// The program could not begin.
    pub fn start(cause: &dyn fmt::Display) -> Failure {
        Failure::environment(format!("cannot start: {cause}"))
    }

    pub(crate) fn io(doing: &str, path: &Path, cause: impl fmt::Display) -> Failure {
        Failure {
            code: ENVIRONMENT,
            message: format!("cannot {doing} {}: {cause}", path.display()),
        }
    }

    pub(crate) fn environment(message: impl Into<String>) -> Failure {
        Failure { code: ENVIRONMENT, message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Failure {
        Failure { code: REFUSED, message: message.into() }
    }

    pub(crate) fn differs(message: impl Into<String>) -> Failure {
        Failure { code: DIFFERS, message: message.into() }
    }

    pub(crate) fn losses(message: impl Into<String>) -> Failure {
        Failure { code: LOSSES, message: message.into() }
    }

    /// What the storage layer said of a journal or of a tree beside a data directory.
    pub(crate) fn migration(e: &FileError) -> Failure {
        match e {
            FileError::Io { .. } => Failure::environment(e.to_string()),
            FileError::Bad { path, cause } => Failure::decode(path, cause),
        }
    }

    pub(crate) fn damage(path: &Path, cause: impl fmt::Display) -> Failure {
        Failure { code: DAMAGE, message: format!("{}: {cause}", path.display()) }
    }

    /// What a decoder said. What is newer than this program or belongs to a module is refused, the rest is damage.
    pub(crate) fn decode(path: &Path, e: &DecodeError) -> Failure {
        if e.is_of_module() {
            return Failure::refused(format!(
                "{}: {e}; nothing is damaged: delete the keys of that type in the server, or start it without the module, \
                 and save again",
                path.display()
            ));
        }
        match e.is_newer() {
            true => Failure::refused(format!(
                "{}: {e}; nothing is damaged: a later moon-migrate may read it",
                path.display()
            )),
            false => Failure::damage(path, e),
        }
    }
}
