//! A disk that does less than it says, or in another order: what deliberate bugs of the tools and of saves would make of
//! the shipped code.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::marker::Marker;
use moon_formats::names;
use moon_storage::io::{Access, Caching, DirEntry, Disk, File, LocalFuture, Space};
use moon_storage::marker;
use moon_storage::whole;

/// What is not done as it is told.
pub(crate) enum Lie {
    /// Syncs of these files do nothing.
    Unsynced(Box<dyn Fn(&Path) -> bool>),
    /// Syncs of these directories do nothing.
    NamesUnsynced(Box<dyn Fn(&Path) -> bool>),
    /// The directory gets its marker when it, or one below it, is made.
    MarkedFirst(PathBuf, Marker),
    /// What this journal says of a swap does not get its name.
    Unannounced(PathBuf),
    /// What has this name is removed before something else gets it.
    RemovedFirst(PathBuf),
    /// The list of a backup is the last of its files that is removed.
    ListLast,
}

/// See the module page.
pub(crate) struct Door {
    inner: Rc<dyn Disk>,
    lie: Lie,
    /// The journal that is being written says that names are about to change.
    announces: Rc<Cell<bool>>,
}

impl Door {
    /// A device with a door before it.
    pub(crate) fn before(inner: Rc<dyn Disk>, lie: Lie) -> Rc<dyn Disk> {
        Rc::new(Door { inner, lie, announces: Rc::default() })
    }

    /// Whether what is written to `path` becomes the journal of the swap that is not announced.
    fn is_journal(&self, path: &Path) -> bool {
        matches!(&self.lie, Lie::Unannounced(journal) if path.with_extension("") == *journal)
    }
}

/// A file whose syncs may do nothing.
struct DoorFile {
    inner: Rc<dyn File>,
    syncs: bool,
    announces: Option<Rc<Cell<bool>>>,
}

impl Disk for Door {
    fn driver(&self) -> &'static str {
        self.inner.driver()
    }

    fn alignment(&self) -> usize {
        self.inner.alignment()
    }

    fn open<'a>(
        &'a self,
        path: &'a Path,
        access: Access,
        via: Caching,
    ) -> LocalFuture<'a, io::Result<Rc<dyn File>>> {
        Box::pin(async move {
            let inner = self.inner.open(path, access, via).await?;
            let syncs = !matches!(&self.lie, Lie::Unsynced(files) if files(path));
            let announces = self.is_journal(path).then(|| Rc::clone(&self.announces));
            let file: Rc<dyn File> = Rc::new(DoorFile { inner, syncs, announces });
            Ok(file)
        })
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        if self.announces.get() && self.is_journal(from) {
            return Box::pin(async { Ok(()) });
        }
        Box::pin(async move {
            if matches!(&self.lie, Lie::RemovedFirst(name) if name == to) {
                whole::remove(&*self.inner, to).await?;
            }
            self.inner.rename(from, to).await
        })
    }

    fn remove<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        if matches!(self.lie, Lie::ListLast) && path.ends_with(names::BACKUP) {
            return Box::pin(async { Ok(()) });
        }
        self.inner.remove(path)
    }

    fn remove_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(async move {
            if matches!(self.lie, Lie::ListLast) {
                whole::remove(&*self.inner, &path.join(names::BACKUP)).await?;
                self.inner.sync_dir(path).await?;
            }
            self.inner.remove_dir(path).await
        })
    }

    fn sync_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        if matches!(&self.lie, Lie::NamesUnsynced(dirs) if dirs(path)) {
            return Box::pin(async { Ok(()) });
        }
        self.inner.sync_dir(path)
    }

    fn list<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Vec<DirEntry>>> {
        self.inner.list(path)
    }

    fn create_dir_all<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.inner.create_dir_all(path).await?;
            match &self.lie {
                Lie::MarkedFirst(dir, early) if path.starts_with(dir) => {
                    marker::write(&*self.inner, dir, early).await.map_err(io::Error::other)
                }
                _ => Ok(()),
            }
        })
    }

    fn space<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Space>> {
        self.inner.space(path)
    }
}

impl File for DoorFile {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        self.inner.read_at(offset, len)
    }

    fn write_at<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> LocalFuture<'a, io::Result<usize>> {
        if let Some(announces) = &self.announces {
            announces.set(bytes.windows(14).any(|w| w == b"state swapping"));
        }
        self.inner.write_at(offset, bytes)
    }

    fn write_now(&self, offset: u64, bytes: &[u8]) -> Option<io::Result<usize>> {
        self.inner.write_now(offset, bytes)
    }

    fn sync(&self) -> LocalFuture<'_, io::Result<()>> {
        match self.syncs {
            true => self.inner.sync(),
            false => Box::pin(async { Ok(()) }),
        }
    }

    fn preallocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        self.inner.preallocate(len)
    }

    fn truncate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        self.inner.truncate(len)
    }
}
