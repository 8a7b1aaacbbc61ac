//! Holds the byte tables of `docs/formats` against the code: offsets and sizes of the
//! fixed structures, codes and names of the record types, and for every payload the table
//! that opens its source file, which in turn is walked over real bytes.

mod layout;

use layout::Walk;
use moon_formats::page::{self, PageType};
use moon_formats::testing::{sample_bodies, sample_values};
use moon_formats::wal::{HEADER_FIELDS, RECORD_FIELDS, RecordType};
use moon_formats::{rrdshard, shard_manifest};

const WAL: &str = include_str!("../../docs/formats/wal.md");
const MANIFEST: &str = include_str!("../../docs/formats/shard-manifest.md");
const RRDSHARD: &str = include_str!("../../docs/formats/rrdshard.md");
const TEXTS: &str = include_str!("../../docs/formats/text-files.md");

/// Cells of the rows of the first table under the heading of a page, head and rule left out.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
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
        let rows = table(WAL, heading);
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
fn text_files_are_shown_as_they_are() {
    for (heading, file) in [
        ("Marker", include_str!("../golden/marker/v1/moon.storage")),
        ("Guard", include_str!("../golden/aof/v3/guard.manifest")),
        ("Part list", include_str!("../golden/aof/v3/part-list-off.manifest")),
        (
            "Journal of a migration",
            include_str!("../golden/migration/v1/moon.moon.migrate.journal"),
        ),
        ("Salvage plan", include_str!("../golden/salvage/v1/salvage.plan")),
    ] {
        assert!(TEXTS.contains(&format!("```text\n{file}```")), "{heading}: the example");
        let mut words: Vec<&str> =
            file.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        let mut seen = std::collections::BTreeSet::new();
        words.retain(|word| seen.insert(*word));
        let rows = table(TEXTS, heading);
        let named: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        assert_eq!(named, words, "{heading}");
    }
}

#[test]
fn record_types_equal_the_enum_and_the_sources() {
    let layouts = layout::wal();
    let rows = table(WAL, "Record types");
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
        assert!(WAL.contains(&want), "the page lacks: {want}");
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

#[test]
fn heads_of_snapshots_equal_the_constants() {
    equal_fields(RRDSHARD, "Preamble", rrdshard::PREAMBLE_FIELDS);
    equal_fields(RRDSHARD, "Extension", rrdshard::EXTENSION_FIELDS);
}

fn equal_fields(page: &str, heading: &str, fields: &[(usize, usize, &str)]) {
    let rows = table(page, heading);
    assert_eq!(rows.len(), fields.len(), "{heading}");
    for (row, &(offset, size, name)) in rows.iter().zip(fields) {
        let want = [offset.to_string(), size.to_string(), format!("`{name}`")];
        assert_eq!(row[..3], want, "{heading}");
    }
}

#[test]
fn pages_and_manifests_equal_the_constants() {
    equal_fields(MANIFEST, "Page header", page::HEADER_FIELDS);
    equal_fields(MANIFEST, "Shard manifest", shard_manifest::ROOT_FIELDS);
    equal_fields(MANIFEST, "Row", shard_manifest::ROW_FIELDS);
    let types: Vec<[String; 2]> = PageType::ALL
        .iter()
        .map(|t| [format!("0x{:02X}", t.code()), t.name().to_owned()])
        .collect();
    let rows: Vec<[String; 2]> =
        table(MANIFEST, "Page types").iter().map(|r| [r[0].clone(), r[1].clone()]).collect();
    assert_eq!(rows, types);
    for version in [2, 3] {
        let (inline, overflow) =
            (shard_manifest::inline_rows(version), shard_manifest::overflow_rows(version));
        let class = if version == 3 { "N" } else { "RO" };
        let len = if version == 3 { 72 } else { 56 };
        let row = format!("| {version} | {class} | {len} | {inline} | {overflow} |");
        assert!(MANIFEST.contains(&row), "{row}");
    }
    assert!(
        MANIFEST.contains(&format!("| 1 | RO | 48 | {} | none |", shard_manifest::inline_rows(1)))
    );
    let layouts = layout::layouts(&[include_str!("../src/shard_manifest.rs")]);
    for (name, fields) in
        [("root", shard_manifest::ROOT_FIELDS), ("row", shard_manifest::ROW_FIELDS)]
    {
        let items: Vec<&str> = layouts[name].split(" | ").collect();
        for (item, (_, size, field)) in items.iter().zip(fields) {
            let width = match item.split_once(' ').unwrap().1 {
                "u8" => 1,
                "u32" => 4,
                "u64" => 8,
                other => other.strip_suffix(" bytes").unwrap().parse().unwrap(),
            };
            assert!(item.starts_with(field) && width == *size, "{name}: {item}");
        }
    }
}

#[test]
fn blocks_of_snapshots_equal_the_sources() {
    let layouts = layout::snapshot();
    let text = |name: &str| format!("`{}`", layouts[name].replace(" | ", ", "));
    for (heading, count) in [("Blocks", 6), ("Versions 1 to 3, and MOON", 5)] {
        let rows = table(RRDSHARD, heading);
        assert_eq!(rows.len(), count, "{heading}");
        for row in rows {
            assert_eq!(row[1], text(row[0].trim_matches('`')), "{}", row[0]);
        }
    }
    let rows = table(RRDSHARD, "Sections");
    for row in &rows {
        let code: u16 = row[0].parse().unwrap();
        assert_eq!(rrdshard::section::name(code), Some(row[1].as_str()));
        assert!(rrdshard::section::is_known(code, rrdshard::section::VERSION));
        assert_eq!(row[2], text(&row[1]));
    }
    let known = |&&(code, _): &&(u16, &str)| rrdshard::section::is_known(code, 1);
    assert_eq!(rrdshard::section::NAMES.iter().filter(known).count(), rows.len());
    assert!(RRDSHARD.contains(&format!("`file` = {}", text("file"))));
    for (code, name) in rrdshard::section::NAMES.iter().filter(|n| !known(n)) {
        assert!(
            RRDSHARD.contains(&format!("{code} {name}"))
                || RRDSHARD.contains(&format!("{code}\n{name}"))
        );
    }
}
