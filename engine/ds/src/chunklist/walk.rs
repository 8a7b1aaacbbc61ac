//! A list read as it was at one moment while it goes on changing.
//!
//! One idea: what is about to change is copied first, a node at a time. When a walk begins, nodes are numbered;
//! the first change of a node that still has its number copies it (a node that leaves is kept) and takes the
//! number off. So nodes with numbers are as they were, and the walk gives for each number the node that
//! has it, or the copy.

use std::collections::BTreeMap;

use super::ChunkList;
use crate::item::Item;
use crate::listpack::Listpack;
use crate::meter::Meter;

/// A walk over a [`ChunkList`]; see the module page.
pub(super) struct ChunkWalk {
    tag: u64,
    meter: Meter,
    /// Number to be given next, and the last there is.
    next: u32,
    last: u32,
    copies: BTreeMap<u32, Listpack>,
    /// Where in the list the node with the next number was looked for last.
    at: usize,
}

impl ChunkWalk {
    /// Keeps the node of a number; 0 is none.
    #[cold]
    pub(super) fn keep(&mut self, stamp: u32, pack: impl FnOnce() -> Listpack) {
        if stamp != 0 {
            let pack = pack();
            self.meter.add(pack.mem_bytes());
            self.copies.insert(stamp, pack);
        }
    }
}

impl Drop for ChunkWalk {
    fn drop(&mut self) {
        self.meter.sub(self.copies.values().map(Listpack::mem_bytes).sum());
    }
}

impl ChunkList {
    /// A node is about to be changed or to leave.
    #[inline]
    pub(super) fn will_change(&mut self, at: usize) {
        if self.walk.is_some() {
            self.keep_node(at);
        }
    }

    #[cold]
    fn keep_node(&mut self, at: usize) {
        if let (Some(walk), Some(node)) = (&mut self.walk, self.nodes.get_mut(at)) {
            walk.keep(node.stamp, || node.pack.clone());
            node.stamp = 0;
        }
    }

    /// Takes a node of one element out through `f`: an element may be of any size, so it is not copied.
    #[cold]
    pub(super) fn pop_whole<R>(&mut self, at: usize, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let stamp = std::mem::take(&mut self.nodes[at].stamp);
        let node = self.remove_node(at);
        let out = node.pack.index(0).map(f);
        if let Some(walk) = &mut self.walk {
            walk.keep(stamp, || node.pack);
        }
        out
    }

    /// Begins a walk over what is here now. `tag` is the reader's; `meter` counts what is kept for it.
    ///
    /// # Panics
    /// With 2^32 nodes or more.
    pub fn begin_walk(&mut self, tag: u64, meter: &Meter) {
        let last = u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes");
        (1..).zip(&mut self.nodes).for_each(|(number, node)| node.stamp = number);
        self.walk = Some(Box::new(ChunkWalk {
            tag,
            meter: meter.clone(),
            next: 1,
            last,
            copies: BTreeMap::new(),
            at: 0,
        }));
    }

    /// The tag of the walk, if there is one.
    #[inline]
    pub fn walk_tag(&self) -> Option<u64> {
        Some(self.walk.as_ref()?.tag)
    }

    /// Gives the elements that come next to `f`, node by node, until it answers that it has enough at the
    /// end of one. Ends the walk with the last; false if that was it, or there is no walk.
    pub fn step_walk(&mut self, mut f: impl FnMut(Item<'_>) -> bool) -> bool {
        let Some(walk) = &mut self.walk else { return false };
        while walk.next <= walk.last {
            let stamp = walk.next;
            let mut go_on = true;
            if let Some(pack) = walk.copies.remove(&stamp) {
                walk.meter.sub(pack.mem_bytes());
                pack.iter().for_each(|item| go_on = f(item));
            } else {
                let here = |at: &usize| self.nodes.get(*at).is_some_and(|n| n.stamp == stamp);
                let found = Some(walk.at).filter(here).or_else(|| (0..self.nodes.len()).find(here));
                debug_assert!(found.is_some(), "a node is in the list or copied");
                if let Some(at) = found {
                    let node = &mut self.nodes[at];
                    node.pack.iter().for_each(|item| go_on = f(item));
                    node.stamp = 0;
                    walk.at = at + 1;
                }
            }
            walk.next += 1;
            if !go_on && walk.next <= walk.last {
                return true;
            }
        }
        self.walk = None;
        false
    }

    /// Gives the walk up.
    pub fn end_walk(&mut self) {
        if self.walk.take().is_some() {
            self.nodes.iter_mut().for_each(|node| node.stamp = 0);
        }
    }
}
