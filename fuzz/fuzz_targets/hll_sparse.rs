//! See `moon_ds::hll::hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_ds::hll::hostile(data));
