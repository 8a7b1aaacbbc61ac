//! Which large values were announced, and how many of their chunks there were.
//!
//! Numbers are given in the order in which the entries stand in the file, from 1. So only values that are
//! not complete need to be remembered.

use crate::error::{Cause, DecodeError};
use std::collections::BTreeMap;

/// Large values of a file so far.
#[derive(Debug, Default)]
pub(super) struct Large {
    last_id: u64,
    /// Next chunk of each value that is not complete.
    open: BTreeMap<u64, u32>,
}

impl Large {
    /// The number of the next value.
    pub(super) fn open_next(&mut self) -> u64 {
        self.last_id += 1;
        self.open.insert(self.last_id, 0);
        self.last_id
    }

    /// Takes back the latest number.
    pub(super) fn withdraw(&mut self) {
        self.open.remove(&self.last_id);
        self.last_id -= 1;
    }

    /// An entry at offset `at` announces a value.
    pub(super) fn announce(&mut self, value_id: u64, at: u64) -> Result<(), DecodeError> {
        let expected = self.last_id.saturating_add(1);
        if value_id != expected {
            let cause = Cause::Mismatch { expected, found: value_id };
            return Err(DecodeError::new(at, "value_id", cause));
        }
        self.open_next();
        Ok(())
    }

    /// The number that the next chunk of a value must have; `None` if none is awaited.
    pub(super) fn awaited(&self, value_id: u64) -> Option<u32> {
        self.open.get(&value_id).copied()
    }

    /// A chunk of an awaited value came.
    pub(super) fn took(&mut self, value_id: u64, last: bool) {
        if last {
            self.open.remove(&value_id);
        } else if let Some(next) = self.open.get_mut(&value_id) {
            *next = next.saturating_add(1);
        }
    }

    /// A value that lacks chunks.
    pub(super) fn unfinished(&self) -> Option<u64> {
        self.open.keys().next().copied()
    }
}
