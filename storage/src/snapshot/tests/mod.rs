//! Snapshots, the commit of a rewrite, and what a start makes of them, on the simulated disk.

mod crash;
mod fault;
mod job;
pub(crate) mod rig;
