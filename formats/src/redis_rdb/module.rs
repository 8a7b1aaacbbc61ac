//! Data of modules of Redis, which nothing in Moon can read: whose they are, and where they end.
//!
//! ```text
//! data  module id | part* | 0
//! part  1 signed | 2 unsigned, each a length | 4 f64 | 3 f32 | 5 string
//! id    9 letters of 6 bits | version, 10 bits
//! ```
//!
//! Every part says its type since Redis 4 (type 7), so all can be passed without the module; not so before (type 6).

use super::Limits;
use super::prim::{length, string};
use crate::bytes::Reader;
use crate::error::{Cause, DecodeError};

/// The name of the type of the data that follow.
pub(super) fn type_name(r: &mut Reader<'_>) -> Result<[u8; 9], DecodeError> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let id = length(r, "module type")?;
    let mut name = [0; 9];
    for (i, byte) in name.iter_mut().enumerate() {
        let letter = (id >> (58 - 6 * i)) & 63;
        *byte = LETTERS.get(letter as usize).copied().unwrap_or(b'?');
    }
    Ok(name)
}

/// Passes all parts and the end that follows them.
pub(super) fn skip(r: &mut Reader<'_>, limits: &Limits) -> Result<(), DecodeError> {
    loop {
        let at = r.offset();
        match length(r, "part of a module")? {
            0 => return Ok(()),
            1 | 2 => drop(length(r, "number of a module")?),
            3 => drop(r.bytes(4, "float of a module")?),
            4 => drop(r.bytes(8, "float of a module")?),
            5 => drop(string(r, limits, "string of a module")?),
            found => {
                let cause = Cause::Value { expected: "the type of a part, 0 to 5", found };
                return Err(DecodeError::new(at, "part of a module", cause));
            }
        }
    }
}
