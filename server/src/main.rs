//! The `moon` binary.

fn main() {}
