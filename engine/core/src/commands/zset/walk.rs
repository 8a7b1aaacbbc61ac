//! Members at random and all members in steps.

use super::reply::Pairs;
use crate::args::Args;
use crate::commands::put_item;
use crate::commands::scan::{Of, Options, cursor};
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use crate::types::{ItemBuf, ZSet};
use moon_formats::number::{Digits, write_score};
use moon_formats::resp::Reply;

/// Fewest bytes of a member in a reply: `$0`, two line ends.
const MEMBER_BYTES_MIN: usize = 6;

const TOO_MANY: CmdError = CmdError::fixed("ERR value is out of range");

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
    let count = a.int(2)?;
    if count == i64::MIN {
        return Err(CmdError::fixed(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    let scores = a.len() == 4;
    if a.len() > 4 || (scores && !a.is(3, "WITHSCORES")) {
        return Err(CmdError::SYNTAX);
    }
    if scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(TOO_MANY);
    }
    let Some(zset) = cx.ks.collection::<ZSet>(a.get(1))? else {
        cx.out.array(0);
        return Ok(());
    };
    let n = usize::try_from(count.unsigned_abs()).map_err(|_| TOO_MANY)?;
    let pairs = Pairs::new(&cx.out, scores);
    let out = &mut cx.out;
    if count >= 0 {
        let n = n.min(zset.len());
        pairs.head(out, n);
        zset.sample(n, &mut random, |member, score| pairs.put(out, member, score));
        return Ok(());
    }
    // Members repeat, so only the size of the reply sets an end.
    let bytes_max = cx.ks.limits.proto_max_bulk_len;
    if n > bytes_max / MEMBER_BYTES_MIN {
        return Err(TOO_MANY);
    }
    pairs.head(out, n);
    let start = out.len();
    for _ in 0..n {
        let Some((member, score)) = zset.random(&mut random) else { break };
        pairs.put(out, member, score);
        if out.len() - start > bytes_max {
            return Err(TOO_MANY);
        }
    }
    Ok(())
}

/// ZSCAN key cursor [MATCH pattern] [COUNT count]. Scores are bulk strings in RESP3 as well.
pub(super) fn zscan(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let cursor = cursor(a.get(2))?;
    let Some(zset) = cx.ks.collection::<ZSet>(a.get(1))? else {
        cx.out.array(2);
        cx.out.bulk(b"0");
        cx.out.array(0);
        return Ok(());
    };
    let o = Options::parse(a, Of::Members)?;
    let (mut found, mut n) = (Vec::new(), 0);
    let mut pairs = Reply::new(&mut found, cx.out.proto());
    let (mut buf, mut text) = (ItemBuf::new(), Vec::new());
    let next = zset.scan(cursor, o.count, |member, score| {
        let name = member.as_bytes(&mut buf);
        if o.matches(name) {
            pairs.bulk(name);
            text.clear();
            write_score(&mut text, score);
            pairs.bulk(&text);
            n += 2;
        }
    });
    cx.out.array(2);
    cx.out.bulk(Digits::of_u64(next).as_bytes());
    cx.out.array(n);
    cx.out.raw(&found);
    Ok(())
}
