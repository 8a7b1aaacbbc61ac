//! See `moon_formats::testing::wal_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::wal_record(data));
