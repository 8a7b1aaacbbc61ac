//! Goal: after any crash a manifest opens to a state that was committed. Method: a model of commits on a file
//! whose last writes are torn at every page; flipped bits; pages that break one rule with right checksums.

use super::*;
use crate::testing::{old_shard_manifest, sample_root};
use proptest::prelude::*;

/// Applies a commit as a writer does, and tells the slot.
fn commit(file: &mut Vec<u8>, root: &Root) -> Slot {
    let slot = open(file).map_or(Slot::A, |o| o.slot.other());
    let commit = root.encode(slot, (file.len() / PAGE_LEN) as u32);
    file.extend_from_slice(&commit.overflow);
    let at = slot.offset() as usize;
    file[at..at + PAGE_LEN].copy_from_slice(&commit.root);
    slot
}

#[test]
fn a_whole_file_comes_back() {
    for files in [0, 1, 55, 56, 111, 112, 300] {
        let root = sample_root(7, files);
        let file = root.encode_file();
        assert_eq!(file.len() as u64, root.live_bytes());
        let opened = open(&file).unwrap();
        assert_eq!((opened.slot, opened.found.version), (Slot::A, VERSION));
        assert_eq!(opened.found.root, root);
        assert!(opened.other.is_err());
    }
}

proptest! {
    #[test]
    fn the_last_commit_is_in_force(counts in proptest::collection::vec(0usize..200, 1..12)) {
        let mut file = sample_root(1, 3).encode_file();
        for (i, files) in counts.into_iter().enumerate() {
            let root = sample_root(2 + i as u64, files);
            let before = open(&file).unwrap();
            let slot = commit(&mut file, &root);
            prop_assert_eq!(slot, before.slot.other());
            let opened = open(&file).unwrap();
            prop_assert_eq!(opened.slot, slot);
            prop_assert_eq!(opened.other, Ok(before.found.root.epoch));
            prop_assert_eq!(opened.found.root, root);
        }
    }

    /// Overflow pages are torn before the root is written, or the root is.
    #[test]
    fn a_torn_commit_leaves_the_state_before(
        files in (0usize..200, 0usize..200),
        at: prop::sample::Index,
        fill: u8,
        in_root: bool,
    ) {
        let before = sample_root(1, files.0);
        let mut file = before.encode_file();
        let root = sample_root(2, files.1);
        let commit = root.encode(Slot::B, (file.len() / PAGE_LEN) as u32);
        if in_root {
            file.extend_from_slice(&commit.overflow);
            let mut torn = commit.root;
            let at = at.index(PAGE_LEN);
            torn[at..].fill(fill);
            file[PAGE_LEN..2 * PAGE_LEN].copy_from_slice(&torn);
        } else {
            let at = at.index(commit.overflow.len() + 1);
            file.extend_from_slice(&commit.overflow[..at]);
        }
        let found = open(&file).unwrap().found.root;
        prop_assert!(found == before || in_root && found == root);
    }
}

#[test]
fn every_flipped_bit_loses_its_root_only() {
    let mut file = sample_root(1, 60).encode_file();
    commit(&mut file, &sample_root(2, 58));
    assert_eq!(file.len(), 4 * PAGE_LEN);
    for bit in 0..file.len() * 8 {
        let mut bad = file.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let opened = open(&bad).unwrap();
        // Pages: root A, root B, overflow of A, overflow of B.
        let want = if (bit / 8 / PAGE_LEN).is_multiple_of(2) { 2 } else { 1 };
        assert_eq!(opened.found.root.epoch, want, "bit {bit}");
        assert!(opened.other.is_err());
    }
}

#[test]
fn every_truncation_falls_back_or_is_refused() {
    let mut file = sample_root(1, 60).encode_file();
    commit(&mut file, &sample_root(2, 58));
    for cut in (0..file.len()).step_by(97) {
        match open(&file[..cut]) {
            Ok(opened) => assert_eq!((opened.found.root.epoch, cut >= 3 * PAGE_LEN), (1, true)),
            Err(e) => assert!(matches!(e, Unreadable::Damaged { .. }) && cut < 3 * PAGE_LEN, "{e}"),
        }
    }
}

#[test]
fn equal_epochs_mean_b() {
    let mut file = sample_root(5, 1).encode_file();
    let b = Root { redo_lsn: 999, ..sample_root(5, 2) };
    let bytes = b.encode(Slot::B, 2).root;
    file[PAGE_LEN..2 * PAGE_LEN].copy_from_slice(&bytes);
    assert_eq!(open(&file).unwrap().found.root, b);
}

#[test]
fn a_root_of_a_later_moon_is_not_stepped_over() {
    let mut file = sample_root(5, 1).encode_file();
    let mut newer = Vec::new();
    let header = PageHeader { page_id: 1, ..PageHeader::new(4, PageType::ManifestRoot) };
    header.put_page(PAGES, b"whatever it holds", &mut newer);
    file[PAGE_LEN..2 * PAGE_LEN].copy_from_slice(&newer);
    assert!(matches!(open(&file), Err(Unreadable::Newer(_))));
    // Without its checksum it is a damaged page.
    file[PAGE_LEN + 60] ^= 1;
    assert_eq!(open(&file).unwrap().found.root.epoch, 5);
}

#[test]
fn rules_are_checked_with_right_checksums() {
    let file = sample_root(1, 60).encode_file();
    let pages = |change: &dyn Fn(&mut PageHeader, &mut Vec<u8>), page: u32| {
        let mut file = file.clone();
        let at = page as usize * PAGE_LEN;
        let read = Page::decode(&file[at..], 0, PAGES, None).unwrap();
        let (mut header, mut payload) = (read.header, read.payload.to_vec());
        change(&mut header, &mut payload);
        let mut bytes = Vec::new();
        header.put_page(PAGES, &payload, &mut bytes);
        file[at..at + PAGE_LEN].copy_from_slice(&bytes);
        match open(&file) {
            Err(Unreadable::Damaged { a, .. }) => a.what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(pages(&|_, p| p[24] = 54, 0), "overflow_pages");
    assert_eq!(pages(&|_, p| p[24] = 61, 0), "entry_count");
    assert_eq!(pages(&|_, p| p[28] = 2, 0), "overflow_pages");
    assert_eq!(pages(&|h, _| h.txn_id = 9, 0), "txn_id");
    assert_eq!(pages(&|h, _| h.entry_count = 54, 0), "entry_count");
    assert_eq!(pages(&|h, _| h.next_page = 1, 0), "next_page");
    assert_eq!(pages(&|h, _| h.next_page = 3, 0), "page header");
    assert_eq!(pages(&|h, _| h.page_id = 1, 0), "page_id");
    assert_eq!(pages(&|h, _| h.page_type = PageType::ManifestEntry, 0), "page_type");
    assert_eq!(pages(&|h, _| h.txn_id = 9, 2), "epoch of overflow page");
    assert_eq!(pages(&|h, _| h.next_page = 3, 2), "next_page");
    assert_eq!(pages(&|h, _| h.entry_count = 6, 2), "entry_count");
    assert_eq!(pages(&|_, p| p.push(0), 2), "rows");
    assert_eq!(pages(&|_, p| p[0] = 0, 2), "file_id");
    assert_eq!(pages(&|_, p| p[9] = 7, 2), "file status");
    assert_eq!(pages(&|_, p| p[64 + 10] = 0, 0), "file tier");
    assert_eq!(pages(&|_, p| p.truncate(63), 0), "shard_uuid");
}

#[test]
fn files_of_the_reference_are_read() {
    let file = old_shard_manifest(1, 5);
    let opened = open(&file).unwrap();
    assert_eq!((opened.found.version, opened.slot), (1, Slot::A));
    let row = opened.found.root.files[4];
    assert_eq!(row.file.last_modified_lsn, row.file.created_lsn);
    assert_eq!((row.dead_lsn, row.content_xxh64), (0, 0));
    let file = old_shard_manifest(2, 100);
    let found = open(&file).unwrap().found;
    assert_eq!((found.version, found.root.files.len()), (2, 100));
    assert_eq!(found.root.files[99].file.file_id, 110);
    assert_ne!(found.root.files[99].file.last_modified_lsn, found.root.files[99].file.created_lsn);
    // Version 1 has no overflow.
    assert!(open(&old_shard_manifest(1, 100)).is_err());
}

#[test]
fn compaction_is_for_files_of_dead_pages() {
    let root = sample_root(1, 60);
    assert!(!root.wants_compaction(64 << 10));
    assert!(root.wants_compaction((64 << 10) + 4096));
    let large = sample_root(1, 5000);
    assert!(!large.wants_compaction(4 * large.live_bytes()));
    assert!(large.wants_compaction(4 * large.live_bytes() + 4096));
}

#[test]
fn fields_tile_the_rows() {
    for (fields, len) in [(ROOT_FIELDS, ROOT_LEN), (ROW_FIELDS, row_len(3))] {
        let mut at = 0;
        for &(offset, size, name) in fields {
            assert_eq!(offset, at, "{name}");
            at += size;
        }
        assert_eq!(at, len);
    }
    assert_eq!((inline_rows(2), overflow_rows(2)), (70, 72));
    assert_eq!((inline_rows(3), overflow_rows(3)), (55, 56));
}
