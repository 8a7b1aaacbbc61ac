//! The executor: the only caller of command functions, whoever asks.
//!
//! [`Shard::run`] takes one request of a session through the order of refusals
//! (redis-surface §2), queues it inside MULTI, or runs it in a unit that is committed before
//! the call returns. Replay uses [`Shard::apply`], the same path without session and log.
//! Invariants: one unit is open at a time; a request either runs to its end and its unit is
//! committed, or it is refused and nothing has changed.

mod busy;
mod context;
mod evict;
mod moving;
pub(crate) mod multi;
mod role;
mod run;
mod session;
mod shard;
pub mod stats;
mod wait;

pub use context::{ReadCx, SessionCx, WriteCx};
pub use evict::{Evictable, MemoryRules, Order};
pub use moving::Packed;
pub use role::Role;
pub use run::{Host, Outcome, Sample};
pub use session::{ClientReply, Session};
pub use shard::{Listen, Shard, ShardConfig};
pub use wait::{Deadline, Wait, WaitFigures, Waiting, Woken, timeout_ms, timeout_secs};
