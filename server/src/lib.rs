//! The RESP server around the engine.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the option table, files, flags, CONFIG |
//! | `net` | two drivers and the one connection state machine |
//! | `service` | the engine behind the connections: sessions, clients, limits |
//! | `admin` | the admin port: health, readiness, metrics |
//! | `commands` | rows of the command table that belong to the server |
//! | `runtime` | the thread of a shard: turns, recovery, stop |
//! | `tls` | certificates, keys and rules of TLS, from the options |
//! | `process` | command line, data directory, log, signals, exit codes |
//!
//! Never changes a value except through the executor, and knows no byte layout.

mod admin;
mod commands;
pub mod config;
mod memory;
mod net;
mod process;
mod runtime;
mod service;
mod tls;

/// Version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, if the build said so (`MOON_COMMIT`).
pub(crate) const COMMIT: &str = match option_env!("MOON_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

#[doc(hidden)]
pub use net::secure::hostile as hostile_tls;
pub use process::run;
