//! Stream commands.
//!
//! Ids come from a clock of the generator's own, never from that of a server, so that both servers
//! give the same ones; what they measure in time is masked where replies are compared.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One stream command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Stream);
    match g.rng.below(100) {
        0..=24 => xadd(g, key),
        25..=28 => {
            let mut command = cmd!["XDEL", key];
            some_ids(g, &mut command);
            command
        }
        29..=32 => {
            let mut command = cmd!["XTRIM", key];
            trim(g, &mut command);
            command
        }
        33 => cmd!["XLEN", key],
        34..=39 => {
            let (from, to) = (bound(g, "-"), bound(g, "+"));
            let mut command = if g.rng.chance(50) {
                cmd!["XRANGE", key, from, to]
            } else {
                cmd!["XREVRANGE", key, to, from]
            };
            if g.rng.chance(40) {
                command.extend(cmd!["COUNT", g.int()]);
            }
            command
        }
        40..=43 => {
            let mut command = cmd!["XREAD"];
            if g.rng.chance(50) {
                command.extend(cmd!["COUNT", g.int()]);
            }
            let id = if g.rng.chance(80) { id(g) } else { g.rng.pick(&["$", ">", "0"]).into() };
            // Since 7.4 this is the last entry.
            let id = if id == "+" { "0".into() } else { id };
            let other = g.key(Type::Stream);
            command.extend(cmd!["STREAMS", key, other, id, "0"]);
            command
        }
        44..=58 => {
            let mut command = cmd!["XREADGROUP", "GROUP", group(g), consumer(g)];
            if g.rng.chance(70) {
                command.extend(cmd!["COUNT", g.rng.below(4)]);
            }
            if g.rng.chance(10) {
                command.extend(cmd!["NOACK"]);
            }
            let from = if g.rng.chance(75) { ">".into() } else { id(g) };
            command.extend(cmd!["STREAMS", key, from]);
            command
        }
        59..=64 => {
            let mut command = cmd!["XACK", key, group(g)];
            some_ids(g, &mut command);
            command
        }
        65..=70 => xgroup(g, key),
        71..=75 => {
            let mut command = cmd!["XPENDING", key, group(g)];
            if g.rng.chance(60) {
                command.extend(cmd![bound(g, "-"), bound(g, "+"), g.int()]);
                if g.rng.chance(40) {
                    command.push(consumer(g));
                }
            }
            command
        }
        76..=83 => xclaim(g, key),
        84..=88 => {
            let mut command =
                cmd!["XAUTOCLAIM", key, group(g), consumer(g), idle(g), bound(g, "-")];
            if g.rng.chance(50) {
                command.extend(cmd!["COUNT", g.rng.pick(&["1", "2", "3", "0", "-1", "x"])]);
            }
            if g.rng.chance(30) {
                command.extend(cmd!["JUSTID"]);
            }
            command
        }
        89..=90 => {
            // Below what was deleted the oracle still allows.
            let ahead = g.stream_ms + g.rng.below(5) as u64;
            let mut command = cmd!["XSETID", key, format!("{ahead}-9")];
            if g.rng.chance(30) {
                command.extend(cmd!["ENTRIESADDED", g.int(), "MAXDELETEDID", id(g)]);
            }
            command
        }
        91..=93 => cmd!["XINFO", "STREAM", key],
        94..=98 => cmd!["XINFO", "GROUPS", key],
        _ => cmd!["DEL", key],
    }
}

fn group(g: &mut Generator) -> Vec<u8> {
    g.rng.pick(&["g", "g", "g", "h", "none"]).as_bytes().to_vec()
}

fn consumer(g: &mut Generator) -> Vec<u8> {
    g.rng.pick(&["alice", "bob", "carol", ""]).as_bytes().to_vec()
}

/// Nothing has been idle for long, and everything for no time at all.
fn idle(g: &mut Generator) -> &'static str {
    g.rng.pick(&["0", "0", "0", "0", "-5", "3600000", "x"])
}

/// An id of the last few dozen milliseconds of the generator's clock.
fn id(g: &mut Generator) -> String {
    let ms = g.stream_ms.saturating_sub(g.rng.below(40) as u64);
    match g.rng.below(12) {
        0 => "0".into(),
        1 => ms.to_string(),
        2 => g.rng.pick(&["0-0", "x", "1-", "18446744073709551616", "5-*", "-", "+"]).into(),
        _ => format!("{ms}-{}", g.rng.below(3)),
    }
}

fn some_ids(g: &mut Generator, command: &mut Command) {
    for _ in 0..=g.rng.below(4) {
        command.extend(cmd![id(g)]);
    }
}

fn bound(g: &mut Generator, open: &str) -> String {
    match g.rng.below(5) {
        0 => format!("({}", id(g)),
        1..=2 => open.into(),
        _ => id(g),
    }
}

fn trim(g: &mut Generator, command: &mut Command) {
    let sign = g.rng.pick(&["", "", "=", "~", "~"]);
    let by_id = g.rng.chance(40);
    command.extend(cmd![if by_id { "MINID" } else { "MAXLEN" }]);
    if !sign.is_empty() {
        command.extend(cmd![sign]);
    }
    if by_id {
        command.extend(cmd![id(g)]);
    } else {
        command.extend(cmd![g.rng.pick(&["0", "1", "5", "20", "20", "60", "120", "-1"])]);
    }
    if g.rng.chance(if sign == "~" { 40 } else { 3 }) {
        command.extend(cmd!["LIMIT", g.rng.pick(&["0", "1", "10", "1000"])]);
    }
}

fn xadd(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["XADD", key];
    if g.rng.chance(5) {
        command.extend(cmd!["NOMKSTREAM"]);
    }
    if g.rng.chance(12) {
        trim(g, &mut command);
    }
    if g.rng.chance(40) {
        g.stream_ms += 1 + g.rng.below(3) as u64;
    }
    command.extend(match g.rng.below(20) {
        0 => cmd![id(g)],
        1 => cmd![g.stream_ms],
        _ => cmd![format!("{}-*", g.stream_ms)],
    });
    let fields: &[&str] = g.rng.pick(&[&["f"], &["f"], &["a", "b"], &["a", "b"], &["x", "y", "z"]]);
    for name in fields {
        let value = g.member();
        command.extend(cmd![*name, value]);
    }
    if g.rng.chance(10) {
        command.extend(cmd![g.member(), g.member()]);
    }
    command
}

fn xgroup(g: &mut Generator, key: Vec<u8>) -> Command {
    let group = group(g);
    match g.rng.below(12) {
        0..=5 => {
            let from = if g.rng.chance(60) { "0".into() } else { "$".to_string() };
            let mut command = cmd!["XGROUP", "CREATE", key, group, from];
            if g.rng.chance(60) {
                command.extend(cmd!["MKSTREAM"]);
            }
            if g.rng.chance(10) {
                command.extend(cmd!["ENTRIESREAD", g.int()]);
            }
            command
        }
        6 => cmd!["XGROUP", "CREATE", key, group, id(g)],
        7 => cmd!["XGROUP", "SETID", key, group, id(g)],
        8 => cmd!["XGROUP", "SETID", key, group, "$"],
        9 => cmd!["XGROUP", "CREATECONSUMER", key, group, consumer(g)],
        10 => cmd!["XGROUP", "DELCONSUMER", key, group, consumer(g)],
        _ => cmd!["XGROUP", "DESTROY", key, group],
    }
}

fn xclaim(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["XCLAIM", key, group(g), consumer(g), idle(g)];
    some_ids(g, &mut command);
    for (word, percent) in [("FORCE", 25), ("JUSTID", 25), ("FOO", 1)] {
        if g.rng.chance(percent) {
            command.extend(cmd![word]);
        }
    }
    if g.rng.chance(15) {
        command.extend(cmd!["RETRYCOUNT", g.int()]);
    }
    if g.rng.chance(10) {
        command.extend(cmd!["LASTID", id(g)]);
    }
    command
}
