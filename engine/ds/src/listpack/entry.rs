//! One entry of a listpack, to and from bytes.
//!
//! | first byte | entry | bytes (without the length at its end) |
//! |---|---|---|
//! | `0xxxxxxx` | integer 0..127 | 1 |
//! | `10xxxxxx` | string of up to 63 bytes | 1 + n |
//! | `110xxxxx` + 1 | integer of 13 bits, signed | 2 |
//! | `1110xxxx` + 1 | string of up to 4095 bytes | 2 + n |
//! | `F0` + `u32` | string | 5 + n |
//! | `F1` `F2` `F3` `F4` | integer of 16, 24, 32, 64 bits | 3, 4, 5, 9 |
//!
//! An entry ends with its own length (without this field) in base 128, read from the right:
//! one byte up to 127, two below 16383, and so on (`lpEncodeBacklen` in Redis' listpack.c).

use super::BYTES_MAX;
use crate::item::Item;

/// Bytes of the length field that ends an entry of `n` bytes.
#[inline]
pub(super) const fn back_size(n: usize) -> usize {
    match n {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

#[inline]
pub(super) fn write_back(out: &mut [u8], n: usize) {
    let size = out.len();
    let mut rest = n;
    for (i, byte) in out.iter_mut().rev().enumerate() {
        *byte = (rest & 127) as u8 | if i + 1 < size { 128 } else { 0 };
        rest >>= 7;
    }
}

/// Start of the entry that ends at `end`.
#[inline]
pub(super) fn entry_start(bytes: &[u8], end: usize) -> usize {
    let (mut n, mut shift, mut at) = (0usize, 0, end);
    loop {
        at -= 1;
        let byte = bytes[at];
        n |= usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return at - n;
        }
        shift += 7;
    }
}

/// Bytes of the entry at `at`, its length field included.
#[inline]
pub(super) fn entry_size(bytes: &[u8], at: usize) -> usize {
    let first = bytes[at];
    let n = match first {
        0..=0x7F => return 2,
        0x80..=0xBF => return usize::from(first & 0x3F) + 2,
        0xC0..=0xDF => return 3,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(bytes[at + 1])),
        0xF0 => 5 + read_u32(bytes, at + 1),
        0xF1 => return 4,
        0xF2 => return 5,
        0xF3 => return 6,
        _ => return 10,
    };
    n + back_size(n)
}

#[inline]
pub(super) fn read_u32(bytes: &[u8], at: usize) -> usize {
    let raw: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(raw) as usize
}

/// The entry at `at` and where the next one starts.
#[inline]
pub(super) fn read_entry(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let first = bytes[at];
    let string = |head: usize, len: usize| {
        let from = at + head;
        let n = head + len;
        (Item::Bytes(&bytes[from..from + len]), at + n + back_size(n))
    };
    match first {
        0..=0x7F => (Item::Int(i64::from(first)), at + 2),
        0x80..=0xBF => {
            let len = usize::from(first & 0x3F);
            (Item::Bytes(&bytes[at + 1..at + 1 + len]), at + 2 + len)
        }
        0xC0..=0xDF => {
            let raw = i16::from(first & 0x1F) << 8 | i16::from(bytes[at + 1]);
            // 13 bits, sign in bit 12.
            (Item::Int(i64::from(raw << 3 >> 3)), at + 3)
        }
        0xE0..=0xEF => string(2, usize::from(first & 0x0F) << 8 | usize::from(bytes[at + 1])),
        0xF0 => string(5, read_u32(bytes, at + 1)),
        0xF1 => (Item::Int(read_int::<2>(bytes, at + 1)), at + 4),
        0xF2 => (Item::Int(read_int::<3>(bytes, at + 1)), at + 5),
        0xF3 => (Item::Int(read_int::<4>(bytes, at + 1)), at + 6),
        _ => (Item::Int(read_int::<8>(bytes, at + 1)), at + 10),
    }
}

#[inline]
fn read_int<const N: usize>(bytes: &[u8], at: usize) -> i64 {
    let mut raw = [0; 8];
    raw[..N].copy_from_slice(&bytes[at..at + N]);
    let unused = (8 - N) * 8;
    i64::from_le_bytes(raw) << unused >> unused
}

/// An element in its stored form, as a head and the string it is followed by.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: usize,
    tail: &'a [u8],
}

impl<'a> Encoded<'a> {
    #[inline]
    pub(super) fn new(item: Item<'a>) -> Encoded<'a> {
        let mut head = [0; 9];
        let mut tail: &[u8] = &[];
        let head_len = match item {
            Item::Int(n @ 0..=127) => {
                head[0] = n as u8;
                1
            }
            Item::Int(n @ -4096..=4095) => {
                let n = n as u16 & 0x1FFF;
                head[0] = 0xC0 | (n >> 8) as u8;
                head[1] = n as u8;
                2
            }
            Item::Int(n) => {
                let (tag, size) = match n {
                    -0x8000..=0x7FFF => (0xF1, 2),
                    -0x80_0000..=0x7F_FFFF => (0xF2, 3),
                    -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
                    _ => (0xF4, 8),
                };
                head[0] = tag;
                head[1..=size].copy_from_slice(&n.to_le_bytes()[..size]);
                size + 1
            }
            Item::Bytes(b) => {
                tail = b;
                match b.len() {
                    n @ 0..=63 => {
                        head[0] = 0x80 | n as u8;
                        1
                    }
                    n @ 64..=4095 => {
                        head[0] = 0xE0 | (n >> 8) as u8;
                        head[1] = n as u8;
                        2
                    }
                    n => {
                        assert!(n <= BYTES_MAX, "listpack element over 1 GiB");
                        head[0] = 0xF0;
                        head[1..5].copy_from_slice(&(n as u32).to_le_bytes());
                        5
                    }
                }
            }
        };
        Encoded { head, head_len, tail }
    }

    /// Bytes without the length field.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.head_len + self.tail.len()
    }

    #[inline]
    pub(super) fn size(&self) -> usize {
        let n = self.len();
        n + back_size(n)
    }

    #[inline]
    pub(super) fn write(&self, out: &mut [u8]) {
        let n = self.len();
        out[..self.head_len].copy_from_slice(&self.head[..self.head_len]);
        out[self.head_len..n].copy_from_slice(self.tail);
        write_back(&mut out[n..], n);
    }

    #[inline]
    pub(super) fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        bytes[at] == self.head[0]
            && bytes[at..].starts_with(&self.head[..self.head_len])
            && bytes[at + self.head_len..].starts_with(self.tail)
    }
}
