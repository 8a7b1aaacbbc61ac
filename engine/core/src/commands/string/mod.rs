//! String commands.
//!
//! | file | commands |
//! |---|---|
//! | [`set`] | SET and its older forms, MSET, MSETNX, MSETEX |
//! | [`get`] | GET, MGET, GETEX, GETDEL, GETSET, STRLEN, DIGEST |
//! | [`cond`] | the IFEQ family; DELEX, DELIFEQ |
//! | [`number`] | INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT |
//! | [`increx`] | INCREX |
//! | [`range`] | APPEND, SETRANGE, GETRANGE, SUBSTR |
//! | [`lcs`] | LCS |

mod cond;
mod get;
mod increx;
mod lcs;
mod number;
mod range;
mod set;

use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::db::Keyspace;
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};

const FAST: Flags = Flags::FAST;
const OOM: Flags = Flags::DENYOOM;
const OOM_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const CHANGE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite)];
const OVERWRITE: &[KeySpec] = &[KeySpec::one(1, Access::Overwrite)];

const EXTENDABLE: &str = "O(1) amortised";
const BY_KEYS: &str = "O(N) where N is the number of keys.";
const BY_LENGTH: &str = "O(N) where N is the length of the returned string.";

rows_of!(Group::String);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: OOM_FAST,
        complexity: EXTENDABLE,
        ..row(
            "append",
            "2.0.0",
            "Appends to the value of a key, or creates it.",
            3,
            "key value",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::INSERT)],
            Run::Write(range::append),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "decr",
            "1.0.0",
            "Subtracts one from the integer value of a key, 0 if there is none.",
            2,
            "key",
            CHANGE,
            Run::Write(number::decr),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "decrby",
            "1.0.0",
            "Subtracts a number from the integer value of a key, 0 if there is none.",
            3,
            "key decrement",
            CHANGE,
            Run::Write(number::decrby),
        )
    },
    CommandSpec {
        flags: FAST,
        key_use: Some(cond::key_use),
        complexity: "O(1) for IFEQ and IFNE, O(N) for IFDEQ and IFDNE where N is the length of \
                     the value.",
        ..row(
            "delex",
            "8.4.0",
            "Removes a key if its value or the digest of its value compares as asked.",
            -2,
            "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::DELETE.and(KeyUse::VARIABLE))],
            Run::Write(cond::delex),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "delifeq",
            "9.0.0",
            "Removes a key if it holds this string.",
            3,
            "key value",
            &[KeySpec::one(1, Access::Remove).using(KeyUse::ACCESS.and(KeyUse::DELETE))],
            Run::Write(cond::delifeq),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: "O(N) where N is the length of the value.",
        ..row(
            "digest",
            "8.4.0",
            "Returns the XXH3 digest of a string as hexadecimal digits.",
            2,
            "key",
            READ,
            Run::Read(get::digest),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "get",
            "1.0.0",
            "Returns the string value of a key.",
            2,
            "key",
            READ,
            Run::Read(get::get),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "getdel",
            "6.2.0",
            "Returns the string value of a key and removes the key.",
            2,
            "key",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE))],
            Run::Write(get::getdel),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "getex",
            "6.2.0",
            "Returns the string value of a key and sets or takes off its time to live.",
            -2,
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | PERSIST]",
            CHANGE,
            Run::Write(get::getex),
        )
    },
    CommandSpec {
        complexity: BY_LENGTH,
        ..row(
            "getrange",
            "2.4.0",
            "Returns a part of a string.",
            4,
            "key start end",
            READ,
            Run::Read(range::getrange),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "getset",
            "1.0.0",
            "Sets a key to a string and returns the string it held.",
            3,
            "key value",
            CHANGE,
            Run::Write(get::getset),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "incr",
            "1.0.0",
            "Adds one to the integer value of a key, 0 if there is none.",
            2,
            "key",
            CHANGE,
            Run::Write(number::incr),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "incrby",
            "1.0.0",
            "Adds a number to the integer value of a key, 0 if there is none.",
            3,
            "key increment",
            CHANGE,
            Run::Write(number::incrby),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "incrbyfloat",
            "2.6.0",
            "Adds a number to the floating point value of a key, 0 if there is none.",
            3,
            "key increment",
            CHANGE,
            Run::Write(number::incrbyfloat),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "increx",
            "8.8.0",
            "Adds a number to the value of a key within bounds, and sets its time to live.",
            -2,
            "key [BYFLOAT float | BYINT integer] [SATURATE] [LBOUND lowerbound] \
             [UBOUND upperbound] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | PERSIST] [ENX]",
            CHANGE,
            Run::Write(increx::increx),
        )
    },
    CommandSpec {
        complexity: "O(N*M) where N and M are the lengths of the strings.",
        ..row(
            "lcs",
            "7.0.0",
            "Finds the longest common subsequence of two strings.",
            -3,
            "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
            &[KeySpec::range(1, 1, 1, Access::ReadOnly)],
            Run::Read(lcs::lcs),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_KEYS,
        tips: &["request_policy:multi_shard"],
        ..row(
            "mget",
            "1.0.0",
            "Returns the string values of keys.",
            -2,
            "key [key ...]",
            &[KeySpec::range(1, -1, 1, Access::ReadOnly)],
            Run::Read(get::mget),
        )
    },
    CommandSpec {
        flags: OOM,
        complexity: BY_KEYS,
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        ..row(
            "mset",
            "1.0.1",
            "Sets keys to strings, all at once.",
            -3,
            "key value [key value ...]",
            &[KeySpec::range(1, -1, 2, Access::Overwrite)],
            Run::Write(set::mset),
        )
    },
    CommandSpec {
        flags: OOM.and(Flags::MOVABLEKEYS),
        complexity: BY_KEYS,
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        ..row(
            "msetex",
            "8.4.0",
            "Sets keys to strings with a common time to live, under one condition.",
            -4,
            "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | \
             EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            &[KeySpec::new(
                crate::command::spec::Begin::Index(1),
                crate::command::spec::Find::KeyNum { first: 1, step: 2 },
                Access::Overwrite,
            )],
            Run::Write(set::msetex),
        )
    },
    CommandSpec {
        flags: OOM,
        complexity: BY_KEYS,
        ..row(
            "msetnx",
            "1.0.1",
            "Sets keys to strings, all at once, if none of them exists.",
            -3,
            "key value [key value ...]",
            &[KeySpec::range(1, -1, 2, Access::Overwrite).using(KeyUse::INSERT)],
            Run::Write(set::msetnx),
        )
    },
    CommandSpec {
        flags: OOM,
        ..row(
            "psetex",
            "2.6.0",
            "Sets a key to a string with a time to live in milliseconds.",
            4,
            "key milliseconds value",
            OVERWRITE,
            Run::Write(set::psetex),
        )
    },
    CommandSpec {
        flags: OOM,
        key_use: Some(set::key_use),
        ..row(
            "set",
            "1.0.0",
            "Sets a key to a string, whatever it held.",
            -3,
            "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | \
             IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | \
             EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            &[KeySpec::one(1, Access::ReadWrite)
                .using(KeyUse::ACCESS.and(KeyUse::UPDATE).and(KeyUse::VARIABLE))],
            Run::Write(set::set),
        )
    },
    CommandSpec {
        flags: OOM,
        ..row(
            "setex",
            "2.0.0",
            "Sets a key to a string with a time to live in seconds.",
            4,
            "key seconds value",
            OVERWRITE,
            Run::Write(set::setex),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "setnx",
            "1.0.0",
            "Sets a key to a string if the key does not exist.",
            3,
            "key value",
            &[KeySpec::one(1, Access::Overwrite).using(KeyUse::INSERT)],
            Run::Write(set::setnx),
        )
    },
    CommandSpec {
        flags: OOM,
        complexity: "O(N) where N is the length of the written part, which is usually small.",
        ..row(
            "setrange",
            "2.2.0",
            "Overwrites a part of a string from an offset on, or creates the key.",
            4,
            "key offset value",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::UPDATE)],
            Run::Write(range::setrange),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "strlen",
            "2.2.0",
            "Returns the length of a string.",
            2,
            "key",
            &[KeySpec::one(1, Access::ReadOnly).using(KeyUse::NONE)],
            Run::Read(get::strlen),
        )
    },
    CommandSpec {
        complexity: BY_LENGTH,
        ..row(
            "substr",
            "1.0.0",
            "Returns a part of a string.",
            4,
            "key start end",
            READ,
            Run::Read(range::getrange),
        )
    },
];

/// A string was appended to.
const APPEND: Event = Event::new(Class::STRING, "append");
/// A part of a string was overwritten.
const SETRANGE: Event = Event::new(Class::STRING, "setrange");
/// An integer was added.
const INCRBY: Event = Event::new(Class::STRING, "incrby");
/// A floating point number was added.
const INCRBYFLOAT: Event = Event::new(Class::STRING, "incrbyfloat");

/// Refuses a string that would grow beyond `proto-max-bulk-len`. What has been logged is
/// applied whatever the limit says now (Redis `checkStringLength`).
fn check_length(ks: &Keyspace<'_>, size: u64) -> CmdResult {
    if ks.is_replay() || size <= ks.limits.proto_max_bulk_len as u64 {
        Ok(())
    } else {
        Err(CmdError::TOO_LONG)
    }
}
