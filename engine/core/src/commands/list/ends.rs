//! Pushing and popping at the ends.

use super::{end, popped, pushed};
use crate::args::Args;
use crate::commands::put_item;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::List;
use moon_ds::chunklist::End;
use moon_formats::number::parse_i64;

/// LPUSH key element [element ...]
pub(super) fn lpush(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    push(cx, a, End::Front)
}

/// RPUSH key element [element ...]
pub(super) fn rpush(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    push(cx, a, End::Back)
}

fn push(cx: &mut WriteCx<'_>, a: Args<'_>, end: End) -> CmdResult {
    let len = cx.ks.edit_or_create(a.get(1), |list: &mut List, edit| {
        list.push(end, a.from(2).iter().copied(), edit.limits);
        edit.changed(pushed(end));
        Ok(list.len())
    })?;
    cx.out.int(len as i64);
    Ok(())
}

/// LPUSHX key element [element ...]
pub(super) fn lpushx(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pushx(cx, a, End::Front)
}

/// RPUSHX key element [element ...]
pub(super) fn rpushx(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pushx(cx, a, End::Back)
}

fn pushx(cx: &mut WriteCx<'_>, a: Args<'_>, end: End) -> CmdResult {
    let len = cx.ks.edit(a.get(1), |list: &mut List, edit| {
        list.push(end, a.from(2).iter().copied(), edit.limits);
        edit.changed(pushed(end));
        Ok(list.len())
    })?;
    cx.out.int(len.unwrap_or(0) as i64);
    Ok(())
}

/// LPOP key [count]
pub(super) fn lpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop(cx, a, End::Front)
}

/// RPOP key [count]
pub(super) fn rpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop(cx, a, End::Back)
}

fn pop(cx: &mut WriteCx<'_>, a: Args<'_>, end: End) -> CmdResult {
    if a.len() > 3 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let count = match a.opt(2) {
        None => None,
        Some(text) => Some(
            parse_i64(text).and_then(|n| usize::try_from(n).ok()).ok_or(CmdError::NOT_POSITIVE)?,
        ),
    };
    let out = &mut cx.out;
    let found = cx.ks.edit(a.get(1), |list: &mut List, edit| {
        match count {
            None => {
                list.pop(end, edit.limits, |item| put_item(out, item));
                edit.changed(popped(end));
            }
            Some(n) => {
                let n = n.min(list.len());
                out.array(n);
                for _ in 0..n {
                    list.pop(end, edit.limits, |item| put_item(out, item));
                }
                if n > 0 {
                    edit.changed(popped(end));
                }
            }
        }
        Ok(())
    })?;
    match (found, count) {
        (Some(()), _) => {}
        (None, None) => cx.out.null(),
        (None, Some(_)) => cx.out.null_array(),
    }
    Ok(())
}

/// LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]; logged as the plain pop.
pub(super) fn lmpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let keys = parse_i64(a.get(1))
        .filter(|n| *n > 0)
        .ok_or(CmdError::fixed("ERR numkeys should be greater than 0"))?;
    let at = usize::try_from(keys).ok().and_then(|n| n.checked_add(2)).unwrap_or(usize::MAX);
    if at >= a.len() {
        return Err(CmdError::SYNTAX);
    }
    let end = end(a, at)?;
    let mut count = None;
    let mut i = at + 1;
    while i < a.len() {
        if count.is_some() || !a.is(i, "COUNT") || i + 1 >= a.len() {
            return Err(CmdError::SYNTAX);
        }
        let n = parse_i64(a.get(i + 1)).filter(|n| *n > 0);
        count = Some(n.ok_or(CmdError::fixed("ERR count should be greater than 0"))? as usize);
        i += 2;
    }
    let count = count.unwrap_or(1);
    for key in &a.all()[2..at] {
        let out = &mut cx.out;
        let popped_n = cx.ks.edit(key, |list: &mut List, edit| {
            let n = count.min(list.len());
            out.array(2);
            out.bulk(key);
            out.array(n);
            for _ in 0..n {
                list.pop(end, edit.limits, |item| put_item(out, item));
            }
            edit.changed(popped(end));
            Ok(n)
        })?;
        if let Some(n) = popped_n {
            let name: &[u8] = if end == End::Front { b"LPOP" } else { b"RPOP" };
            cx.ks.effect(&[name, key, n.to_string().as_bytes()]);
            return Ok(());
        }
    }
    cx.out.null_array();
    Ok(())
}
