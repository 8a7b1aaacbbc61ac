//! Names and directories of the simulated device: the [`Disk`] trait.

use std::io;
use std::path::Path;
use std::rc::Rc;

use super::disk::{Issue, Issued, SimDisk, eio};
use super::fault::FaultKind;
use super::file::SimFile;
use super::record::{BadManner, OpKind};
use super::state::{Body, FileState, Ino, split};
use crate::io::{Access, Caching, DirEntry, Disk, File, LocalFuture, Space};

fn enoent() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

impl SimDisk {
    async fn open_file(
        &self,
        path: &Path,
        access: Access,
        via: Caching,
    ) -> io::Result<Rc<dyn File>> {
        let create = access == Access::CreateNew;
        let kind = if create { OpKind::Create } else { OpKind::Open };
        let issued = self.issue(&Issue::new(kind, path));
        let owned = path.to_owned();
        let ino = if create {
            let made = self.create(issued.op, path);
            self.after(issued, move |core, issued| {
                let ino = made?;
                core.complete(issued.op);
                Ok(ino)
            })
            .await?
        } else {
            self.after(issued, move |core, _| {
                if core.state.dir(&owned).is_some() {
                    return Err(io::Error::from_raw_os_error(libc::EISDIR));
                }
                core.state.lookup(&owned).ok_or_else(enoent)
            })
            .await?
        };
        Ok(Rc::new(SimFile::new(self.clone(), ino, path, access, via)))
    }

    fn create(&self, op: u64, path: &Path) -> io::Result<Ino> {
        let mut core = self.core();
        let (dir, name) = core.state.place(path).ok_or_else(enoent)?;
        let taken = core.state.lookup(path).is_some() || core.state.dir(path).is_some();
        let coming = core.state.pending.iter().any(|p| {
            matches!(&*p.body, Body::Link { dir: d, name: n, .. } if !p.done && *d == dir && *n == name)
        });
        if taken || coming {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        let ino = core.state.next_ino;
        core.state.next_ino += 1;
        core.state.files.insert(ino, FileState::default());
        core.push(op, Body::Link { dir, name, ino });
        Ok(ino)
    }

    async fn rename_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut what = Issue::new(OpKind::Rename, from);
        what.to = Some(to);
        let issued = self.issue(&what);
        let queued = self.queue_rename(&issued, from, to);
        let (to, from_dir) = (to.to_owned(), from.parent().map(Path::to_owned));
        self.after(issued, move |core, issued| {
            let ino = queued?;
            core.complete(issued.op);
            let Some(ino) = ino else { return Ok(()) };
            let dirs = [from_dir, to.parent().map(Path::to_owned)];
            core.renamed.insert(ino, dirs.into_iter().flatten().collect());
            if to.extension().is_some_and(|e| e == "tmp")
                && let Some(f) = core.state.files.get_mut(&ino)
            {
                f.sealed = Rc::default();
            }
            Ok(())
        })
        .await
    }

    /// Queues the rename of a file, or of a directory: then without a number.
    fn queue_rename(&self, issued: &Issued, from: &Path, to: &Path) -> io::Result<Option<Ino>> {
        let mut core = self.core();
        let rename = core.state.rename(from, to).ok_or_else(enoent)?;
        let ino = match &rename {
            Body::Rename { ino, .. } => Some(*ino),
            _ => None,
        };
        let error = match (ino, core.state.dir(to), core.state.lookup(to)) {
            (Some(_), Some(_), _) => libc::EISDIR,
            (None, _, Some(_)) => libc::ENOTDIR,
            (None, Some(_), _) if from != to && !core.state.is_empty_dir(to) => libc::ENOTEMPTY,
            (None, ..) if from != to && to.starts_with(from) => libc::EINVAL,
            _ => 0,
        };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        let dirty = match ino {
            Some(ino) => core.is_dirty(ino),
            None => core.is_dirty_below(from),
        };
        if dirty {
            core.violate(issued.op, BadManner::RenamedUnsynced, from, 0);
        }
        if issued.has(FaultKind::RenameEio) {
            return Err(eio());
        }
        if let Some(ino) = ino {
            core.check_part_list(issued.op, ino, to);
        }
        core.push(issued.op, rename);
        Ok(ino)
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        let issued = self.issue(&Issue::new(OpKind::Remove, path));
        let queued = {
            let mut core = self.core();
            match (core.state.lookup(path), core.state.place(path)) {
                (Some(_), Some((dir, name))) => {
                    core.push(issued.op, Body::Unlink { dir, name });
                    Ok(())
                }
                _ => Err(enoent()),
            }
        };
        self.after(issued, move |core, issued| {
            queued?;
            core.complete(issued.op);
            Ok(())
        })
        .await
    }

    async fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let issued = self.issue(&Issue::new(OpKind::RemoveDir, path));
        let path = path.to_owned();
        self.after(issued, move |core, _| {
            if core.state.dir(&path).is_none() {
                return Err(enoent());
            }
            if !core.state.is_empty_dir(&path) {
                return Err(io::Error::from_raw_os_error(libc::ENOTEMPTY));
            }
            core.state.remove_dir(&path);
            Ok(())
        })
        .await
    }

    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let issued = self.issue(&Issue::new(OpKind::SyncDir, path));
        let covered = self.core().state.done_in(path);
        let path = path.to_owned();
        self.after(issued, move |core, issued| {
            if core.state.dir(&path).is_none() {
                return Err(enoent());
            }
            if issued.has(FaultKind::SyncDirEio) {
                return Err(eio());
            }
            core.state.settle_dir(&path, &covered);
            core.renamed.retain(|_, dirs| {
                dirs.remove(&path);
                !dirs.is_empty()
            });
            Ok(())
        })
        .await
    }

    async fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let issued = self.issue(&Issue::new(OpKind::Read, path));
        let path = path.to_owned();
        self.after(issued, move |core, issued| {
            if issued.has(FaultKind::ReadEio) {
                return Err(eio());
            }
            let id = core.state.dir(&path).ok_or_else(enoent)?;
            let d = core.state.dirs.get(&id).ok_or_else(enoent)?;
            let files = d.volatile.iter().map(|(name, ino)| DirEntry {
                name: name.clone(),
                bytes: core.state.files.get(ino).map_or(0, |f| f.volatile.size),
                is_dir: false,
            });
            let below = core.state.paths.keys().filter_map(|k| {
                let (parent, name) = split(k)?;
                (parent == path).then(|| DirEntry { name: name.to_owned(), bytes: 0, is_dir: true })
            });
            let mut rows: Vec<DirEntry> = files.chain(below).collect();
            rows.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(rows)
        })
        .await
    }

    async fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let issued = self.issue(&Issue::new(OpKind::CreateDir, path));
        let path = path.to_owned();
        self.after(issued, move |core, _| {
            for dir in path.ancestors() {
                if core.state.lookup(dir).is_some() {
                    return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
                }
            }
            core.state.create_dirs(&path);
            Ok(())
        })
        .await
    }
}

impl Disk for SimDisk {
    fn driver(&self) -> &'static str {
        "sim"
    }

    fn alignment(&self) -> usize {
        self.core().cfg.alignment
    }

    fn open<'a>(
        &'a self,
        path: &'a Path,
        access: Access,
        via: Caching,
    ) -> LocalFuture<'a, io::Result<Rc<dyn File>>> {
        Box::pin(self.open_file(path, access, via))
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(self.rename_file(from, to))
    }

    fn remove<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(self.remove_file(path))
    }

    fn remove_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(self.remove_directory(path))
    }

    fn sync_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(self.sync_directory(path))
    }

    fn list<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Vec<DirEntry>>> {
        Box::pin(self.list_dir(path))
    }

    fn create_dir_all<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(self.create_dirs(path))
    }

    fn space<'a>(&'a self, _path: &'a Path) -> LocalFuture<'a, io::Result<Space>> {
        Box::pin(async move {
            let core = self.core();
            Ok(Space { free: core.free(self.now_us()), total: core.cfg.capacity })
        })
    }
}
