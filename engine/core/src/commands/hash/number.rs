//! Fields as numbers. A time to live stays.

use super::{HINCRBY, HINCRBYFLOAT};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::longdouble::LongDouble;
use crate::types::{Hash, Item};
use moon_formats::number::{Digits, parse_i64};

/// HINCRBY key field increment
pub(super) fn hincrby(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let by = a.int(3)?;
    let (key, field) = (a.get(1), a.get(2));
    cx.ks.settle_fields(key, [field]);
    let new = cx.ks.edit_or_create(key, |hash: &mut Hash, edit| {
        let value = match hash.get(field, edit.now.unix_ms) {
            None => 0,
            Some(Item::Int(n)) => n,
            Some(Item::Bytes(b)) => {
                parse_i64(b).ok_or(CmdError::fixed("ERR hash value is not an integer"))?
            }
        };
        let new = value.checked_add(by).ok_or(CmdError::OVERFLOW)?;
        hash.set_keep_expire(field, Digits::of_i64(new).as_bytes(), edit.limits);
        edit.changed(HINCRBY);
        Ok(new)
    })?;
    cx.out.int(new);
    Ok(())
}

/// HINCRBYFLOAT key field increment; logged as HSET of the sum, but in its own words where the
/// field has a time to live, which HSET would clear.
pub(super) fn hincrbyfloat(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let by = LongDouble::parse(a.get(3)).ok_or(CmdError::NOT_FLOAT)?;
    if !by.is_finite() {
        return Err(CmdError::fixed("ERR value is NaN or Infinity"));
    }
    let (key, field) = (a.get(1), a.get(2));
    cx.ks.settle_fields(key, [field]);
    let (new, expires) = cx.ks.edit_or_create(key, |hash: &mut Hash, edit| {
        let (value, expires) = match hash.get_with_expire(field, edit.now.unix_ms) {
            None => (LongDouble::ZERO, false),
            Some((Item::Int(n), at)) => (n.into(), at.is_some()),
            Some((Item::Bytes(b), at)) => {
                let value = LongDouble::parse(b);
                (value.ok_or(CmdError::fixed("ERR hash value is not a float"))?, at.is_some())
            }
        };
        let new = value
            .plus(by)
            .filter(|v| v.is_finite())
            .ok_or(CmdError::fixed("ERR increment would produce NaN or Infinity"))?
            .to_text();
        hash.set_keep_expire(field, new.as_bytes(), edit.limits);
        edit.changed(HINCRBYFLOAT);
        Ok((new, expires))
    })?;
    if !expires {
        cx.ks.effect(&[b"HSET", key, field, new.as_bytes()]);
    }
    cx.out.bulk(new.as_bytes());
    Ok(())
}
