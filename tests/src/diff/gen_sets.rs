//! Set commands.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One set command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Set);
    match g.rng.below(50) {
        0..=10 => members(g, "SADD", key),
        11..=16 => members(g, "SREM", key),
        17..=18 => cmd!["SCARD", key],
        19..=21 => cmd!["SISMEMBER", key, g.member()],
        22..=23 => members(g, "SMISMEMBER", key),
        24..=26 => cmd!["SMEMBERS", key],
        27..=30 => cmd!["SMOVE", key, g.key(Type::Set), g.member()],
        31..=38 => {
            let name = g.rng.pick(&["SINTER", "SUNION", "SDIFF"]);
            sources(g, cmd![name])
        }
        39..=45 => {
            let name = g.rng.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
            sources(g, cmd![name, key])
        }
        _ => {
            let mut command =
                cmd!["SINTERCARD", g.rng.pick(&["2", "2", "2", "2", "1", "3", "0", "x"])];
            command.extend([key, g.key(Type::Set)]);
            if g.rng.chance(50) {
                command.extend(cmd!["LIMIT", g.int()]);
            }
            command
        }
    }
}

fn members(g: &mut Generator, name: &str, key: Vec<u8>) -> Command {
    let mut command = cmd![name, key];
    for _ in 0..=g.rng.below(5) {
        command.push(g.member());
    }
    command
}

fn sources(g: &mut Generator, mut command: Command) -> Command {
    for _ in 0..=g.rng.below(3) {
        command.push(g.key(Type::Set));
    }
    command
}
