//! Reading the log by LSN while it is written: for followers of changes.
//!
//! The one idea: the log knows which segment holds which LSNs, so a reader keeps an LSN and asks anew with
//! each read. Rotation, recycling, healing and rewrites are then nothing to it but another answer.
//!
//! Invariants:
//! * Records come in LSN order, each once, and only up to [`Log::shown_lsn`].
//! * Bytes are believed only if the segment that they were read for is still the log's afterwards: a file that
//!   is recycled meanwhile can hold anything.
//! * LSNs that no record has, behind a crash, are passed over. LSNs that had one and are gone, or that a
//!   fork has left, are an error.
//! * Memory is one chunk or one record, and what a call reads is bounded by its caller.
//! * The shard's thread finds and reads; checking records and what is made of them runs beside it.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;

use moon_formats::names;
use moon_formats::wal::{Cut, Record};

use crate::io::{Access, Caching, File, beside};
use crate::scan::window::{Found, View, Window};
use crate::scan::{Control, FIRST_BLOCK, ScanOptions, control, read_opening};

use super::{Log, SegmentInfo};

/// Bytes read at once: at least a few records, at most what other computations wait for.
const CHUNK_MIN: u64 = 64 << 10;
const CHUNK_MAX: u64 = 1 << 20;
/// Pause between two looks for the end of a segment that is being removed, microseconds.
const RECLAIM_US: u64 = 500;

/// Why a record cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The log no longer reaches back so far.
    Gone {
        /// Its oldest LSN.
        oldest: u64,
    },
    /// A fork has left the timeline that had this LSN.
    Left {
        /// The timeline from there on.
        epoch: u64,
        /// The last LSN that both share.
        forked_at: u64,
    },
    /// A record that was durable cannot be read back.
    Damaged {
        /// Its LSN.
        lsn: u64,
        /// Its segment.
        path: PathBuf,
        /// Offset in it.
        offset: u64,
    },
    /// A segment cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// What the driver said.
        cause: io::Error,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Gone { oldest } => write!(f, "the log begins at lsn {oldest}"),
            ReadError::Left { epoch, forked_at } => write!(
                f,
                "the log was recovered to lsn {forked_at} and goes on as timeline {epoch}"
            ),
            ReadError::Damaged { lsn, path, offset } => write!(
                f,
                "lsn {lsn} cannot be read back from {} at offset {offset}; run `moon-inspect wal verify` on \
                 its directory",
                path.display()
            ),
            ReadError::Io { path, cause } => write!(f, "cannot read {}: {cause}", path.display()),
        }
    }
}

impl std::error::Error for ReadError {}

/// A record on its way to a follower.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The record; compressed payloads come as stored.
    pub record: Record<'a>,
    /// When its batch was written, microseconds since 1970.
    pub wall_us: i64,
    /// LSN of the record before it, whatever lies between.
    pub previous: u64,
}

/// What records are shown to. It is taken to another thread for that, and comes back.
pub trait Visitor: Send + 'static {
    /// Takes a record, or breaks: then the record is shown again by the next call.
    fn show(&mut self, shown: &Shown<'_>) -> ControlFlow<()>;
}

/// In which file the next record is looked for.
struct Place {
    path: PathBuf,
    file: Rc<dyn File>,
    align: u64,
    walk: Walk,
}

/// Where in a segment the next record is looked for.
#[derive(Clone, Copy)]
struct Walk {
    seq: u64,
    pos: u64,
    /// LSN of the record at `pos`.
    lsn: u64,
    /// Records left in the batch, where it ends, and its clock.
    left: u32,
    batch_end: u64,
    wall_us: i64,
    /// The last LSN before the segment.
    before: u64,
    base: u64,
}

/// A position in a log.
pub struct Reader {
    log: Log,
    next: u64,
    place: Option<Place>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Log {
    /// A reader whose first record is the one with LSN `from`, or the next that exists; 0 is the oldest.
    pub fn reader(&self, from: u64) -> Reader {
        let next = if from == 0 { self.oldest_lsn() } else { from };
        Reader { log: self.clone(), next, place: None }
    }

    /// The oldest LSN that the log may still hold.
    pub fn oldest_lsn(&self) -> u64 {
        let infos = self.inner.segment_infos();
        infos.iter().find(|s| holds_any(s)).or(infos.last()).map_or(1, |s| s.base_lsn)
    }
}

/// What a step of the walk found.
enum Step {
    /// Look again: from a new place, or with other bytes.
    Again,
    /// The caller wants no more.
    Enough,
    /// The window ends here; so many bytes are wanted.
    Slide(u64),
    /// No valid record.
    Nothing,
}

impl Reader {
    /// LSN of the next record, or one before it that no record has.
    pub fn next_lsn(&self) -> u64 {
        self.next
    }

    /// Shows records to `visitor`, from the next one on, until it breaks, about `bytes_max` bytes have been
    /// shown or there are no more. Gives the visitor back, and false if there are no more for now.
    ///
    /// # Errors
    /// The next record cannot be read; the position stays, so the same call fails again until that changes.
    pub async fn read<V: Visitor>(
        &mut self,
        bytes_max: usize,
        mut visitor: V,
    ) -> (V, Result<bool, ReadError>) {
        for timeline in &self.log.inner.timelines {
            let Some(forked_at) = timeline.forked_at else { continue };
            if (forked_at + 2..timeline.from_lsn).contains(&self.next) {
                return (visitor, Err(ReadError::Left { epoch: timeline.epoch, forked_at }));
            }
        }
        let rt = Rc::clone(&self.log.inner.rt);
        let mut left = bytes_max.max(1) as u64;
        let mut retried = None;
        loop {
            if self.next > self.log.shown_lsn() {
                return (visitor, Ok(false));
            }
            if left == 0 {
                return (visitor, Ok(true));
            }
            let wanted = self.next;
            if let Err(error) = self.locate().await {
                return (visitor, Err(error));
            }
            let Some(place) = &mut self.place else {
                if self.next == wanted {
                    return (visitor, Ok(false));
                }
                continue;
            };
            let file = Rc::clone(&place.file);
            let chunk = left.clamp(CHUNK_MIN, CHUNK_MAX);
            let mut window = Window::reading(&*file, place.align, chunk);
            let mut want = FIRST_BLOCK as u64;
            let step = loop {
                let slid = window.slide(place.walk.pos, want).await;
                if !is_current(&self.log, place.walk.seq) {
                    break Step::Again;
                }
                if let Err(cause) = slid {
                    let path = place.path.clone();
                    return (visitor, Err(ReadError::Io { path, cause }));
                }
                let shown = self.log.shown_lsn();
                let end = shown.min(end_of(&self.log, place.walk.seq));
                let view = std::mem::take(window.view_mut());
                let mut stage = Stage { view, walk: place.walk, next: self.next, left, visitor };
                let (done, step) = beside(&*rt, move || {
                    let step = stage.walk(end);
                    (stage, step)
                })
                .await;
                *window.view_mut() = done.view;
                (place.walk, self.next, left, visitor) =
                    (done.walk, done.next, done.left, done.visitor);
                match step {
                    // What is left of the call would be read for the sake of a few records.
                    Step::Slide(_) if self.next > wanted => return (visitor, Ok(true)),
                    Step::Slide(bytes) if left > 0 && self.next <= shown => want = bytes,
                    Step::Slide(_) => break Step::Again,
                    other => break other,
                }
            };
            match step {
                Step::Again | Step::Slide(_) => {}
                Step::Enough => return (visitor, Ok(true)),
                Step::Nothing => {
                    // It may have been read while it was written.
                    let at = (place.walk.seq, place.walk.pos);
                    if retried == Some(at) {
                        let (lsn, offset) = (place.walk.lsn, place.walk.pos);
                        let path = place.path.clone();
                        self.place = None;
                        return (visitor, Err(ReadError::Damaged { lsn, path, offset }));
                    }
                    retried = Some(at);
                }
            }
        }
    }

    /// Finds the segment of the next record, and opens it if it is another than before.
    async fn locate(&mut self) -> Result<(), ReadError> {
        let infos = self.log.inner.segment_infos();
        let begins = |s: &SegmentInfo| holds_any(s) && s.base_lsn <= self.next;
        let Some(home) = infos.iter().rposition(begins) else {
            return self.pass_gap_before_all(&infos).await;
        };
        let info = &infos[home];
        if info.last_lsn < self.next {
            // Nobody has these LSNs: a crash lies between. What is not there yet comes in the newest segment.
            let later = infos[home + 1..].iter().find(|s| holds_any(s));
            let later = later.or(infos.last().filter(|s| !s.void && s.base_lsn > self.next));
            if let Some(later) = later {
                self.next = later.base_lsn;
            }
            self.place = None;
            return Ok(());
        }
        if self.place.as_ref().is_some_and(|p| p.walk.seq == info.seq && p.walk.lsn <= self.next) {
            return Ok(());
        }
        let before = infos[..home].iter().rev().find(|s| holds_any(s));
        let before = before.map_or(info.base_lsn - 1, |s| s.last_lsn);
        let (path, file, align) = self.open(info).await?;
        let walk = Walk {
            seq: info.seq,
            pos: align,
            lsn: info.base_lsn,
            left: 0,
            batch_end: 0,
            wall_us: 0,
            before: before.min(info.base_lsn - 1),
            base: info.base_lsn,
        };
        self.place = Some(Place { path, file, align, walk });
        Ok(())
    }

    /// The log begins behind the next LSN. If only crashes lie between, nothing is missing. Each of them may
    /// have been followed by segments without a record, and it is the first one that tells of it.
    async fn pass_gap_before_all(&mut self, infos: &[SegmentInfo]) -> Result<(), ReadError> {
        let first = infos.iter().position(holds_any).unwrap_or(infos.len().saturating_sub(1));
        let Some(base_lsn) = infos.get(first).map(|s| s.base_lsn).filter(|lsn| *lsn > self.next)
        else {
            return Err(ReadError::Gone { oldest: self.next });
        };
        let gone = Err(ReadError::Gone { oldest: base_lsn });
        // No record has an LSN from here up to the first one that is left.
        let mut unused_from = base_lsn;
        for info in infos[..=first].iter().rev().filter(|s| !s.void) {
            if info.base_lsn < unused_from {
                return gone;
            }
            if let Some(cut) = self.cut_of(info).await? {
                unused_from = unused_from.min(cut.keep_lsn + 1);
            }
            if !is_current(&self.log, info.seq) {
                return gone;
            }
            if unused_from <= self.next {
                self.next = base_lsn;
                return Ok(());
            }
        }
        gone
    }

    /// What a segment says of the LSNs before it. Nothing, if it is only there to be removed: it was written
    /// for others than those that it counts for.
    async fn cut_of(&self, info: &SegmentInfo) -> Result<Option<Cut>, ReadError> {
        let (path, file, _) = self.open(info).await?;
        let block = file.read_at(0, FIRST_BLOCK).await;
        let block = block.map_err(|cause| ReadError::Io { path, cause })?;
        let opening = read_opening(&block, info.seq, &ScanOptions::default());
        Ok(opening.ok().filter(|(header, _)| header.base_lsn == info.base_lsn).and_then(|o| o.1))
    }

    async fn open(&self, info: &SegmentInfo) -> Result<(PathBuf, Rc<dyn File>, u64), ReadError> {
        let inner = &self.log.inner;
        let path = inner.dir.join(names::wal_segment(info.seq));
        let mut opened = inner.disk.open(&path, Access::Read, Caching::Cached).await;
        // A segment that goes loses its name before it leaves the list.
        while opened.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
            && inner.reclaiming.get()
            && is_current(&self.log, info.seq)
        {
            inner.rt.sleep_us(RECLAIM_US).await;
            opened = inner.disk.open(&path, Access::Read, Caching::Cached).await;
        }
        match opened {
            Ok(file) => Ok((path, file, inner.align)),
            Err(_) if !is_current(&self.log, info.seq) => {
                Err(ReadError::Gone { oldest: self.log.oldest_lsn() })
            }
            Err(cause) => Err(ReadError::Io { path, cause }),
        }
    }
}

/// Whether a segment has records that count: not one that was just begun, that is void, or that only waits to
/// be removed.
fn holds_any(info: &SegmentInfo) -> bool {
    info.last_lsn >= info.base_lsn
}

/// Whether a segment is still part of the log.
fn is_current(log: &Log, seq: u64) -> bool {
    log.inner.segment_infos().iter().any(|s| s.seq == seq)
}

/// The last LSN that is read from a segment: a later one that begins lower holds the rest, and behind a fork
/// what follows in the file does not count.
fn end_of(log: &Log, seq: u64) -> u64 {
    let infos = log.inner.segment_infos();
    let is_last = infos.iter().all(|s| s.seq <= seq);
    let own = infos.iter().find(|s| s.seq == seq && !is_last).map(|s| s.last_lsn);
    let later = infos.iter().filter(|s| s.seq > seq && holds_any(s));
    later.map(|s| s.base_lsn - 1).chain(own).min().unwrap_or(u64::MAX)
}

/// What a walk through a view needs on another thread.
struct Stage<V> {
    view: View,
    walk: Walk,
    /// LSN of the next record to be shown.
    next: u64,
    /// Bytes that may be shown yet.
    left: u64,
    visitor: V,
}

impl<V: Visitor> Stage<V> {
    /// Goes through what the view holds. `next` is moved behind what was shown, nothing above `end` is.
    fn walk(&mut self, end: u64) -> Step {
        let at = &mut self.walk;
        loop {
            if self.next > end || self.left == 0 {
                return Step::Again;
            }
            let record = match self.view.record(at.pos) {
                Found::Record(record) => record,
                Found::More(bytes) => return Step::Slide(bytes),
                Found::Nothing => return Step::Nothing,
            };
            let len = record.record_len() as u64;
            if at.left == 0 {
                match control(&record, at.seq, at.lsn, None, false) {
                    Control::Pad => at.pos += len,
                    Control::Batch(head) if head.last_lsn < self.next => {
                        at.pos += u64::from(head.batch_bytes);
                        at.lsn = head.last_lsn + 1;
                    }
                    Control::Batch(head) => {
                        at.left = head.data_records;
                        at.batch_end = at.pos + u64::from(head.batch_bytes);
                        at.wall_us = head.wall_us;
                        at.pos += len;
                    }
                    Control::End(_) | Control::None => return Step::Nothing,
                }
                continue;
            }
            let fits =
                at.pos + len <= at.batch_end && (at.left > 1 || at.pos + len == at.batch_end);
            if !record.is_data() || record.lsn != at.lsn || !fits {
                return Step::Nothing;
            }
            if record.lsn >= self.next {
                let previous = if record.lsn == at.base { at.before } else { record.lsn - 1 };
                let shown = Shown { record, wall_us: at.wall_us, previous };
                if self.visitor.show(&shown).is_break() {
                    return Step::Enough;
                }
                self.next = record.lsn + 1;
                self.left = self.left.saturating_sub(len);
            }
            at.pos += len;
            at.lsn += 1;
            at.left -= 1;
        }
    }
}
