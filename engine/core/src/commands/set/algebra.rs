//! SINTER, SUNION, SDIFF, what stores their result and what only counts it.

use super::{SDIFFSTORE, SINTERSTORE, SUNIONSTORE};
use crate::args::Args;
use crate::commands::put_item;
use crate::db::Live;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::{ReadCx, WriteCx};
use crate::types::{
    Collection, Item, ItemBuf, Limits, Set, difference, intersection, union, union_each,
};
use moon_ds::ValueRef;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Inter,
    Union,
    Diff,
}

/// The input sets as given; a key that is not there is an empty set.
struct Inputs<'a>(Vec<Option<&'a Set>>);

impl<'a> Inputs<'a> {
    fn of(entries: impl Iterator<Item = Option<&'a Live>>) -> CmdResult<Self> {
        let set = |entry: Option<&'a Live>| match entry.map(|e| e.value()) {
            None => Ok(None),
            Some(ValueRef::Object(o)) => Set::of(o).map(Some).ok_or(CmdError::WRONG_TYPE),
            Some(_) => Err(CmdError::WRONG_TYPE),
        };
        entries.map(set).collect::<CmdResult<_>>().map(Inputs)
    }

    fn there(&self, from: usize) -> Vec<&'a Set> {
        self.0.iter().skip(from).copied().flatten().collect()
    }

    /// Hands each member of the result to `f` until that answers false.
    fn each(&self, op: Op, limits: &Limits, f: impl FnMut(Item<'_>) -> bool) {
        match op {
            Op::Inter if self.0.iter().any(Option::is_none) => {}
            Op::Inter => intersection(&self.there(0), f),
            Op::Union => union_each(&self.there(0), limits, f),
            Op::Diff => {
                if let Some(Some(first)) = self.0.first() {
                    difference(first, &self.there(1), limits, f);
                }
            }
        }
    }

    fn collect(&self, op: Op, limits: &Limits) -> Set {
        if op == Op::Union {
            return union(&self.there(0), limits);
        }
        let (mut result, mut buf) = (Set::new(), ItemBuf::new());
        self.each(op, limits, |member| {
            result.add(member.as_bytes(&mut buf), limits);
            true
        });
        result
    }
}

fn read(cx: &mut ReadCx<'_>, a: Args<'_>, op: Op) -> CmdResult {
    let inputs = Inputs::of(a.from(1).iter().map(|key| cx.ks.get(key)))?;
    let out = &mut cx.out;
    let (header, mut n) = (out.defer(), 0);
    inputs.each(op, cx.ks.limits, |member| {
        put_item(out, member);
        n += 1;
        true
    });
    out.set_at(header, n);
    Ok(())
}

/// SINTER key [key ...]
pub(super) fn sinter(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Op::Inter)
}

/// SUNION key [key ...]
pub(super) fn sunion(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Op::Union)
}

/// SDIFF key [key ...]
pub(super) fn sdiff(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Op::Diff)
}

fn store(cx: &mut WriteCx<'_>, a: Args<'_>, op: Op, event: Event) -> CmdResult {
    let limits = cx.ks.limits;
    let result = Inputs::of(cx.ks.get_all(a.from(2)).into_iter())?.collect(op, limits);
    let n = result.len();
    cx.ks.put_collection(a.get(1), result, event);
    cx.out.int(n as i64);
    Ok(())
}

/// SINTERSTORE destination key [key ...]
pub(super) fn sinterstore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    store(cx, a, Op::Inter, SINTERSTORE)
}

/// SUNIONSTORE destination key [key ...]
pub(super) fn sunionstore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    store(cx, a, Op::Union, SUNIONSTORE)
}

/// SDIFFSTORE destination key [key ...]
pub(super) fn sdiffstore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    store(cx, a, Op::Diff, SDIFFSTORE)
}

fn count(cx: &mut ReadCx<'_>, a: Args<'_>, op: Op) -> CmdResult {
    let keys = a.int(1).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let keys = keys.ok_or(CmdError::fixed("ERR numkeys should be greater than 0"))?;
    let keys = a
        .from(2)
        .get(..keys)
        .ok_or(CmdError::fixed("ERR Number of keys can't be greater than number of args"))?;
    let (mut i, mut limit) = (2 + keys.len(), 0);
    while i < a.len() {
        if a.is(i, "LIMIT") && i + 1 < a.len() {
            let n = a.int(i + 1).ok().and_then(|n| usize::try_from(n).ok());
            limit = n.ok_or(CmdError::fixed("ERR LIMIT can't be negative"))?;
            i += 2;
        } else if op == Op::Union && a.is(i, "APPROX") {
            // An exact count is within any error allowed.
            i += 1;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    let inputs = Inputs::of(keys.iter().map(|key| cx.ks.get(key)))?;
    let mut n = 0;
    inputs.each(op, cx.ks.limits, |_| {
        n += 1;
        n != limit
    });
    cx.out.int(n as i64);
    Ok(())
}

/// SINTERCARD numkeys key [key ...] [LIMIT limit]
pub(super) fn sintercard(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    count(cx, a, Op::Inter)
}

/// SUNIONCARD numkeys key [key ...] [APPROX] [LIMIT limit]
pub(super) fn sunioncard(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    count(cx, a, Op::Union)
}

/// SDIFFCARD numkeys key [key ...] [LIMIT limit]
pub(super) fn sdiffcard(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    count(cx, a, Op::Diff)
}
