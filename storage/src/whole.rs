//! Small files that are read at once and replaced as a whole: marker, guard, part list.
//!
//! Invariant: at every moment the name leads to the old content or to the new one, never to a
//! mixture; when [`replace`] returns without an error it leads to the new one for good.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use moon_formats::DecodeError;
use moon_formats::names;

use crate::failpoint::{Point, reach};
use crate::io::{Access, Caching, Disk, File};

/// Longest file that is read, in bytes.
pub(crate) const BYTES_MAX: u64 = 1 << 20;

/// Why a small file cannot be read or written: marker, guard, part list, journal of a migration.
#[derive(Debug)]
pub enum FileError {
    /// A disk operation failed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is damaged or of a newer Moon.
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: DecodeError,
    },
}

impl FileError {
    /// A disk operation on `path` failed.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> FileError + use<> {
        let path = path.to_owned();
        move |cause| FileError::Io { path, cause }
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        match self {
            FileError::Io { path, .. } | FileError::Bad { path, .. } => path,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            FileError::Io { cause, .. } => write!(f, "{path}: {cause}"),
            FileError::Bad { cause, .. } => write!(f, "{path}: {cause}"),
        }
    }
}

impl std::error::Error for FileError {}

/// How [`replace`] is tested.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// No directory sync after the rename, so that the crash matrix can prove that it would notice.
    pub(crate) no_dir_sync: bool,
    /// Whose steps they are, and so which points are passed.
    pub(crate) steps: Steps,
}

/// What [`replace`] is a part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Steps {
    /// Nothing that has points of its own.
    #[default]
    Plain,
    /// The commit of a rewrite.
    Rewrite,
    /// A file table that is written anew.
    Table,
}

/// Where [`replace`] stands.
#[derive(Debug, Clone, Copy)]
enum Step {
    Written,
    Renamed,
    DirSynced,
}

impl How {
    fn reach(self, step: Step) -> io::Result<()> {
        match (self.steps, step) {
            (Steps::Rewrite, Step::Written) => reach(Point::RewriteManifestTmp),
            (Steps::Rewrite, Step::Renamed) => reach(Point::RewriteManifestRenamed),
            (Steps::Rewrite, Step::DirSynced) => reach(Point::RewriteDirSynced),
            (Steps::Table, Step::Renamed) => reach(Point::ManifestCompactRenamed),
            _ => Ok(()),
        }
    }
}

/// Reads a file; `None` if there is none. One longer than [`BYTES_MAX`] is an error of the kind
/// `InvalidData`.
pub(crate) async fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    read_up_to(disk, path, BYTES_MAX).await
}

/// Reads what a file says; `None` if there is none.
///
/// # Errors
/// See [`FileError`].
pub(crate) async fn decoded<T>(
    disk: &dyn Disk,
    path: &Path,
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<Option<T>, FileError> {
    let Some(text) = read(disk, path).await.map_err(FileError::io(path))? else { return Ok(None) };
    let content = decode(&text);
    content.map(Some).map_err(|cause| FileError::Bad { path: path.to_owned(), cause })
}

/// Reads a file of at most `bytes_max` bytes; `None` if there is none.
///
/// # Errors
/// The file cannot be read; one that is longer is an error of the kind `InvalidData`.
pub async fn read_up_to(
    disk: &dyn Disk,
    path: &Path,
    bytes_max: u64,
) -> io::Result<Option<Vec<u8>>> {
    // Past the page cache: only what the device holds is believed.
    let file = match disk.open(path, Access::Read, Caching::Direct).await {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let bytes = file.size();
    if bytes > bytes_max {
        let text = format!("{bytes} bytes are more than such a file can have");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    if bytes == 0 {
        return Ok(Some(Vec::new()));
    }
    let aligned = (bytes as usize).next_multiple_of(disk.alignment());
    file.read_at(0, aligned).await.map(Some)
}

/// The name beside `path` under which its new content is written.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(names::temporary(&name))
}

/// Removes a file that may not be there.
///
/// # Errors
/// It is there and cannot be removed.
pub async fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path).await {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes `content` the content of `dir/name`, for good when this returns. The directory must exist.
///
/// # Errors
/// The name leads to the old content, or, if the directory could not be synced, to either.
pub async fn put(disk: &dyn Disk, dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    replace(disk, dir, name, content, How::default()).await.map_err(|(_, cause)| cause)
}

/// Replaces `dir/name`: write aside, sync, rename, directory sync. The directory must exist.
///
/// # Errors
/// `false` beside the cause says that the rename was never asked for, so the old content is
/// there; `true` that either content may be.
pub(crate) async fn replace(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    content: &[u8],
    how: How,
) -> Result<(), (bool, io::Error)> {
    let (path, aside) = (dir.join(name), dir.join(names::temporary(name)));
    let written = write_aside(disk, &aside, content).await;
    if let Err(e) = written.and_then(|()| how.reach(Step::Written)) {
        // The first error is the one to report; what stays is removed at the next start.
        drop(remove(disk, &aside).await);
        return Err((false, e));
    }
    if let Err(e) = disk.rename(&aside, &path).await {
        drop(remove(disk, &aside).await);
        return Err((true, e));
    }
    how.reach(Step::Renamed).map_err(|e| (true, e))?;
    if how.no_dir_sync {
        return Ok(());
    }
    let synced = disk.sync_dir(dir).await;
    synced.and_then(|()| how.reach(Step::DirSynced)).map_err(|e| (true, e))
}

async fn write_aside(disk: &dyn Disk, aside: &Path, content: &[u8]) -> io::Result<()> {
    remove(disk, aside).await?;
    let file = disk.open(aside, Access::CreateNew, Caching::Cached).await?;
    write_at(&*file, 0, content).await?;
    file.sync().await
}

/// Writes all of `content` at `offset`.
///
/// # Errors
/// The device's; no progress is one of the kind `WriteZero`.
pub async fn write_at(file: &dyn File, offset: u64, content: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < content.len() {
        let n = file.write_at(offset + done as u64, &content[done..]).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        done += n;
    }
    Ok(())
}
