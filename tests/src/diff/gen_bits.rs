//! Bitmap commands, on the keys of strings.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One bitmap command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Str);
    match g.rng.below(16) {
        0..=3 => cmd!["SETBIT", key, g.rng.range(-1, 500), g.rng.range(0, 2)],
        4 => cmd!["SETBIT", key, g.rng.pick(&["4294967295000", "#1", "01", "99999"]), 1],
        5 => cmd!["GETBIT", key, g.rng.range(-1, 600)],
        6..=7 => bitcount(g, key),
        8..=9 => bitpos(g, key),
        10..=11 => bitop(g, key),
        _ => bitfield(g, key),
    }
}

fn bitcount(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["BITCOUNT", key];
    if g.rng.chance(70) {
        command.extend(cmd![g.int(), g.int()]);
        if g.rng.chance(50) {
            command.extend(cmd![g.rng.pick(&["BIT", "BYTE", "bit", "FOO"])]);
        }
    }
    command
}

fn bitpos(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["BITPOS", key, g.rng.range(0, 1)];
    if g.rng.chance(70) {
        command.extend(cmd![g.int()]);
        if g.rng.chance(70) {
            command.extend(cmd![g.int()]);
            if g.rng.chance(50) {
                command.extend(cmd![g.rng.pick(&["BIT", "BYTE"])]);
            }
        }
    }
    command
}

fn bitop(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["BITOP", g.rng.pick(&["AND", "OR", "XOR", "NOT", "and"]), key];
    for _ in 0..=g.rng.below(3) {
        command.push(g.key(Type::Str));
    }
    command
}

fn bitfield(g: &mut Generator, key: Vec<u8>) -> Command {
    let read_only = g.rng.chance(20);
    let mut command = cmd![if read_only { "BITFIELD_RO" } else { "BITFIELD" }, key];
    for _ in 0..=g.rng.below(3) {
        let width = g.rng.pick(&[
            "u1", "u8", "i8", "i16", "u16", "u32", "i64", "u63", "i5", "u13", "u64", "i65", "x8",
        ]);
        let offset = match g.rng.below(10) {
            0..=3 => format!("#{}", g.rng.below(12)),
            4 => g.rng.pick(&["-1", "abc", "#-1", "4294967296000"]).to_string(),
            _ => g.rng.below(200).to_string(),
        };
        match g.rng.below(if read_only { 6 } else { 14 }) {
            0..=4 => command.extend(cmd!["GET", width, offset]),
            5..=8 => command.extend(cmd!["SET", width, offset, settable(g)]),
            9..=11 => command.extend(cmd!["INCRBY", width, offset, g.int()]),
            _ => {
                command.extend(cmd!["OVERFLOW", g.rng.pick(&["WRAP", "SAT", "FAIL", "sat", "FOO"])])
            }
        }
    }
    command
}

/// A value for BITFIELD SET: none of the least, which Redis saturates to the greatest (its test for
/// overflow overflows).
fn settable(g: &mut Generator) -> i64 {
    g.int().max(i64::MIN / 2)
}
