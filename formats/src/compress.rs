//! Block compression of payloads: zstd frames, and the LZ4 blocks of reference files.
//!
//! ```text
//! packed   raw_len u32 | zstd frame or LZ4 block
//! ```
//!
//! Output grows as it is produced and stops at `raw_len`, which is limited by the caller; an
//! announced length alone allocates nothing.

#![warn(clippy::indexing_slicing)]

use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use std::io::Read;

/// Largest window a zstd frame may ask for: 2^27 bytes, zstd's own default limit.
const WINDOW_LOG_MAX: u32 = 27;

/// Appends `raw_len` and a zstd frame of `raw`. Panics above 4 GiB.
pub fn pack_zstd(out: &mut Vec<u8>, raw: &[u8], level: i32) {
    out.put_count32(raw.len());
    out.put(&zstd_frame(raw, level));
}

/// A zstd frame of `raw`.
pub fn zstd_frame(raw: &[u8], level: i32) -> Vec<u8> {
    zstd::bulk::compress(raw, level).expect("compression into memory does not fail")
}

/// Unpacks what [`pack_zstd`] made. `offset` is that of `packed` in the file.
pub fn unpack_zstd(packed: &[u8], raw_len_max: usize, offset: u64) -> Result<Vec<u8>, DecodeError> {
    let (raw_len, frame) = split(packed, raw_len_max, offset)?;
    let mut raw = Vec::new();
    unpack_frame(frame, raw_len, offset + 4, &mut raw)?;
    Ok(raw)
}

/// Unpacks a zstd frame of exactly `raw_len` bytes into `raw`, which is emptied first. The caller has
/// checked that `raw_len` is within its limit. `offset` is that of `frame` in the file.
pub fn unpack_frame(
    frame: &[u8],
    raw_len: usize,
    offset: u64,
    raw: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let damaged = || {
        let cause = Cause::Form { expected: "a zstd frame of raw_len bytes" };
        DecodeError::new(offset, "compressed payload", cause)
    };
    raw.clear();
    let mut decoder =
        zstd::stream::read::Decoder::with_buffer(frame).map_err(|_| damaged())?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(|_| damaged())?;
    let read = decoder.by_ref().take(raw_len as u64 + 1).read_to_end(raw);
    if read.is_err() || raw.len() != raw_len || !decoder.finish().is_empty() {
        return Err(damaged());
    }
    Ok(())
}

/// Unpacks `raw_len` and an LZ4 block. `offset` is that of `packed` in the file.
pub fn unpack_lz4(packed: &[u8], raw_len_max: usize, offset: u64) -> Result<Vec<u8>, DecodeError> {
    let (raw_len, block) = split(packed, raw_len_max, offset)?;
    lz4_block(block, raw_len).ok_or_else(|| {
        let cause = Cause::Form { expected: "an LZ4 block of raw_len bytes" };
        DecodeError::new(offset + 4, "compressed payload", cause)
    })
}

fn split(packed: &[u8], raw_len_max: usize, offset: u64) -> Result<(usize, &[u8]), DecodeError> {
    let mut r = Reader::new(packed, offset);
    let raw_len = r.u32("raw_len")? as usize;
    if raw_len > raw_len_max {
        let cause = Cause::Value { expected: "within the limit", found: raw_len as u64 };
        return Err(DecodeError::new(offset, "raw_len", cause));
    }
    Ok((raw_len, r.rest()))
}

/// The LZ4 block format: token, literals, match of at least 4 bytes; the last sequence has no
/// match. Source: lz4 `doc/lz4_Block_format.md`.
fn lz4_block(block: &[u8], raw_len: usize) -> Option<Vec<u8>> {
    /// A nibble of 15 goes on in bytes of 255.
    fn length(nibble: u8, rest: &mut &[u8]) -> Option<usize> {
        let mut len = usize::from(nibble);
        if nibble == 15 {
            loop {
                let (&b, tail) = rest.split_first()?;
                *rest = tail;
                len = len.checked_add(usize::from(b))?;
                if b != 255 {
                    break;
                }
            }
        }
        Some(len)
    }

    let mut out = Vec::new();
    let mut rest = block;
    loop {
        let (&token, tail) = rest.split_first()?;
        rest = tail;
        let literals = length(token >> 4, &mut rest)?;
        let (bytes, tail) = rest.split_at_checked(literals)?;
        if out.len() + literals > raw_len {
            return None;
        }
        out.extend_from_slice(bytes);
        rest = tail;
        if rest.is_empty() {
            return (out.len() == raw_len).then_some(out);
        }
        let (distance, tail) = rest.split_first_chunk::<2>()?;
        rest = tail;
        let from = out.len().checked_sub(usize::from(u16::from_le_bytes(*distance)))?;
        let len = length(token & 15, &mut rest)?.checked_add(4)?;
        if from == out.len() || len > raw_len - out.len() {
            return None;
        }
        // Source and destination may overlap: the match then repeats what it has just made.
        for i in from..from + len {
            let b = *out.get(i)?;
            out.push(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lz4_blocks() {
        // "abcd" + match of 8 at distance 4, then 5 literals.
        let block = [0x44, b'a', b'b', b'c', b'd', 4, 0, 0x50, b'1', b'2', b'3', b'4', b'5'];
        let mut packed = 17u32.to_le_bytes().to_vec();
        packed.extend_from_slice(&block);
        assert_eq!(unpack_lz4(&packed, 100, 0).unwrap(), b"abcdabcdabcd12345");
        assert!(unpack_lz4(&packed, 16, 0).is_err());
        for cut in 0..packed.len() {
            assert!(unpack_lz4(&packed[..cut], 100, 0).is_err(), "{cut}");
        }
        // Distance 0, distance before the start, wrong length.
        for (at, byte) in [(9, 0), (9, 5), (0, 16), (0, 18)] {
            let mut bad = packed.clone();
            bad[at] = byte;
            assert!(unpack_lz4(&bad, 100, 0).is_err(), "{at} {byte}");
        }
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let mut packed = Vec::new();
        pack_zstd(&mut packed, &[7; 1000], 1);
        for len in [0u32, 999, 1001, 1 << 29] {
            packed[..4].copy_from_slice(&len.to_le_bytes());
            assert!(unpack_zstd(&packed, 1 << 30, 0).is_err(), "{len}");
        }
        packed[..4].copy_from_slice(&1000u32.to_le_bytes());
        packed.push(0);
        assert!(unpack_zstd(&packed, 1 << 30, 0).is_err(), "trailing byte");
    }

    proptest! {
        #[test]
        fn zstd_comes_back(raw in proptest::collection::vec(0u8..4, 0..2000)) {
            let mut packed = Vec::new();
            pack_zstd(&mut packed, &raw, 1);
            prop_assert_eq!(unpack_zstd(&packed, 2000, 0).unwrap(), raw);
        }

        #[test]
        fn any_bytes_unpack_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = unpack_lz4(&bytes, 4096, 0);
            let _ = unpack_zstd(&bytes, 4096, 0);
        }
    }
}
