//! Holds the byte tables of `docs/formats/wal.md` against the code: offsets and sizes of the
//! fixed structures, codes and names of the record types, and for every payload the table
//! that opens its source file, which in turn is walked over real bytes.

mod layout;

use layout::Walk;
use moon_formats::testing::{sample_bodies, sample_values};
use moon_formats::wal::{HEADER_FIELDS, RECORD_FIELDS, RecordType};

const PAGE: &str = include_str!("../../docs/formats/wal.md");
/// Cells of the rows of the first table under the heading, head and rule left out.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect(heading);
    section
        .lines()
        .skip_while(|l| !l.starts_with('|'))
        .take_while(|l| l.starts_with('|'))
        .skip(2)
        .map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect())
        .collect()
}

#[test]
fn fixed_tables_equal_the_constants() {
    for (heading, fields) in [("Segment header", HEADER_FIELDS), ("Record", RECORD_FIELDS)] {
        let rows = table(heading);
        for (row, &(offset, size, name)) in rows.iter().zip(fields) {
            let want = [offset.to_string(), size.to_string(), format!("`{name}`")];
            assert_eq!(row[..3], want, "{heading}");
        }
        // The record's payload and CRC have no fixed offset.
        let open = if heading == "Record" { 2 } else { 0 };
        assert_eq!(rows.len(), fields.len() + open, "{heading}");
    }
}

#[test]
fn record_types_equal_the_enum_and_the_sources() {
    let layouts = layout::wal();
    let rows = table("Record types");
    let codes: Vec<String> =
        RecordType::ALL.iter().map(|t| format!("0x{:02X}", t.code())).collect();
    assert_eq!(rows.iter().map(|r| r[0].clone()).collect::<Vec<_>>(), codes);
    for (row, t) in rows.iter().zip(RecordType::ALL) {
        assert_eq!(row[1], t.name());
        let layout = layouts.get(t.name()).unwrap_or_else(|| panic!("{} in no source", t.name()));
        assert_eq!(row[3], format!("`{}`", layout.replace(" | ", ", ")), "{}", t.name());
    }
    for part in ["EffectMeta", "ptr", "op", "sub"] {
        let want = format!("`{part}` = `{}`", layouts[part].replace(" | ", ", "));
        assert!(PAGE.contains(&want), "the page lacks: {want}");
    }
}

#[test]
fn layouts_describe_the_bytes() {
    let layouts = layout::wal();
    for body in sample_bodies() {
        let name = body.record_type().name();
        let mut bytes = Vec::new();
        body.put(&mut bytes);
        let mut walk = Walk::new(&layouts, &bytes);
        walk.walk(&layouts[name]);
        assert!(walk.bytes.is_empty(), "{name}: {} bytes not described", walk.bytes.len());
        let described: usize = walk.pieces.iter().map(|(len, _)| len).sum();
        assert_eq!(described, bytes.len(), "{name}");
        // Numbers land in the fields the text form names them by.
        if let Some(lsn) = walk.fields.get("durable_lsn") {
            assert!(body.to_string().contains(&format!("durable={lsn}")));
        }
    }
    let layouts = layout::value();
    for (code, body) in sample_values() {
        let mut walk = Walk::new(&layouts, &body);
        walk.walk(&layouts[&code.to_string()]);
        assert!(walk.bytes.is_empty(), "value {code}: {} bytes not described", walk.bytes.len());
    }
}
