//! Commands on keys of any type, databases, expiry, SORT, and a few of the connection.

use super::gen_strings::{at_millis, at_seconds, millis, seconds};
use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One generic command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.any_key();
    match g.rng.below(64) {
        0..=4 => {
            let mut command = cmd![g.rng.pick(&["DEL", "UNLINK"]), key];
            if g.rng.chance(30) {
                command.extend([g.any_key(), g.any_key()]);
            }
            command
        }
        5..=7 => cmd!["EXISTS", key, g.any_key(), g.any_key()],
        8 => cmd!["TOUCH", key, g.any_key()],
        9..=12 => cmd!["TYPE", key],
        13 => cmd!["KEYS", g.pattern()],
        14..=16 => cmd!["RENAME", key, g.any_key()],
        17 => cmd!["RENAMENX", key, g.any_key()],
        18..=20 => copy(g, key),
        21 => cmd!["MOVE", key, g.rng.pick(&["0", "1", "2", "0", "99", "x"])],
        22..=29 => expire(g, key),
        30..=32 => cmd!["TTL", key],
        33..=34 => cmd!["PTTL", key],
        35 => cmd!["EXPIRETIME", key],
        36 => cmd!["PEXPIRETIME", key],
        37..=39 => cmd!["PERSIST", key],
        40..=42 => cmd!["DBSIZE"],
        43..=46 => cmd!["OBJECT", "ENCODING", key],
        47 => cmd!["OBJECT", "ENCODING"],
        48..=54 => sort(g),
        55 if !g.queued => cmd!["SELECT", g.rng.pick(&["0", "0", "1", "2", "15", "16", "-1", "x"])],
        56 => cmd!["SWAPDB", g.rng.below(3), g.rng.below(3)],
        57 if g.rng.chance(10) => {
            cmd![g.rng.pick(&["FLUSHDB", "FLUSHALL"]), g.rng.pick(&["ASYNC", "SYNC", "FOO"])]
        }
        58 if g.rng.chance(10) => cmd!["FLUSHDB"],
        59 => cmd!["PING", g.member()],
        60 => cmd!["ECHO", g.value()],
        _ => cmd!["TYPE", key],
    }
}

fn copy(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["COPY", key, g.any_key()];
    if g.rng.chance(25) {
        command.extend(cmd!["DB", g.rng.pick(&["0", "1", "99", "x"])]);
    }
    if g.rng.chance(40) {
        command.extend(cmd!["REPLACE"]);
    }
    command
}

fn expire(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = match g.rng.below(10) {
        0..=3 => cmd!["EXPIRE", key, seconds(g)],
        4..=5 => cmd!["PEXPIRE", key, millis(g)],
        6..=7 => cmd!["EXPIREAT", key, at_seconds(g)],
        _ => cmd!["PEXPIREAT", key, at_millis(g)],
    };
    if g.rng.chance(40) {
        command.extend(cmd![g.rng.pick(&["NX", "XX", "GT", "LT", "gt", "FOO"])]);
        if g.rng.chance(15) {
            command.extend(cmd![g.rng.pick(&["NX", "XX", "GT", "LT"])]);
        }
    }
    command
}

fn sort(g: &mut Generator) -> Command {
    let source = [Type::List, Type::Set, Type::Zset][g.rng.below(3)];
    let mut command = cmd!["SORT", g.key(source)];
    let mut store = g.rng.chance(25);
    if g.rng.chance(20) {
        command[0] = b"SORT_RO".to_vec();
        store = g.rng.chance(3);
    }
    // Ties under BY with ALPHA have no defined order, and neither has BY nosort on a set: only
    // combinations with one right answer are made.
    let alpha = g.rng.chance(60);
    if alpha {
        command.extend(cmd!["ALPHA"]);
    } else if g.rng.chance(40) {
        command.extend(cmd!["BY", g.rng.pick(&["str:*", "hash:*->m1", "hash:*->", "w*"])]);
    }
    if g.rng.chance(30) {
        command.extend(cmd!["LIMIT", g.int(), g.int()]);
    }
    let mut values = false;
    for _ in 0..g.rng.below(3) {
        let from = g.rng.pick(&["#", "str:*", "hash:*->m1", "missing*"]);
        values |= !["#", "missing*"].contains(&from);
        command.extend(cmd!["GET", from]);
    }
    if g.rng.chance(50) {
        command.extend(cmd![g.rng.pick(&["ASC", "DESC", "desc"])]);
    }
    if store {
        // Values may hold a NUL, and without STORE Redis' ALPHA compares C strings (redis-compat.md): they are
        // not to be sorted in their turn. Nothing else names this key.
        let to = if values { b"sorted".to_vec() } else { g.key(Type::List) };
        command.extend(cmd!["STORE", to]);
    }
    command
}
