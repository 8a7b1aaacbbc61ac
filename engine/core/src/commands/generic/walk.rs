//! Going through the keys of a database.

use crate::args::Args;
use crate::commands::scan::{Of, Options, cursor, step};
use crate::db::type_name;
use crate::error::CmdResult;
use crate::exec::ReadCx;
use crate::glob::glob_match;

/// Picks of RANDOMKEY that may hit expired keys before it looks for a live one in order.
const RANDOM_TRIES: usize = 100;

/// KEYS pattern
pub(super) fn keys(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let pattern = Some(a.get(1)).filter(|p| *p != b"*");
    let now_ms = cx.ks.now.unix_ms;
    let at = cx.out.defer();
    let mut n = 0;
    let db = cx.ks.db();
    for e in db.table().iter() {
        let matches = pattern.is_none_or(|p| glob_match(p, e.key(), false));
        if matches && db.is_live(e, now_ms) {
            cx.out.bulk(e.key());
            n += 1;
        }
    }
    cx.out.array_at(at, n);
    Ok(())
}

/// DBSIZE
pub(super) fn dbsize(cx: &mut ReadCx<'_>, _: Args<'_>) -> CmdResult {
    cx.out.int(cx.ks.db().len() as i64);
    Ok(())
}

/// RANDOMKEY
pub(super) fn randomkey(cx: &mut ReadCx<'_>, _: Args<'_>) -> CmdResult {
    let db = cx.ks.db();
    let table = db.table();
    for _ in 0..RANDOM_TRIES {
        let Some(e) = table.random(cx.rng.next_u64()) else { break };
        if cx.ks.is_live(e) {
            cx.out.bulk(e.key());
            return Ok(());
        }
    }
    let now_ms = cx.ks.now.unix_ms;
    match table.iter().find(|e| db.is_live(e, now_ms)) {
        Some(e) => cx.out.bulk(e.key()),
        None => cx.out.null(),
    }
    Ok(())
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub(super) fn scan(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let cursor = cursor(a.get(1))?;
    let o = Options::parse(a, Of::Keys)?;
    let ks = &mut cx.ks;
    step(&mut cx.out, |found| {
        ks.db().table().scan(cursor, o.count, |e| {
            let wanted =
                o.type_name.is_none_or(|name| type_name(&e.value()) == name) && o.matches(e.key());
            if wanted && ks.is_live(e) {
                found.put(e.key());
            }
        })
    });
    Ok(())
}
