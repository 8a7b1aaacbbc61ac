//! See `moon_formats::testing::value_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::value_body(data));
