//! Scrub: bases and sealed segments are read again and checked, at a pace, while the server runs.
//!
//! The one idea: what a start would refuse is better found while the data are still in memory, where a new
//! base is as good as what was damaged.
//!
//! Invariants:
//! * Nothing is written.
//! * Only what is still listed counts: a file that a rewrite has freed meanwhile is no finding.
//! * A finding stands until its file is freed, or has been read again without one.
//! * Reads are bounded by the pace whatever the size of the files.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::aof::Base;
use moon_formats::names;
use moon_formats::rrdshard::{Decoder, Item};

use crate::io::{Access, Caching, DirEntry, Disk, File, LocalFuture, Runtime, Space};
use crate::log::{Log, SegmentInfo};
use crate::parts::{Parts, bases};
use crate::scan::{EndKind, LogStart, ScanOptions, Verify, scan};

/// Bytes of a base that are read and checked at once.
const PIECE: usize = 128 << 10;
/// Findings kept; further ones are only counted.
const FINDINGS_MAX: usize = 64;

/// What scrubbing has found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// A pass is under way.
    pub running: bool,
    /// Passes that have ended.
    pub passes: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Findings since the start of the server.
    pub found: u64,
    /// Files that are damaged now, each with what is wrong.
    pub damaged: Vec<(PathBuf, String)>,
}

/// The scrubber of a shard; a cheap handle.
#[derive(Clone)]
pub struct Scrub {
    inner: Rc<Inner>,
}

struct Inner {
    disk: Rc<dyn Disk>,
    rt: Rc<dyn Runtime>,
    log: Log,
    parts: Parts,
    bytes_per_sec: Cell<u64>,
    running: Cell<bool>,
    stop: Cell<bool>,
    passes: Cell<u64>,
    bytes: Cell<u64>,
    found: Cell<u64>,
    damaged: RefCell<BTreeMap<PathBuf, String>>,
}

impl Scrub {
    /// A scrubber over what `parts` and `log` name.
    pub fn new(disk: Rc<dyn Disk>, rt: Rc<dyn Runtime>, log: Log, parts: Parts) -> Scrub {
        let inner = Inner {
            disk,
            rt,
            log,
            parts,
            bytes_per_sec: Cell::new(0),
            running: Cell::new(false),
            stop: Cell::new(false),
            passes: Cell::new(0),
            bytes: Cell::new(0),
            found: Cell::new(0),
            damaged: RefCell::default(),
        };
        Scrub { inner: Rc::new(inner) }
    }

    /// Sets the pace; 0 lets nothing begin, and a pass under way end early.
    pub fn set_pace(&self, bytes_per_sec: u64) {
        self.inner.bytes_per_sec.set(bytes_per_sec);
    }

    /// Ends a pass that is under way after its next read. Nothing begins any more.
    pub fn stop(&self) {
        self.inner.stop.set(true);
    }

    /// What there is to tell.
    pub fn status(&self) -> ScrubStatus {
        let inner = &self.inner;
        let damaged = inner.damaged.borrow();
        ScrubStatus {
            running: inner.running.get(),
            passes: inner.passes.get(),
            bytes: inner.bytes.get(),
            found: inner.found.get(),
            damaged: damaged.iter().map(|(path, what)| (path.clone(), what.clone())).collect(),
        }
    }

    /// Begins a pass in the background, unless one is under way; `wake` is called when it has ended.
    pub fn begin(&self, wake: Rc<dyn Fn()>) {
        let inner = Rc::clone(&self.inner);
        if inner.may_not_go_on() || inner.running.replace(true) {
            return;
        }
        let rt = Rc::clone(&inner.rt);
        rt.spawn(Box::pin(async move {
            inner.pass().await;
            inner.running.set(false);
            wake();
        }));
    }
}

impl Inner {
    fn may_not_go_on(&self) -> bool {
        self.stop.get() || self.bytes_per_sec.get() == 0
    }

    async fn pass(self: &Rc<Self>) {
        self.forget_freed();
        let listed: Vec<Base> = self.parts.with(|list| bases(list).copied().collect());
        for base in listed {
            let path = self.parts.paths().base(base.seq);
            let checked = self.check_base(&path, &base).await;
            self.note(path, checked);
            if self.may_not_go_on() {
                return;
            }
        }
        let segments = self.log.segments();
        for pair in segments.windows(2) {
            let [segment, next] = pair else { continue };
            let path = self.parts.paths().log().join(names::wal_segment(segment.seq));
            // A later cut may void the rest of it: what lies there is nobody's.
            let is_cut = next.base_lsn != segment.last_lsn + 1;
            let checked = self.check_segment(segment, is_cut).await;
            self.note(path, checked);
            if self.may_not_go_on() {
                return;
            }
        }
        self.passes.set(self.passes.get() + 1);
    }

    /// Drops findings about files that are not needed any more.
    fn forget_freed(&self) {
        self.damaged.borrow_mut().retain(|path, _| self.is_needed(path));
    }

    fn is_needed(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match (names::parse_base_file(&name), names::parse_wal_segment(&name)) {
            (Some(seq), _) => self.parts.with(|list| bases(list).any(|b| b.seq == seq)),
            (_, Some(seq)) => self.log.segments().iter().any(|s| s.seq == seq),
            _ => false,
        }
    }

    fn note(&self, path: PathBuf, checked: Result<(), String>) {
        let mut damaged = self.damaged.borrow_mut();
        match checked {
            // Stopped half way, or freed meanwhile: nothing is known.
            _ if self.may_not_go_on() || !self.is_needed(&path) => {
                if !self.is_needed(&path) {
                    damaged.remove(&path);
                }
            }
            Ok(()) => {
                if damaged.remove(&path).is_some() {
                    tracing::info!(path = %path.display(), "read again without a finding");
                }
            }
            Err(what) => {
                self.found.set(self.found.get() + 1);
                if !damaged.contains_key(&path) {
                    tracing::error!(path = %path.display(), "scrub: {what}");
                }
                if damaged.len() < FINDINGS_MAX {
                    damaged.insert(path, what);
                }
            }
        }
    }

    /// Waits until the pace allows `bytes` more.
    async fn pace(&self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
        let us = bytes.saturating_mul(1_000_000).checked_div(self.bytes_per_sec.get());
        if let Some(us) = us {
            self.rt.sleep_us(us).await;
        }
    }

    /// Size, every checksum and the structure of a base.
    async fn check_base(self: &Rc<Self>, path: &Path, base: &Base) -> Result<(), String> {
        let io = |e: io::Error| format!("cannot be read: {e}");
        let file = self.disk.open(path, Access::Read, Caching::Direct).await.map_err(io)?;
        if file.size() != base.bytes {
            return Err(format!("{} bytes, the part list says {}", file.size(), base.bytes));
        }
        let mut decoder = Decoder::new();
        let (mut pos, mut crc) = (0, None);
        while pos < base.bytes && !self.may_not_go_on() {
            let piece = file.read_at(pos, PIECE).await.map_err(io)?;
            if piece.is_empty() {
                return Err(format!("ends at offset {pos}"));
            }
            pos += piece.len() as u64;
            decoder.feed(&piece);
            if pos >= base.bytes {
                decoder.close();
            }
            while let Some(item) = decoder.next().map_err(|e| e.to_string())? {
                if let Item::End(end) = item {
                    crc = Some(end.crc);
                }
            }
            self.pace(piece.len() as u64).await;
        }
        match crc {
            Some(found) if found != base.crc => {
                Err(format!("checksum {found:08x}, the part list says {:08x}", base.crc))
            }
            _ => Ok(()),
        }
    }

    /// Every record of a segment that counts.
    async fn check_segment(
        self: &Rc<Self>,
        segment: &SegmentInfo,
        is_cut: bool,
    ) -> Result<(), String> {
        if segment.last_lsn < segment.base_lsn {
            return Ok(());
        }
        let opts = ScanOptions {
            start: Some(LogStart { lsn: u64::MAX, seq: segment.seq }),
            last_seq: Some(segment.seq),
            durable_floor: segment.last_lsn,
            until: is_cut.then_some(segment.last_lsn),
            via: Caching::Direct,
            ..ScanOptions::default()
        };
        let paced = Paced(Rc::clone(self));
        match scan(&paced, &self.parts.paths().log(), &opts, &mut Verify).await {
            Ok(end) => match end.kind {
                EndKind::Hole(hole) => Err(format!("offset {}: {:?}", hole.offset, hole.reason)),
                _ => Ok(()),
            },
            Err(e) => Err(e.to_string()),
        }
    }
}

/// The device, read at the pace.
struct Paced(Rc<Inner>);

struct PacedFile {
    file: Rc<dyn File>,
    inner: Rc<Inner>,
}

impl Disk for Paced {
    fn driver(&self) -> &'static str {
        self.0.disk.driver()
    }

    fn alignment(&self) -> usize {
        self.0.disk.alignment()
    }

    fn open<'a>(
        &'a self,
        path: &'a Path,
        _: Access,
        via: Caching,
    ) -> LocalFuture<'a, io::Result<Rc<dyn File>>> {
        Box::pin(async move {
            let file = self.0.disk.open(path, Access::Read, via).await?;
            let inner = Rc::clone(&self.0);
            Ok(Rc::new(PacedFile { file, inner }) as Rc<dyn File>)
        })
    }

    fn rename<'a>(&'a self, _: &'a Path, _: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }

    fn remove<'a>(&'a self, _: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }

    fn remove_dir<'a>(&'a self, _: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }

    fn sync_dir<'a>(&'a self, _: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }

    fn list<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Vec<DirEntry>>> {
        self.0.disk.list(path)
    }

    fn create_dir_all<'a>(&'a self, _: &'a Path) -> LocalFuture<'a, io::Result<()>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }

    fn space<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Space>> {
        self.0.disk.space(path)
    }
}

impl File for PacedFile {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let piece = self.file.read_at(offset, len).await?;
            self.inner.pace(piece.len() as u64).await;
            Ok(piece)
        })
    }

    fn write_at<'a>(&'a self, _: u64, _: &'a [u8]) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }

    fn write_now(&self, _: u64, _: &[u8]) -> Option<io::Result<usize>> {
        None
    }

    fn sync(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn preallocate(&self, _: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }

    fn truncate(&self, _: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ReadOnlyFilesystem.into())))
    }
}

#[cfg(test)]
mod tests;
