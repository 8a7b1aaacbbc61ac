//! A log of operations of the real program, played on the simulated device: what power loss at any
//! of them would have left.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::image::{self, Image};
use super::state::{Body, DiskState, FileState, Ino, Pending, Version};
use crate::io::record::kind;

/// One event of a log.
struct Event {
    kind: u8,
    op: u64,
    us: u64,
    file: u64,
    at: u64,
    paths: Vec<PathBuf>,
    bytes: Rc<[u8]>,
    /// Bytes of the log up to the end of this event.
    end: u64,
}

/// The log of one process that began with an empty directory.
pub struct Trace {
    events: Vec<Event>,
}

/// What is left of a directory.
#[derive(Debug, Default)]
pub struct Left {
    /// Directories, relative to the data directory.
    pub dirs: Vec<PathBuf>,
    /// Files likewise, with their bytes.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// A log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTrace {
    /// Where, in bytes.
    pub offset: usize,
}

impl fmt::Display for BadTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log of operations is not readable at byte {}", self.offset)
    }
}

impl std::error::Error for BadTrace {}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
    }

    /// A path below `root`, as the device has it.
    fn path(&mut self, root: &Path) -> Option<PathBuf> {
        let len = self.u32()? as usize;
        let text = std::str::from_utf8(self.take(len)?).ok()?;
        let path = Path::new(text);
        Some(Path::new("/").join(path.strip_prefix(root).unwrap_or(path)))
    }
}

fn event(body: &[u8], root: &Path, end: u64) -> Option<Event> {
    let mut r = Reader(body);
    let kind = r.take(1)?[0];
    let (op, us, file, at) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
    let count = match kind {
        kind::RENAME => 2,
        kind::CREATE
        | kind::OPEN
        | kind::REMOVE
        | kind::SYNC_DIR
        | kind::CREATE_DIR
        | kind::REMOVE_DIR => 1,
        _ => 0,
    };
    let paths = (0..count).map(|_| r.path(root)).collect::<Option<Vec<_>>>()?;
    let len = usize::try_from(r.u64()?).ok()?;
    let bytes = r.take(len)?.into();
    Some(Event { kind, op, us, file, at, paths, bytes, end })
}

impl Trace {
    /// Reads a log whose last event may be cut; paths are those below `root`.
    ///
    /// # Errors
    /// What stands there is no event.
    pub fn read(bytes: &[u8], root: &Path) -> Result<Trace, BadTrace> {
        let mut r = Reader(bytes);
        let mut events = Vec::new();
        loop {
            let offset = bytes.len() - r.0.len();
            let Some(len) = r.u32() else { break };
            let Some(body) = r.take(len as usize) else { break };
            let end = (bytes.len() - r.0.len()) as u64;
            events.push(event(body, root, end).ok_or(BadTrace { offset })?);
        }
        Ok(Trace { events })
    }

    /// How many events there are: power can be lost behind each, and before the first.
    pub fn stops(&self) -> usize {
        self.events.len()
    }

    /// Bytes of the log, and microseconds since 1970, at a stop.
    pub fn position(&self, stop: usize) -> (u64, u64) {
        stop.checked_sub(1).and_then(|i| self.events.get(i)).map_or((0, 0), |e| (e.end, e.us))
    }

    /// What a power loss leaves behind the first `stop` events.
    pub fn image(&self, stop: usize, image: Image, seed: u64) -> Left {
        let mut played = Played::new();
        self.events.iter().take(stop).for_each(|e| played.play(e));
        let after = image::power_loss(&played.state, image, seed);
        let mut left = Left::default();
        for (dir, id) in after.paths.iter() {
            let Some(names) = after.dirs.get(id) else { continue };
            let relative = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
            left.dirs.push(relative(dir));
            for (name, ino) in names.stable.iter() {
                let Some(file) = after.files.get(ino) else { continue };
                let mut bytes = vec![0; file.stable.size as usize];
                file.stable.read(0, &mut bytes);
                left.files.push((relative(&dir.join(name)), bytes));
            }
        }
        left
    }
}

/// A device on which a log is played.
struct Played {
    state: DiskState,
    files: BTreeMap<u64, Ino>,
    /// What syncs in flight cover: the file or directory, and the operations done before.
    syncs: BTreeMap<u64, (Target, Vec<u64>)>,
}

enum Target {
    File(Ino),
    Dir(PathBuf),
}

impl Played {
    fn new() -> Played {
        Played { state: DiskState::new(), files: BTreeMap::new(), syncs: BTreeMap::new() }
    }

    fn push(&mut self, op: u64, body: Body) {
        let body = Rc::new(body);
        self.state.pending.push(Pending { op, body, done: false, synced: (false, false) });
    }

    fn play(&mut self, e: &Event) {
        let ino = self.files.get(&e.file).copied();
        match (e.kind, e.paths.as_slice(), ino) {
            (kind::CREATE, [path], _) => {
                let Some((dir, name)) = self.state.place(path) else { return };
                let ino = self.state.next_ino;
                self.state.next_ino += 1;
                self.state.files.insert(ino, FileState::default());
                self.files.insert(e.file, ino);
                self.push(e.op, Body::Link { dir, name, ino });
            }
            (kind::OPEN, [path], _) => {
                if let Some(ino) = self.state.lookup(path) {
                    self.files.insert(e.file, ino);
                }
            }
            (kind::RENAME, [from, to], _) => {
                if let Some(rename) = self.state.rename(from, to) {
                    self.push(e.op, rename);
                }
            }
            (kind::REMOVE, [path], _) => {
                let Some((dir, name)) = self.state.place(path) else { return };
                if self.state.lookup(path).is_some() {
                    self.push(e.op, Body::Unlink { dir, name });
                }
            }
            (kind::SYNC_DIR, [path], _) => {
                let covered = self.state.done_in(path);
                self.syncs.insert(e.op, (Target::Dir(path.clone()), covered));
            }
            (kind::CREATE_DIR, [path], _) => {
                // Durable when it returns; before, nothing is in it.
                self.state.create_dirs(path);
            }
            // Without names in it, whether it is there makes no difference to a start.
            (kind::REMOVE_DIR, [path], _) if self.state.is_empty_dir(path) => {
                self.state.remove_dir(path);
            }
            (kind::WRITE, _, Some(ino)) => {
                let bytes = e.bytes.to_vec();
                let end = e.at + bytes.len() as u64;
                self.push(e.op, Body::Data { ino, offset: e.at, bytes });
                self.push(e.op, Body::Grow { ino, size: end });
            }
            (kind::PREALLOCATE, _, Some(ino)) => {
                let size = self.state.files.get(&ino).map_or(0, |f| f.volatile.size);
                if e.at > size {
                    self.push(e.op, Body::Zeros { ino, offset: size, len: e.at - size });
                    self.push(e.op, Body::Grow { ino, size: e.at });
                }
            }
            (kind::TRUNCATE, _, Some(ino)) => self.push(e.op, Body::Truncate { ino, size: e.at }),
            (kind::SYNC, _, Some(ino)) => {
                let covered = self.state.done_on(ino);
                self.syncs.insert(e.op, (Target::File(ino), covered));
            }
            (kind::END, ..) => self.end(e.op, e.file == 1),
            _ => {}
        }
    }

    fn end(&mut self, op: u64, succeeded: bool) {
        if !succeeded {
            // Whatever it has done stays in doubt: the image decides.
            self.syncs.remove(&op);
            return;
        }
        match self.syncs.remove(&op) {
            Some((Target::File(ino), covered)) => self.state.settle_file(ino, &covered),
            Some((Target::Dir(dir), covered)) => self.state.settle_dir(&dir, &covered),
            None => {
                let mut bodies = Vec::new();
                for p in self.state.pending.iter_mut().filter(|p| p.op == op && !p.done) {
                    p.done = true;
                    bodies.push(Rc::clone(&p.body));
                }
                bodies.iter().for_each(|body| self.state.apply(body, Version::Volatile));
            }
        }
    }
}
