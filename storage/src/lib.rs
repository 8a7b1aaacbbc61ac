//! Durable state over one narrow door: the [`io::Disk`] trait.
//!
//! Everything in this crate (log, snapshots, manifests, segments) reaches the disk through
//! [`io::Disk`] and time through [`io::Runtime`], so the simulator runs the code that ships.
//! Knows nothing of commands, values or sockets.

/// Whether a deliberate bug is switched on; constant `false` in a release.
#[cfg(any(test, feature = "mutants"))]
macro_rules! mutant {
    ($cfg:expr, $bug:ident) => {
        $cfg.mutant == Some($crate::mutant::Mutant::$bug)
    };
}
#[cfg(not(any(test, feature = "mutants")))]
macro_rules! mutant {
    ($cfg:expr, $bug:ident) => {{
        let _ = &$cfg;
        false
    }};
}

pub mod changes;
pub mod failpoint;
pub mod files;
pub mod io;
pub mod log;
pub mod manifest;
pub mod marker;
pub mod migration;
#[cfg(any(test, feature = "mutants"))]
pub mod mutant;
pub mod parts;
pub mod recovery;
pub mod scan;
pub mod scrub;
pub mod snapshot;
pub mod switch;
pub mod whole;

pub use io::lock;
