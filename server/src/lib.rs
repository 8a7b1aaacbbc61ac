//! The RESP server around the engine.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the option table, files, flags, CONFIG |
//! | `net` | two drivers and the one connection state machine |
//! | `service` | the engine behind the connections: sessions, clients, limits |
//! | `commands` | rows of the command table that belong to the server |
//! | `runtime` | the thread of a shard: turns, recovery, stop |
//! | `process` | command line, data directory, log, signals, exit codes |
//!
//! Never changes a value except through the executor, and knows no byte layout.

mod commands;
pub mod config;
mod memory;
mod net;
mod process;
mod runtime;
mod service;

pub use process::run;
