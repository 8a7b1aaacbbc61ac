//! Clients that wait for a key, and what another does meanwhile.

use super::generate::Generator;
use crate::{Command, cmd};

/// Whether a command of a waiting op is one that waits.
pub(super) fn is_blocking(command: &Command) -> bool {
    matches!(command.first().map(Vec::as_slice), Some([b'B', ..]))
}

/// Some commands that wait, each for a connection of its own, then what is sent while they do,
/// on keys that are empty before. The last command empties them again.
pub(super) fn commands(g: &mut Generator) -> Vec<Command> {
    let mut commands: Vec<Command> = (0..1 + g.rng.below(3)).map(|_| blocking(g)).collect();
    let in_multi = g.rng.chance(30);
    if in_multi {
        commands.push(cmd!["MULTI"]);
    }
    for _ in 0..1 + g.rng.below(4) {
        let command = waking(g);
        // When a key of another type is overwritten, Redis does not serve who waits for it.
        if command[0] == b"ZUNIONSTORE" {
            commands.push(cmd!["DEL", command[1]]);
        }
        commands.push(command);
    }
    if in_multi {
        commands.push(cmd!["EXEC"]);
    }
    commands.push(cmd!["UNLINK", "w0", "w1", "w2"]);
    commands
}

fn key(g: &mut Generator) -> &'static str {
    g.rng.pick(&["w0", "w0", "w1", "w2"])
}

fn side(g: &mut Generator) -> &'static str {
    g.rng.pick(&["LEFT", "RIGHT"])
}

/// It waits for one key. With several, later versions than the oracle's serve the first one of
/// the command, the oracle the one that became ready first.
fn blocking(g: &mut Generator) -> Command {
    match g.rng.below(10) {
        0..=3 => cmd![g.rng.pick(&["BLPOP", "BRPOP"]), key(g), 0],
        4 => cmd!["BLMOVE", key(g), key(g), side(g), side(g), "0"],
        5 => cmd!["BRPOPLPUSH", key(g), key(g), "0"],
        6 => cmd!["BLMPOP", "0", 1, key(g), side(g), "COUNT", g.rng.range(1, 3)],
        7..=8 => cmd![g.rng.pick(&["BZPOPMIN", "BZPOPMAX"]), key(g), "0"],
        _ => {
            let end = g.rng.pick(&["MIN", "MAX"]);
            cmd!["BZMPOP", 0, 1, key(g), end, "COUNT", g.rng.range(1, 3)]
        }
    }
}

fn waking(g: &mut Generator) -> Command {
    match g.rng.below(16) {
        0..=4 => {
            let mut command = cmd![g.rng.pick(&["LPUSH", "RPUSH"]), key(g)];
            (0..1 + g.rng.below(4)).for_each(|_| command.push(g.member()));
            command
        }
        5..=7 => cmd!["ZADD", key(g), g.rng.range(0, 9), "a", g.rng.range(0, 9), "b"],
        8 => cmd!["SET", key(g), "text"],
        9 => cmd!["DEL", key(g)],
        10 => cmd!["RENAME", key(g), key(g)],
        11 => cmd!["COPY", key(g), key(g), "REPLACE"],
        12 => cmd!["LMOVE", key(g), key(g), side(g), side(g)],
        13 => cmd!["ZUNIONSTORE", key(g), 2, key(g), key(g)],
        14 => cmd!["PEXPIRE", key(g), "-1"],
        _ => cmd!["LPOP", key(g)],
    }
}
