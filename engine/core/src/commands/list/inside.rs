//! Looking into lists and changing their middle.

use crate::args::Args;
use crate::commands::put_item;
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use crate::exec::{ReadCx, WriteCx};
use crate::types::{List, index_at, index_range};
use moon_ds::chunklist::End;
use moon_formats::number::parse_i64;

const LSET: Event = Event::new(Class::LIST, "lset");
const LINSERT: Event = Event::new(Class::LIST, "linsert");
const LREM: Event = Event::new(Class::LIST, "lrem");
const LTRIM: Event = Event::new(Class::LIST, "ltrim");

/// LLEN key
pub(super) fn llen(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let len = cx.ks.collection::<List>(a.get(1))?.map_or(0, List::len);
    cx.out.int(len as i64);
    Ok(())
}

/// LINDEX key index
pub(super) fn lindex(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(list) = cx.ks.collection::<List>(a.get(1))? else {
        cx.out.null();
        return Ok(());
    };
    match index_at(a.int(2)?, list.len()).and_then(|i| list.get(i)) {
        Some(item) => put_item(&mut cx.out, item),
        None => cx.out.null(),
    }
    Ok(())
}

/// LRANGE key start stop
pub(super) fn lrange(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let (start, stop) = (a.int(2)?, a.int(3)?);
    let Some(list) = cx.ks.collection::<List>(a.get(1))? else {
        cx.out.array(0);
        return Ok(());
    };
    let range = index_range(start, stop, list.len());
    cx.out.array(range.len());
    for item in list.range(range.start, range.len()) {
        put_item(&mut cx.out, item);
    }
    Ok(())
}

/// LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]
pub(super) fn lpos(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let (mut rank, mut count, mut maxlen) = (1i64, None, 0usize);
    let mut i = 3;
    while i < a.len() {
        if i + 1 >= a.len() {
            return Err(CmdError::SYNTAX);
        }
        let value = a.get(i + 1);
        if a.is(i, "RANK") {
            let n = parse_i64(value).ok_or(CmdError::NOT_INT)?;
            if n == i64::MIN {
                return Err(CmdError::NO_MAGNITUDE);
            }
            if n == 0 {
                return Err(CmdError::fixed(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                     second ... or use negative to start from the end of the list",
                ));
            }
            rank = n;
        } else if a.is(i, "COUNT") {
            count = Some(not_negative(value, "ERR COUNT can't be negative")?);
        } else if a.is(i, "MAXLEN") {
            maxlen = not_negative(value, "ERR MAXLEN can't be negative")?;
        } else {
            return Err(CmdError::SYNTAX);
        }
        i += 2;
    }
    let maxlen = if maxlen == 0 { usize::MAX } else { maxlen };
    let list = cx.ks.collection::<List>(a.get(1))?;
    let out = &mut cx.out;
    match (list, count) {
        (None, None) => out.null(),
        (None, Some(_)) => out.array(0),
        (Some(list), None) => {
            let mut first = None;
            list.positions(a.get(2), rank, 1, maxlen, |at| first = Some(at));
            match first {
                Some(at) => out.int(at as i64),
                None => out.null(),
            }
        }
        (Some(list), Some(count)) => {
            let count = if count == 0 { usize::MAX } else { count };
            let (header, mut n) = (out.defer(), 0);
            list.positions(a.get(2), rank, count, maxlen, |at| {
                out.int(at as i64);
                n += 1;
            });
            out.array_at(header, n);
        }
    }
    Ok(())
}

fn not_negative(text: &[u8], refusal: &'static str) -> CmdResult<usize> {
    parse_i64(text).and_then(|n| usize::try_from(n).ok()).ok_or(CmdError::fixed(refusal))
}

/// LSET key index element
pub(super) fn lset(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    cx.ks
        .edit(a.get(1), |list: &mut List, edit| {
            let at = index_at(a.int(2)?, list.len()).ok_or(CmdError::INDEX_RANGE)?;
            list.set(at, a.get(3), edit.limits);
            edit.changed(LSET);
            Ok(())
        })?
        .ok_or(CmdError::NO_KEY)?;
    cx.out.ok();
    Ok(())
}

/// LINSERT key BEFORE|AFTER pivot element
pub(super) fn linsert(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let behind = a.is(2, "AFTER");
    if !behind && !a.is(2, "BEFORE") {
        return Err(CmdError::SYNTAX);
    }
    let len = cx.ks.edit(a.get(1), |list: &mut List, edit| {
        if !list.insert_near(a.get(3), behind, a.get(4), edit.limits) {
            return Ok(-1);
        }
        edit.changed(LINSERT);
        Ok(list.len() as i64)
    })?;
    cx.out.int(len.unwrap_or(0));
    Ok(())
}

/// LREM key count element: from the head for a positive count, from the tail for a negative
/// one, all for 0.
pub(super) fn lrem(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let count = a.int(2)?;
    if count == i64::MIN {
        return Err(CmdError::NO_MAGNITUDE);
    }
    let from = if count < 0 { End::Back } else { End::Front };
    let max = match count {
        0 => usize::MAX,
        n => usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let removed = cx.ks.edit(a.get(1), |list: &mut List, edit| {
        let n = list.remove_equal(from, a.get(3), max, edit.limits);
        if n > 0 {
            edit.changed(LREM);
        }
        Ok(n)
    })?;
    cx.out.int(removed.unwrap_or(0) as i64);
    Ok(())
}

/// LTRIM key start stop
pub(super) fn ltrim(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (start, stop) = (a.int(2)?, a.int(3)?);
    cx.ks.edit(a.get(1), |list: &mut List, edit| {
        let keep = index_range(start, stop, list.len());
        list.trim(keep.start, keep.end, edit.limits);
        edit.changed(LTRIM);
        Ok(())
    })?;
    cx.out.ok();
    Ok(())
}
