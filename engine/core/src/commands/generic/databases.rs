//! Whole databases at once. These are logged even if there was nothing to change.

use super::{check_flush_mode, existing_db};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;

/// FLUSHDB [ASYNC | SYNC]
pub(super) fn flushdb(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    check_flush_mode(a)?;
    cx.ks.flush(cx.ks.db_index());
    cx.out.ok();
    Ok(())
}

/// FLUSHALL [ASYNC | SYNC]
pub(super) fn flushall(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    check_flush_mode(a)?;
    for db in 0..cx.ks.db_count() as u16 {
        cx.ks.flush(db);
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
