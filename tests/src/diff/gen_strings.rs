//! String commands.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// An absolute expiry far away (seconds), so that no run is near it.
pub(super) const FAR: i64 = 33_000_000_000;

/// One string command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Str);
    match g.rng.below(36) {
        0..=6 => set(g, key),
        7..=10 => cmd!["GET", key],
        11 => cmd!["GETSET", key, g.value()],
        12 => cmd!["GETDEL", key],
        13 => getex(g, key),
        14 => cmd!["SETNX", key, g.value()],
        15 => cmd!["SETEX", key, seconds(g), g.value()],
        16 => cmd!["PSETEX", key, millis(g), g.value()],
        17 => cmd!["MSET", key, g.value(), g.key(Type::Str), g.value()],
        18 => cmd!["MSETNX", key, g.value(), g.any_key(), g.value()],
        19..=20 => cmd!["MGET", key, g.any_key(), g.any_key()],
        21 => cmd!["INCR", key],
        22 => cmd!["DECR", key],
        23 => cmd!["INCRBY", key, g.int()],
        24 => cmd!["DECRBY", key, g.int()],
        25..=26 => cmd!["INCRBYFLOAT", key, g.float()],
        27..=28 => cmd!["APPEND", key, g.value()],
        29 => cmd!["STRLEN", key],
        30..=31 => cmd!["SETRANGE", key, g.rng.range(-1, 90), g.value()],
        32 => cmd!["GETRANGE", key, g.int(), g.int()],
        33 => cmd!["SUBSTR", key, g.int(), g.int()],
        _ => lcs(g, key),
    }
}

/// A relative expiry in seconds: far, or an error, never soon.
pub(super) fn seconds(g: &mut Generator) -> String {
    if g.rng.chance(90) {
        g.rng.range(1000, 100_000).to_string()
    } else {
        g.rng
            .pick(&["0", "-1", "abc", "9223372036854775807", "9223372036854775", "1.5", ""])
            .to_string()
    }
}

/// A relative expiry in milliseconds.
pub(super) fn millis(g: &mut Generator) -> String {
    if g.rng.chance(90) {
        g.rng.range(1_000_000, 100_000_000).to_string()
    } else {
        g.rng.pick(&["0", "-1", "abc", "9223372036854775807", "-9223372036854775808"]).to_string()
    }
}

/// An absolute time in seconds: far, past, or an error.
pub(super) fn at_seconds(g: &mut Generator) -> String {
    match g.rng.below(10) {
        0 => "1".to_string(),
        1 => g.rng.pick(&["0", "-1", "9223372036854775807", "abc"]).to_string(),
        _ => (FAR + g.rng.range(0, 100_000)).to_string(),
    }
}

/// An absolute time in milliseconds.
pub(super) fn at_millis(g: &mut Generator) -> String {
    match g.rng.below(10) {
        0 => "1".to_string(),
        1 => g.rng.pick(&["0", "-1", "9223372036854775807", "abc"]).to_string(),
        _ => (FAR * 1000 + g.rng.range(0, 100_000)).to_string(),
    }
}

fn expiry(g: &mut Generator, command: &mut Command) {
    match g.rng.below(4) {
        0 => command.extend(cmd!["EX", seconds(g)]),
        1 => command.extend(cmd!["PX", millis(g)]),
        2 => command.extend(cmd!["EXAT", at_seconds(g)]),
        _ => command.extend(cmd!["PXAT", at_millis(g)]),
    }
}

fn set(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["SET", key, g.value()];
    if g.rng.chance(50) {
        return command;
    }
    if g.rng.chance(30) {
        command.extend(cmd![g.rng.pick(&["NX", "XX", "nx"])]);
    }
    if g.rng.chance(30) {
        command.extend(cmd!["GET"]);
    }
    if g.rng.chance(40) {
        expiry(g, &mut command);
        // Redis 7.0 keeps a key that was set with a past time until it happens to look at it, so
        // DBSIZE depends on the clock.
        if let Some(time) = command.last_mut().filter(|t| t.as_slice() == b"1") {
            *time = b"0".to_vec();
        }
    }
    if g.rng.chance(20) {
        command.extend(cmd!["KEEPTTL"]);
    }
    if g.rng.chance(3) {
        command.extend(cmd![g.rng.pick(&["XX", "NX", "EX", "FOO", "PERSIST"])]);
    }
    command
}

fn getex(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["GETEX", key];
    match g.rng.below(10) {
        0..=3 => {}
        4..=5 => command.extend(cmd!["PERSIST"]),
        6 => command.extend(cmd!["KEEPTTL"]),
        _ => expiry(g, &mut command),
    }
    if g.rng.chance(4) {
        command.extend(cmd!["PERSIST"]);
    }
    command
}

fn lcs(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["LCS", key, g.key(Type::Str)];
    for (word, percent) in [("LEN", 30), ("IDX", 40), ("WITHMATCHLEN", 30)] {
        if g.rng.chance(percent) {
            command.extend(cmd![word]);
        }
    }
    if g.rng.chance(25) {
        command.extend(cmd!["MINMATCHLEN", g.int()]);
    }
    command
}
