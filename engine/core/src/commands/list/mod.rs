//! List commands.
//!
//! | file | commands |
//! |---|---|
//! | [`ends`] | LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LMPOP |
//! | [`inside`] | LLEN LINDEX LRANGE LPOS LSET LINSERT LREM LTRIM |
//! | [`moves`] | LMOVE RPOPLPUSH LMOVEM |
//! | [`blocking`] | BLPOP BRPOP BLMPOP BLMOVE BRPOPLPUSH BLMOVEM |

mod blocking;
mod ends;
mod inside;
mod moves;

use crate::args::Args;
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use moon_ds::chunklist::End;

const LPUSH: Event = Event::new(Class::LIST, "lpush");
const RPUSH: Event = Event::new(Class::LIST, "rpush");
const LPOP: Event = Event::new(Class::LIST, "lpop");
const RPOP: Event = Event::new(Class::LIST, "rpop");

const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const LENGTH: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly).using(KeyUse::NONE)];
const PUSH: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::INSERT)];
const POP: &[KeySpec] =
    &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE))];
const DELETE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::DELETE)];
const MOVE: &[KeySpec] = &[
    KeySpec::one(1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE)),
    KeySpec::one(2, Access::ReadWrite).using(KeyUse::INSERT),
];

const PER_ELEMENT: &str = "O(N) where N is the number of elements.";
const OOM_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

rows_of!(Group::List, PER_ELEMENT);

const BLOCKING_POP: Flags = Flags::BLOCKING.and(Flags::SHRINKS);
const BLOCKING_MOVE: Flags = Flags::BLOCKING.and(Flags::DENYOOM);
const POP_MANY: &[KeySpec] =
    &[KeySpec::range(1, -2, 1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE))];

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: BLOCKING_MOVE,
        complexity: "O(1)",
        ..row(
            "blmove",
            "6.2.0",
            "Pops an element of one list, pushes it to another and returns it; waits until there is one.",
            6,
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
            MOVE,
            Run::Write(blocking::blmove),
        )
    },
    CommandSpec {
        flags: BLOCKING_MOVE,
        ..row(
            "blmovem",
            "8.10.0",
            "Moves elements of one list to another and returns them; waits until there are some.",
            -6,
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
            MOVE,
            Run::Write(blocking::blmovem),
        )
    },
    CommandSpec {
        flags: BLOCKING_POP.and(Flags::MOVABLEKEYS),
        ..row(
            "blmpop",
            "7.0.0",
            "Pops elements of the first list that is not empty; waits until one is not.",
            -5,
            "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
            &[KeySpec::counted(2, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE))],
            Run::Write(blocking::blmpop),
        )
    },
    CommandSpec {
        flags: BLOCKING_POP,
        complexity: "O(N) where N is the number of keys.",
        ..row(
            "blpop",
            "2.0.0",
            "Pops the first element of the first list that is not empty; waits until one is not.",
            -3,
            "key [key ...] timeout",
            POP_MANY,
            Run::Write(blocking::blpop),
        )
    },
    CommandSpec {
        flags: BLOCKING_POP,
        complexity: "O(N) where N is the number of keys.",
        ..row(
            "brpop",
            "2.0.0",
            "Pops the last element of the first list that is not empty; waits until one is not.",
            -3,
            "key [key ...] timeout",
            POP_MANY,
            Run::Write(blocking::brpop),
        )
    },
    CommandSpec {
        flags: BLOCKING_MOVE,
        complexity: "O(1)",
        ..row(
            "brpoplpush",
            "2.2.0",
            "Pops the last element of one list, pushes it in front of another and returns it; waits until there is one.",
            4,
            "source destination timeout",
            MOVE,
            Run::Write(blocking::brpoplpush),
        )
    },
    CommandSpec {
        complexity: "O(N) where N is the number of elements to the one asked for.",
        ..row(
            "lindex",
            "1.0.0",
            "Returns the element at an index.",
            3,
            "key index",
            READ,
            Run::Read(inside::lindex),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        ..row(
            "linsert",
            "2.2.0",
            "Inserts an element before or after another.",
            5,
            "key <BEFORE | AFTER> pivot element",
            PUSH,
            Run::Write(inside::linsert),
        )
    },
    CommandSpec {
        flags: Flags::FAST,
        complexity: "O(1)",
        ..row(
            "llen",
            "1.0.0",
            "Returns the length of a list.",
            2,
            "key",
            LENGTH,
            Run::Read(inside::llen),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        complexity: "O(1)",
        ..row(
            "lmove",
            "6.2.0",
            "Pops an element of one list, pushes it to another and returns it.",
            5,
            "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
            MOVE,
            Run::Write(moves::lmove),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        ..row(
            "lmovem",
            "8.10.0",
            "Moves elements of one list to another and returns them.",
            -5,
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
            MOVE,
            Run::Write(moves::lmovem),
        )
    },
    CommandSpec {
        flags: Flags::MOVABLEKEYS,
        ..row(
            "lmpop",
            "7.0.0",
            "Pops elements of the first list that is not empty.",
            -4,
            "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
            &[KeySpec::counted(1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE))],
            Run::Write(ends::lmpop),
        )
    },
    CommandSpec {
        flags: Flags::FAST.and(Flags::SHRINKS),
        ..row(
            "lpop",
            "1.0.0",
            "Pops the first elements.",
            -2,
            "key [count]",
            POP,
            Run::Write(ends::lpop),
        )
    },
    row(
        "lpos",
        "6.0.6",
        "Returns the index of matching elements.",
        -3,
        "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        READ,
        Run::Read(inside::lpos),
    ),
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "lpush",
            "1.0.0",
            "Pushes elements in front, creating the list if there is none.",
            -3,
            "key element [element ...]",
            PUSH,
            Run::Write(ends::lpush),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "lpushx",
            "2.2.0",
            "Pushes elements in front of a list that exists.",
            -3,
            "key element [element ...]",
            PUSH,
            Run::Write(ends::lpushx),
        )
    },
    row(
        "lrange",
        "1.0.0",
        "Returns a range of elements.",
        4,
        "key start stop",
        READ,
        Run::Read(inside::lrange),
    ),
    CommandSpec {
        flags: Flags::SHRINKS,
        ..row(
            "lrem",
            "1.0.0",
            "Removes elements by value.",
            4,
            "key count element",
            DELETE,
            Run::Write(inside::lrem),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        ..row(
            "lset",
            "1.0.0",
            "Replaces the element at an index.",
            4,
            "key index element",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::UPDATE)],
            Run::Write(inside::lset),
        )
    },
    CommandSpec {
        flags: Flags::SHRINKS,
        ..row(
            "ltrim",
            "1.0.0",
            "Keeps only a range of elements.",
            4,
            "key start stop",
            DELETE,
            Run::Write(inside::ltrim),
        )
    },
    CommandSpec {
        flags: Flags::FAST.and(Flags::SHRINKS),
        ..row(
            "rpop",
            "1.0.0",
            "Pops the last elements.",
            -2,
            "key [count]",
            POP,
            Run::Write(ends::rpop),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        complexity: "O(1)",
        ..row(
            "rpoplpush",
            "1.2.0",
            "Pops the last element of one list, pushes it in front of another and returns it.",
            3,
            "source destination",
            MOVE,
            Run::Write(moves::rpoplpush),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "rpush",
            "1.0.0",
            "Pushes elements at the end, creating the list if there is none.",
            -3,
            "key element [element ...]",
            PUSH,
            Run::Write(ends::rpush),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "rpushx",
            "2.2.0",
            "Pushes elements at the end of a list that exists.",
            -3,
            "key element [element ...]",
            PUSH,
            Run::Write(ends::rpushx),
        )
    },
];

/// `LEFT` or `RIGHT`.
fn end(a: Args<'_>, i: usize) -> CmdResult<End> {
    if a.is(i, "LEFT") {
        Ok(End::Front)
    } else if a.is(i, "RIGHT") {
        Ok(End::Back)
    } else {
        Err(CmdError::SYNTAX)
    }
}

const fn pushed(end: End) -> Event {
    match end {
        End::Front => LPUSH,
        End::Back => RPUSH,
    }
}

const fn popped(end: End) -> Event {
    match end {
        End::Front => LPOP,
        End::Back => RPOP,
    }
}
