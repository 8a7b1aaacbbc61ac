//! See `moon_formats::testing::resp_reply`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::resp_reply(data));
