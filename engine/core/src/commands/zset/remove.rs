//! Taking members out by name and by range.

use super::{BAD_LEX, BAD_SCORES, ZREM, ZREMRANGEBYLEX, ZREMRANGEBYRANK, ZREMRANGEBYSCORE};
use crate::args::Args;
use crate::error::CmdResult;
use crate::event::Event;
use crate::exec::WriteCx;
use crate::types::{LexRange, ScoreRange, ZSet, index_range};
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
