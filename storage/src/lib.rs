//! Durable state over one narrow door: the [`io::Disk`] trait.
//!
//! Everything in this crate (log, snapshots, manifests, segments) reaches the disk through
//! [`io::Disk`] and time through [`io::Runtime`], so the simulator runs the code that ships.
//! Knows nothing of commands, values or sockets.

pub mod io;
