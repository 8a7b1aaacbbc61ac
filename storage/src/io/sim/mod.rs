//! A simulated device and deterministic time: the code that ships runs on it under power loss and faults.
//!
//! [`SimDisk`] keeps a stable and a volatile version of every file and directory. Every operation
//! has a number and, if it changes anything, two stop points; a copy-on-write state is kept at each, so one recorded
//! run gives any number of power losses ([`SimDisk::power_loss_at`]) without running again. [`SimRuntime`] is the
//! matching executor with virtual time.
//!
//! ```
//! use moon_storage::io::sim::{Image, SimConfig, SimDisk};
//! use moon_storage::io::{Access, Caching, Disk};
//! use std::path::Path;
//!
//! let disk = SimDisk::new(SimConfig::default(), 1);
//! let rt = disk.runtime();
//! rt.block_on(async {
//!     let f = disk.open(Path::new("/a"), Access::CreateNew, Caching::Direct).await?;
//!     f.write_at(0, &[7; 4096]).await?;
//!     f.sync().await?;
//!     disk.sync_dir(Path::new("/")).await
//! })?;
//! assert!(disk.violations().is_empty());
//! for stop in 0..disk.stop_count() {
//!     let after = disk.power_loss_at(stop, Image::Subset, 42).expect("a stop of this run");
//!     let names = after.runtime().block_on(after.list(Path::new("/")))?;
//!     assert!(names.len() <= 1);
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! **Which acks precede a stop.** Take [`SimDisk::moment`] when an ack is released. It precedes stop
//! `s` exactly if `moment <= s`.

mod content;
mod disk;
mod fault;
mod file;
mod image;
mod names;
mod record;
mod rng;
mod runtime;
mod state;
mod trace;

#[cfg(test)]
mod tests;

pub use disk::{Latency, SimConfig, SimDisk};
pub use fault::{Fault, FaultKind};
pub use image::Image;
pub use record::{BadManner, Edge, OpKind, OpRecord, StopPoint, Violation};
pub use rng::SimRng;
pub use runtime::{SIM_EPOCH_US, SimRuntime};
pub use trace::{BadTrace, Left, Trace};
