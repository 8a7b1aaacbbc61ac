//! Adding members and changing scores.

use super::{ZADD, ZINCR};
use crate::args::Args;
use crate::db::Edit;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::ZSet;
use moon_formats::number::parse_score;

const NAN: CmdError = CmdError::fixed("ERR resulting score is not a number (NaN)");

/// Options of ZADD.
#[derive(Default, Clone, Copy)]
pub(in crate::commands) struct Options {
    pub(in crate::commands) nx: bool,
    pub(in crate::commands) xx: bool,
    gt: bool,
    lt: bool,
    pub(in crate::commands) ch: bool,
    incr: bool,
}

impl Options {
    /// Takes an option in; false if the word is none.
    #[inline]
    fn take(&mut self, word: &[u8]) -> bool {
        let flag = match word.len() {
            2 if word.eq_ignore_ascii_case(b"NX") => &mut self.nx,
            2 if word.eq_ignore_ascii_case(b"XX") => &mut self.xx,
            2 if word.eq_ignore_ascii_case(b"GT") => &mut self.gt,
            2 if word.eq_ignore_ascii_case(b"LT") => &mut self.lt,
            2 if word.eq_ignore_ascii_case(b"CH") => &mut self.ch,
            4 if word.eq_ignore_ascii_case(b"INCR") => &mut self.incr,
            _ => return false,
        };
        *flag = true;
        true
    }

    fn check(self, pairs: usize) -> CmdResult {
        if self.nx && self.xx {
            return Err(CmdError::fixed(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if (self.nx && (self.gt || self.lt)) || (self.gt && self.lt) {
            return Err(CmdError::fixed(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.incr && pairs > 1 {
            return Err(CmdError::fixed(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// The score that a member gets, `None` if the options keep it from changing.
    #[inline]
    fn decide(self, given: f64, old: Option<f64>) -> Option<f64> {
        let Some(old) = old else { return (!self.xx).then_some(given) };
        if self.nx {
            return None;
        }
        let new = if self.incr { old + given } else { given };
        let stays = (self.lt && new >= old) || (self.gt && new <= old);
        (!stays).then_some(new)
    }
}

/// What happened to the members.
#[derive(Default)]
struct Tally {
    added: i64,
    updated: i64,
    /// Score of the last member, if the options let it be set.
    score: Option<f64>,
}

/// ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]
pub(super) fn zadd(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    add(cx, a, Options::default())
}

/// ZINCRBY key increment member. As in Redis it is ZADD INCR, whose options it would take too,
/// had it room for them.
pub(super) fn zincrby(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    add(cx, a, Options { incr: true, ..Options::default() })
}

fn add(cx: &mut WriteCx<'_>, a: Args<'_>, mut o: Options) -> CmdResult {
    let mut at = 2;
    while at < a.len() && o.take(a.get(at)) {
        at += 1;
    }
    let words = a.from(at);
    let n = words.len() / 2;
    if n == 0 || !words.len().is_multiple_of(2) {
        return Err(CmdError::SYNTAX);
    }
    o.check(n)?;
    // All scores are read before anything changes. One pair, the usual case, needs no list.
    let score = |text: &[u8]| parse_score(text).ok_or(CmdError::NOT_FLOAT);
    let first = score(words[0])?;
    let mut others = Vec::with_capacity(n - 1);
    for text in words.iter().skip(2).step_by(2) {
        others.push(score(text)?);
    }
    let scores = std::iter::once(first).chain(others);
    let members = words.iter().skip(1).step_by(2).copied();
    add_scored(cx, a.get(1), o, n, scores.zip(members))
}

/// Adds `n` members with their scores under the options of ZADD, and writes its reply.
pub(in crate::commands) fn add_scored<'m>(
    cx: &mut WriteCx<'_>,
    key: &[u8],
    o: Options,
    n: usize,
    pairs: impl Iterator<Item = (f64, &'m [u8])>,
) -> CmdResult {
    let mut pairs = pairs.peekable();
    let change = |zset: &mut ZSet, edit: &mut Edit<'_>| {
        let first_len = pairs.peek().map_or(0, |(_, member)| member.len());
        zset.will_add(n, first_len, edit.limits);
        let mut tally = Tally::default();
        for (given, member) in pairs {
            let (mut set, mut nan) = (None, false);
            let done = zset.upsert(member, edit.limits, |old| {
                set = o.decide(given, old);
                nan = set.is_some_and(f64::is_nan);
                set.filter(|_| !nan)
            });
            if nan {
                return Err(NAN);
            }
            tally.added += i64::from(done.old.is_none() && done.new.is_some());
            tally.updated += i64::from(done.old.is_some() && done.old != done.new);
            tally.score = set;
        }
        if tally.added + tally.updated > 0 {
            edit.changed(if o.incr { ZINCR } else { ZADD });
        }
        Ok(tally)
    };
    let tally = if o.xx {
        cx.ks.edit(key, change)?.unwrap_or_default()
    } else {
        cx.ks.edit_or_create(key, change)?
    };
    match tally.score {
        Some(score) if o.incr => cx.out.double(score),
        None if o.incr => cx.out.null(),
        _ if o.ch => cx.out.int(tally.added + tally.updated),
        _ => cx.out.int(tally.added),
    }
    Ok(())
}
