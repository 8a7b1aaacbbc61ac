//! The simulated device: operations with numbers, latency, stop points, faults and manners.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::aof::PartList;
use moon_formats::names;

use super::content::PAGE;
use super::fault::{Fault, FaultKind, Faults};
use super::image::{self, Image};
use super::record::{BadManner, Edge, OpKind, OpRecord, StopPoint, Violation};
use super::rng::SimRng;
use super::runtime::SimRuntime;
use super::state::{Body, DiskState, Ino, Pending, Version, split};
use crate::io::task::Promise;
use crate::io::{Disk, Runtime};

/// Virtual time an operation takes, in microseconds, before jitter of up to as much again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Read.
    pub read_us: u64,
    /// Write.
    pub write_us: u64,
    /// Sync of a file or directory.
    pub sync_us: u64,
    /// Everything else.
    pub meta_us: u64,
}

/// Properties of a simulated device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimConfig {
    /// Alignment of direct I/O.
    pub alignment: usize,
    /// Latencies.
    pub latency: Latency,
    /// Keep the state at every stop point.
    pub record: bool,
    /// Size of the device in bytes.
    pub capacity: u64,
    /// Poll ready tasks in an order drawn from the seed.
    pub shuffle: bool,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            alignment: PAGE,
            latency: Latency { read_us: 20, write_us: 15, sync_us: 120, meta_us: 30 },
            record: true,
            capacity: 1 << 40,
            shuffle: false,
        }
    }
}

/// What one process run on the device has done.
pub(super) struct Core {
    pub(super) cfg: SimConfig,
    pub(super) state: DiskState,
    pub(super) rng: SimRng,
    ops: Vec<OpRecord>,
    stops: Vec<(StopPoint, Option<DiskState>)>,
    faults: Faults,
    violations: Vec<Violation>,
    /// Files with a failed write or sync.
    pub(super) suspect: BTreeSet<Ino>,
    /// Directories to sync before a renamed file may be written.
    pub(super) renamed: BTreeMap<Ino, BTreeSet<PathBuf>>,
    /// Ranges that can no longer be written.
    pub(super) bad: Vec<(Ino, u64, u64)>,
    /// Until when the device has no room.
    pub(super) full_until_us: u64,
}

/// A simulated device; cloning gives another handle to the same one.
#[derive(Clone)]
pub struct SimDisk {
    core: Rc<RefCell<Core>>,
    rt: SimRuntime,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.core.borrow();
        f.debug_struct("SimDisk")
            .field("files", &core.state.files.len())
            .field("ops", &core.ops.len())
            .field("pending", &core.state.pending.len())
            .finish_non_exhaustive()
    }
}

/// An operation about to be issued.
pub(super) struct Issue<'a> {
    pub(super) kind: OpKind,
    pub(super) path: &'a Path,
    pub(super) to: Option<&'a Path>,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl<'a> Issue<'a> {
    pub(super) fn new(kind: OpKind, path: &'a Path) -> Self {
        Self { kind, path, to: None, offset: 0, len: 0 }
    }

    pub(super) fn range(mut self, offset: u64, len: u64) -> Self {
        self.offset = offset;
        self.len = len;
        self
    }
}

/// An operation that was issued.
pub(super) struct Issued {
    pub(super) op: u64,
    pub(super) faults: Vec<FaultKind>,
}

impl Issued {
    pub(super) fn has(&self, kind: FaultKind) -> bool {
        self.faults.contains(&kind)
    }
}

pub(super) fn eio() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

pub(super) fn enospc() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

impl Core {
    /// Queues an effect that is in flight.
    pub(super) fn push(&mut self, op: u64, body: Body) {
        self.state.pending.push(Pending {
            op,
            body: Rc::new(body),
            done: false,
            synced: (false, false),
        });
    }

    /// Completes the effects of an operation: the process sees them from now on.
    pub(super) fn complete(&mut self, op: u64) {
        let mut bodies = Vec::new();
        for p in self.state.pending.iter_mut().rev() {
            if p.op == op && !p.done {
                p.done = true;
                bodies.push(Rc::clone(&p.body));
            }
        }
        for body in bodies.iter().rev() {
            self.state.apply(body, Version::Volatile);
        }
    }

    pub(super) fn violate(&mut self, op: u64, manner: BadManner, path: &Path, offset: u64) {
        self.violations.push(Violation { op, manner, path: path.to_owned(), offset });
    }

    /// Checks a write or preallocation of `[offset, offset + len)` before it is queued.
    pub(super) fn check_write(&mut self, op: u64, ino: Ino, path: &Path, offset: u64, len: u64) {
        if self.suspect.contains(&ino) {
            self.violate(op, BadManner::WroteSuspectFile, path, offset);
        }
        if self.renamed.contains_key(&ino) {
            self.violate(op, BadManner::WroteBeforeDirSync, path, offset);
        }
        let overlaps = |p: &Pending| {
            !p.done
                && p.body
                    .range()
                    .is_some_and(|(i, o, l)| i == ino && o < offset + len && offset < o + l)
        };
        if self.state.pending.iter().any(overlaps) {
            self.violate(op, BadManner::OverlappingWrites, path, offset);
        }
        if len == 0 || path.extension().is_none_or(|e| e != "wal") {
            return;
        }
        let block = PAGE as u64;
        let sealed =
            self.state.files.get(&ino).and_then(|f| {
                (offset / block..=(offset + len - 1) / block).find(|b| f.is_sealed(*b))
            });
        if let Some(b) = sealed {
            self.violate(op, BadManner::WroteSyncedBlock, path, b * block);
        }
    }

    /// Whether a file has operations that no sync has covered.
    pub(super) fn is_dirty(&self, ino: Ino) -> bool {
        let mut files = self.state.pending.iter().filter_map(|p| p.body.file());
        files.any(|f| f == ino)
    }

    /// Whether a directory or one below has a file with such operations, or a name that is not stable.
    pub(super) fn is_dirty_below(&self, path: &Path) -> bool {
        self.state.below(path).any(|id| {
            let names = self.state.dirs.get(&id).map(|d| Rc::clone(&d.volatile));
            self.state.pending.iter().any(|p| p.body.touches(id))
                || names.is_some_and(|names| names.values().any(|ino| self.is_dirty(*ino)))
        })
    }

    /// Whether any power loss would leave the file whole under this name.
    fn is_durable(&self, path: &Path) -> bool {
        let (Some(ino), Some((dir, name))) = (self.state.lookup(path), split(path)) else {
            return false;
        };
        let id = self.state.stable_paths.get(dir);
        let names = id.and_then(|id| self.state.dirs.get(id));
        let named = names.and_then(|d| d.stable.get(name)) == Some(&ino);
        named && !self.is_dirty(ino) && !self.suspect.contains(&ino)
    }

    /// Checks what a file that is about to become a part list names.
    pub(super) fn check_part_list(&mut self, op: u64, ino: Ino, to: &Path) {
        if to.file_name().is_none_or(|n| n != names::AOF_MANIFEST) {
            return;
        }
        let Some(file) = self.state.files.get(&ino) else { return };
        let mut text = vec![0; file.volatile.size as usize];
        file.volatile.read(0, &mut text);
        // A guard has the same name.
        let Ok(list) = PartList::decode(&text) else { return };
        for base in list.base.iter().chain(&list.history) {
            let path = to.with_file_name(names::base_file(base.seq));
            if !self.is_durable(&path) {
                self.violate(op, BadManner::NamedUnstable, &path, 0);
            }
        }
    }

    /// Room left, in bytes.
    pub(super) fn free(&self, now_us: u64) -> u64 {
        if now_us < self.full_until_us {
            return 0;
        }
        let mut linked = BTreeSet::new();
        for d in self.state.dirs.values() {
            linked.extend(d.volatile.values());
        }
        let used = linked
            .iter()
            .filter_map(|i| self.state.files.get(i))
            .map(|f| f.volatile.size.next_multiple_of(PAGE as u64))
            .sum();
        self.cfg.capacity.saturating_sub(used)
    }
}

impl SimDisk {
    /// An empty device with a runtime of its own.
    pub fn new(cfg: SimConfig, seed: u64) -> Self {
        let rt = if cfg.shuffle { SimRuntime::shuffled(seed) } else { SimRuntime::new() };
        Self::with_state(cfg, seed, DiskState::new(), rt)
    }

    fn with_state(cfg: SimConfig, seed: u64, state: DiskState, rt: SimRuntime) -> Self {
        Self {
            core: Rc::new(RefCell::new(Core {
                cfg,
                state,
                rng: SimRng::new(seed),
                ops: Vec::new(),
                stops: Vec::new(),
                faults: Faults::default(),
                violations: Vec::new(),
                suspect: BTreeSet::new(),
                renamed: BTreeMap::new(),
                bad: Vec::new(),
                full_until_us: 0,
            })),
            rt,
        }
    }

    /// The runtime whose time the operations take.
    pub fn runtime(&self) -> SimRuntime {
        self.rt.clone()
    }

    /// This device behind the trait.
    pub fn as_dyn(&self) -> Rc<dyn Disk> {
        Rc::new(self.clone())
    }

    /// Arms a fault.
    pub fn inject(&self, fault: Fault) {
        self.core.borrow_mut().faults.arm(fault);
    }

    /// Removes all armed faults, bad blocks and fullness; what they did stays done.
    pub fn clear_faults(&self) {
        let mut core = self.core.borrow_mut();
        core.faults.disarm();
        core.bad.clear();
        core.full_until_us = 0;
    }

    /// Faults that struck, with the operation they struck.
    pub fn struck(&self) -> Vec<(u64, FaultKind)> {
        self.core.borrow().faults.struck().to_vec()
    }

    /// Changes the size of the device.
    pub fn set_capacity(&self, bytes: u64) {
        self.core.borrow_mut().cfg.capacity = bytes;
    }

    /// Switches the keeping of states at stop points.
    pub fn set_recording(&self, on: bool) {
        self.core.borrow_mut().cfg.record = on;
    }

    /// Number of the next operation.
    pub fn op_count(&self) -> u64 {
        self.core.borrow().ops.len() as u64
    }

    /// All operations so far.
    pub fn op_log(&self) -> Vec<OpRecord> {
        self.core.borrow().ops.clone()
    }

    /// Number of stop points so far.
    pub fn stop_count(&self) -> usize {
        self.core.borrow().stops.len()
    }

    /// One stop point.
    pub fn stop(&self, stop: usize) -> Option<StopPoint> {
        self.core.borrow().stops.get(stop).map(|s| s.0)
    }

    /// A mark to compare with stop points: what happened at moment `m` precedes stop `s` exactly
    /// if `m <= s`.
    pub fn moment(&self) -> usize {
        self.stop_count()
    }

    /// Breaches of manners so far; a run with any has failed.
    pub fn violations(&self) -> Vec<Violation> {
        self.core.borrow().violations.clone()
    }

    /// The device after power is lost now.
    pub fn power_loss(&self, image: Image, seed: u64) -> SimDisk {
        let state = image::power_loss(&self.core.borrow().state, image, seed);
        self.successor(state, seed, self.rt.mono_us(), self.rt.wall_us())
    }

    /// The device after power was lost at a recorded stop point; `None` if there is no such stop or
    /// recording was off.
    pub fn power_loss_at(&self, stop: usize, image: Image, seed: u64) -> Option<SimDisk> {
        let core = self.core.borrow();
        let (at, state) = core.stops.get(stop)?;
        let state = image::power_loss(state.as_ref()?, image, seed);
        Some(self.successor(state, seed, at.mono_us, at.wall_us))
    }

    /// The device after the process is killed now; the kernel lives on.
    pub fn kill(&self, seed: u64) -> SimDisk {
        let state = image::kill(&self.core.borrow().state, seed);
        self.successor(state, seed, self.rt.mono_us(), self.rt.wall_us())
    }

    /// The device after the process was killed at a recorded stop point.
    pub fn kill_at(&self, stop: usize, seed: u64) -> Option<SimDisk> {
        let core = self.core.borrow();
        let (at, state) = core.stops.get(stop)?;
        let state = image::kill(state.as_ref()?, seed);
        Some(self.successor(state, seed, at.mono_us, at.wall_us))
    }

    fn successor(&self, state: DiskState, seed: u64, mono_us: u64, wall_us: i64) -> SimDisk {
        let cfg = self.core.borrow().cfg;
        // The next process starts a second later.
        let gap = 1_000_000;
        let shuffle = cfg.shuffle.then_some(seed);
        let rt = SimRuntime::starting_at(mono_us + gap, wall_us + gap as i64, shuffle);
        Self::with_state(cfg, seed, state, rt)
    }

    /// Hands out, in an order of its own, everything that a process could see on the device: names, sizes and bytes. Two
    /// devices of which that is the same look the same to a start.
    pub fn visit(&self, take: &mut dyn FnMut(&[u8])) {
        let core = self.core.borrow();
        for (dir, id) in core.state.paths.iter() {
            take(dir.as_os_str().as_encoded_bytes());
            let Some(names) = core.state.dirs.get(id) else { continue };
            for (name, ino) in names.volatile.iter() {
                take(name.as_bytes());
                let Some(file) = core.state.files.get(ino) else { continue };
                take(&file.volatile.size.to_le_bytes());
                for (number, page) in file.volatile.pages() {
                    take(&(number as u64).to_le_bytes());
                    take(page);
                }
            }
        }
    }

    /// True if the file would be there whole after any power loss: its name, its size and all its bytes.
    pub fn is_durable(&self, path: &Path) -> bool {
        self.core.borrow().is_durable(path)
    }

    /// Files below a directory as a process sees them, by their paths in it: size and a checksum of all bytes.
    pub fn files_below(&self, dir: &Path) -> BTreeMap<PathBuf, (u64, u32)> {
        let core = self.core.borrow();
        let mut found = BTreeMap::new();
        for (path, id) in core.state.paths.iter() {
            let Ok(inner) = path.strip_prefix(dir) else { continue };
            let names = core.state.dirs.get(id).map(|d| Rc::clone(&d.volatile));
            for (name, ino) in names.iter().flat_map(|names| names.iter()) {
                if let Some(file) = core.state.files.get(ino) {
                    let content = &file.volatile;
                    found.insert(inner.join(name), (content.size, content.checksum()));
                }
            }
        }
        found
    }

    /// Flips bits of a stored byte in every version (rot; crash matrix, layer R). False if there is
    /// no such byte.
    pub fn rot(&self, path: &Path, offset: u64, xor: u8) -> bool {
        let mut core = self.core.borrow_mut();
        let Some(ino) = core.state.lookup(path) else {
            return false;
        };
        let Some(f) = core.state.files.get_mut(&ino) else {
            return false;
        };
        if offset >= f.volatile.size {
            return false;
        }
        for c in [&mut f.stable, &mut f.volatile] {
            let mut b = [0];
            c.read(offset, &mut b);
            c.write(offset, &[b[0] ^ xor]);
        }
        true
    }

    pub(super) fn core(&self) -> std::cell::RefMut<'_, Core> {
        self.core.borrow_mut()
    }

    pub(super) fn now_us(&self) -> u64 {
        self.rt.mono_us()
    }

    /// Numbers an operation, keeps its first stop point and draws its faults.
    pub(super) fn issue(&self, what: &Issue<'_>) -> Issued {
        let mut core = self.core.borrow_mut();
        let op = core.ops.len() as u64;
        if what.kind.stops() {
            self.keep_stop(&mut core, op, Edge::Before);
        }
        core.ops.push(OpRecord {
            kind: what.kind,
            path: Rc::new(what.path.to_owned()),
            to: what.to.map(|t| Rc::new(t.to_owned())),
            offset: what.offset,
            len: what.len,
            issued_us: self.rt.mono_us(),
            ok: None,
        });
        let faults = core.faults.strike(op, what.kind, what.path);
        for f in &faults {
            match f {
                FaultKind::ClockStep { delta_us } => self.rt.step_wall(*delta_us),
                FaultKind::EnospcThenFree { after_us } => {
                    core.full_until_us = self.rt.mono_us() + after_us;
                }
                _ => {}
            }
        }
        Issued { op, faults }
    }

    /// Marks an operation as completed and keeps its second stop point.
    pub(super) fn finish(&self, core: &mut Core, op: u64, ok: bool) {
        let Some(r) = core.ops.get_mut(op as usize) else {
            return;
        };
        r.ok = Some(ok);
        if r.kind.stops() {
            self.keep_stop(core, op, Edge::After);
        }
    }

    fn keep_stop(&self, core: &mut Core, op: u64, edge: Edge) {
        let state = core.cfg.record.then(|| core.state.clone());
        let point = StopPoint { op, edge, mono_us: self.rt.mono_us(), wall_us: self.rt.wall_us() };
        core.stops.push((point, state));
    }

    /// Completes an issued operation after its latency: `effect` runs then, even if the caller's
    /// future is dropped meanwhile.
    pub(super) async fn after<T: 'static>(
        &self,
        issued: Issued,
        effect: impl FnOnce(&mut Core, &Issued) -> io::Result<T> + 'static,
    ) -> io::Result<T> {
        let latency = {
            let mut core = self.core.borrow_mut();
            let l = core.cfg.latency;
            let base = match core.ops.get(issued.op as usize).map(|o| o.kind) {
                Some(OpKind::Read) => l.read_us,
                Some(OpKind::Write) => l.write_us,
                Some(OpKind::Sync | OpKind::SyncDir | OpKind::Preallocate) => l.sync_us,
                _ => l.meta_us,
            };
            let mut latency = base + core.rng.below(base + 1);
            for f in &issued.faults {
                match f {
                    FaultKind::SlowSync { us } => latency = *us,
                    FaultKind::SlowSyncs => latency = 200_000 + core.rng.below(4_800_000),
                    _ => {}
                }
            }
            latency
        };
        let (promise, result) = Promise::new();
        let disk = self.clone();
        let call = move || {
            let r = {
                let mut core = disk.core.borrow_mut();
                let r = effect(&mut core, &issued);
                disk.finish(&mut core, issued.op, r.is_ok());
                r
            };
            promise.set(r);
        };
        self.rt.call_at(self.rt.mono_us() + latency, Box::new(call));
        result.await
    }
}
