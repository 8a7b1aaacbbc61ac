//! HyperLogLog commands. Keys hold HyperLogLogs, now and then one that was tampered with; GET compares
//! them byte for byte.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

const HEADER: &[u8] = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";

/// One HyperLogLog command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Hll);
    match g.rng.below(40) {
        0..=11 => add(g, key, 6),
        12..=14 => add(g, key, 400),
        15..=19 => cmd!["PFCOUNT", key],
        20..=22 => cmd!["PFCOUNT", key, g.key(Type::Hll), g.key(Type::Hll)],
        23..=27 => {
            let mut command = cmd!["PFMERGE", key];
            for _ in 0..g.rng.below(4) {
                command.push(g.key(Type::Hll));
            }
            command
        }
        28..=32 => cmd!["GET", key],
        33 => cmd!["PFDEBUG", "GETREG", key],
        // The other looks of PFDEBUG leave a short string `raw` in Redis; here a look changes nothing.
        34 | 35 => cmd!["PFCOUNT", key],
        36 if g.rng.chance(30) => cmd!["PFDEBUG", "TODENSE", key],
        37..=38 => cmd!["DEL", key],
        39 => cmd!["SET", key, tampered(g)],
        _ => cmd!["STRLEN", key],
    }
}

fn add(g: &mut Generator, key: Vec<u8>, most: usize) -> Command {
    let mut command = cmd!["PFADD", key];
    for _ in 0..g.rng.below(most) {
        command.push(match g.rng.below(6) {
            0 => g.member(),
            _ => g.rng.below(20_000).to_string().into_bytes(),
        });
    }
    command
}

/// A whole HyperLogLog that Redis would write otherwise, or none at all. Runs that do not add up are left
/// out: what Redis answers depends on how far it reads.
fn tampered(g: &mut Generator) -> Vec<u8> {
    let runs: &[u8] = g.rng.pick(&[
        b"\x7f\xff".as_slice(),
        b"\x3f\x7f\xbf",
        b"\x80\x80\x83\x84\x40\x00\x7f\xf7",
        b"\xff\xff\x7f\xf7",
    ]);
    match g.rng.below(6) {
        0 => HEADER[..15].to_vec(),
        1 => [b"HYLL\x00", &HEADER[5..], runs].concat(),
        2 => [b"HYLL\x02", &HEADER[5..], runs].concat(),
        3 => b"hello".to_vec(),
        _ => [HEADER, runs].concat(),
    }
}
