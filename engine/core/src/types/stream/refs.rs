//! What becomes of an entry that consumer groups still refer to (Redis 8.2).

use super::StreamId;
use super::log::TrimTo;

/// What deleting an entry does where groups have it pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// `KEEPREF`: they go on having it pending.
    Keep,
    /// `DELREF`: it is pending nowhere any more.
    Delete,
    /// `ACKED`: the entry stays unless every group has read and acknowledged it.
    Acknowledged,
}

const NAMES: [(References, &[u8]); 3] = [
    (References::Keep, b"KEEPREF"),
    (References::Delete, b"DELREF"),
    (References::Acknowledged, b"ACKED"),
];

impl References {
    /// The one of that name, any case.
    pub fn named(word: &[u8]) -> Option<References> {
        NAMES.iter().find(|(_, name)| word.eq_ignore_ascii_case(name)).map(|(r, _)| *r)
    }

    /// Its name.
    pub fn name(self) -> &'static [u8] {
        NAMES.iter().find(|(r, _)| *r == self).map_or(b"", |(_, name)| name)
    }
}

/// What became of an entry that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// There is none of that id.
    NoSuchId,
    /// It is gone.
    Deleted,
    /// It stays, because a group has not read or not acknowledged it.
    Referenced,
}

/// A trimming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// How far.
    pub to: TrimTo,
    /// Only whole blocks are removed.
    pub whole_blocks: bool,
    /// At most this many entries, 0 for any number.
    pub limit: u64,
    /// What happens to references.
    pub references: References,
}

/// What a trimming did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries removed.
    pub removed: u64,
    /// Entries below this id were looked at one by one.
    pub up_to: Option<StreamId>,
}
