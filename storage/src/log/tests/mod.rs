//! The log on the simulated disk: promises kept at every stop point and image.

mod crash;
mod live;
mod rig;
