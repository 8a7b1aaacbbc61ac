//! Fields at random.

use crate::args::Args;
use crate::commands::put_item;
use crate::commands::sampling::{Count, repeated};
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use crate::types::{Hash, Item};
use moon_formats::resp::{Proto, Reply};

/// How fields go out: alone, or with their values, in pairs of their own in RESP3.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Alone,
    Flat,
    Nested,
}

impl Shape {
    fn head(self, out: &mut Reply<'_>, n: usize) {
        out.array(if self == Shape::Flat { n * 2 } else { n });
    }

    fn put(self, out: &mut Reply<'_>, field: Item<'_>, value: Item<'_>) {
        if self == Shape::Nested {
            out.array(2);
        }
        put_item(out, field);
        if self != Shape::Alone {
            put_item(out, value);
        }
    }
}

/// HRANDFIELD key [count [WITHVALUES]]. Fields that are due are removed, whatever is picked.
pub(super) fn hrandfield(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let rng = &mut *cx.rng;
    let mut random = || rng.next_u64();
    let now_ms = cx.ks.now.unix_ms;
    let out = &mut cx.out;
    if a.len() == 2 {
        let hash = cx.ks.collection::<Hash>(a.get(1))?;
        hash.into_iter().for_each(|h| cx.ks.note_due_fields(a.get(1), h));
        match hash.and_then(|h| h.random(now_ms, &mut random)) {
            Some((field, _)) => put_item(out, field),
            None => out.null(),
        }
        return Ok(());
    }
    let mut count = Count::parse(a)?;
    let mut shape = Shape::Alone;
    if a.len() > 4 || (a.len() == 4 && !a.is(3, "WITHVALUES")) {
        return Err(CmdError::SYNTAX);
    }
    if a.len() == 4 {
        count = count.of_pairs()?;
        shape = if out.proto() == Proto::Resp3 { Shape::Nested } else { Shape::Flat };
    }
    let hash = cx.ks.collection::<Hash>(a.get(1))?;
    hash.into_iter().for_each(|h| cx.ks.note_due_fields(a.get(1), h));
    let len = hash.map_or(0, |h| h.len_at(now_ms));
    let Some(hash) = hash.filter(|_| len > 0) else {
        out.array(0);
        return Ok(());
    };
    match count {
        Count::Distinct(n) => {
            let n = n.min(len);
            shape.head(out, n);
            hash.sample(n, now_ms, &mut random, |field, value| shape.put(out, field, value));
            Ok(())
        }
        Count::Repeated(n) => repeated(
            out,
            n,
            cx.ks.limits.proto_max_bulk_len,
            |out| shape.head(out, n),
            |out| {
                let pick = hash.random(now_ms, &mut random);
                pick.into_iter().for_each(|(field, value)| shape.put(out, field, value));
            },
        ),
    }
}
