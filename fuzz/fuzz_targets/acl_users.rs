//! See `moon_engine::acl::hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_engine::acl::hostile(data));
