//! Adding, counting, merging.

use super::{PFADD, REWRITTEN, bytes_of, check};
use crate::args::Args;
use crate::db::StrValue;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use moon_ds::hll::{self, Encoding, Registers};

/// PFADD key [element ...]
pub(super) fn pfadd(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let sparse_max = cx.ks.limits.hll_sparse_max_bytes;
    let key = a.get(1);
    let creates = match cx.ks.string(key)? {
        Some(value) => bytes_of(value).map(|_| false)?,
        None => true,
    };
    let elements = a.from(2);
    let changed = cx.ks.edit_bytes(key, PFADD, |bytes| {
        if creates {
            bytes.append(&hll::empty());
            hll::forget_cardinality(bytes);
        }
        // The first of several elements must not go in if a later one will meet damage.
        if elements.len() > 1 && !hll::is_whole(bytes) {
            return Err(super::CORRUPT);
        }
        let mut changed = creates;
        for element in elements {
            changed |= hll::raise(bytes, hll::place(element), sparse_max)?;
        }
        Ok((changed, changed))
    })?;
    cx.out.int(i64::from(changed));
    Ok(())
}

/// The union of keys that must hold HyperLogLogs, and whether any of them is dense.
fn union(cx: &mut WriteCx<'_>, keys: &[&[u8]]) -> CmdResult<(Registers, bool)> {
    let mut all = Registers::default();
    let mut dense = false;
    for entry in cx.ks.get_all(keys).into_iter().flatten() {
        let bytes = bytes_of(StrValue::of(entry.value())?)?;
        dense |= check(bytes)? == Encoding::Dense;
        hll::merge(&mut all, bytes)?;
    }
    Ok((all, dense))
}

/// PFCOUNT key [key ...]; the count of a single key is noted in its value.
pub(super) fn pfcount(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 2 {
        let (all, _) = union(cx, a.from(1))?;
        cx.out.int(all.cardinality() as i64);
        return Ok(());
    }
    let key = a.get(1);
    let Some(value) = cx.ks.string_counted(key)? else {
        cx.out.int(0);
        return Ok(());
    };
    let bytes = bytes_of(value)?;
    let n = match hll::noted_cardinality(bytes) {
        Some(n) => n,
        None => {
            let n = hll::cardinality(bytes)?;
            cx.ks.edit_bytes(key, REWRITTEN, |bytes| {
                hll::note_cardinality(bytes, n);
                Ok(((), true))
            })?;
            n
        }
    };
    cx.out.int(n as i64);
    Ok(())
}

/// PFMERGE destkey [sourcekey ...]
pub(super) fn pfmerge(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let sparse_max = cx.ks.limits.hll_sparse_max_bytes;
    let (all, dense) = union(cx, a.from(1))?;
    cx.ks.edit_bytes(a.get(1), PFADD, |bytes| {
        if bytes.is_empty() {
            bytes.append(&hll::empty());
        }
        if dense {
            hll::make_dense(bytes)?;
        }
        for place in all.set() {
            hll::raise(bytes, place, sparse_max)?;
        }
        hll::forget_cardinality(bytes);
        Ok::<_, CmdError>(((), true))
    })?;
    cx.out.ok();
    Ok(())
}
