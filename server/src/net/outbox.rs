//! What is said to clients that did not ask: messages on their way to connections other than
//! the one whose request runs.
//!
//! A message is encoded once per protocol and copied once per receiver, into the receiver's
//! box; the hub hands full boxes over before the next request of anybody runs, so a message
//! stands in its receiver's output where it happened. Invariants:
//! * Bytes of a box carry the LSN they were made at and leave under the same watermark as
//!   replies.
//! * A box is bounded by its receiver's hard output limit: beyond it the bytes are dropped and
//!   the receiver is closed. Nobody waits for a slow receiver.

use super::Slot;
use super::conn::Mark;

/// A box larger than this is given back when it has been emptied.
const KEEP_BYTES: usize = 64 << 10;

/// Messages for one connection.
#[derive(Default)]
pub(crate) struct Pending {
    /// The bytes, whole messages.
    pub(crate) bytes: Vec<u8>,
    /// What they wait for: two marks at most, the first message's and the rest's.
    pub(crate) marks: Vec<Mark>,
    /// More than the receiver's limit was to be sent; it has to close.
    pub(crate) overflow: bool,
    queued: bool,
}

/// The boxes of all connections.
#[derive(Default)]
pub(crate) struct Outbox {
    boxes: Vec<Pending>,
    full: Vec<Slot>,
}

impl Outbox {
    /// Appends a message for a connection, made at `lsn`. `max` is the receiver's hard output
    /// limit, 0 for none.
    pub(crate) fn push(&mut self, slot: Slot, message: &[u8], lsn: u64, max: u64) {
        let index = slot as usize;
        if self.boxes.len() <= index {
            self.boxes.resize_with(index + 1, Pending::default);
        }
        let pending = &mut self.boxes[index];
        if !pending.queued {
            pending.queued = true;
            self.full.push(slot);
        }
        if pending.overflow {
            return;
        }
        if max > 0 && (pending.bytes.len() + message.len()) as u64 > max {
            pending.overflow = true;
            pending.bytes = Vec::new();
            pending.marks.clear();
            return;
        }
        pending.bytes.extend_from_slice(message);
        let end = pending.bytes.len();
        match pending.marks.as_mut_slice() {
            [.., last] if last.lsn == lsn => last.end = end,
            [_, last] => *last = Mark { end, lsn },
            _ => pending.marks.push(Mark { end, lsn }),
        }
    }

    /// Whether no message waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    /// Takes the next box that holds something. The caller empties it.
    pub(crate) fn next(&mut self) -> Option<(Slot, &mut Pending)> {
        let slot = self.full.pop()?;
        let pending = &mut self.boxes[slot as usize];
        pending.queued = false;
        Some((slot, pending))
    }

    /// Drops what waits for a connection that has ended.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if let Some(pending) = self.boxes.get_mut(slot as usize) {
            // Its place among the full ones stays; the box is then found empty.
            let queued = pending.queued;
            *pending = Pending { queued, ..Pending::default() };
        }
    }
}

impl Pending {
    /// Empties the box, keeping a buffer of usual size.
    pub(crate) fn clear(&mut self) {
        self.overflow = false;
        self.marks.clear();
        self.bytes.clear();
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_keep_order_marks_and_limits() {
        let mut outbox = Outbox::default();
        assert!(outbox.is_empty());
        for (text, lsn) in [("a", 1), ("b", 1), ("c", 2), ("d", 3)] {
            outbox.push(5, text.as_bytes(), lsn, 0);
        }
        outbox.push(2, b"xyz", 3, 4);
        outbox.push(2, b"xyz", 3, 4);
        outbox.push(2, b"x", 3, 4);
        let (slot, pending) = outbox.next().unwrap();
        assert!(slot == 2 && pending.overflow && pending.bytes.is_empty());
        pending.clear();
        let (slot, pending) = outbox.next().unwrap();
        assert_eq!((slot, pending.bytes.as_slice()), (5, b"abcd".as_slice()));
        assert_eq!(pending.marks, [Mark { end: 2, lsn: 1 }, Mark { end: 4, lsn: 3 }]);
        pending.clear();
        assert!(outbox.next().is_none());
    }

    #[test]
    fn a_slot_that_ended_leaves_nothing_to_its_successor() {
        let mut outbox = Outbox::default();
        outbox.push(0, b"old", 1, 0);
        outbox.forget(0);
        outbox.push(0, b"new", 2, 0);
        let (_, pending) = outbox.next().unwrap();
        assert_eq!(pending.bytes, b"new");
        assert!(outbox.next().is_none());
    }
}
