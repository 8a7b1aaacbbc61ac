//! Commands on keys of any type.

use crate::args::Args;
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, Run};
use crate::error::CmdResult;
use crate::event::Event;
use crate::exec::{ReadCx, WriteCx};

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "del",
        group: Group::Generic,
        summary: "Removes keys.",
        complexity: "O(N) where N is the number of keys and of their elements.",
        arity: -2,
        syntax: "key [key ...]",
        keys: &[KeySpec::range(1, -1, 1, Access::Remove)],
        flags: Flags::SHRINKS,
        run: Run::Write(del),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "exists",
        group: Group::Generic,
        summary: "Counts which of the given keys exist.",
        complexity: "O(N) where N is the number of keys.",
        arity: -2,
        syntax: "key [key ...]",
        keys: &[KeySpec::range(1, -1, 1, Access::ReadOnly)],
        flags: Flags::FAST,
        run: Run::Read(exists),
        ..CommandSpec::DEFAULT
    },
];

fn del(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let n = a.from(1).iter().filter(|k| cx.ks.remove(k, Event::DEL)).count();
    cx.out.int(n as i64);
    Ok(())
}

fn exists(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let n = a.from(1).iter().filter(|k| cx.ks.get(k).is_some()).count();
    cx.out.int(n as i64);
    Ok(())
}
