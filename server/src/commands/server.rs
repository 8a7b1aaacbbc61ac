//! TIME, SHUTDOWN, DEBUG, MODULE LIST.

use std::time::{Duration, Instant};

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;
use moon_formats::resp::Proto;

use super::{ANYTIME, host, relisten, row};

const GROUP: Group = Group::Server;

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        summary: "Returns the server time.",
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
        summary: "A container for debugging commands.",
        complexity: "Depends on subcommand.",
        syntax: "subcommand [arg [arg ...]]",
        ..row(
            "debug",
            GROUP,
            "1.0.0",
            -2,
            ANYTIME.and(Flags::ADMIN).and(Flags::PROTECTED),
            Run::Session(debug),
        )
    },
    CommandSpec {
        summary: "Listens for all requests received by the server in real-time.",
        ..row("monitor", GROUP, "1.0.0", 1, ANYTIME.and(Flags::ADMIN), Run::Session(monitor))
    },
    CommandSpec {
        summary: "A container for module commands.",
        complexity: "Depends on subcommand.",
        subs: &[CommandSpec {
            summary: "Returns all loaded modules.",
            ..row(
                "module|list",
                GROUP,
                "4.0.0",
                2,
                Flags::ADMIN.and(Flags::NOSCRIPT),
                Run::Session(module_list),
            )
        }],
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
    let (mut save, mut nosave, mut abort, mut other) = (false, false, false, false);
    for i in 1..a.len() {
        match () {
            () if a.is(i, "SAVE") => save = true,
            () if a.is(i, "NOSAVE") => nosave = true,
            () if a.is(i, "NOW") || a.is(i, "FORCE") => other = true,
            () if a.is(i, "ABORT") => abort = true,
            () => return Err(CmdError::SYNTAX),
        }
    }
    if (save && nosave) || (abort && (save || nosave || other)) {
        return Err(CmdError::SYNTAX);
    }
    let shared = host(cx)?.shared.clone();
    if abort {
        // A stop that has begun takes no more requests, so there is none to abort here.
        return Err(CmdError::fixed("ERR No shutdown in progress."));
    }
    tracing::info!("stop asked for by SHUTDOWN");
    shared.request_stop();
    cx.session.close = true;
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

fn module_list(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.out.array(0);
    Ok(())
}

fn debug(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.is(1, "SLEEP") && a.len() == 3 {
        let secs: f64 = std::str::from_utf8(a.get(2))
            .ok()
            .and_then(|s| s.parse().ok())
            .filter(|s: &f64| (0.0..1e9).contains(s))
            .ok_or(CmdError::NOT_FLOAT)?;
        let until = Instant::now() + Duration::from_secs_f64(secs);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        cx.out.ok();
    } else if a.is(1, "SET-ACTIVE-EXPIRE") && a.len() == 3 {
        cx.shard.active_expire = a.int(2)? != 0;
        cx.out.ok();
    } else if a.is(1, "LOG") && a.len() == 3 {
        tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(a.get(2)));
        cx.out.ok();
    } else if a.is(1, "ERROR") && a.len() == 3 {
        return Err(CmdError::text(String::from_utf8_lossy(a.get(2)).into_owned()));
    } else if a.is(1, "PROTOCOL") && a.len() == 3 {
        return protocol(cx, a);
    } else if a.is(1, "PANIC") && a.len() == 2 {
        panic!("DEBUG PANIC");
    } else if a.is(1, "HELP") {
        moon_engine::commands::help(
            &mut cx.out,
            "DEBUG",
            &[
                ("ERROR <string>", "Return a Redis protocol error with <string> as message."),
                ("LOG <message>", "Write <message> to the server log."),
                ("PANIC", "Crash the server simulating a panic."),
                ("PROTOCOL <type>", "Reply with a test value of the specified type."),
                (
                    "SET-ACTIVE-EXPIRE <0|1>",
                    "Setting it to 0 disables expiring keys in background.",
                ),
                ("SLEEP <seconds>", "Stop the server for <seconds>. Decimals allowed."),
            ],
        );
    } else {
        return Err(CmdError::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
            String::from_utf8_lossy(a.get(1))
        )));
    }
    Ok(())
}

/// Redis' sample value, on purpose not pi.
#[allow(clippy::approx_constant, reason = "the value of Redis' test reply")]
const SAMPLE_DOUBLE: f64 = 3.141;

/// DEBUG PROTOCOL: one value of each kind (Redis `debug.c`).
fn protocol(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let resp3 = cx.session.proto == Proto::Resp3;
    let out = &mut cx.out;
    match () {
        () if a.is(2, "STRING") => out.bulk(b"Hello World"),
        () if a.is(2, "INTEGER") => out.int(12345),
        () if a.is(2, "DOUBLE") => out.double(SAMPLE_DOUBLE),
        () if a.is(2, "NULL") => out.null(),
        () if a.is(2, "ARRAY") => {
            out.array(3);
            (0..3).for_each(|i| out.int(i));
        }
        () if a.is(2, "SET") => {
            out.set(3);
            (0..3).for_each(|i| out.int(i));
        }
        () if a.is(2, "MAP") => {
            out.map(3);
            for i in 0..3 {
                out.int(i);
                out.bool(i == 1);
            }
        }
        () if a.is(2, "ATTRIB") => {
            if resp3 {
                out.attribute(1);
                out.bulk(b"key-popularity");
                out.array(2);
                out.bulk(b"key:123");
                out.int(90);
            }
            out.bulk(b"Some real reply following the attribute");
        }
        () if a.is(2, "PUSH") => {
            if !resp3 {
                return Err(CmdError::fixed("ERR RESP2 is not supported by this command"));
            }
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.int(42);
        }
        () if a.is(2, "BIGNUM") => out.big_number("1234567999999999999999999999999999999"),
        () if a.is(2, "TRUE") => out.bool(true),
        () if a.is(2, "FALSE") => out.bool(false),
        () if a.is(2, "VERBATIM") => out.verbatim(b"This is a verbatim\nstring"),
        () => {
            return Err(CmdError::fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
