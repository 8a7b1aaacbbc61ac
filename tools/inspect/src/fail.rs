//! How a run ends: exit codes and what is said on the way out.

use std::fmt;
use std::path::Path;

use moon_formats::DecodeError;
use moon_storage::scan::ScanError;

/// Exit code when nothing is wrong.
pub(crate) const SOUND: u8 = 0;
/// Exit code of a crash tail and of everything that is not about Moon's files being damaged.
pub(crate) const ENVIRONMENT: u8 = 1;
/// Exit code of a request that makes no sense; the parser of the command line uses it too.
pub(crate) const USAGE: u8 = 2;
/// Exit code of damage.
pub(crate) const DAMAGE: u8 = 70;

/// A run that cannot go on.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    /// What several runs came to whose worst code was `code`: that, or all that failed as one.
    pub(crate) fn joined(code: u8, failures: Vec<Failure>) -> Result<u8, Failure> {
        let Some(worst) = failures.iter().map(|f| f.code).max() else { return Ok(code) };
        let messages: Vec<String> = failures.into_iter().map(|f| f.message).collect();
        Err(Failure { code: worse(code, worst), message: messages.join("\nmoon-inspect: ") })
    }

    pub(crate) fn environment(message: impl Into<String>) -> Failure {
        Failure { code: ENVIRONMENT, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { code: USAGE, message: message.into() }
    }

    /// What a decoder said of a file.
    pub(crate) fn decode(path: &Path, e: &DecodeError, advice: &str) -> Failure {
        let path = path.display();
        match e.is_newer() {
            true => Failure::environment(format!(
                "{path}: {e}; nothing is damaged: use the moon-inspect of that version"
            )),
            false => Failure::damage(format!("{path}: {e}; {advice}")),
        }
    }

    pub(crate) fn damage(message: impl Into<String>) -> Failure {
        Failure { code: DAMAGE, message: message.into() }
    }

    pub(crate) fn io(path: &Path, cause: impl fmt::Display) -> Failure {
        Failure::environment(format!("cannot read {}: {cause}", path.display()))
    }

    pub(crate) fn not_ours(path: &Path, why: &str) -> Failure {
        Failure::environment(format!("{}: not a file of Moon: {why}", path.display()))
    }

    pub(crate) fn reference(path: &Path) -> Failure {
        Failure::environment(format!(
            "{}: written by a reference server; its header can be shown (moon-inspect wal header), \
             its records only be read by moon-migrate",
            path.display()
        ))
    }
}

impl From<ScanError> for Failure {
    fn from(e: ScanError) -> Failure {
        match e {
            ScanError::Reference { path } => Failure::reference(&path),
            ScanError::Newer { .. } => Failure::environment(format!(
                "{e}; nothing is damaged: use the moon-inspect of that version"
            )),
            ScanError::Io { .. } | ScanError::Visitor(_) => Failure::environment(e.to_string()),
        }
    }
}

/// The worse of two exit codes.
pub(crate) fn worse(a: u8, b: u8) -> u8 {
    a.max(b)
}
