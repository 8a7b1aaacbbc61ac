//! Driver `posix`: plain system calls, for hosts and file systems without io_uring or direct I/O.
//!
//! Cached writes happen at once on the caller's thread; everything that can wait for the device runs on a
//! small pool of threads ([`super::pool`]). Direct files use `O_DIRECT` where the file system takes it, else
//! the page cache with the same promises.

use std::cell::Cell;
use std::fmt;
use std::fs::{self, File as StdFile, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::aligned::{ALIGNMENT, AlignedBuf, BufCache};
use super::pool::BlockingPool;
use super::{
    Access, Caching, CommitError, DirEntry, Disk, File, LocalFuture, Piece, Space, rest_of, sys,
};

/// Largest piece of a preallocation, in bytes.
const ZEROS_BYTES: usize = 1 << 20;
/// Pool threads a shard.
const THREADS: usize = 2;

struct Shared {
    pool: BlockingPool,
    bufs: BufCache,
}

/// Files through ordinary system calls.
#[derive(Clone)]
pub struct PosixDisk(Rc<Shared>);

impl fmt::Debug for PosixDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PosixDisk")
    }
}

impl Default for PosixDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl PosixDisk {
    /// A disk with its own pool; threads start with the first blocking call.
    pub fn new() -> Self {
        Self(Rc::new(Shared { pool: BlockingPool::new(THREADS), bufs: BufCache::default() }))
    }

    /// As [`Disk::open`], with the concrete type.
    pub(super) async fn open_file(
        &self,
        path: PathBuf,
        access: Access,
        direct: bool,
    ) -> io::Result<PosixFile> {
        let (file, size, bypass) = self.run(move || open(&path, access, direct)).await?;
        Ok(PosixFile {
            file: Arc::new(file),
            size: Cell::new(size),
            direct,
            bypass,
            shared: Rc::clone(&self.0),
        })
    }

    /// Runs a blocking call on the pool.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.0.pool.run(job).await
    }
}

impl Disk for PosixDisk {
    fn driver(&self) -> &'static str {
        "posix"
    }

    fn alignment(&self) -> usize {
        ALIGNMENT
    }

    fn open<'a>(
        &'a self,
        path: &'a Path,
        access: Access,
        via: Caching,
    ) -> LocalFuture<'a, io::Result<Rc<dyn File>>> {
        let path = path.to_owned();
        Box::pin(async move {
            let direct = via == Caching::Direct;
            let file = self.open_file(path, access, direct).await?;
            let file: Rc<dyn File> = Rc::new(file);
            Ok(file)
        })
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(self.run(move || fs::rename(from, to)))
    }

    fn remove<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(self.run(move || fs::remove_file(path)))
    }

    fn remove_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(self.run(move || fs::remove_dir(path)))
    }

    fn sync_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(self.run(move || sync_dir(&path)))
    }

    fn list<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Vec<DirEntry>>> {
        let path = path.to_owned();
        Box::pin(self.run(move || list(&path)))
    }

    fn create_dir_all<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(self.run(move || create_dir_all(&path)))
    }

    fn space<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Space>> {
        let path = path.to_owned();
        Box::pin(self.run(move || sys::space(&path)))
    }
}

/// Opens a file; says its size and whether it bypasses the page cache.
fn open(path: &Path, access: Access, direct: bool) -> io::Result<(StdFile, u64, bool)> {
    let mut options = OpenOptions::new();
    options.read(true);
    match access {
        Access::Read => {}
        Access::ReadWrite => {
            options.write(true);
        }
        Access::CreateNew => {
            options.write(true).create_new(true);
        }
    }
    let file = options.open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    // Set after the open: a file system that refuses O_DIRECT at open has already created the file.
    let bypass = direct && sys::set_direct(&file)?;
    Ok((file, meta.len(), bypass))
}

/// Makes the names in a directory durable.
fn sync_dir(path: &Path) -> io::Result<()> {
    StdFile::open(path)?.sync_all()
}

/// Lists a directory, sorted by name.
fn list(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let meta = match entry.metadata() {
            Ok(m) => m,
            // Removed between the two calls.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        rows.push(DirEntry {
            name: entry.file_name().to_string_lossy().into_owned(),
            bytes: if meta.is_dir() { 0 } else { meta.len() },
            is_dir: meta.is_dir(),
        });
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}

/// Creates a directory and its parents; syncs the parent of each one made.
fn create_dir_all(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.is_dir()).collect();
    for dir in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            Err(e) => return Err(e),
        }
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
        sync_dir(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Repeats a call that a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            r => return r,
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &StdFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        let n = uninterrupted(|| file.read_at(&mut buf[done..], offset + done as u64))?;
        done += n;
        // A direct read that ends off the alignment has met the end of the file.
        if n == 0 || !n.is_multiple_of(512) {
            break;
        }
    }
    Ok(done)
}

/// One write, repeated only if a signal interrupted it.
fn write(file: &StdFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
    uninterrupted(|| file.write_at(bytes, offset))
}

/// Writes all of `bytes`, as [`super::write_whole`].
fn write_all(file: &StdFile, mut bytes: &[u8], mut offset: u64, align: usize) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = write(file, bytes, offset)?;
        let more = rest_of(bytes, n, align)?;
        offset += (bytes.len() - more.len()) as u64;
        bytes = more;
    }
    Ok(())
}

/// Writes zeros from the end of the file to `len`, so that all its blocks are written. On failure the
/// old size is restored.
fn preallocate(file: &StdFile, size: u64, len: u64) -> io::Result<()> {
    if len <= size {
        return Ok(());
    }
    let grow = || {
        // Reserving first gives one extent and the answer "no room" before anything is written.
        sys::reserve(file, size, len - size)?;
        let block = ALIGNMENT as u64;
        let zeros = AlignedBuf::zeroed(ZEROS_BYTES);
        // The rest of the last block reads as zeros already.
        let mut at = size.next_multiple_of(block);
        let end = len.next_multiple_of(block);
        while at < end {
            let n = (end - at).min(ZEROS_BYTES as u64) as usize;
            let done = write(file, &zeros[..n], at)?;
            if done == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero));
            }
            at += done as u64;
        }
        file.set_len(len)
    };
    grow().inspect_err(|_| {
        // Best effort: the first error is the one to report.
        let _ = file.set_len(size);
    })
}

/// An open file; the `dma` driver builds on it.
pub(super) struct PosixFile {
    file: Arc<StdFile>,
    size: Cell<u64>,
    /// Opened as [`Caching::Direct`].
    direct: bool,
    /// The descriptor has `O_DIRECT`.
    bypass: bool,
    shared: Rc<Shared>,
}

impl PosixFile {
    /// Whether the descriptor bypasses the page cache.
    pub(super) fn bypasses_cache(&self) -> bool {
        self.bypass
    }

    /// Notes that the file reaches to `end`.
    pub(super) fn grown(&self, end: u64) {
        self.size.set(self.size.get().max(end));
    }

    fn write_inline(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let n = write(&self.file, bytes, offset)?;
        self.grown(offset + n as u64);
        Ok(n)
    }

    /// How much of `[offset, offset + len)` the file has. Looks again when the range goes over the size known here,
    /// since another handle may have grown the file.
    pub(super) fn readable(&self, offset: u64, len: usize) -> io::Result<usize> {
        let end = offset.saturating_add(len as u64);
        if end > self.size.get() {
            self.size.set(self.file.metadata()?.len());
        }
        Ok(self.size.get().min(end).saturating_sub(offset) as usize)
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let len = self.readable(offset, len)?;
        if len == 0 {
            return Ok(Vec::new());
        }
        let file = Arc::clone(&self.file);
        if !self.bypass {
            let job = move || {
                let mut buf = vec![0; len];
                let n = read_full(&file, &mut buf, offset)?;
                buf.truncate(n);
                Ok(buf)
            };
            return self.shared.pool.run(job).await;
        }
        let mut buf = self.shared.bufs.take(len.next_multiple_of(ALIGNMENT));
        let job = move || {
            let bytes = read_full(&file, &mut buf, offset).map(|n| buf[..n.min(len)].to_vec());
            (bytes, buf)
        };
        let (bytes, buf) = self.shared.pool.run(job).await;
        self.shared.bufs.give(buf);
        bytes
    }

    async fn read_into(&self, offset: u64, mut piece: Piece) -> io::Result<Piece> {
        let len = self.readable(offset, piece.room())?;
        let asked = if self.bypass { len.next_multiple_of(ALIGNMENT) } else { len };
        let file = Arc::clone(&self.file);
        let job = move || {
            let (room, filled) = piece.parts_mut();
            *filled = read_full(&file, &mut room[..asked], offset)?.min(len);
            Ok(piece)
        };
        self.shared.pool.run(job).await
    }

    async fn write_direct(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let file = Arc::clone(&self.file);
        let mut buf = self.shared.bufs.take(bytes.len());
        buf.copy_from_slice(bytes);
        let job = move || (write(&file, &buf, offset), buf);
        let (r, buf) = self.shared.pool.run(job).await;
        self.shared.bufs.give(buf);
        let n = r?;
        self.grown(offset + n as u64);
        Ok(n)
    }
}

impl File for PosixFile {
    fn size(&self) -> u64 {
        self.size.get()
    }

    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(self.read(offset, len))
    }

    fn read_into(&self, offset: u64, piece: Piece) -> LocalFuture<'_, io::Result<Piece>> {
        Box::pin(PosixFile::read_into(self, offset, piece))
    }

    fn write_at<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> LocalFuture<'a, io::Result<usize>> {
        if self.direct {
            Box::pin(self.write_direct(offset, bytes))
        } else {
            Box::pin(async move { self.write_inline(offset, bytes) })
        }
    }

    fn write_now(&self, offset: u64, bytes: &[u8]) -> Option<io::Result<usize>> {
        (!self.direct).then(|| self.write_inline(offset, bytes))
    }

    fn commit<'a>(
        &'a self,
        offset: u64,
        bytes: &'a [u8],
        align: usize,
        between: fn() -> io::Result<()>,
    ) -> LocalFuture<'a, Result<(), CommitError>> {
        let file = Arc::clone(&self.file);
        let mut buf = self.shared.bufs.take(bytes.len());
        buf.copy_from_slice(bytes);
        let job = move || {
            let written = write_all(&file, &buf, offset, align).map_err(CommitError::Write);
            let synced = written.and_then(|()| {
                between().map_err(CommitError::Sync)?;
                uninterrupted(|| file.sync_data()).map_err(CommitError::Sync)
            });
            (synced, buf)
        };
        Box::pin(async move {
            let (result, buf) = self.shared.pool.run(job).await;
            self.shared.bufs.give(buf);
            if !matches!(result, Err(CommitError::Write(_))) {
                self.grown(offset + bytes.len() as u64);
            }
            result
        })
    }

    fn sync(&self) -> LocalFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        let job = move || uninterrupted(|| file.sync_data());
        Box::pin(self.shared.pool.run(job))
    }

    fn preallocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        let (file, size) = (Arc::clone(&self.file), self.size.get());
        Box::pin(async move {
            let job = move || preallocate(&file, size, len);
            self.shared.pool.run(job).await?;
            self.grown(len);
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        Box::pin(async move {
            let job = move || file.set_len(len);
            self.shared.pool.run(job).await?;
            self.size.set(len);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::local::LocalRuntime;
    use crate::io::{Runtime, conformance};

    #[test]
    fn conformance_suite() {
        let dir = conformance::TempDir::new("posix");
        let rt = LocalRuntime::new().expect("runtime");
        let disk = Rc::new(PosixDisk::new());
        rt.block_on(conformance::run(disk, rt.as_dyn(), dir.path()));
    }

    /// The same suite where the file system may refuse or ignore O_DIRECT.
    #[test]
    fn conformance_suite_in_memory() {
        let Some(dir) = conformance::TempDir::in_memory("posix") else {
            return;
        };
        let rt = LocalRuntime::new().expect("runtime");
        let disk = Rc::new(PosixDisk::new());
        rt.block_on(conformance::run(disk, rt.as_dyn(), dir.path()));
    }

    #[test]
    fn preallocation_that_does_not_fit_leaves_the_file_as_it_was() {
        let dir = conformance::TempDir::new("posix-full");
        let rt = LocalRuntime::new().expect("runtime");
        let disk = PosixDisk::new();
        rt.block_on(async {
            let path = dir.path().join("f");
            let f = disk.open(&path, Access::CreateNew, Caching::Direct).await.expect("create");
            f.preallocate(8192).await.expect("small");
            let room = disk.space(dir.path()).await.expect("space");
            if room.total == u64::MAX {
                return;
            }
            let e = f.preallocate(room.total * 4).await.expect_err("too large");
            let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::FileTooLarge];
            assert!(kinds.contains(&e.kind()), "{e}");
            assert_eq!(f.size(), 8192);
            let list = disk.list(dir.path()).await.expect("list");
            assert_eq!(list[0].bytes, 8192);
        });
    }

    #[test]
    fn a_dropped_future_does_not_stop_its_job() {
        let dir = conformance::TempDir::new("posix-drop");
        let rt = LocalRuntime::new().expect("runtime");
        let disk = PosixDisk::new();
        rt.block_on(async {
            let path = dir.path().join("f");
            let f = disk.open(&path, Access::CreateNew, Caching::Direct).await.expect("create");
            let block = [7; ALIGNMENT];
            let mut w = f.write_at(0, &block);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(w.as_mut().poll(&mut cx).is_pending());
            drop(w);
            drop(f);
            for _ in 0..1000 {
                if disk.list(dir.path()).await.expect("list")[0].bytes == ALIGNMENT as u64 {
                    return;
                }
                rt.sleep_us(1000).await;
            }
            panic!("the write never landed");
        });
    }
}
