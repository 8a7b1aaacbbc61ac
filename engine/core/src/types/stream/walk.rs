//! A large stream read as it was at one moment while it goes on changing.
//!
//! One idea: what a stream holds many of (blocks, pending entries) is walked and copied in parts when it
//! changes; what it holds few of (groups, consumers, counters, idempotent ids) is copied when the walk begins.
//! What each consumer holds is not walked at all: it follows from the pending entries.

use std::collections::{BTreeMap, VecDeque};

use moon_ds::{MapWalk, Meter};
use moon_formats::bytes::Put;
use moon_formats::value::{
    self, PelEntry, StreamId, put_stream_consumer, put_stream_group, put_stream_head,
    put_stream_id, put_stream_pending,
};

use super::group::{Group, Pending};
use super::repr::{Stream, put_block};

/// Pending entries that are copied at once.
const GRAIN: usize = 64;

/// A walk over a stream; see the module page.
pub(super) struct StreamWalk {
    tag: u64,
    meter: Meter,
    /// Entries are still to come.
    entries: bool,
    /// Number of groups, until it has been written.
    group_count: Option<usize>,
    groups: VecDeque<GroupWalk>,
    /// What stands behind the groups.
    tail: Vec<u8>,
}

/// A consumer as it was.
struct ConsumerAtCut {
    name: Box<[u8]>,
    seen_ms: u64,
    /// Entries it held, in order; complete when all pending entries have been written.
    held: Vec<StreamId>,
}

/// A group as it was.
struct GroupWalk {
    name: Box<[u8]>,
    last_id: StreamId,
    pending: usize,
    /// By number, and the numbers in order of the names.
    consumers: BTreeMap<u32, ConsumerAtCut>,
    order: VecDeque<u32>,
    /// The group, if it has been destroyed.
    gone: Option<Box<Group>>,
    stage: Stage,
}

enum Stage {
    Head,
    Pending,
    ConsumerCount,
    Consumers,
    /// Ids of the first consumer, from this one on.
    Held(usize),
}

impl Drop for StreamWalk {
    fn drop(&mut self) {
        let consumers = self.groups.iter().flat_map(|group| group.consumers.values());
        self.meter.sub(consumers.map(|c| c.held.len() * size_of::<StreamId>()).sum());
    }
}

impl GroupWalk {
    fn begin(group: &mut Group, meter: &Meter) -> GroupWalk {
        let mut consumers = BTreeMap::new();
        let mut order = VecDeque::new();
        for (number, c) in group.numbered_consumers() {
            order.push_back(number);
            let name = c.name().into();
            consumers.insert(number, ConsumerAtCut { name, seen_ms: c.seen_ms, held: Vec::new() });
        }
        group.begin_walk(GRAIN, meter);
        GroupWalk {
            name: group.name().into(),
            last_id: group.last_id,
            pending: group.pending_count(),
            consumers,
            order,
            gone: None,
            stage: Stage::Head,
        }
    }

    /// Appends what comes next, about up to `until`; false when the group is complete.
    fn step(
        &mut self,
        live: Option<&mut Group>,
        out: &mut Vec<u8>,
        until: usize,
        meter: &Meter,
    ) -> bool {
        while out.len() < until {
            match self.stage {
                Stage::Head => {
                    put_stream_group(out, &self.name, self.last_id, self.pending);
                    self.stage = Stage::Pending;
                }
                Stage::Pending => {
                    let more = match (&mut self.gone, live) {
                        (Some(gone), _) => gone.step_walk(|id, p| {
                            put_pending(&mut self.consumers, id, p, out, until, meter)
                        }),
                        (None, Some(live)) => live.step_walk(|id, p| {
                            put_pending(&mut self.consumers, id, p, out, until, meter)
                        }),
                        (None, None) => false,
                    };
                    if more {
                        return true;
                    }
                    self.gone = None;
                    self.stage = Stage::ConsumerCount;
                    return true;
                }
                Stage::ConsumerCount => {
                    out.put_count32(self.order.len());
                    self.stage = Stage::Consumers;
                }
                Stage::Consumers => {
                    let Some(number) = self.order.front() else { return false };
                    let Some(c) = self.consumers.get(number) else { return false };
                    put_stream_consumer(out, &c.name, c.seen_ms, c.held.len());
                    self.stage = Stage::Held(0);
                }
                Stage::Held(from) => {
                    let Some(c) = self.order.front().and_then(|n| self.consumers.get_mut(n)) else {
                        return false;
                    };
                    let n = (until - out.len()).div_ceil(size_of::<StreamId>());
                    let to = c.held.len().min(from + n);
                    c.held[from..to].iter().for_each(|id| put_stream_id(out, *id));
                    self.stage = Stage::Held(to);
                    if to == c.held.len() {
                        meter.sub(to * size_of::<StreamId>());
                        c.held = Vec::new();
                        self.order.pop_front();
                        self.stage = Stage::Consumers;
                    }
                }
            }
        }
        true
    }
}

/// Appends a pending entry, and notes it with the consumer that held it. Whether there is room for more.
fn put_pending(
    consumers: &mut BTreeMap<u32, ConsumerAtCut>,
    id: StreamId,
    pending: &Pending,
    out: &mut Vec<u8>,
    until: usize,
    meter: &Meter,
) -> bool {
    let mut owner: &[u8] = b"";
    if let Some(c) = consumers.get_mut(&pending.owner_number()) {
        c.held.push(id);
        meter.add(size_of::<StreamId>());
        owner = &c.name;
    }
    let Pending { delivery_ms, deliveries, .. } = *pending;
    put_stream_pending(out, &PelEntry { id, consumer: owner, delivery_ms, deliveries });
    out.len() < until
}

impl Stream {
    /// Begins a walk that gives the value body, and appends what that begins with.
    pub(crate) fn begin_walk(&mut self, tag: u64, meter: &Meter, head: &mut Vec<u8>) {
        let mut tail = Vec::new();
        let light: Vec<value::Group<'_>> = self.groups().map(Group::written_light).collect();
        self.put_tail(&light, &mut tail);
        let (log, groups, walk) = self.parts();
        put_stream_head(head, log.len(), log.last_id());
        log.begin_walk(meter);
        let groups: VecDeque<_> = groups.iter_mut().map(|g| GroupWalk::begin(g, meter)).collect();
        *walk = Some(Box::new(StreamWalk {
            tag,
            meter: meter.clone(),
            entries: true,
            group_count: Some(groups.len()),
            groups,
            tail,
        }));
    }

    /// The tag of the walk, if there is one.
    pub(crate) fn walk_tag(&self) -> Option<u64> {
        Some(self.walk()?.tag)
    }

    /// Appends about `budget` bytes of what comes next; ends the walk with the last, and answers false.
    pub(crate) fn step_walk(&mut self, out: &mut Vec<u8>, budget: usize) -> bool {
        let until = out.len() + budget;
        let (log, groups, slot) = self.parts();
        let Some(walk) = slot else { return false };
        if walk.entries {
            walk.entries = log.step_walk(|own, block| {
                put_block(own, block, out);
                out.len() < until
            });
            if walk.entries {
                return true;
            }
        }
        if let Some(count) = walk.group_count.take() {
            out.put_count32(count);
        }
        while let Some(at_cut) = walk.groups.front_mut() {
            if out.len() >= until {
                return true;
            }
            let live = groups.iter_mut().find(|g| g.name() == &*at_cut.name && g.is_walked());
            if !at_cut.step(live.map(|g| &mut **g), out, until, &walk.meter) {
                walk.groups.pop_front();
            }
        }
        out.append(&mut walk.tail);
        *slot = None;
        false
    }

    /// Gives the walk up.
    pub(crate) fn end_walk(&mut self) {
        let (log, groups, slot) = self.parts();
        log.end_walk();
        groups.iter_mut().for_each(|group| group.end_walk());
        *slot = None;
    }
}

impl StreamWalk {
    /// A group has been destroyed.
    pub(super) fn keep(&mut self, group: Box<Group>) {
        let of = self.groups.iter_mut().find(|at_cut| *at_cut.name == *group.name());
        if let Some(at_cut) = of
            && group.is_walked()
        {
            at_cut.gone = Some(group);
        }
    }
}

/// The walk over blocks that a log has.
pub(super) type LogWalk = MapWalk<StreamId, super::block::Block>;
/// The walk over pending entries that a group has.
pub(super) type PendingWalk = MapWalk<StreamId, Pending>;
