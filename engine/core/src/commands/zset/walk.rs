//! Members at random and all members in steps.

use super::reply::Pairs;
use crate::args::Args;
use crate::commands::put_item;
use crate::commands::sampling::{Count, repeated};
use crate::commands::scan::{Of, Options, cursor, step};
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use crate::types::{ItemBuf, ZSet};
use moon_formats::number::write_score;

/// ZRANDMEMBER key [count [WITHSCORES]]
pub(super) fn zrandmember(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let rng = &mut *cx.rng;
    let mut random = || rng.next_u64();
    if a.len() == 2 {
        match cx.ks.collection::<ZSet>(a.get(1))?.and_then(|z| z.random(&mut random)) {
            Some((member, _)) => put_item(&mut cx.out, member),
            None => cx.out.null(),
        }
        return Ok(());
    }
    let mut count = Count::parse(a)?;
    let scores = a.len() == 4;
    if a.len() > 4 || (scores && !a.is(3, "WITHSCORES")) {
        return Err(CmdError::SYNTAX);
    }
    if scores {
        count = count.of_pairs()?;
    }
    let Some(zset) = cx.ks.collection::<ZSet>(a.get(1))? else {
        cx.out.array(0);
        return Ok(());
    };
    let pairs = Pairs::new(&cx.out, scores);
    let out = &mut cx.out;
    match count {
        Count::Distinct(n) => {
            let n = n.min(zset.len());
            pairs.head(out, n);
            zset.sample(n, &mut random, |member, score| pairs.put(out, member, score));
            Ok(())
        }
        Count::Repeated(n) => repeated(
            out,
            n,
            cx.ks.limits.proto_max_bulk_len,
            |out| pairs.head(out, n),
            |out| zset.random(&mut random).into_iter().for_each(|(m, s)| pairs.put(out, m, s)),
        ),
    }
}

/// ZSCAN key cursor [MATCH pattern] [COUNT count]. Scores are bulk strings in RESP3 as well.
pub(super) fn zscan(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let cursor = cursor(a.get(2))?;
    let Some(zset) = cx.ks.collection::<ZSet>(a.get(1))? else {
        step(&mut cx.out, |_| 0);
        return Ok(());
    };
    let o = Options::parse(a, Of::Members)?;
    step(&mut cx.out, |found| {
        let (mut buf, mut text) = (ItemBuf::new(), Vec::new());
        zset.scan(cursor, o.count, |member, score| {
            let name = member.as_bytes(&mut buf);
            if o.matches(name) {
                found.put(name);
                text.clear();
                write_score(&mut text, score);
                found.put(&text);
            }
        })
    });
    Ok(())
}
