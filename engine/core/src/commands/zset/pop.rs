//! Taking members from either end, at once or when there are some.

use super::reply::Pairs;
use super::{ZPOPMAX, ZPOPMIN};
use crate::args::Args;
use crate::db::Edit;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::{Deadline, Wait, WriteCx, timeout_secs};
use crate::types::ZSet;
use moon_formats::number::Digits;
use moon_formats::resp::Reply;
use moon_formats::value::ValueType;

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

/// ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]
pub(super) fn zmpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let pop = MultiPop::parse(a, 1)?;
    if !pop.run(cx)? {
        cx.out.null_array();
    }
    Ok(())
}

/// BZMPOP timeout numkeys key [key ...] <MIN | MAX> [COUNT count]
pub(super) fn bzmpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let pop = MultiPop::parse(a, 2)?;
    let until = timeout_secs(cx.ks.now, a.get(1))?;
    if !pop.run(cx)? && !wait(cx, pop.keys, until) {
        cx.out.null_array();
    }
    Ok(())
}

/// What ZMPOP and BZMPOP are asked for.
struct MultiPop<'a> {
    keys: &'a [&'a [u8]],
    from: From,
    count: usize,
}

impl<'a> MultiPop<'a> {
    /// Reads the arguments; `at` is the place of the number of keys.
    fn parse(a: Args<'a>, at: usize) -> CmdResult<Self> {
        let keys = at_least(a, at, 1, CmdError::fixed("ERR numkeys should be greater than 0"))?;
        let after = keys.saturating_add(at + 1);
        let from = match () {
            () if a.is(after, "MIN") => From::Min,
            () if a.is(after, "MAX") => From::Max,
            () => return Err(CmdError::SYNTAX),
        };
        let count = match a.len() - after {
            1 => 1,
            n if n >= 3 && a.is(after + 1, "COUNT") => {
                let bad = CmdError::fixed("ERR count should be greater than 0");
                let count = at_least(a, after + 2, 1, bad)?;
                if n > 3 {
                    return Err(CmdError::SYNTAX);
                }
                count
            }
            _ => return Err(CmdError::SYNTAX),
        };
        Ok(MultiPop { keys: &a.all()[at + 1..after], from, count })
    }

    /// Pops from the first sorted set that is there, logged as ZPOPMIN or ZPOPMAX; false if
    /// none is.
    fn run(&self, cx: &mut WriteCx<'_>) -> CmdResult<bool> {
        for key in self.keys {
            let out = &mut cx.out;
            let popped = cx.ks.edit(key, |zset: &mut ZSet, edit| {
                let n = self.count.min(zset.len());
                out.array(2);
                out.bulk(key);
                Pairs::NESTED.head(out, n);
                pop(zset, edit, self.from, n, Pairs::NESTED, out);
                Ok(n)
            })?;
            if let Some(n) = popped {
                let count = Digits::of_u64(n as u64);
                cx.ks.effect(&[self.from.command(), key, count.as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// BZPOPMIN key [key ...] timeout
pub(super) fn bzpopmin(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop_or_wait(cx, a, From::Min)
}

/// BZPOPMAX key [key ...] timeout
pub(super) fn bzpopmax(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop_or_wait(cx, a, From::Max)
}

fn pop_or_wait(cx: &mut WriteCx<'_>, a: Args<'_>, from: From) -> CmdResult {
    let last = a.len() - 1;
    let until = timeout_secs(cx.ks.now, a.get(last))?;
    let keys = &a.all()[1..last];
    for key in keys {
        let out = &mut cx.out;
        let popped = cx.ks.edit(key, |zset: &mut ZSet, edit| {
            out.array(3);
            out.bulk(key);
            pop(zset, edit, from, 1, Pairs::FLAT, out);
            Ok(())
        })?;
        if popped.is_some() {
            cx.ks.effect(&[from.command(), key]);
            return Ok(());
        }
    }
    if !wait(cx, keys, until) {
        cx.out.null_array();
    }
    Ok(())
}

fn wait(cx: &mut WriteCx<'_>, keys: &[&[u8]], until: Deadline) -> bool {
    cx.wait.ask(|| Wait::new(keys, ValueType::ZSet, until))
}

/// Argument `i` as an integer not below `min`, else the error.
fn at_least(a: Args<'_>, i: usize, min: i64, error: CmdError) -> CmdResult<usize> {
    match a.int(i) {
        Ok(n) if n >= min => usize::try_from(n).map_err(|_| error),
        _ => Err(error),
    }
}
