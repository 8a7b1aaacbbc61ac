//! Pushing and popping at the ends.

use super::{end, popped, pushed};
use crate::args::Args;
use crate::commands::put_item;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::List;
use moon_ds::chunklist::End;
use moon_formats::number::{Digits, parse_i64};

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

/// LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]
pub(super) fn lmpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let pop = MultiPop::parse(a, 1)?;
    if !pop.run(cx)? {
        cx.out.null_array();
    }
    Ok(())
}

/// What LMPOP and BLMPOP are asked for.
pub(super) struct MultiPop<'a> {
    pub(super) keys: &'a [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a> MultiPop<'a> {
    /// Reads the arguments; `at` is the place of the number of keys.
    pub(super) fn parse(a: Args<'a>, at: usize) -> CmdResult<Self> {
        let keys = parse_i64(a.get(at))
            .filter(|n| *n > 0)
            .ok_or(CmdError::fixed("ERR numkeys should be greater than 0"))?;
        let after = usize::try_from(keys).ok().and_then(|n| n.checked_add(at + 1));
        let after = after.filter(|i| *i < a.len()).ok_or(CmdError::SYNTAX)?;
        let end = end(a, after)?;
        let mut count = None;
        let mut i = after + 1;
        while i < a.len() {
            if count.is_some() || !a.is(i, "COUNT") || i + 1 >= a.len() {
                return Err(CmdError::SYNTAX);
            }
            let n = parse_i64(a.get(i + 1)).filter(|n| *n > 0);
            count = Some(n.ok_or(CmdError::fixed("ERR count should be greater than 0"))? as usize);
            i += 2;
        }
        Ok(MultiPop { keys: &a.all()[at + 1..after], end, count: count.unwrap_or(1) })
    }

    /// Pops from the first list that is there, logged as the plain pop; false if none is.
    pub(super) fn run(&self, cx: &mut WriteCx<'_>) -> CmdResult<bool> {
        let end = self.end;
        for key in self.keys {
            let out = &mut cx.out;
            let popped_n = cx.ks.edit(key, |list: &mut List, edit| {
                let n = self.count.min(list.len());
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
                cx.ks.effect(&[plain_pop(end), key, Digits::of_u64(n as u64).as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Pops one element of the first of some lists that is there and writes key and element;
/// logged as the plain pop. False if no list is there.
pub(super) fn pop_first(cx: &mut WriteCx<'_>, keys: &[&[u8]], end: End) -> CmdResult<bool> {
    for key in keys {
        let out = &mut cx.out;
        let popped = cx.ks.edit(key, |list: &mut List, edit| {
            out.array(2);
            out.bulk(key);
            list.pop(end, edit.limits, |item| put_item(out, item));
            edit.changed(popped(end));
            Ok(())
        })?;
        if popped.is_some() {
            cx.ks.effect(&[plain_pop(end), key]);
            return Ok(true);
        }
    }
    Ok(false)
}

fn plain_pop(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LPOP",
        End::Back => b"RPOP",
    }
}
