//! Sorted-set commands.
//!
//! Lexicographic ranges are defined only where all scores are equal, so they work on keys of their
//! own (`lex:`), which no other command touches.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One sorted-set command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Zset);
    match g.rng.below(72) {
        0..=11 => zadd(g, key),
        12..=14 => cmd!["ZINCRBY", key, g.float(), g.member()],
        15..=18 => {
            let mut command = cmd!["ZREM", key];
            for _ in 0..=g.rng.below(3) {
                command.push(g.member());
            }
            command
        }
        19 => cmd!["ZCARD", key],
        20..=21 => cmd!["ZSCORE", key, g.member()],
        22 => cmd!["ZMSCORE", key, g.member(), g.member()],
        23..=24 => cmd![g.rng.pick(&["ZRANK", "ZREVRANK"]), key, g.member()],
        25..=26 => cmd!["ZCOUNT", key, bound(g), bound(g)],
        27..=34 => range(g, key),
        35..=37 => {
            let name = g.rng.pick(&["ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]);
            let mut command = cmd![name, key, bound(g), bound(g)];
            tail(g, &mut command);
            command
        }
        38..=40 => {
            let mut command = cmd![g.rng.pick(&["ZRANGE", "ZREVRANGE"]), key, g.int(), g.int()];
            if g.rng.chance(50) {
                command.extend(cmd!["WITHSCORES"]);
            }
            command
        }
        41..=42 => cmd!["ZREMRANGEBYRANK", key, g.int(), g.int()],
        43..=44 => cmd!["ZREMRANGEBYSCORE", key, bound(g), bound(g)],
        45..=48 => {
            let mut command = cmd![g.rng.pick(&["ZPOPMIN", "ZPOPMAX"]), key];
            if g.rng.chance(60) {
                command.extend(cmd![g.int()]);
            }
            command
        }
        49..=50 => {
            let mut command = cmd!["ZMPOP"];
            multi_pop(g, &mut command, key);
            command
        }
        51..=60 => combine(g, key),
        _ => lex(g),
    }
}

/// A blocking command; only for MULTI, where it never waits.
pub(super) fn blocking(g: &mut Generator) -> Command {
    let key = g.key(Type::Zset);
    if g.rng.chance(60) {
        return cmd![g.rng.pick(&["BZPOPMIN", "BZPOPMAX"]), key, g.key(Type::Zset), 0];
    }
    let mut command = cmd!["BZMPOP", 0];
    multi_pop(g, &mut command, key);
    command
}

fn multi_pop(g: &mut Generator, command: &mut Command, key: Vec<u8>) {
    let count = g.rng.pick(&["2", "2", "2", "2", "1", "0", "x"]);
    command.extend(cmd![count, key, g.key(Type::Zset), g.rng.pick(&["MIN", "MAX", "min", "FOO"])]);
    if g.rng.chance(50) {
        command.extend(cmd!["COUNT", g.int()]);
    }
}

fn zadd(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["ZADD", key];
    for (word, percent) in [("NX", 8), ("XX", 8), ("GT", 8), ("LT", 8), ("CH", 15), ("INCR", 8)] {
        if g.rng.chance(percent) {
            command.extend(cmd![word]);
        }
    }
    for _ in 0..=g.rng.below(4) {
        command.extend(cmd![g.float(), g.member()]);
    }
    command
}

/// A score bound.
fn bound(g: &mut Generator) -> String {
    match g.rng.below(10) {
        0..=1 => g.rng.pick(&["-inf", "+inf", "inf", "(inf", "(-inf"]).to_string(),
        2..=3 => format!("({}", g.float()),
        _ => g.float(),
    }
}

/// A lexicographic bound.
fn lex_bound(g: &mut Generator) -> Vec<u8> {
    match g.rng.below(10) {
        0..=1 => b"-".to_vec(),
        2..=3 => b"+".to_vec(),
        4 => g.rng.pick(&["a", "", "[", "(", "+x"]).as_bytes().to_vec(),
        n => [if n < 8 { b"[".to_vec() } else { b"(".to_vec() }, g.member()].concat(),
    }
}

/// Not negative: Redis 8 takes that from the end in a `skiplist`, and as nothing in a `listpack` (redis-compat.md).
fn offset(g: &mut Generator) -> i64 {
    g.int().max(0)
}

fn tail(g: &mut Generator, command: &mut Command) {
    if g.rng.chance(40) {
        command.extend(cmd!["WITHSCORES"]);
    }
    if g.rng.chance(30) {
        command.extend(cmd!["LIMIT", offset(g), g.int()]);
    }
}

fn range(g: &mut Generator, key: Vec<u8>) -> Command {
    let store = g.rng.chance(35);
    let mut command =
        if store { cmd!["ZRANGESTORE", g.key(Type::Zset), key] } else { cmd!["ZRANGE", key] };
    if g.rng.chance(50) {
        command.extend(cmd![bound(g), bound(g), "BYSCORE"]);
        if g.rng.chance(40) {
            command.extend(cmd!["LIMIT", offset(g), g.int()]);
        }
    } else {
        command.extend(cmd![g.int(), g.int()]);
        if g.rng.chance(5) {
            command.extend(cmd!["LIMIT", 0, 1]);
        }
    }
    if g.rng.chance(40) {
        command.extend(cmd!["REV"]);
    }
    if g.rng.chance(if store { 3 } else { 40 }) {
        command.extend(cmd!["WITHSCORES"]);
    }
    command
}

fn combine(g: &mut Generator, key: Vec<u8>) -> Command {
    let name = g.rng.pick(&[
        "ZUNION",
        "ZINTER",
        "ZDIFF",
        "ZUNIONSTORE",
        "ZINTERSTORE",
        "ZDIFFSTORE",
        "ZINTERCARD",
    ]);
    let mut command = if name.ends_with("STORE") { cmd![name, key] } else { cmd![name] };
    let n = 1 + g.rng.below(3);
    let said = if g.rng.chance(95) {
        n.to_string()
    } else {
        g.rng.pick(&["0", "-1", "x", "9"]).to_string()
    };
    command.extend(cmd![said]);
    for _ in 0..n {
        let kind = if g.rng.chance(85) { Type::Zset } else { Type::Set };
        command.push(g.key(kind));
    }
    if name == "ZINTERCARD" {
        if g.rng.chance(50) {
            command.extend(cmd!["LIMIT", g.int()]);
        }
        return command;
    }
    if g.rng.chance(if name.starts_with("ZDIFF") { 3 } else { 35 }) {
        command.extend(cmd!["WEIGHTS"]);
        for _ in 0..n {
            command.extend(cmd![g.float()]);
        }
    }
    if g.rng.chance(if name.starts_with("ZDIFF") { 3 } else { 35 }) {
        command.extend(cmd!["AGGREGATE", g.rng.pick(&["SUM", "MIN", "MAX", "max", "FOO"])]);
    }
    if g.rng.chance(if name.ends_with("STORE") { 3 } else { 50 }) {
        command.extend(cmd!["WITHSCORES"]);
    }
    command
}

fn lex(g: &mut Generator) -> Command {
    let key = format!("lex:{}", g.rng.below(2));
    match g.rng.below(12) {
        0..=3 => {
            let mut command = cmd!["ZADD", key];
            for _ in 0..=g.rng.below(4) {
                command.extend(cmd![0, g.member()]);
            }
            command
        }
        4 => cmd!["ZREM", key, g.member(), g.member()],
        5 => cmd!["ZREMRANGEBYLEX", key, lex_bound(g), lex_bound(g)],
        6 => cmd!["ZLEXCOUNT", key, lex_bound(g), lex_bound(g)],
        7 => {
            let mut command = cmd!["ZRANGE", key, lex_bound(g), lex_bound(g), "BYLEX"];
            if g.rng.chance(40) {
                command.extend(cmd!["REV"]);
            }
            tail(g, &mut command);
            command
        }
        _ => {
            let mut command = cmd![
                g.rng.pick(&["ZRANGEBYLEX", "ZREVRANGEBYLEX"]),
                key,
                lex_bound(g),
                lex_bound(g)
            ];
            if g.rng.chance(40) {
                command.extend(cmd!["LIMIT", offset(g), g.int()]);
            }
            command
        }
    }
}
