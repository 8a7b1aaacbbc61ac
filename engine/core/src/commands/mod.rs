//! Command rows and their functions, one file per group.
//!
//! To add a command: write the function, put its row into the group's `COMMANDS`, add its
//! script to `tests/scripts`. Everything else derives from the row.

pub mod connection;
pub mod generic;
pub mod string;
pub mod transactions;

use crate::command::CommandSpec;

/// The row lists of the engine. The server adds its own when it builds the table.
pub const GROUPS: &[&[CommandSpec]] =
    &[connection::COMMANDS, generic::COMMANDS, string::COMMANDS, transactions::COMMANDS];
