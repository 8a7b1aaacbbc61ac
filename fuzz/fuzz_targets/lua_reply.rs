//! See `moon_engine::script::hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_engine::script::hostile(data));
