//! See `moon_server::config::hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_server::config::hostile(data));
