//! See `moon_formats::testing::part_list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::part_list(data));
