//! The stream type: entries and groups together, and how they are written down.

use moon_ds::sizeclass::round_up;
use moon_ds::{Item, ItemBuf};
use moon_formats::value::{
    self, PelEntry, StreamExt, StreamId, put_stream_entry, put_stream_ext, put_stream_groups,
    put_stream_head, put_stream_idempotence,
};

use super::block::Block;
use super::group::Group;
use super::idempotence::{Idempotence, Memory};
use super::log::Log;
use super::refs::{Deletion, References, Trim, Trimmed};
use super::walk::StreamWalk;
use crate::types::attached::Attached;
use crate::types::{Limits, digest};

/// A stream; see the module page.
#[derive(Clone, Debug)]
pub struct Stream(Box<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    log: Log,
    /// In order of their names.
    #[expect(clippy::vec_box, reason = "most streams have few groups, and a group is large")]
    groups: Vec<Box<Group>>,
    /// Heap bytes of the groups.
    group_bytes: usize,
    /// Once a producer has given an idempotent id, or there are settings for that.
    idempotence: Option<Box<Idempotence>>,
    walk: Attached<StreamWalk>,
}

impl Stream {
    /// A stream without entries and groups.
    pub fn new() -> Stream {
        Stream(Box::default())
    }

    /// The entries.
    #[inline]
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// The entries, to change.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.0.log
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        usize::try_from(self.0.log.len()).unwrap_or(usize::MAX)
    }

    /// Whether there is no entry. The key stays nevertheless.
    pub fn is_empty(&self) -> bool {
        self.0.log.is_empty()
    }

    /// Heap bytes, O(1).
    #[inline]
    pub fn mem_bytes(&self) -> usize {
        round_up(size_of::<Inner>())
            + self.0.log.mem_bytes()
            + round_up(self.0.groups.capacity() * size_of::<Box<Group>>())
            + self.0.group_bytes
            + self.0.idempotence.as_ref().map_or(0, |known| known.mem_bytes())
    }

    /// What is known of idempotent ids, if anything.
    pub fn idempotence(&self) -> Option<&Idempotence> {
        self.0.idempotence.as_deref()
    }

    /// What is to be written down of idempotent ids.
    pub(crate) fn noted_idempotence(&self) -> Option<&Idempotence> {
        self.idempotence().filter(|known| !known.is_plain())
    }

    /// What is known of idempotent ids, to change; `memory` are the settings if nothing is.
    pub fn idempotence_mut(&mut self, memory: Memory) -> &mut Idempotence {
        self.0.idempotence.get_or_insert_with(|| Box::new(Idempotence::new(memory)))
    }

    /// About how many allocations it consists of, in constant time: all groups are taken to be like the
    /// first.
    pub fn allocations(&self) -> usize {
        let groups = self
            .0
            .groups
            .first()
            .map_or(0, |group| self.0.groups.len().saturating_mul(1 + group.pending_count()));
        let ids = self.0.idempotence.as_ref().map_or(0, |known| known.len());
        self.0.log.shape().0.saturating_add(groups).saturating_add(ids)
    }

    /// Name as OBJECT ENCODING prints it.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Removes entries from the front.
    pub fn trim(&mut self, trim: &Trim) -> Trimmed {
        let Trim { to, whole_blocks, limit, references } = *trim;
        if references == References::Keep {
            return Trimmed { removed: self.0.log.trim(to, whole_blocks, limit), up_to: None };
        }
        let mut ids = Vec::new();
        let up_to = self.0.log.visit_trimmed(to, whole_blocks, limit, |id| {
            let goes = references != References::Acknowledged || self.is_acknowledged(id);
            if goes {
                ids.push(id);
            }
            goes
        });
        self.0.log.cut_out(&ids);
        if references == References::Delete {
            for id in &ids {
                self.forget(*id);
            }
        }
        // Up to the end means below the id that would come next.
        let up_to = up_to.or(self.0.log.last_id().next());
        Trimmed { removed: ids.len() as u64, up_to }
    }

    /// Deletes an entry and does to references what is said; whether anything changed as well.
    pub fn delete(&mut self, id: StreamId, references: References) -> (Deletion, bool) {
        if self.0.log.get(id).is_none() {
            return (Deletion::NoSuchId, false);
        }
        if references == References::Acknowledged && !self.is_acknowledged(id) {
            return (Deletion::Referenced, false);
        }
        if references == References::Delete {
            self.forget(id);
        }
        self.0.log.delete(id);
        (Deletion::Deleted, true)
    }

    /// Whether every group has read the entry and nobody has it pending.
    fn is_acknowledged(&self, id: StreamId) -> bool {
        self.groups().all(|g| id <= g.last_id && g.pending(id).is_none())
    }

    /// Takes an entry out of what every group has pending.
    fn forget(&mut self, id: StreamId) {
        for group in &mut self.0.groups {
            let before = group.mem_bytes();
            group.acknowledge(id);
            self.0.group_bytes = self.0.group_bytes + group.mem_bytes() - before;
        }
    }

    // Groups.

    /// The groups, in order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.0.groups.iter().map(|g| &**g)
    }

    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.0.groups.binary_search_by(|g| g.name().cmp(name))
    }

    /// The group of that name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.place_of(name).ok().map(|at| &*self.0.groups[at])
    }

    /// Makes a group; whether the name was free.
    pub fn create_group(&mut self, name: &[u8], last: StreamId, read: Option<u64>) -> bool {
        let Err(at) = self.place_of(name) else { return false };
        let group = Box::new(Group::new(name, last, read));
        self.0.group_bytes += group.mem_bytes();
        self.0.groups.insert(at, group);
        true
    }

    /// Removes a group; whether it was there.
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        let Ok(at) = self.place_of(name) else { return false };
        let group = self.0.groups.remove(at);
        self.0.group_bytes -= group.mem_bytes();
        if let Some(walk) = &mut *self.0.walk {
            walk.keep(group);
        }
        true
    }

    /// Changes a group, with the entries beside it to look at; `None` if there is no such group.
    pub fn edit_group<R>(
        &mut self,
        name: &[u8],
        f: impl FnOnce(&Log, &mut Group) -> R,
    ) -> Option<R> {
        let at = self.place_of(name).ok()?;
        let inner = &mut *self.0;
        let group = &mut *inner.groups[at];
        let before = group.mem_bytes();
        let out = f(&inner.log, group);
        inner.group_bytes = inner.group_bytes + group.mem_bytes() - before;
        Some(out)
    }

    // Written down.

    /// A fingerprint of the content. When consumers were last seen is not part of it: that is not logged.
    pub fn digest(&self) -> u128 {
        let mut sum = digest::Elements::of(6);
        for entry in self.0.log.iter() {
            sum.word(entry.id.ms).word(entry.id.seq);
            for (name, value) in entry.fields {
                sum.part(name).part(value);
            }
            sum.end();
        }
        let log = &self.0.log;
        for id in [log.last_id(), log.max_deleted_id()] {
            sum.word(id.ms).word(id.seq);
        }
        sum.word(log.entries_added()).end();
        for group in self.groups() {
            let name = Item::Bytes(group.name());
            sum.part(name).word(group.last_id.ms).word(group.last_id.seq);
            sum.word(group.entries_read.map_or(0, |n| n.wrapping_add(1))).end();
            for consumer in group.consumers() {
                sum.part(name).part(Item::Bytes(consumer.name())).end();
            }
            for (id, pending) in group.pending_range(StreamId::MIN, StreamId::MAX) {
                let owner = group.owner(pending);
                sum.part(name).word(id.ms).word(id.seq).word(u64::from(owner.is_some()));
                sum.part(Item::Bytes(owner.map_or(b"", |c| c.name())));
                sum.word(pending.delivery_ms).word(pending.deliveries).end();
            }
        }
        if let Some(known) = self.noted_idempotence() {
            known.digest(&mut sum);
        }
        sum.sum()
    }

    /// Appends the value body, type 6, or 8 if there is something to know of idempotent ids.
    pub fn to_body(&self, out: &mut Vec<u8>) {
        let log = &self.0.log;
        put_stream_head(out, log.len(), log.last_id());
        log.blocks().for_each(|(own, block)| put_block(own, block, out));
        let groups: Vec<value::Group<'_>> = self.groups().map(written).collect();
        put_stream_groups(out, &groups);
        self.put_tail(&groups, out);
    }

    /// Whether the body takes at most about `max` bytes, found without writing it: names that blocks hold once
    /// stand in it with every entry, and names of consumers with every entry that they hold.
    pub(crate) fn has_body_within(&self, max: usize) -> bool {
        let mut left = Some(max);
        let mut take = |bytes: usize| {
            left = left.and_then(|left| left.checked_sub(bytes));
            left.is_some()
        };
        let (mut name, mut value) = (ItemBuf::new(), ItemBuf::new());
        let mut pair = |(field, held): (Item<'_>, Item<'_>)| {
            8 + field.as_bytes(&mut name).len() + held.as_bytes(&mut value).len()
        };
        self.log().iter().all(|entry| take(20 + entry.fields.map(&mut pair).sum::<usize>()))
            && self.groups().all(|group| {
                take(28 + group.name().len())
                    && group.consumers().all(|consumer| {
                        let name = consumer.name().len();
                        take(28 + name) && take(consumer.held().saturating_mul(52 + name))
                    })
            })
    }

    /// Appends what stands behind the groups.
    pub(super) fn put_tail(&self, groups: &[value::Group<'_>], out: &mut Vec<u8>) {
        let log = &self.0.log;
        let ext = StreamExt {
            entries_added: log.entries_added(),
            max_deleted: log.max_deleted_id(),
            first: log.first_id(),
            durable_queue: false,
        };
        put_stream_ext(out, &ext, groups);
        if let Some(known) = self.noted_idempotence() {
            put_stream_idempotence(out, &known.written());
        }
    }

    /// Entries, groups and the place of the walk.
    #[expect(clippy::vec_box, reason = "as in Inner")]
    pub(super) fn parts(
        &mut self,
    ) -> (&mut Log, &mut Vec<Box<Group>>, &mut Option<Box<StreamWalk>>) {
        let Inner { log, groups, walk, .. } = &mut *self.0;
        (log, groups, &mut **walk)
    }

    /// The walk, if there is one.
    pub(super) fn walk(&self) -> Option<&StreamWalk> {
        self.0.walk.as_deref()
    }

    /// The stream of a decoded body; `None` if its parts contradict each other.
    pub fn from_value(body: value::Stream<'_>, limits: &Limits) -> Option<Stream> {
        let mut stream = Stream::new();
        let mut words: Vec<&[u8]> = Vec::new();
        for entry in body.entries.clone() {
            if entry.id <= stream.log().last_id() {
                return None;
            }
            words.clear();
            words.extend(entry.fields.flat_map(|(name, value)| [name, value]));
            stream.log_mut().append(entry.id, &words, limits).ok()?;
        }
        if body.last < stream.log().last_id() {
            return None;
        }
        // Without the rest, what was deleted is unknown.
        let ext = body
            .ext
            .unwrap_or(StreamExt { entries_added: stream.log().len(), ..StreamExt::default() });
        stream.log_mut().set_ids(body.last, Some(ext.entries_added), Some(ext.max_deleted));
        for group in &body.groups {
            let read = u64::try_from(group.entries_read).ok();
            if !stream.create_group(group.name, group.last_delivered, read) {
                return None;
            }
            stream.edit_group(group.name, |_, g| fill(g, group))?;
        }
        let known = body.idempotence.as_ref().and_then(Idempotence::from_body);
        stream.0.idempotence = known.map(Box::new);
        Some(stream)
    }
}

/// Appends the entries of a block.
pub(super) fn put_block(own: StreamId, block: &Block, out: &mut Vec<u8>) {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut buf = ItemBuf::new();
    for entry in block.walk(own).filter(|e| !e.dead) {
        words.clear();
        for (name, value) in entry.fields {
            words.push(name.as_bytes(&mut buf).to_vec());
            words.push(value.as_bytes(&mut buf).to_vec());
        }
        put_stream_entry(out, entry.id, words.chunks_exact(2).map(|p| (&p[0][..], &p[1][..])));
    }
}

/// A group in the form of a body.
fn written(group: &Group) -> value::Group<'_> {
    let all = group.pending_range(StreamId::MIN, StreamId::MAX);
    let pel = all.map(|(id, pending)| PelEntry {
        id,
        // An entry that nobody holds has no name, and is in no consumer's list.
        consumer: group.owner(pending).map_or(b"", |c| c.name()),
        delivery_ms: pending.delivery_ms,
        deliveries: pending.deliveries,
    });
    let mut light = group.written_light();
    light.pel = pel.collect();
    for (written, c) in light.consumers.iter_mut().zip(group.consumers()) {
        written.pending = c.held_from(StreamId::MIN, StreamId::MAX).collect();
    }
    light
}

/// Puts consumers and pending entries of a body into a new group.
fn fill(group: &mut Group, body: &value::Group<'_>) {
    for consumer in &body.consumers {
        let (id, _) = group.find_or_create(consumer.name, consumer.seen_ms);
        if let Ok(ms) = u64::try_from(consumer.active_ms) {
            group.active(id, ms);
        }
    }
    for p in &body.pel {
        let nobody = p.consumer.is_empty()
            && !body.consumers.iter().any(|c| c.name.is_empty() && c.pending.contains(&p.id));
        if nobody {
            group.give_back(p.id, p.delivery_ms, p.deliveries);
        } else {
            let (owner, _) = group.find_or_create(p.consumer, 0);
            group.deliver(p.id, owner, p.delivery_ms, p.deliveries);
        }
    }
}
