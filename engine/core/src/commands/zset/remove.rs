//! Taking members out: by name, by range, from either end.

use super::reply::Pairs;
use super::{
    BAD_LEX, BAD_SCORES, ZPOPMAX, ZPOPMIN, ZREM, ZREMRANGEBYLEX, ZREMRANGEBYRANK, ZREMRANGEBYSCORE,
};
use crate::args::Args;
use crate::db::Edit;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::WriteCx;
use crate::types::{LexRange, ScoreRange, ZSet, index_range};
use moon_formats::number::Digits;
use moon_formats::resp::Reply;
use std::ops::Range;

/// ZREM key member [member ...]
pub(super) fn zrem(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let removed = cx.ks.edit(a.get(1), |zset: &mut ZSet, edit| {
        let n = a.from(2).iter().filter(|member| zset.remove(member).is_some()).count();
        if n > 0 {
            edit.changed(ZREM);
        }
        Ok(n)
    })?;
    cx.out.int(removed.unwrap_or(0) as i64);
    Ok(())
}

fn remove_ranks(
    cx: &mut WriteCx<'_>,
    key: &[u8],
    event: Event,
    ranks: impl FnOnce(&ZSet) -> Range<usize>,
) -> CmdResult {
    let removed = cx.ks.edit(key, |zset: &mut ZSet, edit| {
        let ranks = ranks(zset);
        let n = ranks.len();
        if n > 0 {
            zset.remove_range(ranks, |_, _| {});
            edit.changed(event);
        }
        Ok(n)
    })?;
    cx.out.int(removed.unwrap_or(0) as i64);
    Ok(())
}

/// ZREMRANGEBYRANK key start stop
pub(super) fn zremrangebyrank(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (start, stop) = (a.int(2)?, a.int(3)?);
    remove_ranks(cx, a.get(1), ZREMRANGEBYRANK, |z| index_range(start, stop, z.len()))
}

/// ZREMRANGEBYSCORE key min max
pub(super) fn zremrangebyscore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let range = ScoreRange::parse(a.get(2), a.get(3)).ok_or(BAD_SCORES)?;
    remove_ranks(cx, a.get(1), ZREMRANGEBYSCORE, |z| z.by_score(&range))
}

/// ZREMRANGEBYLEX key min max
pub(super) fn zremrangebylex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let range = LexRange::parse(a.get(2), a.get(3)).ok_or(BAD_LEX)?;
    remove_ranks(cx, a.get(1), ZREMRANGEBYLEX, |z| z.by_lex(&range))
}

/// The end that members are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Min,
    Max,
}

impl From {
    fn event(self) -> Event {
        match self {
            From::Min => ZPOPMIN,
            From::Max => ZPOPMAX,
        }
    }

    fn command(self) -> &'static [u8] {
        match self {
            From::Min => b"ZPOPMIN",
            From::Max => b"ZPOPMAX",
        }
    }
}

/// Takes `n` members, of which there are enough, and writes them.
fn pop(
    zset: &mut ZSet,
    edit: &mut Edit<'_>,
    from: From,
    n: usize,
    pairs: Pairs,
    out: &mut Reply<'_>,
) {
    if n == 0 {
        return;
    }
    match from {
        From::Min => zset.remove_range(0..n, |m, s| pairs.put(out, m, s)),
        From::Max => {
            let len = zset.len();
            zset.range(len - n..len).rev().for_each(|(m, s)| pairs.put(out, m, s));
            zset.remove_range(len - n..len, |_, _| {});
        }
    }
    edit.changed(from.event());
}

/// ZPOPMIN key [count]
pub(super) fn zpopmin(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop_one_key(cx, a, From::Min)
}

/// ZPOPMAX key [count]
pub(super) fn zpopmax(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop_one_key(cx, a, From::Max)
}

fn pop_one_key(cx: &mut WriteCx<'_>, a: Args<'_>, from: From) -> CmdResult {
    if a.len() > 3 {
        return Err(CmdError::SYNTAX);
    }
    let (count, pairs) = if a.len() == 3 {
        (at_least(a, 2, 0, CmdError::NOT_POSITIVE)?, Pairs::new(&cx.out, true))
    } else {
        (1, Pairs::FLAT)
    };
    let out = &mut cx.out;
    let found = cx.ks.edit(a.get(1), |zset: &mut ZSet, edit| {
        let n = count.min(zset.len());
        pairs.head(out, n);
        pop(zset, edit, from, n, pairs, out);
        Ok(())
    })?;
    if found.is_none() {
        cx.out.array(0);
    }
    Ok(())
}

/// ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]. Logged as ZPOPMIN or ZPOPMAX of the
/// key that had members.
pub(super) fn zmpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let keys = at_least(a, 1, 1, CmdError::fixed("ERR numkeys should be greater than 0"))?;
    let at = keys.saturating_add(2);
    let from = match () {
        () if a.is(at, "MIN") => From::Min,
        () if a.is(at, "MAX") => From::Max,
        () => return Err(CmdError::SYNTAX),
    };
    let count = match a.len() - at {
        1 => 1,
        n if n >= 3 && a.is(at + 1, "COUNT") => {
            let bad = CmdError::fixed("ERR count should be greater than 0");
            let count = at_least(a, at + 2, 1, bad)?;
            if n > 3 {
                return Err(CmdError::SYNTAX);
            }
            count
        }
        _ => return Err(CmdError::SYNTAX),
    };
    for key in &a.from(2)[..keys] {
        let out = &mut cx.out;
        let popped = cx.ks.edit(key, |zset: &mut ZSet, edit| {
            let n = count.min(zset.len());
            out.array(2);
            out.bulk(key);
            Pairs::NESTED.head(out, n);
            pop(zset, edit, from, n, Pairs::NESTED, out);
            Ok(n)
        })?;
        if let Some(n) = popped {
            cx.ks.effect(&[from.command(), key, Digits::of_u64(n as u64).as_bytes()]);
            return Ok(());
        }
    }
    cx.out.null_array();
    Ok(())
}

/// Argument `i` as an integer not below `min`, else the error.
fn at_least(a: Args<'_>, i: usize, min: i64, error: CmdError) -> CmdResult<usize> {
    match a.int(i) {
        Ok(n) if n >= min => usize::try_from(n).map_err(|_| error),
        _ => Err(error),
    }
}
