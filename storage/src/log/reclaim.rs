//! Old segments: removed, or kept aside for recycling, when no floor holds them.
//!
//! Invariant: segments disappear oldest first, each one durably before the next.

use std::io;
use std::rc::Rc;

use moon_formats::names;

use super::{Inner, SegmentInfo};

impl Inner {
    pub(super) fn reclaim_in_background(self: &Rc<Self>) {
        if self.reclaiming.get() || self.reclaimable().is_none() {
            return;
        }
        self.reclaiming.set(true);
        let this = Rc::clone(self);
        self.rt.spawn(Box::pin(async move {
            while let Some(info) = this.reclaimable() {
                if let Err(e) = this.reclaim(&info).await {
                    tracing::warn!(seq = info.seq, error = %e, "old log segment stays");
                    break;
                }
            }
            this.reclaiming.set(false);
        }));
    }

    /// The oldest segment, if nobody needs it any more.
    fn reclaimable(&self) -> Option<SegmentInfo> {
        let floor = self.floors.lowest().min(self.durable_lsn.get() + 1);
        let segments = self.segments.borrow();
        let oldest = segments.front()?;
        // Its end may still be on the way to the device, although its records are durable.
        let settled = self.unsynced_files.borrow().is_empty() && !self.syncing.get();
        // Without a successor in place the log would seem to be missing.
        let followed = segments.len() > 1 || self.segment.borrow().is_some();
        (oldest.last_lsn < floor && settled && followed && !self.frozen()).then(|| oldest.clone())
    }

    async fn reclaim(&self, info: &SegmentInfo) -> io::Result<()> {
        let path = self.dir.join(names::wal_segment(info.seq));
        let keep = self.idle_files.borrow().len() < self.cfg.idle_segments_max
            && info.bytes == self.cfg.segment_bytes
            && info.recyclable;
        let idle = self.temporary("idle");
        match keep {
            true => self.disk.rename(&path, &idle).await?,
            false => self.disk.remove(&path).await?,
        }
        self.disk.sync_dir(&self.dir).await?;
        // Healing may have listed the directory anew meanwhile, without this segment.
        self.segments.borrow_mut().retain(|s| s.seq != info.seq);
        if keep {
            self.idle_files.borrow_mut().push(idle);
        }
        Ok(())
    }
}
