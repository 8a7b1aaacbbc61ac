//! See `moon_formats::testing::wal_segment_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::wal_segment_header(data));
