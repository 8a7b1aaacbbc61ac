//! XLEN, XRANGE, XREVRANGE.

use super::ids;
use super::reply::put_entries;
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use crate::types::stream::Stream;

/// XLEN key
pub(super) fn xlen(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let stream = cx.ks.collection::<Stream>(a.get(1))?;
    cx.out.int(stream.map_or(0, |s| s.log().len() as i64));
    Ok(())
}

fn range(cx: &mut ReadCx<'_>, a: Args<'_>, rev: bool) -> CmdResult {
    let (low, high) = if rev { (3, 2) } else { (2, 3) };
    let from = ids::range_start(a.get(low))?;
    let to = ids::range_end(a.get(high))?;
    let mut count = usize::MAX;
    let mut at = 4;
    while at < a.len() {
        if !a.is(at, "COUNT") || at + 1 >= a.len() {
            return Err(CmdError::SYNTAX);
        }
        count = usize::try_from(a.int(at + 1)?).unwrap_or(0);
        at += 2;
    }
    let Some(stream) = cx.ks.collection::<Stream>(a.get(1))? else {
        cx.out.array(0);
        return Ok(());
    };
    let log = stream.log();
    if count == 0 {
        cx.out.null_array();
    } else if rev {
        put_entries(&mut cx.out, log.range_back(from, to).take(count));
    } else {
        put_entries(&mut cx.out, log.range(from, to).take(count));
    }
    Ok(())
}

/// XRANGE key start end [COUNT count]
pub(super) fn xrange(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    range(cx, a, false)
}

/// XREVRANGE key end start [COUNT count]
pub(super) fn xrevrange(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    range(cx, a, true)
}
