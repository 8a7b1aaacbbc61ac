//! Why a shard does not start, and what the operator does about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use moon_formats::DecodeError;

use crate::log::LogError;
use crate::manifest::TableError;
use crate::scan::{Hole, ScanError, VisitError};
use crate::whole::FileError;

use super::salvage::SalvageError;
use super::target::TargetError;

/// The error of a device that cannot read a sector.
const EIO: i32 = 5;
/// The environment is wrong: a permission, a full disk.
const ENVIRONMENT: u8 = 1;
/// The operator decides; nothing is damaged.
const DECISION: u8 = 2;
/// Data has to be restored.
const DAMAGE: u8 = 70;

/// What is wrong with a snapshot file.
#[derive(Debug)]
pub enum BaseError {
    /// It cannot be read.
    Io(io::Error),
    /// Its bytes are damaged or of a newer Moon.
    Bad(DecodeError),
    /// It is sound, but not the file that the part list names.
    Other {
        /// Which property differs.
        what: &'static str,
        /// What the list says.
        listed: u64,
        /// What the file says.
        found: u64,
    },
    /// It refers to files that this version cannot check.
    Files(u64),
    /// An item was not accepted.
    Target(VisitError),
}

impl BaseError {
    fn exit_code(&self) -> u8 {
        match self {
            BaseError::Io(e) => of_io(e),
            BaseError::Bad(e) if e.is_newer() => DECISION,
            BaseError::Files(_) => DECISION,
            BaseError::Bad(_) | BaseError::Other { .. } | BaseError::Target(_) => DAMAGE,
        }
    }

    /// Whether an older base may be tried: this one is damaged or gone.
    pub(super) fn is_damage(&self) -> bool {
        self.exit_code() == DAMAGE
    }
}

impl fmt::Display for BaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BaseError::Io(e) => e.fmt(f),
            BaseError::Bad(e) => e.fmt(f),
            BaseError::Other { what, listed, found } => {
                write!(f, "{what} is {found}, the part list says {listed}")
            }
            BaseError::Files(n) => write!(f, "refers to {n} files of a newer Moon"),
            BaseError::Target(e) => write!(f, "does not load: {e}"),
        }
    }
}

impl std::error::Error for BaseError {}

/// Why a shard cannot be recovered.
#[derive(Debug)]
pub enum RecoveryError {
    /// Damage at or below the durable LSN: the operator decides (exit 70).
    Hole(Hole),
    /// The log cannot be read, is of a newer Moon, or a record failed to apply.
    Scan(ScanError),
    /// The visitor stopped before the end; the log can be looked at but not continued.
    Stopped {
        /// First LSN not visited.
        next_lsn: u64,
    },
    /// A directory cannot be listed or synced.
    Io(PathBuf, io::Error),
    /// The part list or the guard cannot be read or written, or is damaged.
    Parts(FileError),
    /// There is data, but no part list that says which of it counts.
    PartsMissing {
        /// The list that must exist.
        path: PathBuf,
        /// What was found instead.
        found: &'static str,
    },
    /// There is a save of a server without a log, and this one is to have a log.
    SavedWithoutLog(PathBuf),
    /// There is a log, and this server is to do without.
    Logged(PathBuf),
    /// The guard was written for another number of shards.
    ShardCount {
        /// The guard.
        path: PathBuf,
        /// Its number.
        found: u16,
        /// The configured one.
        configured: u16,
    },
    /// No listed base can be loaded, or the last `.rrdshard` cannot.
    Base(PathBuf, BaseError),
    /// The log cannot be opened behind what was recovered.
    Log(LogError),
    /// The file table cannot be read or written, or is of a newer Moon.
    Table(TableError),
    /// The point in time cannot be had.
    Target(TargetError),
    /// The salvage plan cannot be made or carried out.
    Salvage(SalvageError),
}

fn of_io(e: &io::Error) -> u8 {
    match e.kind() {
        // Sectors that cannot be read and files that are gone are damage; a missing permission is not.
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            DAMAGE
        }
        _ if e.raw_os_error() == Some(EIO) => DAMAGE,
        _ => ENVIRONMENT,
    }
}

impl RecoveryError {
    /// The exit code that tells the supervisor what to do (durability.md §10).
    pub fn exit_code(&self) -> u8 {
        match self {
            RecoveryError::Hole(_) | RecoveryError::PartsMissing { .. } => DAMAGE,
            RecoveryError::Scan(ScanError::Io { cause, .. }) => match cause.raw_os_error() {
                Some(EIO) => DAMAGE,
                _ => ENVIRONMENT,
            },
            // It applied once.
            RecoveryError::Scan(ScanError::Visitor(_)) => DAMAGE,
            RecoveryError::Scan(ScanError::Newer { .. } | ScanError::Reference { .. }) => DECISION,
            RecoveryError::Stopped { .. }
            | RecoveryError::ShardCount { .. }
            | RecoveryError::SavedWithoutLog(_)
            | RecoveryError::Logged(_) => DECISION,
            RecoveryError::Io(_, e) => match e.raw_os_error() {
                Some(EIO) => DAMAGE,
                _ => ENVIRONMENT,
            },
            RecoveryError::Parts(FileError::Io { cause, .. }) => of_io(cause),
            RecoveryError::Parts(FileError::Bad { cause, .. }) => match cause.is_newer() {
                true => DECISION,
                false => DAMAGE,
            },
            RecoveryError::Base(_, e) => e.exit_code(),
            RecoveryError::Log(_) => ENVIRONMENT,
            RecoveryError::Table(TableError::Io(_, e)) => of_io(e),
            RecoveryError::Table(TableError::Newer(..)) => DECISION,
            RecoveryError::Target(_) => DECISION,
            RecoveryError::Salvage(SalvageError::Nothing(_)) => DAMAGE,
            RecoveryError::Salvage(SalvageError::Io(..)) => ENVIRONMENT,
            RecoveryError::Salvage(_) => DECISION,
        }
    }
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let damaged = self.exit_code() == DAMAGE;
        match self {
            RecoveryError::Hole(hole) => hole.fmt(f),
            RecoveryError::Scan(e) => e.fmt(f),
            RecoveryError::Stopped { next_lsn } => {
                write!(f, "log replay stopped at lsn {next_lsn}")
            }
            RecoveryError::Io(path, e) => write!(f, "{}: {e}", path.display()),
            RecoveryError::Parts(e) if damaged => {
                let dir = e.path().parent().unwrap_or(e.path()).display();
                write!(f, "part list damaged: {e}; run: moon-inspect aof rebuild {dir}")
            }
            RecoveryError::Parts(e) => e.fmt(f),
            RecoveryError::PartsMissing { path, found } => write!(
                f,
                "part list missing: {} does not exist, but there is {found}; run: moon-inspect \
                 aof rebuild {}",
                path.display(),
                path.parent().unwrap_or(path).display()
            ),
            RecoveryError::SavedWithoutLog(path) => write!(
                f,
                "{} is the data of a server with appendonly no, and there is no log beside it; start with \
                 --appendonly no and then set appendonly yes by CONFIG SET, or start on another --dir",
                path.display()
            ),
            RecoveryError::Logged(path) => write!(
                f,
                "{} exists: the data are in a log, which a server with appendonly no would leave behind; \
                 start with --appendonly yes and then set appendonly no by CONFIG SET, or start on another --dir",
                path.display()
            ),
            RecoveryError::ShardCount { path, found, configured } => write!(
                f,
                "{}: written for {found} shards, configured are {configured}; start with --shards \
                 {found} or run: moon-migrate",
                path.display()
            ),
            RecoveryError::Base(path, e) => {
                write!(f, "snapshot {}: {e}", path.display())?;
                match damaged {
                    true => write!(f, "; run: moon-inspect rdb verify {}", path.display()),
                    false => Ok(()),
                }
            }
            RecoveryError::Log(e) => e.fmt(f),
            RecoveryError::Table(e) => e.fmt(f),
            RecoveryError::Target(e) => e.fmt(f),
            RecoveryError::Salvage(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for RecoveryError {}
