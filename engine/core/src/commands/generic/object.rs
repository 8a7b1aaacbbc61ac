//! OBJECT: how a value is kept. None of these counts as use of the key.

use crate::args::Args;
use crate::db;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, SessionCx};
use moon_ds::ValueRef;

/// What Redis reports for the integers it shares, 0 to 9999.
const SHARED_REFCOUNT: i64 = i32::MAX as i64;
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

/// OBJECT ENCODING key
pub(super) fn encoding(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    match cx.ks.look_quietly(a.get(2)) {
        Some(e) => cx.out.bulk(db::encoding(e).as_bytes()),
        None => cx.out.null(),
    }
    Ok(())
}

/// OBJECT REFCOUNT key
pub(super) fn refcount(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let shares = cx.ks.limits.shares_integers;
    match cx.ks.look_quietly(a.get(2)).map(|e| e.value()) {
        Some(ValueRef::Int(n)) if shares && SHARED_INTEGERS.contains(&n) => {
            cx.out.int(SHARED_REFCOUNT);
        }
        Some(_) => cx.out.int(1),
        None => cx.out.null(),
    }
    Ok(())
}

/// OBJECT IDLETIME key
pub(super) fn idletime(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let access = cx.ks.access;
    match cx.ks.look(a.get(2)) {
        Some(_) if access.counts() => {
            return Err(CmdError::fixed(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
                 when switching between policies at runtime LRU and LFU data will take some time \
                 to adjust.",
            ));
        }
        Some(e) => cx.out.int(i64::from(access.idle_seconds(e))),
        None => cx.out.null(),
    }
    Ok(())
}

/// OBJECT FREQ key
pub(super) fn freq(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let access = cx.ks.access;
    match cx.ks.look(a.get(2)) {
        Some(_) if !access.counts() => {
            return Err(CmdError::fixed(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
                 Please note that when switching between policies at runtime LRU and LFU data \
                 will take some time to adjust.",
            ));
        }
        Some(e) => cx.out.int(i64::from(access.frequency(e))),
        None => cx.out.null(),
    }
    Ok(())
}

/// OBJECT HELP
pub(super) fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    super::super::help(
        &mut cx.out,
        "OBJECT",
        &[
            ("ENCODING <key>", "Return the internal encoding of the value of <key>."),
            ("FREQ <key>", "Return how often the value of <key> is used, on a logarithmic scale."),
            ("IDLETIME <key>", "Return the seconds since the value of <key> was last used."),
            ("REFCOUNT <key>", "Return the number of references to the value of <key>."),
        ],
    );
    Ok(())
}
