//! Connection commands that need no server around the engine.

use crate::args::Args;
use crate::command::{CommandSpec, DbSpec, Flags, Group, Run};
use crate::commands::generic;
use crate::error::{CmdError, CmdResult};
use crate::exec::SessionCx;
use moon_formats::resp::Proto;

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ping",
        group: Group::Connection,
        summary: "Answers PONG or the given message.",
        arity: -1,
        syntax: "[message]",
        flags: Flags::FAST.and(Flags::IN_SUBSCRIBE),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Session(ping),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "echo",
        group: Group::Connection,
        summary: "Answers the given message.",
        arity: 2,
        syntax: "message",
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        run: Run::Session(echo),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "select",
        databases: DbSpec::Named(&[1]),
        group: Group::Connection,
        summary: "Changes the database of the connection.",
        arity: 2,
        syntax: "index",
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        run: Run::Session(select),
        ..CommandSpec::DEFAULT
    },
];

fn ping(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 2 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    if cx.session.subscribed && cx.session.proto == Proto::Resp2 {
        cx.out.array(2);
        cx.out.bulk(b"pong");
        cx.out.bulk(a.get(1));
        return Ok(());
    }
    match a.opt(1) {
        Some(message) => cx.out.bulk(message),
        None => cx.out.simple("PONG"),
    }
    Ok(())
}

fn echo(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    cx.out.bulk(a.get(1));
    Ok(())
}

fn select(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    cx.session.db = generic::db_number(a.get(1), cx.shard.dbs().len())?;
    cx.out.ok();
    Ok(())
}
