//! Sets: an intset of integers, a listpack of a few short members, a table beyond.
//!
//! Conversion follows Redis (t_set.c, `setTypeAddAux`) and only goes towards the table: an intset becomes a
//! listpack when a word joins few enough integers, else a table.

mod algebra;
mod repr;

pub use algebra::{difference, intersection, union, union_each};
pub use repr::{Set, SetIter};

#[cfg(test)]
mod tests;
