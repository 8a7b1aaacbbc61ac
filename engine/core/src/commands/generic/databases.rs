//! Whole databases at once. These are logged even if there was nothing to change.

use super::existing_db;
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;

/// Whether the memory is given back after the command. ASYNC answers before that, SYNC when it has been
/// done, or does it itself where the client cannot wait (EXEC, scripts).
fn is_later(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult<bool> {
    let is_async = match a.len() {
        1 => cx.ks.lazy_free().user_flush,
        2 if a.is(1, "ASYNC") => true,
        2 if a.is(1, "SYNC") => false,
        _ => return Err(CmdError::SYNTAX),
    };
    let waits = !is_async && cx.wait.is_allowed();
    if waits {
        cx.ks.await_free();
    }
    Ok(is_async || waits)
}

/// FLUSHDB [ASYNC | SYNC]
pub(super) fn flushdb(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let later = is_later(cx, a)?;
    cx.ks.flush(cx.ks.db_index(), later);
    cx.out.ok();
    Ok(())
}

/// FLUSHALL [ASYNC | SYNC]
pub(super) fn flushall(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let later = is_later(cx, a)?;
    for db in 0..cx.ks.db_count() as u16 {
        cx.ks.flush(db, later);
    }
    cx.out.ok();
    Ok(())
}

/// SWAPDB index1 index2
pub(super) fn swapdb(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let number =
        |i, error| a.int(i).ok().and_then(|n| i32::try_from(n).ok()).ok_or(CmdError::fixed(error));
    let first = number(1, "ERR invalid first DB index")?;
    let second = number(2, "ERR invalid second DB index")?;
    let count = cx.ks.db_count();
    cx.ks.swap(existing_db(first, count)?, existing_db(second, count)?);
    cx.out.ok();
    Ok(())
}
