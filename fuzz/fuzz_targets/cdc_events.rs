//! See `moon_formats::testing::cdc_events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::cdc_events(data));
