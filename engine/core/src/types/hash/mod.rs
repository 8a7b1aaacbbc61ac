//! Hashes: a listpack of fields and values, a table beyond the limits.
//!
//! A field may expire. A packed hash gets a third column for that the first time a field is given
//! an expiry (`listpackex`) and keeps it; a table keeps the expiry in the field's entry. Reads take the instant they
//! happen at and do not see a field whose expiry is at or before it; such a field is removed by
//! [`Hash::reap`]. Pass 0 to see all fields.

mod large;
mod repr;

pub use repr::{Hash, HashIter};

#[cfg(test)]
mod tests;
