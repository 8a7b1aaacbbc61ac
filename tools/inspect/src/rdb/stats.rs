//! `rdb stats`: keys by database and type, sizes, expiry, compression.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::Snapshot;
use super::source::{Item, Where, read};
use super::value::{elements, type_name};
use crate::cli::Ranged;
use crate::fail::{Failure, SOUND};
use crate::hist::Histogram;
use crate::logs::Files;
use crate::out::{Fields, Out, Value};

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    keys: u64,
    key_bytes: u64,
    value_bytes: u64,
    elements: u64,
    expires: u64,
    cold: u64,
    large: u64,
}

#[derive(Default)]
struct Stats {
    counts: BTreeMap<(u64, &'static str), Count>,
    ranges: u64,
    raw: u64,
    stored: u64,
    sections: u64,
    section_bytes: u64,
    functions: u64,
    key_bytes: Histogram,
    value_bytes: Histogram,
    elements: Histogram,
}

impl Stats {
    fn take(&mut self, item: &Item<'_>) {
        match item {
            Item::Key(key) => {
                let count = self.counts.entry((key.db, type_name(key.kind))).or_default();
                count.keys += 1;
                count.key_bytes += key.key.len() as u64;
                count.expires += u64::from(key.expire_ms.is_some());
                self.key_bytes.add(key.key.len() as u64);
                match &key.place {
                    Where::Cold(_) => count.cold += 1,
                    Where::Here { .. } => {}
                    Where::Joined { .. } => count.large += 1,
                }
                if let Some((body, value)) = key.value() {
                    let (bytes, n) = (body.len() as u64, elements(value) as u64);
                    count.value_bytes += bytes;
                    count.elements += n;
                    self.value_bytes.add(bytes);
                    if type_name(key.kind) != "string" {
                        self.elements.add(n);
                    }
                }
            }
            Item::Range(range) => {
                self.ranges += 1;
                self.raw += range.raw_len;
                self.stored += range.stored_len;
            }
            Item::Section(section) => {
                self.sections += 1;
                self.section_bytes += section.payload.len() as u64;
            }
            Item::Function(_) => self.functions += 1,
            Item::Head(_) | Item::ForeignHead(_) | Item::Aux(..) => {}
        }
    }
}

pub(super) fn run(
    files: &Files,
    snapshot: &Snapshot,
    args: &Ranged,
    out: &mut Out<'_>,
) -> Result<u8, Failure> {
    args.no_range("a snapshot")?;
    let mut stats = Stats::default();
    let end = read(files, &snapshot.path, &mut |_, item| {
        stats.take(&item);
        ControlFlow::Continue(())
    })?;
    let total = |f: fn(&Count) -> u64| stats.counts.values().map(f).sum::<u64>();
    let (keys, bytes) = (total(|c| c.keys), total(|c| c.key_bytes) + total(|c| c.value_bytes));
    let file_bytes = end.map_or(0, |e| e.bytes);
    let rows: Vec<Value> = stats
        .counts
        .iter()
        .map(|((db, kind), c)| {
            Value::Map(vec![
                ("db", (*db).into()),
                ("type", (*kind).into()),
                ("keys", c.keys.into()),
                ("key_bytes", c.key_bytes.into()),
                ("value_bytes", c.value_bytes.into()),
                ("elements", c.elements.into()),
                ("expires", c.expires.into()),
                ("cold", c.cold.into()),
                ("large", c.large.into()),
            ])
        })
        .collect();
    let histograms = [
        ("key_bytes", &stats.key_bytes),
        ("value_bytes", &stats.value_bytes),
        ("elements", &stats.elements),
    ];
    let mut fields: Fields = vec![
        ("file", snapshot.path.as_path().into()),
        ("file_bytes", file_bytes.into()),
        ("keys", keys.into()),
        ("bytes", bytes.into()),
        ("expires", total(|c| c.expires).into()),
        ("cold", total(|c| c.cold).into()),
        ("ranges", stats.ranges.into()),
        ("raw_bytes", stats.raw.into()),
        ("stored_bytes", stats.stored.into()),
        ("sections", stats.sections.into()),
        ("section_bytes", stats.section_bytes.into()),
        ("functions", stats.functions.into()),
        ("types", rows.into()),
    ];
    fields.extend(histograms.iter().map(|(name, h)| (*name, h.value())));
    let mut text =
        format!("{keys} keys, {bytes} bytes of keys and values, file of {file_bytes} bytes");
    if stats.stored < stats.raw {
        let percent = stats.stored * 100 / stats.raw.max(1);
        text.push_str(&format!("; blocks stored in {percent} % of {} bytes", stats.raw));
    }
    out.item("stats", fields, &text);
    out.text(&format!(
        "\n{:<6}{:<10}{:>12}{:>14}{:>16}{:>14}{:>12}{:>10}{:>8}",
        "db", "type", "keys", "key bytes", "value bytes", "elements", "expires", "cold", "large"
    ));
    for ((db, kind), c) in &stats.counts {
        out.text(&format!(
            "{db:<6}{kind:<10}{:>12}{:>14}{:>16}{:>14}{:>12}{:>10}{:>8}",
            c.keys, c.key_bytes, c.value_bytes, c.elements, c.expires, c.cold, c.large
        ));
    }
    if keys > 0 {
        out.text(&format!("\n{}", Histogram::heading("sizes")));
        for (name, h) in histograms {
            if h.count() > 0 {
                out.text(&h.row(name));
            }
        }
    }
    Ok(SOUND)
}
