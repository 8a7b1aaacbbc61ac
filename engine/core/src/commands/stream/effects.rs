//! What consumer groups did, in words that repeat it: who holds which entry since when.

use super::ids::IdText;
use crate::db::Keyspace;
use crate::types::stream::{Group, StreamId};
use moon_formats::number::Digits;

/// Changes of one group by one command, collected while it runs and stated afterwards.
#[derive(Default)]
pub(super) struct GroupEffects {
    /// Whether anybody wants to know.
    wanted: bool,
    created: bool,
    /// Delivered entries with their counts of deliveries.
    delivered: Vec<(StreamId, u64)>,
    acknowledged: Vec<StreamId>,
    /// Where the group has read to.
    position: Option<(StreamId, Option<u64>)>,
}

impl GroupEffects {
    pub(super) fn new(ks: &Keyspace<'_>) -> GroupEffects {
        GroupEffects { wanted: ks.wants_effects(), ..GroupEffects::default() }
    }

    /// The consumer came into being.
    pub(super) fn created(&mut self) {
        self.created = true;
    }

    /// An entry is with the consumer from now on.
    pub(super) fn delivered(&mut self, id: StreamId, deliveries: u64) {
        if self.wanted {
            self.delivered.push((id, deliveries));
        }
    }

    /// A pending entry is gone.
    pub(super) fn acknowledged(&mut self, id: StreamId) {
        if self.wanted {
            self.acknowledged.push(id);
        }
    }

    /// The group's position changed.
    pub(super) fn moved(&mut self, group: &Group) {
        self.position = Some((group.last_id, group.entries_read));
    }

    /// States it all. `at_ms` is when entries were delivered.
    pub(super) fn state(
        self,
        ks: &mut Keyspace<'_>,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        at_ms: u64,
    ) {
        ks.no_own_effect();
        if !self.wanted {
            return;
        }
        if self.created {
            ks.effect(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
        }
        if !self.acknowledged.is_empty() {
            let ids: Vec<IdText> = self.acknowledged.iter().copied().map(IdText::of).collect();
            let mut words: Vec<&[u8]> = vec![b"XACK", key, group];
            words.extend(ids.iter().map(IdText::as_bytes));
            ks.effect(&words);
        }
        let time = Digits::of_u64(at_ms);
        for run in self.delivered.chunk_by(|a, b| a.1 == b.1) {
            let ids: Vec<IdText> = run.iter().map(|(id, _)| IdText::of(*id)).collect();
            let count = Digits::of_u64(run.first().map_or(0, |(_, n)| *n));
            let mut words: Vec<&[u8]> = vec![b"XCLAIM", key, group, consumer, b"0"];
            words.extend(ids.iter().map(IdText::as_bytes));
            words.extend([b"TIME".as_slice(), time.as_bytes()]);
            words.extend([b"RETRYCOUNT".as_slice(), count.as_bytes(), b"FORCE", b"JUSTID"]);
            ks.effect(&words);
        }
        if let Some((last, read)) = self.position {
            let last = IdText::of(last);
            let read = Digits::of_i64(read.map_or(-1, |n| n as i64));
            let words: [&[u8]; 7] =
                [b"XGROUP", b"SETID", key, group, last.as_bytes(), b"ENTRIESREAD", read.as_bytes()];
            ks.effect(&words);
        }
    }
}
