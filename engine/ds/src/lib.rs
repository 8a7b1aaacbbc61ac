//! Compact in-memory data structures that know no commands.
