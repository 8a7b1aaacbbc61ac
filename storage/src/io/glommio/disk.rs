//! Files of the `dma` driver.
//!
//! A direct file has two descriptors: glommio's on the executor's thread, for reads, writes and syncs through the
//! ring, and the one that `posix` opened, for what has no ring operation and as the way out when the ring refuses.
//! Cached files, names and directories are `posix` altogether: their calls are rare or return at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File as StdFile;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::host::Host;
use crate::io::aligned::{ALIGNMENT, AlignedBuf};
use crate::io::posix::{PosixDisk, PosixFile};
use crate::io::{Access, Caching, DirEntry, Disk, File, LocalFuture, Space, sys};

/// Direct I/O through the ring of an executor thread of its own. Belongs to the thread that made it.
#[derive(Clone)]
pub struct DmaDisk(Rc<Shared>);

struct Shared {
    host: Rc<Host>,
    posix: PosixDisk,
    /// Devices whose polling glommio has probed, with a file that had data.
    probed: RefCell<BTreeSet<u64>>,
    /// The missing direct I/O has been logged.
    told: Cell<bool>,
}

impl fmt::Debug for DmaDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DmaDisk")
    }
}

impl DmaDisk {
    /// Starts the executor of one of `shards` shards. [`super::probe()`] says in which words this fails.
    ///
    /// # Errors
    /// io_uring or a thread cannot be had.
    pub fn start(shards: usize) -> io::Result<Self> {
        Ok(Self(Rc::new(Shared {
            host: Rc::new(Host::start(shards)?),
            posix: PosixDisk::new(),
            probed: RefCell::default(),
            told: Cell::new(false),
        })))
    }

    /// The executor, for tests.
    #[cfg(test)]
    pub(super) fn host(&self) -> &Host {
        &self.0.host
    }

    /// Whether files in `dir` bypass the page cache.
    pub(super) async fn takes_direct(&self, dir: &Path) -> io::Result<bool> {
        let dir = dir.to_owned();
        let posix = &self.0.posix;
        posix.run(move || sys::set_direct(&nameless_file(&dir)?)).await
    }

    async fn open_direct(&self, path: &Path, access: Access) -> io::Result<Rc<dyn File>> {
        let posix = &self.0.posix;
        let plain = posix.open_file(path.to_owned(), access, true).await?;
        if !plain.bypasses_cache() {
            if !self.0.told.replace(true) {
                tracing::warn!(path = %path.display(), "no direct I/O on this file system; using the page cache");
            }
            return Ok(Rc::new(plain));
        }
        let host = &self.0.host;
        let opened = match self.probe_polling(path).await {
            Ok(()) => host.open(path, access).await,
            Err(e) => Err(e),
        };
        match opened {
            Ok(id) => {
                let host = Rc::clone(host);
                Ok(Rc::new(RingFile { host, id, plain, ring: Cell::new(true) }))
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "direct file opened without io_uring");
                Ok(Rc::new(plain))
            }
        }
    }

    /// Shows glommio a file with data before the first direct open on a device, because what it learns from
    /// an empty one is wrong. The file has no name by then, so a crash leaves nothing behind.
    async fn probe_polling(&self, path: &Path) -> io::Result<()> {
        let owned = path.to_owned();
        let meta = self.0.posix.run(move || std::fs::metadata(owned)).await?;
        let device = meta.dev();
        if self.0.probed.borrow().contains(&device) {
            return Ok(());
        }
        let sysfs = PathBuf::from(format!("/sys/dev/block/{}:0", libc::major(device)));
        self.0.posix.run(move || check_sysfs(&sysfs)).await?;
        if meta.len() < ALIGNMENT as u64 {
            let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
            let held = self.0.posix.run(move || nameless_file(&dir)).await?;
            let link = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
            let id = self.0.host.open(&link, Access::Read).await?;
            self.0.host.close(id);
        }
        self.0.probed.borrow_mut().insert(device);
        Ok(())
    }
}

/// glommio reads these files of the device with minor number 0 on a first open and panics on what it
/// does not expect, for example where that device is a partition.
fn check_sysfs(device: &Path) -> io::Result<()> {
    let dir = match device.canonicalize() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        r => r?,
    };
    let odd = |name: &str| io::Error::other(format!("{} is odd", dir.join(name).display()));
    for name in [
        "rotational",
        "minimum_io_size",
        "optimal_io_size",
        "logical_block_size",
        "physical_block_size",
        "max_sectors_kb",
        "max_segment_size",
    ] {
        let text = std::fs::read_to_string(dir.join("queue").join(name))?;
        text.trim().parse::<u32>().map_err(|_| odd(name))?;
    }
    let cache = std::fs::read_to_string(dir.join("queue/write_cache"))?;
    if !["write back", "write through"].contains(&cache.trim()) {
        return Err(odd("queue/write_cache"));
    }
    for entry in std::fs::read_dir(dir.join("slaves"))? {
        entry?;
    }
    Ok(())
}

/// A name in `dir` that no other probe of any process uses.
pub(super) fn probe_name(dir: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    dir.join(format!(".moon-probe-{}-{n}.tmp", std::process::id()))
}

/// An open file of one block in `dir` that has been unlinked.
fn nameless_file(dir: &Path) -> io::Result<StdFile> {
    let path = probe_name(dir);
    let file = StdFile::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all_at(&AlignedBuf::zeroed(ALIGNMENT), 0)?;
    Ok(file)
}

impl Disk for DmaDisk {
    fn driver(&self) -> &'static str {
        "dma"
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
        match via {
            Caching::Direct => Box::pin(self.open_direct(path, access)),
            Caching::Cached => self.0.posix.open(path, access, via),
        }
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        self.0.posix.rename(from, to)
    }

    fn remove<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        self.0.posix.remove(path)
    }

    fn remove_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        self.0.posix.remove_dir(path)
    }

    fn sync_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        self.0.posix.sync_dir(path)
    }

    fn list<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Vec<DirEntry>>> {
        self.0.posix.list(path)
    }

    fn create_dir_all<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        self.0.posix.create_dir_all(path)
    }

    fn space<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Space>> {
        self.0.posix.space(path)
    }
}

struct RingFile {
    host: Rc<Host>,
    id: u64,
    plain: PosixFile,
    /// Cleared for good when the ring says EOPNOTSUPP.
    ring: Cell<bool>,
}

impl Drop for RingFile {
    fn drop(&mut self) {
        self.host.close(self.id);
    }
}

impl RingFile {
    /// True if the caller should repeat the call on the plain descriptor. Only for an operation the
    /// ring refused as such: nothing of it has happened.
    fn refused(&self, e: &io::Error) -> bool {
        let refused = e.raw_os_error() == Some(libc::EOPNOTSUPP);
        if refused && self.ring.replace(false) {
            tracing::warn!("the device refuses io_uring for a direct file; using plain calls");
        }
        refused
    }

    async fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.ring.get() {
            match self.host.write(self.id, offset, bytes.to_vec()).await {
                Ok(n) => {
                    self.plain.grown(offset + n as u64);
                    return Ok(n);
                }
                Err(e) if self.refused(&e) => {}
                Err(e) => return Err(e),
            }
        }
        self.plain.write_at(offset, bytes).await
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let want = self.plain.readable(offset, len)?;
        if want == 0 {
            return Ok(Vec::new());
        }
        if self.ring.get() {
            match self.host.read(self.id, offset, want).await {
                Ok(bytes) => return Ok(bytes),
                Err(e) if self.refused(&e) => {}
                Err(e) => return Err(e),
            }
        }
        self.plain.read_at(offset, len).await
    }
}

impl File for RingFile {
    fn size(&self) -> u64 {
        self.plain.size()
    }

    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(self.read(offset, len))
    }

    fn write_at<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(self.write(offset, bytes))
    }

    fn write_now(&self, _offset: u64, _bytes: &[u8]) -> Option<io::Result<usize>> {
        None
    }

    fn sync(&self) -> LocalFuture<'_, io::Result<()>> {
        // No fallback here: a sync is never repeated, whatever it answered.
        if self.ring.get() { Box::pin(self.host.sync(self.id)) } else { self.plain.sync() }
    }

    fn preallocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        self.plain.preallocate(len)
    }

    fn truncate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        self.plain.truncate(len)
    }
}

#[cfg(test)]
mod tests {
    use super::check_sysfs;
    use crate::io::conformance::TempDir;

    #[test]
    fn odd_devices_are_refused_instead_of_panicking() {
        let dir = TempDir::new("sysfs");
        let device = dir.path().join("259:0");
        check_sysfs(&device).expect("no such device: glommio takes it for memory");
        std::fs::create_dir_all(device.join("queue")).expect("mkdir");
        check_sysfs(&device).expect_err("a partition has no queue files");
        for name in ["rotational", "minimum_io_size", "optimal_io_size", "logical_block_size"] {
            std::fs::write(device.join("queue").join(name), "512\n").expect("write");
        }
        for name in ["physical_block_size", "max_sectors_kb", "max_segment_size"] {
            std::fs::write(device.join("queue").join(name), "4096\n").expect("write");
        }
        std::fs::write(device.join("queue/write_cache"), "write back\n").expect("write");
        check_sysfs(&device).expect_err("no slaves");
        std::fs::create_dir(device.join("slaves")).expect("mkdir");
        check_sysfs(&device).expect("complete");
        std::fs::write(device.join("queue/write_cache"), "none\n").expect("write");
        check_sysfs(&device).expect_err("unknown cache kind");
    }
}
