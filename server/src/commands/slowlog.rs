//! SLOWLOG: the commands that took long.

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::{host, row};

const OPEN: Flags = Flags::LOADING.and(Flags::STALE);
const FLAGS: Flags = OPEN.and(Flags::ADMIN);

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for slow log commands.",
    complexity: "Depends on subcommand.",
    subs: &[
        CommandSpec {
            summary: "Returns the entries of the slow log, the latest first.",
            syntax: "[count]",
            complexity: "O(N) where N is the number of entries returned.",
            tips: &["request_policy:all_nodes", "nondeterministic_output"],
            ..row("slowlog|get", Group::Server, "2.2.12", -2, FLAGS, Run::Session(get))
        },
        CommandSpec {
            summary: "Returns helpful text about the different subcommands.",
            ..row("slowlog|help", Group::Server, "6.2.0", 2, OPEN, Run::Session(help))
        },
        CommandSpec {
            summary: "Returns the number of entries in the slow log.",
            tips: &[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ],
            ..row("slowlog|len", Group::Server, "2.2.12", 2, FLAGS, Run::Session(len))
        },
        CommandSpec {
            summary: "Empties the slow log.",
            complexity: "O(N) where N is the number of entries.",
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..row("slowlog|reset", Group::Server, "2.2.12", 2, FLAGS, Run::Session(reset))
        },
    ],
    ..row("slowlog", Group::Server, "2.2.12", -2, Flags::NONE, Run::Container)
}];

fn get(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let log = &host(cx)?.slow_log;
    let count = match a.len() {
        2 => 10,
        3 => match a.int(2) {
            Ok(-1) => usize::MAX,
            Ok(n) if n >= 0 => n as usize,
            _ => {
                return Err(CmdError::fixed("ERR count should be greater than or equal to -1"));
            }
        },
        _ => return Err(CmdError::arity("slowlog|get")),
    };
    let n = count.min(log.len());
    // The log stays where it is while the reply is written: a list of what it holds is cheap.
    let entries: Vec<_> = log
        .iter()
        .take(n)
        .map(|e| (e.id, e.unix_secs, e.micros, e.words.clone(), e.peer.clone(), e.name.clone()))
        .collect();
    cx.out.array(n);
    for (id, secs, micros, words, peer, name) in entries {
        cx.out.array(6);
        cx.out.int(id as i64);
        cx.out.int(secs as i64);
        cx.out.int(micros as i64);
        cx.out.array(words.len());
        words.iter().for_each(|w| cx.out.bulk(w));
        cx.out.bulk(peer.as_bytes());
        cx.out.bulk(name.as_bytes());
    }
    Ok(())
}

fn len(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let n = host(cx)?.slow_log.len();
    cx.out.int(n as i64);
    Ok(())
}

fn reset(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    host(cx)?.slow_log.clear();
    cx.out.ok();
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "SLOWLOG",
        &[
            (
                "GET [<count>]",
                "Return the latest <count> entries (default: 10, -1 means all): id, time, \
                 microseconds, arguments, client address, client name.",
            ),
            ("LEN", "Return the number of entries."),
            ("RESET", "Empty the slow log."),
        ],
    );
    Ok(())
}
