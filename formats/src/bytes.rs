//! Bounded reading and plain appending of little-endian fields.
//!
//! [`Reader`] is the only way decoders touch input: it never indexes past the end, checks each
//! count against the bytes that remain before anyone allocates, and reports offsets in the
//! coordinates of the file.

#![warn(clippy::indexing_slicing)]

use crate::error::{Cause, DecodeError};

/// A cursor over a slice. Offsets in errors are `base + position`.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    buf: &'a [u8],
    pos: usize,
    base: u64,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident: $t:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self, what: &'static str) -> Result<$t, DecodeError> {
            Ok(<$t>::from_le_bytes(self.array(what)?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// Reads `buf`, whose first byte lies at offset `base` of the file.
    pub fn new(buf: &'a [u8], base: u64) -> Reader<'a> {
        Reader { buf, pos: 0, base }
    }

    /// Offset of the next byte in the file.
    pub fn offset(&self) -> u64 {
        self.base + self.pos as u64
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Bytes already read, between two positions.
    pub fn taken(&self, from: usize, to: usize) -> &'a [u8] {
        self.buf.get(from..to.min(self.pos)).unwrap_or_default()
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.buf.len() - self.pos
    }

    /// True when everything was read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error at the next byte.
    #[cold]
    pub fn error(&self, what: &'static str, cause: Cause) -> DecodeError {
        DecodeError::new(self.offset(), what, cause)
    }

    /// The next `n` bytes.
    #[inline]
    pub fn bytes(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = self.pos.checked_add(n);
        match end.and_then(|end| self.buf.get(self.pos..end)) {
            Some(slice) => {
                self.pos += n;
                Ok(slice)
            }
            None => Err(self.error(
                what,
                Cause::Truncated { needed: n as u64, remaining: self.remaining() as u64 },
            )),
        }
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(N, what)?;
        Ok(*bytes.first_chunk().expect("bytes(N) returns N bytes"))
    }

    fixed! {
        /// One byte.
        u8: u8;
        /// Unsigned 16 bits.
        u16: u16;
        /// Unsigned 32 bits.
        u32: u32;
        /// Unsigned 64 bits.
        u64: u64;
        /// Signed 64 bits.
        i64: i64;
        /// IEEE 754 double.
        f64: f64;
        /// IEEE 754 single.
        f32: f32;
    }

    /// `len u16` and that many bytes.
    #[inline]
    pub fn bytes16(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u16(what)?;
        self.bytes(usize::from(len), what)
    }

    /// `len u32` and that many bytes.
    #[inline]
    pub fn bytes32(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u32(what)?;
        self.bytes(len as usize, what)
    }

    /// A `u32` count of items that take at least `item_min` bytes each.
    pub fn count32(&mut self, item_min: usize, what: &'static str) -> Result<usize, DecodeError> {
        let at = self.offset();
        let count = u64::from(self.u32(what)?);
        self.check_count(at, count, item_min, what)
    }

    /// A `u16` count of items that take at least `item_min` bytes each.
    pub fn count16(&mut self, item_min: usize, what: &'static str) -> Result<usize, DecodeError> {
        let at = self.offset();
        let count = u64::from(self.u16(what)?);
        self.check_count(at, count, item_min, what)
    }

    /// A `u64` count of items that take at least `item_min` bytes each.
    pub fn count64(&mut self, item_min: usize, what: &'static str) -> Result<usize, DecodeError> {
        let at = self.offset();
        let count = self.u64(what)?;
        self.check_count(at, count, item_min, what)
    }

    fn check_count(
        &self,
        at: u64,
        count: u64,
        item_min: usize,
        what: &'static str,
    ) -> Result<usize, DecodeError> {
        let fits = (self.remaining() / item_min.max(1)) as u64;
        if count > fits {
            return Err(DecodeError::new(at, what, Cause::Count { count, fits }));
        }
        Ok(count as usize)
    }

    /// A byte that is 0 or 1.
    pub fn bool(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        let at = self.offset();
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::new(
                at,
                what,
                Cause::Value { expected: "0 or 1", found: u64::from(other) },
            )),
        }
    }

    /// `n` bytes that must be zero.
    pub fn zeros(&mut self, n: usize, what: &'static str) -> Result<(), DecodeError> {
        let at = self.offset();
        let bytes = self.bytes(n, what)?;
        match bytes.iter().position(|&b| b != 0) {
            None => Ok(()),
            Some(i) => Err(DecodeError::new(
                at + i as u64,
                what,
                Cause::Value { expected: "0", found: bytes.get(i).copied().map_or(0, u64::from) },
            )),
        }
    }

    /// A `ver u8` that must lie in `min..=max`: above is a newer Moon, below is not a version.
    pub fn version(&mut self, min: u8, max: u8, what: &'static str) -> Result<u8, DecodeError> {
        let at = self.offset();
        let version = self.u8(what)?;
        if version > max {
            let found = u64::from(version);
            return Err(DecodeError::new(at, what, Cause::Newer { found }));
        }
        if version < min {
            let found = u64::from(version);
            return Err(DecodeError::new(
                at,
                what,
                Cause::Value { expected: "a known version", found },
            ));
        }
        Ok(version)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.buf.get(self.pos..).unwrap_or_default();
        self.pos = self.buf.len();
        rest
    }

    /// Refuses bytes after the end of `what`.
    pub fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            n => Err(self.error(what, Cause::Trailing { bytes: n as u64 })),
        }
    }
}

/// Appending of little-endian fields. `bytes16` and `bytes32` saturate nothing: a length that
/// does not fit is a bug of the caller and panics before anything is written.
pub trait Put {
    /// One byte.
    fn put_u8(&mut self, v: u8);
    /// Unsigned 16 bits.
    fn put_u16(&mut self, v: u16);
    /// Unsigned 32 bits.
    fn put_u32(&mut self, v: u32);
    /// Unsigned 64 bits.
    fn put_u64(&mut self, v: u64);
    /// Signed 64 bits.
    fn put_i64(&mut self, v: i64);
    /// IEEE 754 double.
    fn put_f64(&mut self, v: f64);
    /// Bytes without a length.
    fn put(&mut self, v: &[u8]);
    /// `len u16` and the bytes. Panics above 65535 bytes.
    fn put_bytes16(&mut self, v: &[u8]);
    /// `len u32` and the bytes. Panics above 4 GiB.
    fn put_bytes32(&mut self, v: &[u8]);
    /// A `u32` count. Panics above 2^32 - 1.
    fn put_count32(&mut self, n: usize);
}

impl Put for Vec<u8> {
    #[inline]
    fn put_u8(&mut self, v: u8) {
        self.push(v);
    }
    #[inline]
    fn put_u16(&mut self, v: u16) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    #[inline]
    fn put_u32(&mut self, v: u32) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    #[inline]
    fn put_u64(&mut self, v: u64) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    #[inline]
    fn put_i64(&mut self, v: i64) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    #[inline]
    fn put_f64(&mut self, v: f64) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    #[inline]
    fn put(&mut self, v: &[u8]) {
        self.extend_from_slice(v);
    }
    #[inline]
    fn put_bytes16(&mut self, v: &[u8]) {
        let len = u16::try_from(v.len()).expect("a bytes16 field holds at most 65535 bytes");
        self.put_u16(len);
        self.extend_from_slice(v);
    }
    #[inline]
    fn put_bytes32(&mut self, v: &[u8]) {
        self.put_count32(v.len());
        self.extend_from_slice(v);
    }
    #[inline]
    fn put_count32(&mut self, n: usize) {
        self.put_u32(u32::try_from(n).expect("a u32 count holds at most 2^32 - 1"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_and_the_end_is_checked() {
        let mut v = Vec::new();
        v.put_u8(1);
        v.put_u16(2);
        v.put_u32(3);
        v.put_u64(4);
        v.put_i64(-5);
        v.put_f64(0.5);
        v.put_bytes16(b"six");
        v.put_bytes32(b"seven");
        let mut r = Reader::new(&v, 100);
        assert_eq!(r.u8("a"), Ok(1));
        assert_eq!(r.u16("a"), Ok(2));
        assert_eq!(r.u32("a"), Ok(3));
        assert_eq!(r.u64("a"), Ok(4));
        assert_eq!(r.i64("a"), Ok(-5));
        assert_eq!(r.f64("a"), Ok(0.5));
        assert_eq!(r.bytes16("a"), Ok(&b"six"[..]));
        assert!(r.finish("a").is_err());
        assert_eq!(r.bytes32("a"), Ok(&b"seven"[..]));
        assert_eq!(r.finish("a"), Ok(()));
        let e = r.u16("tail").unwrap_err();
        assert_eq!((e.offset, e.is_truncated()), (100 + v.len() as u64, true));
    }

    #[test]
    fn a_count_that_lies_is_refused_before_allocation() {
        let mut v = Vec::new();
        v.put_u32(u32::MAX);
        v.put_u64(0);
        let e = Reader::new(&v, 0).count32(4, "items").unwrap_err();
        assert_eq!(e.cause, Cause::Count { count: u64::from(u32::MAX), fits: 2 });
        assert_eq!(e.to_string(), "offset 0: items announces 4294967295 items, at most 2 fit");
    }

    #[test]
    fn a_huge_length_does_not_overflow() {
        let mut r = Reader::new(b"abc", 0);
        assert!(r.bytes(usize::MAX, "x").is_err());
        assert_eq!(r.remaining(), 3);
    }
}
