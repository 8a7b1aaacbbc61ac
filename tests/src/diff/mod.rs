//! The differential tester: the same random commands to two servers, every reply compared.
//!
//! One server is the *oracle* (a real Redis), the other the *subject*. A seeded generator makes
//! [`Op`]s over small pools of keys and members, so that commands meet, hit wrong types, wrong arities
//! and boundary numbers. The executor pipelines them to both and compares replies under the rule of
//! each command: exact, or without order, or within a tolerance of time, or against the set that a
//! random reply was drawn from. At checkpoints every key of every database is walked and compared.
//!
//! A difference is shrunk to a minimal sequence. The same seed always makes the same sequence.

mod compare;
mod dumps;
mod explained;
mod gen_bits;
mod gen_dump;
mod gen_geo;
mod gen_hashes;
mod gen_hll;
mod gen_keys;
mod gen_lists;
mod gen_scripts;
mod gen_sets;
mod gen_streams;
mod gen_strings;
mod gen_waits;
mod gen_zsets;
mod generate;
mod lacking;
mod run;
mod shrink;
mod waits;

pub use gen_scripts::texts as script_texts;
pub use generate::{Generator, Group, Proto};
pub use lacking::{lacking, without};
pub use run::{Failure, Pair, Stats, run};
pub use shrink::shrink;

use crate::Command;

/// One step of a run; shrinking drops whole ops first.
#[derive(Clone, Debug)]
pub struct Op {
    /// How the commands are executed.
    pub kind: Kind,
    /// The commands, in order.
    pub commands: Vec<Command>,
}

/// How an op is executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Pipelined as they are.
    Pipe,
    /// One SPOP: after comparing, the subject's choice is replaced by the oracle's.
    Pop,
    /// One SCAN, HSCAN, SSCAN or ZSCAN, followed to the end on both sides; elements are compared as
    /// a set.
    Scan,
    /// DUMP, and RESTORE with the payload of the same side; then the value it made is compared.
    Dump,
    /// Commands that wait, each on a connection of its own, then those that may wake them.
    Waits,
    /// Compare the whole state.
    Checkpoint,
    /// The same without encodings, which may change when a server reads its log: the result of
    /// INCRBYFLOAT is logged as SET, and that makes an integer of it.
    Reloaded,
}

impl Op {
    /// A pipelined op.
    pub fn pipe(commands: Vec<Command>) -> Op {
        Op { kind: Kind::Pipe, commands }
    }

    /// A comparison of the whole state after one side has been started again.
    pub fn reloaded() -> Op {
        Op { kind: Kind::Reloaded, commands: Vec::new() }
    }

    /// A comparison of the whole state.
    pub fn checkpoint() -> Op {
        Op { kind: Kind::Checkpoint, commands: Vec::new() }
    }
}
