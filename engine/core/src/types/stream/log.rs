//! The entries of a stream and what is counted about them.

use moon_ds::listpack::Pos;
use moon_ds::ordmap;
use moon_ds::{MapWalk, Meter, OrdMap};
use moon_formats::value::StreamId;

use super::block::{Block, Entry, Walk, WalkBack};
use super::walk::LogWalk;
use crate::types::Limits;
use crate::types::attached::Attached;

/// Entries in order of their ids.
#[derive(Clone, Default)]
pub struct Log {
    blocks: OrdMap<StreamId, Block>,
    /// Heap bytes of the blocks.
    block_bytes: usize,
    len: u64,
    /// Id of the first entry that is there; zero in an empty stream.
    first: StreamId,
    last: StreamId,
    max_deleted: StreamId,
    added: u64,
    walk: Attached<LogWalk>,
}

/// An entry that is too large to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Until when entries are removed from the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimTo {
    /// No more than this many are left.
    Len(u64),
    /// None is left below this id.
    Id(StreamId),
}

impl Log {
    /// Number of entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The last id ever given.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last
    }

    /// Id of the first entry, zero if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first
    }

    /// Highest id ever deleted; trimming does not count.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted
    }

    /// Number of entries ever added.
    pub fn entries_added(&self) -> u64 {
        self.added
    }

    /// Number of blocks, and of nodes of the tree that holds them.
    pub fn shape(&self) -> (usize, usize) {
        (self.blocks.len(), self.blocks.nodes())
    }

    /// Heap bytes, O(1).
    #[inline]
    pub(super) fn mem_bytes(&self) -> usize {
        self.blocks.mem_bytes() + self.block_bytes
    }

    /// Appends an entry of names and values in turn. `id` must be above the last one.
    ///
    /// # Errors
    /// [`TooLarge`] if no block could hold it; nothing has changed then.
    pub fn append(
        &mut self,
        id: StreamId,
        pairs: &[&[u8]],
        limits: &Limits,
    ) -> Result<(), TooLarge> {
        debug_assert!(id > self.last);
        let bytes = pairs.iter().map(|word| word.len()).sum();
        if !Block::can_hold(pairs.len() / 2, bytes) {
            return Err(TooLarge);
        }
        if self.walk.is_some()
            && let Some((own, _)) = self.blocks.last()
        {
            self.will_change(own);
        }
        if let Some((own, block)) = self.blocks.last_mut() {
            let before = block.mem_bytes();
            let (live, dead) = block.counts();
            let full = (limits.stream_node_max_bytes > 0
                && block.redis_bytes() + bytes >= limits.stream_node_max_bytes)
                || (limits.stream_node_max_entries > 0
                    && live + dead >= limits.stream_node_max_entries)
                || !block.has_room(pairs.len() / 2, bytes);
            if full {
                block.seal();
            } else {
                block.push(own, id, pairs);
            }
            self.block_bytes = self.block_bytes + block.mem_bytes() - before;
            if !full {
                self.count_in(id);
                return Ok(());
            }
        }
        let mut block = Block::new(pairs);
        block.push(id, id, pairs);
        self.block_bytes += block.mem_bytes();
        self.blocks.insert(id, block);
        self.count_in(id);
        Ok(())
    }

    /// The blocks, with their ids.
    pub(super) fn blocks(&self) -> ordmap::Iter<'_, StreamId, Block> {
        self.blocks.iter()
    }

    /// The entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The entries with ids from `from` to `to`, both included.
    pub fn range(&self, from: StreamId, to: StreamId) -> LogIter<'_> {
        LogIter { blocks: self.blocks_of(from, to), walk: None, from, to }
    }

    /// The same from the back.
    pub fn range_back(&self, from: StreamId, to: StreamId) -> LogIterBack<'_> {
        LogIterBack { blocks: self.blocks_of(from, to), walk: None, from, to }
    }

    /// All entries.
    pub fn iter(&self) -> LogIter<'_> {
        self.range(StreamId::MIN, StreamId::MAX)
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.range_back(StreamId::MIN, StreamId::MAX).next()
    }

    /// Deletes an entry; whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((own, block)) = self.blocks.floor(&id) else { return false };
        let found = block.walk(own).find(|e| e.id >= id).filter(|e| e.id == id && !e.dead);
        let Some(at) = found.map(|e| e.at) else { return false };
        self.kill(own, &[at]);
        self.max_deleted = self.max_deleted.max(id);
        if self.first == id {
            self.find_first();
        }
        true
    }

    /// Whether a trimming may take the first block whole, given what it has removed before; `None` if it
    /// is to stop here.
    pub(super) fn takes_block(
        &self,
        own: StreamId,
        block: &Block,
        left: u64,
        to: TrimTo,
    ) -> Option<bool> {
        let (live, _) = block.counts();
        match to {
            TrimTo::Len(max) if left <= max => None,
            TrimTo::Len(max) => Some(left - live >= max),
            // Dead entries count as well: the block ends where its last one was.
            TrimTo::Id(min) => Some(block.walk_back(own).next().is_none_or(|e| e.id < min)),
        }
    }

    /// Removes entries from the front; returns how many.
    pub(super) fn trim(&mut self, to: TrimTo, whole_blocks: bool, limit: u64) -> u64 {
        let before = self.len;
        while let Some((own, block)) = self.blocks.first() {
            if limit > 0 && before - self.len + block.counts().0 > limit {
                break;
            }
            match self.takes_block(own, block, self.len, to) {
                None => break,
                Some(true) => {
                    self.drop_block(own);
                    continue;
                }
                Some(false) => {}
            }
            if !whole_blocks {
                let alive = block.walk(own).filter(|e| !e.dead);
                let at: Vec<Pos> = match to {
                    TrimTo::Len(max) => {
                        let n = usize::try_from(self.len - max).unwrap_or(usize::MAX);
                        alive.take(n).map(|e| e.at).collect()
                    }
                    TrimTo::Id(min) => alive.take_while(|e| e.id < min).map(|e| e.at).collect(),
                };
                self.kill(own, &at);
            }
            break;
        }
        let removed = before - self.len;
        if removed > 0 {
            self.find_first();
        }
        removed
    }

    /// Hands the ids of the entries that a trimming is about to `f`, oldest first, which answers whether
    /// it goes, until enough do. Returns the id that it went up to, if it did not reach the end.
    pub(super) fn visit_trimmed(
        &self,
        to: TrimTo,
        whole_blocks: bool,
        limit: u64,
        mut f: impl FnMut(StreamId) -> bool,
    ) -> Option<StreamId> {
        let mut removed = 0;
        for (own, block) in self.blocks.range(None, None) {
            let left = self.len - removed;
            let over = limit > 0 && removed + block.counts().0 > limit;
            let whole = self.takes_block(own, block, left, to).filter(|_| !over);
            if whole.is_none_or(|whole| whole_blocks && !whole) {
                return Some(own);
            }
            for entry in block.walk(own).filter(|e| !e.dead) {
                let enough = match to {
                    _ if whole_blocks => false,
                    TrimTo::Len(max) => self.len - removed <= max,
                    TrimTo::Id(min) => entry.id >= min,
                };
                if enough {
                    return Some(entry.id);
                }
                removed += u64::from(f(entry.id));
            }
        }
        None
    }

    /// Takes entries out as a trimming does. What becomes a gap in the middle counts as deleted, for how
    /// many lie before an id can no longer be told.
    pub(super) fn cut_out(&mut self, ids: &[StreamId]) {
        let max_deleted = self.max_deleted;
        for id in ids {
            self.delete(*id);
        }
        let first = self.first;
        let gap = ids.iter().rfind(|id| !self.is_empty() && **id > first);
        self.max_deleted = gap.map_or(max_deleted, |id| max_deleted.max(*id));
    }

    /// Sets what XSETID sets; `None` leaves a counter as it is.
    pub fn set_ids(&mut self, last: StreamId, added: Option<u64>, max_deleted: Option<StreamId>) {
        self.last = last;
        if let Some(added) = added {
            self.added = added;
        }
        if let Some(id) = max_deleted {
            self.max_deleted = id;
        }
    }

    fn find_first(&mut self) {
        self.first = self.iter().next().map_or(StreamId::MIN, |e| e.id);
    }

    fn count_in(&mut self, id: StreamId) {
        self.len += 1;
        self.added += 1;
        self.last = id;
        if self.len == 1 {
            self.first = id;
        }
    }

    /// The blocks where entries from `from` to `to` can be.
    fn blocks_of(&self, from: StreamId, to: StreamId) -> ordmap::Iter<'_, StreamId, Block> {
        let from = if from == StreamId::MIN { None } else { self.blocks.floor(&from) };
        self.blocks.range(from.map(|(own, _)| own), Some(to))
    }

    #[inline]
    fn will_change(&mut self, own: StreamId) {
        if let Some(walk) = &mut *self.walk {
            walk.before_change(&self.blocks, own);
        }
    }

    /// Begins a walk over the blocks.
    pub(super) fn begin_walk(&mut self, meter: &Meter) {
        *self.walk = Some(Box::new(MapWalk::new(&self.blocks, 1, Block::mem_bytes, meter)));
    }

    /// Gives the blocks that come next to `f`, which answers whether to go on; ends the walk with the last,
    /// and answers false.
    pub(super) fn step_walk(&mut self, f: impl FnMut(StreamId, &Block) -> bool) -> bool {
        let more = self.walk.as_mut().is_some_and(|walk| walk.step(&self.blocks, f));
        if !more {
            *self.walk = None;
        }
        more
    }

    /// Gives the walk up.
    pub(super) fn end_walk(&mut self) {
        *self.walk = None;
    }

    fn drop_block(&mut self, own: StreamId) {
        self.will_change(own);
        if let Some(block) = self.blocks.remove(&own) {
            self.block_bytes -= block.mem_bytes();
            self.len -= block.counts().0;
        }
    }

    /// Takes entries out of a block, and the block if none is left.
    fn kill(&mut self, own: StreamId, at: &[Pos]) {
        self.will_change(own);
        let Some(block) = self.blocks.get_mut(&own) else { return };
        if block.counts().0 == at.len() as u64 {
            self.drop_block(own);
            return;
        }
        let before = block.mem_bytes();
        block.kill(at);
        self.block_bytes = self.block_bytes + block.mem_bytes() - before;
        self.len -= at.len() as u64;
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter().map(|e| (e.id, e.fields.collect::<Vec<_>>()))).finish()
    }
}

/// Entries of a stream in a range of ids.
pub struct LogIter<'a> {
    blocks: ordmap::Iter<'a, StreamId, Block>,
    walk: Option<Walk<'a>>,
    from: StreamId,
    to: StreamId,
}

impl<'a> Iterator for LogIter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(walk) = &mut self.walk {
                let (from, to) = (self.from, self.to);
                if let Some(entry) = walk.find(|e| e.id > to || (e.id >= from && !e.dead)) {
                    return (entry.id <= to).then_some(entry);
                }
            }
            let (own, block) = self.blocks.next()?;
            self.walk = Some(block.walk(own));
        }
    }
}

/// Entries of a stream in a range of ids, from the back.
pub struct LogIterBack<'a> {
    blocks: ordmap::Iter<'a, StreamId, Block>,
    walk: Option<WalkBack<'a>>,
    from: StreamId,
    to: StreamId,
}

impl<'a> Iterator for LogIterBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(walk) = &mut self.walk {
                let (from, to) = (self.from, self.to);
                if let Some(entry) = walk.find(|e| e.id < from || (e.id <= to && !e.dead)) {
                    return (entry.id >= from).then_some(entry);
                }
            }
            let (own, block) = self.blocks.next_back()?;
            self.walk = Some(block.walk_back(own));
        }
    }
}
