//! MEMORY: what takes how many bytes, from our own accounting and from the allocator.

use moon_engine::args::Args;
use moon_engine::command::{Access, CommandSpec, Flags, Group, KeySpec, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{ReadCx, SessionCx};

use super::row;
use crate::memory;
use crate::service::host::ServerHost;

const GROUP: Group = Group::Server;

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for memory diagnostics commands.",
    complexity: "Depends on subcommand.",
    subs: &[
        CommandSpec {
            summary: "Tells in words whether memory use looks healthy.",
            tips: &[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ],
            ..row("memory|doctor", GROUP, "4.0.0", 2, Flags::NONE, Run::Session(doctor))
        },
        CommandSpec {
            summary: "Returns helpful text about the different subcommands.",
            ..row(
                "memory|help",
                GROUP,
                "4.0.0",
                2,
                Flags::LOADING.and(Flags::STALE),
                Run::Session(help),
            )
        },
        CommandSpec {
            summary: "Returns the allocator's own statistics.",
            complexity: "Depends on how much memory is allocated, could be slow",
            tips: &[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ],
            ..row("memory|malloc-stats", GROUP, "4.0.0", 2, Flags::NONE, Run::Session(malloc_stats))
        },
        CommandSpec {
            summary: "Asks the allocator to give unused memory back.",
            complexity: "Depends on how much memory is allocated, could be slow",
            tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
            ..row("memory|purge", GROUP, "4.0.0", 2, Flags::NONE, Run::Session(purge))
        },
        CommandSpec {
            summary: "Returns figures about memory.",
            tips: &[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ],
            ..row("memory|stats", GROUP, "4.0.0", 2, Flags::NONE, Run::Session(stats))
        },
        CommandSpec {
            summary: "Returns the bytes that a key and its value take.",
            syntax: "key [SAMPLES count]",
            keys: &[KeySpec::one(2, Access::ReadOnly).using(moon_engine::command::KeyUse::NONE)],
            ..row("memory|usage", GROUP, "4.0.0", -3, Flags::NONE, Run::Read(usage))
        },
    ],
    ..row("memory", GROUP, "4.0.0", -2, Flags::NONE, Run::Container)
}];

/// MEMORY USAGE key [SAMPLES count]. Nothing is sampled: every value knows its size.
fn usage(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let mut i = 3;
    while i < a.len() {
        if !a.is(i, "SAMPLES") || i + 1 >= a.len() {
            return Err(CmdError::SYNTAX);
        }
        if a.int(i + 1)? < 0 {
            return Err(CmdError::SYNTAX);
        }
        i += 2;
    }
    match cx.ks.peek(a.get(2)) {
        Some(e) => {
            cx.out.int(moon_engine::db::entry_bytes(e) as i64);
        }
        None => cx.out.null(),
    }
    Ok(())
}

/// What the figures are made from.
struct Figures {
    peak: usize,
    startup: usize,
    clients: usize,
    dataset: usize,
    keys: usize,
    rss: usize,
    allocator: memory::Allocator,
}

fn figures(cx: &mut SessionCx<'_>) -> CmdResult<Figures> {
    let dataset = cx.shard.mem_bytes();
    let keys = cx.shard.dbs().iter().map(|db| db.len()).sum();
    let host = cx.host::<ServerHost>()?;
    let allocator = memory::allocator();
    Ok(Figures {
        peak: host.memory_peak.max(allocator.allocated),
        startup: host.memory_startup,
        clients: host.clients().map(|(_, c)| c.buffer_bytes()).sum(),
        dataset,
        keys,
        rss: memory::rss(),
        allocator,
    })
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b.max(1) as f64
}

/// A figure of MEMORY STATS.
enum Figure {
    Bytes(i64),
    Ratio(f64),
}

fn stats(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    use Figure::{Bytes, Ratio};
    let f = figures(cx)?;
    let a = f.allocator;
    let tables: Vec<(usize, usize)> = cx
        .shard
        .dbs()
        .iter()
        .enumerate()
        .filter(|(_, db)| !db.is_empty())
        .map(|(n, db)| (n, db.table().overhead_bytes()))
        .collect();
    let lookup: usize = tables.iter().map(|(_, bytes)| bytes).sum();
    let overhead = a.allocated.saturating_sub(f.dataset) + lookup;
    let dataset = f.dataset.saturating_sub(lookup);
    let (texts, libraries) = cx.shard.scripts.text_bytes();
    let bytes = |n: usize| Bytes(n as i64);
    let minus = |a: usize, b: usize| Bytes(a as i64 - b as i64);
    let before = [
        ("peak.allocated", bytes(f.peak)),
        ("total.allocated", bytes(a.allocated)),
        ("startup.allocated", bytes(f.startup)),
        ("replication.backlog", bytes(0)),
        ("clients.slaves", bytes(0)),
        ("clients.normal", bytes(f.clients)),
        ("cluster.links", bytes(0)),
        ("aof.buffer", bytes(0)),
        ("lua.caches", bytes(texts)),
        ("functions.caches", bytes(libraries)),
    ];
    let after = [
        ("overhead.db.hashtable.lut", bytes(lookup)),
        ("overhead.db.hashtable.rehashing", bytes(0)),
        ("overhead.total", bytes(overhead)),
        ("db.dict.rehashing.count", bytes(0)),
        ("keys.count", bytes(f.keys)),
        (
            "keys.bytes-per-key",
            bytes(a.allocated.saturating_sub(f.startup).checked_div(f.keys).unwrap_or(0)),
        ),
        ("dataset.bytes", bytes(dataset)),
        ("dataset.percentage", Ratio(percent(dataset, a.allocated.saturating_sub(f.startup)))),
        ("peak.percentage", Ratio(percent(a.allocated, f.peak))),
        ("allocator.allocated", bytes(a.allocated)),
        ("allocator.active", bytes(a.active)),
        ("allocator.resident", bytes(a.resident)),
        ("allocator.muzzy", bytes(0)),
        ("allocator-fragmentation.ratio", Ratio(ratio(a.active, a.allocated))),
        ("allocator-fragmentation.bytes", minus(a.active, a.allocated)),
        ("allocator-rss.ratio", Ratio(ratio(a.resident, a.active))),
        ("allocator-rss.bytes", minus(a.resident, a.active)),
        ("rss-overhead.ratio", Ratio(ratio(f.rss, a.resident))),
        ("rss-overhead.bytes", minus(f.rss, a.resident)),
        ("fragmentation", Ratio(ratio(f.rss, a.allocated))),
        ("fragmentation.bytes", minus(f.rss, a.allocated)),
    ];
    let out = &mut cx.out;
    out.map(before.len() + tables.len() + after.len());
    let put = |out: &mut moon_formats::resp::Reply<'_>, figures: &[(&str, Figure)]| {
        for (name, figure) in figures {
            out.bulk(name.as_bytes());
            match figure {
                Bytes(n) => out.int(*n),
                Ratio(x) => out.double(*x),
            }
        }
    };
    put(out, &before);
    for (n, table) in tables {
        out.bulk(format!("db.{n}").as_bytes());
        out.map(2);
        out.bulk(b"overhead.hashtable.main");
        out.int(table as i64);
        out.bulk(b"overhead.hashtable.expires");
        // Times to live stand beside the values they belong to.
        out.int(0);
    }
    put(out, &after);
    Ok(())
}

/// Below this, no ratio means anything.
const LITTLE: usize = 5 << 20;

fn doctor(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let f = figures(cx)?;
    let clients = cx.host::<ServerHost>()?.client_count.max(1);
    let a = f.allocator;
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(" * ");
        text.push_str(&line);
        text.push_str("\n\n");
    };
    if a.allocated < LITTLE {
        text.push_str(
            "This server holds almost nothing, so there is nothing to say about its memory yet.\n",
        );
        cx.out.verbatim(text.as_bytes());
        return Ok(());
    }
    let human = |n: usize| memory::human(n as u64);
    if ratio(f.peak, a.allocated) > 1.5 {
        say(format!(
            "Peak: {} were in use at one time, {} are now. The process may keep the difference; \
             MEMORY PURGE asks the allocator to give it back.",
            human(f.peak),
            human(a.allocated)
        ));
    }
    if ratio(a.active, a.allocated) > 1.1 && a.active - a.allocated > 10 << 20 {
        say(format!(
            "Fragmentation: {} are in use, on pages of {}. Values of many sizes have come and gone.",
            human(a.allocated),
            human(a.active)
        ));
    }
    if ratio(a.resident, a.active) > 1.1 && a.resident - a.active > 10 << 20 {
        say(format!(
            "Allocator: it keeps {} that nobody uses. MEMORY PURGE asks it to give them back.",
            human(a.resident - a.active)
        ));
    }
    if f.clients / clients > 200 << 10 {
        say(format!(
            "Clients: their buffers take {} each on average. Look for slow readers in CLIENT LIST.",
            human(f.clients / clients)
        ));
    }
    if text.is_empty() {
        text.push_str("Memory use looks healthy.\n");
    } else {
        text.insert_str(0, "Some things about the memory of this server:\n\n");
    }
    cx.out.verbatim(text.as_bytes());
    Ok(())
}

fn malloc_stats(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let text = memory::allocator_report()
        .map_err(|e| CmdError::text(format!("ERR the allocator tells nothing: {e}")))?;
    cx.out.verbatim(&text);
    Ok(())
}

fn purge(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    memory::purge().map_err(|e| CmdError::text(format!("ERR Error purging dirty pages: {e}")))?;
    cx.out.ok();
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "MEMORY",
        &[
            ("DOCTOR", "Tell in words whether memory use looks healthy."),
            ("MALLOC-STATS", "Return the allocator's own statistics."),
            ("PURGE", "Ask the allocator to give unused memory back."),
            ("STATS", "Return figures about memory."),
            (
                "USAGE <key> [SAMPLES <count>]",
                "Return the bytes that <key> and its value take. SAMPLES is accepted and not needed.",
            ),
        ],
    );
    Ok(())
}
