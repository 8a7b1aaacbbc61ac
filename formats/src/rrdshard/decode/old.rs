//! Reading the files of the reference, whose blocks do not say how long they are.

use super::{Decoder, Item, Range, State, Summary};
use crate::bytes::Reader;
use crate::crc::crc32_append;
use crate::error::{Cause, DecodeError};
use crate::rrdshard::KEY_MAX;
use crate::rrdshard::legacy::{self, Mark};

/// Least bytes to wait for before an entry is tried again; doubled each time.
const WAIT_MIN: usize = 64 << 10;
/// Longest entry.
const ENTRY_MAX: usize = KEY_MAX * 2 + (1 << 20);

impl Decoder {
    /// What comes next in an old file.
    pub(super) fn old_block(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        let ranges = self.old.is_some_and(|old| old.ranges);
        let mut r = Reader::new(self.rest(), self.offset);
        let mark = match legacy::mark(&mut r, ranges) {
            Ok(Some(mark)) => mark,
            // A key of a file without ranges.
            Ok(None) => {
                self.state = State::OldEntries { left: 1, crc: 0 };
                return self.old_entry();
            }
            Err(e) => return self.wait_for(e),
        };
        let n = r.position();
        if let Mark::End { crc: stored } = mark {
            let body = self.rest().get(..n - 4).unwrap_or_default();
            let computed = crc32_append(self.crc, body);
            if stored != computed {
                let cause = Cause::Checksum { stored: stored.into(), computed: computed.into() };
                return self.refuse(1, "snapshot", cause);
            }
        }
        self.old_take(n);
        Ok(Some(match mark {
            Mark::Select { db } => {
                self.db = Some(db);
                Item::Db(db)
            }
            Mark::Range { segment, count } => {
                self.blocks = self.blocks.saturating_add(1);
                self.state = State::OldEntries { left: count, crc: 0 };
                let db = self.db.unwrap_or(0);
                let hash_lo = u64::from(segment);
                Item::Range(Range {
                    db,
                    hash_lo,
                    hash_hi: 0,
                    count,
                    raw_len: 0,
                    stored_len: 0,
                    offset: self.offset - n as u64,
                })
            }
            Mark::End { crc } => {
                self.state = State::Done;
                let Decoder { entries, blocks, sections, offset: bytes, .. } = *self;
                Item::End(Summary { entries, blocks, sections, crc, bytes })
            }
        }))
    }

    /// Takes `n` bytes into the checksum of the file.
    fn old_take(&mut self, n: usize) {
        self.crc = crc32_append(self.crc, self.rest().get(..n).unwrap_or_default());
        self.advance(n);
    }

    pub(super) fn old_entry(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        let Decoder { buf, start, end, offset, state, old, db, crc, wait, closed, entries, .. } =
            self;
        let State::OldEntries { left, crc: range_crc } = state else {
            unreachable!("entries are read in a range only");
        };
        let rest = buf.get(*start..*end).unwrap_or_default();
        if rest.len() < *wait {
            return Ok(None);
        }
        let mut r = Reader::new(rest, *offset);
        let old = old.expect("only old files have such entries");
        match legacy::entry(&mut r, db.unwrap_or(0), old) {
            Ok(entry) => {
                let n = r.position();
                let read = rest.get(..n).unwrap_or_default();
                *crc = crc32_append(*crc, read);
                *range_crc = crc32_append(*range_crc, read);
                (*start, *offset) = (*start + n, *offset + n as u64);
                (*left, *wait, *entries) = (*left - 1, 0, *entries + 1);
                if !old.ranges {
                    *state = State::Between;
                }
                Ok(Some(Item::Entry(entry)))
            }
            // A count is held against the bytes that are there, which may not be all.
            Err(e)
                if matches!(e.cause, Cause::Truncated { .. } | Cause::Count { .. })
                    && !*closed
                    && rest.len() <= ENTRY_MAX =>
            {
                *wait = (rest.len() * 2).max(WAIT_MIN);
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Checks the checksum behind a range; false if it is not there yet.
    pub(super) fn old_range_end(&mut self, computed: u32) -> Result<bool, DecodeError> {
        if !self.have(4, "range")? {
            return Ok(false);
        }
        let tail: &[u8; 4] = self.rest().first_chunk().expect("four bytes are there");
        let stored = u32::from_le_bytes(*tail);
        if stored != computed {
            let cause = Cause::Checksum { stored: stored.into(), computed: computed.into() };
            return self.refuse(0, "range", cause);
        }
        self.old_take(4);
        Ok(true)
    }
}
