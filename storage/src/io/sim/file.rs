//! An open file of the simulated device.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::content::{MAX_FILE_BYTES, PAGE, SECTOR, sectors};
use super::disk::{Core, Issue, Issued, SimDisk, eio, enospc};
use super::fault::FaultKind;
use super::record::{BadManner, OpKind};
use super::state::{Body, Ino, apply_file};
use crate::io::{Access, Caching, File, LocalFuture};

/// A handle; it follows its file through renames, as a descriptor does.
pub(super) struct SimFile {
    disk: SimDisk,
    ino: Ino,
    opened_as: RefCell<PathBuf>,
    writable: bool,
    direct: bool,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, ino: Ino, path: &Path, access: Access, via: Caching) -> Self {
        Self {
            disk,
            ino,
            opened_as: RefCell::new(path.to_owned()),
            writable: access != Access::Read,
            direct: via == Caching::Direct,
        }
    }

    /// The file's name now; the last known one once it is removed.
    fn path(&self) -> PathBuf {
        let current = self.disk.core().state.name_of(self.ino);
        if let Some(p) = current {
            *self.opened_as.borrow_mut() = p;
        }
        self.opened_as.borrow().clone()
    }

    /// Refuses what a real descriptor refuses.
    fn check(&self, op: u64, path: &Path, offset: u64, len: u64, write: bool) -> io::Result<()> {
        if write && !self.writable {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        if offset.checked_add(len).is_none_or(|end| end > MAX_FILE_BYTES) {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        let mut core = self.disk.core();
        let a = core.cfg.alignment as u64;
        if self.direct && !(offset.is_multiple_of(a) && len.is_multiple_of(a)) {
            core.violate(op, BadManner::Unaligned, path, offset);
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(())
    }

    /// Queues the effects of a write; the result is what the caller is told on completion.
    fn queue_write(&self, issued: &Issued, path: &Path, offset: u64, bytes: &[u8]) -> Told {
        self.check(issued.op, path, offset, bytes.len() as u64, true)?;
        let now = self.disk.now_us();
        let mut core = self.disk.core();
        let len = bytes.len() as u64;
        core.check_write(issued.op, self.ino, path, offset, len);
        if issued.has(FaultKind::WriteZero) {
            return Ok(0);
        }
        let ino = self.ino;
        if issued.has(FaultKind::EnospcWrite) || core.lacks_room(ino, offset + len, now) {
            return Err(enospc());
        }
        let block = PAGE as u64;
        if issued.has(FaultKind::WriteEioRange) {
            core.bad.push((ino, offset / block * block, block));
        }
        let bad = core.bad.iter().any(|(i, o, l)| *i == ino && offset < o + l && *o < offset + len);
        if bad || issued.has(FaultKind::WriteEioOnce) {
            core.suspect.insert(ino);
            // Nobody knows how much of a failed write landed; the rest of the block keeps its old bytes.
            let landed = core.rng.below(len / 512 + 1) as usize * 512;
            core.queue_data(issued.op, ino, offset, &bytes[..landed.min(bytes.len())]);
            return Err(eio());
        }
        let n = match issued.has(FaultKind::WriteShort) {
            true if self.direct => bytes.len() / 2 / 512 * 512,
            true => bytes.len() / 2,
            false => bytes.len(),
        };
        core.queue_data(issued.op, ino, offset, &bytes[..n]);
        Ok(n)
    }

    async fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let path = self.path();
        let what = Issue::new(OpKind::Write, &path).range(offset, bytes.len() as u64);
        let issued = self.disk.issue(&what);
        let told = self.queue_write(&issued, &path, offset, bytes);
        self.disk
            .after(issued, move |core, issued| {
                core.complete(issued.op);
                told
            })
            .await
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let path = self.path();
        let what = Issue::new(OpKind::Read, &path).range(offset, len as u64);
        let issued = self.disk.issue(&what);
        let checked = self.check(issued.op, &path, offset, len as u64, false);
        let ino = self.ino;
        self.disk
            .after(issued, move |core, issued| {
                checked?;
                if issued.has(FaultKind::ReadEio) {
                    return Err(eio());
                }
                let Some(f) = core.state.files.get(&ino) else {
                    return Err(eio());
                };
                let len = f.volatile.size.saturating_sub(offset).min(len as u64);
                let mut out = vec![0; len as usize];
                f.volatile.read(offset, &mut out);
                Ok(out)
            })
            .await
    }

    async fn sync_file(&self) -> io::Result<()> {
        let path = self.path();
        let issued = self.disk.issue(&Issue::new(OpKind::Sync, &path));
        let ino = self.ino;
        let covered = {
            let mut core = self.disk.core();
            if core.suspect.contains(&ino) {
                core.violate(issued.op, BadManner::SyncedSuspectFile, &path, 0);
            }
            core.state.done_on(ino)
        };
        self.disk
            .after(issued, move |core, issued| {
                let once = issued.has(FaultKind::SyncEioOnce);
                if once || issued.has(FaultKind::SyncEioForever) {
                    core.fail_sync(ino, &covered);
                    return Err(eio());
                }
                core.state.settle_file(ino, &covered);
                Ok(())
            })
            .await
    }

    async fn grow(&self, len: u64) -> io::Result<()> {
        let path = self.path();
        let size = self.size();
        let what = Issue::new(OpKind::Preallocate, &path).range(size, len.saturating_sub(size));
        let issued = self.disk.issue(&what);
        let told = self
            .check(issued.op, &path, 0, len, true)
            .and_then(|()| self.queue_grow(&issued, &path, size, len));
        self.disk
            .after(issued, move |core, issued| {
                core.complete(issued.op);
                told
            })
            .await
    }

    fn queue_grow(&self, issued: &Issued, path: &Path, size: u64, len: u64) -> io::Result<()> {
        let now = self.disk.now_us();
        let mut core = self.disk.core();
        if len <= size {
            return Ok(());
        }
        core.check_write(issued.op, self.ino, path, size, len - size);
        let full = core.lacks_room(self.ino, len, now);
        if full || issued.has(FaultKind::EnospcPreallocate) {
            return Err(enospc());
        }
        let ino = self.ino;
        let zeros = Body::Zeros { ino, offset: size, len: len - size };
        core.push(issued.op, zeros);
        core.push(issued.op, Body::Grow { ino, size: len });
        Ok(())
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        let path = self.path();
        let what = Issue::new(OpKind::Truncate, &path).range(len, 0);
        let issued = self.disk.issue(&what);
        // The logical size need not be aligned, even where reads and writes must be.
        let told = if !self.writable {
            Err(io::Error::from_raw_os_error(libc::EINVAL))
        } else if len > MAX_FILE_BYTES {
            Err(io::Error::from_raw_os_error(libc::EFBIG))
        } else {
            let ino = self.ino;
            self.disk.core().push(issued.op, Body::Truncate { ino, size: len });
            Ok(())
        };
        self.disk
            .after(issued, move |core, issued| {
                core.complete(issued.op);
                told
            })
            .await
    }
}

type Told = io::Result<usize>;

impl Core {
    fn queue_data(&mut self, op: u64, ino: Ino, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let data = Body::Data { ino, offset, bytes: bytes.to_vec() };
        self.push(op, data);
        let end = offset + bytes.len() as u64;
        if self.state.files.get(&ino).is_some_and(|f| f.volatile.size < end) {
            self.push(op, Body::Grow { ino, size: end });
        }
    }

    /// True if growing the file to `end` does not fit.
    fn lacks_room(&self, ino: Ino, end: u64, now_us: u64) -> bool {
        let size = self.state.files.get(&ino).map_or(0, |f| f.volatile.size);
        let page = PAGE as u64;
        let more = end.next_multiple_of(page).saturating_sub(size.next_multiple_of(page));
        more > 0 && more > self.free(now_us)
    }

    /// Linux marks pages clean after a failed write-back: an unknown part is on the device, the rest never
    /// gets there, and the page cache goes on showing all of it.
    fn fail_sync(&mut self, ino: Ino, covered: &[u64]) {
        self.suspect.insert(ino);
        let lost = self.state.take_file(ino, covered);
        let Some(f) = self.state.files.get_mut(&ino) else {
            return;
        };
        for body in &lost {
            match body.range() {
                Some((_, offset, len)) => {
                    for sector in sectors(offset, len) {
                        if self.rng.chance(500) {
                            f.stable.copy_from(&f.volatile, sector * SECTOR, SECTOR as usize);
                        }
                    }
                }
                None if self.rng.chance(500) => apply_file(&mut f.stable, body),
                None => {}
            }
        }
    }
}

impl File for SimFile {
    fn size(&self) -> u64 {
        let core = self.disk.core();
        core.state.files.get(&self.ino).map_or(0, |f| f.volatile.size)
    }

    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(self.read(offset, len))
    }

    fn write_at<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(self.write(offset, bytes))
    }

    fn write_now(&self, offset: u64, bytes: &[u8]) -> Option<io::Result<usize>> {
        if self.direct {
            return None;
        }
        let path = self.path();
        let what = Issue::new(OpKind::Write, &path).range(offset, bytes.len() as u64);
        let issued = self.disk.issue(&what);
        let told = self.queue_write(&issued, &path, offset, bytes);
        let mut core = self.disk.core();
        core.complete(issued.op);
        self.disk.finish(&mut core, issued.op, told.is_ok());
        drop(core);
        Some(told)
    }

    fn sync(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.sync_file())
    }

    fn preallocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.grow(len))
    }

    fn truncate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.set_len(len))
    }
}
