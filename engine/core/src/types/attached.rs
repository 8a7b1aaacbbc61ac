//! Something that belongs to one value and to no copy of it.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// An optional companion of a value (a walk over it): a clone of the value has none.
pub(crate) struct Attached<T>(pub(crate) Option<Box<T>>);

impl<T> Default for Attached<T> {
    fn default() -> Self {
        Attached(None)
    }
}

impl<T> Clone for Attached<T> {
    fn clone(&self) -> Self {
        Attached(None)
    }
}

impl<T> fmt::Debug for Attached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "attached" } else { "none" })
    }
}

impl<T> Deref for Attached<T> {
    type Target = Option<Box<T>>;

    #[inline]
    fn deref(&self) -> &Option<Box<T>> {
        &self.0
    }
}

impl<T> DerefMut for Attached<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Option<Box<T>> {
        &mut self.0
    }
}
