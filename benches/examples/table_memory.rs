#![allow(clippy::print_stdout, reason = "a table of figures is its output")]
//! Bytes per key of the table, by its own accounting and by the process' resident memory under jemalloc.
//!
//! `cargo run --release -p moon-benches --example table_memory`

use moon_ds::{HashSeed, NewValue, Table};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    pages * 4096
}

fn main() {
    println!("{:<28} {:>10} {:>12} {:>12} {:>12}", "", "keys", "mem_bytes", "resident", "overhead");
    for (name, n, value, ttl) in [
        ("16-byte member", 1_000_000usize, 0, false),
        ("16 + 8", 1_000_000, 8, false),
        ("16 + 8, with expiry", 1_000_000, 8, true),
        ("16 + 64", 1_000_000, 64, false),
        ("16 + 256", 500_000, 256, false),
        ("16 + 1024", 250_000, 1024, false),
    ] {
        let before = resident_bytes();
        let mut table = Table::<Box<u64>>::new(HashSeed(3, 5));
        let value = vec![b'v'; value];
        for i in 0..n {
            let key = format!("key:{i:012}");
            let mut e = table.insert(key.as_bytes(), NewValue::Bytes(&value));
            if ttl {
                e.set_expire(Some(1));
            }
        }
        let each = |bytes: usize| bytes as f64 / n as f64;
        println!(
            "{name:<28} {n:>10} {:>12.1} {:>12.1} {:>12.1}",
            each(table.mem_bytes()),
            each(resident_bytes().saturating_sub(before)),
            each(table.overhead_bytes()),
        );
        // Kept, so that the next figure does not profit from pages this one frees.
        std::mem::forget(table);
    }
}
