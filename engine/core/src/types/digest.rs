//! Fingerprints of collections: the same content gives the same 128 bits in every encoding.
//!
//! An element's hash covers its parts with their lengths. A list hashes its elements in order; an unordered
//! type adds up the hashes of its elements, so any order of visiting gives the same sum.

use moon_ds::{Item, ItemBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Hashes elements one at a time, with a buffer that it keeps.
#[derive(Default)]
pub(super) struct Elements {
    bytes: Vec<u8>,
    sum: u128,
}

impl Elements {
    /// Of a collection of this kind (its body type).
    pub(super) fn of(kind: u8) -> Elements {
        Elements { bytes: Vec::new(), sum: u128::from(kind) }
    }

    pub(super) fn part(&mut self, item: Item<'_>) -> &mut Self {
        let mut buf = ItemBuf::new();
        let bytes = item.as_bytes(&mut buf);
        self.bytes.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn word(&mut self, word: u64) -> &mut Self {
        self.bytes.extend_from_slice(&word.to_le_bytes());
        self
    }

    /// The parts so far were one element.
    pub(super) fn end(&mut self) {
        self.sum = self.sum.wrapping_add(xxh3_128(&self.bytes));
        self.bytes.clear();
    }

    pub(super) fn sum(&self) -> u128 {
        self.sum
    }
}

/// Fingerprint of elements in order.
pub(super) fn of_sequence<'a>(kind: u8, items: impl Iterator<Item = Item<'a>>) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&[kind]);
    let mut buf = ItemBuf::new();
    for item in items {
        let bytes = item.as_bytes(&mut buf);
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.digest128()
}
