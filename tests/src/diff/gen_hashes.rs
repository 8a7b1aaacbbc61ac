//! Hash commands.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One hash command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Hash);
    match g.rng.below(44) {
        0..=9 => {
            let mut command = cmd![g.rng.pick(&["HSET", "HSET", "HMSET"]), key];
            for _ in 0..=g.rng.below(4) {
                command.extend([g.member(), g.value()]);
            }
            command
        }
        10..=11 => cmd!["HSETNX", key, g.member(), g.value()],
        12..=15 => cmd!["HGET", key, g.member()],
        16..=18 => cmd!["HMGET", key, g.member(), g.member(), g.member()],
        19..=21 => cmd!["HGETALL", key],
        22..=26 => {
            let mut command = cmd!["HDEL", key];
            for _ in 0..=g.rng.below(4) {
                command.push(g.member());
            }
            command
        }
        27..=28 => cmd!["HLEN", key],
        29..=30 => cmd!["HEXISTS", key, g.member()],
        31 => cmd!["HKEYS", key],
        32 => cmd!["HVALS", key],
        33..=34 => cmd!["HSTRLEN", key, g.member()],
        35..=38 => cmd!["HINCRBY", key, g.member(), g.int()],
        _ => cmd!["HINCRBYFLOAT", key, g.member(), g.float()],
    }
}
