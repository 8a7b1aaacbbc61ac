//! List commands.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One list command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::List);
    match g.rng.below(50) {
        0..=8 => {
            let mut command =
                cmd![g.rng.pick(&["LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "RPUSH"]), key];
            for _ in 0..=g.rng.below(5) {
                command.push(g.member());
            }
            command
        }
        9..=12 => {
            let mut command = cmd![g.rng.pick(&["LPOP", "RPOP"]), key];
            if g.rng.chance(50) {
                command.extend(cmd![g.int()]);
            }
            command
        }
        13..=14 => cmd!["LLEN", key],
        15..=17 => cmd!["LINDEX", key, g.int()],
        18..=22 => cmd!["LRANGE", key, g.int(), g.int()],
        // Redis 8 takes the low half of an index (redis-compat.md).
        23..=25 => cmd!["LSET", key, g.int().clamp(-5000, 5000), g.member()],
        26..=28 => {
            cmd![
                "LINSERT",
                key,
                g.rng.pick(&["BEFORE", "AFTER", "after", "FOO"]),
                g.member(),
                g.member()
            ]
        }
        29..=31 => cmd!["LREM", key, g.int().max(-i64::MAX), g.member()],
        32..=33 => cmd!["LTRIM", key, g.int(), g.int()],
        34..=38 => lpos(g, key),
        39..=42 => cmd!["LMOVE", key, g.key(Type::List), side(g), side(g)],
        43..=44 => cmd!["RPOPLPUSH", key, g.key(Type::List)],
        _ => {
            let mut command = cmd!["LMPOP"];
            multi_pop(g, &mut command, key);
            command
        }
    }
}

/// A blocking command; only for MULTI, where it never waits.
pub(super) fn blocking(g: &mut Generator) -> Command {
    let key = g.key(Type::List);
    match g.rng.below(4) {
        0 => cmd![
            g.rng.pick(&["BLPOP", "BRPOP"]),
            key,
            g.key(Type::List),
            g.rng.pick(&["0", "1", "-1", "x"])
        ],
        1 => cmd!["BRPOPLPUSH", key, g.key(Type::List), 0],
        2 => cmd!["BLMOVE", key, g.key(Type::List), side(g), side(g), 0],
        _ => {
            let mut command = cmd!["BLMPOP", 0];
            multi_pop(g, &mut command, key);
            command
        }
    }
}

fn side(g: &mut Generator) -> &'static str {
    g.rng.pick(&["LEFT", "RIGHT", "left", "LEFT", "RIGHT", "UP"])
}

fn multi_pop(g: &mut Generator, command: &mut Command, key: Vec<u8>) {
    command.extend(cmd![
        g.rng.pick(&["2", "2", "2", "2", "1", "0", "-1", "x"]),
        key,
        g.key(Type::List),
        side(g)
    ]);
    if g.rng.chance(50) {
        command.extend(cmd!["COUNT", g.int()]);
    }
}

fn lpos(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["LPOS", key, g.member()];
    if g.rng.chance(50) {
        command.extend(cmd!["RANK", g.rng.range(-4, 4)]);
    }
    if g.rng.chance(50) {
        command.extend(cmd!["COUNT", g.int()]);
    }
    if g.rng.chance(30) {
        command.extend(cmd!["MAXLEN", g.int()]);
    }
    command
}
