//! String commands.

use crate::args::Args;
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, Run};
use crate::db::Ttl;
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use crate::exec::{ReadCx, WriteCx};
use moon_formats::number::Digits;

const INCRBY: Event = Event::new(Class::STRING, "incrby");

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "get",
        group: Group::String,
        summary: "Returns the string value of a key.",
        arity: 2,
        syntax: "key",
        keys: &[KeySpec::one(1, Access::ReadOnly)],
        flags: Flags::FAST,
        run: Run::Read(get),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "incr",
        group: Group::String,
        summary: "Adds one to the integer value of a key, 0 if there is none.",
        arity: 2,
        syntax: "key",
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        flags: Flags::DENYOOM.and(Flags::FAST),
        run: Run::Write(incr),
        ..CommandSpec::DEFAULT
    },
];

fn get(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    match cx.ks.string(a.get(1))? {
        Some(v) => cx.out.bulk(v.bytes(&mut Digits::new())),
        None => cx.out.null(),
    }
    Ok(())
}

fn incr(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    incr_by(cx, a.get(1), 1)
}

fn incr_by(cx: &mut WriteCx<'_>, key: &[u8], by: i64) -> CmdResult {
    let old = match cx.ks.string(key)? {
        Some(v) => v.as_int().ok_or(CmdError::NOT_INT)?,
        None => 0,
    };
    let new = old.checked_add(by).ok_or(CmdError::OVERFLOW)?;
    cx.ks.put_int(key, new, Ttl::Keep, INCRBY);
    cx.out.int(new);
    Ok(())
}
