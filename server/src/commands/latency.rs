//! LATENCY: what took long, and how long each command usually takes.

use std::collections::BTreeMap;
use std::fmt::Write;

use moon_engine::args::Args;
use moon_engine::command::{Command, CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{SessionCx, stats::HISTOGRAM_FIRST_BITS};

use super::{ANYTIME, host, row};
use crate::service::host::ServerHost;
use crate::service::latency::Series;

/// What every node of a cluster sees of itself.
const SEEN_BY_NODE: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

const FLAGS: Flags = ANYTIME.and(Flags::ADMIN);
const OPEN: Flags = Flags::LOADING.and(Flags::STALE);

const fn sub(
    name: &'static str,
    since: &'static str,
    arity: i16,
    syntax: &'static str,
    summary: &'static str,
    run: Run,
) -> CommandSpec {
    CommandSpec { summary, syntax, ..row(name, Group::Server, since, arity, FLAGS, run) }
}

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for latency diagnostics commands.",
    complexity: "Depends on subcommand.",
    subs: &[
        CommandSpec {
            tips: SEEN_BY_NODE,
            ..sub(
                "latency|doctor",
                "2.8.13",
                2,
                "",
                "Tells in words what took long.",
                Run::Session(doctor),
            )
        },
        CommandSpec {
            tips: SEEN_BY_NODE,
            ..sub(
                "latency|graph",
                "2.8.13",
                3,
                "event",
                "Draws the samples of an event.",
                Run::Session(graph),
            )
        },
        CommandSpec {
            flags: OPEN,
            ..sub(
                "latency|help",
                "2.8.13",
                2,
                "",
                "Returns helpful text about the different subcommands.",
                Run::Session(help),
            )
        },
        CommandSpec {
            tips: SEEN_BY_NODE,
            ..sub(
                "latency|histogram",
                "7.0.0",
                -2,
                "[command [command ...]]",
                "Returns how long commands have taken, as cumulative counts.",
                Run::Session(histogram),
            )
        },
        CommandSpec {
            tips: SEEN_BY_NODE,
            ..sub(
                "latency|history",
                "2.8.13",
                3,
                "event",
                "Returns the samples of an event.",
                Run::Session(history),
            )
        },
        CommandSpec {
            tips: SEEN_BY_NODE,
            ..sub(
                "latency|latest",
                "2.8.13",
                2,
                "",
                "Returns the latest sample of every event.",
                Run::Session(latest),
            )
        },
        CommandSpec {
            tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
            ..sub(
                "latency|reset",
                "2.8.13",
                -2,
                "[event [event ...]]",
                "Forgets the samples of events.",
                Run::Session(reset),
            )
        },
    ],
    ..row("latency", Group::Server, "2.8.13", -2, Flags::NONE, Run::Container)
}];

fn latest(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let rows: Vec<_> = host(cx)?
        .latency
        .events()
        .filter_map(|(name, s)| Some((name, s.samples().next_back()?, s.max)))
        .collect();
    cx.out.array(rows.len());
    for (name, (secs, millis), max) in rows {
        cx.out.array(4);
        cx.out.bulk(name.as_bytes());
        [secs, millis, max].iter().for_each(|n| cx.out.int(*n as i64));
    }
    Ok(())
}

fn history(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let event = host(cx)?.latency.event(a.get(2));
    let samples: Vec<_> = event.map(|(_, s)| s.samples().collect()).unwrap_or_default();
    cx.out.array(samples.len());
    for (secs, millis) in samples {
        cx.out.array(2);
        cx.out.int(secs as i64);
        cx.out.int(millis as i64);
    }
    Ok(())
}

fn reset(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let monitor = &mut host(cx)?.latency;
    let n = match a.len() {
        2 => monitor.reset_all(),
        _ => a.from(2).iter().filter(|name| monitor.reset(name)).count(),
    };
    cx.out.int(n as i64);
    Ok(())
}

/// Columns and rows of a graph.
const COLUMNS: usize = 80;
const ROWS: u64 = 4;

fn graph(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let Some((name, series)) = host(cx)?.latency.event(a.get(2)) else {
        return Err(CmdError::text(format!(
            "ERR No samples available for event '{}'",
            String::from_utf8_lossy(a.get(2))
        )));
    };
    let text = drawn(name, series);
    cx.out.verbatim(text.as_bytes());
    Ok(())
}

fn drawn(name: &str, series: &Series) -> String {
    let mut recent: Vec<u64> = series.samples().rev().take(COLUMNS).map(|(_, ms)| ms).collect();
    recent.reverse();
    let (high, low) =
        (recent.iter().max().copied().unwrap_or(0), recent.iter().min().copied().unwrap_or(0));
    let mut text =
        format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max);
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    for level in (0..ROWS).rev() {
        // The lowest sample still stands on the ground.
        let column = |ms: &u64| if ms * ROWS > high * level { '#' } else { ' ' };
        let line: String = recent.iter().map(column).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn doctor(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let monitor = &host(cx)?.latency;
    let mut text = String::new();
    if monitor.threshold == 0 {
        text.push_str(
            "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> \
             switches it on.\n",
        );
    } else if monitor.events().len() == 0 {
        let _ = writeln!(text, "Nothing has taken {} ms or more.", monitor.threshold);
    }
    for (name, series) in monitor.events() {
        let (n, sum) = series.samples().fold((0u64, 0u64), |(n, sum), (_, ms)| (n + 1, sum + ms));
        let _ = writeln!(
            text,
            "{name}: {n} samples, {} ms on average, {} ms at most.",
            sum / n.max(1),
            series.max
        );
        text.push_str(match name {
            "expire-cycle" => "  Many keys end at one time; spread their times to live.\n",
            _ => "  SLOWLOG GET shows the commands.\n",
        });
    }
    cx.out.verbatim(text.as_bytes());
    Ok(())
}

/// Cumulative counts by microseconds: powers of two, none that a command cannot have taken.
pub(super) fn buckets(counts: &[u32], host: &ServerHost) -> BTreeMap<u64, u64> {
    let (mut buckets, mut sum) = (BTreeMap::new(), 0u64);
    for (i, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        sum += u64::from(*count);
        let bound = host.ticks_to_us(1 << (i as u32 + HISTOGRAM_FIRST_BITS));
        buckets.insert((bound + 1).next_power_of_two(), sum);
    }
    buckets
}

fn histogram(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let table = cx.shard.table();
    let with_subs = |c: &'static Command| std::iter::once(c).chain(c.subs());
    let wanted: Vec<&Command> = match a.len() {
        2 => table.iter().flat_map(with_subs).collect(),
        _ => a.from(2).iter().filter_map(|n| table.find_full(n)).flat_map(with_subs).collect(),
    };
    let rows: Vec<_> = wanted
        .iter()
        .filter_map(|c| Some((c, cx.shard.stats.by_command.get(usize::from(c.id))?)))
        .filter(|(_, s)| s.calls > 0)
        .map(|(c, s)| (c.spec.name, s.calls, s.histogram))
        .collect();
    let host = host(cx)?;
    let rows: Vec<_> =
        rows.into_iter().map(|(name, calls, h)| (name, calls, buckets(&h, host))).collect();
    cx.out.map(rows.len());
    for (name, calls, buckets) in rows {
        cx.out.bulk(name.as_bytes());
        cx.out.map(2);
        cx.out.bulk(b"calls");
        cx.out.int(calls as i64);
        cx.out.bulk(b"histogram_usec");
        cx.out.map(buckets.len());
        for (bound, sum) in buckets {
            cx.out.int(bound as i64);
            cx.out.int(sum as i64);
        }
    }
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "LATENCY",
        &[
            ("DOCTOR", "Tell in words what took long."),
            ("GRAPH <event>", "Draw the samples of an event."),
            ("HISTORY <event>", "Return the samples of an event: time and milliseconds."),
            (
                "HISTOGRAM [<command> ...]",
                "Return how long commands have taken, as cumulative counts.",
            ),
            ("LATEST", "Return the latest sample of every event."),
            ("RESET [<event> ...]", "Forget the samples of events."),
        ],
    );
    Ok(())
}
