//! See `moon_formats::testing::cold_page`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::cold_page(data));
