//! Who is shown the log.

use std::ops::ControlFlow;

use moon_formats::wal::{BatchHead, Cut, Record, SegmentHeader};

/// Why a visitor stopped with an error.
pub type VisitError = Box<dyn std::error::Error>;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Segment number.
    pub seq: u64,
    /// Offset in the file.
    pub offset: u64,
}

/// Receives the log in order.
pub trait Visitor {
    /// A segment begins.
    ///
    /// # Errors
    /// Stops the scan.
    fn segment(&mut self, header: &SegmentHeader, cut: Option<&Cut>) -> Result<(), VisitError> {
        let _ = (header, cut);
        Ok(())
    }

    /// A batch begins; its clock is that of the records up to the next one.
    ///
    /// # Errors
    /// Stops the scan.
    fn batch(&mut self, head: &BatchHead, at: Position) -> Result<(), VisitError> {
        let _ = (head, at);
        Ok(())
    }

    /// The end of a segment that was written to its end; nothing behind `end` counts.
    ///
    /// # Errors
    /// Stops the scan.
    fn sealed(&mut self, end: Position) -> Result<(), VisitError> {
        let _ = end;
        Ok(())
    }

    /// A data record. Compressed payloads come as stored.
    ///
    /// # Errors
    /// Stops the scan; so does `Break`, which leaves this record out of the log.
    fn record(&mut self, record: &Record<'_>, at: Position) -> Result<ControlFlow<()>, VisitError>;
}

/// A visitor that looks at nothing: the scan alone is the check.
#[derive(Debug, Default, Clone, Copy)]
pub struct Verify;

impl Visitor for Verify {
    fn record(&mut self, _: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        Ok(ControlFlow::Continue(()))
    }
}
