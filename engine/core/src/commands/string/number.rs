//! Strings as numbers.

use super::{INCRBY, INCRBYFLOAT};
use crate::args::Args;
use crate::db::{StrValue, Ttl};
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::longdouble::LongDouble;

/// INCR key
pub(super) fn incr(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    add(cx, a.get(1), 1)
}

/// DECR key
pub(super) fn decr(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    add(cx, a.get(1), -1)
}

/// INCRBY key increment
pub(super) fn incrby(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    add(cx, a.get(1), a.int(2)?)
}

/// DECRBY key decrement
pub(super) fn decrby(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let by = a.int(2)?.checked_neg().ok_or(CmdError::fixed("ERR decrement would overflow"))?;
    add(cx, a.get(1), by)
}

fn add(cx: &mut WriteCx<'_>, key: &[u8], by: i64) -> CmdResult {
    let new = cx.ks.edit_int(key, INCRBY, |old| old.checked_add(by).ok_or(CmdError::OVERFLOW))?;
    cx.out.int(new);
    Ok(())
}

/// A string as a floating point number.
pub(super) fn long_double(value: StrValue<'_>) -> Option<LongDouble> {
    match value {
        StrValue::Int(n) => Some(n.into()),
        StrValue::Bytes(b) => LongDouble::parse(b),
    }
}

/// INCRBYFLOAT key increment
pub(super) fn incrbyfloat(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    let old = match cx.ks.string(key)? {
        Some(v) => long_double(v).ok_or(CmdError::NOT_FLOAT)?,
        None => LongDouble::ZERO,
    };
    let by = LongDouble::parse(a.get(2)).ok_or(CmdError::NOT_FLOAT)?;
    let new = old
        .plus(by)
        .filter(|v| v.is_finite())
        .ok_or(CmdError::fixed("ERR increment would produce NaN or Infinity"))?
        .to_text();
    cx.ks.put_bytes(key, new.as_bytes(), Ttl::Keep, INCRBYFLOAT);
    cx.ks.effect(&[b"SET", key, new.as_bytes(), b"KEEPTTL"]);
    cx.out.bulk(new.as_bytes());
    Ok(())
}
