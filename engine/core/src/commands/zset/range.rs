//! Ranges of a sorted set: by rank, score or member, forwards or backwards, to the client or
//! into another key.
//!
//! ZRANGE and the older commands are one query ([`Query`]) whose parts an older command fixes
//! and ZRANGE takes as options. The query becomes a range of ranks, of which the length is
//! known before the first member is written.

use super::reply::Pairs;
use super::{BAD_LEX, BAD_SCORES, ZRANGESTORE};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use crate::types::{ItemBuf, LexRange, Limits, ScoreRange, ZSet, index_range};
use std::ops::Range;

/// What a range is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

struct Query<'a> {
    bounds: Bounds<'a>,
    rev: bool,
    scores: bool,
    offset: i64,
    limit: i64,
}

impl<'a> Query<'a> {
    /// Reads `key min max` and the options from argument `at` on. `by` and `rev` are given by
    /// the older commands, which then refuse these options.
    fn parse(
        a: Args<'a>,
        at: usize,
        store: bool,
        mut by: Option<By>,
        mut rev: Option<bool>,
    ) -> CmdResult<Self> {
        let (mut scores, mut offset, mut limit) = (false, 0, -1);
        let mut i = at + 3;
        while i < a.len() {
            if !store && a.is(i, "WITHSCORES") {
                scores = true;
            } else if a.is(i, "LIMIT") && i + 2 < a.len() {
                (offset, limit) = (a.int(i + 1)?, a.int(i + 2)?);
                i += 2;
            } else if rev.is_none() && a.is(i, "REV") {
                rev = Some(true);
            } else if by.is_none() && a.is(i, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && a.is(i, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CmdError::SYNTAX);
            }
            i += 1;
        }
        let (by, rev) = (by.unwrap_or(By::Rank), rev.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(CmdError::fixed(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if scores && by == By::Lex {
            return Err(CmdError::fixed(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        // Backwards the higher bound comes first, ranks excepted.
        let (min, max) = if rev { (at + 2, at + 1) } else { (at + 1, at + 2) };
        let bounds = match by {
            By::Rank => Bounds::Ranks(a.int(at + 1)?, a.int(at + 2)?),
            By::Score => {
                Bounds::Scores(ScoreRange::parse(a.get(min), a.get(max)).ok_or(BAD_SCORES)?)
            }
            By::Lex => Bounds::Members(LexRange::parse(a.get(min), a.get(max)).ok_or(BAD_LEX)?),
        };
        Ok(Query { bounds, rev, scores, offset, limit })
    }

    /// The ranks of the members asked for.
    fn ranks(&self, zset: &ZSet) -> Range<usize> {
        let found = match &self.bounds {
            Bounds::Ranks(start, stop) => {
                let len = zset.len();
                let r = index_range(*start, *stop, len);
                return if self.rev { len - r.end..len - r.start } else { r };
            }
            Bounds::Scores(range) => zset.by_score(range),
            Bounds::Members(range) => zset.by_lex(range),
        };
        // A negative offset finds nothing, a negative limit is none.
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(found.len());
        let n = usize::try_from(self.limit).unwrap_or(usize::MAX).min(found.len() - offset);
        if self.rev {
            let end = found.end - offset;
            end - n..end
        } else {
            let start = found.start + offset;
            start..start + n
        }
    }
}

fn reply(cx: &mut ReadCx<'_>, key: &[u8], q: &Query<'_>) -> CmdResult {
    let Some(zset) = cx.ks.collection::<ZSet>(key)? else {
        cx.out.array(0);
        return Ok(());
    };
    let ranks = q.ranks(zset);
    let pairs = Pairs::new(&cx.out, q.scores);
    pairs.head(&mut cx.out, ranks.len());
    let members = zset.range(ranks);
    if q.rev {
        members.rev().for_each(|(m, s)| pairs.put(&mut cx.out, m, s));
    } else {
        members.for_each(|(m, s)| pairs.put(&mut cx.out, m, s));
    }
    Ok(())
}

/// ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]
pub(super) fn zrange(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    reply(cx, a.get(1), &Query::parse(a, 1, false, None, None)?)
}

/// ZREVRANGE key start stop [WITHSCORES]
pub(super) fn zrevrange(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    reply(cx, a.get(1), &Query::parse(a, 1, false, Some(By::Rank), Some(true))?)
}

/// ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]
pub(super) fn zrangebyscore(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    reply(cx, a.get(1), &Query::parse(a, 1, false, Some(By::Score), Some(false))?)
}

/// ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]
pub(super) fn zrevrangebyscore(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    reply(cx, a.get(1), &Query::parse(a, 1, false, Some(By::Score), Some(true))?)
}

/// ZRANGEBYLEX key min max [LIMIT offset count]
pub(super) fn zrangebylex(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    reply(cx, a.get(1), &Query::parse(a, 1, false, Some(By::Lex), Some(false))?)
}

/// ZREVRANGEBYLEX key max min [LIMIT offset count]
pub(super) fn zrevrangebylex(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    reply(cx, a.get(1), &Query::parse(a, 1, false, Some(By::Lex), Some(true))?)
}

/// ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]
pub(super) fn zrangestore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let q = Query::parse(a, 2, true, None, None)?;
    let limits = cx.ks.limits;
    let found = cx.ks.exists(a.get(2));
    cx.ks.count_look(a.get(2), found);
    let source = cx.ks.collection::<ZSet>(a.get(2))?;
    let result = source.map_or_else(ZSet::new, |z| part(z, q.ranks(z), limits));
    let n = result.len();
    cx.ks.put_collection(a.get(1), result, ZRANGESTORE);
    cx.out.int(n as i64);
    Ok(())
}

/// A copy of the members with these ranks.
fn part(zset: &ZSet, ranks: Range<usize>, limits: &Limits) -> ZSet {
    let mut out = ZSet::new();
    out.will_add(ranks.len(), 0, limits);
    let mut buf = ItemBuf::new();
    for (member, score) in zset.range(ranks) {
        out.add(member.as_bytes(&mut buf), score, limits);
    }
    out
}
