//! All members in steps.

use crate::args::Args;
use crate::commands::scan::{Of, Options, cursor};
use crate::error::CmdResult;
use crate::exec::ReadCx;
use crate::types::{ItemBuf, Set};
use moon_formats::number::Digits;
use moon_formats::resp::Reply;

/// SSCAN key cursor [MATCH pattern] [COUNT count]
pub(super) fn sscan(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let cursor = cursor(a.get(2))?;
    let Some(set) = cx.ks.collection::<Set>(a.get(1))? else {
        cx.out.array(2);
        cx.out.bulk(b"0");
        cx.out.array(0);
        return Ok(());
    };
    let o = Options::parse(a, Of::Members)?;
    let (mut found, mut n) = (Vec::new(), 0);
    let mut members = Reply::new(&mut found, cx.out.proto());
    let mut buf = ItemBuf::new();
    let next = set.scan(cursor, o.count, |member| {
        let name = member.as_bytes(&mut buf);
        if o.matches(name) {
            members.bulk(name);
            n += 1;
        }
    });
    cx.out.array(2);
    cx.out.bulk(Digits::of_u64(next).as_bytes());
    cx.out.array(n);
    cx.out.raw(&found);
    Ok(())
}
