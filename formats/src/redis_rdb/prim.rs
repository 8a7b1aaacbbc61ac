//! Lengths and strings.
//!
//! ```text
//! 00xxxxxx                 length of 6 bits
//! 01xxxxxx x               length of 14 bits
//! 80 u32 | 81 u64          length, big-endian
//! C0 i8 | C1 i16 | C2 i32  instead of a length: a string that spells this integer
//! C3 packed len | raw len  instead of a length: LZF
//! ```

use super::{Limits, lzf};
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::number::{Digits, parse_i64};
use std::borrow::Cow;

/// A length, or how the string is encoded instead.
enum Prefix {
    Len(u64),
    Encoded(u8),
}

fn prefix(r: &mut Reader<'_>, what: &'static str) -> Result<Prefix, DecodeError> {
    let at = r.offset();
    let first = r.u8(what)?;
    let low = u64::from(first & 0x3f);
    Ok(Prefix::Len(match first >> 6 {
        0 => low,
        1 => low << 8 | u64::from(r.u8(what)?),
        2 => match first {
            0x80 => u64::from(u32::from_be_bytes(r.array(what)?)),
            0x81 => u64::from_be_bytes(r.array(what)?),
            _ => {
                let cause = Cause::Value { expected: "a length", found: u64::from(first) };
                return Err(DecodeError::new(at, what, cause));
            }
        },
        _ => return Ok(Prefix::Encoded(first & 0x3f)),
    }))
}

/// A length. Nothing may be allocated by it: it is bounded by no more than what follows.
pub(super) fn length(r: &mut Reader<'_>, what: &'static str) -> Result<u64, DecodeError> {
    let at = r.offset();
    match prefix(r, what)? {
        Prefix::Len(n) => Ok(n),
        Prefix::Encoded(found) => {
            let cause = Cause::Value { expected: "a length", found: u64::from(found) | 0xc0 };
            Err(DecodeError::new(at, what, cause))
        }
    }
}

/// A string in any of its forms.
pub(super) fn string<'a>(
    r: &mut Reader<'a>,
    limits: &Limits,
    what: &'static str,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    let at = r.offset();
    let bounded = |n: u64| match usize::try_from(n) {
        Ok(n) if n <= limits.string_max => Ok(n),
        _ => {
            let cause = Cause::Value { expected: "within the limit of strings", found: n };
            Err(DecodeError::new(at, what, cause))
        }
    };
    let integer = |n: i64| Ok(Cow::Owned(Digits::of_i64(n).as_bytes().to_vec()));
    match prefix(r, what)? {
        Prefix::Len(n) => Ok(Cow::Borrowed(r.bytes(bounded(n)?, what)?)),
        Prefix::Encoded(0) => integer(i64::from(r.u8(what)? as i8)),
        Prefix::Encoded(1) => integer(i64::from(i16::from_le_bytes(r.array(what)?))),
        Prefix::Encoded(2) => integer(i64::from(i32::from_le_bytes(r.array(what)?))),
        Prefix::Encoded(3) => {
            let packed_len = bounded(length(r, what)?)?;
            let raw_len = bounded(length(r, what)?)?;
            let packed = r.bytes(packed_len, what)?;
            let raw = lzf::decompress(packed, raw_len).ok_or_else(|| {
                let cause = Cause::Form { expected: "LZF of the announced length" };
                DecodeError::new(at, what, cause)
            })?;
            Ok(Cow::Owned(raw))
        }
        Prefix::Encoded(found) => {
            let cause = Cause::Newer { found: u64::from(found) | 0xc0 };
            Err(DecodeError::new(at, what, cause))
        }
    }
}

/// Appends a length.
pub(super) fn put_length(out: &mut Vec<u8>, n: u64) {
    match n {
        0..=0x3f => out.put_u8(n as u8),
        0x40..=0x3fff => out.put(&(n as u16 | 0x4000).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.put_u8(0x80);
            out.put(&(n as u32).to_be_bytes());
        }
        _ => {
            out.put_u8(0x81);
            out.put(&n.to_be_bytes());
        }
    }
}

/// Appends a string as it is.
pub(super) fn put_raw(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.put(bytes);
}

/// Appends a string as an integer, if it is the canonical form of one of up to 32 bits.
pub(super) fn put_integer(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some(n) = (bytes.len() <= 11).then(|| parse_i64(bytes)).flatten() else { return false };
    if let Ok(n) = i8::try_from(n) {
        out.put(&[0xc0, n as u8]);
    } else if let Ok(n) = i16::try_from(n) {
        out.put_u8(0xc1);
        out.put(&n.to_le_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        out.put_u8(0xc2);
        out.put(&n.to_le_bytes());
    } else {
        return false;
    }
    true
}
