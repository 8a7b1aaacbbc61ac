//! Runs every fuzz target on mutated samples, without a fuzzing engine.

use moon_formats::testing::{TARGETS, smoke};

#[test]
fn targets_survive_mutated_samples() {
    for target in TARGETS {
        smoke(target, 0x6d6f_6f6e, 20_000);
    }
}
