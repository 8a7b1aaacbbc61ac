//! Command rows and their functions, one file per group.
//!
//! To add a command: write the function, put its row into the group's `COMMANDS`, add its
//! script to `tests/scripts`. Everything else derives from the row.

/// Defines `row`: what the rows of a group's table spell out, in this order, and the usual rest.
/// A group's own usual complexity may follow its name.
macro_rules! rows_of {
    ($group:expr) => {
        rows_of!($group, CommandSpec::DEFAULT.complexity);
    };
    ($group:expr, $complexity:expr) => {
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
                group: $group,
                complexity: $complexity,
                since,
                summary,
                arity,
                syntax,
                keys,
                run,
                ..CommandSpec::DEFAULT
            }
        }
    };
}

pub mod bitmap;
pub mod connection;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod introspection;
pub mod list;
mod sampling;
mod scan;
pub mod scripting;
pub mod set;
pub mod slots;
pub mod stream;
pub mod string;
pub mod transactions;
mod ttl;
pub mod zset;

use crate::command::{CommandSpec, CommandTable};
use moon_ds::Item;
use moon_formats::resp::Reply;

/// The row lists of the engine. The server adds its own when it builds the table.
pub const GROUPS: &[&[CommandSpec]] = &[
    bitmap::COMMANDS,
    connection::COMMANDS,
    generic::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    introspection::COMMANDS,
    list::COMMANDS,
    scripting::COMMANDS,
    set::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
    zset::COMMANDS,
];

/// The table of whoever replays a log without being a server: the engine's rows, and those of a server's
/// commands that are logged.
pub fn replay_table() -> CommandTable {
    let mut groups = GROUPS.to_vec();
    groups.push(slots::LOGGED);
    CommandTable::new(&groups)
}

/// The reply of a container's HELP: one status line per line of text.
pub fn help(out: &mut Reply<'_>, name: &str, lines: &[(&str, &str)]) {
    out.array(lines.len() * 2 + 3);
    out.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (call, text) in lines {
        out.simple(call);
        out.simple(&format!("    {text}"));
    }
    out.simple("HELP");
    out.simple("    Print this help.");
}

/// Writes an element as a bulk string.
#[inline]
pub(crate) fn put_item(out: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(n) => out.bulk_int(n),
        Item::Bytes(b) => out.bulk(b),
    }
}

#[cfg(test)]
mod wrong_type_tests;
