//! Single bits.

use super::{SETBIT, offset, reach};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use moon_ds::bits;
use moon_formats::number::Digits;

const BAD_BIT: CmdError = CmdError::fixed("ERR bit is not an integer or out of range");

/// SETBIT key offset value
pub(super) fn setbit(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let limits = cx.ks.limits;
    let at = offset(a.get(2), None, limits.proto_max_bulk_len, cx.ks.is_replay())?;
    let bit = match a.int(3) {
        Ok(n @ (0 | 1)) => n == 1,
        _ => return Err(BAD_BIT),
    };
    let len = reach(at)?;
    let old = cx.ks.edit_bytes(a.get(1), SETBIT, |bytes| {
        let grows = bytes.len() < len;
        if grows {
            bytes.resize(len);
        }
        let old = bits::set(bytes, at, bit);
        Ok((old, grows || old != bit))
    })?;
    cx.out.int(i64::from(old));
    Ok(())
}

/// GETBIT key offset
pub(super) fn getbit(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let at = offset(a.get(2), None, cx.ks.limits.proto_max_bulk_len, false)?;
    let bit = match cx.ks.string(a.get(1))? {
        Some(value) => bits::get(value.bytes(&mut Digits::new()), at),
        None => false,
    };
    cx.out.int(i64::from(bit));
    Ok(())
}
