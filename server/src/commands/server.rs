//! TIME, SHUTDOWN, MONITOR, MODULE.

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::{ANYTIME, host, relisten, row};
use crate::service::shared::{HowToStop, StopSave};

const GROUP: Group = Group::Server;

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        summary: "Returns the server time.",
        tips: &["nondeterministic_output"],
        ..row(
            "time",
            GROUP,
            "2.6.0",
            1,
            Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
            Run::Session(time),
        )
    },
    CommandSpec {
        summary: "Writes what is pending to the disk and shuts down the server.",
        syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        ..row(
            "shutdown",
            GROUP,
            "1.0.0",
            -1,
            ANYTIME.and(Flags::ADMIN).and(Flags::NO_MULTI).and(Flags::ALLOW_BUSY),
            Run::Session(shutdown),
        )
    },
    CommandSpec {
        summary: "Listens for all requests received by the server in real-time.",
        ..row("monitor", GROUP, "1.0.0", 1, ANYTIME.and(Flags::ADMIN), Run::Session(monitor))
    },
    CommandSpec {
        summary: "A container for module commands.",
        complexity: "Depends on subcommand.",
        subs: &[
            CommandSpec {
                summary: "Returns helpful text about the different subcommands.",
                ..row(
                    "module|help",
                    GROUP,
                    "5.0.0",
                    2,
                    Flags::LOADING.and(Flags::STALE),
                    Run::Session(module_help),
                )
            },
            CommandSpec {
                summary: "Returns all loaded modules.",
                tips: &["nondeterministic_output_order"],
                ..row(
                    "module|list",
                    GROUP,
                    "4.0.0",
                    2,
                    Flags::ADMIN.and(Flags::NOSCRIPT),
                    Run::Session(module_list),
                )
            },
        ],
        ..row("module", GROUP, "4.0.0", -2, Flags::NONE, Run::Container)
    },
];

fn time(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let us = cx.shard.now().unix_us;
    cx.out.array(2);
    cx.out.bulk((us / 1_000_000).to_string().as_bytes());
    cx.out.bulk((us % 1_000_000).to_string().as_bytes());
    Ok(())
}

fn shutdown(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let shared = host(cx)?.shared.clone();
    if a.len() == 2 && a.is(1, "ABORT") {
        if !shared.is_stopping() || !host(cx)?.stopping.may_be_aborted() {
            return Err(CmdError::fixed("ERR No shutdown in progress."));
        }
        shared.cancel_stop();
        tracing::info!("Shutdown manually aborted.");
        cx.out.ok();
        return Ok(());
    }
    let how = HowToStop::of(a.from(1).iter().copied()).ok_or(CmdError::SYNTAX)?;
    if how.save == StopSave::Yes && shared.facts.inspected().is_some() {
        return Err(CmdError::fixed(
            "ERR nothing can be saved: this server only shows the data at a point in time \
             (recovery-mode inspect)",
        ));
    }
    if how.save == StopSave::No {
        cx.shard.abandon_script();
    } else {
        cx.shard.while_idle()?;
    }
    tracing::info!("stop asked for by SHUTDOWN");
    shared.request_stop(how);
    let host = host(cx)?;
    host.stopping.wait(host.current);
    Ok(())
}

fn monitor(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    if cx.session.in_exec() {
        return Err(CmdError::fixed("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    let host = host(cx)?;
    host.monitor(host.current);
    relisten(cx)?;
    cx.out.ok();
    Ok(())
}

fn module_help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "MODULE",
        &[("LIST", "Return a list of loaded modules; there are none.")],
    );
    Ok(())
}

fn module_list(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.out.array(0);
    Ok(())
}
