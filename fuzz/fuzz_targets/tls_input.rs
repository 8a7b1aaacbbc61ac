//! See `moon_server::hostile_tls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_server::hostile_tls(data));
