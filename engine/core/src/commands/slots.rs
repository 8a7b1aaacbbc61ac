//! The row of the form in which changes of slots are logged.
//!
//! Commands on slots need the server; this row is in its table and in that of whoever replays a log, and nobody calls it.

use crate::command::{CommandSpec, Flags, Group, Run};
use crate::slots;

/// CDC.SLOT SET name [lsn created-us given-up]
pub const LOGGED: &[CommandSpec] = &[CommandSpec {
    name: "cdc.slot|set",
    group: Group::Server,
    since: "0.1.0",
    arity: -3,
    flags: Flags::LOGGED,
    summary: "The form in which changes of slots are logged.",
    syntax: "name [lsn created-us given-up]",
    complexity: "O(log N) where N is the number of slots",
    run: Run::Write(slots::set),
    ..CommandSpec::DEFAULT
}];
