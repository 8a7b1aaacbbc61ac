//! Writing a snapshot, block by block.

use super::coverage::{Coverage, Uncovered};
use super::decode::Summary;
use super::head::{Extension, Head, Preamble, file_flags};
use super::item::{ENTRY_HEAD_MAX, REFERENCE_MAX, eflags, put_head};
use super::large::Large;
use super::{BLOCK_RAW_MAX, Codec, HASH_END, KEY_MAX, VERSION, marker};
use crate::bytes::Put;
use crate::compress;
use crate::crc::{crc32c, crc32c_append};
use crate::value::ValueType;
use crate::wal::body::ColdPtr;
use std::fmt;

/// Level of the blocks' compression: a snapshot is written beside live traffic.
const ZSTD_LEVEL: i32 = 1;

/// What an entry says before its value.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// Name, at most [`KEY_MAX`] bytes.
    pub key: &'a [u8],
    /// When it expires, in Unix milliseconds.
    pub expire_ms: Option<u64>,
    /// Access word of the keyspace.
    pub access: Option<u32>,
}

/// Why an entry was not taken; the block is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The block is full: end it at an earlier position, or write the value as a large one.
    BlockFull,
    /// No block can hold it: write the value as a large one.
    TooLarge,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::BlockFull => "the entry does not fit in this block any more",
            Unfit::TooLarge => "the value does not fit in a block: it must be written in chunks",
        })
    }
}

impl std::error::Error for Unfit {}

/// Why a snapshot is not whole. The file must be thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// Keys are missing.
    Uncovered(Uncovered),
    /// Keys are in it twice.
    Overlap {
        /// The database.
        db: u32,
        /// Begin of the second range.
        hash_lo: u64,
    },
    /// A large value lacks chunks.
    Unfinished {
        /// Its number.
        value_id: u64,
    },
    /// A chunk belongs to no value that is awaited.
    StrayChunk {
        /// The number it came with.
        value_id: u64,
    },
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the snapshot is not whole: ")?;
        match self {
            Incomplete::Uncovered(u) => u.fmt(f),
            Incomplete::Overlap { db, hash_lo } => {
                write!(f, "database {db} has two ranges at hash position {hash_lo:#x}")
            }
            Incomplete::Unfinished { value_id } => {
                write!(f, "large value {value_id} has no last chunk")
            }
            Incomplete::StrayChunk { value_id } => {
                write!(f, "a chunk came for large value {value_id}, which takes none")
            }
        }
    }
}

impl std::error::Error for Incomplete {}

/// The block that is being filled.
#[derive(Debug)]
struct Open {
    hash_lo: u64,
    count: u32,
}

/// Writes a snapshot. Each call appends to the caller's buffer, which may be emptied between calls; the
/// block being filled is kept here until [`Encoder::end`].
///
/// Order of calls: [`Encoder::new`]; per database [`Encoder::select`], then any number of blocks, each
/// [`Encoder::begin`], entries, [`Encoder::end`]; databases may alternate. Chunks of a large value go
/// anywhere behind the block of its entry. Sections in ascending order, then [`Encoder::finish`]. Calls out
/// of this order panic.
#[derive(Debug)]
pub struct Encoder {
    crc: u32,
    bytes: u64,
    entries: u64,
    blocks: u32,
    sections: u32,
    last_section: u16,
    databases: u16,
    flags: u32,
    db: Option<u32>,
    open: Option<Open>,
    block: Vec<u8>,
    large: Large,
    coverage: Coverage,
    fault: Option<Incomplete>,
}

impl Encoder {
    /// Appends preamble and extension. Blocks are compressed if the extension's flags say so and it pays.
    pub fn new(preamble: &Preamble, extension: &Extension, out: &mut Vec<u8>) -> Encoder {
        assert_eq!(preamble.version, VERSION, "only version {VERSION} is written");
        let start = out.len();
        Head::put(preamble, extension, out);
        let mut encoder = Encoder {
            crc: 0,
            bytes: 0,
            entries: 0,
            blocks: 0,
            sections: 0,
            last_section: 0,
            databases: extension.databases,
            flags: extension.flags,
            db: None,
            open: None,
            block: Vec::new(),
            large: Large::default(),
            coverage: Coverage::default(),
            fault: None,
        };
        encoder.count(out, start);
        encoder
    }

    /// Bytes written so far, the block being filled left out.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Entries written so far, those of the block being filled included.
    pub fn entries(&self) -> u64 {
        self.entries + self.open.as_ref().map_or(0, |open| u64::from(open.count))
    }

    /// Bytes in the block being filled.
    pub fn block_len(&self) -> usize {
        self.block.len()
    }

    /// Takes what was appended from `start` on into the checksum of the file.
    fn count(&mut self, out: &[u8], start: usize) {
        let new = out.get(start..).unwrap_or_default();
        self.crc = crc32c_append(self.crc, new);
        self.bytes += new.len() as u64;
    }

    /// Appends the checksum of the block that begins at `start`, and counts the block.
    fn close(&mut self, out: &mut Vec<u8>, start: usize) {
        let crc = crc32c(out.get(start..).unwrap_or_default());
        out.put_u32(crc);
        self.count(out, start);
    }

    /// Blocks that follow belong to this database, whose hash order must be covered by the end.
    pub fn select(&mut self, db: u32, out: &mut Vec<u8>) {
        assert!(db < u32::from(self.databases), "database {db} of {}", self.databases);
        assert!(self.open.is_none(), "a block is ended before another database is selected");
        if self.db == Some(db) {
            return;
        }
        self.db = Some(db);
        self.coverage.select(db);
        let start = out.len();
        out.put_u8(marker::SELECT);
        out.put_u32(db);
        self.close(out, start);
    }

    /// Begins a block of the keys from this position of the hash order on.
    pub fn begin(&mut self, hash_lo: u64) {
        assert!(self.db.is_some(), "a database is selected before the first block");
        assert!(self.open.is_none(), "a block is ended before the next begins");
        assert!(self.sections == 0, "sections follow the last block");
        self.block.clear();
        self.open = Some(Open { hash_lo, count: 0 });
    }

    /// Adds a key whose value body `body` appends, giving its type.
    pub fn entry(
        &mut self,
        key: &Key<'_>,
        body: impl FnOnce(&mut Vec<u8>) -> ValueType,
    ) -> Result<(), Unfit> {
        let start = self.head(key, ValueType::String, 0)?;
        let kind = body(&mut self.block);
        if let Some(code) = self.block.get_mut(start) {
            *code = kind.code();
        }
        self.entry_done(start, key)
    }

    /// Adds a key whose value is cold. Panics if the file is said to be self-contained.
    pub fn cold(&mut self, key: &Key<'_>, ptr: &ColdPtr) -> Result<(), Unfit> {
        assert!(self.flags & file_flags::COLD_BY_REFERENCE != 0, "the file is self-contained");
        let kind = ValueType::from_code(ptr.value_type).expect("a cold value has a type");
        let start = self.head(key, kind, eflags::COLD)?;
        ptr.put(&mut self.block);
        self.entry_done(start, key)
    }

    /// Adds a key whose value follows in chunks, and gives their number.
    pub fn large(&mut self, key: &Key<'_>, kind: ValueType) -> Result<u64, Unfit> {
        let start = self.head(key, kind, eflags::LARGE)?;
        let value_id = self.large.open_next();
        self.block.put_u64(value_id);
        match self.entry_done(start, key) {
            Ok(()) => Ok(value_id),
            Err(unfit) => {
                self.large.withdraw();
                Err(unfit)
            }
        }
    }

    fn head(&mut self, key: &Key<'_>, kind: ValueType, more: u8) -> Result<usize, Unfit> {
        let open = self.open.as_ref().expect("a block is begun before its entries");
        assert!(key.key.len() <= KEY_MAX, "a key is at most {KEY_MAX} bytes long");
        let least = ENTRY_HEAD_MAX + REFERENCE_MAX + key.key.len();
        let start = self.block.len();
        if open.count > 0 && start + least > BLOCK_RAW_MAX {
            return Err(Unfit::BlockFull);
        }
        put_head(&mut self.block, kind, key.key, key.expire_ms, key.access, more);
        Ok(start)
    }

    fn entry_done(&mut self, start: usize, key: &Key<'_>) -> Result<(), Unfit> {
        let open = self.open.as_mut().expect("a block is begun before its entries");
        let (unfit, key_len) = match open.count {
            0 => (Unfit::TooLarge, key.key.len()),
            _ => (Unfit::BlockFull, 0),
        };
        if self.block.len() - key_len > BLOCK_RAW_MAX {
            self.block.truncate(start);
            return Err(unfit);
        }
        open.count += 1;
        Ok(())
    }

    /// Ends the block: it holds every key at positions below `hash_hi` and not below where it began.
    pub fn end(&mut self, hash_hi: u64, out: &mut Vec<u8>) {
        let open = self.open.take().expect("a block is begun before it is ended");
        let db = self.db.expect("a block is begun in a database");
        let hash_lo = open.hash_lo;
        assert!(hash_lo < hash_hi && hash_hi <= HASH_END, "{hash_lo:#x}..{hash_hi:#x}");
        if !self.coverage.add(db, hash_lo, hash_hi) {
            self.fault.get_or_insert(Incomplete::Overlap { db, hash_lo });
        }
        self.entries += u64::from(open.count);
        self.blocks += 1;
        let start = out.len();
        out.put_u8(marker::RANGE);
        out.put_u64(hash_lo);
        out.put_u64(hash_hi);
        out.put_u32(open.count);
        let block = std::mem::take(&mut self.block);
        self.put_packed(&block, out);
        self.block = block;
        self.block.clear();
        self.close(out, start);
    }

    /// Codec, lengths and bytes.
    fn put_packed(&self, raw: &[u8], out: &mut Vec<u8>) {
        let mut frame = None;
        if self.flags & file_flags::ZSTD != 0 && !raw.is_empty() && raw.len() <= BLOCK_RAW_MAX {
            frame = Some(compress::zstd_frame(raw, ZSTD_LEVEL)).filter(|f| f.len() < raw.len());
        }
        let codec = if frame.is_some() { Codec::Zstd } else { Codec::Raw };
        let stored = frame.as_deref().unwrap_or(raw);
        out.put_u8(codec as u8);
        out.put(&[0; 3]);
        out.put_u64(raw.len() as u64);
        out.put_u64(stored.len() as u64);
        out.put(stored);
    }

    /// Appends the next piece of a large value's body, at most [`BLOCK_RAW_MAX`] bytes. The block of its
    /// entry has been ended.
    pub fn chunk(&mut self, value_id: u64, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        assert!(self.open.is_none(), "chunks stand behind the block of their entry");
        assert!(self.sections == 0, "sections follow the last block");
        assert!(bytes.len() <= BLOCK_RAW_MAX, "a chunk is at most {BLOCK_RAW_MAX} bytes long");
        let Some(chunk) = self.large.awaited(value_id) else {
            self.fault.get_or_insert(Incomplete::StrayChunk { value_id });
            return;
        };
        self.large.took(value_id, last);
        self.blocks += 1;
        let start = out.len();
        out.put_u8(marker::CHUNK);
        out.put_u64(value_id);
        out.put_u32(chunk);
        out.put_u8(u8::from(last));
        out.put_u64(bytes.len() as u64);
        out.put(bytes);
        self.close(out, start);
    }

    /// Appends a section, at most [`BLOCK_RAW_MAX`] bytes. The same code may come again with more items.
    pub fn section(
        &mut self,
        section: u16,
        version: u16,
        flags: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        assert!(self.open.is_none(), "a block is ended before a section");
        assert!(section > 0 && section >= self.last_section, "sections stand in ascending order");
        assert!(payload.len() <= BLOCK_RAW_MAX, "a section is at most {BLOCK_RAW_MAX} bytes long");
        self.last_section = section;
        self.sections += 1;
        let start = out.len();
        out.put_u8(marker::SECTION);
        out.put_u16(section);
        out.put_u16(version);
        out.put_u32(flags);
        self.put_packed(payload, out);
        self.close(out, start);
    }

    /// Appends the trailer.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Summary, Incomplete> {
        assert!(self.open.is_none(), "a block is ended before the file is");
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.coverage.check().map_err(Incomplete::Uncovered)?;
        if let Some(value_id) = self.large.unfinished() {
            return Err(Incomplete::Unfinished { value_id });
        }
        let start = out.len();
        out.put_u8(marker::END);
        out.put_u64(self.entries);
        out.put_u32(self.blocks);
        out.put_u32(self.sections);
        self.count(out, start);
        let crc = self.crc;
        out.put_u32(crc);
        let Encoder { entries, blocks, sections, bytes, .. } = self;
        Ok(Summary { entries, blocks, sections, crc, bytes: bytes + 4 })
    }
}
