//! `wal tail --format debezium`: the records as the events that CDC.READ gives of them.

use std::ops::ControlFlow;

use moon_formats::cdc::{At, Changes, Encoder, Format};
use moon_formats::marker::Marker;
use moon_formats::names;
use moon_formats::wal::{BatchHead, Cut, Record, SegmentHeader};
use moon_storage::scan::{Position, VisitError, Visitor};

use crate::cli::Filter;
use crate::fail::Failure;
use crate::logs::{Files, LogDir};
use crate::out::Out;

/// What a server without `cdc-name` calls itself in events: the uuid of the data directory; empty for a log
/// that stands in none.
pub(super) fn source_name(files: &Files, log: &LogDir) -> Result<String, Failure> {
    let full = std::path::absolute(&log.dir).map_err(|e| Failure::io(&log.dir, e))?;
    let Some(data) = full.parent().and_then(|shard| shard.parent()) else {
        return Ok(String::new());
    };
    let marker = files.text(&data.join(names::MARKER))?.map(|text| Marker::decode(&text));
    let Some(Ok(marker)) = marker else { return Ok(String::new()) };
    Ok(marker.uuid.iter().map(|b| format!("{b:02x}")).collect())
}

/// Prints the changes of the records it visits, one envelope a line.
pub(super) struct Events<'o, 'a> {
    pub(super) out: &'o mut Out<'a>,
    pub(super) encoder: Encoder<'o>,
    pub(super) from: u64,
    /// Events still to be printed.
    pub(super) left: u64,
    pub(super) filter: &'o Filter,
    /// Types of records asked for, any if there are none.
    pub(super) types: Vec<u8>,
    /// Last record seen and its segment.
    pub(super) last: Option<(u64, u64)>,
    pub(super) wall_us: i64,
    /// LSN of the record before.
    pub(super) previous: u64,
}

impl Visitor for Events<'_, '_> {
    fn segment(&mut self, header: &SegmentHeader, cut: Option<&Cut>) -> Result<(), VisitError> {
        self.encoder.epoch = header.epoch;
        self.previous = cut.map_or(header.base_lsn.saturating_sub(1), |cut| cut.keep_lsn);
        Ok(())
    }

    fn batch(&mut self, head: &BatchHead, _: Position) -> Result<(), VisitError> {
        self.wall_us = head.wall_us;
        Ok(())
    }

    fn record(&mut self, r: &Record<'_>, at: Position) -> Result<ControlFlow<()>, VisitError> {
        if self.left == 0 || self.out.has_failed() {
            return Ok(ControlFlow::Break(()));
        }
        self.last = Some((r.lsn, at.seq));
        let previous = std::mem::replace(&mut self.previous, r.lsn);
        if r.lsn < self.from || !(self.types.is_empty() || self.types.contains(&r.code)) {
            return Ok(ControlFlow::Continue(()));
        }
        let payload = r.raw_payload()?;
        let changes = Changes::of(r.code, r.flags, r.db, &payload)?;
        let at = At { lsn: r.lsn, previous, wall_us: self.wall_us };
        for (change, unit) in changes.placed() {
            let key = change.key.as_deref();
            if self.left == 0 || self.filter.key.as_ref().is_some_and(|k| key != Some(&k.0[..])) {
                continue;
            }
            let mut line = Vec::new();
            self.encoder.put_change(&mut line, change, &at, &unit);
            self.out.raw(&line);
            self.left -= 1;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// What all events of a look have in common.
pub(super) fn encoder<'a>(files: &Files, log: &LogDir, name: &'a str) -> Encoder<'a> {
    Encoder {
        name: name.into(),
        shard: log.shard_or_zero(),
        epoch: 1,
        format: Format::Debezium,
        before: true,
        now_ms: files.now_ms(),
    }
}
