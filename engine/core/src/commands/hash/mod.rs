//! Hash commands. Fields whose time has come are never shown: a command that writes finds them
//! removed, one that reads passes over them. What changes a field keeps or clears its time to live as
//! [`crate::types::Hash`] says.
//!
//! | file | commands |
//! |---|---|
//! | [`fields`] | HSET HMSET HSETNX HDEL HGETDEL HGET HMGET HEXISTS HSTRLEN |
//! | [`expiry`] | HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HTTL HPTTL HEXPIRETIME HPEXPIRETIME HPERSIST HGETEX |
//! | [`setex`] | HSETEX |
//! | [`number`] | HINCRBY HINCRBYFLOAT |
//! | [`whole`] | HLEN HGETALL HKEYS HVALS HSCAN |
//! | [`random`] | HRANDFIELD |

mod expiry;
mod fields;
mod number;
mod random;
mod setex;
mod whole;

use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::event::{Class, Event};

const HSET: Event = Event::new(Class::HASH, "hset");
const HDEL: Event = Event::new(Class::HASH, "hdel");
const HEXPIRE: Event = Event::new(Class::HASH, "hexpire");
const HPERSIST: Event = Event::new(Class::HASH, "hpersist");
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

rows_of!(Group::Hash);

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
        complexity: PER_FIELD,
        ..row(
            "hexpire",
            "7.4.0",
            "Sets when fields expire, in seconds from now.",
            -6,
            "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            UPDATE,
            Run::Write(expiry::hexpire),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hexpireat",
            "7.4.0",
            "Sets when fields expire, in seconds since 1970.",
            -6,
            "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            UPDATE,
            Run::Write(expiry::hexpireat),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hexpiretime",
            "7.4.0",
            "Returns when fields expire, in seconds since 1970.",
            -5,
            "key FIELDS numfields field [field ...]",
            READ,
            Run::Read(expiry::hexpiretime),
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
        flags: FAST.and(Flags::SHRINKS),
        complexity: PER_FIELD,
        ..row(
            "hgetdel",
            "8.0.0",
            "Returns the values of fields and removes the fields.",
            -5,
            "key FIELDS numfields field [field ...]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE))],
            Run::Write(fields::hgetdel),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hgetex",
            "8.0.0",
            "Returns the values of fields and sets or takes off their time to live.",
            -5,
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
            &[KeySpec::one(1, Access::ReadWrite)],
            Run::Write(expiry::hgetex),
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
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hpersist",
            "7.4.0",
            "Takes the time to live off fields.",
            -5,
            "key FIELDS numfields field [field ...]",
            UPDATE,
            Run::Write(expiry::hpersist),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hpexpire",
            "7.4.0",
            "Sets when fields expire, in milliseconds from now.",
            -6,
            "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            UPDATE,
            Run::Write(expiry::hpexpire),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hpexpireat",
            "7.4.0",
            "Sets when fields expire, in milliseconds since 1970.",
            -6,
            "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
            UPDATE,
            Run::Write(expiry::hpexpireat),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        ..row(
            "hpexpiretime",
            "7.4.0",
            "Returns when fields expire, in milliseconds since 1970.",
            -5,
            "key FIELDS numfields field [field ...]",
            READ,
            Run::Read(expiry::hpexpiretime),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: PER_FIELD,
        tips: ANY_OUTPUT,
        ..row(
            "hpttl",
            "7.4.0",
            "Returns the time to live of fields in milliseconds.",
            -5,
            "key FIELDS numfields field [field ...]",
            READ,
            Run::Read(expiry::hpttl),
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
        complexity: PER_FIELD,
        ..row(
            "hsetex",
            "8.0.0",
            "Sets fields and their time to live, all or none.",
            -6,
            "key [FNX | FXX | NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
            UPDATE,
            Run::Write(setex::hsetex),
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
        flags: FAST,
        complexity: PER_FIELD,
        tips: ANY_OUTPUT,
        ..row(
            "httl",
            "7.4.0",
            "Returns the time to live of fields in seconds.",
            -5,
            "key FIELDS numfields field [field ...]",
            READ,
            Run::Read(expiry::httl),
        )
    },
    CommandSpec {
        complexity: WHOLE,
        tips: ANY_ORDER,
        ..row("hvals", "2.0.0", "Returns all values.", 2, "key", READ, Run::Read(whole::hvals))
    },
];
