//! A write or sync failed: the file is suspect, its records move to a new one.
//!
//! The watermark freezes, writers are refused, the old file is dropped. A new segment flagged
//! REWIND repeats, byte for byte, every record after the durable LSN, and says so in its `Cut`.
//! Attempts go on, each with a new file, until one is durable with its name (durability.md §4.2).

use std::rc::Rc;

use moon_formats::names;
use moon_formats::wal::body::BATCH_HEAD_RECORD_LEN;
use moon_formats::wal::{Cut, CutReason, header_flags};

use crate::failpoint::{self, Point};
use crate::io::{Caching, DirEntry, write_whole};
use crate::scan::{EndKind, ScanOptions, Verify, scan};

use super::buffer::{Buffer, Sealed};
use super::segment::{Opening, RETRY_US_MAX, RETRY_US_MIN, Segment};
use super::status::{StateBits, bump};
use super::writer::Failure;
use super::{Busy, Inner, SegmentInfo};

/// What a healing segment repeats: records after `after`, up to `through`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refill {
    after: u64,
    through: u64,
}

impl Inner {
    /// Takes note of a failed operation on the current file and starts healing, now or when
    /// the running section ends.
    pub(super) fn fail(self: &Rc<Self>, failure: Failure) {
        if !failure.doing.starts_with("sync") {
            bump(&self.counters.write_errors);
        }
        let text = format!("cannot {}: {}", failure.doing, failure.cause);
        if is_gone(&failure.cause) {
            self.enter(StateBits::DIR_LOST, text.clone());
        }
        self.degrade(text);
    }

    /// Gives up the current file: everything not durable goes to a new one.
    pub(super) fn degrade(self: &Rc<Self>, text: String) {
        let first = !self.state.get().has(StateBits::DEGRADED);
        self.enter(StateBits::DEGRADED, text);
        if let Some(suspect) = self.segment.borrow_mut().take() {
            self.retire(&suspect);
        }
        self.segments.borrow_mut().iter_mut().for_each(|s| s.recyclable = false);
        self.unsynced_files.borrow_mut().clear();
        self.unsynced_since.set(None);
        if first {
            self.announce_overdue();
        }
        self.start_healing();
        self.changed();
    }

    /// Wakes whoever holds clients when their patience ends.
    pub(super) fn announce_overdue(self: &Rc<Self>) {
        let Some(since) = self.counters.degraded_since.get() else { return };
        let due = since + self.sync_fail_timeout_us.get();
        let wait = due.saturating_sub(self.rt.mono_us());
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move {
            this.rt.sleep_us(wait).await;
            if this.overdue() {
                this.changed();
            }
        }));
    }

    pub(super) fn start_healing(self: &Rc<Self>) {
        if self.busy.get() != Busy::Idle {
            return;
        }
        self.busy.set(Busy::Healing);
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move { this.heal().await }));
    }

    async fn heal(self: Rc<Self>) {
        // A sync of an older file may still be under way; what it makes durable need not move.
        while self.syncing.get() {
            self.next_change().await;
        }
        let suspect = self.segment.borrow_mut().take();
        if let Some(suspect) = suspect {
            self.retire(&suspect);
        }
        self.segments.borrow_mut().iter_mut().for_each(|s| s.recyclable = false);
        failpoint::pass(Point::HealSuspect);
        let mut wait = RETRY_US_MIN;
        loop {
            match self.try_heal().await {
                Ok(()) => break,
                Err(failure) => self.heal_failed(&failure),
            }
            self.changed();
            self.rt.sleep_us(wait).await;
            wait = (2 * wait).min(RETRY_US_MAX);
        }
        bump(&self.counters.heals);
        self.leave(StateBits::DEGRADED);
        self.release(Ok(()));
        self.prepare_in_background();
    }

    fn heal_failed(self: &Rc<Self>, failure: &Failure) {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        tracing::warn!(doing = failure.doing, error = %failure.cause, "log not healed yet");
        match failure.cause.kind() {
            StorageFull | QuotaExceeded => self.cannot_prepare(&failure.cause),
            _ if is_gone(&failure.cause) => self.cannot_prepare(&failure.cause),
            _ if failure.doing.starts_with("sync") => {}
            _ => bump(&self.counters.write_errors),
        }
    }

    async fn try_heal(self: &Rc<Self>) -> Result<(), Failure> {
        // A failed attempt may have left a segment under its final name.
        let entries =
            self.disk.list(&self.dir).await.map_err(Failure::at("list the log directory"))?;
        let first_seq = self.segments.borrow().front().map(|s| s.seq);
        self.reconcile(&entries, self.durable_lsn.get());
        let segment = self.repeat_retained(CutReason::SyncFailed, 0).await?;
        let through = segment.last_lsn;
        self.install(segment);
        if self.state.get().has(StateBits::DIR_LOST) && self.is_whole(first_seq, through).await {
            self.leave(StateBits::DIR_LOST);
        }
        Ok(())
    }

    /// Whether the directory holds again all that the log knows of: it has come back as it was.
    /// After any other loss only a new base makes the data whole.
    async fn is_whole(&self, first_seq: Option<u64>, through: u64) -> bool {
        let opts = ScanOptions {
            shard: Some(self.cfg.shard),
            via: Caching::Direct,
            ..ScanOptions::default()
        };
        match scan(&*self.disk, &self.dir, &opts, &mut Verify).await {
            Ok(end) => {
                end.segments.first().map(|s| s.seq) == first_seq.or(Some(self.next_seq.get() - 1))
                    && !matches!(end.kind, EndKind::Hole(_))
                    && end.last_lsn >= through
            }
            Err(error) => {
                tracing::warn!(%error, "log directory is back, but not readable");
                false
            }
        }
    }

    /// Puts every retained record behind the durable LSN into a new segment flagged REWIND,
    /// which is durable with its name when this returns.
    pub(super) async fn repeat_retained(
        &self,
        reason: CutReason,
        max_seen_lsn: u64,
    ) -> Result<Segment, Failure> {
        let keep = self.durable_lsn.get();
        let (through, record_bytes, appended_bytes) = {
            let mut tail = self.tail.borrow_mut();
            tail.seal();
            let through = tail.last_lsn();
            (through, tail.bytes_between(keep, through).0 as u64, tail.appended_bytes())
        };
        // Every record could end up in a batch of its own, with a head and a pad.
        let batches = record_bytes.div_ceil(self.cfg.batch_bytes_max as u64) * 2 + 1;
        let overhead = batches * (BATCH_HEAD_RECORD_LEN as u64 + 2 * self.align);
        let bytes = self
            .segment_bytes_for(0)
            .max((record_bytes + overhead + 2 * self.align).next_multiple_of(self.align));
        let via = self.policy.get().caching();
        let spare = self.make_spare(bytes, via).await.map_err(Failure::at("prepare a segment"))?;
        let opening = Opening {
            flags: header_flags::REWIND,
            base_lsn: keep + 1,
            prev_crc: self.durable_crc.get(),
            cut: Some(Cut {
                keep_lsn: keep,
                max_seen_lsn: max_seen_lsn.max(through),
                reason,
                wall_us: self.rt.wall_us(),
            }),
        };
        let refill = Refill { after: keep, through };
        let (segment, last_crc) = self.publish(spare, opening, Some(refill)).await?;

        self.tail.borrow_mut().drop_pending_through(through);
        self.written_lsn.set(through);
        self.written_crc.set(last_crc);
        self.written_bytes.set(appended_bytes);
        self.set_durable(through, last_crc, appended_bytes);
        Ok(segment)
    }

    /// Makes the list of segments agree with the directory: a failed attempt may have named a
    /// file of which nothing counts, and a lost directory has none.
    fn reconcile(&self, entries: &[DirEntry], keep: u64) {
        let mut segments = self.segments.borrow_mut();
        let mut known = std::mem::take(&mut *segments);
        for entry in entries {
            let Some(seq) = names::parse_wal_segment(&entry.name) else { continue };
            self.next_seq.set(self.next_seq.get().max(seq + 1));
            while known.front().is_some_and(|s| s.seq < seq) {
                known.pop_front();
            }
            segments.push_back(match known.front().is_some_and(|s| s.seq == seq) {
                true => known.pop_front().unwrap_or_else(|| void(seq, keep, entry.bytes)),
                false => void(seq, keep, entry.bytes),
            });
        }
    }

    /// Writes retained records into a segment that nobody reads yet. Returns the CRC of the
    /// last one.
    pub(super) async fn refill(
        &self,
        segment: &mut Segment,
        refill: Refill,
    ) -> Result<u32, Failure> {
        let mut last_crc = self.durable_crc.get();
        let mut done = refill.after;
        while done < refill.through {
            let (buffer, batch) = self.copy_batch(segment.seq, done, refill.through);
            if batch.records == 0 {
                break;
            }
            write_whole(&*segment.file, segment.pos, buffer.content(), self.align as usize)
                .await
                .map_err(Failure::at("write a healing segment"))?;
            segment.advance(&batch, segment.pos + buffer.content().len() as u64);
            done = batch.last_lsn;
            last_crc = batch.last_crc;
        }
        segment.dirty = false;
        Ok(last_crc)
    }

    fn copy_batch(&self, seq: u64, done: u64, through: u64) -> (Buffer, Sealed) {
        let tail = self.tail.borrow();
        let (total, first) = tail.bytes_between(done, through);
        let bytes = total.min(self.cfg.batch_bytes_max).max(first);
        let mut buffer = Buffer::with_capacity(BATCH_HEAD_RECORD_LEN + bytes);
        let out = buffer.bytes_mut();
        out.resize(out.len() + BATCH_HEAD_RECORD_LEN, 0);
        let copied = tail.copy_after(done, through, bytes, out);
        drop(tail);
        let batch = Sealed::of_copy(buffer.content().len(), &copied);
        let head = self.head_of(seq, &batch).record(batch.first_lsn - 1);
        buffer.put_front(&head);
        buffer.pad_to(self.align as usize, batch.last_lsn);
        (buffer, batch)
    }

    pub(super) fn base_committed(&self) {
        if !self.frozen() {
            self.leave(StateBits::DIR_LOST);
            self.changed();
        }
    }
}

/// A segment of which nothing counts.
fn void(seq: u64, keep: u64, bytes: u64) -> SegmentInfo {
    SegmentInfo { seq, base_lsn: keep + 1, last_lsn: keep, bytes, recyclable: false, void: true }
}

/// Whether an error says that the directory, or the device below it, is no longer there.
pub(super) fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, StaleNetworkFileHandle};
    matches!(error.kind(), NotFound | NotADirectory | StaleNetworkFileHandle)
}
