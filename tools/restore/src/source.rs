//! What is backed up: a data directory at a cut, and what of its log a set needs.
//!
//! The one idea: a segment is copied up to where it counts. The scanner that every start uses says where that
//! is, so what a set holds has been read and found sound, and the unused end of a file takes no room.
//!
//! Invariant: a log that does not go on where the parent of a set ends is not taken for its continuation: the
//! segment behind it names the checksum of the parent's last record.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use moon_formats::aof::PartList;
use moon_formats::backup::ShardPart;
use moon_formats::marker::Marker;
use moon_formats::names;
use moon_formats::wal::{BatchHead, Cut as LogCut, Record, RecordType, SegmentHeader};
use moon_storage::io::{Caching, Disk};
use moon_storage::marker;
use moon_storage::parts::{ShardPaths, read_list};
use moon_storage::recovery::{RecoveryError, is_in_save};
use moon_storage::scan::{EndKind, LogStart, Position, ScanOptions, VisitError, Visitor, scan};

use crate::fail::Failure;

/// Bytes of a segment of which nothing counts: its head, which says so.
const HEAD: u64 = 4096;

/// A data directory at one moment, whose files stay as they are.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The directory.
    pub data: PathBuf,
    /// Its identity.
    pub uuid: [u8; 16],
    /// Databases.
    pub databases: u16,
    /// When the directory was made, milliseconds since 1970.
    pub created_ms: u64,
    /// The cut holds everything up to this moment, microseconds since 1970.
    pub taken_us: i64,
    /// All shards, in order.
    pub shards: Vec<ShardCut>,
}

/// A shard of it.
#[derive(Debug, Clone)]
pub struct ShardCut {
    /// Its part list.
    pub list: PartList,
    /// Last segment that counts; 0 for none.
    pub last_seq: u64,
    /// What the log must reach, where somebody has said so.
    pub lsn: u64,
}

/// What a data directory says of itself. Nothing is made in it.
///
/// # Errors
/// It is no data directory, or cannot be read.
pub async fn marker_of(disk: &dyn Disk, data: &std::path::Path) -> Result<Marker, Failure> {
    let found = marker::read(disk, data).await?;
    let none = || Failure::refused(format!("{} is no data directory of Moon", data.display()));
    found.ok_or_else(none)
}

/// The cut of a directory that no server uses. The caller holds its lock.
///
/// # Errors
/// It is no data directory, has no log, or cannot be read.
pub async fn stopped(disk: &dyn Disk, data: &std::path::Path, now_us: i64) -> Result<Cut, Failure> {
    let marker = marker_of(disk, data).await?;
    let mut shards = Vec::new();
    for shard in 0..marker.shards {
        let paths = ShardPaths::new(data, shard);
        if is_in_save(disk, &paths).await? {
            return Err(Failure::refused(format!(
                "the data of {} are in {}: a server without a log; copy that file, or start once with \
                 `appendonly yes`",
                data.display(),
                paths.snapshot().display()
            )));
        }
        let Some(list) = read_list(disk, &paths).await.map_err(RecoveryError::Parts)? else {
            return Err(Failure::refused(format!(
                "{} does not exist: nothing has been written under {}, or it is damaged (moon-inspect aof \
                 rebuild)",
                paths.part_list().display(),
                data.display()
            )));
        };
        let log = paths.log();
        let entries = match disk.list(&log).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Failure::io("read", &log, e)),
        };
        let seqs = entries.iter().filter_map(|e| names::parse_wal_segment(&e.name));
        shards.push(ShardCut { list, last_seq: seqs.max().unwrap_or(0), lsn: 0 });
    }
    let (uuid, databases, created_ms) = (marker.uuid, marker.databases, marker.created_ms);
    Ok(Cut { data: data.to_owned(), uuid, databases, created_ms, taken_us: now_us, shards })
}

/// What of a shard's log a set needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Number of each segment, and how many of its bytes.
    pub(crate) segments: Vec<(u64, u64)>,
    /// The part of `backup.json`, but for the digest.
    pub(crate) part: ShardPart,
}

/// Why a survey has no result.
#[derive(Debug)]
pub(crate) enum Unsurveyed {
    /// The log does not go on where the parent ends.
    Broken(String),
    /// Something else.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Unsurveyed {
    fn from(e: E) -> Unsurveyed {
        Unsurveyed::Failed(e.into())
    }
}

/// Reads the log of a shard from its base on, or from where the `parent` ends.
pub(crate) async fn survey(
    disk: &dyn Disk,
    cut: &Cut,
    of: &ShardCut,
    parent: Option<&ShardPart>,
) -> Result<Survey, Unsurveyed> {
    let list = &of.list;
    let paths = ShardPaths::new(&cut.data, list.shard);
    if list.ended.is_some() {
        let text = format!("{}: the log has been switched off", paths.part_list().display());
        return Err(Failure::refused(text).into());
    }
    let base_cut = list.base.map_or(0, |b| b.cut);
    let (lsn_from, start) = match parent {
        None => {
            let lsn = if list.base.is_some() { base_cut + 1 } else { list.log_from_lsn.max(1) };
            (lsn, LogStart { lsn, seq: list.log_from_seq })
        }
        Some(parent) => {
            let seq = if parent.sealed { parent.last_seq + 1 } else { parent.last_seq };
            (parent.lsn_to + 1, LogStart { lsn: parent.lsn_to + 1, seq })
        }
    };
    let again = parent.is_some_and(|p| !p.sealed);
    let mut look = Look {
        parent,
        lsn_from,
        seen: Vec::new(),
        sealed: true,
        from_us: None,
        to_us: None,
        broken: None,
        data_file: None,
    };
    if let Some(parent) = parent {
        if list.timelines != parent.parts.timelines {
            return Err(Unsurveyed::Broken("the directory is on another timeline".into()));
        }
        let first = paths.log().join(names::wal_segment(start.seq));
        let is_there = disk.open(&first, moon_storage::io::Access::Read, Caching::Cached).await;
        if start.seq <= of.last_seq && start.seq > 0 && is_there.is_err() {
            let text = format!("the log no longer reaches back to lsn {lsn_from}");
            return Err(Unsurveyed::Broken(text));
        }
    }
    let opts = ScanOptions {
        shard: Some(list.shard),
        start: Some(start),
        last_seq: Some(of.last_seq),
        durable_floor: lsn_from - 1,
        visit_from: if again { lsn_from - 1 } else { lsn_from },
        may_be_empty: true,
        via: Caching::Direct,
        ..ScanOptions::default()
    };
    let found = scan(disk, &paths.log(), &opts, &mut look).await;
    if let Some(broken) = look.broken {
        return Err(Unsurveyed::Broken(broken));
    }
    let end = found?;
    if let EndKind::Hole(hole) = end.kind {
        return Err(moon_storage::recovery::RecoveryError::Hole(hole).into());
    }
    if let Some(lsn) = look.data_file {
        return Err(Failure::refused(format!(
            "lsn {lsn} names a data file, and this version backs up bases and the log only"
        ))
        .into());
    }
    let epoch = list.timelines.last().map_or(1, |t| t.epoch);
    if look.seen.last().is_some_and(|s| s.epoch != epoch) {
        return Err(Failure::refused(format!(
            "{}: a recovery to a point in time was begun and not finished; start the server once to finish it",
            cut.data.display()
        ))
        .into());
    }
    let lsn_to = end.last_lsn.max(lsn_from - 1);
    if lsn_to < of.lsn {
        let text = format!("the log ends at lsn {lsn_to}, and lsn {} was promised", of.lsn);
        return Err(Failure::damage(&paths.log(), text).into());
    }
    let mut segments: Vec<(u64, u64)> = Vec::new();
    for info in &end.segments {
        let seen = look.seen.iter().find(|s| s.seq == info.seq);
        let bytes = seen.map_or(HEAD, |s| s.end).min(info.bytes);
        segments.push((info.seq, bytes));
    }
    if parent.is_none_or(|p| p.last_seq == 0) {
        // What lies before the first record that is needed stays behind, but for the last segment, which
        // says where the log stands.
        let needed = |seq: u64| {
            let info = end.segments.iter().find(|s| s.seq == seq);
            info.is_some_and(|s| !s.void && s.last_lsn >= lsn_from)
        };
        let first = segments.iter().position(|(seq, _)| needed(*seq));
        segments.drain(..first.unwrap_or(segments.len().saturating_sub(1)));
    }
    let first_seq = segments.first().map_or(0, |s| s.0);
    let carried = parent.map_or(of.last_seq, |p| p.last_seq);
    let parts = PartList {
        base: list.base.filter(|_| parent.is_none()),
        history: Vec::new(),
        log_from_lsn: lsn_from,
        log_from_seq: first_seq,
        ended: None,
        salvaged: Vec::new(),
        extra: Vec::new(),
        ..list.clone()
    };
    let tail_crc = match look.seen.is_empty() {
        true => parent.and_then(|p| p.tail_crc),
        false => Some(end.last_crc),
    };
    let part = ShardPart {
        shard: list.shard,
        lsn_from,
        lsn_to,
        first_seq,
        last_seq: segments.last().map_or(carried, |s| s.0),
        sealed: look.sealed && !(segments.is_empty() && again),
        tail_crc,
        from_us: look.from_us,
        to_us: look.to_us,
        digest: None,
        parts,
    };
    Ok(Survey { segments, part })
}

/// A segment that went by.
struct Seen {
    seq: u64,
    epoch: u64,
    /// Where what counts ends.
    end: u64,
}

struct Look<'a> {
    parent: Option<&'a ShardPart>,
    lsn_from: u64,
    seen: Vec<Seen>,
    /// The last of them was ended.
    sealed: bool,
    from_us: Option<i64>,
    to_us: Option<i64>,
    broken: Option<String>,
    /// LSN of a record that names a file beside base and log.
    data_file: Option<u64>,
}

impl Look<'_> {
    /// Compares a checksum with that of the parent's last record.
    fn compare(&mut self, crc: u32) -> Result<(), VisitError> {
        let Some(parent) = self.parent else { return Ok(()) };
        if parent.tail_crc.is_none_or(|tail| tail == crc) {
            return Ok(());
        }
        let text = format!("the record at lsn {} is another one", parent.lsn_to);
        self.broken = Some(text.clone());
        Err(text.into())
    }
}

impl Visitor for Look<'_> {
    fn segment(&mut self, header: &SegmentHeader, _: Option<&LogCut>) -> Result<(), VisitError> {
        if self.seen.is_empty() && header.base_lsn >= self.lsn_from {
            self.compare(header.prev_tail_crc)?;
        }
        let (seq, epoch) = (header.segment_seq, header.epoch);
        self.seen.push(Seen { seq, epoch, end: header.align() });
        self.sealed = false;
        Ok(())
    }

    fn batch(&mut self, head: &BatchHead, at: Position) -> Result<(), VisitError> {
        if let Some(seen) = self.seen.last_mut() {
            // The whole batch: a head that announces more than there is is no head.
            seen.end = seen.end.max(at.offset + u64::from(head.batch_bytes));
        }
        if head.last_lsn >= self.lsn_from {
            self.from_us.get_or_insert(head.wall_us);
            self.to_us = Some(head.wall_us);
        }
        Ok(())
    }

    fn sealed(&mut self, end: Position) -> Result<(), VisitError> {
        if let Some(seen) = self.seen.last_mut() {
            seen.end = end.offset;
        }
        self.sealed = true;
        Ok(())
    }

    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.lsn + 1 == self.lsn_from {
            self.compare(r.crc)?;
        }
        if r.lsn >= self.lsn_from && r.code == RecordType::FileCreate.code() {
            self.data_file.get_or_insert(r.lsn);
        }
        Ok(ControlFlow::Continue(()))
    }
}
