//! Compact in-memory data structures that know no commands.
//!
//! One idea: memory is what a store runs out of, so each value is one allocation where it can be, in the
//! allocator's own sizes. Small collections are packed blocks; a large one is the same table as the
//! keyspace. Nothing here knows of commands, databases, files or clocks: time and randomness are arguments.
//!
//! - [`Table`] over [`Entry`]: the segmented hash table; keyspace, large hashes and sets, the members of
//!   sorted sets.
//! - [`Listpack`], [`Intset`]: packed sequences; [`ChunkList`]: a deque of packed nodes; [`thin`]: a choice of
//!   two packed forms and a large one in one pointer.
//! - [`OrdMap`]: an ordered map of small keys; what streams and consumer groups look up by id.
//! - [`ScoredSet`]: a large sorted set, a [`Table`] of members and a [`CountedTree`] over the same entries.
//! - [`bits`]: counting, searching and combining the bits of strings; [`hll`]: HyperLogLog in Redis' bytes.
//! - [`TimedTable`]: a [`Table`] whose entries may expire, and a [`CountedTree`] of the times.
//! - [`Granules`], [`WatchedTable`], [`MapWalk`]: walks that give what a structure held when they began, while it
//!   goes on changing; [`ChunkList`] has one of its own.
//! - [`sizeclass`]: what an allocation costs. Every structure reports `mem_bytes()` in these terms, in O(1).
//!
//! `unsafe` is allowed in the modules that say so (`entry`, `table`, `block`, `thin`, `scoredset`,
//! `timedtable`), each block with its reason.

pub mod bits;
mod block;
pub mod btree;
pub mod chunklist;
mod entry;
mod granules;
mod hash;
pub mod hll;
pub mod intset;
pub mod item;
pub mod listpack;
mod mapwalk;
mod meter;
pub mod ordmap;
pub mod scoredset;
pub mod sizeclass;
mod table;
pub mod thin;
mod timedtable;
mod watched;

pub use btree::CountedTree;
pub use chunklist::{ChunkList, NodeLimit};
pub use entry::{ACCESS_BITS, Entry, EntryPtr, NewValue, Removed, ValueRef};
pub use granules::Granules;
pub use hash::{HashSeed, hash};
pub use intset::Intset;
pub use item::{Item, ItemBuf};
pub use listpack::Listpack;
pub use mapwalk::MapWalk;
pub use meter::Meter;
pub use ordmap::OrdMap;
pub use scoredset::{ScoredSet, Upsert};
pub use table::{BytesMut, EntryMut, HASH48_END, Iter, Lookup, SLOT_BYTES, Table, VacantEntry};
pub use timedtable::TimedTable;
pub use watched::{Pass, PutEntry, TableWalk, WatchedTable};
