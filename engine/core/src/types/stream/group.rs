//! Consumer groups: what was delivered to whom and has not been acknowledged.
//!
//! A pending entry stands once in the group's list, with its consumer, and once as a bare id in
//! that consumer's own; everything that changes one changes the other here. A consumer is named
//! by a number inside its group, so that a pending entry holds four bytes of it. The list by
//! time of delivery is made when it is first asked for and kept from then on.

use moon_ds::sizeclass::round_up;
use moon_ds::{MapWalk, Meter, OrdMap, ordmap};
use moon_formats::value::{self, StreamId};

use super::walk::PendingWalk;
use crate::types::attached::Attached;

/// A delivered entry that has not been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was last delivered, milliseconds since 1970.
    pub delivery_ms: u64,
    /// How often it was delivered.
    pub deliveries: u64,
    owner: u32,
}

impl Pending {
    /// Number of the consumer that holds it; of no consumer if nobody does.
    pub(super) fn owner_number(&self) -> u32 {
        self.owner
    }
}

/// Highest number of deliveries that is counted: commands take and print it as a signed number.
const DELIVERIES_MAX: u64 = i64::MAX as u64;

/// One delivery more.
pub fn one_more(deliveries: u64) -> u64 {
    deliveries.saturating_add(1).min(DELIVERIES_MAX)
}

/// Owner of an entry that was given back.
const NOBODY: u32 = u32::MAX;

/// A consumer of a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to get something, milliseconds since 1970; 0 if that is not known.
    pub seen_ms: u64,
    /// When it last got something.
    pub active_ms: Option<u64>,
    held: OrdMap<StreamId, ()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Number of entries it holds.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Ids of the entries it holds, in order.
    pub fn held_from(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = StreamId> {
        self.held.range(Some(from), Some(to)).map(|(id, ())| id)
    }

    fn mem_bytes(&self) -> usize {
        round_up(size_of::<Consumer>()) + round_up(self.name.len()) + self.held.mem_bytes()
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    name: Box<[u8]>,
    /// Last id delivered to it.
    pub last_id: StreamId,
    /// Number of entries it has read, if that is known.
    pub entries_read: Option<u64>,
    pending: OrdMap<StreamId, Pending>,
    by_time: Option<Box<OrdMap<(u64, StreamId), ()>>>,
    consumers: Vec<Option<Box<Consumer>>>,
    /// Numbers of the consumers, in order of their names.
    order: Vec<u32>,
    /// Heap bytes of the consumers.
    consumer_bytes: usize,
    walk: Attached<PendingWalk>,
}

impl Group {
    pub(super) fn new(name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            name: name.into(),
            last_id,
            entries_read,
            pending: OrdMap::new(),
            by_time: None,
            consumers: Vec::new(),
            order: Vec::new(),
            consumer_bytes: 0,
            walk: Attached::default(),
        }
    }

    /// Begins a walk over the pending entries.
    pub(super) fn begin_walk(&mut self, grain: usize, meter: &Meter) {
        *self.walk = Some(Box::new(MapWalk::new(&self.pending, grain, |_| 0, meter)));
    }

    /// Whether there is one.
    pub(super) fn is_walked(&self) -> bool {
        self.walk.is_some()
    }

    /// Gives the pending entries that come next to `f`, which answers whether to go on; ends the walk with
    /// the last, and answers false.
    pub(super) fn step_walk(&mut self, f: impl FnMut(StreamId, &Pending) -> bool) -> bool {
        let more = self.walk.as_mut().is_some_and(|walk| walk.step(&self.pending, f));
        if !more {
            *self.walk = None;
        }
        more
    }

    /// Gives the walk up.
    pub(super) fn end_walk(&mut self) {
        *self.walk = None;
    }

    #[inline]
    fn will_change(&mut self, id: StreamId) {
        if let Some(walk) = &mut *self.walk {
            walk.before_change(&self.pending, id);
        }
    }

    /// The consumers with their numbers, in order of their names.
    pub(super) fn numbered_consumers(&self) -> impl Iterator<Item = (u32, &Consumer)> {
        self.order.iter().filter_map(|n| Some((*n, self.consumers.get(*n as usize)?.as_deref()?)))
    }

    /// The group in the form of a body, without what it has pending.
    pub(super) fn written_light(&self) -> value::Group<'_> {
        let consumers = self.consumers().map(|c| value::Consumer {
            name: c.name(),
            seen_ms: c.seen_ms,
            pending: Vec::new(),
            active_ms: c.active_ms.map_or(-1, |ms| ms as i64),
        });
        value::Group {
            name: self.name(),
            last_delivered: self.last_id,
            pel: Vec::new(),
            consumers: consumers.collect(),
            entries_read: self.entries_read.map_or(-1, |n| n as i64),
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Heap bytes, O(1).
    pub(super) fn mem_bytes(&self) -> usize {
        let by_time = self.by_time.as_ref();
        round_up(size_of::<Group>())
            + round_up(self.name.len())
            + self.pending.mem_bytes()
            + by_time.map_or(0, |t| round_up(size_of_val(&**t)) + t.mem_bytes())
            + round_up(self.consumers.capacity() * size_of::<Option<Box<Consumer>>>())
            + round_up(self.order.capacity() * size_of::<u32>())
            + self.consumer_bytes
    }

    // Consumers.

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.order.len()
    }

    /// The consumers, in order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.order.iter().filter_map(|n| self.consumers.get(*n as usize)?.as_deref())
    }

    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.order.binary_search_by(|n| {
            self.consumer(ConsumerId(*n)).map(Consumer::name).cmp(&Some(name))
        })
    }

    /// The number of the consumer of that name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.place_of(name).ok().map(|at| ConsumerId(self.order[at]))
    }

    /// A consumer by number.
    pub fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        self.consumers.get(id.0 as usize)?.as_deref()
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.consumers.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// The consumer that holds a pending entry; none if it was given back.
    pub fn owner(&self, pending: &Pending) -> Option<&Consumer> {
        self.consumer(ConsumerId(pending.owner))
    }

    /// Whether this consumer holds the pending entry.
    pub fn is_owner(&self, pending: &Pending, id: ConsumerId) -> bool {
        pending.owner == id.0
    }

    /// The consumer of that name, made if there is none; whether it was made.
    pub fn find_or_create(&mut self, name: &[u8], now_ms: u64) -> (ConsumerId, bool) {
        let at = match self.place_of(name) {
            Ok(at) => return (ConsumerId(self.order[at]), false),
            Err(at) => at,
        };
        let consumer = Box::new(Consumer {
            name: name.into(),
            seen_ms: now_ms,
            active_ms: None,
            held: OrdMap::new(),
        });
        self.consumer_bytes += consumer.mem_bytes();
        let number = match self.consumers.iter().position(Option::is_none) {
            Some(free) if self.order.len() < self.consumers.len() => {
                self.consumers[free] = Some(consumer);
                free
            }
            _ => {
                self.consumers.push(Some(consumer));
                self.consumers.len() - 1
            }
        };
        self.order.insert(at, number as u32);
        (ConsumerId(number as u32), true)
    }

    /// Removes a consumer with all it holds; how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let at = self.place_of(name).ok()?;
        let number = self.order.remove(at);
        let consumer = self.consumers.get_mut(number as usize)?.take()?;
        self.consumer_bytes -= consumer.mem_bytes();
        for (id, ()) in consumer.held.iter() {
            self.take(id);
        }
        Some(consumer.held.len())
    }

    /// The consumer tried to get something.
    pub fn seen(&mut self, id: ConsumerId, now_ms: u64) {
        if let Some(consumer) = self.consumer_mut(id) {
            consumer.seen_ms = consumer.seen_ms.max(now_ms);
        }
    }

    /// The consumer got something.
    pub fn active(&mut self, id: ConsumerId, now_ms: u64) {
        if let Some(consumer) = self.consumer_mut(id) {
            consumer.active_ms = consumer.active_ms.max(Some(now_ms));
        }
    }

    // Pending entries.

    /// Number of pending entries.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// A pending entry.
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(&id).copied()
    }

    /// The pending entries with ids from `from` to `to`, from either end.
    pub fn pending_range(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> ordmap::Iter<'_, StreamId, Pending> {
        self.pending.range(Some(from), Some(to))
    }

    /// Up to `n` pending entries last delivered at `until_ms` or before, the longest idle first.
    pub fn idle_until(&mut self, until_ms: u64, n: usize) -> Vec<StreamId> {
        let pending = &self.pending;
        let by_time = self.by_time.get_or_insert_with(|| {
            let mut times = Box::new(OrdMap::new());
            for (id, p) in pending.iter() {
                times.insert((p.delivery_ms, id), ());
            }
            times
        });
        let to = (until_ms, StreamId::MAX);
        by_time.range(None, Some(to)).take(n).map(|((_, id), ())| id).collect()
    }

    /// Takes an entry out of the group's lists.
    fn take(&mut self, id: StreamId) -> Option<Pending> {
        self.will_change(id);
        let pending = self.pending.remove(&id)?;
        if let Some(by_time) = &mut self.by_time {
            by_time.remove(&(pending.delivery_ms, id));
        }
        Some(pending)
    }

    /// Changes what a consumer holds, its size counted before and after.
    fn edit_held(&mut self, owner: u32, f: impl FnOnce(&mut OrdMap<StreamId, ()>)) {
        let Some(Some(consumer)) = self.consumers.get_mut(owner as usize) else { return };
        let before = consumer.held.mem_bytes();
        f(&mut consumer.held);
        self.consumer_bytes = self.consumer_bytes + consumer.held.mem_bytes() - before;
    }

    fn put(&mut self, id: StreamId, mut new: Pending) {
        self.will_change(id);
        new.deliveries = new.deliveries.min(DELIVERIES_MAX);
        let old = self.pending.insert(id, new);
        if let Some(by_time) = &mut self.by_time {
            if let Some(old) = old {
                by_time.remove(&(old.delivery_ms, id));
            }
            by_time.insert((new.delivery_ms, id), ());
        }
        if old.is_some_and(|old| old.owner == new.owner) {
            return;
        }
        if let Some(old) = old {
            self.edit_held(old.owner, |held| _ = held.remove(&id));
        }
        self.edit_held(new.owner, |held| _ = held.insert(id, ()));
    }

    /// An entry is with this consumer from now on, whoever held it before.
    pub fn deliver(&mut self, id: StreamId, to: ConsumerId, delivery_ms: u64, deliveries: u64) {
        self.put(id, Pending { delivery_ms, deliveries, owner: to.0 });
    }

    /// An entry is pending with nobody from now on, as one that was given back.
    pub fn give_back(&mut self, id: StreamId, delivery_ms: u64, deliveries: u64) {
        self.put(id, Pending { delivery_ms, deliveries, owner: NOBODY });
    }

    /// Removes a pending entry; what it was.
    pub fn acknowledge(&mut self, id: StreamId) -> Option<Pending> {
        let pending = self.take(id)?;
        self.edit_held(pending.owner, |held| _ = held.remove(&id));
        Some(pending)
    }
}
