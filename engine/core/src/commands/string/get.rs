//! Reading strings, and reading them on the way to something else.

use super::super::ttl::{Given, Unit};
use crate::args::Args;
use crate::db::{StrValue, Ttl};
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::{ReadCx, WriteCx};
use moon_formats::number::Digits;
use moon_formats::resp::Reply;

pub(super) fn value(out: &mut Reply<'_>, v: Option<StrValue<'_>>) {
    match v {
        Some(StrValue::Bytes(b)) => out.bulk(b),
        Some(StrValue::Int(n)) => out.bulk_int(n),
        None => out.null(),
    }
}

/// GET key
pub(super) fn get(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let v = cx.ks.string(a.get(1))?;
    value(&mut cx.out, v);
    Ok(())
}

/// MGET key [key ...]
pub(super) fn mget(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    cx.out.array(a.len() - 1);
    for key in a.from(1) {
        let v = cx.ks.string(key).unwrap_or(None);
        value(&mut cx.out, v);
    }
    Ok(())
}

/// STRLEN key
pub(super) fn strlen(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let len = cx.ks.string(a.get(1))?.map_or(0, StrValue::len);
    cx.out.int(len as i64);
    Ok(())
}

/// DIGEST key
pub(super) fn digest(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    match cx.ks.string(a.get(1))? {
        Some(v) => cx.out.bulk(&super::cond::digest(v.bytes(&mut Digits::new()))),
        None => cx.out.null(),
    }
    Ok(())
}

/// GETDEL key
pub(super) fn getdel(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    value(&mut cx.out, cx.ks.string_counted(key)?);
    if cx.ks.remove(key, Event::DEL) {
        cx.ks.removal_effect(key);
    }
    Ok(())
}

/// GETSET key value
pub(super) fn getset(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, new) = (a.get(1), a.get(2));
    value(&mut cx.out, cx.ks.string_counted(key)?);
    cx.ks.put_string(key, new, Ttl::Clear, Event::SET);
    cx.ks.effect(&[b"SET", key, new]);
    Ok(())
}

/// GETEX key [EX seconds | PX milliseconds | EXAT s | PXAT ms | PERSIST]
pub(super) fn getex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    let (ttl, persist) = getex_options(a)?;
    // The key comes first: without one, a bad time is no error.
    let found = cx.ks.string_counted(key)?;
    let Some(found) = found else {
        cx.out.null();
        return Ok(());
    };
    value(&mut cx.out, Some(found));
    if let Some(ttl) = ttl {
        let at_ms = ttl.at_ms(cx.ks.now, cx.command.spec.name)?;
        super::super::generic::expire_at(&mut cx.ks, key, at_ms);
    } else if persist && cx.ks.expire_ms(key).is_some() {
        cx.ks.set_expire(key, None, Event::PERSIST);
        cx.ks.effect(&[b"PERSIST", key]);
    }
    Ok(())
}

fn getex_options(a: Args<'_>) -> CmdResult<(Option<Given<'_>>, bool)> {
    let (mut ttl, mut persist): (Option<Given<'_>>, bool) = (None, false);
    let mut i = 2;
    while i < a.len() {
        if a.is(i, "PERSIST") && ttl.is_none() {
            persist = true;
        } else if let Some(unit) = Unit::parse(a.get(i))
            && !persist
            && ttl.is_none_or(|t| t.unit == unit)
            && let Some(text) = a.opt(i + 1)
        {
            ttl = Some(Given { unit, text });
            i += 1;
        } else {
            return Err(CmdError::SYNTAX);
        }
        i += 1;
    }
    Ok((ttl, persist))
}
