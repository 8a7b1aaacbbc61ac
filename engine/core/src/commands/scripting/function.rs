//! FCALL and FUNCTION: functions that live with the data.

use super::{READS, RUNS, SUB, keys_and_args};
use crate::args::Args;
use crate::command::{CommandSpec, Flags, Group, Run};
use crate::error::{CmdError, CmdResult};
use crate::exec::{SessionCx, WriteCx};
use crate::glob::glob_match;
use crate::script::OnClash;
use moon_formats::redis_rdb::{Limits, functions};

/// Row of FCALL.
pub(super) const FCALL: CommandSpec = CommandSpec {
    name: "fcall",
    since: "7.0.0",
    summary: "Runs a function.",
    complexity: "Depends on the function that is executed.",
    syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
    run: Run::Session(fcall),
    ..RUNS
};

/// Row of FCALL_RO.
pub(super) const FCALL_RO: CommandSpec = CommandSpec {
    name: "fcall_ro",
    summary: "Runs a function that writes nothing.",
    complexity: "Depends on the function that is executed.",
    syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
    run: Run::Session(fcall_ro),
    ..READS
};

/// Row of FUNCTION.
pub(super) const FUNCTION: CommandSpec = CommandSpec {
    name: "function",
    group: Group::Scripting,
    since: "7.0.0",
    summary: "Commands about libraries of functions.",
    complexity: "Depends on subcommand.",
    arity: -2,
    subs: SUBS,
    ..CommandSpec::DEFAULT
};

const SINCE: CommandSpec = CommandSpec { since: "7.0.0", ..SUB };

const SUBS: &[CommandSpec] = &[
    CommandSpec {
        name: "function|delete",
        summary: "Removes a library.",
        arity: 3,
        syntax: "library-name",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Write(delete),
        ..SINCE
    },
    CommandSpec {
        name: "function|dump",
        summary: "Returns all libraries as one payload.",
        complexity: "O(N) where N is the number of functions",
        arity: 2,
        run: Run::Session(dump),
        ..SINCE
    },
    CommandSpec {
        name: "function|flush",
        summary: "Removes all libraries.",
        complexity: "O(N) where N is the number of functions deleted",
        arity: -2,
        syntax: "[ASYNC | SYNC]",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Write(flush),
        ..SINCE
    },
    CommandSpec {
        name: "function|help",
        summary: "Returns a text about the subcommands.",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        run: Run::Session(help),
        ..SINCE
    },
    CommandSpec {
        name: "function|kill",
        summary: "Stops the function that runs.",
        arity: 2,
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Run::Session(kill),
        ..SINCE
    },
    CommandSpec {
        name: "function|list",
        summary: "Returns the libraries and their functions.",
        complexity: "O(N) where N is the number of functions",
        arity: -2,
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        tips: &["nondeterministic_output_order"],
        run: Run::Session(list),
        ..SINCE
    },
    CommandSpec {
        name: "function|load",
        summary: "Loads a library.",
        complexity: "O(1) (considering compilation time is redundant)",
        arity: -3,
        syntax: "[REPLACE] function-code",
        flags: Flags::NOSCRIPT.and(Flags::DENYOOM),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Write(load),
        ..SINCE
    },
    CommandSpec {
        name: "function|restore",
        summary: "Restores all libraries from a payload.",
        complexity: "O(N) where N is the number of functions on the payload",
        arity: -3,
        syntax: "serialized-value [FLUSH | APPEND | REPLACE]",
        flags: Flags::NOSCRIPT.and(Flags::DENYOOM),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Write(restore),
        ..SINCE
    },
    CommandSpec {
        name: "function|stats",
        summary: "Returns what runs and how much is loaded.",
        arity: 2,
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: Run::Session(stats),
        ..SINCE
    },
];

fn call(cx: &mut SessionCx<'_>, a: Args<'_>, read_only: bool) -> CmdResult {
    let request = cx.shard.scripts.function(a.get(1));
    let request = request.ok_or(CmdError::fixed("ERR Function not found"))?;
    let (keys, args) = keys_and_args(a, CmdError::fixed("ERR Bad number of keys provided"))?;
    request.run(cx, read_only, keys, args)
}

fn fcall(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    call(cx, a, false)
}

fn fcall_ro(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    call(cx, a, true)
}

fn load(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let last = a.len() - 1;
    let mut replace = false;
    for (i, option) in a.all().iter().enumerate().take(last).skip(2) {
        if !a.is(i, "REPLACE") {
            let option = String::from_utf8_lossy(option);
            return Err(CmdError::text(format!("ERR Unknown option given: {option}")));
        }
        replace = true;
    }
    let name = cx.ks.scripts.load_library(a.get(last), replace)?;
    cx.ks.unit.touch_quietly();
    cx.out.bulk(&name);
    Ok(())
}

fn delete(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    if !cx.ks.scripts.delete_library(a.get(2)) {
        return Err(CmdError::fixed("ERR Library not found"));
    }
    cx.ks.unit.touch_quietly();
    cx.out.ok();
    Ok(())
}

fn flush(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 3 {
        return Err(CmdError::wrong_sub(a.get(1), "FUNCTION"));
    }
    if a.len() == 3 && !a.is(2, "SYNC") && !a.is(2, "ASYNC") {
        return Err(CmdError::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    let later = if a.len() == 3 { a.is(2, "ASYNC") } else { cx.ks.lazy_free().user_flush };
    cx.ks.scripts.flush_libraries(later);
    cx.ks.unit.touch_quietly();
    cx.out.ok();
    Ok(())
}

fn dump(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let mut payload = Vec::new();
    functions::dump(cx.shard.scripts.all_libraries().values().map(|l| &*l.code), &mut payload);
    cx.out.bulk(&payload);
    Ok(())
}

fn restore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 4 {
        return Err(CmdError::wrong_sub(a.get(1), "FUNCTION"));
    }
    let clash = match () {
        () if a.len() == 3 || a.is(3, "APPEND") => OnClash::Refuse,
        () if a.is(3, "REPLACE") => OnClash::Replace,
        () if a.is(3, "FLUSH") => OnClash::Flush,
        () => {
            return Err(CmdError::fixed(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let sources = functions::read(a.get(2), &Limits::default())
        .map_err(|bad| CmdError::text(format!("ERR {bad}")))?;
    let codes: Vec<&[u8]> = sources.iter().map(|s| &**s).collect();
    cx.ks.scripts.restore_libraries(&codes, clash)?;
    cx.ks.unit.touch_quietly();
    cx.out.ok();
    Ok(())
}

fn list(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let (mut with_code, mut pattern, mut i) = (false, None, 2);
    while i < a.len() {
        if !with_code && a.is(i, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && a.is(i, "LIBRARYNAME") {
            i += 1;
            let given = a.opt(i);
            pattern =
                Some(given.ok_or(CmdError::fixed("ERR library name argument was not given"))?);
        } else {
            let option = String::from_utf8_lossy(a.get(i));
            return Err(CmdError::text(format!("ERR Unknown argument {option}")));
        }
        i += 1;
    }
    let out = &mut cx.out;
    let at = out.defer();
    let mut n = 0;
    for (name, library) in cx.shard.scripts.all_libraries() {
        if pattern.is_some_and(|p| !glob_match(p, name, true)) {
            continue;
        }
        n += 1;
        out.map(if with_code { 4 } else { 3 });
        out.bulk(b"library_name");
        out.bulk(name);
        out.bulk(b"engine");
        out.bulk(b"LUA");
        out.bulk(b"functions");
        out.array(library.functions.len());
        for (name, function) in &library.functions {
            out.map(3);
            out.bulk(b"name");
            out.bulk(name);
            out.bulk(b"description");
            match &function.description {
                Some(text) => out.bulk(text),
                None => out.null(),
            }
            out.bulk(b"flags");
            out.set(function.flags.names().count());
            function.flags.names().for_each(|flag| out.simple(flag));
        }
        if with_code {
            out.bulk(b"library_code");
            out.bulk(&library.code);
        }
    }
    out.array_at(at, n);
    Ok(())
}

fn stats(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let out = &mut cx.out;
    let busy = cx.shard.busy_function()?;
    out.map(2);
    out.bulk(b"running_script");
    match busy {
        None => out.null(),
        Some(function) => {
            out.map(3);
            out.bulk(b"name");
            out.bulk(function.name);
            out.bulk(b"command");
            out.array(function.words.len());
            function.words.iter().for_each(|w| out.bulk(w));
            out.bulk(b"duration_ms");
            let micros = cx.host.clock_us().saturating_sub(function.started_us);
            out.int((micros / 1000) as i64);
        }
    }
    out.bulk(b"engines");
    out.map(1);
    out.bulk(b"LUA");
    out.map(2);
    out.bulk(b"libraries_count");
    out.int(cx.shard.scripts.libraries() as i64);
    out.bulk(b"functions_count");
    out.int(cx.shard.scripts.functions() as i64);
    Ok(())
}

fn kill(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.shard.kill_script(true)?;
    cx.out.ok();
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    crate::commands::help(
        &mut cx.out,
        "FUNCTION",
        &[
            ("DELETE <library-name>", "Remove a library."),
            ("DUMP", "Return all libraries as one payload."),
            ("FLUSH [ASYNC|SYNC]", "Remove all libraries."),
            ("KILL", "Stop the function that runs."),
            ("LIST [LIBRARYNAME <pattern>] [WITHCODE]", "Return the libraries."),
            ("LOAD [REPLACE] <code>", "Load a library."),
            ("RESTORE <payload> [FLUSH|APPEND|REPLACE]", "Load the libraries of a payload."),
            ("STATS", "Return what runs and how much is loaded."),
        ],
    );
    Ok(())
}
