//! HOTKEYS: which keys take the most time and traffic. The container of Redis 8.6; GET answers from the
//! sampler that always runs if no session was started.

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::{host, row};
use crate::service::hotkeys::{Top, Wish};

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

/// Slots of a cluster; without one, all are here.
const SLOT_LAST: i64 = 16_383;
const COUNT: i64 = 10;
const COUNT_MAX: i64 = 64;
const DURATION_MAX: i64 = 1_000_000;

const fn sub(name: &'static str, summary: &'static str, arity: i16, run: Run) -> CommandSpec {
    CommandSpec { summary, ..row(name, Group::Server, "8.6.0", arity, FLAGS, run) }
}

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for hot key commands.",
    complexity: "Depends on subcommand.",
    subs: &[
        CommandSpec {
            complexity: "O(K) where K is the number of keys returned.",
            tips: &["nondeterministic_output"],
            ..sub(
                "hotkeys|get",
                "Returns the keys that took the most time and traffic.",
                2,
                Run::Session(get),
            )
        },
        CommandSpec {
            flags: Flags::LOADING.and(Flags::STALE),
            since: "8.6.1",
            ..sub(
                "hotkeys|help",
                "Returns helpful text about the different subcommands.",
                2,
                Run::Session(help),
            )
        },
        sub("hotkeys|reset", "Forgets what was seen.", 2, Run::Session(reset)),
        CommandSpec {
            syntax: "METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio] [SLOTS count slot [slot ...]]",
            complexity: "O(1)",
            ..sub("hotkeys|start", "Begins to look at all commands.", -2, Run::Session(start))
        },
        sub("hotkeys|stop", "Ends that; what was seen is kept.", 2, Run::Session(stop)),
    ],
    ..row("hotkeys", Group::Server, "8.6.0", -2, Flags::NONE, Run::Container)
}];

fn now_ms(cx: &SessionCx<'_>) -> u64 {
    cx.shard.now().unix_ms
}

/// A number in a range, or this error.
fn number(a: Args<'_>, i: usize, lo: i64, hi: i64, error: &'static str) -> CmdResult<i64> {
    let n = a.int(i).ok().filter(|n| (lo..=hi).contains(n));
    n.ok_or(CmdError::fixed(error))
}

fn wish(a: Args<'_>) -> CmdResult<Wish> {
    if a.len() < 4 || !a.is(2, "METRICS") {
        return Err(CmdError::fixed("ERR METRICS parameter is required"));
    }
    let metrics = number(a, 3, 1, 2, "ERR METRICS count must be > 0 and <= 2")? as usize;
    let mut wish =
        Wish { cpu: false, net: false, count: COUNT as usize, duration_ms: None, ratio: 1 };
    let named = a.len().min(4 + metrics);
    for i in 4..named {
        let twice = match () {
            () if a.is(i, "CPU") => std::mem::replace(&mut wish.cpu, true)
                .then_some("ERR METRICS CPU defined more than once!"),
            () if a.is(i, "NET") => std::mem::replace(&mut wish.net, true)
                .then_some("ERR METRICS NET defined more than once!"),
            // Metrics of later versions are let pass, as in Redis.
            () => None,
        };
        if let Some(text) = twice {
            return Err(CmdError::fixed(text));
        }
    }
    if named < 4 + metrics {
        return Err(CmdError::fixed(
            "ERR METRICS count does not match number of metric types provided",
        ));
    }
    if !wish.cpu && !wish.net {
        return Err(CmdError::fixed("ERR METRICS no valid metrics passed. Supported: CPU|NET"));
    }
    let mut i = named;
    while i < a.len() {
        match () {
            () if i + 1 >= a.len() => return Err(CmdError::SYNTAX),
            () if a.is(i, "COUNT") => {
                let error = "ERR COUNT must be between 1 and 64";
                wish.count = number(a, i + 1, 1, COUNT_MAX, error)? as usize;
            }
            () if a.is(i, "DURATION") => {
                let error = "ERR DURATION must be between 1 and 1000000";
                let secs = number(a, i + 1, 1, DURATION_MAX, error)?;
                wish.duration_ms = Some(secs as u64 * 1000);
            }
            () if a.is(i, "SAMPLE") => {
                let error = "ERR SAMPLE ratio must be positive";
                wish.ratio = number(a, i + 1, 1, i64::from(i32::MAX), error)? as u32;
            }
            () if a.is(i, "SLOTS") => {
                return Err(CmdError::fixed(
                    "ERR SLOTS parameter cannot be used in non-cluster mode",
                ));
            }
            () => return Err(CmdError::SYNTAX),
        }
        i += 2;
    }
    Ok(wish)
}

fn start(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let now_ms = now_ms(cx);
    let hot = &mut host(cx)?.hot_keys;
    if hot.is_active(now_ms) {
        return Err(CmdError::fixed("ERR hotkey tracking session already in progress"));
    }
    hot.start(wish(a)?, now_ms);
    cx.shard.sample_in = 1;
    cx.out.ok();
    Ok(())
}

fn stop(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let now_ms = now_ms(cx);
    match host(cx)?.hot_keys.stop(now_ms) {
        true => cx.out.ok(),
        false => cx.out.null(),
    }
    Ok(())
}

fn reset(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let now_ms = now_ms(cx);
    let hot = &mut host(cx)?.hot_keys;
    if hot.is_active(now_ms) {
        return Err(CmdError::fixed(
            "ERR hotkey tracking session in progress, stop tracking first",
        ));
    }
    hot.reset(now_ms);
    cx.out.ok();
    Ok(())
}

fn get(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let now_ms = now_ms(cx);
    let host = host(cx)?;
    let Some(mut report) = host.hot_keys.report(now_ms) else {
        cx.out.null();
        return Ok(());
    };
    let all_us = host.ticks_to_us(report.ticks);
    for (_, sum) in report.cpu.iter_mut().flatten() {
        *sum = host.ticks_to_us(*sum);
    }
    let out = &mut cx.out;
    // One map for each node, here one.
    out.array(1);
    let fields = 7 + 3 * usize::from(report.cpu.is_some()) + 2 * usize::from(report.net.is_some());
    out.map(fields);
    out.bulk(b"tracking-active");
    out.int(i64::from(report.active));
    out.bulk(b"sample-ratio");
    out.int(i64::from(report.ratio));
    out.bulk(b"selected-slots");
    out.array(1);
    out.array(2);
    [0, SLOT_LAST].iter().for_each(|slot| out.int(*slot));
    let mut figure = |name: &str, n: u64| {
        out.bulk(name.as_bytes());
        out.int(n as i64);
    };
    figure("all-commands-all-slots-us", all_us);
    figure("net-bytes-all-commands-all-slots", report.bytes);
    figure("collection-start-time-unix-ms", report.start_ms);
    figure("collection-duration-ms", report.duration_ms);
    if report.cpu.is_some() {
        figure("total-cpu-time-user-ms", report.process_ms.0);
        figure("total-cpu-time-sys-ms", report.process_ms.1);
    }
    if let Some((_, total)) = &report.net {
        figure("total-net-bytes", *total);
    }
    let mut top = |name: &str, top: &Top| {
        out.bulk(name.as_bytes());
        out.array(2 * top.len());
        for (key, sum) in top {
            out.bulk(key);
            out.int(*sum as i64);
        }
    };
    if let Some(cpu) = &report.cpu {
        top("by-cpu-time-us", cpu);
    }
    if let Some((net, _)) = &report.net {
        top("by-net-bytes", net);
    }
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "HOTKEYS",
        &[
            (
                "START METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio]",
                "Look at all commands, or one in <ratio>, for the keys that take most time (CPU) and bytes \
                 (NET); show <k> keys (default: 10, at most 64); end after <seconds>.",
            ),
            ("STOP", "End that. What was seen is kept."),
            (
                "GET",
                "Return what was seen; without START, what one command in 512 has shown of late.",
            ),
            ("RESET", "Forget what was seen."),
        ],
    );
    Ok(())
}
