//! See `moon_formats::testing::planes_reference`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::planes_reference(data));
