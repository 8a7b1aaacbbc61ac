//! The edit guard: the only way to a mutable collection.
//!
//! A command hands in a closure. The guard sizes the value before and after it, drops the key
//! when the collection became empty, and records the events the closure named. A closure that
//! names no event has changed nothing, and nothing is logged.

use crate::clock::{Now, Rng};
use crate::event::Event;
use crate::types::{Limits, Object};

pub use crate::types::Collection;

/// What a closure needs while it edits, and where it says what it did.
pub struct Edit<'a> {
    /// Encoding thresholds.
    pub limits: &'a Limits,
    /// Chance of the shard.
    pub rng: &'a mut Rng,
    /// The instant of the command.
    pub now: Now,
    events: [Option<Event>; 2],
    quiet: Quiet,
    discarded: Option<Object>,
}

/// A change that watchers are not told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quiet {
    /// There is none.
    No,
    /// It is logged, and no change of the data set.
    Uncounted,
    /// It is logged and counted.
    Counted,
}

impl<'a> Edit<'a> {
    pub(super) fn new(limits: &'a Limits, rng: &'a mut Rng, now: Now) -> Self {
        Edit { limits, rng, now, events: [None, None], quiet: Quiet::No, discarded: None }
    }

    /// The value changed; `event` is what watchers are told. At most two per edit.
    #[inline]
    pub fn changed(&mut self, event: Event) {
        if self.events[0].is_none() {
            self.events[0] = Some(event);
        } else {
            debug_assert!(self.events[1].is_none(), "an edit names at most two events");
            self.events[1] = Some(event);
        }
    }

    /// The whole content was taken out of the value, and nobody wants it any more. At most once per edit.
    pub fn discard(&mut self, content: impl Collection) {
        debug_assert!(self.discarded.is_none(), "a value has one content");
        self.discarded = Some(content.into_object());
    }

    pub(super) fn take_discarded(&mut self) -> Option<Object> {
        self.discarded.take()
    }

    /// The value changed, and nobody who watches the key is told: what a consumer group has pending is
    /// no part of what Redis calls the key's content.
    #[inline]
    pub fn changed_quietly(&mut self) {
        self.quiet = Quiet::Counted;
    }

    /// Something changed that is to survive a restart and that Redis forgets: neither are watchers told, nor
    /// is it counted as a change (an entry delivered once more).
    #[inline]
    pub fn changed_uncounted(&mut self) {
        self.quiet = self.quiet.max(Quiet::Uncounted);
    }

    #[inline]
    pub(super) fn quiet(&self) -> Quiet {
        self.quiet
    }

    #[inline]
    pub(super) fn events(&self) -> [Option<Event>; 2] {
        self.events
    }
}
