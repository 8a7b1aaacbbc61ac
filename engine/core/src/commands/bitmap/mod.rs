//! Commands on the bits of strings. A string is followed by zeros without end, and reading never makes it
//! longer; writing does.
//!
//! | file | commands |
//! |---|---|
//! | [`bit`] | SETBIT, GETBIT |
//! | [`range`] | BITCOUNT, BITPOS |
//! | [`field`] | BITFIELD, BITFIELD_RO |
//! | [`op`] | BITOP |

mod bit;
mod field;
mod op;
mod range;

use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use moon_formats::number::parse_i64;

const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const CHANGE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite)];

/// Bits of a string were written.
const SETBIT: Event = Event::new(Class::STRING, "setbit");

const BAD_OFFSET: CmdError = CmdError::fixed("ERR bit offset is not an integer or out of range");

rows_of!(Group::Bitmap);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        complexity: "O(N) where N is the length of the string.",
        ..row(
            "bitcount",
            "2.6.0",
            "Counts the bits that are set in a string or a part of it.",
            -2,
            "key [start end [BYTE | BIT]]",
            READ,
            Run::Read(range::bitcount),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        key_use: Some(field::key_use),
        complexity: "O(1) for each operation.",
        ..row(
            "bitfield",
            "3.2.0",
            "Reads and writes integers of any width at any bit of a string.",
            -2,
            "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | \
             INCRBY encoding offset increment>> [<GET encoding offset | [OVERFLOW <WRAP | SAT | \
             FAIL>] <SET encoding offset value | INCRBY encoding offset increment>> ...]]",
            &[KeySpec::one(1, Access::ReadWrite)
                .using(KeyUse::ACCESS.and(KeyUse::UPDATE).and(KeyUse::VARIABLE))],
            Run::Write(field::bitfield),
        )
    },
    CommandSpec {
        flags: Flags::FAST,
        complexity: "O(1) for each operation.",
        ..row(
            "bitfield_ro",
            "6.0.0",
            "Reads integers of any width at any bit of a string.",
            -2,
            "key [GET encoding offset [GET encoding offset ...]]",
            READ,
            Run::Read(field::bitfield_ro),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        complexity: "O(N) where N is the length of the longest string.",
        ..row(
            "bitop",
            "2.6.0",
            "Combines strings bit by bit and stores the result.",
            -4,
            "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]",
            &[KeySpec::one(2, Access::Overwrite), KeySpec::range(3, -1, 1, Access::ReadOnly)],
            Run::Write(op::bitop),
        )
    },
    CommandSpec {
        complexity: "O(N) where N is the length of the string.",
        ..row(
            "bitpos",
            "2.8.7",
            "Finds the first bit that is set, or clear, in a string or a part of it.",
            -3,
            "key bit [start [end [BYTE | BIT]]]",
            READ,
            Run::Read(range::bitpos),
        )
    },
    CommandSpec {
        flags: Flags::FAST,
        ..row(
            "getbit",
            "2.2.0",
            "Returns a bit of a string.",
            3,
            "key offset",
            READ,
            Run::Read(bit::getbit),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        ..row(
            "setbit",
            "2.2.0",
            "Sets or clears a bit of a string, or creates the key.",
            4,
            "key offset value",
            CHANGE,
            Run::Write(bit::setbit),
        )
    },
];

/// Reads a bit offset. Where `width` is given, `#n` means the n-th field of that width. What has been
/// logged is applied whatever the limit says now.
fn offset(text: &[u8], width: Option<u32>, max_len: usize, is_replay: bool) -> CmdResult<u64> {
    let number = match (text, width) {
        ([b'#', rest @ ..], Some(width)) => {
            parse_i64(rest).and_then(|n| n.checked_mul(i64::from(width)))
        }
        _ => parse_i64(text),
    };
    let offset = number.and_then(|n| u64::try_from(n).ok()).ok_or(BAD_OFFSET)?;
    if !is_replay && offset / 8 >= max_len as u64 {
        return Err(BAD_OFFSET);
    }
    Ok(offset)
}

/// The length in bytes of a string that reaches up to a bit.
fn reach(last_bit: u64) -> CmdResult<usize> {
    usize::try_from(last_bit / 8 + 1).map_err(|_| BAD_OFFSET)
}
