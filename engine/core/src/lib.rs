//! The shard engine: keyspace, types, commands, executor, journal.
//!
//! A deterministic state machine: instant, request and session go in; reply, effects and
//! events come out. It reads no clock, opens no file, owns no socket and draws no randomness
//! of its own, so the same core runs under every driver and in the simulator.
//!
//! | module | owns |
//! |---|---|
//! | [`command`] | the command table: rows, lookup, key extraction |
//! | [`commands`] | the rows and functions, one file per group |
//! | [`exec`] | the executor: refusals, units, MULTI |
//! | [`db`] | databases, the edit guard, expiry, WATCH |
//! | [`journal`] | effects, the one write path and the one read-back path |
//! | [`longdouble`] | the 80-bit numbers of INCRBYFLOAT |
//! | [`plane`] | state beside the keys: records, sections, floors |
//! | [`points`] | named places in the log to recover to |
//! | [`redis_digest`] | DEBUG DIGEST, as Redis computes it |
//! | [`reload`] | the whole data set through another form and back |
//! | [`script`] | Lua: scripts, libraries of functions |
//! | [`slots`] | named places in the log that readers of changes hold |
//! | [`snapshot`] | the whole shard at one moment, written while it goes on |
//! | [`types`] | lists, hashes, sets, sorted sets |

pub mod acl;
pub mod args;
pub mod clock;
pub mod command;
pub mod commands;
pub mod db;
pub mod digest;
pub mod error;
pub mod event;
pub mod exec;
pub mod glob;
pub mod import;
pub mod journal;
pub mod longdouble;
mod persist;
pub mod plane;
pub mod points;
pub mod redis_digest;
pub mod reload;
pub mod script;
pub mod slots;
pub mod snapshot;
pub mod types;
