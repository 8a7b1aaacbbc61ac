//! Whole hashes.

use crate::args::Args;
use crate::commands::put_item;
use crate::commands::scan::{Of, Options, cursor};
use crate::error::CmdResult;
use crate::exec::ReadCx;
use crate::types::{Hash, Item, ItemBuf};
use moon_formats::number::Digits;
use moon_formats::resp::Reply;

/// HLEN key
pub(super) fn hlen(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let now_ms = cx.ks.now.unix_ms;
    let len = cx.ks.collection::<Hash>(a.get(1))?.map_or(0, |h| h.len_at(now_ms));
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
        cx.out.array(2);
        cx.out.bulk(b"0");
        cx.out.array(0);
        return Ok(());
    };
    let o = Options::parse(a, Of::Fields)?;
    let (mut found, mut n) = (Vec::new(), 0);
    let mut fields = Reply::new(&mut found, cx.out.proto());
    let mut buf = ItemBuf::new();
    let next = hash.scan(cursor, o.count, cx.ks.now.unix_ms, |field, value| {
        let name = field.as_bytes(&mut buf);
        if o.matches(name) {
            fields.bulk(name);
            n += 1;
            if !o.no_values {
                put_item(&mut fields, value);
                n += 1;
            }
        }
    });
    cx.out.array(2);
    cx.out.bulk(Digits::of_u64(next).as_bytes());
    cx.out.array(n);
    cx.out.raw(&found);
    Ok(())
}
