//! Idempotent ids: which entries producers have added, so that one sent again is not added twice (Redis 8.6).
//!
//! An id is remembered for a time, counted from that of its entry, and as one of so many of its producer.
//! The clock here is the entries' own: adding an entry forgets what has been known for too long at *its*
//! time. So what is remembered depends on nothing but the entries, and is the same when they are
//! added again from the log. Somebody who only looks leaves out what has run out in the meantime.
//!
//! Invariants: `by_age` holds exactly the ids of all producers; no producer is without one; a producer's
//! `order` holds its ids in the order in which they came, and begins with one that is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use moon_ds::Item;
use moon_ds::sizeclass::round_up;
use moon_formats::value::{self, StreamId};

use crate::types::digest;

/// `IDMP-DURATION` of Redis, where it is not set.
const DURATION_SECS: u32 = 100;
/// `IDMP-MAXSIZE` of Redis, where it is not set.
const MAX: u32 = 100;

/// A name or an id, in both indexes.
type Text = Arc<[u8]>;

/// About what one id costs in the two trees, besides its text.
const ID_BYTES: usize = 150;
/// About what a producer costs besides its name.
const PRODUCER_BYTES: usize = 96;

/// How long and how many ids are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Seconds.
    pub duration_secs: u32,
    /// Ids of one producer.
    pub max: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { duration_secs: DURATION_SECS, max: MAX }
    }
}

/// What a stream remembers; see the module page.
#[derive(Debug, Clone, Default)]
pub struct Idempotence {
    memory: Memory,
    added: u64,
    duplicates: u64,
    /// Entry, producer, id.
    by_age: BTreeSet<(StreamId, Text, Text)>,
    producers: BTreeMap<Text, Producer>,
    text_bytes: usize,
}

#[derive(Debug, Clone, Default)]
struct Producer {
    ids: BTreeMap<Text, StreamId>,
    order: VecDeque<(Text, StreamId)>,
}

impl Producer {
    /// Its ids in the order in which they came.
    fn in_order(&self) -> impl Iterator<Item = &(Text, StreamId)> {
        self.order.iter().filter(|(iid, id)| self.ids.get(iid) == Some(id))
    }

    /// Removes from the front of the order what is no longer known.
    fn settle(&mut self) {
        while self.order.front().is_some_and(|(iid, id)| self.ids.get(iid) != Some(id)) {
            self.order.pop_front();
        }
    }
}

/// Figures of XINFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// The settings.
    pub memory: Memory,
    /// Producers with an id that is remembered.
    pub producers: usize,
    /// Ids that are remembered.
    pub ids: usize,
    /// Entries ever added with an id.
    pub added: u64,
    /// Entries not added because their id was known.
    pub duplicates: u64,
}

impl Idempotence {
    /// Nothing is known yet.
    pub fn new(memory: Memory) -> Idempotence {
        Idempotence { memory, ..Idempotence::default() }
    }

    /// The settings.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Changes the settings; everything known is forgotten if they are others.
    pub fn set_memory(&mut self, memory: Memory) {
        if memory != self.memory {
            let Idempotence { added, duplicates, .. } = *self;
            *self = Idempotence { memory, added, duplicates, ..Idempotence::default() };
        }
    }

    /// Heap bytes, about.
    pub fn mem_bytes(&self) -> usize {
        round_up(size_of::<Idempotence>())
            + self.text_bytes
            + self.by_age.len() * ID_BYTES
            + self.producers.len() * PRODUCER_BYTES
    }

    /// Number of ids, about what freeing them costs.
    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Whether the id of an entry is too old at an instant.
    fn is_over(&self, id: StreamId, at_ms: u64) -> bool {
        id.ms.saturating_add(u64::from(self.memory.duration_secs) * 1000) <= at_ms
    }

    /// The entry that a producer has added under an id, if that is known at an instant.
    pub fn find(&self, producer: &[u8], iid: &[u8], at_ms: u64) -> Option<StreamId> {
        let id = *self.producers.get(producer)?.ids.get(iid)?;
        (!self.is_over(id, at_ms)).then_some(id)
    }

    /// Counts an entry that was sent again.
    pub fn count_duplicate(&mut self) {
        self.duplicates = self.duplicates.saturating_add(1);
    }

    /// Takes note of an entry that has been added under an id, and forgets what is too old by then, and
    /// the oldest of the producer if it has too many.
    pub fn record(&mut self, producer: &[u8], iid: &[u8], id: StreamId) {
        while let Some((oldest, ..)) = self.by_age.first()
            && self.is_over(*oldest, id.ms)
        {
            if let Some((id, producer, iid)) = self.by_age.pop_first() {
                self.forget(&producer, &iid, id);
            }
        }
        self.added = self.added.saturating_add(1);
        self.insert(producer, iid, id);
        let max = self.memory.max as usize;
        while let Some((name, full)) = self.producers.get_key_value(producer)
            && full.ids.len() > max
            && let Some((iid, id)) = full.order.front().cloned()
        {
            self.by_age.remove(&(id, name.clone(), iid.clone()));
            self.forget(producer, &iid, id);
        }
    }

    fn insert(&mut self, producer: &[u8], iid: &[u8], id: StreamId) {
        let name = match self.producers.get_key_value(producer) {
            Some((name, _)) => name.clone(),
            None => {
                let name: Text = producer.into();
                self.text_bytes += round_up(name.len() + 16);
                name
            }
        };
        let iid: Text = iid.into();
        self.text_bytes += round_up(iid.len() + 16);
        let producer = self.producers.entry(name.clone()).or_default();
        if let Some(old) = producer.ids.insert(iid.clone(), id) {
            self.by_age.remove(&(old, name.clone(), iid.clone()));
            self.text_bytes -= round_up(iid.len() + 16);
        }
        producer.order.push_back((iid.clone(), id));
        producer.settle();
        self.by_age.insert((id, name, iid));
    }

    /// Takes an id out of its producer's; it has left `by_age`.
    fn forget(&mut self, producer: &[u8], iid: &[u8], id: StreamId) {
        let Some(known) = self.producers.get_mut(producer) else { return };
        debug_assert_eq!(known.ids.get(iid), Some(&id));
        known.ids.remove(iid);
        known.settle();
        self.text_bytes -= round_up(iid.len() + 16);
        if known.ids.is_empty() {
            self.producers.remove(producer);
            self.text_bytes -= round_up(producer.len() + 16);
        }
    }

    /// What there is to tell at an instant.
    pub fn figures(&self, now_ms: u64) -> Figures {
        let mut known = BTreeSet::new();
        let mut ids = 0;
        for (_, producer, _) in self.by_age.iter().rev().take_while(|e| !self.is_over(e.0, now_ms))
        {
            ids += 1;
            known.insert(producer);
        }
        let Idempotence { memory, added, duplicates, .. } = *self;
        Figures { memory, producers: known.len(), ids, added, duplicates }
    }

    /// Adds what is known to a fingerprint. Duplicates are no part of it: they are not logged.
    pub(super) fn digest(&self, sum: &mut digest::Elements) {
        let Memory { duration_secs, max } = self.memory;
        sum.word(u64::from(duration_secs)).word(u64::from(max)).word(self.added).end();
        for (id, producer, iid) in &self.by_age {
            sum.part(Item::Bytes(producer)).part(Item::Bytes(iid)).word(id.ms).word(id.seq).end();
        }
    }

    /// In the form of a body.
    pub(super) fn written(&self) -> value::Idempotence<'_> {
        let producers = self.producers.iter().map(|(name, known)| value::Producer {
            name,
            iids: known.in_order().map(|(iid, id)| (&**iid, *id)).collect(),
        });
        value::Idempotence {
            duration_secs: u64::from(self.memory.duration_secs),
            max: u64::from(self.memory.max),
            added: self.added,
            duplicates: self.duplicates,
            producers: producers.collect(),
        }
    }

    /// What a body says; `None` if there is nothing to know beyond Redis' own settings. Settings that
    /// no command takes are brought into their bounds.
    pub(super) fn from_body(body: &value::Idempotence<'_>) -> Option<Idempotence> {
        let clamp = |n: u64, max: u32| n.clamp(1, u64::from(max)) as u32;
        let memory = Memory {
            duration_secs: clamp(body.duration_secs, super::DURATION_SECS_MAX),
            max: clamp(body.max, super::IDS_MAX),
        };
        let mut known = Idempotence::new(memory);
        for producer in &body.producers {
            let skip = producer.iids.len().saturating_sub(memory.max as usize);
            for (iid, id) in producer.iids.iter().skip(skip) {
                known.insert(producer.name, iid, *id);
            }
        }
        (known.added, known.duplicates) = (body.added, body.duplicates);
        (!known.is_plain()).then_some(known)
    }

    /// Whether there is nothing to know beyond Redis' own settings: the same as if nobody had ever asked.
    pub(super) fn is_plain(&self) -> bool {
        self.added == 0 && self.by_age.is_empty() && self.memory == Memory::default()
    }
}

/// The id that an entry gets by its content: the same for the same pairs in any order (XADD IDMPAUTO). It is
/// kept in logs and files, so it must not change.
pub fn content_id(pairs: &[&[u8]]) -> [u8; 16] {
    let mut sum = digest::Elements::of(0);
    for pair in pairs.chunks_exact(2) {
        sum.part(Item::Bytes(pair[0])).part(Item::Bytes(pair[1])).end();
    }
    sum.sum().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn check(known: &Idempotence) {
        let ids: usize = known.producers.values().map(|p| p.ids.len()).sum();
        assert_eq!(ids, known.by_age.len());
        for producer in known.producers.values() {
            assert!(!producer.ids.is_empty());
            assert_eq!(producer.in_order().count(), producer.ids.len());
            assert_eq!(producer.order.front(), producer.in_order().next());
        }
        let text = |b: &[u8]| round_up(b.len() + 16);
        let names: usize = known.producers.keys().map(|p| text(p)).sum();
        let iids: usize = known.by_age.iter().map(|(.., iid)| text(iid)).sum();
        assert_eq!(known.text_bytes, names + iids);
    }

    #[test]
    fn ids_leave_by_age_and_by_number() {
        let mut known = Idempotence::new(Memory { duration_secs: 10, max: 3 });
        for n in 1..=5u64 {
            known.record(b"p", format!("i{n}").as_bytes(), id(n * 1000));
            known.record(b"q", b"same", id(n * 1000));
            check(&known);
        }
        assert_eq!(known.find(b"p", b"i2", 5000), None, "only three are kept");
        assert_eq!(known.find(b"p", b"i3", 12_999), Some(id(3000)));
        assert_eq!(known.find(b"p", b"i3", 13_000), None, "ten seconds later");
        assert_eq!(known.find(b"q", b"same", 6000), Some(id(5000)));
        assert_eq!(known.figures(5000).ids, 4);
        assert_eq!(known.figures(14_000), Figures { producers: 2, ids: 2, ..known.figures(0) });
        known.record(b"r", b"x", id(14_000));
        check(&known);
        assert_eq!((known.by_age.len(), known.producers.len(), known.added), (3, 3, 11));
        known.set_memory(known.memory());
        assert_eq!(known.by_age.len(), 3, "the same settings change nothing");
        known.set_memory(Memory { duration_secs: 11, max: 3 });
        check(&known);
        assert_eq!((known.by_age.len(), known.added), (0, 11));
    }

    #[test]
    fn the_id_of_a_content() {
        let id =
            |words: &[&str]| content_id(&words.iter().map(|w| w.as_bytes()).collect::<Vec<_>>());
        assert_eq!(id(&["a", "1", "b", "2"]), id(&["b", "2", "a", "1"]));
        assert_ne!(id(&["a", "1", "b", "2"]), id(&["a", "2", "b", "1"]));
        assert_ne!(id(&["a", "1"]), id(&["a", "1", "a", "1"]));
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        // It stands in logs: the same for ever.
        let hex: String = id(&["f", "v"]).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "f320563ceba7e81347cd7dc353321f42");
    }
}
