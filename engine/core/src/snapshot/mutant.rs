//! Deliberate bugs, so that tests can prove that they would notice them.
//!
//! Compiled only for tests and with the feature `mutants`; a release has none of these branches.

use super::queue::Frozen;
use crate::types::Object;
use moon_ds::{HASH48_END, Table};
use std::cell::Cell;
use std::ops::Range;

/// One broken line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// Of two changes in a row only the first is shown to the snapshot, as if a command of several keys had
    /// to announce each by hand.
    SecondKeyUnseen,
    /// The walk goes by the segments there were at the cut: what a split has moved to a new one is not found.
    SplitIgnored,
    /// Keys that a flush has taken away are not written any more.
    FlushForgotten,
    /// A large value that is deleted or replaced while it is being written is not kept for the rest of it.
    ValueForgotten,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 4] = [
        Mutant::SecondKeyUnseen,
        Mutant::SplitIgnored,
        Mutant::FlushForgotten,
        Mutant::ValueForgotten,
    ];
}

/// What the bugs need to know of a walk.
pub(super) struct Memory {
    hooks: Cell<u64>,
    /// The segments at the cut.
    segments: Vec<Range<u64>>,
}

impl Memory {
    pub(super) fn new(table: &Table<Object>) -> Memory {
        let mut segments = Vec::new();
        let mut at = 0;
        while at < HASH48_END {
            let range = table.segment_range(at);
            at = range.end;
            segments.push(range);
        }
        Memory { hooks: Cell::new(0), segments }
    }

    /// Whether a change that is announced goes unnoticed.
    pub(super) fn overlooks(&self, mutant: Option<Mutant>) -> bool {
        self.hooks.set(self.hooks.get() + 1);
        mutant == Some(Mutant::SecondKeyUnseen) && self.hooks.get().is_multiple_of(2)
    }

    /// The part of a range that the walk finds.
    pub(super) fn narrow(
        &self,
        mutant: Option<Mutant>,
        table: &Table<Object>,
        of: Range<u64>,
    ) -> Range<u64> {
        let old = self.segments.iter().find(|segment| segment.contains(&of.start));
        match (mutant, old) {
            (Some(Mutant::SplitIgnored), Some(old)) => {
                let first_part = table.segment_range(old.start);
                of.start..of.end.min(first_part.end).max(of.start)
            }
            _ => of,
        }
    }
}

/// The emptied database as the snapshot finds it.
pub(super) fn forgotten(mutant: Option<Mutant>, frozen: &mut Frozen) {
    if mutant == Some(Mutant::FlushForgotten) {
        drop(frozen.table.take_all());
    }
}
