//! Lists: a listpack up to `list-max-listpack-size`, a chunked list beyond.
//!
//! The one type that goes back: when a single node is left and is at most half of the limit, it
//! becomes the listpack again (Redis: `listTypeTryConversion` in t_list.c).

mod repr;

pub use repr::{List, ListIter, ListIterBack};

#[cfg(test)]
mod tests;
