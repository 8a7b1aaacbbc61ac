//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use crate::args::Args;
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::error::{CmdError, CmdResult};
use crate::exec::SessionCx;
use crate::exec::multi::Exec;

const COMMON: Flags =
    Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::ALLOW_BUSY).and(Flags::FAST);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "multi",
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Starts a transaction.",
        arity: 1,
        flags: COMMON.and(Flags::NOT_QUEUED),
        run: Run::Session(multi),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "exec",
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Runs the queued commands of a transaction.",
        complexity: "Depends on commands in the transaction",
        arity: 1,
        flags: Flags::NOSCRIPT
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::SKIP_SLOWLOG)
            .and(Flags::NOT_QUEUED)
            .and(Flags::RUNS_QUEUE),
        run: Run::Session(exec),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "discard",
        group: Group::Transactions,
        since: "2.0.0",
        summary: "Drops the queued commands of a transaction.",
        complexity: "O(N), when N is the number of queued commands",
        arity: 1,
        flags: COMMON.and(Flags::NOT_QUEUED),
        run: Run::Session(discard),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "watch",
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Makes the next transaction depend on keys staying as they are.",
        complexity: "O(1) for every key.",
        arity: -2,
        syntax: "key [key ...]",
        keys: &[KeySpec::range(1, -1, 1, Access::ReadOnly).using(KeyUse::NONE)],
        flags: COMMON.and(Flags::NOT_QUEUED),
        run: Run::Session(watch),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "unwatch",
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Forgets the watched keys.",
        arity: 1,
        flags: COMMON,
        run: Run::Session(unwatch),
        ..CommandSpec::DEFAULT
    },
];

fn multi(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    if !cx.session.open_multi() {
        return Err(CmdError::fixed("ERR MULTI calls can not be nested"));
    }
    cx.out.ok();
    Ok(())
}

fn exec(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    match cx.shard.take_exec(cx.session) {
        None => Err(CmdError::fixed("ERR EXEC without MULTI")),
        Some(Exec::Aborted) => {
            Err(CmdError::fixed("EXECABORT Transaction discarded because of previous errors."))
        }
        Some(Exec::Dirty) => {
            cx.out.null_array();
            Ok(())
        }
        Some(Exec::Run(multi)) => {
            cx.shard.run_queue(cx.host, cx.session, multi, 0, cx.out.buffer());
            Ok(())
        }
    }
}

fn discard(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    // Without MULTI the watched keys stay watched.
    if cx.session.multi_len().is_none() || !cx.shard.discard(cx.session) {
        return Err(CmdError::fixed("ERR DISCARD without MULTI"));
    }
    cx.out.ok();
    Ok(())
}

fn watch(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if cx.session.multi_len().is_some() {
        return Err(CmdError::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    for key in a.from(1) {
        cx.shard.watch(cx.session, key);
    }
    cx.out.ok();
    Ok(())
}

fn unwatch(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.shard.unwatch(cx.session);
    cx.out.ok();
    Ok(())
}
