//! Pops and moves that wait until there is something to take.
//!
//! Each does what its plain form does if it can, and is logged as that; otherwise it asks to
//! wait, and the executor runs it again when a key it waits for has changed.

use super::end;
use super::ends::{MultiPop, pop_first};
use super::moves::{Several, move_one};
use crate::args::Args;
use crate::error::CmdResult;
use crate::exec::{Deadline, Wait, WriteCx, timeout_secs};
use moon_ds::chunklist::End;
use moon_formats::value::ValueType;

/// BLPOP key [key ...] timeout
pub(super) fn blpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop_or_wait(cx, a, End::Front)
}

/// BRPOP key [key ...] timeout
pub(super) fn brpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    pop_or_wait(cx, a, End::Back)
}

fn pop_or_wait(cx: &mut WriteCx<'_>, a: Args<'_>, end: End) -> CmdResult {
    let last = a.len() - 1;
    let until = timeout_secs(cx.ks.now, a.get(last))?;
    let keys = &a.all()[1..last];
    if !pop_first(cx, keys, end)? && !wait(cx, keys, until) {
        cx.out.null_array();
    }
    Ok(())
}

/// BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]
pub(super) fn blmpop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let pop = MultiPop::parse(a, 2)?;
    let until = timeout_secs(cx.ks.now, a.get(1))?;
    if !pop.run(cx)? && !wait(cx, pop.keys, until) {
        cx.out.null_array();
    }
    Ok(())
}

/// BRPOPLPUSH source destination timeout
pub(super) fn brpoplpush(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let until = timeout_secs(cx.ks.now, a.get(3))?;
    let (source, destination) = (a.get(1), a.get(2));
    if move_one(cx, source, destination, End::Back, End::Front)? {
        cx.ks.effect(&[b"RPOPLPUSH", source, destination]);
    } else if !wait(cx, &[source], until) {
        cx.out.null();
    }
    Ok(())
}

/// BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout
pub(super) fn blmove(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (from, to) = (end(a, 3)?, end(a, 4)?);
    let until = timeout_secs(cx.ks.now, a.get(5))?;
    let (source, destination) = (a.get(1), a.get(2));
    if move_one(cx, source, destination, from, to)? {
        cx.ks.effect(&[b"LMOVE", source, destination, a.get(3), a.get(4)]);
    } else if !wait(cx, &[source], until) {
        cx.out.null();
    }
    Ok(())
}

/// BLMOVEM source destination LEFT|RIGHT LEFT|RIGHT timeout [COUNT|EXACTLY n OBO|BULK]
pub(super) fn blmovem(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let how = Several::parse(a, 6)?;
    let until = timeout_secs(cx.ks.now, a.get(5))?;
    let (source, destination) = (a.get(1), a.get(2));
    if how.run(cx, source, destination)? {
        let mut plain = vec![b"LMOVEM".as_slice(), source, destination, a.get(3), a.get(4)];
        plain.extend_from_slice(a.from(6));
        cx.ks.effect(&plain);
    } else if !wait(cx, &[source], until) {
        cx.out.null_array();
    }
    Ok(())
}

fn wait(cx: &mut WriteCx<'_>, keys: &[&[u8]], until: Deadline) -> bool {
    cx.wait.ask(|| Wait::new(keys, ValueType::List, until))
}
