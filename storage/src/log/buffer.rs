//! Records in memory: gathered for the next batch, and kept until they are durable.
//!
//! The one idea: a record is encoded once, straight behind a hole left for its batch head, so a
//! batch is written from where it was built, and the same bytes stay as the source for healing.
//!
//! Invariants:
//! * A batch is contiguous in one buffer: `[BatchHead | data records]`.
//! * Buffers are never reallocated while they hold bytes; their first byte is `ALIGN`-aligned,
//!   so a batch that owns its buffer can go to a `Direct` file as it is.
//! * A buffer returns to the pool only when its last record is durable.

use std::collections::VecDeque;

use moon_formats::wal::body::BATCH_HEAD_RECORD_LEN;
use moon_formats::wal::{self, RecordType};

/// Alignment of the first byte of a buffer; covers every device Moon supports.
const ALIGN: usize = 4096;
/// Capacity of a pooled buffer.
pub(super) const BUFFER_BYTES: usize = 1 << 20;
/// Buffers kept for reuse: as many as the default unsynced cap fills, so that a steady load
/// allocates nothing.
const POOL_MAX: usize = 64;
/// Largest buffer kept: two batches of 8 MiB.
const POOLED_BYTES_MAX: usize = 17 << 20;
/// Buffers an idle log keeps.
const POOL_IDLE: usize = 4;
/// Room behind a batch for the padding record that closes its sync group.
const PAD_ROOM: usize = 2 * ALIGN + wal::RECORD_LEN_MIN;

/// Stands where a batch head goes until it is known; a walk over frames passes over it.
const RESERVED_HEAD: [u8; BATCH_HEAD_RECORD_LEN] = {
    let mut head = [0; BATCH_HEAD_RECORD_LEN];
    head[0] = BATCH_HEAD_RECORD_LEN as u8;
    head[12] = RecordType::BatchHead as u8;
    head
};

/// An aligned, fixed-capacity byte buffer.
///
/// What fits into it does not depend on where it lies: the bytes that alignment happens to leave over are not used, or
/// two runs of a simulation would cut their batches at other records.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    lead: usize,
    /// Bytes that it takes, the closing pad not counted.
    capacity: usize,
    /// End of the last sealed batch.
    sealed_end: usize,
    /// Last LSN of the last sealed batch; 0 if none.
    last_lsn: u64,
}

impl Buffer {
    /// An empty buffer for at least `capacity` bytes and a closing pad.
    pub(super) fn with_capacity(capacity: usize) -> Buffer {
        let capacity = capacity.max(BUFFER_BYTES);
        let mut bytes: Vec<u8> = Vec::with_capacity(ALIGN + capacity + PAD_ROOM);
        let lead = match bytes.as_ptr().align_offset(ALIGN) {
            lead if lead < ALIGN => lead,
            _ => 0,
        };
        bytes.resize(lead, 0);
        Buffer { bytes, lead, capacity, sealed_end: lead, last_lsn: 0 }
    }

    fn clear(&mut self) {
        self.bytes.truncate(self.lead);
        self.sealed_end = self.lead;
        self.last_lsn = 0;
    }

    /// Bytes that still fit, the closing pad not counted.
    fn room(&self) -> usize {
        (self.lead + self.capacity).saturating_sub(self.bytes.len())
    }

    fn is_pooled_size(&self) -> bool {
        self.bytes.capacity() <= 2 * BUFFER_BYTES
    }

    fn has_batches(&self) -> bool {
        self.sealed_end > self.lead
    }

    /// The content, from the aligned start.
    pub(super) fn content(&self) -> &[u8] {
        &self.bytes[self.lead..]
    }

    /// The content as a vector to append to, within the capacity asked for.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Overwrites the first bytes of the content.
    pub(super) fn put_front(&mut self, bytes: &[u8]) {
        self.bytes[self.lead..self.lead + bytes.len()].copy_from_slice(bytes);
    }

    /// Appends a pad that ends on a multiple of `align`, counted from the aligned start.
    pub(super) fn pad_to(&mut self, align: usize, lsn: u64) {
        let len = wal::pad_len(self.content().len() as u64, align as u64);
        wal::put_pad(&mut self.bytes, lsn, len);
    }
}

/// A batch that takes no more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Number of the buffer that holds it.
    buffer: u64,
    start: usize,
    end: usize,
    /// Data records in it.
    pub(super) records: u32,
    /// LSN of the first.
    pub(super) first_lsn: u64,
    /// LSN of the last.
    pub(super) last_lsn: u64,
    /// CRC field of the last.
    pub(super) last_crc: u32,
    /// Bytes ever appended, up to the end of this batch.
    pub(super) appended_bytes: u64,
}

impl Sealed {
    /// A batch of copied frames at the start of a buffer of its own.
    pub(super) fn of_copy(end: usize, copied: &Copied) -> Sealed {
        Sealed {
            buffer: 0,
            start: 0,
            end,
            records: copied.records,
            first_lsn: copied.last_lsn + 1 - u64::from(copied.records),
            last_lsn: copied.last_lsn,
            last_crc: copied.last_crc,
            appended_bytes: 0,
        }
    }

    /// Length in bytes, head included.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// What a walk over retained records yields: the frame as it was appended.
pub(super) struct Retained<'a> {
    /// LSN of the record.
    pub(super) lsn: u64,
    /// The whole frame, length and CRC included.
    pub(super) frame: &'a [u8],
}

/// All records that are not durable yet.
#[derive(Debug)]
pub(super) struct Tail {
    /// Full buffers, oldest first.
    full: VecDeque<Buffer>,
    /// Number of `full[0]`, or of `current` when there is none.
    first_number: u64,
    current: Buffer,
    pool: Vec<Buffer>,
    pending: VecDeque<Sealed>,
    /// Start of the batch being gathered in `current`; its head's bytes are reserved there.
    open_start: usize,
    open_records: u32,
    last_lsn: u64,
    /// CRC field of the last record appended.
    last_crc: u32,
    appended_bytes: u64,
    batch_bytes_max: usize,
    /// Each batch has a buffer of its own (`Direct` files).
    separate: bool,
}

impl Tail {
    /// An empty tail; the next record gets LSN `last_lsn + 1`.
    pub(super) fn new(last_lsn: u64, batch_bytes_max: usize, separate: bool) -> Tail {
        let mut tail = Tail {
            full: VecDeque::new(),
            first_number: 0,
            current: Buffer::with_capacity(BUFFER_BYTES),
            pool: Vec::new(),
            pending: VecDeque::new(),
            open_start: 0,
            open_records: 0,
            last_lsn,
            last_crc: 0,
            appended_bytes: 0,
            batch_bytes_max,
            separate,
        };
        tail.open_batch();
        tail
    }

    /// Encodes a record behind the ones gathered so far.
    #[inline]
    pub(super) fn append(&mut self, rtype: u8, flags: u8, db: u16, payload: &[u8]) -> u64 {
        let need = wal::RECORD_LEN_MIN + payload.len();
        let gathered = self.current.bytes.len() - self.open_start;
        if self.current.room() < need
            || (gathered + need > self.batch_bytes_max && self.open_records > 0)
        {
            self.make_room(need);
        }
        let lsn = self.last_lsn + 1;
        self.last_crc = wal::put_record(&mut self.current.bytes, lsn, rtype, flags, db, payload);
        self.last_lsn = lsn;
        self.open_records += 1;
        self.appended_bytes += need as u64;
        lsn
    }

    /// LSN of the last record appended.
    pub(super) fn last_lsn(&self) -> u64 {
        self.last_lsn
    }

    /// Bytes of all records ever appended.
    pub(super) fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Whether batches get a buffer each from now on.
    pub(super) fn set_separate(&mut self, separate: bool) {
        self.seal();
        self.separate = separate;
        if separate {
            self.renew_current(BUFFER_BYTES);
        }
    }

    /// The oldest batch not yet written; seals the gathered records if there is no older one.
    pub(super) fn front(&mut self) -> Option<Sealed> {
        if self.pending.is_empty() {
            self.seal();
        }
        self.pending.front().copied()
    }

    /// Whether a whole batch waits to be written, to which nothing more can be added.
    pub(super) fn has_full_batch(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Forgets the front batch as *unwritten*; its bytes stay until durable.
    pub(super) fn pop_front(&mut self) {
        self.pending.pop_front();
    }

    /// Forgets unwritten batches up to `lsn`: a healing segment holds them now.
    pub(super) fn drop_pending_through(&mut self, lsn: u64) {
        while self.pending.front().is_some_and(|b| b.last_lsn <= lsn) {
            self.pending.pop_front();
        }
    }

    /// Writes the head of a sealed batch into its reserved bytes.
    pub(super) fn put_head(&mut self, batch: &Sealed, head: &[u8]) {
        if let Some(buffer) = self.buffer_mut(batch.buffer) {
            buffer.bytes[batch.start..batch.start + head.len()].copy_from_slice(head);
        }
    }

    /// The bytes of a sealed batch.
    pub(super) fn bytes(&self, batch: &Sealed) -> &[u8] {
        match self.buffer(batch.buffer) {
            Some(buffer) => &buffer.bytes[batch.start..batch.end],
            None => &[],
        }
    }

    /// Takes the buffer of a batch that has it for itself; else a copy of the batch. Give it
    /// back with [`Tail::give_back`].
    pub(super) fn lend(&mut self, batch: &Sealed) -> Buffer {
        let whole = match self.buffer(batch.buffer) {
            Some(b) => batch.start == b.lead && batch.end == b.bytes.len(),
            None => false,
        };
        let is_current = batch.buffer == self.current_number();
        if whole
            && !is_current
            && let Some(buffer) = self.buffer_mut(batch.buffer)
        {
            let bytes = std::mem::take(&mut buffer.bytes);
            return Buffer { bytes, ..*buffer };
        }
        let mut copy = Buffer::with_capacity(batch.len());
        copy.bytes.extend_from_slice(self.bytes(batch));
        copy
    }

    /// Returns what [`Tail::lend`] gave, unless that was a copy.
    pub(super) fn give_back(&mut self, batch: &Sealed, lent: Buffer) {
        if let Some(buffer) = self.buffer_mut(batch.buffer)
            && buffer.bytes.capacity() == 0
        {
            *buffer = lent;
        }
    }

    /// Returns buffers whose records are all durable to the pool.
    pub(super) fn release_through(&mut self, durable_lsn: u64) {
        while self.full.front().is_some_and(|b| b.last_lsn <= durable_lsn) {
            if let Some(buffer) = self.full.pop_front() {
                self.first_number += 1;
                self.recycle(buffer);
            }
        }
        if self.full.is_empty()
            && self.open_records == 0
            && self.pending.is_empty()
            && self.current.has_batches()
            && self.current.last_lsn <= durable_lsn
        {
            self.current.clear();
            self.open_batch();
            // Idle: give back what the last burst needed, a little each time.
            if self.pool.len() > POOL_IDLE {
                self.pool.pop();
            }
        }
    }

    /// Closes the batch being gathered, if it holds records.
    pub(super) fn seal(&mut self) {
        if self.open_records == 0 {
            return;
        }
        let end = self.current.bytes.len();
        self.pending.push_back(Sealed {
            buffer: self.current_number(),
            start: self.open_start,
            end,
            records: self.open_records,
            first_lsn: self.last_lsn + 1 - u64::from(self.open_records),
            last_lsn: self.last_lsn,
            last_crc: self.last_crc,
            appended_bytes: self.appended_bytes,
        });
        self.current.sealed_end = end;
        self.current.last_lsn = self.last_lsn;
        self.open_records = 0;
        if self.separate {
            self.renew_current(BUFFER_BYTES);
        } else {
            self.open_batch();
        }
    }

    /// Copies whole frames with `lsn > after` behind the content of `out`, until `out` would
    /// exceed `bytes_max`; at least one frame, if there is one. Returns the frames copied.
    pub(super) fn copy_after(
        &self,
        after: u64,
        through: u64,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Copied {
        let mut copied = Copied { records: 0, last_lsn: after, last_crc: 0 };
        let start = out.len();
        self.for_each(after, |r| {
            let over = copied.records > 0 && out.len() - start + r.frame.len() > bytes_max;
            if over || r.lsn > through {
                return false;
            }
            out.extend_from_slice(r.frame);
            copied.records += 1;
            copied.last_lsn = r.lsn;
            let crc = r.frame.last_chunk::<4>().copied().unwrap_or_default();
            copied.last_crc = u32::from_le_bytes(crc);
            true
        });
        copied
    }

    /// Bytes of the sealed frames with `after < lsn <= through`, and of the first of them.
    pub(super) fn bytes_between(&self, after: u64, through: u64) -> (usize, usize) {
        let (mut total, mut first) = (0, 0);
        self.for_each(after, |r| {
            if r.lsn <= through {
                total += r.frame.len();
                first = if first == 0 { r.frame.len() } else { first };
            }
            r.lsn <= through
        });
        (total, first)
    }

    /// Visits sealed frames with `lsn > after` in order while `f` returns true. Lent buffers are
    /// passed over: whoever walks knows that nothing is in flight.
    pub(super) fn for_each<'a>(&'a self, after: u64, mut f: impl FnMut(Retained<'a>) -> bool) {
        for buffer in self.full.iter().chain(std::iter::once(&self.current)) {
            if buffer.last_lsn <= after {
                continue;
            }
            let sealed = buffer.bytes.get(buffer.lead..buffer.sealed_end);
            let mut rest = sealed.unwrap_or_default();
            while let Some(len) = rest.first_chunk::<4>() {
                let (frame, behind) = rest.split_at(u32::from_le_bytes(*len) as usize);
                let (lsn, code) = lsn_and_code(frame);
                let is_data = RecordType::from_code(code).is_none_or(|t| !t.is_control());
                if is_data && lsn > after && !f(Retained { lsn, frame }) {
                    return;
                }
                rest = behind;
            }
        }
    }

    fn current_number(&self) -> u64 {
        self.first_number + self.full.len() as u64
    }

    fn buffer(&self, number: u64) -> Option<&Buffer> {
        let index = number.checked_sub(self.first_number)? as usize;
        match index == self.full.len() {
            true => Some(&self.current),
            false => self.full.get(index),
        }
    }

    fn buffer_mut(&mut self, number: u64) -> Option<&mut Buffer> {
        let index = number.checked_sub(self.first_number)? as usize;
        match index == self.full.len() {
            true => Some(&mut self.current),
            false => self.full.get_mut(index),
        }
    }

    fn open_batch(&mut self) {
        self.open_start = self.current.bytes.len();
        self.current.bytes.extend_from_slice(&RESERVED_HEAD);
    }

    #[cold]
    fn make_room(&mut self, need: usize) {
        let gathered = self.current.bytes.len() - self.open_start;
        if self.open_records > 0 && gathered + need > self.batch_bytes_max {
            self.seal();
        }
        if self.current.room() >= need {
            return;
        }
        if self.open_records > 0 && !self.separate {
            // A few more batches cost nothing here; moving their bytes would.
            self.seal();
        }
        // The batch being gathered moves along: it must stay contiguous. Doubling keeps the
        // cost per record constant.
        let gathered = self.current.bytes.len() - self.open_start;
        let more = if self.open_records > 0 { 2 * (gathered + need) } else { gathered + need };
        let mut next = self.take_buffer(more);
        next.bytes.extend_from_slice(&self.current.bytes[self.open_start..]);
        self.current.bytes.truncate(self.current.sealed_end);
        let old = std::mem::replace(&mut self.current, next);
        self.open_start = self.current.lead;
        self.retire(old);
    }

    fn renew_current(&mut self, capacity: usize) {
        if self.current.has_batches() {
            let next = self.take_buffer(capacity);
            self.current.bytes.truncate(self.current.sealed_end);
            let old = std::mem::replace(&mut self.current, next);
            self.retire(old);
        } else {
            self.current.clear();
        }
        self.open_batch();
    }

    fn retire(&mut self, old: Buffer) {
        if old.has_batches() {
            self.full.push_back(old);
        } else {
            self.recycle(old);
        }
    }

    fn take_buffer(&mut self, capacity: usize) -> Buffer {
        match self.pool.pop() {
            Some(buffer) if buffer.room() >= capacity => buffer,
            _ => Buffer::with_capacity(capacity),
        }
    }

    fn recycle(&mut self, mut buffer: Buffer) {
        let room = if buffer.is_pooled_size() { POOL_MAX } else { POOL_IDLE };
        let bytes = buffer.bytes.capacity();
        if bytes > 0 && bytes <= POOLED_BYTES_MAX && self.pool.len() < room {
            buffer.clear();
            self.pool.push(buffer);
        }
    }
}

/// What [`Tail::copy_after`] copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copied {
    /// Number of frames.
    pub(super) records: u32,
    /// LSN of the last frame.
    pub(super) last_lsn: u64,
    /// CRC field of the last frame.
    pub(super) last_crc: u32,
}

/// LSN and type code of a frame that this log encoded.
fn lsn_and_code(frame: &[u8]) -> (u64, u8) {
    let lsn = frame[4..12].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    (lsn, frame[12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_a_buffer_does_not_depend_on_its_address() {
        let mut held = Vec::new();
        for n in 0..64 {
            held.push(vec![0u8; 16 + n * 531]);
            for capacity in [1, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES] {
                let mut buffer = Buffer::with_capacity(capacity);
                let room = capacity.max(BUFFER_BYTES);
                assert_eq!(buffer.room(), room);
                let lies = buffer.bytes.as_ptr();
                buffer.bytes.resize(buffer.lead + room, 0);
                assert_eq!(buffer.room(), 0);
                buffer.pad_to(ALIGN, 1);
                assert_eq!(buffer.content().len() % ALIGN, 0);
                assert_eq!(buffer.bytes.as_ptr(), lies, "not moved for the pad");
                buffer.clear();
                assert_eq!(buffer.room(), room);
            }
        }
    }
}
