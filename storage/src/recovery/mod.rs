//! From what is on disk to a shard with its data (durability.md §10).
//!
//! The one idea: the part list says which base and which log are the data. The base is streamed
//! through the decoder into the target, then the log behind its cut; nothing else is consulted.
//!
//! Invariants:
//! * Nothing is written until everything has been read and applied: a refusal leaves the
//!   directory as it was. The first write is made by [`Recovered::open`].
//! * Recovering again, or after a crash during recovery, gives the same records.
//! * Damage is never taken for absence: a list, base or segment that must be there and is not, or
//!   is not what the list says, stops the start, unless an older base and the log behind it hold
//!   everything.
//! * What no list names is removed only after the start has succeeded and the list is durable.
//!
//! | found | becomes |
//! |---|---|
//! | nothing | an empty shard |
//! | part list | its base, then the log from `log` on |
//! | part list with `off` | the last `.rrdshard` if its cut is not before the end of the log, else base and log |
//! | no part list, no base, a log that begins at LSN 1 | the log: a first start was cut short, or the directory is older than part lists |
//! | no part list, anything else | refused: `moon-inspect aof rebuild` |
//! | part list, and a salvage plan | base and log as far as the plan keeps them; see [`salvage`] |
//! | part list, and a [`Point`] of the past | the newest base up to it, then the log up to it; see `timeline` for what follows |
//! | `appendonly no` | the last `.rrdshard`, or an empty shard |

mod base;
mod end;
mod error;
mod nothing;
mod open;
pub mod salvage;
mod shard;
pub mod target;
mod timeline;
mod unlogged;

#[cfg(test)]
mod tests;

pub use base::{FileSummary, read_file, read_head};
pub use end::{ForkPoint, LSN_GAP, RecoveredEnd, recover};
pub use error::{BaseError, RecoveryError};
pub use nothing::Nothing;
pub use open::Opened;
pub(crate) use open::open_table;
pub use shard::{Origin, Progress, Recovered, Request, Target, recover_shard, recover_snapshot};
pub use target::{
    Candidate, NamedPoint, Point, PointTarget, Reach, Resolved, TargetError, TimePolicy,
};
pub use timeline::settle;
pub use unlogged::{Unlogged, is_in_save, recover_without_log};
