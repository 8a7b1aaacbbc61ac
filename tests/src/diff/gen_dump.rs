//! DUMP and RESTORE. Payloads differ between the servers, so each side restores its own; what is made here
//! as a plain command can only be refused.

use super::generate::Generator;
use crate::{Command, cmd};

/// Times to live, good and bad.
const TTLS: [&str; 7] = ["0", "0", "0", "100000", "-1", "x", "99999999999"];

/// A RESTORE whose payload is none.
pub(super) fn command(g: &mut Generator) -> Command {
    let payload = g.rng.pick(&[
        &b""[..],
        b"x",
        // A string, sealed by zeros.
        b"\x00\x01x\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        // The same of a version that nobody writes.
        b"\x00\x01x\xff\x7f\x00\x00\x00\x00\x00\x00\x00\x00",
    ]);
    let mut command = cmd!["RESTORE", g.any_key(), g.rng.pick(&TTLS), payload.to_vec()];
    options(g, &mut command);
    command
}

/// A DUMP, and the RESTORE that takes its payload in place of the empty word.
pub(super) fn pair(g: &mut Generator) -> Vec<Command> {
    let mut restore = cmd!["RESTORE", g.any_key(), g.rng.pick(&TTLS), ""];
    options(g, &mut restore);
    vec![cmd!["DUMP", g.any_key()], restore]
}

fn options(g: &mut Generator, command: &mut Command) {
    if g.rng.chance(70) {
        command.extend(cmd!["REPLACE"]);
    }
    if g.rng.chance(15) {
        command.extend(cmd!["ABSTTL"]);
    }
    if g.rng.chance(10) {
        let n = g.rng.pick(&["0", "5", "-1", "x", "300"]);
        command.extend(cmd![g.rng.pick(&["IDLETIME", "FREQ"]), n]);
    }
    if g.rng.chance(3) {
        command.extend(cmd![g.rng.pick(&["BOGUS", "IDLETIME"])]);
    }
}
