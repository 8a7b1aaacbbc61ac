//! What stands before the content of a block of version 4: which kind it is and how long.
//!
//! Lengths are held against the limits here, before anything is waited for or allocated.

use super::{BLOCK_RAW_MAX, Codec, KEY_MAX, marker};
use crate::bytes::Reader;
use crate::error::{Cause, DecodeError};

/// Content that may be compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    pub zstd: bool,
    pub raw_len: usize,
    pub stored_len: usize,
}

/// A block without its content.
#[derive(Debug, Clone, Copy)]
pub(super) enum Block {
    Select { db: u32 },
    Range { hash_lo: u64, hash_hi: u64, count: u32, packed: Packed },
    Section { section: u16, version: u16, flags: u32, packed: Packed },
    Chunk { value_id: u64, chunk: u32, last: bool, len: usize },
    End { entries: u64, blocks: u32, sections: u32 },
}

impl Block {
    pub(super) fn name(self) -> &'static str {
        match self {
            Block::Select { .. } => "database block",
            Block::Range { .. } => "range block",
            Block::Section { .. } => "section block",
            Block::Chunk { .. } => "chunk block",
            Block::End { .. } => "snapshot",
        }
    }

    /// Reads it, and gives the length of the whole block, content and checksum included.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<(Block, usize), DecodeError> {
        let (from, at) = (r.position(), r.offset());
        let (block, content) = match r.u8("block")? {
            marker::SELECT => (Block::Select { db: r.u32("database block")? }, 0),
            marker::RANGE => {
                let (hash_lo, hash_hi) = (r.u64("range block")?, r.u64("range block")?);
                let count = r.u32("range block")?;
                let alone = if count == 1 { KEY_MAX } else { 0 };
                let packed = Packed::read(r, BLOCK_RAW_MAX + alone)?;
                (Block::Range { hash_lo, hash_hi, count, packed }, packed.stored_len)
            }
            marker::SECTION => {
                let (section, version) = (r.u16("section block")?, r.u16("section block")?);
                let flags = r.u32("section block")?;
                let packed = Packed::read(r, BLOCK_RAW_MAX)?;
                (Block::Section { section, version, flags, packed }, packed.stored_len)
            }
            marker::CHUNK => {
                let (value_id, chunk) = (r.u64("chunk block")?, r.u32("chunk block")?);
                let last = r.bool("last")?;
                let len = length(r, BLOCK_RAW_MAX, "chunk length")?;
                (Block::Chunk { value_id, chunk, last, len }, len)
            }
            marker::END => {
                let entries = r.u64("trailer")?;
                let (blocks, sections) = (r.u32("trailer")?, r.u32("trailer")?);
                (Block::End { entries, blocks, sections }, 0)
            }
            other => {
                let cause = Cause::Value { expected: "a block, 0xFB to 0xFF", found: other.into() };
                return Err(DecodeError::new(at, "block", cause));
            }
        };
        Ok((block, r.position() - from + content + 4))
    }
}

impl Packed {
    fn read(r: &mut Reader<'_>, raw_max: usize) -> Result<Packed, DecodeError> {
        let zstd = match r.u8("codec")? {
            c if c == Codec::Raw as u8 => false,
            c if c == Codec::Zstd as u8 => true,
            other => return Err(r.error("codec", Cause::Newer { found: other.into() })),
        };
        r.zeros(3, "reserved")?;
        let raw_len = length(r, if zstd { BLOCK_RAW_MAX } else { raw_max }, "raw_len")?;
        let at = r.offset();
        let stored_len = length(r, raw_len, "stored_len")?;
        if !zstd && stored_len != raw_len {
            let (expected, found) = (raw_len as u64, stored_len as u64);
            return Err(DecodeError::new(at, "stored_len", Cause::Mismatch { expected, found }));
        }
        Ok(Packed { zstd, raw_len, stored_len })
    }
}

fn length(r: &mut Reader<'_>, max: usize, what: &'static str) -> Result<usize, DecodeError> {
    let at = r.offset();
    let found = r.u64(what)?;
    match usize::try_from(found) {
        Ok(n) if n <= max => Ok(n),
        _ => {
            let cause = Cause::Value { expected: "within the limit", found };
            Err(DecodeError::new(at, what, cause))
        }
    }
}
