//! ZUNION, ZINTER, ZDIFF, their storing forms, ZINTERCARD.
//!
//! All are one command with different options: inputs, which may be sets or sorted sets, are
//! combined (see [`super::combine`]) into a sorted list that borrows its members, and that is
//! written to the client or made into a sorted set.

use super::combine::{self, Aggregate, Input, Scored};
use super::reply::Pairs;
use super::{ZDIFFSTORE, ZINTERSTORE, ZUNIONSTORE};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::{ReadCx, WriteCx};
use crate::types::{ItemBuf, Limits, ZSet};
use moon_formats::number::parse_score;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result; it decides which options there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Client,
    Key,
    /// Only the number of members goes to the client.
    Card,
}

/// The keys after the count at argument `at`.
fn keys<'a>(name: &str, a: Args<'a>, at: usize) -> CmdResult<&'a [&'a [u8]]> {
    let n = a.int(at)?;
    if n < 1 {
        let text = format!("ERR at least 1 input key is needed for '{name}' command");
        return Err(CmdError::text(text));
    }
    let rest = a.from(at + 1);
    usize::try_from(n).ok().and_then(|n| rest.get(..n)).ok_or(CmdError::SYNTAX)
}

#[derive(Default)]
struct Options {
    aggregate: Aggregate,
    scores: bool,
    limit: usize,
}

impl Options {
    /// Reads what follows the keys, the weights into `inputs`.
    fn parse(a: Args<'_>, at: usize, op: Op, to: To, inputs: &mut [Input<'_>]) -> CmdResult<Self> {
        let mut o = Options::default();
        let combines = op != Op::Diff && to != To::Card;
        let mut i = at;
        while i < a.len() {
            let left = a.len() - i;
            if combines && left > inputs.len() && a.is(i, "WEIGHTS") {
                for (input, text) in inputs.iter_mut().zip(a.from(i + 1)) {
                    input.weight = parse_score(text)
                        .ok_or(CmdError::fixed("ERR weight value is not a float"))?;
                }
                i += 1 + inputs.len();
            } else if combines && left >= 2 && a.is(i, "AGGREGATE") {
                o.aggregate = Aggregate::parse(a.get(i + 1)).ok_or(CmdError::SYNTAX)?;
                i += 2;
            } else if to == To::Client && a.is(i, "WITHSCORES") {
                o.scores = true;
                i += 1;
            } else if to == To::Card && left >= 2 && a.is(i, "LIMIT") {
                let limit = a.int(i + 1).ok().and_then(|n| usize::try_from(n).ok());
                o.limit = limit.ok_or(CmdError::fixed("ERR LIMIT can't be negative"))?;
                i += 2;
            } else {
                return Err(CmdError::SYNTAX);
            }
        }
        Ok(o)
    }
}

fn combined<'a>(
    op: Op,
    inputs: &mut [Input<'a>],
    aggregate: Aggregate,
    limits: &Limits,
) -> Vec<Scored<'a>> {
    let mut result = match op {
        Op::Union => combine::union(inputs, aggregate, limits.hash_seed),
        Op::Inter => {
            let mut result = Vec::new();
            combine::intersection(inputs, aggregate, |scored| {
                result.push(scored);
                true
            });
            result
        }
        Op::Diff => combine::difference(inputs, limits.hash_seed),
    };
    combine::sort(&mut result);
    result
}

fn read(cx: &mut ReadCx<'_>, a: Args<'_>, op: Op) -> CmdResult {
    let (o, mut inputs) = prepare(cx, a, op, To::Client)?;
    let result = combined(op, &mut inputs, o.aggregate, cx.ks.limits);
    let pairs = Pairs::new(&cx.out, o.scores);
    pairs.head(&mut cx.out, result.len());
    for scored in &result {
        pairs.put(&mut cx.out, scored.member, scored.score);
    }
    Ok(())
}

/// Inputs and options, in Redis' order of errors: the number of keys, their types, the options.
fn prepare<'a>(
    cx: &mut ReadCx<'a>,
    a: Args<'_>,
    op: Op,
    to: To,
) -> CmdResult<(Options, Vec<Input<'a>>)> {
    let keys = keys(cx.command.spec.name, a, 1)?;
    let mut inputs = Vec::with_capacity(keys.len());
    for key in keys {
        inputs.push(Input::of(cx.ks.get(key))?);
    }
    let o = Options::parse(a, 2 + keys.len(), op, to, &mut inputs)?;
    Ok((o, inputs))
}

/// ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE how] [WITHSCORES]
pub(super) fn zunion(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Op::Union)
}

/// ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE how] [WITHSCORES]
pub(super) fn zinter(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Op::Inter)
}

/// ZDIFF numkeys key [key ...] [WITHSCORES]
pub(super) fn zdiff(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Op::Diff)
}

/// ZINTERCARD numkeys key [key ...] [LIMIT limit]
pub(super) fn zintercard(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let (o, mut inputs) = prepare(cx, a, Op::Inter, To::Card)?;
    let mut n = 0;
    combine::intersection(&mut inputs, o.aggregate, |_| {
        n += 1;
        n != o.limit
    });
    cx.out.int(n as i64);
    Ok(())
}

/// ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE how]
pub(super) fn zunionstore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    store(cx, a, Op::Union, ZUNIONSTORE)
}

/// ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE how]
pub(super) fn zinterstore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    store(cx, a, Op::Inter, ZINTERSTORE)
}

/// ZDIFFSTORE destination numkeys key [key ...]
pub(super) fn zdiffstore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    store(cx, a, Op::Diff, ZDIFFSTORE)
}

fn store(cx: &mut WriteCx<'_>, a: Args<'_>, op: Op, event: Event) -> CmdResult {
    let keys = keys(cx.command.spec.name, a, 2)?;
    let limits = cx.ks.limits;
    let entries = cx.ks.get_all(keys);
    let mut inputs = Vec::with_capacity(keys.len());
    for entry in entries {
        inputs.push(Input::of(entry)?);
    }
    let o = Options::parse(a, 3 + keys.len(), op, To::Key, &mut inputs)?;
    let result = collect(&combined(op, &mut inputs, o.aggregate, limits), limits);
    let n = result.len();
    cx.ks.put_collection(a.get(1), result, event);
    cx.out.int(n as i64);
    Ok(())
}

/// A sorted set of these, in the encoding that their number and longest member ask for.
fn collect(result: &[Scored<'_>], limits: &Limits) -> ZSet {
    let longest = result.iter().map(|s| s.member.len()).max().unwrap_or(0);
    let mut zset = ZSet::new();
    zset.will_add(result.len(), longest, limits);
    let mut buf = ItemBuf::new();
    for scored in result {
        zset.add(scored.member.as_bytes(&mut buf), scored.score, limits);
    }
    zset
}
