//! Cold pages of the reference: samples, and the target that reads them.

use crate::bytes::Put;
use crate::cold_reference::{ColdPage, Held, value};
use crate::crc::crc32c;
use crate::page::{HEADER_LEN, MAGIC, PAGE_LEN};

/// Reads a page and the values on it; its checksum is also put right, so that damage gets past it.
pub fn cold_page(data: &[u8]) {
    let mut sealed = data.to_vec();
    super::manifest::seal(&mut sealed);
    for data in [data, &sealed] {
        let Ok(ColdPage::Leaf(leaf)) = ColdPage::decode(data, 0) else { continue };
        for entry in &leaf.entries {
            assert!(entry.key.len() < PAGE_LEN);
            if let Held::Body(body) = &entry.held {
                let _ = value(entry.kind, body);
            }
        }
    }
}

/// A page of version 1, by the table of §4: no encoder has a hand in it.
pub(super) fn old_page(kind: u8, lsn: u64, next: u32, payload: &[u8]) -> Vec<u8> {
    let mut page = MAGIC.to_vec();
    page.put(&[1, kind, 0, 0]);
    page.put_u64(lsn);
    page.put_u32(crc32c(payload));
    page.put_count32(payload.len());
    page.resize(44, 0);
    page.put_u32(next);
    page.resize(HEADER_LEN, 0);
    page.put(payload);
    page.resize(PAGE_LEN, 0);
    page
}

/// A leaf with these entries, the first of them at the end of the page.
pub fn cold_leaf(lsn: u64, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![0; PAGE_LEN - HEADER_LEN];
    let mut end = payload.len();
    let mut slots = Vec::new();
    for entry in entries {
        end -= entry.len();
        payload[end..end + entry.len()].copy_from_slice(entry);
        slots.put(&((end + HEADER_LEN) as u16).to_le_bytes());
        slots.put(&(entry.len() as u16).to_le_bytes());
    }
    payload[0..2].copy_from_slice(&(80 + slots.len() as u16).to_le_bytes());
    payload[2..4].copy_from_slice(&((end + HEADER_LEN) as u16).to_le_bytes());
    payload[6..8].copy_from_slice(&(entries.len() as u16).to_le_bytes());
    payload[16..16 + slots.len()].copy_from_slice(&slots);
    old_page(0x10, lsn, 0, &payload)
}

/// Pages of each kind.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let entries = [
        b"\x01\0\0\0a\x05\0\0\0value".to_vec(),
        b"\x01\0\0\x01\0\x10\xa5\xd4\xe8\0\0\0b\0\0\0\0".to_vec(),
        b"\x01\0\0\x02c\x09\0\0\0\x04\0\0\0\x40abcd".to_vec(),
        b"\x01\0\x02\x04d\x04\0\0\0\x01\0\0\0".to_vec(),
        b"\x01\0\0\x08e\0\0\0\0".to_vec(),
        b"\x01\0\x01\0f\x12\0\0\0\x01\0\0\0\x01\0\0\0f\x01\0\0\0v".to_vec(),
    ];
    vec![cold_leaf(7, &entries), old_page(0x11, 7, 2, b"a piece"), vec![0; PAGE_LEN]]
}
