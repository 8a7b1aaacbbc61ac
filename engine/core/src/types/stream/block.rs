//! One block of entries: a listpack laid out as a stream node of Redis.
//!
//! ```text
//! block   live | dead | n | name*n | 0 | entry*(live + dead)
//! entry   flags | ms - block's | seq - block's | value*n | items
//!         flags | ms - block's | seq - block's | m | (name | value)*m | items
//! flags   1 dead | 2 the names are the block's
//! items   number of items of the entry before this one, to walk backwards
//! ```
//!
//! The block's id is that of its first entry and stands outside. A dead entry keeps its bytes until
//! the whole block goes.

use moon_ds::listpack::{BYTES_MAX, COUNT_MAX, Cursor, Pos};
use moon_ds::{Item, Listpack};
use moon_formats::value::StreamId;

const DEAD: i64 = 1;
const SAME_NAMES: i64 = 2;
/// Items of an entry beside names and values: flags, two parts of the id, item count.
const FRAME: usize = 4;
/// Most bytes an item takes beside its content.
const ITEM_OVERHEAD: usize = 10;

/// A block; see the module page.
#[derive(Clone, Debug)]
pub(super) struct Block(Listpack);

#[inline]
fn int(item: Option<Item<'_>>) -> i64 {
    match item {
        Some(Item::Int(n)) => n,
        // Only this file writes blocks, and these are integers.
        _ => 0,
    }
}

fn count(item: Option<Item<'_>>) -> usize {
    usize::try_from(int(item)).unwrap_or(0)
}

impl Block {
    /// A block without entries whose names are those of `pairs`.
    pub(super) fn new(pairs: &[&[u8]]) -> Block {
        let mut pack = Listpack::new();
        pack.push_back(Item::Int(0));
        pack.push_back(Item::Int(0));
        pack.push_back(Item::Int((pairs.len() / 2) as i64));
        for name in pairs.iter().step_by(2) {
            pack.push_back(*name);
        }
        pack.push_back(Item::Int(0));
        Block(pack)
    }

    /// Whether an entry of `pairs`, `bytes` long together, can be in a block at all.
    pub(super) fn can_hold(pairs: usize, bytes: usize) -> bool {
        let items = pairs.saturating_mul(2).saturating_add(2 * FRAME);
        items < COUNT_MAX / 2
            && items.saturating_mul(ITEM_OVERHEAD).saturating_add(bytes) < BYTES_MAX / 2
    }

    /// Whether such an entry still finds room here.
    pub(super) fn has_room(&self, pairs: usize, bytes: usize) -> bool {
        let items = pairs * 2 + 2 * FRAME;
        self.0.len() + items <= COUNT_MAX
            && self.0.used_bytes() + items * ITEM_OVERHEAD + bytes <= BYTES_MAX
    }

    /// Bytes of the same node in Redis.
    #[inline]
    pub(super) fn redis_bytes(&self) -> usize {
        self.0.redis_bytes()
    }

    /// Heap bytes.
    #[inline]
    pub(super) fn mem_bytes(&self) -> usize {
        self.0.mem_bytes()
    }

    /// Gives back what the block, which is full, does not use.
    pub(super) fn seal(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Entries that are there, and dead ones.
    #[inline]
    pub(super) fn counts(&self) -> (u64, u64) {
        let mut cursor = self.0.cursor();
        (int(cursor.next()) as u64, int(cursor.next()) as u64)
    }

    fn set_counts(&mut self, live: u64, dead: u64) {
        let Some(first) = self.0.first() else { return };
        self.0.replace(first, Item::Int(live as i64));
        if let Some(second) = self.0.next(first) {
            self.0.replace(second, Item::Int(dead as i64));
        }
    }

    /// Appends an entry. `own` is the block's id.
    pub(super) fn push(&mut self, own: StreamId, id: StreamId, pairs: &[&[u8]]) {
        let mut cursor = self.0.cursor();
        let live = int(cursor.next());
        cursor.next();
        let names = pairs.len() / 2;
        let same = count(cursor.next()) == names
            && pairs.iter().step_by(2).all(|name| cursor.next() == Some(Item::from(*name)));
        if let Some(first) = self.0.first() {
            self.0.replace(first, Item::Int(live + 1));
        }
        let pack = &mut self.0;
        pack.push_back(Item::Int(if same { SAME_NAMES } else { 0 }));
        pack.push_back(Item::Int(id.ms.wrapping_sub(own.ms) as i64));
        pack.push_back(Item::Int(id.seq.wrapping_sub(own.seq) as i64));
        let items = if same {
            for value in pairs.iter().skip(1).step_by(2) {
                pack.push_back(*value);
            }
            names + FRAME - 1
        } else {
            pack.push_back(Item::Int(names as i64));
            for word in pairs {
                pack.push_back(*word);
            }
            names * 2 + FRAME
        };
        pack.push_back(Item::Int(items as i64));
    }

    /// Marks entries dead; `at` are their places.
    pub(super) fn kill(&mut self, at: &[Pos]) {
        for pos in at {
            let Item::Int(flags) = self.0.get(*pos) else { continue };
            // The flags keep their width, so the other places stay true.
            self.0.replace(*pos, Item::Int(flags | DEAD));
        }
        let (live, dead) = self.counts();
        self.set_counts(live - at.len() as u64, dead + at.len() as u64);
    }

    /// All entries, dead ones included, from the front. `own` is the block's id.
    pub(super) fn walk(&self, own: StreamId) -> Walk<'_> {
        let mut cursor = self.0.cursor();
        cursor.skip_over(2);
        let names = count(cursor.next());
        let first_name = cursor;
        cursor.skip_over(names + 1);
        Walk { own, first_name, names, cursor }
    }

    /// The same from the back.
    pub(super) fn walk_back(&self, own: StreamId) -> WalkBack<'_> {
        let walk = self.walk(own);
        WalkBack(Walk { cursor: self.0.cursor_end(), ..walk })
    }
}

/// An entry of a stream.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Its names and values in order.
    pub fields: Fields<'a>,
    pub(super) dead: bool,
    pub(super) at: Pos,
}

/// Names and values of an entry, in order.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Where the names are if they are the block's.
    names: Option<Cursor<'a>>,
    values: Cursor<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.next()?,
            None => self.values.next()?,
        };
        Some((name, self.values.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// A walk over the entries of a block.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    own: StreamId,
    first_name: Cursor<'a>,
    names: usize,
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let at = self.cursor.pos();
        let flags = int(Some(self.cursor.next()?));
        let ms = int(self.cursor.next());
        let seq = int(self.cursor.next());
        let id = StreamId {
            ms: self.own.ms.wrapping_add(ms as u64),
            seq: self.own.seq.wrapping_add(seq as u64),
        };
        let same = flags & SAME_NAMES != 0;
        let left = if same { self.names } else { count(self.cursor.next()) };
        let names = same.then_some(self.first_name);
        let fields = Fields { names, values: self.cursor, left };
        self.cursor.skip_over(if same { left } else { left * 2 } + 1);
        Some(Entry { id, fields, dead: flags & DEAD != 0, at })
    }
}

/// A walk from the back.
pub(super) struct WalkBack<'a>(Walk<'a>);

impl<'a> Iterator for WalkBack<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let walk = &mut self.0;
        let items = count(walk.cursor.back());
        if items == 0 {
            // The zero behind the block's names.
            return None;
        }
        walk.cursor.skip_back(items);
        let start = walk.cursor;
        let entry = walk.next();
        walk.cursor = start;
        entry
    }
}
