//! What walks have copied ahead of their reader, all of one reader together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that walks keep until somebody takes them. Clones count together.
///
/// Values change threads when they are freed, hence the atomics; nothing is ordered by them.
#[derive(Clone, Default)]
pub struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// Bytes kept now.
    pub fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// So many more are kept.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }

    /// So many have been taken.
    pub fn sub(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}
