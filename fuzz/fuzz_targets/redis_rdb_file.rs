//! See `moon_formats::testing::redis_rdb_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::redis_rdb_file(data));
