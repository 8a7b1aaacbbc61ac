//! Driver `record`: another driver, and a log of every operation, so that the images a power loss
//! could have left of the real program can be built afterwards ([`crate::io::sim::Trace`]).
//!
//! Only test builds have it (feature `failpoints`). An event is written whole before the operation
//! goes on, so the log never lacks what the device may have. Integers are little-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | length of what follows |
//! | 1 | kind: 1 create, 2 open, 3 write, 4 sync, 5 preallocate, 6 truncate, 7 rename, 8 remove, 9 sync of a directory, 10 creation of directories, 11 removal of a directory; 0 the end of an operation |
//! | 8 | number of the operation |
//! | 8 | microseconds since 1970 |
//! | 8 | number of the file; at an end 1 for success |
//! | 8 | offset, or the new size |
//! | 4 + n | path, and for a rename the path of the target behind it, each with its length |
//! | 8 + n | bytes written, with their length |

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use super::local::wall_us;
use super::{Access, Caching, DirEntry, Disk, File, LocalFuture, Space};

/// Kinds of events.
pub(crate) mod kind {
    pub(crate) const END: u8 = 0;
    pub(crate) const CREATE: u8 = 1;
    pub(crate) const OPEN: u8 = 2;
    pub(crate) const WRITE: u8 = 3;
    pub(crate) const SYNC: u8 = 4;
    pub(crate) const PREALLOCATE: u8 = 5;
    pub(crate) const TRUNCATE: u8 = 6;
    pub(crate) const RENAME: u8 = 7;
    pub(crate) const REMOVE: u8 = 8;
    pub(crate) const SYNC_DIR: u8 = 9;
    pub(crate) const CREATE_DIR: u8 = 10;
    pub(crate) const REMOVE_DIR: u8 = 11;
}

struct Shared {
    out: std::fs::File,
    next_op: Cell<u64>,
    next_file: Cell<u64>,
}

/// What an event says beside its kind.
#[derive(Default)]
struct Said<'a> {
    file: u64,
    at: u64,
    path: Option<&'a Path>,
    to: Option<&'a Path>,
    bytes: &'a [u8],
}

impl Shared {
    fn say(&self, kind: u8, op: u64, said: &Said<'_>) -> io::Result<()> {
        let mut event = vec![0; 4];
        event.push(kind);
        event.extend(op.to_le_bytes());
        event.extend((wall_us().max(0) as u64).to_le_bytes());
        event.extend(said.file.to_le_bytes());
        event.extend(said.at.to_le_bytes());
        for path in [said.path, said.to].into_iter().flatten() {
            let text = path.as_os_str().as_bytes();
            event.extend((text.len() as u32).to_le_bytes());
            event.extend(text);
        }
        event.extend((said.bytes.len() as u64).to_le_bytes());
        event.extend(said.bytes);
        let len = event.len() as u32 - 4;
        event[..4].copy_from_slice(&len.to_le_bytes());
        (&self.out).write_all(&event)
    }

    fn begin(&self, kind: u8, said: &Said<'_>) -> io::Result<u64> {
        let op = self.next_op.get();
        self.next_op.set(op + 1);
        self.say(kind, op, said)?;
        Ok(op)
    }

    fn end<T>(&self, op: u64, result: io::Result<T>) -> io::Result<T> {
        let file = u64::from(result.is_ok());
        self.say(kind::END, op, &Said { file, ..Said::default() })?;
        result
    }

    async fn around<T>(
        &self,
        kind: u8,
        said: Said<'_>,
        act: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let op = self.begin(kind, &said)?;
        let result = act.await;
        self.end(op, result)
    }
}

/// Another driver, with a log.
pub struct RecordDisk {
    inner: Rc<dyn Disk>,
    shared: Rc<Shared>,
}

impl RecordDisk {
    /// Begins a log, or goes on behind what the file holds.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn new(inner: Rc<dyn Disk>, log: &Path) -> io::Result<RecordDisk> {
        let out = OpenOptions::new().append(true).create(true).open(log)?;
        // An event is longer than a byte, so no number is given twice.
        let first = out.metadata()?.len() + 1;
        let (next_op, next_file) = (Cell::new(first), Cell::new(first));
        let shared = Rc::new(Shared { out, next_op, next_file });
        Ok(RecordDisk { inner, shared })
    }
}

impl Disk for RecordDisk {
    fn driver(&self) -> &'static str {
        "record"
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
            let file = self.shared.next_file.get();
            self.shared.next_file.set(file + 1);
            let kind = if access == Access::CreateNew { kind::CREATE } else { kind::OPEN };
            let said = Said { file, path: Some(path), ..Said::default() };
            let act = self.inner.open(path, access, via);
            let inner = self.shared.around(kind, said, act).await?;
            let file: Rc<dyn File> =
                Rc::new(RecordFile { inner, file, shared: Rc::clone(&self.shared) });
            Ok(file)
        })
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let said = Said { path: Some(from), to: Some(to), ..Said::default() };
        Box::pin(self.shared.around(kind::RENAME, said, self.inner.rename(from, to)))
    }

    fn remove<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let said = Said { path: Some(path), ..Said::default() };
        Box::pin(self.shared.around(kind::REMOVE, said, self.inner.remove(path)))
    }

    fn remove_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let said = Said { path: Some(path), ..Said::default() };
        Box::pin(self.shared.around(kind::REMOVE_DIR, said, self.inner.remove_dir(path)))
    }

    fn sync_dir<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let said = Said { path: Some(path), ..Said::default() };
        Box::pin(self.shared.around(kind::SYNC_DIR, said, self.inner.sync_dir(path)))
    }

    fn list<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Vec<DirEntry>>> {
        self.inner.list(path)
    }

    fn create_dir_all<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        let said = Said { path: Some(path), ..Said::default() };
        Box::pin(self.shared.around(kind::CREATE_DIR, said, self.inner.create_dir_all(path)))
    }

    fn space<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Space>> {
        self.inner.space(path)
    }
}

struct RecordFile {
    inner: Rc<dyn File>,
    file: u64,
    shared: Rc<Shared>,
}

impl RecordFile {
    fn at(&self, at: u64) -> Said<'static> {
        Said { file: self.file, at, ..Said::default() }
    }
}

impl File for RecordFile {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        self.inner.read_at(offset, len)
    }

    fn write_at<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> LocalFuture<'a, io::Result<usize>> {
        let said = Said { bytes, ..self.at(offset) };
        Box::pin(self.shared.around(kind::WRITE, said, self.inner.write_at(offset, bytes)))
    }

    fn write_now(&self, offset: u64, bytes: &[u8]) -> Option<io::Result<usize>> {
        // Told afterwards: whether the file can is not known before. Nobody has been answered yet.
        let result = self.inner.write_now(offset, bytes)?;
        let said = Said { bytes, ..self.at(offset) };
        let told = self.shared.begin(kind::WRITE, &said);
        Some(told.and_then(|op| self.shared.end(op, result)))
    }

    fn sync(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.shared.around(kind::SYNC, self.at(0), self.inner.sync()))
    }

    fn preallocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.shared.around(kind::PREALLOCATE, self.at(len), self.inner.preallocate(len)))
    }

    fn truncate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.shared.around(kind::TRUNCATE, self.at(len), self.inner.truncate(len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::conformance;
    use crate::io::local::LocalRuntime;
    use crate::io::posix::PosixDisk;
    use crate::io::sim::{Image, Trace};

    #[test]
    fn conformance_suite() {
        let dir = conformance::TempDir::new("record");
        let rt = LocalRuntime::new().expect("runtime");
        let log = dir.path().join("log");
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("directory");
        let disk = Rc::new(RecordDisk::new(Rc::new(PosixDisk::new()), &log).expect("log"));
        rt.block_on(conformance::run(disk, rt.as_dyn(), &data));
    }

    /// What was synced is in every image, what was not is in the full one only.
    #[test]
    fn images_of_a_log() {
        let dir = conformance::TempDir::new("record-images");
        let rt = LocalRuntime::new().expect("runtime");
        let log = dir.path().join("log");
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("directory");
        let disk = RecordDisk::new(Rc::new(PosixDisk::new()), &log).expect("log");
        rt.block_on(async {
            let (aside, path) = (data.join("a.tmp"), data.join("a"));
            let f = disk.open(&aside, Access::CreateNew, Caching::Cached).await.expect("create");
            f.write_at(0, &[1; 600]).await.expect("write");
            f.sync().await.expect("sync");
            disk.rename(&aside, &path).await.expect("rename");
            disk.sync_dir(&data).await.expect("sync");
            f.write_at(600, &[2; 600]).await.expect("write");
        });
        let mut bytes = std::fs::read(&log).expect("log");
        // The last event may be cut, as by a kill.
        bytes.extend([9, 0, 0]);
        let trace = Trace::read(&bytes, &data).expect("a log");
        assert_eq!(trace.stops(), 12, "each operation has a beginning and an end");
        let file = |stop, image| {
            let all = trace.image(stop, image, 1).files;
            let found = all.into_iter().find(|(path, _)| path.ends_with("a"));
            found.map(|(_, bytes)| bytes)
        };
        let end = trace.stops();
        assert_eq!(file(end, Image::All).map(|b| b.len()), Some(1200));
        assert_eq!(file(end, Image::None), Some(vec![1; 600]));
        assert_eq!(file(0, Image::All), None);
        // Named, but the name is not durable.
        let named = (0..end).find(|s| file(*s, Image::All).is_some()).expect("it gets its name");
        assert_eq!(file(named, Image::None), None);
    }
}
