//! RRDSHARD, the snapshot of one shard: bases and BGSAVE files (storage-formats §5).
//!
//! One idea: a file is a sequence of blocks, each with its own checksum, and the whole is closed by a
//! checksum and counts, so that neither a flipped bit nor a missing piece can pass. [`Encoder`] appends
//! blocks to the caller's buffer; [`Decoder`] is fed bytes as they come and needs memory for one block.
//!
//! Invariants:
//! * A block holds the keys of a half-open range of the writer's 48-bit hash order. The ranges of a
//!   database are disjoint and together cover the whole order; both sides check it.
//! * A value whose body would not fit in a block is cut into chunks that follow the block of its key; a
//!   file that lacks one is refused.
//! * What a reader does not know is refused by name, except sections that say they may be skipped.
//!
//! ```text
//! select     marker u8 {0xFE} | db u32 | crc u32
//! range      marker u8 {0xFD} | hash_lo u64 | hash_hi u64 | count u32 | codec u8 {0 raw, 1 zstd} |
//!            reserved 3 bytes | raw_len u64 | stored_len u64 | [codec=1: frame =stored_len] |
//!            [codec=0: (key item)*count] | crc u32
//! section    marker u8 {0xFC} | section u16 | version u16 | flags u32 {1 required} |
//!            codec u8 {0 raw, 1 zstd} | reserved 3 bytes | raw_len u64 | stored_len u64 |
//!            payload =stored_len | crc u32
//! chunk      marker u8 {0xFB} | value_id u64 | chunk u32 | last u8 | len u64 | bytes =len | crc u32
//! trailer    marker u8 {0xFF} | entries u64 | blocks u32 | sections u32 | file_crc u32
//! item       type u8 | eflags u8 {1 TTL, 2 access, 4 cold, 8 large} | key bytes32 |
//!            [eflags&1: ttl_ms u64] | [eflags&2: access u32] | [eflags&4: where ptr] |
//!            [eflags&8: value_id u64] | [eflags&12=0: value body]
//! ```
//!
//! `body` is a value body ([`crate::value`]) of that `type`, `ptr` a location of a cold value.
//! Versions 1 to 3 and the files with the magic `MOON` are the reference's; they are read only, see
//! `legacy.rs`.

#![warn(clippy::indexing_slicing)]

mod block;
mod coverage;
mod decode;
mod encode;
mod head;
mod item;
mod join;
mod large;
mod legacy;
pub mod section;

pub use coverage::Uncovered;
pub use decode::{Chunk, Decoder, Item, Range, Section, Summary};
pub use encode::{Encoder, Incomplete, Key, Unfit};
pub use head::{
    EXTENSION_FIELDS, EXTENSION_LEN, Extension, Form, Head, PREAMBLE_FIELDS, PREAMBLE_LEN,
    Preamble, file_flags,
};
pub use item::{Entry, Stored, eflags};
pub use join::{Joined, Joiner};

/// Version that is written.
pub const VERSION: u8 = 4;
/// Most bytes of a range's entries or of a section before compression, and of a chunk.
pub const BLOCK_RAW_MAX: usize = 64 << 20;
/// Longest key. A block with one entry may be longer than [`BLOCK_RAW_MAX`] by as much.
pub const KEY_MAX: usize = 512 << 20;
/// End of the hash order: positions are below it.
pub const HASH_END: u64 = 1 << 48;

/// First bytes of a file of a shard.
pub const MAGIC: &[u8] = b"RRDSHARD";
/// First bytes of a snapshot of all shards, read only.
pub const MOON_MAGIC: &[u8] = b"MOON";

/// First bytes of blocks.
mod marker {
    pub(super) const CHUNK: u8 = 0xfb;
    pub(super) const SECTION: u8 = 0xfc;
    pub(super) const RANGE: u8 = 0xfd;
    pub(super) const SELECT: u8 = 0xfe;
    pub(super) const END: u8 = 0xff;
}

/// Whether a block that begins with these bytes is a piece of a large value.
pub fn begins_chunk(bytes: &[u8]) -> bool {
    bytes.first() == Some(&marker::CHUNK)
}

/// How a block is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Raw = 0,
    /// A zstd frame.
    Zstd = 1,
}

#[cfg(test)]
mod tests;
