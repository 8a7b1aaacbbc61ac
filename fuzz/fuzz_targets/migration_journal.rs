//! See `moon_formats::testing::migration_journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moon_formats::testing::migration_journal(data));
