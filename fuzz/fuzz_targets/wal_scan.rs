//! Fuzzes the log scanner.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_storage::scan::scan_any_bytes(data));
