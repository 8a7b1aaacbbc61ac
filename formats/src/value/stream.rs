//! Streams with consumer groups, types 5, 6 and 8.
//!
//! ```text
//! 5 stream   n u64 | last id | (entry entry)*n | groups u32 | (group group)*groups
//! 6 stream2  stream 5 | entries_added u64 | max_deleted id | first id |
//!            (entries_read i64)*groups | (active_ms i64)*consumers | durable_queue u8
//! 8 stream3  stream2 6 | duration_secs u64 | max u64 | added u64 | duplicates u64 |
//!            producers u32 | (producer producer)*producers
//! producer   name bytes32 | n u32 | (iid bytes32 | id id)*n
//! id         ms u64 | seq u64
//! entry      id id | f u32 | (field bytes32 | value bytes32)*f
//! group      name bytes32 | last_delivered id | pel u32 | (pending pending)*pel |
//!            consumers u32 | (consumer consumer)*consumers
//! pending    id id | consumer bytes32 | delivery_ms u64 | deliveries u64
//! consumer   name bytes32 | seen_ms u64 | k u32 | (id id)*k
//! ```
//!
//! Type 8 is written where producers use idempotent ids (XADD IDMP), or did, or a stream has settings of
//! its own for them. In type 6, `entries_read` stands once per group and `active_ms` once per consumer of all groups,
//! in their order.

use super::Pairs;
use crate::bytes::{Put, Reader};
use crate::error::DecodeError;
use std::fmt;

const ENTRY_MIN: usize = 20;
const GROUP_MIN: usize = 28;
const PEL_MIN: usize = 36;
const CONSUMER_MIN: usize = 16;
const ID_LEN: usize = 16;
const PRODUCER_MIN: usize = 8;
const IID_MIN: usize = 20;

/// Id of a stream entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Milliseconds.
    pub ms: u64,
    /// Sequence number within the millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The least id; no entry has it.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The id after this one; `None` after [`StreamId::MAX`].
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id before this one; `None` before [`StreamId::MIN`].
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    fn read(r: &mut Reader<'_>, what: &'static str) -> Result<StreamId, DecodeError> {
        Ok(StreamId { ms: r.u64(what)?, seq: r.u64(what)? })
    }

    fn put(self, out: &mut Vec<u8>) {
        out.put_u64(self.ms);
        out.put_u64(self.seq);
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Fields and values in order.
    pub fields: Pairs<'a>,
}

/// Entries in stored order; checked when the stream was read.
#[derive(Clone)]
pub struct StreamEntries<'a> {
    r: Reader<'a>,
    left: usize,
}

impl<'a> StreamEntries<'a> {
    fn item(r: &mut Reader<'a>) -> Result<StreamEntry<'a>, DecodeError> {
        let id = StreamId::read(r, "entry id")?;
        Ok(StreamEntry { id, fields: Pairs::read(r, "entry fields")? })
    }
}

impl<'a> Iterator for StreamEntries<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(Self::item(&mut self.r).expect("entries were checked when the stream was read"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for StreamEntries<'_> {}

impl PartialEq for StreamEntries<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}

impl fmt::Debug for StreamEntries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// A delivered, not acknowledged entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PelEntry<'a> {
    /// The entry.
    pub id: StreamId,
    /// Who holds it.
    pub consumer: &'a [u8],
    /// Unix time of the last delivery in milliseconds.
    pub delivery_ms: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// A consumer of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Unix time of its last attempt in milliseconds.
    pub seen_ms: u64,
    /// Entries it holds.
    pub pending: Vec<StreamId>,
    /// Unix time of its last success in milliseconds, -1 for never. Type 6.
    pub active_ms: i64,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Last id delivered to it.
    pub last_delivered: StreamId,
    /// Entries delivered and not acknowledged.
    pub pel: Vec<PelEntry<'a>>,
    /// Its consumers.
    pub consumers: Vec<Consumer<'a>>,
    /// Entries read by it, -1 for unknown. Type 6.
    pub entries_read: i64,
}

/// What type 6 adds for the whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamExt {
    /// Entries ever added.
    pub entries_added: u64,
    /// Highest id ever deleted.
    pub max_deleted: StreamId,
    /// Id of the first entry.
    pub first: StreamId,
    /// True for a durable queue.
    pub durable_queue: bool,
}

/// A producer whose entries have idempotent ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its ids that are remembered, with the entries that were added under them; oldest first.
    pub iids: Vec<(&'a [u8], StreamId)>,
}

/// What type 8 adds: idempotent ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotence<'a> {
    /// How long an id is remembered.
    pub duration_secs: u64,
    /// How many are, of one producer.
    pub max: u64,
    /// Entries ever added with an id.
    pub added: u64,
    /// Entries not added because their id was known.
    pub duplicates: u64,
    /// The producers, in order of their names.
    pub producers: Vec<Producer<'a>>,
}

/// A decoded stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream<'a> {
    /// Entries.
    pub entries: StreamEntries<'a>,
    /// Last id ever assigned.
    pub last: StreamId,
    /// Consumer groups.
    pub groups: Vec<Group<'a>>,
    /// The rest, in a body of type 6.
    pub ext: Option<StreamExt>,
    /// Idempotent ids, in a body of type 8, which has `ext` as well.
    pub idempotence: Option<Idempotence<'a>>,
}

/// How much of a stream a body holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Type 5.
    Plain,
    /// Type 6.
    Ext,
    /// Type 8.
    Idempotent,
}

impl<'a> Stream<'a> {
    pub(super) fn read(r: &mut Reader<'a>, form: Form) -> Result<Stream<'a>, DecodeError> {
        // The last id stands between the count and the entries; checking the count against
        // 16 bytes too many is harmless, because the entries are read one by one.
        let left = r.count64(ENTRY_MIN, "stream entries")?;
        let last = StreamId::read(r, "last id")?;
        let entries = StreamEntries { r: r.clone(), left };
        for _ in 0..left {
            StreamEntries::item(r)?;
        }
        let count = r.count32(GROUP_MIN, "consumer groups")?;
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            groups.push(read_group(r)?);
        }
        let ext = match form >= Form::Ext {
            true => Some(read_ext(r, &mut groups)?),
            false => None,
        };
        let idempotence = match form == Form::Idempotent {
            true => Some(read_idempotence(r)?),
            false => None,
        };
        Ok(Stream { entries, last, groups, ext, idempotence })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_stream_head(out, self.entries.len() as u64, self.last);
        for entry in self.entries.clone() {
            put_stream_entry(out, entry.id, entry.fields);
        }
        put_stream_groups(out, &self.groups);
        if let Some(ext) = &self.ext {
            put_stream_ext(out, ext, &self.groups);
        }
        if let Some(idempotence) = &self.idempotence {
            put_stream_idempotence(out, idempotence);
        }
    }
}

fn read_group<'a>(r: &mut Reader<'a>) -> Result<Group<'a>, DecodeError> {
    let name = r.bytes32("group name")?;
    let last_delivered = StreamId::read(r, "last delivered id")?;
    let count = r.count32(PEL_MIN, "pending entries")?;
    let mut pel = Vec::with_capacity(count);
    for _ in 0..count {
        pel.push(PelEntry {
            id: StreamId::read(r, "pending id")?,
            consumer: r.bytes32("pending consumer")?,
            delivery_ms: r.u64("delivery_ms")?,
            deliveries: r.u64("deliveries")?,
        });
    }
    let count = r.count32(CONSUMER_MIN, "consumers")?;
    let mut consumers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = r.bytes32("consumer name")?;
        let seen_ms = r.u64("seen_ms")?;
        let held = r.count32(ID_LEN, "pending ids")?;
        let mut pending = Vec::with_capacity(held);
        for _ in 0..held {
            pending.push(StreamId::read(r, "pending id")?);
        }
        consumers.push(Consumer { name, seen_ms, pending, active_ms: -1 });
    }
    Ok(Group { name, last_delivered, pel, consumers, entries_read: -1 })
}

fn read_ext(r: &mut Reader<'_>, groups: &mut [Group<'_>]) -> Result<StreamExt, DecodeError> {
    let entries_added = r.u64("entries_added")?;
    let max_deleted = StreamId::read(r, "max_deleted")?;
    let first = StreamId::read(r, "first id")?;
    for group in groups.iter_mut() {
        group.entries_read = r.i64("entries_read")?;
    }
    for consumer in groups.iter_mut().flat_map(|g| &mut g.consumers) {
        consumer.active_ms = r.i64("active_ms")?;
    }
    Ok(StreamExt { entries_added, max_deleted, first, durable_queue: r.bool("durable queue")? })
}

fn read_idempotence<'a>(r: &mut Reader<'a>) -> Result<Idempotence<'a>, DecodeError> {
    let duration_secs = r.u64("idempotence duration")?;
    let max = r.u64("idempotent ids of a producer")?;
    let added = r.u64("idempotent ids added")?;
    let duplicates = r.u64("duplicates")?;
    let count = r.count32(PRODUCER_MIN, "producers")?;
    let mut producers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = r.bytes32("producer name")?;
        let count = r.count32(IID_MIN, "idempotent ids")?;
        let mut iids = Vec::with_capacity(count);
        for _ in 0..count {
            iids.push((r.bytes32("idempotent id")?, StreamId::read(r, "its entry")?));
        }
        producers.push(Producer { name, iids });
    }
    Ok(Idempotence { duration_secs, max, added, duplicates, producers })
}

/// Appends what type 8 adds.
pub fn put_stream_idempotence(out: &mut Vec<u8>, idempotence: &Idempotence<'_>) {
    let Idempotence { duration_secs, max, added, duplicates, producers } = idempotence;
    for n in [duration_secs, max, added, duplicates] {
        out.put_u64(*n);
    }
    out.put_count32(producers.len());
    for producer in producers {
        out.put_bytes32(producer.name);
        out.put_count32(producer.iids.len());
        for (iid, id) in &producer.iids {
            out.put_bytes32(iid);
            id.put(out);
        }
    }
}

/// Appends what stands before the entries; `entries` of them must follow.
pub fn put_stream_head(out: &mut Vec<u8>, entries: u64, last: StreamId) {
    out.put_u64(entries);
    last.put(out);
}

/// Appends one entry.
pub fn put_stream_entry<'a>(
    out: &mut Vec<u8>,
    id: StreamId,
    fields: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
) {
    id.put(out);
    out.put_count32(fields.len());
    for (field, value) in fields {
        out.put_bytes32(field);
        out.put_bytes32(value);
    }
}

/// Appends the groups.
pub fn put_stream_groups(out: &mut Vec<u8>, groups: &[Group<'_>]) {
    out.put_count32(groups.len());
    for group in groups {
        put_stream_group(out, group.name, group.last_delivered, group.pel.len());
        for pending in &group.pel {
            put_stream_pending(out, pending);
        }
        out.put_count32(group.consumers.len());
        for c in &group.consumers {
            put_stream_consumer(out, c.name, c.seen_ms, c.pending.len());
            for id in &c.pending {
                put_stream_id(out, *id);
            }
        }
    }
}

/// Appends what a group begins with; so many pending entries must follow, then the number of its consumers
/// as a `u32`, then they.
pub fn put_stream_group(out: &mut Vec<u8>, name: &[u8], last_delivered: StreamId, pending: usize) {
    out.put_bytes32(name);
    last_delivered.put(out);
    out.put_count32(pending);
}

/// Appends a pending entry of a group.
pub fn put_stream_pending(out: &mut Vec<u8>, pending: &PelEntry<'_>) {
    pending.id.put(out);
    out.put_bytes32(pending.consumer);
    out.put_u64(pending.delivery_ms);
    out.put_u64(pending.deliveries);
}

/// Appends what a consumer begins with; the ids of so many entries that it holds must follow.
pub fn put_stream_consumer(out: &mut Vec<u8>, name: &[u8], seen_ms: u64, held: usize) {
    out.put_bytes32(name);
    out.put_u64(seen_ms);
    out.put_count32(held);
}

/// Appends an id.
pub fn put_stream_id(out: &mut Vec<u8>, id: StreamId) {
    id.put(out);
}

/// Appends what type 6 adds; `groups` are those given to [`put_stream_groups`].
pub fn put_stream_ext(out: &mut Vec<u8>, ext: &StreamExt, groups: &[Group<'_>]) {
    out.put_u64(ext.entries_added);
    ext.max_deleted.put(out);
    ext.first.put(out);
    for group in groups {
        out.put_i64(group.entries_read);
    }
    for consumer in groups.iter().flat_map(|g| &g.consumers) {
        out.put_i64(consumer.active_ms);
    }
    out.put_u8(u8::from(ext.durable_queue));
}

impl fmt::Display for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::wal::body::Quoted;
        write!(f, "stream {} last {}", self.entries.len(), self.last)?;
        for entry in self.entries.clone() {
            write!(f, " {}(", entry.id)?;
            for (i, (field, value)) in entry.fields.enumerate() {
                let space = if i == 0 { "" } else { " " };
                write!(f, "{space}{}={}", Quoted(field), Quoted(value))?;
            }
            f.write_str(")")?;
        }
        for g in &self.groups {
            write!(f, " group {} at {} read {}", Quoted(g.name), g.last_delivered, g.entries_read)?;
            for p in &g.pel {
                write!(f, " pending {} of {}", p.id, Quoted(p.consumer))?;
                write!(f, " since {} x{}", p.delivery_ms, p.deliveries)?;
            }
            for c in &g.consumers {
                write!(f, " consumer {} seen {}", Quoted(c.name), c.seen_ms)?;
                write!(f, " active {} holds", c.active_ms)?;
                for id in &c.pending {
                    write!(f, " {id}")?;
                }
            }
        }
        if let Some(e) = &self.ext {
            write!(f, " added {} max_deleted {}", e.entries_added, e.max_deleted)?;
            write!(f, " first {} durable_queue {}", e.first, e.durable_queue)?;
        }
        if let Some(i) = &self.idempotence {
            write!(f, " iids for {} s max {}", i.duration_secs, i.max)?;
            write!(f, " added {} duplicates {}", i.added, i.duplicates)?;
            for p in &i.producers {
                write!(f, " producer {}", Quoted(p.name))?;
                for (iid, id) in &p.iids {
                    write!(f, " {}={id}", Quoted(iid))?;
                }
            }
        }
        Ok(())
    }
}
