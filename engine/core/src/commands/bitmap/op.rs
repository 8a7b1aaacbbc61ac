//! BITOP: strings combined bit by bit.

use crate::args::Args;
use crate::db::StrValue;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::WriteCx;
use moon_ds::bits::{self, Op};
use moon_formats::number::Digits;

fn parse(word: &[u8]) -> CmdResult<Op> {
    [
        ("AND", Op::And),
        ("OR", Op::Or),
        ("XOR", Op::Xor),
        ("NOT", Op::Not),
        ("DIFF", Op::Diff),
        ("DIFF1", Op::Diff1),
        ("ANDOR", Op::AndOr),
        ("ONE", Op::One),
    ]
    .into_iter()
    .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
    .map(|(_, op)| op)
    .ok_or(CmdError::SYNTAX)
}

/// BITOP operation destkey key [key ...]
pub(super) fn bitop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let op = parse(a.get(1))?;
    let keys = a.from(3);
    match op {
        Op::Not if keys.len() != 1 => {
            return Err(CmdError::fixed("ERR BITOP NOT must be called with a single source key."));
        }
        Op::Diff | Op::Diff1 | Op::AndOr if keys.len() < 2 => {
            return Err(CmdError::text(format!(
                "ERR BITOP {} must be called with at least two source keys.",
                String::from_utf8_lossy(a.get(1)).to_ascii_uppercase()
            )));
        }
        _ => {}
    }
    let entries = cx.ks.get_all(keys);
    let mut digits: Vec<Digits> = keys.iter().map(|_| Digits::new()).collect();
    let mut sources: Vec<&[u8]> = Vec::with_capacity(keys.len());
    for (entry, buf) in entries.into_iter().zip(&mut digits) {
        sources.push(match entry {
            Some(e) => StrValue::of(e.value())?.bytes(buf),
            None => b"",
        });
    }
    let result = bits::combine(op, &sources);
    let len = result.len();
    if result.is_empty() {
        cx.ks.remove(a.get(2), Event::DEL);
    } else {
        cx.ks.put_raw(a.get(2), &result, Event::SET);
    }
    cx.out.int(len as i64);
    Ok(())
}
