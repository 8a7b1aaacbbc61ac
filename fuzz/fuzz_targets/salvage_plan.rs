//! See `moon_formats::testing::salvage_plan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::salvage_plan(data));
