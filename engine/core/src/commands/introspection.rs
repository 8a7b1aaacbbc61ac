//! COMMAND and its subcommands: the table describes itself.

use crate::args::Args;
use crate::command::keys::for_each_key;
use crate::command::spec::{Begin, Find, KeySpec};
use crate::command::syntax::{self, Arg, Kind};
use crate::command::{Command, CommandSpec, Flags, Group, Run};
use crate::error::{CmdError, CmdResult};
use crate::exec::SessionCx;
use crate::glob::glob_match;
use moon_formats::resp::Reply;

const COMMON: Flags = Flags::LOADING.and(Flags::STALE);

/// A row whose reply lists commands in no particular order.
const fn unordered(row: CommandSpec) -> CommandSpec {
    CommandSpec { tips: &["nondeterministic_output_order"], ..row }
}

const fn row(
    name: &'static str,
    since: &'static str,
    summary: &'static str,
    arity: i16,
    syntax: &'static str,
    run: Run,
) -> CommandSpec {
    CommandSpec {
        name,
        group: Group::Server,
        since,
        summary,
        complexity: "O(N) where N is the number of commands",
        arity,
        syntax,
        flags: COMMON,
        acl: &["@connection"],
        run,
        ..CommandSpec::DEFAULT
    }
}

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    subs: &[
        row("command|count", "2.8.13", "Counts the commands.", 2, "", Run::Session(count)),
        unordered(row(
            "command|docs",
            "7.0.0",
            "Documents commands.",
            -2,
            "[command-name [command-name ...]]",
            Run::Session(docs),
        )),
        row(
            "command|getkeys",
            "2.8.13",
            "Extracts the key names of a command.",
            -3,
            "command [arg [arg ...]]",
            Run::Session(getkeys),
        ),
        row(
            "command|getkeysandflags",
            "7.0.0",
            "Extracts the key names of a command and their use.",
            -3,
            "command [arg [arg ...]]",
            Run::Session(getkeysandflags),
        ),
        row("command|help", "5.0.0", "Explains the subcommands.", 2, "", Run::Session(help)),
        unordered(row(
            "command|info",
            "2.8.13",
            "Describes commands.",
            -2,
            "[command-name [command-name ...]]",
            Run::Session(info),
        )),
        unordered(row(
            "command|list",
            "7.0.0",
            "Lists command names.",
            -2,
            "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
            Run::Session(list),
        )),
    ],
    ..unordered(row("command", "2.8.13", "Describes all commands.", -1, "", Run::Session(all)))
}];

fn all(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 1 {
        return Err(CmdError::text(format!(
            "ERR unknown subcommand '{}'. Try COMMAND HELP.",
            String::from_utf8_lossy(a.get(1))
        )));
    }
    let table = cx.shard.table();
    cx.out.array(table.iter().count());
    for c in table.iter() {
        info_row(&mut cx.out, c);
    }
    Ok(())
}

fn count(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.out.int(cx.shard.table().iter().count() as i64);
    Ok(())
}

fn info(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() == 2 {
        return all(cx, Args::new(&[b"command"]));
    }
    let table = cx.shard.table();
    cx.out.array(a.len() - 2);
    for name in a.from(2) {
        match table.find_full(name) {
            Some(c) => info_row(&mut cx.out, c),
            None => cx.out.null_array(),
        }
    }
    Ok(())
}

fn info_row(out: &mut Reply<'_>, c: &Command) {
    let spec = c.spec;
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.int(i64::from(spec.arity));
    let mut flags: Vec<&str> = match () {
        () if spec.is_read() => vec!["readonly"],
        () if spec.is_write() => vec!["write"],
        () => vec![],
    };
    flags.extend(spec.flags.names());
    out.set(flags.len());
    flags.iter().for_each(|f| out.simple(f));
    let (first, last, step) = syntax::legacy_range(spec);
    out.int(first);
    out.int(last);
    out.int(step);
    let cats = spec.acl_categories();
    out.set(cats.len());
    cats.iter().for_each(|f| out.simple(f));
    out.set(spec.tips.len());
    spec.tips.iter().for_each(|t| out.bulk(t.as_bytes()));
    out.set(spec.keys.len());
    spec.keys.iter().for_each(|k| key_spec(out, k));
    // Redis: the subcommands are an array, but none of them are an empty set.
    match c.subs().len() {
        0 => out.set(0),
        n => out.array(n),
    }
    c.subs().iter().for_each(|s| info_row(out, s));
}

fn key_spec(out: &mut Reply<'_>, k: &KeySpec) {
    out.map(3);
    out.bulk(b"flags");
    let flags = k.flag_names();
    out.set(flags.len());
    flags.iter().for_each(|f| out.simple(f));
    out.bulk(b"begin_search");
    out.map(2);
    out.bulk(b"type");
    match k.begin {
        Begin::Index(i) => {
            out.bulk(b"index");
            out.bulk(b"spec");
            out.map(1);
            out.bulk(b"index");
            out.int(i64::from(i));
        }
        Begin::Keyword(word, from) => {
            out.bulk(b"keyword");
            out.bulk(b"spec");
            out.map(2);
            out.bulk(b"keyword");
            out.bulk(word.as_bytes());
            out.bulk(b"startfrom");
            out.int(i64::from(from));
        }
    }
    out.bulk(b"find_keys");
    out.map(2);
    out.bulk(b"type");
    match k.find {
        Find::Range { last, step, limit } => {
            out.bulk(b"range");
            out.bulk(b"spec");
            out.map(3);
            out.bulk(b"lastkey");
            out.int(i64::from(last));
            out.bulk(b"keystep");
            out.int(i64::from(step));
            out.bulk(b"limit");
            out.int(i64::from(limit));
        }
        Find::KeyNum { first, step } => {
            out.bulk(b"keynum");
            out.bulk(b"spec");
            out.map(3);
            out.bulk(b"keynumidx");
            out.int(0);
            out.bulk(b"firstkey");
            out.int(i64::from(first));
            out.bulk(b"keystep");
            out.int(i64::from(step));
        }
    }
}

fn docs(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let table = cx.shard.table();
    let rows: Vec<&Command> = if a.len() == 2 {
        table.iter().collect()
    } else {
        a.from(2).iter().filter_map(|n| table.find_full(n)).collect()
    };
    cx.out.map(rows.len());
    for c in rows {
        doc_row(&mut cx.out, c);
    }
    Ok(())
}

fn doc_row(out: &mut Reply<'_>, c: &Command) {
    let spec = c.spec;
    let args = syntax::parse(spec);
    out.bulk(spec.name.as_bytes());
    out.map(4 + usize::from(!args.is_empty()) + usize::from(!c.subs().is_empty()));
    for (k, v) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group.name()),
        ("complexity", spec.complexity),
    ] {
        out.bulk(k.as_bytes());
        out.bulk(v.as_bytes());
    }
    if !args.is_empty() {
        out.bulk(b"arguments");
        out.array(args.len());
        let mut key_index = 0;
        args.iter().for_each(|arg| doc_arg(out, arg, &mut key_index));
    }
    if !c.subs().is_empty() {
        out.bulk(b"subcommands");
        out.map(c.subs().len());
        c.subs().iter().for_each(|s| doc_row(out, s));
    }
}

fn doc_arg(out: &mut Reply<'_>, arg: &Arg, key_index: &mut i64) {
    let is_key = arg.kind == Kind::Value("key");
    let flags: Vec<&str> = [
        (arg.optional, "optional"),
        (arg.multiple, "multiple"),
        (arg.multiple_token, "multiple_token"),
    ]
    .iter()
    .filter(|(set, _)| *set)
    .map(|(_, name)| *name)
    .collect();
    let nested = match &arg.kind {
        Kind::OneOf(list) | Kind::Block(list) => Some(list),
        _ => None,
    };
    let leaf = nested.is_none();
    out.map(
        2 + usize::from(leaf && arg.kind != Kind::PureToken)
            + usize::from(is_key)
            + usize::from(arg.token.is_some())
            + usize::from(!flags.is_empty())
            + usize::from(nested.is_some())
            + usize::from(arg.kind == Kind::PureToken),
    );
    out.bulk(b"name");
    out.bulk(arg.name.as_bytes());
    out.bulk(b"type");
    out.bulk(arg.kind.name().as_bytes());
    if leaf {
        out.bulk(b"display_text");
        out.bulk(arg.name.as_bytes());
    }
    if is_key {
        out.bulk(b"key_spec_index");
        out.int(*key_index);
        *key_index += 1;
    }
    if let Some(token) = &arg.token {
        out.bulk(b"token");
        out.bulk(token.as_bytes());
    }
    if !flags.is_empty() {
        out.bulk(b"flags");
        out.set(flags.len());
        flags.iter().for_each(|f| out.simple(f));
    }
    if let Some(list) = nested {
        out.bulk(b"arguments");
        out.array(list.len());
        list.iter().for_each(|a| doc_arg(out, a, key_index));
    }
}

fn list(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let keep: Box<dyn Fn(&CommandSpec) -> bool> = match a.len() {
        2 => Box::new(|_| true),
        5 if a.is(2, "FILTERBY") => {
            let value = a.get(4);
            if a.is(3, "MODULE") {
                Box::new(|_| false)
            } else if a.is(3, "ACLCAT") {
                let cat = format!("@{}", String::from_utf8_lossy(value).to_ascii_lowercase());
                Box::new(move |s| s.acl_categories().contains(&cat.as_str()))
            } else if a.is(3, "PATTERN") {
                Box::new(move |s| glob_match(value, s.name.as_bytes(), true))
            } else {
                return Err(CmdError::SYNTAX);
            }
        }
        _ => return Err(CmdError::SYNTAX),
    };
    let table = cx.shard.table();
    let names: Vec<&str> = table
        .iter()
        .flat_map(|c| std::iter::once(c).chain(c.subs()))
        .filter(|c| keep(c.spec))
        .map(|c| c.spec.name)
        .collect();
    cx.out.array(names.len());
    names.iter().for_each(|n| cx.out.bulk(n.as_bytes()));
    Ok(())
}

fn keys_of(cx: &SessionCx<'_>, a: Args<'_>) -> CmdResult<Vec<(usize, KeySpec)>> {
    let inner = Args::new(a.from(2));
    let Some(command) = cx.shard.table().find(inner.get(0)) else {
        return Err(CmdError::fixed("ERR Invalid command specified"));
    };
    let command = command
        .subs()
        .iter()
        .find(|s| {
            inner
                .opt(1)
                .is_some_and(|w| crate::command::table::sub_name(s.spec).eq_ignore_ascii_case(w))
        })
        .unwrap_or(command);
    if command.spec.keys.is_empty() {
        return Err(CmdError::fixed("ERR The command has no key arguments"));
    }
    if !command.spec.arity_fits(inner.len()) {
        return Err(CmdError::fixed("ERR Invalid number of arguments specified for command"));
    }
    let mut found = Vec::new();
    let extracted = for_each_key(command.spec, inner, |i, spec| found.push((i + 2, *spec)));
    if (extracted.is_err() || found.is_empty()) && !command.spec.flags.has(Flags::NO_MANDATORY_KEYS)
    {
        return Err(CmdError::fixed("ERR Invalid arguments specified for command"));
    }
    Ok(found)
}

fn getkeys(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let keys = keys_of(cx, a)?;
    cx.out.array(keys.len());
    keys.iter().for_each(|(i, _)| cx.out.bulk(a.get(*i)));
    Ok(())
}

fn getkeysandflags(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let keys = keys_of(cx, a)?;
    cx.out.array(keys.len());
    for (i, spec) in keys {
        cx.out.array(2);
        cx.out.bulk(a.get(i));
        let flags = spec.flag_names();
        cx.out.set(flags.len());
        flags.iter().for_each(|f| cx.out.simple(f));
    }
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    super::help(
        &mut cx.out,
        "COMMAND",
        &[
            ("(no subcommand)", "Return details about all commands."),
            ("COUNT", "Return the number of commands."),
            ("LIST [FILTERBY ...]", "Return command names."),
            ("INFO [<command-name> ...]", "Return details about commands."),
            ("DOCS [<command-name> ...]", "Return documentation of commands."),
            ("GETKEYS <full-command>", "Return the keys of a full command."),
            ("GETKEYSANDFLAGS <full-command>", "Return the keys of a full command and their use."),
        ],
    );
    Ok(())
}
