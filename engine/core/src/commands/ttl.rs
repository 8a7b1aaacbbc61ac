//! The times to live in arguments: `EX seconds`, `PXAT unix-time-milliseconds` and so on.
//!
//! Whatever a client writes becomes one absolute instant, milliseconds since 1970, before
//! anything is stored or logged.

use crate::clock::Now;
use crate::error::{CmdError, CmdResult};
use moon_formats::number::parse_i64;

/// In what a time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// `EX`: seconds from now.
    Ex,
    /// `PX`: milliseconds from now.
    Px,
    /// `EXAT`: seconds since 1970.
    ExAt,
    /// `PXAT`: milliseconds since 1970.
    PxAt,
}

impl Unit {
    /// The unit a keyword names, any case.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        Some(match word.len() {
            2 if word.eq_ignore_ascii_case(b"EX") => Unit::Ex,
            2 if word.eq_ignore_ascii_case(b"PX") => Unit::Px,
            4 if word.eq_ignore_ascii_case(b"EXAT") => Unit::ExAt,
            4 if word.eq_ignore_ascii_case(b"PXAT") => Unit::PxAt,
            _ => return None,
        })
    }

    fn in_seconds(self) -> bool {
        matches!(self, Unit::Ex | Unit::ExAt)
    }

    fn is_relative(self) -> bool {
        matches!(self, Unit::Ex | Unit::Px)
    }
}

/// A time to live as it was written, not yet looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) unit: Unit,
    pub(super) text: &'a [u8],
}

impl Given<'_> {
    /// The instant meant, which may have passed. Zero, negative times and overflow are errors
    /// that name `command` (Redis `getExpireMillisecondsOrReply`).
    pub(super) fn at_ms(self, now: Now, command: &str) -> CmdResult<u64> {
        let n = parse_i64(self.text).ok_or(CmdError::NOT_INT)?;
        let base = if self.unit.is_relative() { now.unix_ms } else { 0 };
        u64::try_from(n)
            .ok()
            .filter(|n| *n > 0)
            .and_then(|n| n.checked_mul(if self.unit.in_seconds() { 1000 } else { 1 }))
            .and_then(|n| n.checked_add(base))
            .filter(|at| i64::try_from(*at).is_ok())
            .ok_or_else(|| CmdError::expire_time(command))
    }
}
