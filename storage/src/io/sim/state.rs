//! What the simulated device holds: a stable state and the operations that are not stable yet.
//!
//! Invariants:
//! * `stable` changes only when a sync completes (or a power loss picks an image).
//! * `volatile` is `stable` plus every completed operation: what a running process sees.
//! * `pending` lists, in order of issue, every operation that is in flight or not yet synced.
//!
//! A directory has an identity of its own, and its path is a name that it has: a renamed directory keeps what is in it,
//! whatever becomes of its new name.
//!
//! A state is a tree of reference-counted parts, so a copy at every stop point is cheap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::content::{Content, PAGE};

/// Identity of a file, whatever its name.
pub(super) type Ino = u64;
/// Identity of a directory, whatever its path.
pub(super) type DirId = u64;
/// Names of the files of one directory.
pub(super) type Names = Rc<BTreeMap<String, Ino>>;
/// Paths of all directories.
pub(super) type Paths = Rc<BTreeMap<PathBuf, DirId>>;

#[derive(Clone, Default)]
pub(super) struct FileState {
    pub(super) stable: Content,
    pub(super) volatile: Content,
    /// Blocks written with data and covered by a completed sync since the file was last put under a `.tmp` name.
    pub(super) sealed: Rc<Vec<u64>>,
}

impl FileState {
    pub(super) fn is_sealed(&self, block: u64) -> bool {
        self.sealed.get((block / 64) as usize).is_some_and(|w| w >> (block % 64) & 1 == 1)
    }

    pub(super) fn seal(&mut self, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        let bits = Rc::make_mut(&mut self.sealed);
        for block in offset / PAGE as u64..=(offset + len - 1) / PAGE as u64 {
            let word = (block / 64) as usize;
            if bits.len() <= word {
                bits.resize(word + 1, 0);
            }
            bits[word] |= 1 << (block % 64);
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct DirState {
    pub(super) stable: Names,
    pub(super) volatile: Names,
}

/// Effect of one operation.
pub(super) enum Body {
    Data {
        ino: Ino,
        offset: u64,
        bytes: Vec<u8>,
    },
    Zeros {
        ino: Ino,
        offset: u64,
        len: u64,
    },
    /// The file is at least this long.
    Grow {
        ino: Ino,
        size: u64,
    },
    /// The file is exactly this long.
    Truncate {
        ino: Ino,
        size: u64,
    },
    Link {
        dir: DirId,
        name: String,
        ino: Ino,
    },
    Unlink {
        dir: DirId,
        name: String,
    },
    Rename {
        from: (DirId, String),
        to: (DirId, String),
        ino: Ino,
    },
    /// A directory gets another path; it leaves the directory `from`.
    Move {
        from: DirId,
        to: (DirId, String),
        id: DirId,
    },
}

impl Body {
    /// File whose bytes or size this changes.
    pub(super) fn file(&self) -> Option<Ino> {
        match self {
            Body::Data { ino, .. }
            | Body::Zeros { ino, .. }
            | Body::Grow { ino, .. }
            | Body::Truncate { ino, .. } => Some(*ino),
            _ => None,
        }
    }

    /// Whether this changes names in a directory.
    pub(super) fn touches(&self, dir: DirId) -> bool {
        match self {
            Body::Link { dir: d, .. } | Body::Unlink { dir: d, .. } => *d == dir,
            Body::Rename { from: (from, _), to, .. } | Body::Move { from, to, .. } => {
                *from == dir || to.0 == dir
            }
            _ => false,
        }
    }

    /// Bytes range of a data operation.
    pub(super) fn range(&self) -> Option<(Ino, u64, u64)> {
        match self {
            Body::Data { ino, offset, bytes } => Some((*ino, *offset, bytes.len() as u64)),
            Body::Zeros { ino, offset, len } => Some((*ino, *offset, *len)),
            _ => None,
        }
    }
}

#[derive(Clone)]
pub(super) struct Pending {
    /// Number of the operation in the log.
    pub(super) op: u64,
    pub(super) body: Rc<Body>,
    /// Completed: the process has been told.
    pub(super) done: bool,
    /// For a rename between directories: which of the two has been synced (from, to).
    pub(super) synced: (bool, bool),
}

#[derive(Clone, Default)]
pub(super) struct DiskState {
    pub(super) files: BTreeMap<Ino, FileState>,
    pub(super) dirs: BTreeMap<DirId, DirState>,
    /// Paths that a power loss leaves.
    pub(super) stable_paths: Paths,
    /// Paths that the process sees.
    pub(super) paths: Paths,
    pub(super) pending: Vec<Pending>,
    /// Of files and directories.
    pub(super) next_ino: Ino,
}

/// Which of the two versions an operation is applied to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Stable,
    Volatile,
}

impl DiskState {
    /// An empty device with a root directory.
    pub(super) fn new() -> Self {
        let root: Paths = Rc::new(BTreeMap::from([(PathBuf::from("/"), 0)]));
        Self {
            dirs: BTreeMap::from([(0, DirState::default())]),
            stable_paths: Rc::clone(&root),
            paths: root,
            next_ino: 1,
            ..Self::default()
        }
    }

    /// The directory at a path as the process sees it.
    pub(super) fn dir(&self, path: &Path) -> Option<DirId> {
        self.paths.get(path).copied()
    }

    /// Directory and name of a path, if the directory is there.
    pub(super) fn place(&self, path: &Path) -> Option<(DirId, String)> {
        let (dir, name) = split(path)?;
        Some((self.dir(dir)?, name.to_owned()))
    }

    /// Inode behind a path as the process sees it.
    pub(super) fn lookup(&self, path: &Path) -> Option<Ino> {
        let (dir, name) = split(path)?;
        self.dirs.get(&self.dir(dir)?)?.volatile.get(name).copied()
    }

    /// A name of a file as the process sees it.
    pub(super) fn name_of(&self, ino: Ino) -> Option<PathBuf> {
        self.paths.iter().find_map(|(path, id)| {
            let (name, _) = self.dirs.get(id)?.volatile.iter().find(|(_, i)| **i == ino)?;
            Some(path.join(name))
        })
    }

    /// The directories at a path and below as the process sees them.
    pub(super) fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = DirId> + 'a {
        self.paths.iter().filter(move |(p, _)| p.starts_with(path)).map(|(_, id)| *id)
    }

    /// Whether nothing is in a directory, and no crash could bring a name in it back.
    pub(super) fn is_empty_dir(&self, path: &Path) -> bool {
        let Some(id) = self.dir(path) else { return true };
        let names = self.dirs.get(&id);
        let unnamed = names.is_none_or(|d| d.stable.is_empty() && d.volatile.is_empty());
        unnamed
            && self.paths.keys().all(|other| other.parent() != Some(path))
            && self.pending.iter().all(|p| !p.body.touches(id))
    }

    /// Makes a directory and its parents, for good.
    pub(super) fn create_dirs(&mut self, path: &Path) {
        let missing: Vec<&Path> = path
            .ancestors()
            .filter(|d| !d.as_os_str().is_empty() && self.dir(d).is_none())
            .collect();
        for dir in missing.into_iter().rev() {
            let Some((parent, name)) = self.place(dir) else { continue };
            let id = self.next_ino;
            self.next_ino += 1;
            self.dirs.insert(id, DirState::default());
            Rc::make_mut(&mut self.paths).insert(dir.to_owned(), id);
            // The parent may have a new name that is not stable yet.
            let at = self.stable_paths.iter().find(|(_, i)| **i == parent);
            if let Some(at) = at.map(|(at, _)| at.join(name)) {
                Rc::make_mut(&mut self.stable_paths).insert(at, id);
            }
        }
    }

    /// Removes a directory, for good.
    pub(super) fn remove_dir(&mut self, path: &Path) {
        let Some(id) = Rc::make_mut(&mut self.paths).remove(path) else { return };
        Rc::make_mut(&mut self.stable_paths).retain(|_, i| *i != id);
        self.dirs.remove(&id);
    }

    /// The rename of a file or a directory; `None` if it, or the directory it goes to, is not there.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Option<Body> {
        let (source, target) = (self.place(from)?, self.place(to)?);
        if let Some(id) = self.dir(from) {
            return Some(Body::Move { from: source.0, to: target, id });
        }
        let ino = self.lookup(from)?;
        Some(Body::Rename { from: source, to: target, ino })
    }

    /// Applies an operation to one version.
    pub(super) fn apply(&mut self, body: &Body, to: Version) {
        if let Some(ino) = body.file() {
            let Some(f) = self.files.get_mut(&ino) else {
                return;
            };
            let c = match to {
                Version::Stable => &mut f.stable,
                Version::Volatile => &mut f.volatile,
            };
            apply_file(c, body);
        } else {
            self.apply_name(body, to);
        }
    }

    /// Applies a name operation to one version.
    fn apply_name(&mut self, body: &Body, to: Version) {
        let Body::Move { to: (parent, name), id, .. } = body else {
            return apply_name(&mut self.dirs, body, to);
        };
        let paths = match to {
            Version::Stable => &mut self.stable_paths,
            Version::Volatile => &mut self.paths,
        };
        let at = |wanted: &DirId| paths.iter().find(|(_, i)| *i == wanted).map(|(p, _)| p.clone());
        let (Some(old), Some(parent)) = (at(id), at(parent)) else { return };
        let new = parent.join(name);
        let paths = Rc::make_mut(paths);
        // One that was there was empty and goes.
        paths.remove(&new);
        let moved: Vec<PathBuf> = paths.keys().filter(|p| p.starts_with(&old)).cloned().collect();
        for path in moved {
            if let (Some(id), Ok(rest)) = (paths.remove(&path), path.strip_prefix(&old)) {
                // Joining nothing would leave a trailing separator.
                let path = if rest.as_os_str().is_empty() { new.clone() } else { new.join(rest) };
                paths.insert(path, id);
            }
        }
    }

    /// Completed operations on a file's bytes and size.
    pub(super) fn done_on(&self, ino: Ino) -> Vec<u64> {
        self.pending.iter().filter(|p| p.done && p.body.file() == Some(ino)).map(|p| p.op).collect()
    }

    /// Completed operations on names in a directory.
    pub(super) fn done_in(&self, path: &Path) -> Vec<u64> {
        let Some(dir) = self.dir(path) else { return Vec::new() };
        self.pending.iter().filter(|p| p.done && p.body.touches(dir)).map(|p| p.op).collect()
    }

    /// Takes the file operations `ops` of a file off the list.
    pub(super) fn take_file(&mut self, ino: Ino, ops: &[u64]) -> Vec<Rc<Body>> {
        let mut taken = Vec::new();
        self.pending.retain(|p| {
            let hit = p.body.file() == Some(ino) && ops.contains(&p.op);
            if hit {
                taken.push(Rc::clone(&p.body));
            }
            !hit
        });
        taken
    }

    /// Makes the bytes and size that operations `ops` gave a file stable; their blocks are sealed.
    pub(super) fn settle_file(&mut self, ino: Ino, ops: &[u64]) {
        let settled = self.take_file(ino, ops);
        let Some(f) = self.files.get_mut(&ino) else {
            return;
        };
        for body in &settled {
            apply_file(&mut f.stable, body);
            if let Body::Data { offset, bytes, .. } = &**body {
                f.seal(*offset, bytes.len() as u64);
            }
        }
    }

    /// Makes the name changes `ops` stable as far as a directory is concerned.
    pub(super) fn settle_dir(&mut self, path: &Path, ops: &[u64]) {
        let Some(dir) = self.dir(path) else { return };
        let mut settled = Vec::new();
        self.pending.retain_mut(|p| {
            if !ops.contains(&p.op) || p.body.file().is_some() {
                return true;
            }
            if let Body::Rename { from: (from, _), to, .. } | Body::Move { from, to, .. } = &*p.body
            {
                p.synced.0 |= *from == dir;
                p.synced.1 |= to.0 == dir;
                if !(p.synced.0 && p.synced.1) {
                    return true;
                }
            }
            settled.push(Rc::clone(&p.body));
            false
        });
        for body in &settled {
            self.apply_name(body, Version::Stable);
        }
    }

    /// Forgets files that no name leads to.
    pub(super) fn collect_unnamed(&mut self) {
        let mut named: BTreeSet<Ino> = BTreeSet::new();
        for d in self.dirs.values() {
            named.extend(d.stable.values().chain(d.volatile.values()));
        }
        self.files.retain(|ino, _| named.contains(ino));
    }
}

/// Applies a data or size operation.
pub(super) fn apply_file(c: &mut Content, body: &Body) {
    match body {
        Body::Data { offset, bytes, .. } => c.write(*offset, bytes),
        Body::Zeros { offset, len, .. } => c.zero(*offset, *len),
        Body::Grow { size, .. } => c.size = c.size.max(*size),
        Body::Truncate { size, .. } => c.truncate(*size),
        Body::Link { .. } | Body::Unlink { .. } | Body::Rename { .. } | Body::Move { .. } => {}
    }
}

/// Applies an operation on the name of a file.
fn apply_name(dirs: &mut BTreeMap<DirId, DirState>, body: &Body, to: Version) {
    let mut with = |dir: DirId, f: &mut dyn FnMut(&mut BTreeMap<String, Ino>)| {
        if let Some(d) = dirs.get_mut(&dir) {
            f(Rc::make_mut(match to {
                Version::Stable => &mut d.stable,
                Version::Volatile => &mut d.volatile,
            }));
        }
    };
    match body {
        Body::Link { dir, name, ino } => with(*dir, &mut |n| {
            n.insert(name.clone(), *ino);
        }),
        Body::Unlink { dir, name } => with(*dir, &mut |n| {
            n.remove(name);
        }),
        Body::Rename { from, to, ino } => {
            with(from.0, &mut |n| {
                // Under an image that dropped an earlier name change the source may be another file.
                if n.get(&from.1) == Some(ino) {
                    n.remove(&from.1);
                }
            });
            with(to.0, &mut |n| {
                n.insert(to.1.clone(), *ino);
            });
        }
        _ => {}
    }
}

/// Directory and file name of a path.
pub(super) fn split(path: &Path) -> Option<(&Path, &str)> {
    Some((path.parent()?, path.file_name()?.to_str()?))
}
