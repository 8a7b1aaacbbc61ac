//! Streams.
//!
//! ```text
//! stream    nodes | (id of the node 16 | listpack)* | length | last id |
//!           from 19: first id | max deleted id | entries added
//!           groups | group*
//!           from 26: duration | most iids | producers | producer* | iids added | duplicates
//! group     name | last delivered id | from 19: entries read |
//!           pending | (id 16 | delivered i64 | deliveries)* | consumers | consumer*
//!           from 27: unowned | (id 16)*
//! consumer  name | seen i64 | from 21: active i64 | pending | (id 16)*
//! producer  name | iids | (iid | id)*
//! node      count | deleted | f | field*f | 0 | entry*
//! entry     flags | ms - node's | seq - node's | values of the node's fields, or f | (field | value)*f |
//!           number of elements before this one
//! ```
//!
//! Ids of 16 bytes are big-endian; others are two lengths. The master fields of a node are those of its first
//! entry. Ids must rise, each pending entry must have exactly one owner (from 27 none if it is
//! among the unowned), names and iids of a producer must differ: a stream that
//! breaks one of these rules is refused.

use super::decode::Body;
use super::encode::Encoder;
use super::packed::{Entry, Listpack, ListpackWriter};
use super::prim::{length, put_length, string};
use super::{Limits, code};
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::value::{
    Consumer, Group, Idempotence, PelEntry, Producer, Stream, StreamEntry, StreamExt, StreamId,
    put_stream_ext, put_stream_groups, put_stream_head, put_stream_idempotence,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Entry is deleted.
const DELETED: i64 = 1;
/// Entry has the fields of its node.
const SAME_FIELDS: i64 = 2;

/// Most entries, and about most bytes, of a node that is written.
const NODE_ENTRIES: usize = 100;
const NODE_BYTES: usize = 4096;

#[cold]
fn bad<T>(at: u64, what: &'static str, expected: &'static str) -> Result<T, DecodeError> {
    Err(DecodeError::new(at, what, Cause::Form { expected }))
}

fn read_id(r: &mut Reader<'_>, what: &'static str) -> Result<StreamId, DecodeError> {
    Ok(StreamId { ms: length(r, what)?, seq: length(r, what)? })
}

fn raw_id(bytes: [u8; 16]) -> StreamId {
    let n = u128::from_be_bytes(bytes);
    StreamId { ms: (n >> 64) as u64, seq: n as u64 }
}

/// A point in time; servers write none before 1970.
fn instant(r: &mut Reader<'_>, what: &'static str) -> Result<u64, DecodeError> {
    Ok(u64::try_from(r.i64(what)?).unwrap_or(0))
}

/// The entries met so far.
#[derive(Default)]
struct Seen {
    count: u64,
    first: StreamId,
    last: StreamId,
}

pub(super) fn decode(
    r: &mut Reader<'_>,
    kind: u8,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let start = r.offset();
    let head = out.len();
    let mut body = Body::new(out, limits);
    put_stream_head(body.out, 0, StreamId::default());
    let mut seen = Seen::default();
    for _ in 0..length(r, "number of stream nodes")? {
        let at = r.offset();
        let master = string(r, limits, "node's id")?;
        let Ok(master) = <[u8; 16]>::try_from(&*master) else {
            return bad(at, "node's id", "of 16 bytes");
        };
        let at = r.offset();
        let block = string(r, limits, "stream node")?;
        node(Listpack::new(&block, at)?, raw_id(master), &mut seen, &mut body)?;
    }
    let at = r.offset();
    let count = length(r, "stream length")?;
    if count != seen.count {
        let cause = Cause::Mismatch { expected: seen.count, found: count };
        return Err(DecodeError::new(at, "stream length", cause));
    }
    let at = r.offset();
    let last = read_id(r, "last id")?;
    if last < seen.last {
        return bad(at, "last id", "not below that of an entry");
    }
    let mut ext = StreamExt {
        entries_added: count,
        first: seen.first,
        max_deleted: StreamId::default(),
        durable_queue: false,
    };
    if kind >= code::STREAM_2 {
        read_id(r, "first id")?;
        ext.max_deleted = read_id(r, "max deleted id")?;
        ext.entries_added = length(r, "entries added")?;
    }
    let mut patch = Vec::with_capacity(24);
    put_stream_head(&mut patch, count, last);
    let field = body.out.get_mut(head..head + patch.len());
    field.expect("room was left for the head").copy_from_slice(&patch);

    let mut groups: Vec<OwnedGroup<'_>> = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..length(r, "number of groups")? {
        let at = r.offset();
        let mut group = OwnedGroup::read(r, kind, limits)?;
        if kind < code::STREAM_2 {
            group.entries_read = estimate_read(group.last_delivered, &seen, last);
        }
        if !names.insert(group.name.to_vec()) {
            return bad(at, "group name", "given once");
        }
        groups.push(group);
    }
    let groups: Vec<Group<'_>> = groups.iter().map(OwnedGroup::borrow).collect();
    put_stream_groups(body.out, &groups);
    put_stream_ext(body.out, &ext, &groups);
    if kind >= code::STREAM_4 {
        idempotence(r, limits, body.out)?;
    }
    body.room(start, 0)
}

/// Entries of one node. The master fields are read again for each entry, so that nothing is allocated.
fn node<'a>(
    mut lp: Listpack<'a>,
    master: StreamId,
    seen: &mut Seen,
    body: &mut Body<'_>,
) -> Result<(), DecodeError> {
    const WHAT: &str = "stream node";
    fn next<'a>(lp: &mut Listpack<'a>) -> Result<Entry<'a>, DecodeError> {
        let at = lp.offset();
        match lp.next()? {
            Some(entry) => Ok(entry),
            None => bad(at, WHAT, "complete"),
        }
    }
    fn int(lp: &mut Listpack<'_>) -> Result<i64, DecodeError> {
        let at = lp.offset();
        match next(lp)?.int() {
            Some(n) => Ok(n),
            None => bad(at, WHAT, "an integer here"),
        }
    }
    fn count(lp: &mut Listpack<'_>) -> Result<u64, DecodeError> {
        let at = lp.offset();
        match u64::try_from(int(lp)?) {
            Ok(n) => Ok(n),
            Err(_) => bad(at, WHAT, "a count here"),
        }
    }
    let (live, deleted) = (count(&mut lp)?, count(&mut lp)?);
    let master_count = count(&mut lp)?;
    let master_fields = lp.clone();
    for _ in 0..master_count {
        next(&mut lp)?;
    }
    let at = lp.offset();
    if int(&mut lp)? != 0 {
        return bad(at, WHAT, "closed after its fields");
    }
    let before = seen.count;
    for _ in 0..live.saturating_add(deleted) {
        let at = lp.offset();
        let flags = int(&mut lp)?;
        let id = StreamId {
            ms: master.ms.wrapping_add(int(&mut lp)? as u64),
            seq: master.seq.wrapping_add(int(&mut lp)? as u64),
        };
        let same = flags & SAME_FIELDS != 0;
        let alive = flags & DELETED == 0;
        let fields = if same { master_count } else { count(&mut lp)? };
        if alive {
            if id <= seen.last {
                return bad(at, "entry id", "above the one before it");
            }
            if seen.count == 0 {
                seen.first = id;
            }
            seen.last = id;
            seen.count += 1;
            let Ok(fields) = u32::try_from(fields) else {
                return bad(at, WHAT, "of less than 2^32 fields");
            };
            body.room(at, 20)?;
            body.out.put_u64(id.ms);
            body.out.put_u64(id.seq);
            body.out.put_u32(fields);
        }
        let mut names = master_fields.clone();
        for _ in 0..fields {
            let field = next(if same { &mut names } else { &mut lp })?;
            let value = next(&mut lp)?;
            if alive {
                field.with(|b| body.text(at, b))?;
                value.with(|b| body.text(at, b))?;
            }
        }
        let elements = if same { fields } else { fields.saturating_mul(2) + 1 } + 3;
        let at = lp.offset();
        if count(&mut lp)? != elements {
            return bad(at, WHAT, "closed with the size of its entry");
        }
    }
    let at = lp.offset();
    if lp.next()?.is_some() {
        return bad(at, WHAT, "at its end");
    }
    // Nodes without entries do not exist: their server would have removed them.
    if seen.count - before != live || before == seen.count && deleted == 0 {
        return bad(at, WHAT, "of as many entries as it announces");
    }
    Ok(())
}

/// How many entries a group of a stream without offsets has read, -1 for unknown: what can be told from its
/// position alone (Redis' `streamEstimateDistanceFromFirstEverEntry`; nothing is known to be deleted).
fn estimate_read(at: StreamId, seen: &Seen, last: StreamId) -> i64 {
    let count = seen.count as i64;
    match () {
        () if seen.count == 0 => 0,
        () if at == last => count,
        () if at > last => -1,
        () if at < seen.first => 0,
        () if at == seen.first => 1,
        () => -1,
    }
}

struct Nack {
    delivery_ms: u64,
    deliveries: u64,
    owner: Option<usize>,
}

struct OwnedConsumer<'a> {
    name: Cow<'a, [u8]>,
    seen_ms: u64,
    active_ms: i64,
    pending: Vec<StreamId>,
}

struct OwnedGroup<'a> {
    name: Cow<'a, [u8]>,
    last_delivered: StreamId,
    entries_read: i64,
    pel: BTreeMap<StreamId, Nack>,
    consumers: Vec<OwnedConsumer<'a>>,
}

impl<'a> OwnedGroup<'a> {
    fn read(r: &mut Reader<'a>, kind: u8, limits: &Limits) -> Result<Self, DecodeError> {
        let name = string(r, limits, "group name")?;
        let last_delivered = read_id(r, "last delivered id")?;
        let entries_read = match kind >= code::STREAM_2 {
            true => length(r, "entries read")? as i64,
            false => -1,
        };
        let mut pel = BTreeMap::new();
        for _ in 0..length(r, "number of pending entries")? {
            let at = r.offset();
            let id = raw_id(r.array("pending id")?);
            let delivery_ms = instant(r, "delivery time")?;
            let deliveries = length(r, "deliveries")?;
            let nack = Nack { delivery_ms, deliveries, owner: None };
            if pel.insert(id, nack).is_some() {
                return bad(at, "pending id", "given once");
            }
        }
        let mut consumers = Vec::new();
        let mut names = BTreeSet::new();
        for number in 0..length(r, "number of consumers")? {
            let at = r.offset();
            let name = string(r, limits, "consumer name")?;
            if !names.insert(name.to_vec()) {
                return bad(at, "consumer name", "given once");
            }
            let seen_ms = instant(r, "seen time")?;
            let active_ms = match kind >= code::STREAM_3 {
                true => r.i64("active time")?.max(-1),
                false => seen_ms as i64,
            };
            let mut pending = Vec::new();
            for _ in 0..length(r, "number of pending ids")? {
                let at = r.offset();
                let id = raw_id(r.array("pending id")?);
                match pel.get_mut(&id) {
                    Some(nack) if nack.owner.is_none() => nack.owner = Some(number as usize),
                    Some(_) => return bad(at, "pending id", "of one consumer"),
                    None => return bad(at, "pending id", "pending in its group"),
                }
                pending.push(id);
            }
            consumers.push(OwnedConsumer { name, seen_ms, active_ms, pending });
        }
        let mut unowned = BTreeSet::new();
        if kind >= code::STREAM_5 {
            for _ in 0..length(r, "number of unowned ids")? {
                let at = r.offset();
                let id = raw_id(r.array("unowned id")?);
                if pel.get(&id).is_none_or(|nack| nack.owner.is_some()) || !unowned.insert(id) {
                    return bad(at, "unowned id", "pending, of no consumer and given once");
                }
            }
        }
        if pel.iter().any(|(id, nack)| nack.owner.is_none() && !unowned.contains(id)) {
            return bad(r.offset(), "pending id", "of a consumer");
        }
        Ok(OwnedGroup { name, last_delivered, entries_read: entries_read.max(-1), pel, consumers })
    }

    fn borrow(&self) -> Group<'_> {
        let owner = |n: Option<usize>| n.and_then(|n| self.consumers.get(n));
        let pel = self.pel.iter().map(|(&id, nack)| PelEntry {
            id,
            consumer: owner(nack.owner).map_or(b"", |c| &*c.name),
            delivery_ms: nack.delivery_ms,
            deliveries: nack.deliveries,
        });
        let consumers = self.consumers.iter().map(|c| Consumer {
            name: &c.name,
            seen_ms: c.seen_ms,
            pending: c.pending.clone(),
            active_ms: c.active_ms,
        });
        Group {
            name: &self.name,
            last_delivered: self.last_delivered,
            pel: pel.collect(),
            consumers: consumers.collect(),
            entries_read: self.entries_read,
        }
    }
}

/// Idempotent ids: the tail of a stream from 26 on.
fn idempotence(r: &mut Reader<'_>, limits: &Limits, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let duration_secs = length(r, "idempotence duration")?;
    let max = length(r, "most idempotent ids")?;
    type Text<'a> = Cow<'a, [u8]>;
    let mut names: BTreeMap<Text<'_>, Vec<(Text<'_>, StreamId)>> = BTreeMap::new();
    for _ in 0..length(r, "number of producers")? {
        let at = r.offset();
        let name = string(r, limits, "producer name")?;
        let (mut iids, mut seen) = (Vec::new(), BTreeSet::new());
        for _ in 0..length(r, "number of idempotent ids")? {
            let at = r.offset();
            let iid = string(r, limits, "idempotent id")?;
            if !seen.insert(iid.to_vec()) {
                return bad(at, "idempotent id", "given once");
            }
            iids.push((iid, read_id(r, "entry of an idempotent id")?));
        }
        if names.insert(name, iids).is_some() {
            return bad(at, "producer name", "given once");
        }
    }
    let added = length(r, "idempotent ids added")?;
    let duplicates = length(r, "duplicates")?;
    let producers = names.iter().map(|(name, iids)| Producer {
        name,
        iids: iids.iter().map(|(iid, id)| (&**iid, *id)).collect(),
    });
    let producers = producers.collect();
    put_stream_idempotence(out, &Idempotence { duration_secs, max, added, duplicates, producers });
    Ok(())
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_length(out, id.ms);
    put_length(out, id.seq);
}

fn put_raw_id(out: &mut Vec<u8>, id: StreamId) {
    out.put(&id.ms.to_be_bytes());
    out.put(&id.seq.to_be_bytes());
}

/// Appends the body of a stream of type `kind`.
pub(super) fn encode(encoder: &mut Encoder, s: &Stream<'_>, kind: u8, out: &mut Vec<u8>) {
    let mut nodes = Vec::new();
    let mut count = 0;
    let mut entries = s.entries.clone();
    loop {
        // How many of the next entries fit a node.
        let (mut size, mut take) = (0, 0);
        for entry in entries.clone().take(NODE_ENTRIES) {
            size += entry.fields.clone().map(|(f, v)| f.len() + v.len() + 4).sum::<usize>();
            if take > 0 && size > NODE_BYTES {
                break;
            }
            take += 1;
        }
        let chunk: Vec<StreamEntry<'_>> = entries.by_ref().take(take).collect();
        let Some(first) = chunk.first() else { break };
        let mut id = Vec::with_capacity(16);
        put_raw_id(&mut id, first.id);
        encoder.put_string(&mut nodes, &id);
        encoder.put_block(&mut nodes, |w| put_node(w, first, &chunk));
        count += 1;
    }
    put_length(out, count);
    out.put(&nodes);
    put_length(out, s.entries.len() as u64);
    put_id(out, s.last);
    let first = s.entries.clone().next().map_or(StreamId::default(), |e| e.id);
    let (added, max_deleted) = match &s.ext {
        Some(ext) => (ext.entries_added, ext.max_deleted),
        None => (s.entries.len() as u64, StreamId::default()),
    };
    if kind >= code::STREAM_2 {
        put_id(out, first);
        put_id(out, max_deleted);
        put_length(out, added);
    }
    put_length(out, s.groups.len() as u64);
    for group in &s.groups {
        put_group(encoder, group, kind, out);
    }
    if kind >= code::STREAM_4 {
        put_idempotence(encoder, s.idempotence.as_ref(), out);
    }
}

fn put_idempotence(encoder: &mut Encoder, known: Option<&Idempotence<'_>>, out: &mut Vec<u8>) {
    // A server that has never heard of a producer writes the settings it ships with.
    let none =
        Idempotence { duration_secs: 100, max: 100, added: 0, duplicates: 0, producers: vec![] };
    let known = known.unwrap_or(&none);
    put_length(out, known.duration_secs);
    put_length(out, known.max);
    put_length(out, known.producers.len() as u64);
    for producer in &known.producers {
        encoder.put_string(out, producer.name);
        put_length(out, producer.iids.len() as u64);
        for (iid, id) in &producer.iids {
            encoder.put_string(out, iid);
            put_id(out, *id);
        }
    }
    put_length(out, known.added);
    put_length(out, known.duplicates);
}

fn put_node(w: &mut ListpackWriter<'_>, first: &StreamEntry<'_>, chunk: &[StreamEntry<'_>]) {
    w.push_int(chunk.len() as i64);
    w.push_int(0);
    w.push_int(first.fields.len() as i64);
    for (field, _) in first.fields.clone() {
        w.push(field);
    }
    w.push_int(0);
    for entry in chunk {
        let mut pairs = entry.fields.clone().zip(first.fields.clone());
        let same = entry.fields.len() == first.fields.len() && pairs.all(|(a, b)| a.0 == b.0);
        let start = w.count();
        w.push_int(if same { SAME_FIELDS } else { 0 });
        w.push_int(entry.id.ms.wrapping_sub(first.id.ms) as i64);
        w.push_int(entry.id.seq.wrapping_sub(first.id.seq) as i64);
        if !same {
            w.push_int(entry.fields.len() as i64);
        }
        for (field, value) in entry.fields.clone() {
            if !same {
                w.push(field);
            }
            w.push(value);
        }
        w.push_int((w.count() - start) as i64);
    }
}

fn put_group(encoder: &mut Encoder, group: &Group<'_>, kind: u8, out: &mut Vec<u8>) {
    encoder.put_string(out, group.name);
    put_id(out, group.last_delivered);
    if kind >= code::STREAM_2 {
        put_length(out, group.entries_read as u64);
    }
    put_length(out, group.pel.len() as u64);
    for p in &group.pel {
        put_raw_id(out, p.id);
        out.put_u64(p.delivery_ms);
        put_length(out, p.deliveries);
    }
    put_length(out, group.consumers.len() as u64);
    for c in &group.consumers {
        encoder.put_string(out, c.name);
        out.put_u64(c.seen_ms);
        if kind >= code::STREAM_3 {
            out.put_i64(c.active_ms);
        }
        put_length(out, c.pending.len() as u64);
        for &id in &c.pending {
            put_raw_id(out, id);
        }
    }
    if kind >= code::STREAM_5 {
        let held: BTreeSet<StreamId> =
            group.consumers.iter().flat_map(|c| c.pending.iter().copied()).collect();
        let unowned: Vec<StreamId> =
            group.pel.iter().map(|p| p.id).filter(|id| !held.contains(id)).collect();
        put_length(out, unowned.len() as u64);
        for id in unowned {
            put_raw_id(out, id);
        }
    }
}
