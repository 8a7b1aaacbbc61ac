//! What a run works on: the disk that it writes, whose time it is, and how directories are locked.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use moon_storage::io::local::LocalRuntime;
use moon_storage::io::lock::{DirLock, LockError};
use moon_storage::io::posix::PosixDisk;
use moon_storage::io::{Disk, Runtime};

use crate::fail::Failure;

/// See the module page. Directories of Moon are read and written through it; files of Redis and directories of the
/// reference are read where they are.
#[derive(Clone)]
pub struct Host {
    /// Where directories of Moon are.
    pub disk: Rc<dyn Disk>,
    /// Runs what writes them.
    pub rt: Rc<dyn Runtime>,
    /// Keeps servers out of a directory; `None` where there are no others.
    pub lock: fn(&Path) -> Result<Option<DirLock>, LockError>,
    /// Makes the identity of a new directory.
    pub uuid: fn() -> io::Result<[u8; 16]>,
}

impl Host {
    /// This machine.
    pub fn new(rt: &LocalRuntime) -> Host {
        Host {
            disk: Rc::new(PosixDisk::new()),
            rt: rt.as_dyn(),
            lock: |dir| DirLock::acquire(dir).map(Some),
            uuid: || {
                let mut uuid = [0; 16];
                File::open("/dev/urandom")?.read_exact(&mut uuid)?;
                Ok(uuid)
            },
        }
    }

    /// Takes a directory, whose server must have stopped.
    pub(crate) fn locked(&self, dir: &Path) -> Result<Option<DirLock>, Failure> {
        (self.lock)(dir).map_err(|e| Failure::environment(format!("{e}; stop it first")))
    }

    /// The same for one who holds the lock of a directory already.
    pub(crate) fn holding(&self) -> Host {
        Host { lock: |_| Ok(None), ..self.clone() }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.rt.wall_us() / 1000).unwrap_or(0)
    }
}
