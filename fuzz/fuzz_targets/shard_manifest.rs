//! See `moon_formats::testing::shard_manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::shard_manifest(data));
