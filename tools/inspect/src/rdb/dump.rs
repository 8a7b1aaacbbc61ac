//! `rdb dump`: the keys, and what else a snapshot holds.

use std::ops::ControlFlow;

use moon_formats::rrdshard::section;

use super::source::{Item, read};
use super::value::{TYPES, print, type_name};
use super::{ADVICE, Snapshot};
use crate::cli::Dump;
use crate::fail::{Failure, SOUND};
use crate::logs::Files;
use crate::out::{Fields, Out, hex_dump};
use crate::record::quoted;

/// Bytes of a function's source shown to a person without `--full`.
const SHOWN_MAX: usize = 64;

pub(super) fn run(
    files: &Files,
    snapshot: &Snapshot,
    args: &Dump,
    out: &mut Out<'_>,
) -> Result<u8, Failure> {
    args.range.no_range("a snapshot")?;
    let filter = &args.filter;
    if let Some(bad) = filter.types.iter().find(|t| !TYPES.contains(&t.as_str())) {
        return Err(Failure::usage(format!("no type {bad}; types are {}", TYPES.join(", "))));
    }
    let is_filtered = !filter.types.is_empty() || filter.key.is_some();
    let max = if filter.full { usize::MAX } else { SHOWN_MAX };
    let mut left = filter.limit.unwrap_or(u64::MAX);
    let mut broken = None;
    read(files, &snapshot.path, &mut |offset, item| {
        if left == 0 || out.has_failed() {
            return ControlFlow::Break(());
        }
        let before = left;
        left -= 1;
        match item {
            Item::Key(key) => {
                let is_type = filter.types.is_empty()
                    || filter.types.iter().any(|t| t == type_name(key.kind));
                if !is_type || filter.key.as_ref().is_some_and(|k| k.0 != key.key) {
                    left = before;
                } else {
                    print(out, offset, &key, filter.full, filter.hex);
                }
            }
            Item::Function(source) if !is_filtered => {
                function(out, offset, source, max);
            }
            Item::Section(s) if !is_filtered && s.section == section::FUNCTIONS => {
                match section::read_functions(s.payload, s.offset) {
                    Ok(sources) => sources.iter().for_each(|f| function(out, offset, f, max)),
                    Err(e) => broken = Some(e),
                }
            }
            Item::Section(s) if !is_filtered => {
                let name = section::name(s.section).unwrap_or("unknown");
                let fields: Fields = vec![
                    ("offset", offset.into()),
                    ("section", s.section.into()),
                    ("name", name.into()),
                    ("version", s.version.into()),
                    ("required", (s.flags & section::REQUIRED != 0).into()),
                    ("bytes", (s.payload.len() as u64).into()),
                ];
                let mut text =
                    format!("{offset} section {} {name}, {} bytes", s.section, s.payload.len());
                if filter.hex {
                    text.push_str(&hex_dump(s.payload, s.offset));
                }
                out.item("section", fields, &text);
            }
            Item::Aux(name, value) if !is_filtered => {
                let fields: Fields =
                    vec![("offset", offset.into()), ("name", name.into()), ("value", value.into())];
                let text = format!("{offset} aux {}={}", quoted(name, max), quoted(value, max));
                out.item("aux", fields, &text);
            }
            _ => left = before,
        }
        match broken {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    })?;
    match broken {
        None => Ok(SOUND),
        Some(e) => Err(Failure::decode(&snapshot.path, &e, ADVICE)),
    }
}

fn function(out: &mut Out<'_>, offset: u64, source: &[u8], max: usize) {
    let fields: Fields = vec![("offset", offset.into()), ("source", source.into())];
    out.item("function", fields, &format!("{offset} function {}", quoted(source, max)));
}
