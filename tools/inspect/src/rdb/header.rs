//! `rdb header`: preamble and extension, field by field; of a foreign file its auxiliary fields.

use std::ops::ControlFlow;

use moon_formats::rrdshard::{EXTENSION_FIELDS, Extension, Form, Head, PREAMBLE_FIELDS};
use moon_formats::time::utc;

use super::Snapshot;
use super::source::{Item, format_name, read};
use super::verify::kind;
use crate::fail::{Failure, SOUND};
use crate::logs::Files;
use crate::out::{Fields, Out, Value};
use crate::record::quoted;

pub(super) fn run(files: &Files, snapshot: &Snapshot, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = &snapshot.path;
    let (bytes, size) = files.head(path, 128)?;
    let mut head = None;
    let mut lines = Vec::new();
    let mut aux: Vec<(String, Value)> = Vec::new();
    let mut format = String::new();
    read(files, path, &mut |offset, item| match item {
        Item::Head(h) => {
            (head, format) = (Some(h), kind(&h));
            ControlFlow::Break(())
        }
        Item::ForeignHead(f) => {
            format = format_name(f);
            lines.push(format!("  {offset:>4}  magic and version  {format}"));
            ControlFlow::Continue(())
        }
        Item::Aux(name, value) => {
            let (name, shown) = (name.escape_ascii().to_string(), quoted(value, 64));
            lines.push(format!("  {offset:>4}  {name:<17}  {shown}"));
            aux.push((name, value.into()));
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Break(()),
    })?;
    lines.insert(0, format!("{} ({size} bytes)", path.display()));
    let mut fields: Fields = vec![
        ("file", path.as_path().into()),
        ("format", format.as_str().into()),
        ("file_bytes", size.into()),
    ];
    match &head {
        Some(head) => ours(head, &bytes, &mut lines, &mut fields),
        None => fields.push(("aux", aux.into())),
    }
    out.item("header", fields, &lines.join("\n"));
    Ok(SOUND)
}

fn ours(head: &Head, bytes: &[u8], lines: &mut Vec<String>, fields: &mut Fields) {
    if head.form == Form::Moon {
        lines.push("     0  magic              \"MOON\"".into());
        lines.push(format!("     4  version            {}", head.preamble.version));
        fields.push(("version", head.preamble.version.into()));
        return;
    }
    // Version 1 ends behind the epoch.
    let preamble = if head.preamble.version == 1 { 4 } else { PREAMBLE_FIELDS.len() };
    let extension = if head.extension.is_some() { EXTENSION_FIELDS.len() } else { 0 };
    for &(at, size, name) in
        PREAMBLE_FIELDS[..preamble].iter().chain(&EXTENSION_FIELDS[..extension])
    {
        let field = bytes.get(at..at + size).unwrap_or_default();
        let number = field.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let text = match name {
            "magic" => format!("\"{}\"", field.escape_ascii()),
            "storage_uuid" => field.iter().map(|b| format!("{b:02x}")).collect(),
            "ext_crc" => format!("{number:08x}"),
            "flags" => format!("{number:#x} {}", flag_names(number as u32).join("|")),
            "created_at_ms" => format!("{number}  {}", utc((number as i64).saturating_mul(1000))),
            "mono_us" => format!("{number}  {}", utc(number as i64)),
            "zero" => continue,
            _ => number.to_string(),
        };
        lines.push(format!("  {at:>4}  {name:<17}  {text}"));
        let value = match name {
            "magic" | "storage_uuid" | "ext_crc" => Value::Text(text.trim_matches('"').to_owned()),
            "flags" => Value::List(
                flag_names(number as u32).into_iter().map(|f| Value::Text(f.to_owned())).collect(),
            ),
            _ => number.into(),
        };
        fields.push((name, value));
    }
    if let Some(Extension { align_log2, .. }) = head.extension {
        fields.push(("align", (1u64 << align_log2).into()));
    }
}

fn flag_names(flags: u32) -> Vec<&'static str> {
    [(1, "SELF_CONTAINED"), (2, "COLD_BY_REFERENCE"), (4, "ZSTD")]
        .into_iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| name)
        .collect()
}
