//! HyperLogLog commands. The value is a string in Redis' own bytes ([`moon_ds::hll`]); a client may have
//! written it, so its bytes are checked wherever they are read.
//!
//! | file | commands |
//! |---|---|
//! | [`count`] | PFADD, PFCOUNT, PFMERGE |
//! | [`debug`] | PFDEBUG, PFSELFTEST |

mod count;
mod debug;

use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::db::StrValue;
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use moon_ds::hll::{self, Corrupt, Encoding};

/// Elements were added.
const PFADD: Event = Event::new(Class::STRING, "pfadd");
/// Bytes of the value changed, but nothing that it stands for; nobody is notified.
const REWRITTEN: Event = Event::new(Class(0), "");

const NOT_HLL: CmdError = CmdError::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: CmdError = CmdError::fixed("INVALIDOBJ Corrupted HLL object detected");

impl From<Corrupt> for CmdError {
    fn from(_: Corrupt) -> Self {
        CORRUPT
    }
}

/// The encoding of bytes that must be a HyperLogLog.
fn check(bytes: &[u8]) -> CmdResult<Encoding> {
    hll::encoding(bytes).ok_or(NOT_HLL)
}

/// The bytes of a value that must be a HyperLogLog.
fn bytes_of(value: StrValue<'_>) -> CmdResult<&[u8]> {
    let StrValue::Bytes(bytes) = value else { return Err(NOT_HLL) };
    check(bytes).map(|_| bytes)
}

rows_of!(Group::HyperLogLog);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: Flags::DENYOOM.and(Flags::FAST),
        complexity: "O(1) for each element.",
        ..row(
            "pfadd",
            "2.8.9",
            "Adds elements to a HyperLogLog, or creates the key.",
            -2,
            "key [element [element ...]]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::INSERT)],
            Run::Write(count::pfadd),
        )
    },
    CommandSpec {
        // One key: its cardinality is noted in the value, which never grows by that.
        flags: Flags::MAY_REPLICATE.and(Flags::SHRINKS),
        complexity: "O(1) for one key whose count is known, O(N) for N keys.",
        ..row(
            "pfcount",
            "2.8.9",
            "Estimates how many different elements HyperLogLogs have together.",
            -2,
            "key [key ...]",
            &[KeySpec::range(1, -1, 1, Access::ReadWrite).using(KeyUse::ACCESS)],
            Run::Write(count::pfcount),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM.and(Flags::ADMIN),
        complexity: "O(N) where N is the number of registers.",
        ..row(
            "pfdebug",
            "2.8.9",
            "Shows the registers of a HyperLogLog or changes how they are kept.",
            3,
            "subcommand key",
            &[KeySpec::one(2, Access::ReadWrite).using(KeyUse::ACCESS)],
            Run::Write(debug::pfdebug),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        complexity: "O(N) where N is the number of HyperLogLogs.",
        ..row(
            "pfmerge",
            "2.8.9",
            "Adds the elements of HyperLogLogs to another one, or creates it.",
            -2,
            "destkey [sourcekey [sourcekey ...]]",
            &[
                KeySpec::one(1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::INSERT)),
                KeySpec::range(2, -1, 1, Access::ReadOnly),
            ],
            Run::Write(count::pfmerge),
        )
    },
    CommandSpec {
        flags: Flags::ADMIN,
        complexity: "O(N) where N is the number of elements of the test.",
        ..row(
            "pfselftest",
            "2.8.9",
            "Tests the registers and the estimates of HyperLogLogs.",
            1,
            "",
            &[],
            Run::Session(debug::pfselftest),
        )
    },
];
