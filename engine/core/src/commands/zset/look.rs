//! Asking for scores, ranks and numbers of members.

use super::{BAD_LEX, BAD_SCORES};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use crate::types::{LexRange, ScoreRange, ZSet};

/// ZCARD key
pub(super) fn zcard(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let n = cx.ks.collection::<ZSet>(a.get(1))?.map_or(0, ZSet::len);
    cx.out.int(n as i64);
    Ok(())
}

/// ZSCORE key member
pub(super) fn zscore(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    match cx.ks.collection::<ZSet>(a.get(1))?.and_then(|z| z.score(a.get(2))) {
        Some(score) => cx.out.double(score),
        None => cx.out.null(),
    }
    Ok(())
}

/// ZMSCORE key member [member ...]
pub(super) fn zmscore(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let zset = cx.ks.collection::<ZSet>(a.get(1))?;
    cx.out.array(a.len() - 2);
    for member in a.from(2) {
        match zset.and_then(|z| z.score(member)) {
            Some(score) => cx.out.double(score),
            None => cx.out.null(),
        }
    }
    Ok(())
}

/// ZRANK key member [WITHSCORE]
pub(super) fn zrank(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    rank(cx, a, false)
}

/// ZREVRANK key member [WITHSCORE]
pub(super) fn zrevrank(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    rank(cx, a, true)
}

fn rank(cx: &mut ReadCx<'_>, a: Args<'_>, rev: bool) -> CmdResult {
    if a.len() > 4 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let with_score = a.len() == 4;
    if with_score && !a.is(3, "WITHSCORE") {
        return Err(CmdError::SYNTAX);
    }
    let zset = cx.ks.collection::<ZSet>(a.get(1))?;
    let found = zset.and_then(|z| {
        let (rank, score) = z.rank(a.get(2))?;
        Some((if rev { z.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) => {
            if with_score {
                cx.out.array(2);
            }
            cx.out.int(rank as i64);
            if with_score {
                cx.out.double(score);
            }
        }
        None if with_score => cx.out.null_array(),
        None => cx.out.null(),
    }
    Ok(())
}

/// ZCOUNT key min max
pub(super) fn zcount(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let range = ScoreRange::parse(a.get(2), a.get(3)).ok_or(BAD_SCORES)?;
    let n = cx.ks.collection::<ZSet>(a.get(1))?.map_or(0, |z| z.by_score(&range).len());
    cx.out.int(n as i64);
    Ok(())
}

/// ZLEXCOUNT key min max
pub(super) fn zlexcount(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let range = LexRange::parse(a.get(2), a.get(3)).ok_or(BAD_LEX)?;
    let n = cx.ks.collection::<ZSet>(a.get(1))?.map_or(0, |z| z.by_lex(&range).len());
    cx.out.int(n as i64);
    Ok(())
}
