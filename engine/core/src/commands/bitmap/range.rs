//! Counting and searching in a range of bytes or bits.

use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use moon_ds::bits;
use moon_formats::number::Digits;

/// What the numbers of a range count.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(a: Args<'_>, i: usize) -> CmdResult<Unit> {
        match () {
            () if a.is(i, "BIT") => Ok(Unit::Bit),
            () if a.is(i, "BYTE") => Ok(Unit::Byte),
            () => Err(CmdError::SYNTAX),
        }
    }
}

/// The first and last bit that an inclusive range names in a string of `len` bytes, where negative numbers
/// count from the end; `None` if the range is empty. Unlike other ranges, an end before the first
/// element means the first.
fn bit_range(start: i64, end: i64, unit: Unit, len: usize) -> Option<(u64, u64)> {
    let total = match unit {
        Unit::Byte => len as i64,
        Unit::Bit => len as i64 * 8,
    };
    let index = |i: i64| if i < 0 { (total + i).max(0) } else { i };
    let (start, end) = (index(start), index(end).min(total - 1));
    if start > end {
        return None;
    }
    let (start, end) = (start as u64, end as u64);
    Some(match unit {
        Unit::Byte => (start * 8, end * 8 + 7),
        Unit::Bit => (start, end),
    })
}

/// BITCOUNT key [start end [BYTE | BIT]]
pub(super) fn bitcount(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let (start, end, unit) = match a.len() {
        2 => (0, -1, Unit::Byte),
        4 => (a.int(2)?, a.int(3)?, Unit::Byte),
        5 => (a.int(2)?, a.int(3)?, Unit::parse(a, 4)?),
        _ => return Err(CmdError::SYNTAX),
    };
    let mut buf = Digits::new();
    let bytes = match cx.ks.string(a.get(1))? {
        Some(value) => value.bytes(&mut buf),
        None => b"",
    };
    // Both from the end and the wrong way round: nothing, even where both mean the first element.
    let inverted = start < 0 && end < 0 && start > end;
    let n = match bit_range(start, end, unit, bytes.len()).filter(|_| !inverted) {
        Some((first, last)) => bits::count_range(bytes, first, last),
        None => 0,
    };
    cx.out.int(n as i64);
    Ok(())
}

/// BITPOS key bit [start [end [BYTE | BIT]]]
pub(super) fn bitpos(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let bit = match a.int(2)? {
        n @ (0 | 1) => n == 1,
        _ => return Err(CmdError::fixed("ERR The bit argument must be 1 or 0.")),
    };
    let start = if a.len() > 3 { a.int(3)? } else { 0 };
    let unit = match a.len() {
        3..=5 => Unit::Byte,
        6 => Unit::parse(a, 5)?,
        _ => return Err(CmdError::SYNTAX),
    };
    let end = if a.len() > 4 { Some(a.int(4)?) } else { None };
    let Some(value) = cx.ks.string(a.get(1))? else {
        cx.out.int(if bit { -1 } else { 0 });
        return Ok(());
    };
    let mut buf = Digits::new();
    let bytes = value.bytes(&mut buf);
    let found = bit_range(start, end.unwrap_or(-1), unit, bytes.len()).and_then(|(first, last)| {
        // Without an end, the zeros behind the string belong to what is searched.
        let behind = (!bit && end.is_none()).then_some(bytes.len() as u64 * 8);
        bits::find(bytes, bit, first, last).or(behind)
    });
    cx.out.int(found.map_or(-1, |at| at as i64));
    Ok(())
}
