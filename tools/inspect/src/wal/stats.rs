//! `wal stats`: what the log is made of and how it was committed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use moon_formats::DecodeError;
use moon_formats::wal::{BatchHead, Body, Cut, Record, SegmentHeader};
use moon_storage::scan::{Position, VisitError, Visitor};

use crate::cli::Ranged;
use crate::fail::Failure;
use crate::hist::Histogram;
use crate::logs::{Files, LogDir, scan_log};
use crate::out::{Fields, Out, Value};
use crate::record::{type_name, with_body};

/// Different command names counted; the rest goes under `(other)`. A log of ours has fewer.
const COMMANDS_MAX: usize = 1000;
/// Longest command name counted by name.
const NAME_MAX: usize = 64;

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    records: u64,
    bytes: u64,
}

/// A batch or a sync group under way.
#[derive(Debug, Default, Clone, Copy)]
struct Open {
    records: u64,
    bytes: u64,
    batches: u64,
    mono_us: u64,
}

#[derive(Default)]
struct Stats {
    only: Option<u64>,
    from: u64,
    to: u64,
    types: BTreeMap<u8, Count>,
    commands: BTreeMap<String, Count>,
    undecodable: u64,
    batch_records: Histogram,
    batch_bytes: Histogram,
    group_records: Histogram,
    group_bytes: Histogram,
    group_batches: Histogram,
    batch_interval_us: Histogram,
    group_interval_us: Histogram,
    align: u64,
    /// Where the last batch of this segment ended.
    batch_end: Option<u64>,
    batch: Option<Open>,
    group: Option<Open>,
    /// Clocks of the last batch and group.
    last_batch_us: Option<u64>,
    last_group_us: Option<u64>,
}

impl Stats {
    fn close_batch(&mut self) {
        let Some(batch) = self.batch.take().filter(|b| b.records > 0) else { return };
        self.batch_records.add(batch.records);
        self.batch_bytes.add(batch.bytes);
        if let Some(last) = self.last_batch_us.replace(batch.mono_us) {
            self.batch_interval_us.add(batch.mono_us.saturating_sub(last));
        }
        if let Some(group) = &mut self.group {
            group.records += batch.records;
            group.bytes += batch.bytes;
            group.batches += 1;
        }
    }

    fn close_group(&mut self) {
        self.close_batch();
        let Some(group) = self.group.take().filter(|g| g.batches > 0) else { return };
        self.group_records.add(group.records);
        self.group_bytes.add(group.bytes);
        self.group_batches.add(group.batches);
        if let Some(last) = self.last_group_us.replace(group.mono_us) {
            self.group_interval_us.add(group.mono_us.saturating_sub(last));
        }
    }

    fn count_commands(&mut self, r: &Record<'_>) {
        let mut seen: Vec<(String, u64)> = Vec::new();
        let decoded = with_body(r, |body| {
            let Some(Body::Command(command)) = body else {
                return Ok::<(), DecodeError>(());
            };
            for effect in command.effects() {
                let effect = effect?;
                let name = match effect.args.first() {
                    Some(name) if name.len() <= NAME_MAX => {
                        name.to_ascii_uppercase().escape_ascii().to_string()
                    }
                    _ => "(other)".to_owned(),
                };
                seen.push((name, effect.args.iter().map(|a| a.len() as u64).sum()));
            }
            Ok(())
        });
        if !matches!(decoded, Ok(Ok(()))) {
            self.undecodable += 1;
        }
        for (name, bytes) in seen {
            let full = self.commands.len() >= COMMANDS_MAX && !self.commands.contains_key(&name);
            let name = if full { "(other)".to_owned() } else { name };
            let count = self.commands.entry(name).or_default();
            count.records += 1;
            count.bytes += bytes;
        }
    }
}

impl Visitor for Stats {
    fn segment(&mut self, header: &SegmentHeader, _: Option<&Cut>) -> Result<(), VisitError> {
        self.close_group();
        self.align = header.align();
        self.batch_end = None;
        Ok(())
    }

    fn batch(&mut self, head: &BatchHead, at: Position) -> Result<(), VisitError> {
        // A group begins at an aligned offset behind a pad. A batch inside a group follows the one
        // before it directly, wherever that is.
        let follows = self.batch_end.replace(at.offset + u64::from(head.batch_bytes));
        if at.offset.is_multiple_of(self.align.max(1)) && follows != Some(at.offset) {
            self.close_group();
            self.group = Some(Open { mono_us: head.mono_us, ..Open::default() });
        } else {
            self.close_batch();
        }
        self.batch = Some(Open { mono_us: head.mono_us, ..Open::default() });
        Ok(())
    }

    fn record(&mut self, r: &Record<'_>, at: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.lsn > self.to || self.only.is_some_and(|seq| at.seq != seq) {
            return Ok(ControlFlow::Break(()));
        }
        if r.lsn < self.from {
            return Ok(ControlFlow::Continue(()));
        }
        let bytes = r.record_len() as u64;
        let count = self.types.entry(r.code).or_default();
        count.records += 1;
        count.bytes += bytes;
        if let Some(batch) = &mut self.batch {
            batch.records += 1;
            batch.bytes += bytes;
        }
        self.count_commands(r);
        Ok(ControlFlow::Continue(()))
    }
}

fn counts<K: ToString>(rows: &[(K, Count)]) -> Value {
    let rows = rows.iter().map(|(name, c)| {
        let count = vec![("count", c.records.into()), ("bytes", c.bytes.into())];
        (name.to_string(), Value::Map(count))
    });
    Value::Names(rows.collect())
}

fn table(out: &mut Out<'_>, heading: &str, rows: &[(String, Count)]) {
    out.text(&format!("\n{heading:<24}{:>12}{:>16}{:>12}", "count", "bytes", "mean"));
    for (name, c) in rows {
        let mean = c.bytes / c.records.max(1);
        out.text(&format!("{name:<24}{:>12}{:>16}{mean:>12}", c.records, c.bytes));
    }
}

pub(super) fn run(
    files: &Files,
    log: &LogDir,
    range: &Ranged,
    out: &mut Out<'_>,
) -> Result<u8, Failure> {
    let mut stats = Stats { only: log.only, from: range.from, to: range.to, ..Stats::default() };
    let end = scan_log(files, &log.dir, &log.options(), &mut stats)?;
    stats.close_group();
    let by_bytes = |mut rows: Vec<(String, Count)>| {
        rows.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
        rows
    };
    let types = by_bytes(stats.types.iter().map(|(code, c)| (type_name(*code), *c)).collect());
    let commands = by_bytes(stats.commands.iter().map(|(n, c)| (n.clone(), *c)).collect());
    let (records, bytes) = types.iter().fold((0, 0), |(r, b), (_, c)| (r + c.records, b + c.bytes));
    let file_bytes: u64 = end.segments.iter().map(|s| s.bytes).sum();
    let histograms = [
        ("batch_records", &stats.batch_records),
        ("batch_bytes", &stats.batch_bytes),
        ("group_records", &stats.group_records),
        ("group_bytes", &stats.group_bytes),
        ("group_batches", &stats.group_batches),
        ("batch_interval_us", &stats.batch_interval_us),
        ("group_interval_us", &stats.group_interval_us),
    ];
    let mut fields: Fields = vec![
        ("shard", log.shard.into()),
        ("dir", log.dir.as_path().into()),
        ("records", records.into()),
        ("bytes", bytes.into()),
        ("file_bytes", file_bytes.into()),
        ("segments", (end.segments.len() as u64).into()),
        ("undecodable", stats.undecodable.into()),
        ("types", counts(&types)),
        ("commands", counts(&commands)),
    ];
    fields.extend(histograms.iter().map(|(name, h)| (*name, h.value())));
    let text = format!(
        "{records} records, {bytes} bytes in {} segments of {file_bytes} bytes{}",
        end.segments.len(),
        match stats.undecodable {
            0 => String::new(),
            n => format!("; {n} records cannot be decoded"),
        }
    );
    out.item("stats", fields, &text);
    table(out, "type", &types);
    table(out, "command (argument bytes)", &commands);
    out.text(&format!("\n{}", Histogram::heading("sizes and intervals")));
    for (name, h) in histograms {
        if h.count() > 0 {
            out.text(&h.row(name));
        }
    }
    super::report_end(&end)
}
