//! A disk that does less than it says: what deliberate bugs of moon-migrate would make of the shipped code.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::marker::Marker;
use moon_storage::io::{Access, Caching, DirEntry, Disk, File, LocalFuture, Space};
use moon_storage::marker;
use moon_storage::migration::{journal, new_tree, parent};

use crate::bugs::MigrationBug;

/// See the module page.
pub(crate) struct Door {
    inner: Rc<dyn Disk>,
    bug: MigrationBug,
    /// The target of the migration.
    to: PathBuf,
    /// The journal that is being written says that names are about to change.
    announces: Rc<Cell<bool>>,
}

impl Door {
    pub(crate) fn new(inner: Rc<dyn Disk>, bug: MigrationBug, to: &Path) -> Door {
        Door { inner, bug, to: to.into(), announces: Rc::default() }
    }

    fn is_journal(&self, path: &Path) -> bool {
        path.with_extension("") == journal(&self.to)
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
            let syncs = match self.bug {
                MigrationBug::JournalUnsynced => !self.is_journal(path),
                MigrationBug::TreeUnsynced => !path.starts_with(new_tree(&self.to)),
                _ => true,
            };
            let announces = self.is_journal(path).then(|| Rc::clone(&self.announces));
            let file: Rc<dyn File> = Rc::new(DoorFile { inner, syncs, announces });
            Ok(file)
        })
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        if self.bug == MigrationBug::SwapUnannounced
            && self.announces.get()
            && self.is_journal(from)
        {
            return Box::pin(async { Ok(()) });
        }
        self.inner.rename(from, to)
    }

    fn remove<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        self.inner.remove(path)
    }

    fn remove_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        self.inner.remove_dir(path)
    }

    fn sync_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        if self.bug == MigrationBug::NamesUnsynced && path == parent(&self.to) {
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
            if self.bug != MigrationBug::MarkerFirst || path != new_tree(&self.to) {
                return Ok(());
            }
            let extra = Vec::new();
            let early = Marker { uuid: [9; 16], shards: 1, databases: 16, created_ms: 1, extra };
            marker::write(&*self.inner, path, &early).await.map_err(io::Error::other)
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
