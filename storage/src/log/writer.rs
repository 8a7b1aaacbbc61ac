//! Batches: from the tail into the current segment.
//!
//! `Direct` files: one task commits group after group (write, sync) while new records gather.
//! `Cached` files: `flush` writes at once on the shard's thread; see `sync` for the rest.

use std::io;
use std::rc::Rc;

use moon_formats::wal::BatchHead;

use crate::failpoint::{Point, reach};
use crate::io::{Caching, CommitError, File, write_whole};

use super::buffer::Sealed;
use super::segment::Segment;
use super::status::{StateBits, bump};
use super::{Busy, Inner};

/// A disk operation of the log that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) doing: &'static str,
    pub(super) cause: io::Error,
}

impl Failure {
    pub(super) fn at(doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
        move |cause| Failure { doing, cause }
    }
}

impl Inner {
    pub(super) fn flush(self: &Rc<Self>) {
        let written = self.written_lsn.get();
        self.gathering.look(self.last_lsn.get());
        self.start_writing();
        if self.written_lsn.get() != written {
            self.changed();
        } else {
            self.update_pause();
        }
    }

    fn start_writing(self: &Rc<Self>) {
        while self.busy.get() == Busy::Idle && !self.frozen() {
            let wants_rotation = self.rotate_wanted.get() && self.segment.borrow().is_some();
            let front = self.tail.borrow_mut().front();
            let Some(batch) = front else {
                if wants_rotation {
                    self.rotate_in_background();
                }
                return;
            };
            if wants_rotation || !self.fits(&batch) {
                return self.rotate_in_background();
            }
            let via = self.segment.borrow().as_ref().map(|s| s.via);
            match via {
                Some(Caching::Direct) => {
                    self.busy.set(Busy::Committing);
                    let this = Rc::clone(self);
                    self.rt.spawn(Box::pin(async move { this.commit_groups().await }));
                }
                Some(Caching::Cached) => {
                    if self.must_hold(&batch) {
                        return self.start_sync();
                    }
                    if mutant!(self.cfg, AckBeforeWrite) && self.lag_behind(&batch) {
                        return;
                    }
                    if let Err(failure) = self.write_cached(&batch) {
                        return self.fail(failure);
                    }
                    self.sync_if_half_full();
                }
                None => return,
            }
        }
    }

    /// True while nothing may be written: a suspect file waits for its replacement.
    pub(super) fn frozen(&self) -> bool {
        self.state.get().has(StateBits::DEGRADED) || self.state.get().has(StateBits::CLOSED)
    }

    /// Whether writing `batch` now could acknowledge more than the policy lets be lost.
    fn must_hold(&self, batch: &Sealed) -> bool {
        let age = self.unsynced_age_us(self.rt.mono_us());
        let exposed = self.written_bytes.get() - self.durable_bytes.get();
        let more = batch.appended_bytes - self.written_bytes.get();
        age >= self.unsynced_us_max()
            || (exposed > 0 && exposed + more > self.cfg.unsynced_bytes_max)
    }

    fn fits(&self, batch: &Sealed) -> bool {
        let segment = self.segment.borrow();
        segment.as_ref().is_some_and(|s| s.fits(batch.len() as u64, self.align))
    }

    /// Encodes the head of `batch` for the segment it goes to.
    pub(super) fn head_of(&self, seq: u64, batch: &Sealed) -> BatchHead {
        let wall_us = self.rt.wall_us();
        let mono_us = (self.mono_us.get() + 1).max(wall_us.max(0) as u64);
        self.mono_us.set(mono_us);
        BatchHead {
            segment_seq: seq,
            batch_bytes: batch.len() as u32,
            data_records: batch.records,
            first_lsn: batch.first_lsn,
            last_lsn: batch.last_lsn,
            durable_lsn: self.durable_lsn.get(),
            wall_us,
            mono_us,
        }
    }

    fn write_cached(self: &Rc<Self>, batch: &Sealed) -> Result<(), Failure> {
        let mut segment = self.segment.borrow_mut();
        let Some(segment) = segment.as_mut() else { return Ok(()) };
        reach(Point::LogAfterAppendBeforeWrite).map_err(Failure::at("write the log"))?;
        let head = self.head_of(segment.seq, batch);
        let mut tail = self.tail.borrow_mut();
        tail.put_head(batch, &head.record(batch.first_lsn - 1));
        let bytes = tail.bytes(batch);
        write_now(&*segment.file, segment.pos, bytes).map_err(Failure::at("write the log"))?;
        tail.pop_front();
        drop(tail);
        let first = segment.is_first_of_a_rotation();
        segment.advance(batch, segment.pos + batch.len() as u64);
        self.batch_written(batch);
        if first {
            reach(Point::RotateFirstGroup).map_err(Failure::at("write the log"))?;
        }
        if self.unsynced_since.get().is_none() {
            self.unsynced_since.set(Some(self.rt.mono_us()));
            self.arm_sync_timer();
        }
        Ok(())
    }

    fn batch_written(&self, batch: &Sealed) {
        bump(&self.counters.batches);
        self.written_lsn.set(self.written_lsn.get().max(batch.last_lsn));
        self.written_crc.set(batch.last_crc);
        self.written_bytes.set(batch.appended_bytes);
    }

    /// Commits groups until nothing is left to write.
    async fn commit_groups(self: Rc<Self>) {
        let result = self.commit_until_empty().await;
        self.release(result);
    }

    async fn commit_until_empty(self: &Rc<Self>) -> Result<(), Failure> {
        while !self.frozen() {
            let front = self.tail.borrow_mut().front();
            let Some(batch) = front else { return Ok(()) };
            let target = self.direct_target(&batch);
            // Rotation has its own state; `release` starts it.
            let Some((file, seq, pos)) = target else { return Ok(()) };
            let began = self.rt.mono_us();
            self.commit(&batch, &*file, seq, pos).await?;
            let took_us = self.rt.mono_us() - began;
            self.gather(&batch, took_us).await;
        }
        Ok(())
    }

    /// Waits a little for the clients that the group `answered` has answered.
    async fn gather(&self, answered: &Sealed, took_us: u64) {
        if self.tail.borrow().has_full_batch() {
            return;
        }
        let from = self.last_lsn.get();
        let (gathered, answered) = (from - answered.last_lsn, u64::from(answered.records));
        if let Some(us) = self.gathering.pause_us(gathered, answered, took_us) {
            self.gathering.wait(&*self.rt, from + answered, us).await;
            self.gathering.came(self.last_lsn.get() - from, answered);
        }
    }

    /// Where a group goes: file, segment and offset, if it is a `Direct` file with room.
    fn direct_target(&self, batch: &Sealed) -> Option<(Rc<dyn File>, u64, u64)> {
        let segment = self.segment.borrow();
        let s = segment.as_ref().filter(|s| s.via == Caching::Direct)?;
        let fits = s.fits(batch.len() as u64, self.align) && !self.rotate_wanted.get();
        fits.then(|| (Rc::clone(&s.file), s.seq, s.pos))
    }

    async fn commit(
        self: &Rc<Self>,
        batch: &Sealed,
        file: &dyn File,
        seq: u64,
        pos: u64,
    ) -> Result<(), Failure> {
        let head = self.head_of(seq, batch).record(batch.first_lsn - 1);
        let mut lent = {
            let mut tail = self.tail.borrow_mut();
            tail.put_head(batch, &head);
            tail.lend(batch)
        };
        lent.pad_to(self.align as usize, batch.last_lsn);
        if mutant!(self.cfg, AckBeforeWrite) {
            self.durable_lsn.set(batch.last_lsn);
            self.changed();
        }
        let result = match reach(Point::LogAfterAppendBeforeWrite) {
            Ok(()) => self.commit_bytes(batch, file, pos, lent.content()).await,
            Err(e) => Err(CommitError::Write(e)),
        };
        let bytes = lent.content().len() as u64;
        if !matches!(result, Err(CommitError::Write(_))) {
            self.batch_written(batch);
        }
        let synced = result.map_err(|e| match e {
            CommitError::Write(cause) => Failure { doing: "write the log", cause },
            CommitError::Sync(cause) => Failure { doing: "sync the log", cause },
        });
        let mut tail = self.tail.borrow_mut();
        tail.give_back(batch, lent);
        if synced.is_ok() {
            tail.pop_front();
        }
        drop(tail);
        synced?;
        if let Some(segment) = self.segment.borrow_mut().as_mut() {
            segment.advance(batch, pos + bytes);
        }
        self.set_durable(batch.last_lsn, batch.last_crc, batch.appended_bytes);
        self.changed();
        Ok(())
    }

    /// Writes a group and makes it durable.
    async fn commit_bytes(
        &self,
        batch: &Sealed,
        file: &dyn File,
        pos: u64,
        bytes: &[u8],
    ) -> Result<(), CommitError> {
        let align = self.align as usize;
        let start = self.rt.mono_us();
        let result = if mutant!(self.cfg, AckBeforeSync) {
            write_whole(file, pos, bytes, align).await.map_err(CommitError::Write)?;
            self.durable_lsn.set(batch.last_lsn);
            self.changed();
            file.sync().await.map_err(CommitError::Sync)
        } else {
            file.commit(pos, bytes, align, self.between()).await
        };
        let synced = match result {
            Err(e @ CommitError::Write(_)) => return Err(e),
            Err(CommitError::Sync(e)) => Err(e),
            Ok(()) => Ok(()),
        };
        let noted = self.sync_ended(file, start, synced).await;
        noted.and_then(|()| reach(Point::LogAfterSyncBeforeAck)).map_err(CommitError::Sync)
    }

    /// The steps between the write of a batch and its sync.
    fn between(&self) -> fn() -> io::Result<()> {
        match self.segment.borrow().as_ref().is_some_and(Segment::is_first_of_a_rotation) {
            true => || {
                reach(Point::RotateFirstGroup)?;
                reach(Point::LogAfterWriteBeforeSync)
            },
            false => || reach(Point::LogAfterWriteBeforeSync),
        }
    }

    /// Syncs records that were written.
    pub(super) async fn sync_batch(&self, file: &dyn File) -> io::Result<()> {
        self.between()()?;
        self.sync_file(file).await?;
        reach(Point::LogAfterSyncBeforeAck)
    }

    /// Syncs a file of the log once.
    pub(super) async fn sync_file(&self, file: &dyn File) -> io::Result<()> {
        let start = self.rt.mono_us();
        let result = file.sync().await;
        self.sync_ended(file, start, result).await
    }

    /// Notes how a sync, begun at `start`, has ended.
    async fn sync_ended(
        &self,
        file: &dyn File,
        start: u64,
        result: io::Result<()>,
    ) -> io::Result<()> {
        let result = match result {
            Err(_) if mutant!(self.cfg, SyncRetriedOnOldFile) => file.sync().await,
            other => other,
        };
        match &result {
            Ok(()) => {
                bump(&self.counters.syncs);
                let mut times = self.counters.sync_times.get();
                times.add(self.rt.mono_us() - start);
                self.counters.sync_times.set(times);
            }
            Err(_) => bump(&self.counters.sync_errors),
        }
        result
    }

    pub(super) fn set_durable(&self, lsn: u64, crc: u32, appended_bytes: u64) {
        if lsn < self.durable_lsn.get() {
            return;
        }
        self.durable_lsn.set(lsn);
        self.durable_crc.set(crc);
        self.durable_bytes.set(appended_bytes);
        self.tail.borrow_mut().release_through(lsn);
    }

    /// Ends a busy section: hands over to healing, or writes on.
    pub(super) fn release(self: &Rc<Self>, result: Result<(), Failure>) {
        self.busy.set(Busy::Idle);
        match result {
            Err(failure) => self.fail(failure),
            Ok(()) if self.state.get().has(StateBits::DEGRADED) => self.start_healing(),
            Ok(()) => {
                self.flush();
                self.changed();
            }
        }
    }

    /// Mutant helper: acknowledges a batch now and leaves its writing to the next turn.
    #[cfg(any(test, feature = "mutants"))]
    fn lag_behind(&self, batch: &Sealed) -> bool {
        let first_look = self.written_lsn.get() < batch.last_lsn;
        if first_look {
            self.written_lsn.set(batch.last_lsn);
        }
        first_look
    }

    #[cfg(not(any(test, feature = "mutants")))]
    fn lag_behind(&self, _batch: &Sealed) -> bool {
        false
    }
}

/// Writes all of `bytes` without waiting. A driver that writes less is asked again for the rest;
/// no progress is an error.
pub(super) fn write_now(file: &dyn File, mut pos: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = match file.write_now(pos, bytes) {
            Some(result) => result?,
            None => return Err(io::ErrorKind::Unsupported.into()),
        };
        if n == 0 || n > bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        pos += n as u64;
        bytes = &bytes[n..];
    }
    Ok(())
}
