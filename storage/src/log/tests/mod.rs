//! The log on the simulated disk: promises kept at every stop point and image.

mod crash;
mod fault;
mod figures;
mod live;
mod mutants;
mod random;
mod reader;
mod rig;
