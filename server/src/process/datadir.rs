//! The data directory: which one it is, that it is ours, and that nobody else uses it.
//!
//! Invariants: nothing is created beside data that could not be understood, and a refusal
//! leaves the directory as it was.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::marker::Marker;
use moon_formats::migration::State;
use moon_formats::names::MARKER;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::lock::{DirLock, LockError};
use moon_storage::io::posix::PosixDisk;
use moon_storage::whole::FileError;
use moon_storage::{marker, migration};

use crate::config::{Config, OptionId};
use crate::net::sys;
use crate::runtime::host;
use crate::service::shared::{random, unix_secs};

/// Why a directory is not used.
#[derive(Debug)]
pub(crate) enum DirError {
    /// Wrong environment: exit 1.
    Io(PathBuf, io::Error),
    /// Another process holds the lock: exit 1.
    Locked(LockError),
    /// The marker cannot be read: exit 2.
    Marker(FileError),
    /// The data is not ours; the operator decides: exit 2.
    Foreign(PathBuf, String),
    /// A migration into it has to be ended first: exit 2.
    Migrating(PathBuf, State),
    /// The journal of a migration into it is damaged: exit 2. It cannot be read: exit 1.
    Migration(FileError),
}

impl DirError {
    /// The exit code that tells the supervisor what to do (operations §5).
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Migration(FileError::Io { .. }) => super::EXIT_ENVIRONMENT,
            Self::Foreign(..) | Self::Marker(_) | Self::Migrating(..) | Self::Migration(_) => {
                super::EXIT_DECISION
            }
            Self::Io(..) | Self::Locked(_) => super::EXIT_ENVIRONMENT,
        }
    }
}

impl std::fmt::Display for DirError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(dir, e) => write!(f, "data directory {}: {e}", dir.display()),
            Self::Locked(e) => write!(f, "data directory in use: {e}"),
            Self::Marker(e) => write!(f, "data directory: {e}"),
            Self::Foreign(dir, why) => write!(f, "data directory {}: {why}", dir.display()),
            Self::Migrating(dir, state) => {
                let dir = dir.display();
                write!(
                    f,
                    "data directory {dir}: a migration was interrupted between two renames; "
                )?;
                match state {
                    State::Back => write!(
                        f,
                        "run moon-migrate rollback --to {dir} for the old data, or moon-migrate resume \
                         --to {dir} for the new"
                    ),
                    _ => write!(f, "run moon-migrate resume --to {dir}"),
                }
            }
            Self::Migration(e) => write!(f, "data directory, journal of a migration: {e}"),
        }
    }
}

/// A data directory that this process holds.
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    /// Things worth a warning.
    pub(crate) warnings: Vec<String>,
    /// Held for the life of the process; shared where the directory is only read, and none where
    /// no server has written there.
    _lock: Option<DirLock>,
}

/// Finds the directory the options mean, by its canonical path. The second value is a remark for the log.
pub(crate) fn choose(config: &Config) -> (PathBuf, Option<String>) {
    let (path, note) = chosen(config);
    // A path that leads nowhere is refused by whoever opens it.
    (moon_storage::io::canonical(&path).unwrap_or(path), note)
}

fn chosen(config: &Config) -> (PathBuf, Option<String>) {
    let given = config.text(OptionId::Dir);
    if !given.is_empty() {
        return (given.into(), None);
    }
    let here = PathBuf::from(".");
    let own = ["appendonlydir", "shard-0", MARKER, "replication.state", "dump.rdb"];
    if own.iter().any(|name| here.join(name).exists()) {
        let note = "the current directory holds data and is used; name it with --dir";
        return (here, Some(note.into()));
    }
    let env = |name| std::env::var_os(name).filter(|v: &std::ffi::OsString| !v.is_empty());
    if let Some(base) = env("XDG_DATA_HOME") {
        return (PathBuf::from(base).join("moon"), None);
    }
    match env("HOME") {
        Some(home) => (PathBuf::from(home).join(".local/share/moon"), None),
        None => (here, Some("HOME is not set: the current directory is used".into())),
    }
}

/// Looks at a directory without changing it: is it ours or new, and does its name stand for it?
pub(crate) fn inspect(path: &Path) -> Result<(), DirError> {
    let rt = LocalRuntime::new().map_err(|e| DirError::Io(path.into(), e))?;
    let unfinished = rt.block_on(migration::unfinished(&PosixDisk::new(), path));
    if let Some(state) = unfinished.map_err(DirError::Migration)? {
        return Err(DirError::Migrating(path.into(), state));
    }
    if !path.exists() {
        return Ok(());
    }
    let meta = fs::metadata(path).map_err(|e| DirError::Io(path.into(), e))?;
    if !meta.is_dir() {
        return Err(DirError::Io(path.into(), io::Error::other("not a directory")));
    }
    if meta.uid() != sys::euid() {
        let e =
            io::Error::other(format!("owned by user {}, not by user {}", meta.uid(), sys::euid()));
        return Err(DirError::Io(path.into(), e));
    }
    if path.join(MARKER).exists() {
        return Ok(());
    }
    let has = |name: &str| path.join(name).exists();
    let foreign = if has("dump.rdb") || has("appendonlydir") || has("appendonly.aof") {
        Some("redis")
    } else if has("shard-0") || has("replication.state") {
        Some("moon")
    } else {
        None
    };
    match foreign {
        Some(kind) => Err(DirError::Foreign(
            path.into(),
            format!(
                "holds data without {MARKER}; it is not touched. Convert it: \
                 moon-migrate run --from {kind}:{} --to <new directory>",
                path.display()
            ),
        )),
        None => Ok(()),
    }
}

/// Creates the directory if need be (mode 0700) and takes its lock.
pub(crate) fn open(path: &Path) -> Result<DataDir, DirError> {
    let io = |e| DirError::Io(path.to_path_buf(), e);
    inspect(path)?;
    if !path.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    }
    let path = fs::canonicalize(path).map_err(io)?;
    let io = |e| DirError::Io(path.clone(), e);
    let lock = DirLock::acquire(&path).map_err(DirError::Locked)?;
    let mut warnings = Vec::new();
    let mode = fs::metadata(&path).map_err(io)?.mode() & 0o777;
    if mode & 0o027 != 0 {
        warnings.push(format!("mode {mode:04o} lets other users in; 0750 is enough"));
    }
    Ok(DataDir { path, warnings, _lock: Some(lock) })
}

/// Takes a directory that has data to read it and nothing else: nothing is created or written.
pub(crate) fn look(path: &Path) -> Result<DataDir, DirError> {
    inspect(path)?;
    let path = fs::canonicalize(path).map_err(|e| DirError::Io(path.to_path_buf(), e))?;
    let _lock = DirLock::share(&path).map_err(DirError::Locked)?;
    Ok(DataDir { path, warnings: Vec::new(), _lock })
}

/// The marker of a directory that has data, without changing anything.
pub(crate) fn known(dir: &DataDir, databases: u16) -> Result<Marker, DirError> {
    match find_marker(&dir.path)? {
        Some(found) => fits(&dir.path, &found, databases).map(|()| found),
        None => {
            let why = "holds no data to recover".to_string();
            Err(DirError::Foreign(dir.path.clone(), why))
        }
    }
}

fn find_marker(path: &Path) -> Result<Option<Marker>, DirError> {
    let rt = LocalRuntime::new().map_err(|e| DirError::Io(path.into(), e))?;
    rt.block_on(marker::read(&PosixDisk::new(), path)).map_err(DirError::Marker)
}

/// Reads the marker, if there is one, without changing anything: does its layout fit?
pub(crate) fn check_marker(path: &Path, databases: u16) -> Result<(), DirError> {
    find_marker(path)?.map_or(Ok(()), |found| fits(path, &found, databases))
}

/// Whether the layout of the data is the one that is asked for.
fn fits(path: &Path, found: &Marker, databases: u16) -> Result<(), DirError> {
    let foreign = |why: String| Err(DirError::Foreign(path.into(), why));
    if found.shards != 1 {
        return foreign(format!(
            "shard count changed (data={}, config=1); run: moon-migrate run --from moon:{} \
             --to <dir> --shards 1",
            found.shards,
            path.display()
        ));
    }
    if found.databases != databases {
        return foreign(format!(
            "was made with databases {0}, not {databases}; start with --databases {0}",
            found.databases
        ));
    }
    Ok(())
}

/// Reads the marker, or writes the first one. The layout it names must be ours.
pub(crate) fn marker(dir: &DataDir, databases: u16) -> Result<Marker, DirError> {
    let io = |e| DirError::Io(dir.path.clone(), e);
    let rt = LocalRuntime::new().map_err(io)?;
    let disk =
        host::logged(Rc::new(PosixDisk::new())).map_err(|e| DirError::Io(dir.path.clone(), e))?;
    if let Some(found) = rt.block_on(marker::read(&*disk, &dir.path)).map_err(DirError::Marker)? {
        fits(&dir.path, &found, databases)?;
        rt.block_on(marker::settle(&*disk, &dir.path)).map_err(DirError::Marker)?;
        return Ok(found);
    }
    let mut uuid = [0; 16];
    random(&mut uuid).map_err(io)?;
    let created_ms = unix_secs() * 1000;
    let first = Marker { uuid, shards: 1, databases, created_ms, extra: Vec::new() };
    rt.block_on(marker::write(&*disk, &dir.path, &first)).map_err(DirError::Marker)?;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn fresh(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("moon-dir-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn created_private_and_locked_once() {
        let path = fresh("lock");
        let dir = open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(dir.warnings.is_empty());
        let second = open(&path).unwrap_err();
        assert!(matches!(second, DirError::Locked(_)), "{second}");
        drop(dir);
        open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(open(&path).unwrap().warnings.len(), 1);
    }

    #[test]
    fn foreign_data_is_left_alone() {
        for name in ["dump.rdb", "appendonly.aof", "replication.state"] {
            let path = fresh(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(name), "data").unwrap();
            let error = open(&path).unwrap_err();
            assert!(matches!(error, DirError::Foreign(..)), "{error}");
            assert!(error.to_string().contains("moon-migrate run --from"));
            assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing was added");
        }
        let path = fresh("ours");
        fs::create_dir_all(path.join("appendonlydir")).unwrap();
        fs::write(path.join(MARKER), "").unwrap();
        open(&path).unwrap();
    }

    #[test]
    fn the_marker_is_written_once_and_holds() {
        let path = fresh("marker");
        let dir = open(&path).unwrap();
        let first = marker(&dir, 16).unwrap();
        assert_eq!(marker(&dir, 16).unwrap(), first);
        let error = marker(&dir, 4).unwrap_err().to_string();
        assert!(error.contains("--databases 16"), "{error}");
        fs::write(path.join(MARKER), "moon-storage 2\n").unwrap();
        assert!(matches!(marker(&dir, 16), Err(DirError::Marker(_))));
    }

    #[test]
    fn a_directory_between_two_renames_is_not_made_anew() {
        let path = fresh("migrating");
        let (new, journal) = (migration::new_tree(&path), migration::journal(&path));
        let _ = fs::remove_dir_all(&new);
        let said = |state| moon_formats::migration::Journal {
            state,
            from: "redis-rdb:/dump.rdb".into(),
            source: None,
            databases: None,
            accepted: Vec::new(),
            backup: Some("old".into()),
        };
        fs::create_dir_all(&new).unwrap();
        fs::write(&journal, said(State::Swapping).encode()).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, DirError::Migrating(_, State::Swapping)), "{error}");
        assert_eq!(error.exit_code(), super::super::EXIT_DECISION);
        let hint = format!("run moon-migrate resume --to {}", path.display());
        assert!(error.to_string().contains(&hint), "{error}");
        assert!(!path.exists(), "nothing was made");
        // Names that do not change any more.
        fs::write(&journal, said(State::Verified).encode()).unwrap();
        open(&path).unwrap();
        fs::write(&journal, "moon-migrate 1\n").unwrap();
        assert!(matches!(open(&path), Err(DirError::Migration(_))));
        for file in [&journal, &path.join("moon.lock")] {
            fs::remove_file(file).unwrap();
        }
        fs::remove_dir(&new).unwrap();
        fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn a_journal_is_found_by_way_of_a_link() {
        let around = fresh("links");
        fs::create_dir_all(around.join("disk")).unwrap();
        let around = fs::canonicalize(around).unwrap();
        let real = around.join("disk/moon");
        std::os::unix::fs::symlink(&real, around.join("link")).unwrap();
        fs::create_dir(migration::new_tree(&real)).unwrap();
        // The name that the link leads to stands for nothing at this moment.
        let said = moon_formats::migration::Journal {
            state: State::Swapping,
            ..moon_formats::testing::sample_migration()
        };
        fs::write(migration::journal(&real), said.encode()).unwrap();
        for way in ["link", "link/", "disk/moon/", "disk/../disk/./moon"] {
            let words = ["--dir".to_owned(), around.join(way).to_string_lossy().into_owned()];
            let (_, config) = crate::config::parse_args(&words).unwrap();
            let (path, _) = choose(&config);
            assert_eq!(path, real, "{way}");
            assert!(matches!(open(&path), Err(DirError::Migrating(..))), "{way}");
        }
        assert!(!real.exists(), "nothing was made");
        fs::remove_dir_all(around).unwrap();
    }

    #[test]
    fn a_file_is_no_directory() {
        let path = fresh("file");
        fs::write(&path, "x").unwrap();
        assert!(matches!(open(&path), Err(DirError::Io(..))));
    }
}
