//! When what was written becomes durable.
//!
//! `Cached` files: a sync starts at the latest [`Policy::sync_after_us`] after the oldest write
//! it covers, or when half of the unsynced cap is used. The group is closed first, so later
//! writes begin in a fresh block. Nothing is written while the oldest exposed write is older
//! than twice that time: the bound on what a power loss can take holds by construction.

use std::rc::Rc;

use moon_formats::wal::body::Payload;
use moon_formats::wal::{self, Checkpoint, CheckpointKind, RecordType};

use crate::io::Caching;

use super::segment::{OldFile, Segment};
use super::status::{LogError, StateBits};
use super::writer::{Failure, write_now};
use super::{Busy, Inner, Policy, SegmentInfo};

impl Inner {
    /// Arms the timer of the oldest unsynced write, once.
    pub(super) fn arm_sync_timer(self: &Rc<Self>) {
        if self.timer_armed.get() || self.syncing.get() {
            return;
        }
        let Some(since) = self.unsynced_since.get() else { return };
        let due = since + self.policy.get().sync_after_us();
        let wait = due.saturating_sub(self.rt.mono_us());
        self.timer_armed.set(true);
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move {
            this.rt.sleep_us(wait).await;
            this.timer_armed.set(false);
            let due = this.unsynced_since.get().map(|t| t + this.policy.get().sync_after_us());
            match due {
                Some(due) if due <= this.rt.mono_us() => this.start_sync(),
                Some(_) => this.arm_sync_timer(),
                None => {}
            }
        }));
    }

    /// Starts a sync of everything written to `Cached` files, unless one is under way.
    pub(super) fn start_sync(self: &Rc<Self>) {
        if self.syncing.get() || self.unsynced_since.get().is_none() || self.frozen() {
            return;
        }
        self.syncing.set(true);
        self.syncing_since.set(self.unsynced_since.take());
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move { this.run_sync().await }));
        self.arm_stall_timer();
    }

    /// Ends the group of the current `Cached` segment on a block boundary; what it holds is to
    /// be synced. `None` if nothing was written to it since its last sync.
    fn close_group(&self) -> Result<Option<OldFile>, Failure> {
        let mut segment = self.segment.borrow_mut();
        let dirty = |s: &&mut Segment| s.via == Caching::Cached && s.dirty;
        let Some(segment) = segment.as_mut().filter(dirty) else { return Ok(None) };
        let lsn = self.written_lsn.get();
        if !mutant!(self.cfg, TailBlockRewritten) {
            let len = wal::pad_len(segment.pos, self.align);
            let mut pad = Vec::new();
            wal::put_pad(&mut pad, lsn, len);
            write_now(&*segment.file, segment.pos, &pad).map_err(Failure::at("write the log"))?;
            segment.pos += len as u64;
        }
        segment.dirty = false;
        // Whatever was written until now is covered by the sync that follows.
        self.unsynced_since.set(None);
        Ok(Some(OldFile {
            file: Rc::clone(&segment.file),
            last_lsn: lsn,
            last_crc: self.written_crc.get(),
            appended_bytes: self.written_bytes.get(),
        }))
    }

    async fn run_sync(self: Rc<Self>) {
        let result = self.sync_files().await;
        self.syncing.set(false);
        self.syncing_since.set(None);
        match result {
            Err(failure) => self.fail(failure),
            Ok(()) => self.arm_sync_timer(),
        }
        self.reclaim_in_background();
        self.flush();
        self.changed();
    }

    /// Syncs the sealed files, then the current one. A group is closed in the same turn in
    /// which its sync is issued: a block written in between would be covered, and written again.
    async fn sync_files(self: &Rc<Self>) -> Result<(), Failure> {
        loop {
            let sealed = self.unsynced_files.borrow_mut().pop_front();
            let last = sealed.is_none();
            let file = match sealed {
                Some(sealed) => sealed,
                None if self.frozen() => return Ok(()),
                None => match self.close_group()? {
                    Some(current) => current,
                    None => return Ok(()),
                },
            };
            self.sync_batch(&*file.file).await.map_err(Failure::at("sync the log"))?;
            // A degraded log keeps its records: healing repeats all that it froze with.
            if !self.frozen() {
                self.set_durable(file.last_lsn, file.last_crc, file.appended_bytes);
            }
            if last {
                return Ok(());
            }
            self.changed();
        }
    }

    /// Stops the intake when the sync in flight passes the policy's bound, without waiting for
    /// the shard's next turn.
    fn arm_stall_timer(self: &Rc<Self>) {
        let Some(since) = self.syncing_since.get() else { return };
        let wait = (since + self.unsynced_us_max()).saturating_sub(self.rt.mono_us());
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move {
            this.rt.sleep_us(wait).await;
            if this.syncing_since.get() == Some(since) {
                this.changed();
            }
        }));
    }

    /// Starts a sync early when half of the unsynced cap is used.
    pub(super) fn sync_if_half_full(self: &Rc<Self>) {
        let exposed = self.written_bytes.get() - self.durable_bytes.get();
        if exposed >= self.cfg.unsynced_bytes_max / 2 {
            self.start_sync();
        }
    }

    pub(super) async fn sync_all(self: &Rc<Self>) -> Result<(), LogError> {
        let target = self.last_lsn.get();
        loop {
            self.flush();
            if self.frozen() {
                return Err(self.degraded_error());
            }
            if self.durable_lsn.get() >= target {
                return Ok(());
            }
            let stuck =
                self.busy.get() == Busy::Rotating && self.state.get().has(StateBits::DISK_FULL);
            if stuck {
                return Err(self.degraded_error());
            }
            self.start_sync();
            if self.durable_lsn.get() < target && !self.frozen() {
                self.next_change().await;
            }
        }
    }

    pub(super) async fn rotate_all(self: &Rc<Self>) -> Result<Option<SegmentInfo>, LogError> {
        self.sync_all().await?;
        // The first segment of a timeline counts without a record: it says where the one before ends.
        let fork = self.timelines.last().filter(|t| t.forked_at.is_some()).map(|t| t.from_lsn);
        let says = |s: &&Segment| s.records > 0 || Some(s.base_lsn) == fork;
        let current = self.segment.borrow().as_ref().filter(says).map(|s| s.seq);
        if let Some(seq) = current {
            while self.segment.borrow().as_ref().is_some_and(|s| s.seq == seq) {
                self.rotate_wanted.set(true);
                self.flush();
                self.wait_unless_stuck().await?;
            }
        }
        // Sealed files are durable once a sync has passed over them.
        while self.busy.get() == Busy::Rotating
            || self.syncing.get()
            || !self.unsynced_files.borrow().is_empty()
        {
            self.start_sync();
            self.wait_unless_stuck().await?;
        }
        Ok(self.segments.borrow().back().cloned())
    }

    /// Waits for something to move, unless that takes an operator.
    async fn wait_unless_stuck(&self) -> Result<(), LogError> {
        let no_room =
            self.busy.get() == Busy::Rotating && self.state.get().has(StateBits::DISK_FULL);
        if self.frozen() || no_room {
            return Err(self.degraded_error());
        }
        self.next_change().await;
        Ok(())
    }

    pub(super) fn set_policy(self: &Rc<Self>, policy: Policy) {
        let old = self.policy.replace(policy);
        if old == policy {
            return;
        }
        if old.caching() != policy.caching() {
            self.tail.borrow_mut().set_separate(policy.caching() == Caching::Direct);
            let current = self.segment.borrow().as_ref().map(|s| s.via);
            self.rotate_wanted.set(current.is_some_and(|via| via != policy.caching()));
        }
        self.flush();
        if policy == Policy::Always {
            self.start_sync();
        }
        self.changed();
    }

    pub(super) async fn shut_down(self: &Rc<Self>) -> Result<(), LogError> {
        // Twice, so that the checkpoint's batch head vouches for all that precedes it.
        self.sync_all().await?;
        let kind = CheckpointKind::CleanShutdown;
        let mut payload = Vec::new();
        Checkpoint::new(self.redo_lsn.get(), 0, 0, kind).put(&mut payload);
        let code = RecordType::Checkpoint.code();
        let lsn = self.tail.borrow_mut().append(code, 0, wal::DB_NONE, &payload);
        self.last_lsn.set(lsn);
        self.sync_all().await?;
        while self.busy.get() != Busy::Idle || self.syncing.get() {
            self.next_change().await;
        }
        if self.frozen() {
            return Err(self.degraded_error());
        }
        self.enter_closed();
        let segment = self.segment.borrow_mut().take();
        if let Some(segment) = segment {
            self.close_file(&segment)
                .await
                .map_err(|f| LogError::Io { doing: f.doing, cause: f.cause })?;
            self.retire(&segment);
        }
        Ok(())
    }

    /// Seals the last segment for good: without a durable SegmentEnd, power lost after the
    /// shutdown would make the next start take it for a crash.
    async fn close_file(self: &Rc<Self>, segment: &Segment) -> Result<(), Failure> {
        self.seal(segment).await?;
        loop {
            let Some(due) = self.unsynced_files.borrow_mut().pop_front() else { return Ok(()) };
            self.sync_file(&*due.file).await.map_err(Failure::at("sync the log"))?;
        }
    }

    fn enter_closed(&self) {
        self.enter(StateBits::CLOSED, "shut down".to_owned());
    }
}
