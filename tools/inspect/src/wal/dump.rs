//! `wal dump`: the records.

use std::ops::ControlFlow;

use moon_formats::wal::Record;
use moon_storage::scan::{Position, VisitError, Visitor};

use crate::cli::{Dump, Filter};
use crate::fail::Failure;
use crate::logs::{Files, LogDir, scan_log};
use crate::out::Out;
use crate::record;

/// Prints the records of a range.
pub(super) struct Printer<'o, 'a> {
    pub(super) out: &'o mut Out<'a>,
    pub(super) shard: u16,
    pub(super) only: Option<u64>,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) left: u64,
    pub(super) filter: &'o Filter,
    /// Types asked for, any if there are none.
    pub(super) types: Vec<u8>,
    /// Last record seen and its segment.
    pub(super) last: Option<(u64, u64)>,
}

impl Visitor for Printer<'_, '_> {
    fn record(&mut self, r: &Record<'_>, at: Position) -> Result<ControlFlow<()>, VisitError> {
        let past = r.lsn > self.to || self.only.is_some_and(|seq| at.seq != seq);
        if past || self.left == 0 || self.out.has_failed() {
            return Ok(ControlFlow::Break(()));
        }
        self.last = Some((r.lsn, at.seq));
        if r.lsn >= self.from && self.filter.takes(r, &self.types) {
            record::print(self.out, self.shard, r, at, self.filter);
            self.left -= 1;
        }
        Ok(ControlFlow::Continue(()))
    }
}

pub(super) fn run(
    files: &Files,
    log: &LogDir,
    args: &Dump,
    out: &mut Out<'_>,
) -> Result<u8, Failure> {
    let mut printer = Printer {
        out,
        shard: log.shard_or_zero(),
        only: log.only,
        from: args.range.from,
        to: args.range.to,
        left: args.filter.limit.unwrap_or(u64::MAX),
        filter: &args.filter,
        types: args.filter.record_types()?,
        last: None,
    };
    let end = scan_log(files, &log.dir, &log.options(), &mut printer)?;
    super::report_end(&end)
}
