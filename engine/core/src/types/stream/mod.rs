//! Streams: entries in order of their ids, in blocks of a listpack each, with consumer groups.
//!
//! Blocks hold their entries exactly as Redis' stream nodes do, tombstones included, because block
//! boundaries can be seen: approximate trimming removes whole blocks only. Where a block ends follows
//! `stream-node-max-bytes` and `-entries`. The blocks, and what a group has pending, are looked up in
//! ordered maps by id. An empty stream is a key like any other.

//!
//! | file | what |
//! |---|---|
//! | `block` | one block |
//! | `log` | all entries, and what is counted about them |
//! | `group` | a consumer group |
//! | `idempotence` | which entries producers have added |
//! | `lag` | how far a group is behind |
//! | `refs` | what becomes of entries that groups refer to |
//! | `repr` | entries and groups together |
//! | `walk` | a large stream as it was while it goes on changing |

mod block;
mod group;
mod idempotence;
mod lag;
mod log;
mod refs;
mod repr;
mod walk;

pub use block::{Entry, Fields};
pub use group::{Consumer, ConsumerId, Group, Pending, one_more};
pub use idempotence::{Idempotence, Memory, content_id};
pub use log::{Log, LogIter, LogIterBack, TooLarge, TrimTo};
pub use moon_formats::value::StreamId;
pub use refs::{Deletion, References, Trim, Trimmed};
pub use repr::Stream;

/// Longest time that an idempotent id is remembered, in seconds.
pub const DURATION_SECS_MAX: u32 = 86_400;
/// Most idempotent ids of a producer that are remembered.
pub const IDS_MAX: u32 = 10_000;

#[cfg(test)]
mod tests;
