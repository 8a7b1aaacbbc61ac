//! Fields by name.

use super::expiry::{self, BAD_COUNT};
use super::{HDEL, HSET};
use crate::args::Args;
use crate::commands::put_item;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use crate::types::Hash;

/// HSET key field value [field value ...]
pub(super) fn hset(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let created = set(cx, a)?;
    cx.out.int(created as i64);
    Ok(())
}

/// HMSET key field value [field value ...]
pub(super) fn hmset(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    set(cx, a)?;
    cx.out.ok();
    Ok(())
}

fn set(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult<usize> {
    let pairs = a.from(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    cx.ks.edit_or_create(a.get(1), |hash: &mut Hash, edit| {
        hash.will_set(pairs.len() / 2, edit.limits);
        let created = pairs.chunks_exact(2).filter(|p| hash.set(p[0], p[1], edit.limits)).count();
        edit.changed(HSET);
        Ok(created)
    })
}

/// HSETNX key field value
pub(super) fn hsetnx(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, field, value) = (a.get(1), a.get(2), a.get(3));
    cx.ks.settle_fields(key, [field]);
    let set = cx.ks.edit_or_create(key, |hash: &mut Hash, edit| {
        if hash.contains(field, edit.now.unix_ms) {
            return Ok(false);
        }
        hash.set(field, value, edit.limits);
        edit.changed(HSET);
        Ok(true)
    })?;
    cx.out.int(i64::from(set));
    Ok(())
}

/// HDEL key field [field ...]. Counts fields that were due.
pub(super) fn hdel(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let removed = cx.ks.edit(a.get(1), |hash: &mut Hash, edit| {
        let n = a.from(2).iter().filter(|field| hash.remove(field)).count();
        if n > 0 {
            edit.changed(HDEL);
        }
        Ok(n)
    })?;
    cx.out.int(removed.unwrap_or(0) as i64);
    Ok(())
}

/// The values of fields, null for those that are not there.
pub(super) fn values(cx: &mut WriteCx<'_>, key: &[u8], fields: &[&[u8]]) -> CmdResult {
    let now_ms = cx.ks.now.unix_ms;
    let hash = cx.ks.collection::<Hash>(key)?;
    cx.out.array(fields.len());
    for field in fields {
        match hash.and_then(|h| h.get(field, now_ms)) {
            Some(value) => put_item(&mut cx.out, value),
            None => cx.out.null(),
        }
    }
    Ok(())
}

/// HGETDEL key FIELDS numfields field [field ...]
pub(super) fn hgetdel(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    let fields = expiry::fields(a, 2, BAD_COUNT)?;
    cx.ks.settle_fields(key, fields.iter().copied());
    let out = &mut cx.out;
    out.array(fields.len());
    let removed = cx.ks.edit(key, |hash: &mut Hash, edit| {
        let mut removed: Vec<&[u8]> = Vec::new();
        for field in fields {
            match hash.get(field, edit.now.unix_ms) {
                None => out.null(),
                Some(value) => {
                    put_item(out, value);
                    hash.remove(field);
                    removed.push(field);
                }
            }
        }
        if !removed.is_empty() {
            edit.changed(HDEL);
        }
        Ok(removed)
    })?;
    if removed.is_none() {
        fields.iter().for_each(|_| cx.out.null());
    }
    expiry::log_removal(&mut cx.ks, key, &removed.unwrap_or_default());
    Ok(())
}

/// HGET key field
pub(super) fn hget(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let hash = cx.ks.collection::<Hash>(a.get(1))?;
    match hash.and_then(|h| cx.ks.field(a.get(1), h, a.get(2))) {
        Some(value) => put_item(&mut cx.out, value),
        None => cx.out.null(),
    }
    Ok(())
}

/// HMGET key field [field ...]
pub(super) fn hmget(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let hash = cx.ks.collection::<Hash>(a.get(1))?;
    let fields = a.from(2);
    cx.out.array(fields.len());
    for field in fields {
        match hash.and_then(|h| cx.ks.field(a.get(1), h, field)) {
            Some(value) => put_item(&mut cx.out, value),
            None => cx.out.null(),
        }
    }
    Ok(())
}

/// HEXISTS key field
pub(super) fn hexists(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let hash = cx.ks.collection::<Hash>(a.get(1))?;
    let found = hash.and_then(|h| cx.ks.field(a.get(1), h, a.get(2)));
    cx.out.int(i64::from(found.is_some()));
    Ok(())
}

/// HSTRLEN key field
pub(super) fn hstrlen(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let hash = cx.ks.collection::<Hash>(a.get(1))?;
    let value = hash.and_then(|h| cx.ks.field(a.get(1), h, a.get(2)));
    cx.out.int(value.map_or(0, |v| v.len()) as i64);
    Ok(())
}
