//! Crash matrix: proof that acknowledged writes survive, and that the proof can fail.
//!
//! One simulated run records engine and log on a simulated disk; then the power fails at every
//! operation of that disk in eight ways, the shipped recovery code starts on what is left, and
//! the state must be the digest of a prefix of the history that holds every acknowledged write.
//! Invariants: equal seeds give equal outcomes; a failure prints the one command that repeats it.
//!
//! | module | owns |
//! |---|---|
//! | [`workload`] | the commands |
//! | [`life`] | one process life: shard, log, acknowledgements, snapshots |
//! | [`oracle`] | what must hold after a crash |
//! | [`cell`] | which cells there are |
//! | [`run`] | one run of a cell with its crashes |
//! | `recording` | how a recorded life begins and ends |
//! | [`rot`] | damage at rest |
//! | [`proof`] | set P: what is proved of a life beside its crashes |
//! | `pitr` | recovery to points in time |
//! | [`migrate`] | moon-migrate |
//! | `door` | a disk that does less than it says, for bugs of what works on it |
//! | `backup` | backups and restores |
//! | `changes` | readers of changes |
//! | `unlogged` | a life without a log |
//! | [`bugs`] | deliberate bugs the matrix must notice |
//! | [`figures`] | counts and failures |
//! | [`kill`] | the shipped binary under SIGKILL |
//! | [`failpoints`] | a binary that stops itself at named steps |
//! | [`trace`] | images of what the shipped binary wrote |
//! | [`matrix`] | all runs on several threads |
//! | [`report`] | the figures |

mod backup;
pub mod bugs;
pub mod cell;
mod changes;
mod door;
pub mod failpoints;
pub mod figures;
pub mod kill;
pub mod life;
pub mod matrix;
pub mod migrate;
pub mod oracle;
mod pitr;
pub mod proof;
mod recording;
pub mod report;
pub mod rot;
pub mod run;
pub mod trace;
mod unlogged;
mod walk;
pub mod workload;

/// A start makes and drops many small things.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(test)]
mod tests;
