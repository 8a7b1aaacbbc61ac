//! `wal tail`: follows a log that is being written.
//!
//! Each look scans from the segment of the last record on, so it costs one segment and not the
//! whole log.

use std::time::Duration;

use moon_storage::scan::{EndKind, LogStart, ScanOptions, Verify};

use crate::cli::{Form, Tail};
use crate::fail::{Failure, SOUND};
use crate::logs::{Files, LogDir, scan_log};
use crate::out::Out;

use super::dump::Printer;
use super::events::{self, Events};

pub(super) fn run(
    files: &Files,
    log: &LogDir,
    args: &Tail,
    out: &mut Out<'_>,
) -> Result<u8, Failure> {
    let types = args.filter.record_types()?;
    let mut opts = log.options();
    let mut next = match args.from {
        Some(lsn) => lsn,
        None => {
            let end = scan_log(files, &log.dir, &opts, &mut Verify)?;
            super::report_end(&end)?;
            if let Some(last) =
                end.segments.iter().rev().find(|s| s.recyclable && s.base_lsn <= end.next_lsn)
            {
                opts.start = Some(LogStart { lsn: end.next_lsn, seq: last.seq });
            }
            end.next_lsn
        }
    };
    let mut left = args.filter.limit.unwrap_or(u64::MAX);
    let name = match args.format {
        Form::Records => String::new(),
        Form::Debezium => events::source_name(files, log)?,
    };
    loop {
        let (end, last) = match args.format {
            Form::Records => {
                let mut printer = Printer {
                    out,
                    shard: log.shard_or_zero(),
                    only: None,
                    from: next,
                    to: u64::MAX,
                    left,
                    filter: &args.filter,
                    types: types.clone(),
                    last: None,
                };
                let end = scan_log(files, &log.dir, &opts, &mut printer)?;
                left = printer.left;
                (end, printer.last)
            }
            Form::Debezium => {
                let mut events = Events {
                    out,
                    encoder: events::encoder(files, log, &name),
                    from: next,
                    left,
                    filter: &args.filter,
                    types: types.clone(),
                    last: None,
                    wall_us: 0,
                    previous: 0,
                };
                let end = scan_log(files, &log.dir, &opts, &mut events)?;
                left = events.left;
                (end, events.last)
            }
        };
        if let Some((lsn, seq)) = last {
            next = next.max(lsn + 1);
            // What was durable before is no matter of this look.
            opts = ScanOptions {
                start: Some(LogStart { lsn: lsn + 1, seq }),
                durable_floor: 0,
                ..opts
            };
        }
        out.flush();
        if left == 0 || out.has_failed() {
            return Ok(SOUND);
        }
        match (&end.kind, opts.start) {
            // The segment we read from was recycled while we were not looking: go on with what
            // there is. A hole that is one shows again without a start.
            (EndKind::Hole(_), Some(_)) => opts.start = None,
            _ => {
                super::report_end(&end)?;
                files.sleep(Duration::from_millis(args.interval));
            }
        }
    }
}
