//! Compact in-memory data structures that know no commands.

mod block;
pub mod chunklist;
pub mod intset;
pub mod item;
pub mod listpack;
pub mod sizeclass;
pub mod thin;

pub use chunklist::{ChunkList, NodeLimit};
pub use intset::Intset;
pub use item::{Item, ItemBuf};
pub use listpack::Listpack;
