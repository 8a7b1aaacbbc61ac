//! Members with or without their scores, as replies write them.

use crate::commands::put_item;
use crate::types::Item;
use moon_formats::resp::{Proto, Reply};

/// How a list of members is written: with scores it is flat in RESP2 and an array of pairs in
/// RESP3, where a client must be able to rely on the order (redis-surface §2).
#[derive(Clone, Copy)]
pub(super) struct Pairs {
    scores: bool,
    nested: bool,
}

impl Pairs {
    /// For this protocol.
    pub(super) fn new(out: &Reply<'_>, scores: bool) -> Pairs {
        Pairs { scores, nested: scores && out.proto() == Proto::Resp3 }
    }

    /// Pairs in both protocols (ZMPOP).
    pub(super) const NESTED: Pairs = Pairs { scores: true, nested: true };
    /// No pair in either protocol, though with scores (ZPOPMIN without a count).
    pub(super) const FLAT: Pairs = Pairs { scores: true, nested: false };

    /// Head of the list of `n` members.
    pub(super) fn head(self, out: &mut Reply<'_>, n: usize) {
        out.array(if self.scores && !self.nested { n * 2 } else { n });
    }

    /// One member.
    #[inline]
    pub(super) fn put(self, out: &mut Reply<'_>, member: Item<'_>, score: f64) {
        if self.nested {
            out.array(2);
        }
        put_item(out, member);
        if self.scores {
            out.double(score);
        }
    }
}
