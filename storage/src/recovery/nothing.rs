//! A target for what is only to be read.

use std::ops::ControlFlow;

use moon_formats::rrdshard::Item;
use moon_formats::wal::Record;

use super::Target;
use crate::scan::{Position, VisitError, Visitor};

/// Reads everything, which checks it, and keeps nothing.
#[derive(Debug, Clone, Default)]
pub struct Nothing {
    sections: Vec<(u16, u16)>,
}

impl Nothing {
    /// One that knows these sections of a base, as [`Target::sections`] says.
    pub fn knowing(sections: Vec<(u16, u16)>) -> Nothing {
        Nothing { sections }
    }
}

impl Target for Nothing {
    fn restart(&mut self) {}

    fn sections(&self) -> Vec<(u16, u16)> {
        self.sections.clone()
    }

    fn item(&mut self, _: &Item<'_>) -> Result<(), VisitError> {
        Ok(())
    }
}

impl Visitor for Nothing {
    fn record(&mut self, _: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        Ok(ControlFlow::Continue(()))
    }
}
