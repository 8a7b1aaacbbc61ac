//! Whether the `dma` driver works here, and if not, why, in words an operator can act on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::probe_name;
use super::{DmaDisk, MEMLOCK_MIN};
use crate::io::local::LocalRuntime;
use crate::io::{Access, Caching, Disk, sys};

/// What the `dma` driver found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// The file system takes `O_DIRECT`; else direct files go through the page cache, one by one.
    pub direct_io: bool,
    /// Limit on pinned memory in bytes; `u64::MAX` without one.
    pub memlock: u64,
}

/// Why the `dma` driver cannot be used; take `posix`.
#[derive(Debug)]
pub enum Reason {
    /// The kernel has no io_uring.
    Missing,
    /// A seccomp profile or `kernel.io_uring_disabled` forbids io_uring.
    Denied,
    /// The limit on pinned memory is too low.
    Memlock {
        /// Limit in bytes.
        limit: u64,
        /// Least limit in bytes.
        need: u64,
    },
    /// Making a ring or an executor failed otherwise.
    Executor(io::Error),
    /// A file in the directory could not be written, synced and read back.
    File {
        /// The directory.
        dir: PathBuf,
        /// What failed.
        error: io::Error,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Missing => f.write_str("the kernel has no io_uring"),
            Reason::Denied => f.write_str(
                "io_uring is forbidden here, by the container's seccomp profile or by sysctl kernel.io_uring_disabled",
            ),
            Reason::Memlock { limit, need } => write!(
                f,
                "the limit on locked memory is {limit} bytes and io_uring needs {need}: raise it with ulimit -l or LimitMEMLOCK="
            ),
            Reason::Executor(e) => write!(f, "io_uring cannot be started: {e}"),
            Reason::File { dir, error } => {
                write!(f, "direct I/O failed in {}: {error}", dir.display())
            }
        }
    }
}

impl std::error::Error for Reason {}

/// Tries io_uring and direct I/O for files in `dir`, which must exist. Takes a few milliseconds and a
/// thread of its own; leaves nothing behind.
pub fn probe(dir: &Path) -> Result<Caps, Reason> {
    sys::try_io_uring().map_err(|e| match e.raw_os_error() {
        Some(libc::ENOSYS) => Reason::Missing,
        Some(libc::EPERM | libc::EACCES) => Reason::Denied,
        _ => Reason::Executor(e),
    })?;
    let memlock = sys::memlock_limit().map_err(Reason::Executor)?;
    if memlock < MEMLOCK_MIN {
        return Err(Reason::Memlock { limit: memlock, need: MEMLOCK_MIN });
    }
    let disk = DmaDisk::start(1).map_err(Reason::Executor)?;
    let rt = LocalRuntime::new().map_err(Reason::Executor)?;
    let tripped = rt.block_on(round_trip(&disk, dir));
    let direct_io = tripped.map_err(|error| Reason::File { dir: dir.to_owned(), error })?;
    Ok(Caps { direct_io, memlock })
}

/// Writes, syncs, reads back and removes one block; says whether it bypassed the page cache.
async fn round_trip(disk: &DmaDisk, dir: &Path) -> io::Result<bool> {
    let path = probe_name(dir);
    let direct = disk.takes_direct(dir).await?;
    let trip = async {
        let f = disk.open(&path, Access::CreateNew, Caching::Direct).await?;
        let block = vec![0x5a; disk.alignment()];
        f.write_at(0, &block).await?;
        f.sync().await?;
        if f.read_at(0, block.len()).await? != block {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        Ok(direct)
    };
    let result = trip.await;
    let removed = disk.remove(&path).await;
    // A missing file only means that the trip failed before making it.
    if result.is_ok() {
        removed?;
    }
    result
}
