//! Set commands.
//!
//! | file | commands |
//! |---|---|
//! | [`members`] | SADD SREM SMOVE SISMEMBER SMISMEMBER SCARD SMEMBERS |
//! | [`random`] | SPOP SRANDMEMBER |
//! | [`algebra`] | SINTER SUNION SDIFF, their storing and their counting forms |
//! | [`walk`] | SSCAN |

mod algebra;
mod members;
mod random;
mod walk;

use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::event::{Class, Event};

const SADD: Event = Event::new(Class::SET, "sadd");
const SREM: Event = Event::new(Class::SET, "srem");
const SPOP: Event = Event::new(Class::SET, "spop");
const SINTERSTORE: Event = Event::new(Class::SET, "sinterstore");
const SUNIONSTORE: Event = Event::new(Class::SET, "sunionstore");
const SDIFFSTORE: Event = Event::new(Class::SET, "sdiffstore");

const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const LOOK: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly).using(KeyUse::NONE)];
const INPUTS: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::ReadOnly)];
const COUNTED: &[KeySpec] = &[KeySpec::counted(1, Access::ReadOnly)];
const TO_KEY: &[KeySpec] =
    &[KeySpec::one(1, Access::Overwrite), KeySpec::range(2, -1, 1, Access::ReadOnly)];
const POPS: KeyUse = KeyUse::ACCESS.and(KeyUse::DELETE);

const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];
const ANY_OUTPUT: &[&str] = &["nondeterministic_output"];

const PER_MEMBER: &str = "O(N) where N is the number of members given.";
const WHOLE: &str = "O(N) where N is the size of the set.";
const PICKED: &str = "O(1) without a count, else O(N) where N is the count.";
const INTER: &str = "O(N*M) where N is the size of the smallest set and M the number of sets.";
const ALL: &str = "O(N) where N is the size of all sets together.";

rows_of!(Group::Set);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: Flags::DENYOOM.and(Flags::FAST),
        complexity: PER_MEMBER,
        ..row(
            "sadd",
            "1.0.0",
            "Adds members, creating the set if there is none.",
            -3,
            "key member [member ...]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::INSERT)],
            Run::Write(members::sadd),
        )
    },
    CommandSpec {
        flags: Flags::FAST,
        ..row(
            "scard",
            "1.0.0",
            "Returns the number of members of a set.",
            2,
            "key",
            LOOK,
            Run::Read(members::scard),
        )
    },
    CommandSpec {
        complexity: ALL,
        tips: ANY_ORDER,
        ..row(
            "sdiff",
            "1.0.0",
            "Returns the members of the first set that no other one has.",
            -2,
            "key [key ...]",
            INPUTS,
            Run::Read(algebra::sdiff),
        )
    },
    CommandSpec {
        complexity: ALL,
        flags: Flags::MOVABLEKEYS,
        ..row(
            "sdiffcard",
            "8.10.0",
            "Counts the members of the first set that no other one has.",
            -3,
            "numkeys key [key ...] [LIMIT limit]",
            COUNTED,
            Run::Read(algebra::sdiffcard),
        )
    },
    CommandSpec {
        complexity: ALL,
        flags: Flags::DENYOOM,
        ..row(
            "sdiffstore",
            "1.0.0",
            "Stores the members of the first set that no other one has.",
            -3,
            "destination key [key ...]",
            TO_KEY,
            Run::Write(algebra::sdiffstore),
        )
    },
    CommandSpec {
        complexity: INTER,
        tips: ANY_ORDER,
        ..row(
            "sinter",
            "1.0.0",
            "Returns the members that all sets have.",
            -2,
            "key [key ...]",
            INPUTS,
            Run::Read(algebra::sinter),
        )
    },
    CommandSpec {
        complexity: INTER,
        flags: Flags::MOVABLEKEYS,
        ..row(
            "sintercard",
            "7.0.0",
            "Counts the members that all sets have.",
            -3,
            "numkeys key [key ...] [LIMIT limit]",
            COUNTED,
            Run::Read(algebra::sintercard),
        )
    },
    CommandSpec {
        complexity: INTER,
        flags: Flags::DENYOOM,
        ..row(
            "sinterstore",
            "1.0.0",
            "Stores the members that all sets have.",
            -3,
            "destination key [key ...]",
            TO_KEY,
            Run::Write(algebra::sinterstore),
        )
    },
    CommandSpec {
        flags: Flags::FAST,
        ..row(
            "sismember",
            "1.0.0",
            "Tells whether a set has a member.",
            3,
            "key member",
            LOOK,
            Run::Read(members::sismember),
        )
    },
    CommandSpec {
        complexity: WHOLE,
        tips: ANY_ORDER,
        ..row(
            "smembers",
            "1.0.0",
            "Returns all members of a set.",
            2,
            "key",
            READ,
            Run::Read(members::smembers),
        )
    },
    CommandSpec {
        flags: Flags::FAST,
        complexity: PER_MEMBER,
        ..row(
            "smismember",
            "6.2.0",
            "Tells which of several members a set has.",
            -3,
            "key member [member ...]",
            READ,
            Run::Read(members::smismember),
        )
    },
    CommandSpec {
        flags: Flags::FAST,
        ..row(
            "smove",
            "1.0.0",
            "Moves a member from one set to another.",
            4,
            "source destination member",
            &[
                KeySpec::one(1, Access::ReadWrite).using(POPS),
                KeySpec::one(2, Access::ReadWrite).using(KeyUse::INSERT),
            ],
            Run::Write(members::smove),
        )
    },
    CommandSpec {
        flags: Flags::FAST.and(Flags::SHRINKS),
        complexity: PICKED,
        tips: ANY_OUTPUT,
        ..row(
            "spop",
            "1.0.0",
            "Takes members out at random and returns them.",
            -2,
            "key [count]",
            &[KeySpec::one(1, Access::ReadWrite).using(POPS)],
            Run::Write(random::spop),
        )
    },
    CommandSpec {
        complexity: PICKED,
        tips: ANY_OUTPUT,
        ..row(
            "srandmember",
            "1.0.0",
            "Returns members picked at random.",
            -2,
            "key [count]",
            READ,
            Run::Read(random::srandmember),
        )
    },
    CommandSpec {
        flags: Flags::FAST.and(Flags::SHRINKS),
        complexity: PER_MEMBER,
        ..row(
            "srem",
            "1.0.0",
            "Removes members.",
            -3,
            "key member [member ...]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::DELETE)],
            Run::Write(members::srem),
        )
    },
    CommandSpec {
        complexity: "O(1) for a call, O(N) for a whole round where N is the size of the set.",
        tips: ANY_OUTPUT,
        ..row(
            "sscan",
            "2.8.0",
            "Goes through the members of a set in steps.",
            -3,
            "key cursor [MATCH pattern] [COUNT count]",
            READ,
            Run::Read(walk::sscan),
        )
    },
    CommandSpec {
        complexity: ALL,
        tips: ANY_ORDER,
        ..row(
            "sunion",
            "1.0.0",
            "Returns the members that any of the sets has.",
            -2,
            "key [key ...]",
            INPUTS,
            Run::Read(algebra::sunion),
        )
    },
    CommandSpec {
        complexity: ALL,
        flags: Flags::MOVABLEKEYS,
        ..row(
            "sunioncard",
            "8.10.0",
            "Counts the members that any of the sets has.",
            -3,
            "numkeys key [key ...] [APPROX] [LIMIT limit]",
            COUNTED,
            Run::Read(algebra::sunioncard),
        )
    },
    CommandSpec {
        complexity: ALL,
        flags: Flags::DENYOOM,
        ..row(
            "sunionstore",
            "1.0.0",
            "Stores the members that any of the sets has.",
            -3,
            "destination key [key ...]",
            TO_KEY,
            Run::Write(algebra::sunionstore),
        )
    },
];
