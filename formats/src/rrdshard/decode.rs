//! Reading a snapshot as its bytes come.
//!
//! A block is believed once its checksum is right; until then only its lengths are looked at, and those are
//! held against the limits. What a file says about itself as a whole (counts, covered ranges, chunks, the
//! checksum of every byte) is checked at its end, so [`Item::End`] is the word that all items before it are
//! the whole snapshot.

mod old;

use super::block::{Block, Packed};
use super::coverage::Coverage;
use super::head::{Head, file_flags};
use super::item::{self, Entry};
use super::large::Large;
use super::legacy::{self, Old};
use super::{HASH_END, MOON_MAGIC, section};
use crate::bytes::Reader;
use crate::compress;
use crate::crc::{crc32, crc32c, crc32c_append, crc32c_join};
use crate::error::{Cause, DecodeError};
use std::ops::Range as Span;

/// A block of keys: what stands before its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Database.
    pub db: u32,
    /// First position of the hash order; before version 4 the number of a table segment.
    pub hash_lo: u64,
    /// End of the range; 0 before version 4.
    pub hash_hi: u64,
    /// Entries that follow.
    pub count: u32,
    /// Bytes of the entries; 0 before version 4.
    pub raw_len: u64,
    /// Bytes of the entries as stored; less than `raw_len` if they are compressed. 0 before version 4.
    pub stored_len: u64,
    /// Where the block begins in the file.
    pub offset: u64,
}

/// A piece of a large value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The number its entry announced.
    pub value_id: u64,
    /// Number of the piece, from 0.
    pub chunk: u32,
    /// The value is complete.
    pub last: bool,
    /// The piece.
    pub bytes: &'a [u8],
}

/// Something that a shard holds besides keys. What the bytes mean is in [`section`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// Code, see [`section::NAMES`].
    pub section: u16,
    /// Version of the payload.
    pub version: u16,
    /// Bit [`section::REQUIRED`].
    pub flags: u32,
    /// Bytes as stored.
    pub stored_len: u64,
    /// The payload.
    pub payload: &'a [u8],
    /// Offset of the payload in the file, for errors; if it is compressed, of its frame.
    pub offset: u64,
}

/// What the end of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Keys.
    pub entries: u64,
    /// Ranges and chunks.
    pub blocks: u32,
    /// Sections.
    pub sections: u32,
    /// The closing checksum: CRC32C of every byte before it (CRC32 before version 4).
    pub crc: u32,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What a file holds, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// The head.
    Head(Head),
    /// A database was selected.
    Db(u32),
    /// A block of keys begins.
    Range(Range),
    /// A key.
    Entry(Entry<'a>),
    /// A piece of a large value.
    Chunk(Chunk<'a>),
    /// A section.
    Section(Section<'a>),
    /// The end; everything before it was whole and right.
    End(Summary),
}

/// Joining the checksum of a block to that of the file is cheaper than reading so many bytes twice.
const JOIN_FROM: usize = 4096;

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Between,
    /// In a range of version 4.
    Entries {
        left: u32,
        /// Position of the next entry and end of the last, in the unpacked block or in `buf` from `start`.
        pos: usize,
        end: usize,
        /// Bytes of the whole block in `buf`.
        block_len: usize,
        packed: bool,
        /// Offset of position 0 in errors.
        base: u64,
    },
    /// In a range of an old file.
    OldEntries {
        left: u32,
        crc: u32,
    },
    Done,
}

/// Reads a snapshot. Bytes are handed in by [`Decoder::feed`] in pieces of any size, [`Decoder::close`] says
/// that there are no more, and [`Decoder::next`] gives the items. After an error nothing more is read.
///
/// It keeps what was fed and not yet read, so a caller that asks for items until there are none before it
/// feeds again needs memory for one block and one piece.
#[derive(Debug)]
pub struct Decoder {
    /// What was handed in and not read is `buf[start..end]`.
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of `buf[start]` in the file.
    offset: u64,
    /// Offset of the last item.
    item_at: u64,
    closed: bool,
    state: State,
    old: Option<Old>,
    head: Option<Head>,
    crc: u32,
    db: Option<u32>,
    raw: Vec<u8>,
    entries: u64,
    blocks: u32,
    sections: u32,
    last_section: u16,
    coverage: Coverage,
    large: Large,
    /// Bytes that must be there before an entry of an old file is tried again.
    wait: usize,
    /// Sections that planes of the reader know: code, and the newest version.
    planes: Vec<(u16, u16)>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// At the start of a file.
    pub fn new() -> Decoder {
        Decoder {
            buf: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            item_at: 0,
            closed: false,
            state: State::Head,
            old: None,
            head: None,
            crc: 0,
            db: None,
            raw: Vec::new(),
            entries: 0,
            blocks: 0,
            sections: 0,
            last_section: 0,
            coverage: Coverage::default(),
            large: Large::default(),
            wait: 0,
            planes: Vec::new(),
        }
    }

    /// Sections that the reader knows beside those of this crate: code, and the newest version. Without it such
    /// a section is refused if it is required.
    pub fn planes(&mut self, sections: Vec<(u16, u16)>) {
        self.planes = sections;
    }

    /// Hands in the bytes that follow.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.truncate(self.end);
        if self.start > 0 {
            self.buf.drain(..self.start);
            self.start = 0;
        }
        self.buf.extend_from_slice(bytes);
        self.end = self.buf.len();
    }

    /// Hands in the bytes `span` of `storage`, which are not copied, and gives back the storage that they
    /// take the place of. What was not read of that is put before the span; if it has no room there, the
    /// bytes are copied after all. A span beyond the storage ends with it.
    pub fn exchange(&mut self, mut storage: Vec<u8>, span: Span<usize>) -> Vec<u8> {
        let (rest, end) = (self.rest(), span.end.min(storage.len()));
        let start = span.start.checked_sub(rest.len());
        match start.and_then(|start| storage.get_mut(start..span.start)) {
            Some(room) => room.copy_from_slice(rest),
            None => {
                self.feed(storage.get(span.start..end).unwrap_or_default());
                return storage;
            }
        }
        (self.start, self.end) = (span.start - rest.len(), end);
        std::mem::replace(&mut self.buf, storage)
    }

    /// Says that no more bytes follow: a file that has not ended by then is refused as truncated.
    pub fn close(&mut self) {
        self.closed = true;
        self.wait = 0;
    }

    /// True once [`Item::End`] was given.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Offset in the file of the item given last; in a compressed block, of its frame plus the position in
    /// what it unpacks to.
    pub fn item_offset(&self) -> u64 {
        self.item_at
    }

    /// Bytes fed and not read: what follows the end of a snapshot that something else is appended to.
    pub fn rest(&self) -> &[u8] {
        self.buf.get(self.start..self.end).unwrap_or_default()
    }

    /// The next item; `None` if more bytes are needed, or after the end. Bytes behind the end are refused.
    #[allow(
        clippy::should_implement_trait,
        reason = "items borrow from the decoder, which an iterator cannot express"
    )]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        if let State::Entries { left: 0, pos, end, block_len, base, .. } = self.state {
            if pos != end {
                let cause = Cause::Trailing { bytes: (end - pos) as u64 };
                return Err(DecodeError::new(base + pos as u64, "range", cause));
            }
            self.advance(block_len);
            self.state = State::Between;
        }
        if let State::OldEntries { left: 0, crc } = self.state {
            if !self.old_range_end(crc)? {
                return Ok(None);
            }
            self.state = State::Between;
        }
        self.item_at = self.offset;
        match self.state {
            State::Head => self.head(),
            State::Between if self.old.is_some() => self.old_block(),
            State::Between => self.block(),
            State::Entries { .. } => self.entry().map(Some),
            State::OldEntries { .. } => self.old_entry(),
            State::Done => match self.rest().len() {
                0 => Ok(None),
                n => {
                    let cause = Cause::Trailing { bytes: n as u64 };
                    Err(DecodeError::new(self.offset, "snapshot", cause))
                }
            },
        }
    }

    fn advance(&mut self, n: usize) {
        self.start += n;
        self.offset += n as u64;
    }

    /// What a reader that ran out of bytes means: more to come, or a file that was cut.
    fn wait_for<T>(&self, e: DecodeError) -> Result<Option<T>, DecodeError> {
        match e.is_truncated() && !self.closed {
            true => Ok(None),
            false => Err(e),
        }
    }

    /// That `n` bytes are there.
    fn have(&self, n: usize, what: &'static str) -> Result<bool, DecodeError> {
        let remaining = self.rest().len();
        if remaining < n {
            let cause = Cause::Truncated { needed: n as u64, remaining: remaining as u64 };
            return self
                .wait_for(DecodeError::new(self.offset, what, cause))
                .map(|_: Option<()>| false);
        }
        Ok(true)
    }

    fn head(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        let mut r = Reader::new(self.rest(), 0);
        let (head, old) = match self.rest().starts_with(MOON_MAGIC) {
            true => match legacy::moon_head(&mut r) {
                Ok((head, old)) => (head, Some(old)),
                Err(e) => return self.wait_for(e),
            },
            false => match Head::read(&mut r) {
                Ok(head) => {
                    let version = head.preamble.version;
                    (head, head.extension.is_none().then(|| Old::of_rrdshard(version)))
                }
                Err(e) => return self.wait_for(e),
            },
        };
        let n = r.position();
        let read = self.rest().get(..n).unwrap_or_default();
        self.crc = if old.is_some() { crc32(read) } else { crc32c(read) };
        self.advance(n);
        (self.old, self.head) = (old, Some(head));
        // The reference's files need not select the first database.
        self.db = old.map(|_| 0);
        self.state = State::Between;
        Ok(Some(Item::Head(head)))
    }

    /// The block of version 4 that comes next.
    fn block(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        let mut r = Reader::new(self.rest(), self.offset);
        let (block, len) = match Block::read(&mut r) {
            Ok(read) => read,
            Err(e) => return self.wait_for(e),
        };
        if !self.have(len, "block")? {
            return Ok(None);
        }
        let bytes = self.rest().get(..len).unwrap_or_default();
        let (body, tail) = bytes.split_last_chunk::<4>().expect("a block ends with a checksum");
        let stored = u32::from_le_bytes(*tail);
        let computed = match block {
            Block::End { .. } => crc32c_append(self.crc, body),
            _ => crc32c(body),
        };
        if stored != computed {
            let at = self.offset + body.len() as u64;
            let cause = Cause::Checksum { stored: stored.into(), computed: computed.into() };
            return Err(DecodeError::new(at, block.name(), cause));
        }
        self.crc = match body.len() {
            0..JOIN_FROM => crc32c_append(self.crc, bytes),
            n => crc32c_append(crc32c_join(self.crc, computed, n), tail),
        };
        match block {
            Block::Select { db } => self.select(db, len),
            Block::Range { hash_lo, hash_hi, count, packed } => {
                self.range(hash_lo, hash_hi, count, packed, len)
            }
            Block::Chunk { value_id, chunk, last, len: n } => {
                self.chunk(value_id, chunk, last, n, len)
            }
            Block::Section { section, version, flags, packed } => {
                self.section(section, version, flags, packed, len)
            }
            Block::End { entries, blocks, sections } => {
                let summary = Summary {
                    entries,
                    blocks,
                    sections,
                    crc: stored,
                    bytes: self.offset + len as u64,
                };
                self.end(summary, len)
            }
        }
    }

    fn refuse<T>(&self, at: u64, what: &'static str, cause: Cause) -> Result<T, DecodeError> {
        Err(DecodeError::new(self.offset + at, what, cause))
    }

    fn flags(&self) -> u32 {
        self.head.and_then(|h| h.extension).map_or(0, |e| e.flags)
    }

    fn select(&mut self, db: u32, len: usize) -> Result<Option<Item<'_>>, DecodeError> {
        let databases = self.head.and_then(|h| h.extension).map_or(0, |e| e.databases);
        if db >= u32::from(databases) {
            let cause =
                Cause::Value { expected: "below the number of databases", found: db.into() };
            return self.refuse(1, "database", cause);
        }
        if self.db == Some(db) {
            let cause = Cause::Form { expected: "a change of database" };
            return self.refuse(1, "database", cause);
        }
        self.no_sections("database")?;
        self.db = Some(db);
        self.coverage.select(db);
        self.advance(len);
        Ok(Some(Item::Db(db)))
    }

    /// Sections stand behind everything else.
    fn no_sections(&self, what: &'static str) -> Result<(), DecodeError> {
        match self.sections {
            0 => Ok(()),
            _ => self.refuse(0, what, Cause::Form { expected: "no keys behind sections" }),
        }
    }

    /// Unpacks into `raw` if it must; true if it did. The bytes begin at `at` in the block.
    fn unpack(&mut self, packed: Packed, at: usize) -> Result<bool, DecodeError> {
        if !packed.zstd {
            return Ok(false);
        }
        if self.flags() & file_flags::ZSTD == 0 {
            let cause =
                Cause::Value { expected: "no compression, as the file's flags say", found: 1 };
            return self.refuse(0, "codec", cause);
        }
        let offset = self.offset + at as u64;
        let from = self.start + at;
        let frame = self.buf.get(from..from + packed.stored_len).unwrap_or_default();
        compress::unpack_frame(frame, packed.raw_len, offset, &mut self.raw)?;
        Ok(true)
    }

    fn range(
        &mut self,
        hash_lo: u64,
        hash_hi: u64,
        count: u32,
        packed: Packed,
        block_len: usize,
    ) -> Result<Option<Item<'_>>, DecodeError> {
        let Some(db) = self.db else {
            let cause = Cause::Form { expected: "a database selected before" };
            return self.refuse(0, "range", cause);
        };
        self.no_sections("range")?;
        if hash_lo >= hash_hi || hash_hi > HASH_END {
            let cause = Cause::Value { expected: "above hash_lo, at most 2^48", found: hash_hi };
            return self.refuse(9, "hash_hi", cause);
        }
        let fits = packed.raw_len / item::ENTRY_MIN;
        if u64::from(count) > fits as u64 {
            let cause = Cause::Count { count: count.into(), fits: fits as u64 };
            return self.refuse(17, "entries", cause);
        }
        if !self.coverage.add(db, hash_lo, hash_hi) {
            let cause = Cause::Form { expected: "ranges that do not overlap" };
            return self.refuse(1, "range", cause);
        }
        let at = block_len - packed.stored_len - 4;
        let unpacked = self.unpack(packed, at)?;
        let (pos, end) = if unpacked { (0, packed.raw_len) } else { (at, at + packed.raw_len) };
        let base = self.offset + if unpacked { at as u64 } else { 0 };
        self.state = State::Entries { left: count, pos, end, block_len, packed: unpacked, base };
        self.blocks = self.blocks.saturating_add(1);
        self.entries += u64::from(count);
        let (raw_len, stored_len) = (packed.raw_len as u64, packed.stored_len as u64);
        let offset = self.offset;
        Ok(Some(Item::Range(Range { db, hash_lo, hash_hi, count, raw_len, stored_len, offset })))
    }

    fn entry(&mut self) -> Result<Item<'_>, DecodeError> {
        let cold = self.flags() & file_flags::COLD_BY_REFERENCE != 0;
        let Decoder { buf, start, raw, state, large, db, item_at, .. } = self;
        let State::Entries { left, pos, end, packed, base, .. } = state else {
            unreachable!("entries are read in a range only");
        };
        let bytes =
            if *packed { raw.get(*pos..*end) } else { buf.get(*start + *pos..*start + *end) };
        *item_at = *base + *pos as u64;
        let mut r = Reader::new(bytes.unwrap_or_default(), *item_at);
        let entry = item::read(&mut r, db.unwrap_or(0), cold, large)?;
        *pos += r.position();
        *left -= 1;
        Ok(Item::Entry(entry))
    }

    fn chunk(
        &mut self,
        value_id: u64,
        chunk: u32,
        last: bool,
        n: usize,
        len: usize,
    ) -> Result<Option<Item<'_>>, DecodeError> {
        self.no_sections("chunk")?;
        let Some(expected) = self.large.awaited(value_id) else {
            let cause = Cause::Value { expected: "a value that lacks chunks", found: value_id };
            return self.refuse(1, "value_id", cause);
        };
        if chunk != expected {
            let (expected, found) = (u64::from(expected), u64::from(chunk));
            return self.refuse(9, "chunk", Cause::Mismatch { expected, found });
        }
        self.large.took(value_id, last);
        self.blocks = self.blocks.saturating_add(1);
        let from = self.start + len - 4 - n;
        self.advance(len);
        let bytes = self.buf.get(from..from + n).unwrap_or_default();
        Ok(Some(Item::Chunk(Chunk { value_id, chunk, last, bytes })))
    }

    fn section(
        &mut self,
        code: u16,
        version: u16,
        flags: u32,
        packed: Packed,
        len: usize,
    ) -> Result<Option<Item<'_>>, DecodeError> {
        if flags & !section::REQUIRED != 0 {
            return self.refuse(5, "section flags", Cause::Newer { found: flags.into() });
        }
        let is_plane = self.planes.iter().any(|(c, newest)| *c == code && version <= *newest);
        if flags & section::REQUIRED != 0 && !section::is_known(code, version) && !is_plane {
            let found =
                if section::name(code).is_some() { u64::from(version) } else { code.into() };
            let what = section::name(code).unwrap_or("required section");
            return self.refuse(1, what, Cause::Newer { found });
        }
        if code < self.last_section || code == 0 {
            let cause = Cause::Value { expected: "not below the one before", found: code.into() };
            return self.refuse(1, "section", cause);
        }
        let at = len - packed.stored_len - 4;
        let unpacked = self.unpack(packed, at)?;
        self.last_section = code;
        self.sections = self.sections.saturating_add(1);
        let (from, offset) = (self.start + at, self.offset + at as u64);
        self.advance(len);
        let payload = match unpacked {
            true => self.raw.as_slice(),
            false => self.buf.get(from..from + packed.raw_len).unwrap_or_default(),
        };
        let stored_len = packed.stored_len as u64;
        let section = Section { section: code, version, flags, stored_len, payload, offset };
        Ok(Some(Item::Section(section)))
    }

    fn end(&mut self, summary: Summary, len: usize) -> Result<Option<Item<'_>>, DecodeError> {
        for (at, what, expected, found) in [
            (1, "entries", self.entries, summary.entries),
            (9, "blocks", self.blocks.into(), summary.blocks.into()),
            (13, "sections", self.sections.into(), summary.sections.into()),
        ] {
            if expected != found {
                return self.refuse(at, what, Cause::Mismatch { expected, found });
            }
        }
        if let Err(gap) = self.coverage.check() {
            let expected = "a range for every hash position of the database";
            let cause = match gap.position {
                Some(found) => Cause::Value { expected, found },
                None => Cause::Form { expected },
            };
            return self.refuse(0, "ranges", cause);
        }
        if let Some(value_id) = self.large.unfinished() {
            let cause = Cause::Value { expected: "the last chunk of the value", found: value_id };
            return self.refuse(0, "large value", cause);
        }
        self.advance(len);
        self.state = State::Done;
        Ok(Some(Item::End(summary)))
    }
}
