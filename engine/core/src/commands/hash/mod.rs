//! Hash commands. Fields whose time has come are never shown; what changes a field keeps or
//! clears its time to live as [`crate::types::Hash`] says.
//!
//! | file | commands |
//! |---|---|
//! | [`fields`] | HSET HMSET HSETNX HDEL HGET HMGET HEXISTS HSTRLEN |
//! | [`number`] | HINCRBY HINCRBYFLOAT |
//! | [`whole`] | HLEN HGETALL HKEYS HVALS HSCAN |
//! | [`random`] | HRANDFIELD |

mod fields;
mod number;
mod random;
mod whole;

#[cfg(test)]
mod tests;

use crate::clock::Now;
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::event::{Class, Event};
use crate::types::{Hash, Item};

const HSET: Event = Event::new(Class::HASH, "hset");
const HDEL: Event = Event::new(Class::HASH, "hdel");
const HINCRBY: Event = Event::new(Class::HASH, "hincrby");
const HINCRBYFLOAT: Event = Event::new(Class::HASH, "hincrbyfloat");

const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const LOOK: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly).using(KeyUse::NONE)];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::UPDATE)];

const FAST: Flags = Flags::FAST;
const OOM_FAST: Flags = Flags::DENYOOM.and(FAST);

const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];
const ANY_OUTPUT: &[&str] = &["nondeterministic_output"];

const PER_FIELD: &str = "O(N) where N is the number of fields given.";
const WHOLE: &str = "O(N) where N is the size of the hash.";

const fn row(
    name: &'static str,
    since: &'static str,
    summary: &'static str,
    arity: i16,
    syntax: &'static str,
    keys: &'static [KeySpec],
    run: Run,
) -> CommandSpec {
    CommandSpec {
        name,
        group: Group::Hash,
        since,
        summary,
        arity,
        syntax,
        keys,
        run,
        ..CommandSpec::DEFAULT
    }
}

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: FAST.and(Flags::SHRINKS),
        complexity: PER_FIELD,
        ..row(
            "hdel",
            "2.0.0",
            "Removes fields.",
            -3,
            "key field [field ...]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::DELETE)],
            Run::Write(fields::hdel),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "hexists",
            "2.0.0",
            "Tells whether a hash has a field.",
            3,
            "key field",
            LOOK,
            Run::Read(fields::hexists),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "hget",
            "2.0.0",
            "Returns the value of a field.",
            3,
            "key field",
            READ,
            Run::Read(fields::hget),
        )
    },
    CommandSpec {
        complexity: WHOLE,
        tips: ANY_ORDER,
        ..row(
            "hgetall",
            "2.0.0",
            "Returns all fields and values.",
            2,
            "key",
            READ,
            Run::Read(whole::hgetall),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "hincrby",
            "2.0.0",
            "Adds to the integer in a field, which is 0 if there is none.",
            4,
            "key field increment",
            &[KeySpec::one(1, Access::ReadWrite)],
            Run::Write(number::hincrby),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "hincrbyfloat",
            "2.6.0",
            "Adds to the floating point number in a field, which is 0 if there is none.",
            4,
            "key field increment",
            &[KeySpec::one(1, Access::ReadWrite)],
            Run::Write(number::hincrbyfloat),
        )
    },
    CommandSpec {
        complexity: WHOLE,
        tips: ANY_ORDER,
        ..row("hkeys", "2.0.0", "Returns all fields.", 2, "key", READ, Run::Read(whole::hkeys))
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "hlen",
            "2.0.0",
            "Returns the number of fields.",
            2,
            "key",
            LOOK,
            Run::Read(whole::hlen),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hmget",
            "2.0.0",
            "Returns the values of several fields.",
            -3,
            "key field [field ...]",
            READ,
            Run::Read(fields::hmget),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        complexity: PER_FIELD,
        ..row(
            "hmset",
            "2.0.0",
            "Sets fields; HSET does the same.",
            -4,
            "key field value [field value ...]",
            UPDATE,
            Run::Write(fields::hmset),
        )
    },
    CommandSpec {
        complexity: "O(N) where N is the number of fields returned.",
        tips: ANY_OUTPUT,
        ..row(
            "hrandfield",
            "6.2.0",
            "Returns fields picked at random.",
            -2,
            "key [count [WITHVALUES]]",
            READ,
            Run::Read(random::hrandfield),
        )
    },
    CommandSpec {
        complexity: "O(1) for a call, O(N) for a whole round where N is the size of the hash.",
        tips: ANY_OUTPUT,
        ..row(
            "hscan",
            "2.8.0",
            "Goes through the fields and values of a hash in steps.",
            -3,
            "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
            READ,
            Run::Read(whole::hscan),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        complexity: PER_FIELD,
        ..row(
            "hset",
            "2.0.0",
            "Sets fields, creating the hash if there is none.",
            -4,
            "key field value [field value ...]",
            UPDATE,
            Run::Write(fields::hset),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "hsetnx",
            "2.0.0",
            "Sets a field unless it is there.",
            4,
            "key field value",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::INSERT)],
            Run::Write(fields::hsetnx),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "hstrlen",
            "3.2.0",
            "Returns the length of the value of a field.",
            3,
            "key field",
            LOOK,
            Run::Read(fields::hstrlen),
        )
    },
    CommandSpec {
        complexity: WHOLE,
        tips: ANY_ORDER,
        ..row("hvals", "2.0.0", "Returns all values.", 2, "key", READ, Run::Read(whole::hvals))
    },
];

/// A field as a command that changes it finds it.
struct Old<'a> {
    /// Its value, if it is there and not due.
    value: Option<Item<'a>>,
    /// Whether it has a time to live that goes on.
    expires: bool,
    /// Whether it is due but not yet gone. When the log is read back nothing is due, so a change
    /// that rests on its being gone is logged as HSET, which does not ask.
    due: bool,
}

impl<'a> Old<'a> {
    fn of(hash: &'a Hash, field: &[u8], now: Now) -> Self {
        match hash.get_with_expire(field, 0) {
            None => Old { value: None, expires: false, due: false },
            Some((_, Some(at))) if at <= now.unix_ms => {
                Old { value: None, expires: false, due: true }
            }
            Some((value, at)) => Old { value: Some(value), expires: at.is_some(), due: false },
        }
    }
}
