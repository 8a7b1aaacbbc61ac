//! The door to the disk and to time.
//!
//! Invariants:
//! * No other module of Moon opens, renames, syncs or removes a data file.
//! * A completed [`File::sync`] makes every earlier completed write of that file durable,
//!   size included. Names become durable only by [`Disk::sync_dir`].
//! * After a failed write or sync a file is *suspect*: callers never write or sync it again.
//! * A write or sync whose future is dropped half way has an unknown outcome, as after a failure.
//! * Futures are `!Send`: a file belongs to the thread (shard) that opened it.

mod aligned;
mod canonical;
#[cfg(test)]
pub(crate) mod conformance;
pub mod glommio;
pub mod local;
pub mod lock;
mod pool;
pub mod posix;
pub mod record;
pub mod sim;
mod sys;
mod task;

#[cfg(feature = "failpoints")]
pub(crate) use sys::raise;

pub use aligned::Piece;
pub use canonical::canonical;

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;

/// A boxed future bound to the current thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read an existing file.
    Read,
    /// Read and write an existing file.
    ReadWrite,
    /// Create a new file; it must not exist.
    CreateNew,
}

/// Whether bytes go through the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Past the page cache (`O_DIRECT`) where the driver and the file system can.
    /// Offsets, lengths and buffers are multiples of [`Disk::alignment`].
    Direct,
    /// Through the page cache. A completed write survives the process, not the kernel.
    Cached,
}

/// One row of a directory listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// File name without directory.
    pub name: String,
    /// Size in bytes (0 for directories).
    pub bytes: u64,
    /// True for a directory.
    pub is_dir: bool,
}

/// A storage device holding files: `dma`, `posix` or `sim`.
pub trait Disk {
    /// Driver name as `INFO` and the log print it.
    fn driver(&self) -> &'static str;

    /// Alignment of every offset and length of [`Caching::Direct`] I/O: a power of two >= 4096.
    fn alignment(&self) -> usize;

    /// Opens a file.
    fn open<'a>(
        &'a self,
        path: &'a Path,
        access: Access,
        via: Caching,
    ) -> LocalFuture<'a, io::Result<Rc<dyn File>>>;

    /// Renames a file or directory within the device. A file replaces a file; a directory, with all that is in it, only
    /// an empty one. Durable after [`Disk::sync_dir`] of the directories that the two names are in.
    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, io::Result<()>>;

    /// Removes a file. Durable after [`Disk::sync_dir`].
    fn remove<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>>;

    /// Removes a directory in which nothing is left and whose names are durable. A power loss may
    /// bring it back, empty.
    fn remove_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>>;

    /// Makes the names in a directory durable.
    fn sync_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>>;

    /// Lists a directory, sorted by name.
    fn list<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Vec<DirEntry>>>;

    /// Creates a directory and its parents, for this user alone, and makes the new names durable.
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>>;

    /// Free and total bytes of the file system that holds `path`.
    fn space<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Space>>;
}

/// Room on a file system, in bytes; both `u64::MAX` where the file system has no size of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes an unprivileged writer can still use.
    pub free: u64,
    /// Size of the file system.
    pub total: u64,
}

/// An open file of a [`Disk`].
pub trait File {
    /// Size in bytes as this handle knows it.
    fn size(&self) -> u64;

    /// Reads up to `len` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>>;

    /// Reads as [`File::read_at`] as much as `piece` has room for. A driver that can reads there; others copy.
    fn read_into(&self, offset: u64, mut piece: Piece) -> LocalFuture<'_, io::Result<Piece>> {
        Box::pin(async move {
            piece.fill(&self.read_at(offset, piece.room()).await?);
            Ok(piece)
        })
    }

    /// Writes at `offset`; returns the bytes written, which may be fewer than asked.
    fn write_at<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> LocalFuture<'a, io::Result<usize>>;

    /// Writes without waiting, for [`Caching::Cached`] files; `None` if this file cannot.
    /// The shard's thread calls it once per turn, so that a reply under `everysec` costs one
    /// system call and no scheduling.
    fn write_now(&self, offset: u64, bytes: &[u8]) -> Option<io::Result<usize>>;

    /// Makes all completed writes and the size durable (`fdatasync`).
    fn sync(&self) -> LocalFuture<'_, io::Result<()>>;

    /// Writes all of `bytes` at `offset`, both multiples of `align`, calls `between`, and makes them durable. A
    /// driver whose calls run on another thread makes them there in one go, so that the sync need not wait for a
    /// turn of the caller's. Without that it is [`write_whole`] and [`File::sync`].
    fn commit<'a>(
        &'a self,
        offset: u64,
        bytes: &'a [u8],
        align: usize,
        between: fn() -> io::Result<()>,
    ) -> LocalFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            write_whole(self, offset, bytes, align).await.map_err(CommitError::Write)?;
            between().map_err(CommitError::Sync)?;
            self.sync().await.map_err(CommitError::Sync)
        })
    }

    /// Grows the file to `len` bytes whose blocks are written (zeros), so that later writes
    /// and syncs touch no metadata. Fails with `StorageFull` when there is no room.
    fn preallocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>>;

    /// Cuts or extends the logical size.
    fn truncate(&self, len: u64) -> LocalFuture<'_, io::Result<()>>;
}

/// How far [`File::commit`] came.
#[derive(Debug)]
pub enum CommitError {
    /// Some of it may be written.
    Write(io::Error),
    /// All of it is written; whether it is durable is not known.
    Sync(io::Error),
}

/// Writes all of `bytes`, whose offset and length are multiples of `align`. A short write goes on from its
/// last whole block.
///
/// # Errors
/// A write fails, or makes no progress.
pub(crate) async fn write_whole<F: File + ?Sized>(
    file: &F,
    mut pos: u64,
    mut bytes: &[u8],
    align: usize,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = file.write_at(pos, bytes).await?;
        let more = rest_of(bytes, n, align)?;
        pos += (bytes.len() - more.len()) as u64;
        bytes = more;
    }
    Ok(())
}

/// What is left of `bytes` after a write of `n` of them.
fn rest_of(bytes: &[u8], n: usize, align: usize) -> io::Result<&[u8]> {
    match bytes.get(n - n % align..) {
        _ if n >= bytes.len() => Ok(&[]),
        Some(more) if more.len() < bytes.len() => Ok(more),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Time and tasks of the thread that runs a shard.
pub trait Runtime {
    /// Monotonic microseconds.
    fn mono_us(&self) -> u64;

    /// Wall clock in microseconds since 1970.
    fn wall_us(&self) -> i64;

    /// Completes after `us` microseconds.
    fn sleep_us(&self, us: u64) -> LocalFuture<'static, ()>;

    /// Runs a task on this thread until it ends.
    fn spawn(&self, task: LocalFuture<'static, ()>);

    /// Runs a computation on another thread. It must not wait for anything: those given later wait for it.
    fn offload(&self, job: Box<dyn FnOnce() + Send>);
}

/// Runs a computation beside the thread of a shard ([`Runtime::offload`]) and completes with what it comes to.
pub async fn beside<T: Send + 'static>(
    rt: &dyn Runtime,
    job: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (answer, future) = pool::answer();
    rt.offload(Box::new(move || answer.give(job())));
    future.await
}
