//! Fields as numbers. A time to live stays.

use super::{HINCRBY, HINCRBYFLOAT, Old};
use crate::args::Args;
use crate::db::Edit;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::longdouble::LongDouble;
use crate::types::{Hash, Item};
use moon_formats::number::{Digits, parse_i64};

fn put(hash: &mut Hash, edit: &Edit<'_>, field: &[u8], value: &[u8], due: bool) {
    if due {
        hash.set(field, value, edit.limits);
    } else {
        hash.set_keep_expire(field, value, edit.limits);
    }
}

/// HINCRBY key field increment
pub(super) fn hincrby(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let by = a.int(3)?;
    let (key, field) = (a.get(1), a.get(2));
    let (new, due) = cx.ks.edit_or_create(key, |hash: &mut Hash, edit| {
        let old = Old::of(hash, field, edit.now);
        let value = match old.value {
            None => 0,
            Some(Item::Int(n)) => n,
            Some(Item::Bytes(b)) => {
                parse_i64(b).ok_or(CmdError::fixed("ERR hash value is not an integer"))?
            }
        };
        let new = value.checked_add(by).ok_or(CmdError::OVERFLOW)?;
        let due = old.due;
        put(hash, edit, field, Digits::of_i64(new).as_bytes(), due);
        edit.changed(HINCRBY);
        Ok((new, due))
    })?;
    if due {
        cx.ks.effect(&[b"HSET", key, field, Digits::of_i64(new).as_bytes()]);
    }
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
    let (new, expires) = cx.ks.edit_or_create(key, |hash: &mut Hash, edit| {
        let old = Old::of(hash, field, edit.now);
        let value = match old.value {
            None => LongDouble::ZERO,
            Some(Item::Int(n)) => n.into(),
            Some(Item::Bytes(b)) => {
                LongDouble::parse(b).ok_or(CmdError::fixed("ERR hash value is not a float"))?
            }
        };
        let new = value
            .plus(by)
            .filter(|v| v.is_finite())
            .ok_or(CmdError::fixed("ERR increment would produce NaN or Infinity"))?
            .to_text();
        let (expires, due) = (old.expires, old.due);
        put(hash, edit, field, new.as_bytes(), due);
        edit.changed(HINCRBYFLOAT);
        Ok((new, expires))
    })?;
    if !expires {
        cx.ks.effect(&[b"HSET", key, field, new.as_bytes()]);
    }
    cx.out.bulk(new.as_bytes());
    Ok(())
}
