//! Shard manifests: samples, and the target that reads them.

use crate::bytes::Put;
use crate::crc::crc32c;
use crate::page::{DATA_PAGES, HEADER_LEN, PAGE_LEN, Page, PageHeader, PageType};
use crate::shard_manifest::{self, PAGES, Root, Row, Slot, inline_rows, overflow_rows, read_root};
use crate::wal::body::{FileEntry, Payload};

/// Reads both roots and opens the file; the checksums of its pages are also put right. A root of version 3 is
/// written again, to equal pages.
pub fn shard_manifest(data: &[u8]) {
    let mut sealed = data.to_vec();
    for page in sealed.chunks_exact_mut(PAGE_LEN) {
        seal(page);
    }
    for file in [data, &sealed] {
        for slot in [Slot::A, Slot::B] {
            let Ok(found) = read_root(file, slot) else { continue };
            if found.version < 3 {
                continue;
            }
            let overflow_page = found.overflow_page.max(2);
            let commit = found.root.encode(slot, overflow_page);
            let at = slot.offset() as usize;
            let page = Page::decode(&file[at..], 0, PAGES, None).expect("it was read");
            let again = Page::decode(&commit.root, 0, PAGES, None).expect("own pages are sound");
            assert_eq!(page.payload, again.payload);
            for i in 0..commit.overflow.len() / PAGE_LEN {
                let at = (overflow_page as usize + i) * PAGE_LEN;
                let page = Page::decode(&file[at..], 0, PAGES, None).expect("it was read");
                let again = &commit.overflow[i * PAGE_LEN..];
                let again = Page::decode(again, 0, PAGES, None).expect("own pages are sound");
                assert_eq!(page.payload, again.payload);
            }
        }
        let _ = shard_manifest::open(file);
    }
}

/// Reads a page; its checksums are also put right. What is read is written again.
pub fn page(data: &[u8]) {
    let mut sealed = data.to_vec();
    seal(&mut sealed);
    for data in [data, &sealed] {
        let Ok(page) = Page::decode(data, 0, DATA_PAGES, None) else { continue };
        let _ = page.header.to_string();
        let mut again = Vec::new();
        page.header.put_page(DATA_PAGES, page.payload, &mut again);
        let len = match page.header.version {
            1 => HEADER_LEN + page.payload.len(),
            _ => again.len(),
        };
        assert_eq!(again.get(..len), data.get(..len));
    }
}

/// Puts the checksums of a page right, as far as its length can be trusted.
pub(super) fn seal(page: &mut [u8]) {
    let Some((header, rest)) = page.split_at_mut_checked(HEADER_LEN) else { return };
    let len = u32::from_le_bytes([header[20], header[21], header[22], header[23]]);
    if let Some(payload) = rest.get(..len as usize) {
        header[16..20].copy_from_slice(&crc32c(payload).to_le_bytes());
    }
    let crc = if header[4] > 1 { crc32c(&header[..60]) } else { 0 };
    header[60..].copy_from_slice(&crc.to_le_bytes());
}

/// A root with that many files.
pub fn sample_root(epoch: u64, files: usize) -> Root {
    Root {
        epoch,
        redo_lsn: 1000 + epoch,
        wal_flush_lsn: 2000 + epoch,
        snapshot_lsn: 900 + epoch,
        created_at_secs: 1_700_000_000,
        shard_uuid: *b"\x01\x8f\x2a\x3b\x4c\x5d\x7e\x6f\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7",
        files: (0..files as u64).map(sample_row).collect(),
    }
}

fn sample_row(i: u64) -> Row {
    let sealed = i.is_multiple_of(3);
    let file = FileEntry {
        file_id: 11 + i,
        file_type: PageType::KvLeaf.code(),
        status: if sealed { 3 } else { 1 },
        tier: 3,
        page_size_log2: 12,
        page_count: 16,
        byte_size: 65536,
        created_lsn: 8 + i,
        db: i % 2,
        max_key_hash: 0xffff,
        last_modified_lsn: 20 + i,
    };
    Row { file, dead_lsn: 0, content_xxh64: if sealed { 0x0123_4567_89ab_cdef } else { 0 } }
}

/// A manifest of the reference, version 1 or 2, with one root. Moon writes none; this is for tests.
pub fn old_shard_manifest(version: u8, files: usize) -> Vec<u8> {
    let root = sample_root(3, files);
    let row = |row: &Row, out: &mut Vec<u8>| {
        let start = out.len();
        row.file.put(out);
        out.truncate(start + if version == 1 { 48 } else { 56 });
    };
    let (inline, more) = root.files.split_at(files.min(inline_rows(version)));
    let pages = more.chunks(overflow_rows(version));
    let mut payload = Vec::new();
    for n in [root.epoch, root.redo_lsn, root.wal_flush_lsn] {
        payload.put_u64(n);
    }
    payload.put_count32(files);
    payload.put_count32(pages.len());
    payload.put_u64(root.snapshot_lsn);
    payload.put_u64(root.created_at_secs);
    payload.put(&root.shard_uuid);
    inline.iter().for_each(|r| row(r, &mut payload));
    let header = PageHeader {
        next_page: if more.is_empty() { 0 } else { 2 },
        entry_count: inline.len() as u32,
        ..PageHeader::new(version, PageType::ManifestRoot)
    };
    let mut out = Vec::new();
    header.put_page(PAGES, &payload, &mut out);
    out.resize(2 * PAGE_LEN, 0);
    for rows in pages {
        payload.clear();
        rows.iter().for_each(|r| row(r, &mut payload));
        let header = PageHeader {
            entry_count: rows.len() as u32,
            ..PageHeader::new(version, PageType::ManifestEntry)
        };
        header.put_page(PAGES, &payload, &mut out);
    }
    out
}

/// A file after three commits, with overflow runs.
pub fn sample_shard_manifest() -> Vec<u8> {
    let mut file = sample_root(1, 2).encode_file();
    for (epoch, files, slot) in [(2, 57, Slot::B), (3, 56, Slot::A)] {
        let commit = sample_root(epoch, files).encode(slot, (file.len() / PAGE_LEN) as u32);
        file.extend_from_slice(&commit.overflow);
        let at = slot.offset() as usize;
        file[at..at + PAGE_LEN].copy_from_slice(&commit.root);
    }
    file
}

/// Manifests of every version.
pub(super) fn samples() -> Vec<Vec<u8>> {
    vec![
        sample_shard_manifest(),
        sample_root(1, 2).encode_file(),
        old_shard_manifest(1, 3),
        old_shard_manifest(2, 71),
    ]
}

/// Pages of both versions.
pub(super) fn page_samples() -> Vec<Vec<u8>> {
    [1, 2]
        .map(|version| {
            let mut out = Vec::new();
            let header = PageHeader {
                page_id: 3,
                file_id: 12,
                entry_count: 2,
                ..PageHeader::new(version, PageType::KvLeaf)
            };
            header.put_page(DATA_PAGES, b"payload of a page", &mut out);
            out
        })
        .to_vec()
}
