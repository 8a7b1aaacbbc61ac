//! Whole hashes.

use crate::args::Args;
use crate::commands::put_item;
use crate::commands::scan::{Of, Options, cursor, step};
use crate::error::CmdResult;
use crate::exec::ReadCx;
use crate::types::{Hash, Item, ItemBuf};
use moon_formats::resp::Reply;

/// HLEN key. Counts fields that are due until they are removed.
pub(super) fn hlen(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let len = cx.ks.collection::<Hash>(a.get(1))?.map_or(0, Hash::len);
    cx.out.int(len as i64);
    Ok(())
}

/// HGETALL key
pub(super) fn hgetall(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    all(cx, a, Reply::map, |out, field, value| {
        put_item(out, field);
        put_item(out, value);
    })
}

/// HKEYS key
pub(super) fn hkeys(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    all(cx, a, Reply::array, |out, field, _| put_item(out, field))
}

/// HVALS key
pub(super) fn hvals(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    all(cx, a, Reply::array, |out, _, value| put_item(out, value))
}

fn all<'a>(
    cx: &mut ReadCx<'a>,
    a: Args<'_>,
    head: impl FnOnce(&mut Reply<'a>, usize),
    put: impl Fn(&mut Reply<'a>, Item<'_>, Item<'_>),
) -> CmdResult {
    let now_ms = cx.ks.now.unix_ms;
    let hash = cx.ks.collection::<Hash>(a.get(1))?;
    head(&mut cx.out, hash.map_or(0, |h| h.len_at(now_ms)));
    if let Some(hash) = hash {
        hash.iter(now_ms).for_each(|(field, value)| put(&mut cx.out, field, value));
    }
    Ok(())
}

/// HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]. Flat in RESP3 as well.
pub(super) fn hscan(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let cursor = cursor(a.get(2))?;
    let Some(hash) = cx.ks.collection::<Hash>(a.get(1))? else {
        step(&mut cx.out, |_| 0);
        return Ok(());
    };
    let o = Options::parse(a, Of::Fields)?;
    let now_ms = cx.ks.now.unix_ms;
    step(&mut cx.out, |found| {
        let mut buf = ItemBuf::new();
        hash.scan(cursor, o.count, now_ms, |field, value| {
            if o.matches(field.as_bytes(&mut buf)) {
                found.put(field.as_bytes(&mut buf));
                if !o.no_values {
                    found.put(value.as_bytes(&mut buf));
                }
            }
        })
    });
    Ok(())
}
