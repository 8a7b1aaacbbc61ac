//! See `moon_formats::testing::backup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::backup(data));
