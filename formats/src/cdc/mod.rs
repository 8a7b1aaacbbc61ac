//! Change events: what a log record or a row of a snapshot says, as a JSON envelope after Debezium.
//!
//! The one idea: a record decodes to changes, a change encodes to an envelope, and neither needs the data set
//! nor the engine. Which key an effect changed, and whether it came or went, is in the record
//! ([`crate::wal::EffectMeta`]); the type that a command works on is in a table that is generated from the
//! command table (`commands.txt`).
//!
//! Invariants:
//! * The order of keys in an envelope is fixed, and each envelope is one line of valid JSON.
//! * Bytes that are not UTF-8 are `{"_b64":"..."}`; everything else is the text itself.
//! * `total_order` counts all changes of a record, also those that a reader filters out, so a change has the
//!   same `(shard, lsn, total_order)` for everybody and forever.
//!
//! The envelope is described in `docs/cdc.md`.

#![warn(clippy::indexing_slicing)]

mod change;
mod commands;
mod envelope;

pub use change::{Change, Changes, Effect, Kind, Op, Plane, Reason};
pub use commands::{Role, put_row};
pub use envelope::{At, Encoder, Format, Row, Snapshot, Unit};

#[cfg(test)]
mod tests;
