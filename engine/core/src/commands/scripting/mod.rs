//! EVAL, EVALSHA and SCRIPT; functions are in [`function`].

pub mod function;

use crate::args::Args;
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, Run};
use crate::error::{CmdError, CmdResult};
use crate::exec::SessionCx;
use moon_formats::number::parse_i64;

const RUNNER: Flags = Flags::NOSCRIPT
    .and(Flags::STALE)
    .and(Flags::SKIP_MONITOR)
    .and(Flags::NO_MANDATORY_KEYS)
    .and(Flags::MOVABLEKEYS);
const NO_SCRIPT: CmdError = CmdError::fixed("NOSCRIPT No matching script. Please use EVAL.");

const RUNS: CommandSpec = CommandSpec {
    group: Group::Scripting,
    complexity: "Depends on the script that is executed.",
    arity: -3,
    keys: &[KeySpec::counted(2, Access::ReadWrite)],
    flags: RUNNER,
    ..CommandSpec::DEFAULT
};
const READS: CommandSpec =
    CommandSpec { since: "7.0.0", keys: &[KeySpec::counted(2, Access::ReadOnly)], ..RUNS };
const SUB: CommandSpec =
    CommandSpec { group: Group::Scripting, flags: Flags::NOSCRIPT, ..CommandSpec::DEFAULT };

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "eval",
        since: "2.6.0",
        summary: "Runs a Lua script.",
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        run: Run::Session(eval),
        ..RUNS
    },
    CommandSpec {
        name: "eval_ro",
        summary: "Runs a Lua script that writes nothing.",
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        run: Run::Session(eval_ro),
        ..READS
    },
    CommandSpec {
        name: "evalsha",
        since: "2.6.0",
        summary: "Runs a cached Lua script by its SHA-1.",
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        run: Run::Session(evalsha),
        ..RUNS
    },
    CommandSpec {
        name: "evalsha_ro",
        summary: "Runs a cached Lua script that writes nothing, by its SHA-1.",
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        run: Run::Session(evalsha_ro),
        ..READS
    },
    CommandSpec {
        name: "script",
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Commands about cached scripts.",
        complexity: "Depends on subcommand.",
        arity: -2,
        subs: SCRIPT,
        ..CommandSpec::DEFAULT
    },
    function::FCALL,
    function::FCALL_RO,
    function::FUNCTION,
];

const SCRIPT: &[CommandSpec] = &[
    CommandSpec {
        name: "script|exists",
        since: "2.6.0",
        summary: "Tells which scripts are cached.",
        complexity: "O(N) with N being the number of scripts to check.",
        arity: -3,
        syntax: "sha1 [sha1 ...]",
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        run: Run::Session(script_exists),
        ..SUB
    },
    CommandSpec {
        name: "script|flush",
        since: "2.6.0",
        summary: "Forgets all cached scripts.",
        complexity: "O(N) with N being the number of scripts in cache",
        arity: -2,
        syntax: "[ASYNC | SYNC]",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Run::Session(script_flush),
        ..SUB
    },
    CommandSpec {
        name: "script|help",
        since: "5.0.0",
        summary: "Returns a text about the subcommands.",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        run: Run::Session(script_help),
        ..SUB
    },
    CommandSpec {
        name: "script|kill",
        since: "2.6.0",
        summary: "Stops the script that runs.",
        arity: 2,
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Run::Session(script_kill),
        ..SUB
    },
    CommandSpec {
        name: "script|load",
        since: "2.6.0",
        summary: "Caches a script and returns its SHA-1.",
        complexity: "O(N) with N being the length in bytes of the script body.",
        arity: 3,
        syntax: "script",
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Run::Session(script_load),
        ..SUB
    },
    CommandSpec {
        name: "script|show",
        since: "8.0.0",
        summary: "Returns the text of a cached script.",
        arity: 3,
        syntax: "sha1",
        run: Run::Session(script_show),
        ..SUB
    },
];

type Words<'a> = &'a [&'a [u8]];

/// Splits what follows the count of keys into keys and arguments.
fn keys_and_args<'a>(a: Args<'a>, not_a_count: CmdError) -> CmdResult<(Words<'a>, Words<'a>)> {
    let rest = a.from(3);
    let count = parse_i64(a.get(2)).ok_or(not_a_count)?;
    if count > rest.len() as i64 {
        return Err(CmdError::fixed("ERR Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count)
        .map_err(|_| CmdError::fixed("ERR Number of keys can't be negative"))?;
    Ok(rest.split_at(count))
}

fn run_cached(cx: &mut SessionCx<'_>, a: Args<'_>, sha: &[u8], read_only: bool) -> CmdResult {
    let (keys, args) = keys_and_args(a, CmdError::NOT_INT)?;
    let request = cx.shard.scripts.request(sha).ok_or(NO_SCRIPT)?;
    request.run(cx, read_only, keys, args)
}

fn by_text(cx: &mut SessionCx<'_>, a: Args<'_>, read_only: bool) -> CmdResult {
    keys_and_args(a, CmdError::NOT_INT)?;
    let sha = cx.shard.scripts.compile(a.get(1), false)?;
    run_cached(cx, a, &sha, read_only)
}

fn eval(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    by_text(cx, a, false)
}

fn eval_ro(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    by_text(cx, a, true)
}

fn evalsha(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    run_cached(cx, a, a.get(1), false)
}

fn evalsha_ro(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    run_cached(cx, a, a.get(1), true)
}

fn script_exists(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    cx.out.array(a.from(2).len());
    for sha in a.from(2) {
        cx.out.int(i64::from(cx.shard.scripts.knows(sha)));
    }
    Ok(())
}

fn script_flush(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 3 {
        return Err(CmdError::wrong_sub(a.get(1), "SCRIPT"));
    }
    if a.len() == 3 && !a.is(2, "SYNC") && !a.is(2, "ASYNC") {
        return Err(CmdError::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    let later = if a.len() == 3 { a.is(2, "ASYNC") } else { cx.shard.trash.lazy.user_flush };
    cx.shard.scripts.flush(later);
    cx.out.ok();
    Ok(())
}

fn script_help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    super::help(
        &mut cx.out,
        "SCRIPT",
        &[
            ("EXISTS <sha1> [<sha1> ...]", "Tell which scripts are cached."),
            ("FLUSH [ASYNC|SYNC]", "Forget all cached scripts."),
            ("KILL", "Stop the script that runs."),
            ("LOAD <script>", "Cache a script without running it."),
            ("SHOW <sha1>", "Return the text of a cached script."),
        ],
    );
    Ok(())
}

fn script_kill(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.shard.kill_script(false)?;
    cx.out.ok();
    Ok(())
}

fn script_load(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let sha = cx.shard.scripts.compile(a.get(2), true)?;
    cx.out.bulk(&sha);
    Ok(())
}

fn script_show(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let body = cx.shard.scripts.body(a.get(2));
    cx.out.bulk(body.ok_or(CmdError::fixed("NOSCRIPT No matching script."))?);
    Ok(())
}

impl crate::exec::Shard {
    /// Whether a request runs a script or function that may write: one that does not say that it never
    /// does. What is not known or malformed fails without writing.
    pub(crate) fn runs_writing_script(
        &self,
        command: &crate::command::Command,
        a: Args<'_>,
    ) -> bool {
        let scripts = &self.scripts;
        let never_writes = match command.spec.name {
            "eval" => crate::script::Scripts::text_never_writes(a.get(1)),
            "evalsha" => scripts.cached_never_writes(a.get(1)),
            "fcall" => scripts.function_never_writes(a.get(1)),
            _ => None,
        };
        never_writes == Some(false)
    }
}
