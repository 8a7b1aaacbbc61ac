//! `wal times`: which LSN was written when.

use std::ops::ControlFlow;

use moon_formats::time::utc;
use moon_formats::wal::{BatchHead, Body, Record};
use moon_storage::scan::{Position, VisitError, Visitor};

use crate::cli::Times;
use crate::fail::Failure;
use crate::logs::{Files, LogDir, scan_log};
use crate::out::Out;
use crate::record::{quoted, with_body};

struct Table<'o, 'a> {
    out: &'o mut Out<'a>,
    shard: u16,
    only: Option<u64>,
    args: &'o Times,
    /// Batch whose records are being visited.
    head: Option<(BatchHead, Position)>,
    /// Log time of the last row.
    printed_us: Option<u64>,
    /// Clocks of the last batch: as read, and never going back.
    last_wall_us: Option<i64>,
    last_mono_us: Option<u64>,
    first: Option<(u64, u64)>,
    last: Option<(u64, u64)>,
    steps: u64,
}

impl Table<'_, '_> {
    /// The first record of a batch in the range: its head is believed now.
    fn begin(&mut self, head: &BatchHead, at: Position, lsn: u64) {
        let back_us = self
            .last_wall_us
            .replace(head.wall_us)
            .and_then(|last| u64::try_from(last.saturating_sub(head.wall_us)).ok())
            .unwrap_or(0);
        self.last_mono_us = Some(head.mono_us);
        self.first.get_or_insert((lsn, head.mono_us));
        if back_us > 0 {
            self.steps += 1;
            let fields = vec![
                ("shard", self.shard.into()),
                ("lsn", head.first_lsn.into()),
                ("wall_us", head.wall_us.into()),
                ("mono_us", head.mono_us.into()),
                ("back_us", back_us.into()),
            ];
            let text = format!(
                "{:>16}  {}  clock went back {}.{:06} s, log time goes on at {}",
                head.first_lsn,
                utc(head.wall_us),
                back_us / 1_000_000,
                back_us % 1_000_000,
                utc(head.mono_us as i64)
            );
            self.out.item("clock_step", fields, &text);
        }
        let due = self
            .printed_us
            .is_none_or(|p| head.mono_us.saturating_sub(p) >= self.args.every * 1000);
        if due {
            self.printed_us = Some(head.mono_us);
            let fields = vec![
                ("shard", self.shard.into()),
                ("lsn", head.first_lsn.into()),
                ("segment", at.seq.into()),
                ("offset", at.offset.into()),
                ("wall_us", head.wall_us.into()),
                ("mono_us", head.mono_us.into()),
                ("time", utc(head.mono_us as i64).into()),
            ];
            let text = format!(
                "{:>16}  {}  {}:{}",
                head.first_lsn,
                utc(head.mono_us as i64),
                at.seq,
                at.offset
            );
            self.out.item("time", fields, &text);
        }
    }

    fn point(&mut self, r: &Record<'_>) {
        let (shard, lsn) = (self.shard, r.lsn);
        let out = &mut *self.out;
        // A record that cannot be decoded is no restore point; dump and stats name it.
        let _ = with_body(r, |body| match body {
            Some(Body::RestorePoint(p)) => {
                let fields = vec![
                    ("shard", shard.into()),
                    ("lsn", lsn.into()),
                    ("wall_us", p.wall_us.into()),
                    ("gtid", p.gtid.into()),
                    ("name", p.name.into()),
                ];
                let name = quoted(p.name, usize::MAX);
                let text =
                    format!("{lsn:>16}  {}  restore point {name} gtid {}", utc(p.wall_us), p.gtid);
                out.item("restore_point", fields, &text);
            }
            Some(Body::TemporalAnchor(a)) => {
                let fields = vec![
                    ("shard", shard.into()),
                    ("lsn", lsn.into()),
                    ("wall_ms", a.wall_ms.into()),
                    ("anchor_lsn", a.lsn.into()),
                ];
                let at = utc(a.wall_ms.saturating_mul(1000));
                let text = format!("{lsn:>16}  {at}  anchor of lsn {}", a.lsn);
                out.item("anchor", fields, &text);
            }
            _ => {}
        });
    }
}

impl Visitor for Table<'_, '_> {
    fn batch(&mut self, head: &BatchHead, at: Position) -> Result<(), VisitError> {
        self.head = Some((*head, at));
        Ok(())
    }

    fn record(&mut self, r: &Record<'_>, at: Position) -> Result<ControlFlow<()>, VisitError> {
        let past = r.lsn > self.args.range.to || self.only.is_some_and(|seq| at.seq != seq);
        if past || self.out.has_failed() {
            return Ok(ControlFlow::Break(()));
        }
        if r.lsn < self.args.range.from {
            return Ok(ControlFlow::Continue(()));
        }
        if let Some((head, at)) = self.head.take() {
            self.begin(&head, at, r.lsn);
        }
        self.last = Some((r.lsn, self.last_mono_us.unwrap_or(0)));
        self.point(r);
        Ok(ControlFlow::Continue(()))
    }
}

pub(super) fn run(
    files: &Files,
    log: &LogDir,
    args: &Times,
    out: &mut Out<'_>,
) -> Result<u8, Failure> {
    let mut table = Table {
        out,
        shard: log.shard_or_zero(),
        only: log.only,
        args,
        head: None,
        printed_us: None,
        last_wall_us: None,
        last_mono_us: None,
        first: None,
        last: None,
        steps: 0,
    };
    let end = scan_log(files, &log.dir, &log.options(), &mut table)?;
    let (first, last, steps) = (table.first, table.last, table.steps);
    let fields = vec![
        ("shard", log.shard.into()),
        ("first_lsn", first.map(|f| f.0).into()),
        ("first_mono_us", first.map(|f| f.1).into()),
        ("last_lsn", last.map(|l| l.0).into()),
        ("last_mono_us", last.map(|l| l.1).into()),
        ("clock_steps", steps.into()),
    ];
    let text = match (first, last) {
        (Some(first), Some(last)) => format!(
            "lsn {}..={} from {} to {}, {steps} clock steps",
            first.0,
            last.0,
            utc(first.1 as i64),
            utc(last.1 as i64)
        ),
        _ => "no records".to_owned(),
    };
    out.item("range", fields, &text);
    super::report_end(&end)
}
