//! See `moon_formats::testing::resp_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::resp_request(data));
