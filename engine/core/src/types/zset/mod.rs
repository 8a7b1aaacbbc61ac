//! Sorted sets: a listpack of members and scores in order, a scored set (B+ tree and table) beyond.
//!
//! All questions about order are asked in ranks: a range of scores or members becomes a range of ranks
//! ([`ZSet::by_score`], [`ZSet::by_lex`]), and that is counted, walked from either end or removed.

mod range;
mod repr;

pub use range::{LexBound, LexRange, ScoreRange};
pub use repr::{ZSet, ZSetIter};

#[cfg(test)]
mod tests;
