//! HyperLogLogs: what is logged, what comes of bytes that a client made up.

use crate::common::{Harness, check, continue_with};
use moon_formats::testing::smoke;

#[test]
fn adding_counting_merging() {
    check(
        r#"
        > PFADD k
        :1
        = PFADD k
        > PFADD k
        :0
        = -
        > PFCOUNT k
        :0
        = PFCOUNT k
        > PFCOUNT k
        :0
        = -
        > PFADD k a b c a
        :1
        > PFADD k a c
        :0
        = -
        > PFCOUNT k
        :3
        = PFCOUNT k
        > PFADD other c d
        :1
        > PFCOUNT k other none
        :4
        = -
        > PFMERGE d k other none
        +OK
        = PFMERGE d k other none
        > PFCOUNT d
        :4
        > PFMERGE e
        +OK
        > PFCOUNT e
        :0
        > PFDEBUG ENCODING d
        +sparse
        > PFDEBUG TODENSE d
        :1
        = PFDEBUG TODENSE d
        > PFDEBUG TODENSE d
        :0
        = -
        > STRLEN d
        :12304
        > PFMERGE e d
        +OK
        > PFDEBUG ENCODING e
        +dense
        > PFCOUNT e
        :4
        > PFDEBUG DECODE d
        -ERR HLL encoding is not sparse
        > PFDEBUG FOO d
        -ERR Unknown PFDEBUG subcommand 'FOO'
        > PFDEBUG DECODE none
        -ERR The specified key does not exist
        > PFDEBUG DECODE other
        Z:7292 v:1,1 Z:1143 v:1,1 Z:7947
        > TYPE k
        +string
        "#,
    );
}

#[test]
fn other_values_are_refused() {
    check(
        r#"
        > SET s hello
        +OK
        > SET n 12
        +OK
        > LPUSH l x
        :1
        > PFADD s a
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFADD n a
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFCOUNT s
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFCOUNT none s
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFMERGE d s
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFMERGE l
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > PFCOUNT l
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > PFDEBUG ENCODING s
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        "#,
    );
}

/// Registers that do not add up: an error, and nothing has changed or been logged.
#[test]
fn damage_is_refused_whole() {
    let mut h = Harness::new();
    for runs in [r"\x41\x00", r"\x7f\xff\x7f\xff", r"\x80\x7f\xff", ""] {
        let header = r"HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80";
        continue_with(
            &mut h,
            &format!(
                "
                > SET k \"{header}{runs}\"
                +OK
                > PFCOUNT k
                -INVALIDOBJ Corrupted HLL object detected
                > PFADD k a b c d e f g h
                -INVALIDOBJ Corrupted HLL object detected
                = -
                > PFCOUNT k none
                -INVALIDOBJ Corrupted HLL object detected
                > PFMERGE d k
                -INVALIDOBJ Corrupted HLL object detected
                > PFMERGE k
                -INVALIDOBJ Corrupted HLL object detected
                > PFDEBUG GETREG k
                -INVALIDOBJ Corrupted HLL object detected
                > PFDEBUG TODENSE k
                -INVALIDOBJ Corrupted HLL object detected
                "
            ),
        );
    }
}

#[test]
fn mutated_registers_are_survived() {
    let samples = || {
        let mut sparse = moon_ds::hll::empty().to_vec();
        let mut samples = Vec::new();
        for n in 0u32..60 {
            moon_ds::hll::raise(&mut sparse, moon_ds::hll::place(&n.to_le_bytes()), 3000)
                .expect("a valid value");
            samples.push(sparse[16..].to_vec());
        }
        samples
    };
    smoke(&("hll_sparse", moon_ds::hll::hostile, samples), 0x6d6f_6f6e, 3000);
}

#[test]
fn the_self_test_passes() {
    check("> PFSELFTEST\n+OK");
}
