//! After the first failure: what lies behind it, and what that proves.
//!
//! Every aligned offset behind the failure is tested for a batch head of this segment. Heads
//! tell two things: the highest LSN that was durable when they were written, and the highest
//! LSN that existed. The first decides between hole and tail, the second keeps LSNs unique.

use std::io;

use moon_formats::wal::body::Payload;
use moon_formats::wal::{BatchHead, RecordType};

use super::end::{EndKind, HoleReason, ScanError};
use super::window::{Found, Window};
use crate::io::File;

use super::{FIRST_BLOCK, Scan, Seg};

/// What heads behind a failure say.
#[derive(Debug, Default)]
struct Evidence {
    durable_lsn: u64,
    max_seen_lsn: u64,
    found: bool,
}

impl Scan<'_> {
    /// Decides what a failure at `offset` of segment `i` is.
    pub(super) async fn settle(
        &mut self,
        i: usize,
        offset: u64,
        resume: Option<u64>,
        keep: Option<u64>,
    ) -> Result<(), ScanError> {
        let segs = self.segs;
        let (seg, later) = (&segs[i], &segs[i + 1..]);
        let mut evidence = Evidence::default();
        look_behind(seg, Some(offset), resume, &mut evidence).await?;
        for seg in later {
            look_behind(seg, None, None, &mut evidence).await?;
        }
        let next = self.end.next_lsn;
        self.end.durable_lsn = self
            .end
            .durable_lsn
            .max(self.opts.durable_floor)
            .max(keep.unwrap_or(0))
            .max(evidence.durable_lsn);
        let bad_header = later.iter().find(|s| s.opening.is_err());
        let gap = segs[i..].windows(2).any(|w| w[1].seq != w[0].seq + 1);
        let reason = if keep.is_some_and(|keep| keep >= next) {
            Some(HoleReason::KeptRecordsMissing)
        } else if self.end.durable_lsn >= next {
            Some(HoleReason::DurableRecordsMissing)
        } else if gap {
            Some(HoleReason::SegmentMissing)
        } else {
            bad_header.and_then(|s| s.opening.as_ref().err()).map(|e| HoleReason::Header(e.clone()))
        };
        for seg in later {
            if let Ok((header, _)) = &seg.opening {
                evidence.max_seen_lsn =
                    evidence.max_seen_lsn.max(header.base_lsn.saturating_sub(1));
                self.end.epoch = self.end.epoch.max(header.epoch);
                self.end.add_void(seg.seq, header.base_lsn, seg.bytes);
            }
        }
        self.end.last_seq = segs.last().map_or(0, |s| s.seq);
        self.end.max_seen_lsn = self.end.max_seen_lsn.max(evidence.max_seen_lsn);
        let reason = match reason {
            None if mutant!(self.opts, TailTreatedAsHole) => {
                Some(HoleReason::DurableRecordsMissing)
            }
            Some(_) if mutant!(self.opts, HoleTreatedAsTail) => None,
            other => other,
        };
        match reason {
            Some(reason) => self.hole(seg.path.clone(), offset, reason),
            None => {
                self.end.kind = EndKind::CrashTail {
                    path: seg.path.clone(),
                    offset,
                    dropped: evidence.found || !later.is_empty(),
                };
            }
        }
        Ok(())
    }
}

/// Collects the heads of `seg` behind `after`; the whole segment without it.
async fn look_behind(
    seg: &Seg,
    after: Option<u64>,
    resume: Option<u64>,
    evidence: &mut Evidence,
) -> Result<(), ScanError> {
    let align = match &seg.opening {
        Ok((header, _)) => header.align(),
        Err(_) => 0,
    };
    let mut note = |head: &BatchHead| {
        evidence.found = true;
        evidence.durable_lsn = evidence.durable_lsn.max(head.durable_lsn);
        evidence.max_seen_lsn = evidence.max_seen_lsn.max(head.last_lsn);
    };
    let looked = each_head(&*seg.file, seg.seq, align, after, resume, &mut note).await;
    looked.map_err(|cause| ScanError::Io { path: seg.path.clone(), cause })
}

/// Shows every batch head of segment `seq` that can be found in `file` behind offset `after`, in
/// the whole file without it. `align` is what its header says, 0 if that cannot be read; `resume` an
/// offset at which a batch may begin although the grid has none there.
pub(crate) async fn each_head(
    file: &dyn File,
    seq: u64,
    align: u64,
    after: Option<u64>,
    resume: Option<u64>,
    show: &mut dyn FnMut(&BatchHead),
) -> io::Result<()> {
    let align = align.max(FIRST_BLOCK as u64);
    let mut window = Window::new(file, align);
    let mut pos = match after {
        Some(after) => (after + 1).next_multiple_of(align),
        None => align,
    };
    // The batches of one group follow each other without alignment; walk them as far as their
    // lengths lead, then go on with the grid.
    let mut inner = resume;
    while pos < window.size() || inner.is_some() {
        let at = inner.unwrap_or(pos);
        let head = match window.record(at) {
            Found::More(len) => {
                window.slide(at, len).await?;
                continue;
            }
            Found::Record(r) if r.code == RecordType::BatchHead.code() => {
                BatchHead::decode(r.payload, r.flags, r.payload_offset()).ok()
            }
            Found::Record(_) | Found::Nothing => None,
        };
        match head.filter(|h| h.segment_seq == seq) {
            Some(head) => {
                show(&head);
                if inner.is_none() {
                    pos += align;
                }
                let end = at + u64::from(head.batch_bytes).max(1);
                inner = (end < window.size()).then_some(end);
            }
            None => {
                if inner.is_none() {
                    pos += align;
                }
                inner = None;
            }
        }
    }
    Ok(())
}
