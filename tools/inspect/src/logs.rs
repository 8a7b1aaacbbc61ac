//! Finding the logs a path stands for, and scanning them although a server may be writing.
//!
//! A scan reads a file in several steps. If a server writes between two of them, what was read
//! first may look torn while what was read later says it was durable: a hole that is none. So a
//! hole counts only when a second scan stops at the same place.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moon_formats::aof::PartList;
use moon_formats::names;
use moon_formats::salvage::ShardPlan;
use moon_formats::wal::{BatchHead, Cut, Record, SegmentHeader};
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;
use moon_storage::io::{Access, Caching, DirEntry, Disk, Runtime};
use moon_storage::manifest;
use moon_storage::parts::{ShardPaths, bases};
use moon_storage::recovery::{
    BaseError, Recovered, RecoveryError, Request, Target, is_in_save, recover_shard, salvage,
};
use moon_storage::scan::{
    EndKind, LogEnd, LogStart, Position, ScanError, ScanOptions, VisitError, Visitor, scan,
};

use crate::fail::Failure;

/// Longest text file that is read.
const TEXT_MAX: u64 = 1 << 20;
/// Bytes read at once from a file of any size.
const PIECE: usize = 1 << 20;
/// Scans after which a hole counts, and a file that vanishes is an error.
const SCANS_MAX: u32 = 4;
/// Microseconds between two scans.
const SETTLE_US: u64 = 50_000;

/// The door to the files, read only by what is called here.
pub(crate) struct Files {
    disk: PosixDisk,
    rt: LocalRuntime,
}

impl Files {
    pub(crate) fn new() -> Result<Files, Failure> {
        let rt =
            LocalRuntime::new().map_err(|e| Failure::environment(format!("cannot start: {e}")))?;
        Ok(Files { disk: PosixDisk::new(), rt })
    }

    pub(crate) fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, Failure> {
        self.rt.block_on(self.disk.list(dir)).map_err(|e| Failure::io(dir, e))
    }

    /// The first `len` bytes and the size.
    pub(crate) fn head(&self, path: &Path, len: usize) -> Result<(Vec<u8>, u64), Failure> {
        let read = async {
            let file = self.disk.open(path, Access::Read, Caching::Cached).await?;
            Ok::<_, io::Error>((file.read_at(0, len).await?, file.size()))
        };
        self.rt.block_on(read).map_err(|e| Failure::io(path, e))
    }

    /// The last `len` bytes.
    pub(crate) fn tail(&self, path: &Path, len: u64) -> Result<Vec<u8>, Failure> {
        let read = async {
            let file = self.disk.open(path, Access::Read, Caching::Cached).await?;
            file.read_at(file.size().saturating_sub(len), len as usize).await
        };
        self.rt.block_on(read).map_err(|e| Failure::io(path, e))
    }

    /// A small file; `None` if there is none.
    pub(crate) fn text(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        let read = async {
            let file = match self.disk.open(path, Access::Read, Caching::Cached).await {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            };
            if file.size() > TEXT_MAX {
                return Err(io::Error::other("longer than any file of this kind"));
            }
            file.read_at(0, file.size() as usize).await.map(Some)
        };
        self.rt.block_on(read).map_err(|e| Failure::io(path, e))
    }

    /// A file of any size, piece by piece, until `take` breaks off.
    pub(crate) fn stream(
        &self,
        path: &Path,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let read = async {
            let file = self.disk.open(path, Access::Read, Caching::Cached).await?;
            let mut offset = 0;
            loop {
                let piece = file.read_at(offset, PIECE).await?;
                offset += piece.len() as u64;
                if piece.is_empty() || take(&piece).is_break() {
                    return Ok::<_, io::Error>(());
                }
            }
        };
        self.rt.block_on(read).map_err(|e| Failure::io(path, e))
    }

    /// A whole file of at most `max` bytes.
    pub(crate) fn whole(&self, path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        self.stream(path, |piece| {
            all.extend_from_slice(piece);
            if all.len() as u64 > max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match all.len() as u64 > max {
            true => Err(Failure::io(path, "longer than any file of this kind")),
            false => Ok(all),
        }
    }

    /// Reads a shard as a start does, base and log; nothing is written. A server may be writing
    /// meanwhile: a hole counts only when it is met again.
    pub(crate) fn recover(
        &self,
        paths: &ShardPaths,
        shards: u16,
        target: &mut dyn Target,
    ) -> Result<Recovered, RecoveryError> {
        let mut last_hole = None;
        for _ in 1..SCANS_MAX {
            target.restart();
            let request = Request::new(&self.disk, paths, shards);
            match self.rt.block_on(recover_shard(&request, target, &mut |_| {})) {
                Err(RecoveryError::Hole(hole))
                    if last_hole.as_ref() != Some(&(hole.next_lsn, hole.offset)) =>
                {
                    last_hole = Some((hole.next_lsn, hole.offset));
                }
                // A base or segment that a rewrite has freed between listing and opening.
                Err(e) if is_gone(&e) => {}
                result => return result,
            }
            self.sleep(Duration::from_micros(SETTLE_US));
        }
        target.restart();
        let request = Request::new(&self.disk, paths, shards);
        self.rt.block_on(recover_shard(&request, target, &mut |_| {}))
    }

    /// The salvage plan of a shard; `None` if its log is not damaged. A server may be writing
    /// meanwhile: a plan counts only when it comes out again.
    pub(crate) fn plan(
        &self,
        paths: &ShardPaths,
        shards: u16,
    ) -> Result<Option<ShardPlan>, RecoveryError> {
        let request = Request::new(&self.disk, paths, shards);
        let mut last = self.rt.block_on(salvage::plan(&request))?;
        for _ in 1..SCANS_MAX {
            if last.is_none() {
                break;
            }
            self.sleep(Duration::from_micros(SETTLE_US));
            let now = self.rt.block_on(salvage::plan(&request))?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }

    /// Unix time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.rt.wall_us() / 1000).unwrap_or(0)
    }

    /// Up to where the file table of a shard says that the log was durable.
    fn flushed_lsn(&self, paths: &ShardPaths) -> u64 {
        self.rt.block_on(manifest::read(&self.disk, paths)).map_or(0, |found| found.flushed_lsn())
    }

    /// Whether a start finds the data in the last `.rrdshard`, and not in a log.
    pub(crate) fn is_in_save(&self, paths: &ShardPaths) -> Result<bool, RecoveryError> {
        self.rt.block_on(is_in_save(&self.disk, paths))
    }

    pub(crate) fn sleep(&self, time: Duration) {
        self.rt.block_on(self.rt.sleep_us(time.as_micros() as u64));
    }
}

/// Whether a file that was to be read is not there.
fn is_gone(e: &RecoveryError) -> bool {
    let cause = match e {
        RecoveryError::Base(_, BaseError::Io(cause)) | RecoveryError::Io(_, cause) => cause,
        RecoveryError::Scan(ScanError::Io { cause, .. }) => cause,
        _ => return false,
    };
    cause.kind() == io::ErrorKind::NotFound
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file.
    File,
    /// A directory with segments in it, or named for them.
    Log,
    /// A `shard-<n>` directory.
    Shard,
    /// A data directory.
    Data,
    /// Any other directory.
    Unknown,
}

/// Tells what `path` is; an error if it does not exist.
pub(crate) fn place(files: &Files, path: &Path) -> Result<Place, Failure> {
    let meta = std::fs::metadata(path).map_err(|e| Failure::io(path, e))?;
    if !meta.is_dir() {
        return Ok(Place::File);
    }
    let entries = files.list(path)?;
    let is_log = entries.iter().any(|e| !e.is_dir && names::parse_wal_segment(&e.name).is_some())
        || path.file_name().is_some_and(|n| n == names::WAL_DIR);
    let has_dir = |name: &str| entries.iter().any(|e| e.is_dir && e.name == name);
    Ok(if is_log {
        Place::Log
    } else if has_dir(names::WAL_DIR) {
        Place::Shard
    } else if entries.iter().any(|e| {
        (!e.is_dir && e.name == names::MARKER)
            || (e.is_dir && (names::parse_shard_dir(&e.name).is_some() || e.name == names::AOF_DIR))
    }) {
        Place::Data
    } else {
        Place::Unknown
    })
}

/// The log of one shard, or one segment of it.
#[derive(Debug, Clone)]
pub(crate) struct LogDir {
    pub(crate) dir: PathBuf,
    /// From the name of the directory.
    pub(crate) shard: Option<u16>,
    /// Only this segment was asked for.
    pub(crate) only: Option<u64>,
    /// What the part list says, if there is one.
    pub(crate) parts: Option<PartList>,
    /// The part list is there and damaged.
    pub(crate) parts_error: Option<String>,
    /// Up to where something beside the log says that it was durable.
    floor: u64,
}

impl LogDir {
    /// `part list` belongs to `<data>/shard-<n>/wal-v3` and to no other place.
    fn new(files: &Files, dir: &Path, only: Option<u64>) -> Result<LogDir, Failure> {
        let full = std::path::absolute(dir).map_err(|e| Failure::io(dir, e))?;
        let is_wal = full.file_name().is_some_and(|n| n == names::WAL_DIR);
        let shard_dir = full.parent().filter(|_| is_wal);
        let shard =
            shard_dir.and_then(|d| d.file_name()?.to_str()).and_then(names::parse_shard_dir);
        let (mut parts, mut parts_error, mut floor) = (None, None, 0);
        if let (Some(shard), Some(data), None) = (shard, shard_dir.and_then(Path::parent), only) {
            let path =
                data.join(names::AOF_DIR).join(names::shard_dir(shard)).join(names::AOF_MANIFEST);
            match files.text(&path)?.map(|text| PartList::decode(&text)) {
                None => {}
                Some(Ok(list)) => {
                    floor = bases(&list).map(|b| b.cut).max().unwrap_or(0);
                    if list.log_from_seq != 0 && list.ended.is_none() {
                        floor = floor.max(files.flushed_lsn(&ShardPaths::new(data, shard)));
                    }
                    parts = Some(list);
                }
                Some(Err(e)) => {
                    parts_error = Some(format!(
                        "{}: {e}; the log was read without it; restore the file from a backup",
                        path.display()
                    ));
                }
            }
        }
        Ok(LogDir { dir: dir.to_owned(), shard, only, parts, parts_error, floor })
    }

    /// Shard number for the output.
    pub(crate) fn shard_or_zero(&self) -> u16 {
        self.shard.unwrap_or(0)
    }

    /// The options recovery would use, as far as the directory says.
    pub(crate) fn options(&self) -> ScanOptions {
        if let Some(seq) = self.only {
            // Damage before the segment does not matter to somebody who names it.
            let start = Some(LogStart { lsn: u64::MAX, seq });
            return ScanOptions {
                shard: self.shard,
                start,
                reference: true,
                ..ScanOptions::default()
            };
        }
        ScanOptions {
            shard: self.shard,
            start: self
                .parts
                .as_ref()
                .map(|p| LogStart { lsn: p.log_from_lsn, seq: p.log_from_seq }),
            last_seq: self.parts.as_ref().and_then(|p| p.ended).map(|ended| ended.seq),
            reference: true,
            durable_floor: self.floor,
            ..ScanOptions::default()
        }
    }
}

/// The logs that `path` stands for.
pub(crate) fn logs(files: &Files, path: &Path, shard: Option<u16>) -> Result<Vec<LogDir>, Failure> {
    let all = match place(files, path)? {
        Place::File => {
            let (head, _) = files.head(path, 6)?;
            if head != *b"RRDWAL" {
                return Err(Failure::not_ours(path, "a log segment starts with RRDWAL"));
            }
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let Some(seq) = names::parse_wal_segment(name) else {
                return Err(Failure::environment(format!(
                    "{}: a log segment, but not under its name <12 digits>.wal; its header can be \
                     shown (moon-inspect wal header)",
                    path.display()
                )));
            };
            let dir = path.parent().filter(|p| !p.as_os_str().is_empty());
            vec![LogDir::new(files, dir.unwrap_or(Path::new(".")), Some(seq))?]
        }
        Place::Log => vec![LogDir::new(files, path, None)?],
        Place::Shard => vec![LogDir::new(files, &path.join(names::WAL_DIR), None)?],
        Place::Data => {
            let mut shards: Vec<u16> = files
                .list(path)?
                .iter()
                .filter(|e| e.is_dir)
                .filter_map(|e| names::parse_shard_dir(&e.name))
                .filter(|n| path.join(names::shard_dir(*n)).join(names::WAL_DIR).is_dir())
                .collect();
            shards.sort_unstable();
            let dir = |n: u16| path.join(names::shard_dir(n)).join(names::WAL_DIR);
            shards
                .into_iter()
                .map(|n| LogDir::new(files, &dir(n), None))
                .collect::<Result<_, _>>()?
        }
        Place::Unknown => return Err(Failure::not_ours(path, "no log in this directory")),
    };
    let wanted: Vec<LogDir> =
        all.into_iter().filter(|l| shard.is_none() || l.shard == shard).collect();
    match wanted.is_empty() {
        true => Err(Failure::environment(format!(
            "{}: no log{}",
            path.display(),
            shard.map_or_else(String::new, |n| format!(" of shard {n}"))
        ))),
        false => Ok(wanted),
    }
}

/// Passes on what was not seen by an earlier scan of the same log.
struct Unseen<'a> {
    inner: &'a mut dyn Visitor,
    segment: Option<u64>,
    batch: Option<u64>,
    lsn: u64,
}

impl Visitor for Unseen<'_> {
    fn segment(&mut self, header: &SegmentHeader, cut: Option<&Cut>) -> Result<(), VisitError> {
        if self.segment.is_some_and(|seq| header.segment_seq <= seq) {
            return Ok(());
        }
        self.segment = Some(header.segment_seq);
        self.inner.segment(header, cut)
    }

    fn batch(&mut self, head: &BatchHead, at: Position) -> Result<(), VisitError> {
        if self.batch.is_some_and(|lsn| head.last_lsn <= lsn) {
            return Ok(());
        }
        self.batch = Some(head.last_lsn);
        self.inner.batch(head, at)
    }

    fn record(&mut self, r: &Record<'_>, at: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.lsn <= self.lsn {
            return Ok(ControlFlow::Continue(()));
        }
        let flow = self.inner.record(r, at)?;
        if flow.is_continue() {
            self.lsn = r.lsn;
        }
        Ok(flow)
    }
}

/// Scans a log that may be written meanwhile.
pub(crate) fn scan_log(
    files: &Files,
    dir: &Path,
    opts: &ScanOptions,
    visitor: &mut dyn Visitor,
) -> Result<LogEnd, ScanError> {
    let mut unseen = Unseen { inner: visitor, segment: None, batch: None, lsn: 0 };
    let mut last_hole = None;
    let mut scans = 0;
    loop {
        scans += 1;
        match files.rt.block_on(scan(&files.disk, dir, opts, &mut unseen)) {
            Ok(LogEnd { kind: EndKind::Hole(hole), .. })
                if scans < SCANS_MAX
                    && last_hole.as_ref() != Some(&(hole.next_lsn, hole.offset)) =>
            {
                last_hole = Some((hole.next_lsn, hole.offset));
            }
            // A segment was recycled between listing and opening.
            Err(ScanError::Io { cause, .. })
                if scans < SCANS_MAX && cause.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        files.rt.block_on(files.rt.sleep_us(SETTLE_US));
    }
}

#[cfg(test)]
#[path = "../tests/rig/mod.rs"]
mod rig;

#[cfg(test)]
mod tests {
    use super::rig::{TempDir, Writer};
    use super::*;

    /// Lets the writer go on between two reads of a scan.
    struct Meanwhile<'a> {
        writer: &'a Writer,
        at_lsn: u64,
        seen: Vec<u64>,
    }

    impl Visitor for Meanwhile<'_> {
        fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
            self.seen.push(r.lsn);
            if r.lsn == self.at_lsn {
                for _ in 0..3 {
                    self.writer.command(0, &[b"SET", b"k", b"later"]);
                    self.writer.sync();
                }
            }
            Ok(ControlFlow::Continue(()))
        }
    }

    #[test]
    fn a_hole_that_a_writer_fills_is_none() {
        let dir = TempDir::new();
        let writer = Writer::open(&dir);
        writer.command(0, &[b"SET", b"k", b"v"]);
        writer.sync();
        let files = Files::new().unwrap_or_else(|e| panic!("{}", e.message));
        let opts = ScanOptions::default();
        // The premise: one scan takes what it read too early for damage.
        let mut visitor = Meanwhile { writer: &writer, at_lsn: 1, seen: vec![] };
        let end = files.rt.block_on(scan(&files.disk, &dir.wal(), &opts, &mut visitor));
        assert!(matches!(end, Ok(LogEnd { kind: EndKind::Hole(_), .. })), "{end:?}");
        // Again, at the record that is the last now: the second look finds more, each once.
        let mut visitor = Meanwhile { writer: &writer, at_lsn: 4, seen: vec![] };
        let end = scan_log(&files, &dir.wal(), &opts, &mut visitor).expect("readable");
        assert!(matches!(end.kind, EndKind::CrashTail { .. }), "{end:?}");
        assert_eq!(visitor.seen, [1, 2, 3, 4, 5, 6, 7]);
        writer.kill();
    }
}
