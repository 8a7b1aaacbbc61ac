//! The arguments of one command, name included, as borrowed byte strings.

use crate::error::{CmdError, CmdResult};
use moon_formats::number::parse_i64;

/// A command's argument vector; `a[0]` is the name as the client wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a>(&'a [&'a [u8]]);

impl<'a> Args<'a> {
    /// Wraps an argument vector. It must not be empty.
    pub fn new(items: &'a [&'a [u8]]) -> Self {
        debug_assert!(!items.is_empty());
        Args(items)
    }

    /// Number of arguments, name included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true for a request that reached a command.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Argument `i`, empty if there is none (arity has been checked before a command runs).
    pub fn get(&self, i: usize) -> &'a [u8] {
        self.0.get(i).copied().unwrap_or(b"")
    }

    /// Argument `i` if it was given.
    pub fn opt(&self, i: usize) -> Option<&'a [u8]> {
        self.0.get(i).copied()
    }

    /// The arguments from `i` on.
    pub fn from(&self, i: usize) -> &'a [&'a [u8]] {
        self.0.get(i..).unwrap_or(&[])
    }

    /// All arguments.
    pub fn all(&self) -> &'a [&'a [u8]] {
        self.0
    }

    /// Whether argument `i` equals an upper-case keyword, ignoring ASCII case.
    pub fn is(&self, i: usize, keyword: &str) -> bool {
        self.0.get(i).is_some_and(|a| a.eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// Argument `i` as a canonical 64-bit integer, else Redis' not-an-integer error.
    pub fn int(&self, i: usize) -> CmdResult<i64> {
        parse_i64(self.get(i)).ok_or(CmdError::NOT_INT)
    }
}
