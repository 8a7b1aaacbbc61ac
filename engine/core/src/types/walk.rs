//! Large values read as they were at one moment while they go on changing.
//!
//! A walk gives the value body in steps. It lives in the value; the value's own mutators see to it that
//! what changes ahead of the walk is copied first, in small parts: granules of a table, nodes of a
//! list, blocks and pending entries of a stream. Small encodings have no walk: changing one costs
//! as much as writing it.

use super::{Limits, Object};
use moon_ds::Meter;

/// Bytes in memory from which on a value is worth a walk: from there its body may exceed 256 KiB. Elements of
/// lists and streams take a quarter of what they take in the body, at least. Less in this crate's tests, so
/// that they get there.
const WALK_BYTES: usize = if cfg!(test) { 16 << 10 } else { 256 << 10 };

impl Object {
    /// Whether the value is to be written by a walk.
    pub(crate) fn wants_walk(&self) -> bool {
        match self {
            Object::Hash(v) => v.can_walk() && v.mem_bytes() > WALK_BYTES,
            Object::Set(v) => v.can_walk() && v.mem_bytes() > WALK_BYTES,
            Object::ZSet(v) => v.can_walk() && v.mem_bytes() > WALK_BYTES,
            Object::List(v) => v.can_walk() && v.mem_bytes() > WALK_BYTES / 4,
            Object::Stream(v) => v.mem_bytes() > WALK_BYTES / 4,
        }
    }

    /// Begins a walk. `tag` tells it from others; `meter` counts what is kept for it; `head` takes the bytes that
    /// the body begins with.
    pub(crate) fn begin_walk(&mut self, tag: u64, meter: &Meter, head: &mut Vec<u8>) {
        match self {
            Object::Hash(v) => v.begin_walk(tag, meter),
            Object::Set(v) => v.begin_walk(tag, meter),
            Object::ZSet(v) => v.begin_walk(tag, meter),
            Object::List(v) => v.begin_walk(tag, meter, head),
            Object::Stream(v) => v.begin_walk(tag, meter, head),
        }
    }

    /// The tag of the walk, if there is one.
    #[inline]
    pub(crate) fn walk_tag(&self) -> Option<u64> {
        match self {
            Object::Hash(v) => v.walk_tag(),
            Object::Set(v) => v.walk_tag(),
            Object::ZSet(v) => v.walk_tag(),
            Object::List(v) => v.walk_tag(),
            Object::Stream(v) => v.walk_tag(),
        }
    }

    /// Appends about `budget` bytes of what comes next (an element more, at most); ends the walk with the
    /// last, and answers false.
    pub(crate) fn step_walk(&mut self, out: &mut Vec<u8>, budget: usize) -> bool {
        match self {
            Object::Hash(v) => v.walked().is_some_and(|table| table.step_walk(out, budget)),
            Object::Set(v) => v.walked().is_some_and(|table| table.step_walk(out, budget)),
            Object::ZSet(v) => v.walked().is_some_and(|set| set.step_walk(out, budget)),
            Object::List(v) => v.step_walk(out, budget),
            Object::Stream(v) => v.step_walk(out, budget),
        }
    }

    /// Gives the walk up.
    pub(crate) fn end_walk(&mut self) {
        match self {
            Object::Hash(v) => v.walked().into_iter().for_each(|table| table.end_walk()),
            Object::Set(v) => v.walked().into_iter().for_each(|table| table.end_walk()),
            Object::ZSet(v) => v.walked().into_iter().for_each(|set| set.end_walk()),
            Object::List(v) => v.walked().into_iter().for_each(|chunks| chunks.end_walk()),
            Object::Stream(v) => v.end_walk(),
        }
    }

    /// The walk has ended: does what was put off for it.
    pub(crate) fn after_walk(&mut self, limits: &Limits) {
        match self {
            Object::List(v) => v.after_walk(limits),
            Object::Hash(_) | Object::Set(_) | Object::ZSet(_) | Object::Stream(_) => {}
        }
    }
}
