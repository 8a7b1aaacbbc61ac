//! The row of the form in which changes of slots are logged.
//!
//! The other rows of slots need the server; this one is in its table and in that of whoever replays a log.

use crate::command::{CommandSpec, Flags, Group, Run};
use crate::slots;

/// CDC.SLOT SET name [lsn created-us given-up]
pub const SET: CommandSpec = CommandSpec {
    name: "cdc.slot|set",
    group: Group::Server,
    since: "0.1.0",
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_MULTI),
    acl: &["@cdc"],
    summary: "The form in which changes of slots are logged. Use the other commands.",
    syntax: "name [lsn created-us given-up]",
    complexity: "O(log N) where N is the number of slots",
    run: Run::Write(slots::set),
    ..CommandSpec::DEFAULT
};

/// What a replay needs beside the engine's groups.
pub(super) const REPLAY: &[CommandSpec] = &[CommandSpec {
    name: "cdc.slot",
    group: Group::Server,
    since: "0.1.0",
    arity: -2,
    summary: "A container for commands on slots, of which a log holds one.",
    subs: &[SET],
    run: Run::Container,
    ..CommandSpec::DEFAULT
}];
