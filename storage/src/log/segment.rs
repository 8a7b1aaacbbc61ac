//! Segment files: prepared aside, put in place, sealed, recycled.
//!
//! Invariants:
//! * A file gets its final name only after its first block is durable, and is written on only
//!   after that name is durable. So a file with a final name always has a good header.
//! * An old segment loses its name durably before its first block is overwritten.
//! * Segments disappear oldest first, each one durably before the next.
//!
//! Temporary names end in `.tmp`; nothing reads them and opening the log removes them.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use moon_formats::names;
use moon_formats::wal::body::Payload;
use moon_formats::wal::{self, Cut, CutReason, SegmentEnd, SegmentHeader, header_flags};

use crate::failpoint::{Point, reach};
use crate::io::{Access, Caching, File, write_whole};
use crate::recovery::RecoveredEnd;

use super::buffer::{Buffer, Sealed};
use super::heal::{Refill, is_gone};
use super::status::{LogError, StateBits, bump};
use super::writer::{Failure, write_now};
use super::{Busy, Inner, SegmentInfo};

/// First wait after a failed preparation of a segment; doubles up to [`RETRY_US_MAX`].
pub(super) const RETRY_US_MIN: u64 = 100_000;
/// Longest wait between attempts.
pub(super) const RETRY_US_MAX: u64 = 10_000_000;
/// Free space must exceed the limit by so many percent of the disk before DISKFULL ends.
const DISK_FREE_HYSTERESIS_PCT: u64 = 2;

/// The segment being written.
pub(super) struct Segment {
    pub(super) file: Rc<dyn File>,
    pub(super) seq: u64,
    pub(super) base_lsn: u64,
    pub(super) bytes: u64,
    pub(super) via: Caching,
    /// Offset of the next write.
    pub(super) pos: u64,
    /// Data records in it.
    pub(super) records: u64,
    /// LSN of its last data record, `base_lsn - 1` if none.
    pub(super) last_lsn: u64,
    /// Written since the last sync of it was started (`Cached`).
    pub(super) dirty: bool,
}

impl Segment {
    /// Whether a batch fits, its pad and the segment's last block included.
    pub(super) fn fits(&self, batch_bytes: u64, align: u64) -> bool {
        let end = self.pos + batch_bytes;
        end + wal::pad_len(end, align) as u64 + align <= self.bytes
    }

    /// Whether nothing has been written to it yet, and it is not what a start begins with.
    pub(super) fn is_first_of_a_rotation(&self) -> bool {
        cfg!(feature = "failpoints") && self.records == 0 && self.base_lsn > 1
    }

    /// Accounts for a batch written at `pos`.
    pub(super) fn advance(&mut self, batch: &Sealed, pos: u64) {
        self.pos = pos;
        self.records += u64::from(batch.records);
        self.last_lsn = batch.last_lsn;
        self.dirty = true;
    }
}

/// A preallocated file under a temporary name.
pub(super) struct Spare {
    path: PathBuf,
    bytes: u64,
    via: Caching,
    file: Rc<dyn File>,
}

/// A sealed `Cached` file whose sync is due.
pub(super) struct OldFile {
    pub(super) file: Rc<dyn File>,
    pub(super) last_lsn: u64,
    pub(super) last_crc: u32,
    pub(super) appended_bytes: u64,
}

/// What the first block of a new segment says.
pub(super) struct Opening {
    pub(super) flags: u8,
    pub(super) base_lsn: u64,
    pub(super) prev_crc: u32,
    pub(super) cut: Option<Cut>,
}

impl Inner {
    // ---- putting a segment in place ----

    pub(super) async fn open_first_segment(
        self: &Rc<Self>,
        end: &RecoveredEnd,
    ) -> Result<(), LogError> {
        let disk = &self.disk;
        disk.create_dir_all(&self.dir).await.map_err(LogError::io("create the log directory"))?;
        let found_seq = self.remove_temporaries().await?;
        if found_seq != end.last_seq {
            return Err(LogError::Changed { scanned_seq: end.last_seq, found_seq });
        }
        match self.keep_unsynced(end).await? {
            // Nothing was torn, so the log goes on right behind.
            Some(segment) if end.clean => {
                self.install(segment);
                return Ok(());
            }
            Some(segment) => self.retire(&segment),
            None => {}
        }
        if !end.clean {
            self.mark_open_ends(end);
        }
        reach(Point::StartBeforeNewSegment).map_err(LogError::io("prepare a segment"))?;
        let (flags, void) = match (end.fork, end.clean) {
            (Some(fork), _) => (header_flags::FORK, Some((fork.keep_lsn, CutReason::Pitr))),
            (None, true) => (0, None),
            (None, false) => {
                (header_flags::AFTER_CRASH, Some((end.next_lsn - 1, CutReason::CrashTail)))
            }
        };
        let opening = Opening {
            flags,
            base_lsn: self.last_lsn.get() + 1,
            prev_crc: end.last_crc,
            cut: void.map(|(keep_lsn, reason)| Cut {
                keep_lsn,
                max_seen_lsn: end.max_seen_lsn,
                reason,
                wall_us: self.rt.wall_us(),
            }),
        };
        let spare = self
            .make_spare(self.cfg.segment_bytes, self.policy.get().caching())
            .await
            .map_err(LogError::io("prepare a segment"))?;
        let (segment, _) = self
            .publish(spare, opening, None)
            .await
            .map_err(|f| LogError::Io { doing: f.doing, cause: f.cause })?;
        self.install(segment);
        Ok(())
    }

    /// Removes `*.tmp`; returns the highest segment number in the directory, 0 if none.
    async fn remove_temporaries(&self) -> Result<u64, LogError> {
        let entries =
            self.disk.list(&self.dir).await.map_err(LogError::io("list the log directory"))?;
        let mut seq = 0;
        for entry in entries {
            if let Some(found) = names::parse_wal_segment(&entry.name) {
                seq = seq.max(found);
            } else if entry.name.ends_with(".tmp") && !entry.is_dir {
                self.disk
                    .remove(&self.dir.join(&entry.name))
                    .await
                    .map_err(LogError::io("remove a temporary file"))?;
            }
        }
        Ok(seq)
    }

    /// Writes the first block, lets `fill` add batches, syncs, names the file, and makes the
    /// name durable.
    pub(super) async fn publish(
        &self,
        spare: Spare,
        opening: Opening,
        fill: Option<Refill>,
    ) -> Result<(Segment, u32), Failure> {
        let seq = self.next_seq.get();
        let header = SegmentHeader {
            flags: opening.flags | header_flags::FPI_ENABLED | header_flags::R1,
            shard_id: self.cfg.shard,
            align_log2: self.align.trailing_zeros() as u8,
            epoch: self.cfg.epoch,
            redo_lsn: self.redo_lsn.get(),
            base_lsn: opening.base_lsn,
            segment_size: spare.bytes,
            segment_seq: seq,
            prev_tail_crc: opening.prev_crc,
            features: 0,
        };
        let before = opening.base_lsn - 1;
        let block = self.control_block(before, |out| {
            header.put(out);
            if let Some(cut) = &opening.cut {
                cut.put_record(out, cut.keep_lsn, 0, wal::DB_NONE);
            }
        });
        let file = Rc::clone(&spare.file);
        write_whole(&*file, 0, block.content(), self.align as usize)
            .await
            .map_err(Failure::at("write the first block of a segment"))?;
        let mut segment = Segment {
            file,
            seq,
            base_lsn: opening.base_lsn,
            bytes: spare.bytes,
            via: spare.via,
            pos: self.align,
            records: 0,
            last_lsn: before,
            dirty: false,
        };
        let last_crc = match fill {
            Some(refill) => self.refill(&mut segment, refill).await?,
            None => opening.prev_crc,
        };
        self.sync_file(&*segment.file).await.map_err(Failure::at("sync a new segment"))?;
        let at = |points: [Option<Point>; 2]| match (self.busy.get(), points) {
            (Busy::Rotating, [Some(point), _]) | (Busy::Healing, [_, Some(point)]) => reach(point),
            _ => Ok(()),
        };
        at([Some(Point::RotateTmpSynced), Some(Point::HealRewindTmp)])
            .map_err(Failure::at("sync a new segment"))?;
        let path = self.dir.join(names::wal_segment(seq));
        self.disk.rename(&spare.path, &path).await.map_err(Failure::at("name a segment"))?;
        at([Some(Point::RotateRenamed), Some(Point::HealRewindRenamed)])
            .map_err(Failure::at("name a segment"))?;
        if !mutant!(self.cfg, NoDirSyncAfterRename) {
            self.disk.sync_dir(&self.dir).await.map_err(Failure::at("sync the log directory"))?;
        }
        at([Some(Point::RotateDirSynced), None]).map_err(Failure::at("sync the log directory"))?;
        self.next_seq.set(seq + 1);
        bump(&self.counters.rotations);
        Ok((segment, last_crc))
    }

    /// Makes a segment the current one.
    pub(super) fn install(&self, segment: Segment) {
        *self.segment.borrow_mut() = Some(segment);
        let via = self.policy.get().caching();
        let other = self.segment.borrow().as_ref().is_some_and(|s| s.via != via);
        self.rotate_wanted.set(other);
    }

    pub(super) fn rotate_in_background(self: &Rc<Self>) {
        self.busy.set(Busy::Rotating);
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move {
            let result = this.rotate().await;
            this.release(result);
        }));
    }

    async fn rotate(self: &Rc<Self>) -> Result<(), Failure> {
        let next = self.tail.borrow_mut().front();
        let old = self.segment.borrow_mut().take();
        if let Some(old) = old {
            *self.sealing.borrow_mut() = Some(old.info());
            let sealed = self.seal(&old).await;
            *self.sealing.borrow_mut() = None;
            sealed?;
            reach(Point::RotateEndWritten).map_err(Failure::at("write the end of a segment"))?;
            self.retire(&old);
        }
        let via = self.policy.get().caching();
        if via == Caching::Direct && !self.drain_cached().await {
            return Ok(());
        }
        let bytes = self.segment_bytes_for(next.map_or(0, |b| b.len() as u64));
        let Some(spare) = self.spare_for(bytes, via).await else { return Ok(()) };
        let opening = Opening {
            flags: 0,
            base_lsn: self.written_lsn.get() + 1,
            prev_crc: self.written_crc.get(),
            cut: None,
        };
        let (segment, _) = self.publish(spare, opening, None).await?;
        match self.frozen() {
            true => self.retire(&segment),
            false => self.install(segment),
        }
        self.prepare_in_background();
        self.reclaim_in_background();
        Ok(())
    }

    /// Waits until no `Cached` file has a sync due: what a `Direct` file makes durable next
    /// must not overtake it. False when that failed.
    async fn drain_cached(self: &Rc<Self>) -> bool {
        while self.syncing.get() || self.unsynced_since.get().is_some() {
            self.start_sync();
            if self.frozen() {
                return false;
            }
            self.next_change().await;
        }
        !self.frozen()
    }

    /// The usual size, or what a single batch beyond it needs.
    pub(super) fn segment_bytes_for(&self, batch_bytes: u64) -> u64 {
        let pad = wal::pad_len(batch_bytes, self.align) as u64;
        self.cfg.segment_bytes.max(batch_bytes + pad + 2 * self.align)
    }

    /// Writes SegmentEnd. A `Direct` file is durable when this returns; a `Cached` one joins
    /// the files whose sync is due.
    pub(super) async fn seal(self: &Rc<Self>, old: &Segment) -> Result<(), Failure> {
        let lsn = old.last_lsn;
        let end = SegmentEnd {
            next_seq: self.next_seq.get(),
            last_lsn: lsn,
            data_records: old.records,
            offset_of_this: old.pos,
            last_mono_us: self.mono_us.get(),
        };
        match old.via {
            Caching::Direct => {
                let block = self.control_block(lsn, |out| {
                    end.put_record(out, lsn, 0, wal::DB_NONE);
                });
                write_whole(&*old.file, old.pos, block.content(), self.align as usize)
                    .await
                    .map_err(Failure::at("write the end of a segment"))?;
                self.sync_file(&*old.file).await.map_err(Failure::at("sync the log"))
            }
            Caching::Cached => {
                let mut bytes = Vec::new();
                end.put_record(&mut bytes, lsn, 0, wal::DB_NONE);
                let pad = wal::pad_len(old.pos + bytes.len() as u64, self.align);
                wal::put_pad(&mut bytes, lsn, pad);
                write_now(&*old.file, old.pos, &bytes)
                    .map_err(Failure::at("write the end of a segment"))?;
                self.unsynced_files.borrow_mut().push_back(OldFile {
                    file: Rc::clone(&old.file),
                    last_lsn: self.written_lsn.get(),
                    last_crc: self.written_crc.get(),
                    appended_bytes: self.written_bytes.get(),
                });
                if self.unsynced_since.get().is_none() {
                    self.unsynced_since.set(Some(self.rt.mono_us()));
                    self.arm_sync_timer();
                }
                Ok(())
            }
        }
    }

    /// Remembers a segment that is no longer written.
    pub(super) fn retire(&self, old: &Segment) {
        self.segments.borrow_mut().push_back(old.info());
    }

    pub(super) fn segment_infos(&self) -> Vec<SegmentInfo> {
        let mut all: Vec<SegmentInfo> = self.segments.borrow().iter().cloned().collect();
        all.extend(self.sealing.borrow().clone());
        all.extend(self.segment.borrow().as_ref().map(Segment::info));
        all
    }

    /// An aligned image of control records, padded to whole blocks.
    fn control_block(&self, lsn: u64, encode: impl FnOnce(&mut Vec<u8>)) -> Buffer {
        let mut block = Buffer::with_capacity(self.align as usize);
        encode(block.bytes_mut());
        block.pad_to(self.align as usize, lsn);
        block
    }

    // ---- preparing files ----

    /// Prepares the next segment in the background, if there is none yet.
    pub(super) fn prepare_in_background(self: &Rc<Self>) {
        let ready = self.spare.borrow().is_some() && !self.state.get().has(StateBits::DISK_FULL);
        if self.preparing.get() || ready || self.frozen() {
            return;
        }
        self.preparing.set(true);
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move {
            let mut wait = RETRY_US_MIN;
            while !this.closed() {
                match this.try_prepare().await {
                    Ok(()) => break,
                    Err(cause) => this.cannot_prepare(&cause),
                }
                this.changed();
                this.rt.sleep_us(wait).await;
                wait = (2 * wait).min(RETRY_US_MAX);
            }
            this.preparing.set(false);
            this.changed();
        }));
    }

    /// One attempt: free space, then a file. Ends DISKFULL when both are there.
    async fn try_prepare(self: &Rc<Self>) -> io::Result<()> {
        self.check_space().await?;
        if self.spare.borrow().is_none() {
            let spare =
                self.make_spare(self.cfg.segment_bytes, self.policy.get().caching()).await?;
            *self.spare.borrow_mut() = Some(spare);
        }
        self.leave(StateBits::DISK_FULL);
        Ok(())
    }

    async fn check_space(&self) -> io::Result<()> {
        let space = self.disk.space(&self.dir).await?;
        self.counters.space.set(Some(space));
        let mut pct = u64::from(self.disk_free_min_pct.get());
        if self.state.get().has(StateBits::DISK_FULL) {
            pct += DISK_FREE_HYSTERESIS_PCT;
        }
        if u128::from(space.free) * 100 < u128::from(space.total) * u128::from(pct) {
            let kind = io::ErrorKind::StorageFull;
            return Err(io::Error::new(kind, format!("less than {pct} % of the disk is free")));
        }
        Ok(())
    }

    /// Sorts a failed preparation into its state.
    pub(super) fn cannot_prepare(self: &Rc<Self>, cause: &io::Error) {
        if is_gone(cause) {
            self.enter(StateBits::DIR_LOST, cause.to_string());
            self.degrade(cause.to_string());
        } else {
            self.enter(StateBits::DISK_FULL, cause.to_string());
        }
    }

    /// A file of at least `bytes` to become the next segment; waits until there is room.
    /// `None` when the log froze meanwhile.
    async fn spare_for(self: &Rc<Self>, bytes: u64, via: Caching) -> Option<Spare> {
        let mut wait = RETRY_US_MIN;
        while !self.frozen() {
            if self.preparing.get() && self.spare.borrow().is_none() {
                self.next_change().await;
                continue;
            }
            let ready = self.spare.borrow_mut().take();
            let result = match ready {
                Some(spare) if spare.bytes >= bytes => self.reopen(spare, via).await,
                other => {
                    *self.spare.borrow_mut() = other;
                    self.make_spare(bytes, via).await
                }
            };
            match result {
                Ok(spare) => {
                    self.has_room();
                    return Some(spare);
                }
                Err(cause) => self.cannot_prepare(&cause),
            }
            self.waits_for_room();
            self.changed();
            self.rt.sleep_us(wait).await;
            wait = (2 * wait).min(RETRY_US_MAX);
        }
        None
    }

    /// Records that were accepted cannot be written for want of room: the watermark stands as
    /// still as after a failed sync, and whoever is held has the same patience.
    fn waits_for_room(self: &Rc<Self>) {
        if !self.no_room.replace(true) && self.counters.degraded_since.get().is_none() {
            self.counters.degraded_since.set(Some(self.rt.mono_us()));
            self.announce_overdue();
        }
    }

    fn has_room(&self) {
        if self.no_room.replace(false) && !self.frozen() {
            self.counters.degraded_since.set(None);
        }
    }

    /// A spare opened for a caching mode.
    async fn reopen(&self, mut spare: Spare, via: Caching) -> io::Result<Spare> {
        if spare.via != via {
            spare.file = self.disk.open(&spare.path, Access::ReadWrite, via).await?;
            spare.via = via;
        }
        Ok(spare)
    }

    /// A recycled file, or a new one whose blocks are written and synced.
    pub(super) async fn make_spare(&self, bytes: u64, via: Caching) -> io::Result<Spare> {
        let idle = match bytes == self.cfg.segment_bytes {
            true => self.idle_files.borrow_mut().pop(),
            false => None,
        };
        if let Some(path) = idle {
            let file = self.disk.open(&path, Access::ReadWrite, via).await?;
            bump(&self.counters.recycled);
            return Ok(Spare { path, bytes, via, file });
        }
        let path = self.temporary("spare");
        let file = self.disk.open(&path, Access::CreateNew, via).await?;
        let ready = match file.preallocate(bytes).await {
            Ok(()) => self.sync_file(&*file).await,
            Err(e) => Err(e),
        };
        if let Err(cause) = ready {
            // Space that a half-made file holds would keep the disk full.
            if let Err(e) = self.disk.remove(&path).await {
                tracing::warn!(path = %path.display(), error = %e, "temporary file stays");
            }
            return Err(cause);
        }
        Ok(Spare { path, bytes, via, file })
    }

    /// A temporary name not used before by this log.
    pub(super) fn temporary(&self, role: &str) -> PathBuf {
        let n = self.temp_number.get();
        self.temp_number.set(n + 1);
        self.dir.join(format!("{role}-{n}.tmp"))
    }

    /// Room left for commands that free space while the disk is full.
    pub(super) fn has_reserve(&self) -> bool {
        let segment = self.segment.borrow();
        let unwritten =
            self.unsynced_bytes() - (self.written_bytes.get() - self.durable_bytes.get());
        let reserve = self.cfg.segment_bytes / 8;
        segment.as_ref().is_some_and(|s| s.bytes - s.pos > reserve + unwritten)
    }

    /// Checks free space and that the directory is there.
    pub(super) async fn probe(self: &Rc<Self>) {
        if self.closed() || self.preparing.get() {
            return;
        }
        let found = match self.check_name().await {
            Ok(()) => self.check_space().await,
            Err(cause) => Err(cause),
        };
        match found {
            Ok(()) => self.leave(StateBits::DISK_FULL),
            Err(cause) => {
                self.cannot_prepare(&cause);
                self.prepare_in_background();
            }
        }
        self.changed();
    }

    /// Whether the segment being written is still there under its name: an open file outlives
    /// the removal of its directory, and what is written to it then is lost with it.
    async fn check_name(&self) -> io::Result<()> {
        let current = || self.segment.borrow().as_ref().map(|s| s.seq);
        let Some(seq) = current() else { return Ok(()) };
        let path = self.dir.join(names::wal_segment(seq));
        match self.disk.open(&path, Access::Read, Caching::Cached).await {
            // Sealed and freed meanwhile.
            Err(cause) if is_gone(&cause) && current() != Some(seq) => Ok(()),
            Err(cause) if is_gone(&cause) => Err(cause),
            // Out of file handles, for one: no news of the directory.
            Err(_) | Ok(_) => Ok(()),
        }
    }

    pub(super) fn closed(&self) -> bool {
        self.state.get().has(StateBits::CLOSED)
    }
}

impl Segment {
    pub(super) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            seq: self.seq,
            base_lsn: self.base_lsn,
            last_lsn: self.last_lsn,
            bytes: self.bytes,
            recyclable: true,
            void: false,
        }
    }
}
