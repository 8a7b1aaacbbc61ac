//! All members in steps.

use crate::args::Args;
use crate::commands::scan::{Of, Options, cursor, step};
use crate::error::CmdResult;
use crate::exec::ReadCx;
use crate::types::{ItemBuf, Set};

/// SSCAN key cursor [MATCH pattern] [COUNT count]
pub(super) fn sscan(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let cursor = cursor(a.get(2))?;
    let Some(set) = cx.ks.collection::<Set>(a.get(1))? else {
        step(&mut cx.out, |_| 0);
        return Ok(());
    };
    let o = Options::parse(a, Of::Members)?;
    step(&mut cx.out, |found| {
        let mut buf = ItemBuf::new();
        set.scan(cursor, o.count, |member| {
            let name = member.as_bytes(&mut buf);
            if o.matches(name) {
                found.put(name);
            }
        })
    });
    Ok(())
}
