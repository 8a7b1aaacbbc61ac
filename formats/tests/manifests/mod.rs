//! What each byte of a shard manifest means, and its text form.

use crate::Golden;
use moon_formats::page::{HEADER_FIELDS, HEADER_LEN, PAGE_LEN, Page, PageType};
use moon_formats::shard_manifest::{PAGES, ROOT_FIELDS, ROOT_LEN, Slot, open, read_root};
use std::fmt::Write;

pub(crate) fn read(name: &str, bytes: Vec<u8>) -> Golden {
    let opened = open(&bytes).unwrap();
    let mut dump = format!("in force: {:?}\n", opened.slot);
    for slot in [Slot::A, Slot::B] {
        match read_root(&bytes, slot) {
            Ok(found) => {
                let root = found.root;
                writeln!(
                    dump,
                    "{slot:?}: version={} epoch={} redo={} flushed={} snapshot={} files={}",
                    found.version,
                    root.epoch,
                    root.redo_lsn,
                    root.wal_flush_lsn,
                    root.snapshot_lsn,
                    root.files.len(),
                )
                .unwrap();
                for row in root.files {
                    writeln!(dump, "  {row}").unwrap();
                }
            }
            Err(e) => writeln!(dump, "{slot:?}: {e}").unwrap(),
        }
    }
    let pieces = bytes.chunks(PAGE_LEN).flat_map(page).collect();
    Golden { name: name.into(), bytes, pieces, dump }
}

fn page(bytes: &[u8]) -> Vec<(usize, String)> {
    let Ok(page) = Page::decode(bytes, 0, PAGES, None) else {
        assert!(bytes.iter().all(|&b| b == 0));
        return vec![(PAGE_LEN, "a root that was never written".into())];
    };
    let name = page.header.page_type.name();
    let mut pieces: Vec<(usize, String)> = fields(HEADER_FIELDS, bytes);
    pieces[0].1 = format!("{name}: {}", pieces[0].1);
    let mut rows = page.payload;
    if page.header.page_type == PageType::ManifestRoot {
        pieces.extend(fields(ROOT_FIELDS, rows));
        rows = &rows[ROOT_LEN..];
    }
    let count = page.header.entry_count as usize;
    for row in rows.chunks(rows.len() / count.max(1)) {
        let id = u64::from_le_bytes(*row.first_chunk().unwrap());
        pieces.push((row.len(), format!("  row of file {id}")));
    }
    let rest = PAGE_LEN - HEADER_LEN - page.payload.len();
    if rest > 0 {
        pieces.push((rest, "  zeros".into()));
    }
    pieces
}

fn fields(fields: &[(usize, usize, &str)], bytes: &[u8]) -> Vec<(usize, String)> {
    let text = |at: usize, size: usize| match size {
        16 => "an id".to_owned(),
        _ => {
            bytes[at..at + size].iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b)).to_string()
        }
    };
    fields
        .iter()
        .map(|&(at, size, name)| (size, format!("  {name} = {}", text(at, size))))
        .collect()
}
