//! ACL: users, their rights, and who was denied what (redis-surface §15).

use moon_engine::acl::{self, CATEGORIES, Selector, Users};
use moon_engine::args::Args;
use moon_engine::command::{Command, CommandSpec, Flags, Group, Run, Secret};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;
use moon_formats::resp::Reply;

use super::{ANYTIME, host, row};
use crate::config::OptionId;
use crate::service::shared::{hex, random};

const GROUP: Group = Group::Server;
const ADMIN: Flags = ANYTIME.and(Flags::ADMIN);
const HELP: Flags = Flags::LOADING.and(Flags::STALE);
/// Names and rules are shown to nobody.
const SECRETS: &[Secret] = &[Secret::From(2)];

const fn sub(
    name: &'static str,
    since: &'static str,
    arity: i16,
    flags: Flags,
    (syntax, summary): (&'static str, &'static str),
    run: Run,
) -> CommandSpec {
    CommandSpec { syntax, summary, ..row(name, GROUP, since, arity, flags, run) }
}

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for Access List Control commands.",
    complexity: "Depends on subcommand.",
    subs: &[
        sub(
            "acl|cat",
            "6.0.0",
            -2,
            ANYTIME,
            ("[category]", "Lists the ACL categories, or the commands inside a category."),
            Run::Session(cat),
        ),
        CommandSpec {
            secrets: SECRETS,
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "acl|deluser",
                "6.0.0",
                -3,
                ADMIN,
                ("username [username ...]", "Deletes ACL users, and terminates their connections."),
                Run::Session(deluser),
            )
        },
        sub(
            "acl|dryrun",
            "7.0.0",
            -4,
            ADMIN,
            (
                "username command [arg [arg ...]]",
                "Simulates the execution of a command by a user, without executing the command.",
            ),
            Run::Session(dryrun),
        ),
        sub(
            "acl|genpass",
            "6.0.0",
            -2,
            ANYTIME,
            (
                "[bits]",
                "Generates a pseudorandom, secure password that can be used to identify ACL users.",
            ),
            Run::Session(genpass),
        ),
        CommandSpec {
            secrets: SECRETS,
            ..sub(
                "acl|getuser",
                "6.0.0",
                3,
                ADMIN,
                ("username", "Lists the ACL rules of a user."),
                Run::Session(getuser),
            )
        },
        sub(
            "acl|help",
            "6.0.0",
            2,
            HELP,
            ("", "Returns helpful text about the different subcommands."),
            Run::Session(help),
        ),
        sub(
            "acl|list",
            "6.0.0",
            2,
            ADMIN,
            ("", "Dumps the effective rules in ACL file format."),
            Run::Session(list),
        ),
        sub(
            "acl|load",
            "6.0.0",
            2,
            ADMIN,
            ("", "Reloads the rules from the configured ACL file."),
            Run::Session(load),
        ),
        sub(
            "acl|log",
            "6.0.0",
            -2,
            ADMIN,
            ("[count | RESET]", "Lists recent security events generated due to ACL rules."),
            Run::Session(log),
        ),
        CommandSpec {
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "acl|save",
                "6.0.0",
                2,
                ADMIN,
                ("", "Saves the effective ACL rules in the configured ACL file."),
                Run::Session(save),
            )
        },
        CommandSpec {
            secrets: SECRETS,
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "acl|setuser",
                "6.0.0",
                -3,
                ADMIN,
                ("username [rule [rule ...]]", "Creates and modifies an ACL user and its rules."),
                Run::Session(setuser),
            )
        },
        sub("acl|users", "6.0.0", 2, ADMIN, ("", "Lists all ACL users."), Run::Session(users)),
        sub(
            "acl|whoami",
            "6.0.0",
            2,
            ANYTIME,
            ("", "Returns the authenticated username of the current connection."),
            Run::Session(whoami),
        ),
    ],
    ..row("acl", GROUP, "6.0.0", -2, Flags::NONE, Run::Container)
}];

/// Passwords ACL GENPASS makes, in bits.
const GENPASS_MAX: i64 = 4096;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn all_users<'a>(cx: &'a mut SessionCx<'_>) -> CmdResult<&'a mut Users> {
    Ok(&mut host(cx)?.users)
}

fn cat(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let table = cx.shard.table();
    match a.len() {
        2 => {
            cx.out.array(CATEGORIES.len());
            CATEGORIES.iter().for_each(|c| cx.out.bulk(c.as_bytes()));
        }
        3 => {
            let category = text(a.get(2)).to_ascii_lowercase();
            if !CATEGORIES.contains(&category.as_str()) {
                let shown = text(a.get(2));
                return Err(CmdError::text(format!("ERR Unknown category '{shown:.128}'")));
            }
            let inside = |c: &&Command| {
                let categories = c.spec.acl_categories();
                categories.iter().any(|name| name.strip_prefix('@') == Some(category.as_str()))
            };
            let rows = table.iter().flat_map(|c| std::iter::once(c).chain(c.subs()));
            let names: Vec<&str> = rows.filter(inside).map(|c| c.spec.name).collect();
            cx.out.array(names.len());
            names.iter().for_each(|name| cx.out.bulk(name.as_bytes()));
        }
        _ => return Err(CmdError::wrong_sub(a.get(1), "ACL")),
    }
    Ok(())
}

fn deluser(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.from(2).contains(&acl::DEFAULT) {
        return Err(CmdError::fixed("ERR The 'default' user cannot be removed"));
    }
    let host = host(cx)?;
    let gone: Vec<_> = a.from(2).iter().filter_map(|name| host.users.remove(name)).collect();
    let own = host.drop_unentitled(&gone);
    cx.session.close |= own;
    cx.out.int(gone.len() as i64);
    Ok(())
}

fn dryrun(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let table = cx.shard.table();
    let Some(user) = all_users(cx)?.get(a.get(2)).cloned() else {
        return Err(CmdError::text(format!("ERR User '{}' not found", text(a.get(2)))));
    };
    let args = Args::new(a.from(3));
    let found = table.find(args.get(0)).map(|found| {
        let name = args.all().get(1).map(|sub| [found.spec.name.as_bytes(), b"|", sub].concat());
        name.and_then(|name| table.find_full(&name)).unwrap_or(found)
    });
    let command = found
        .ok_or_else(|| CmdError::text(format!("ERR Command '{}' not found", text(a.get(3)))))?;
    if !command.spec.arity_fits(args.len()) {
        let name = command.spec.name;
        return Err(CmdError::text(format!("ERR wrong number of arguments for '{name}' command")));
    }
    match acl::check(&user.borrow(), command, args, cx.session.db) {
        Ok(()) => cx.out.ok(),
        Err(denial) => {
            cx.out.bulk(denial.explain(&user.borrow(), command, args).as_bytes());
        }
    }
    Ok(())
}

fn genpass(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let bits = match a.len() {
        2 => 256,
        3 => a.int(2)?,
        _ => return Err(CmdError::wrong_sub(a.get(1), "ACL")),
    };
    if !(1..=GENPASS_MAX).contains(&bits) {
        return Err(CmdError::fixed(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    random(&mut bytes).map_err(|e| CmdError::text(format!("ERR no random bytes: {e}")))?;
    cx.out.bulk(&hex(&bytes).as_bytes()[..digits]);
    Ok(())
}

fn put_selector(out: &mut Reply<'_>, selector: &Selector) {
    out.bulk(b"commands");
    out.bulk(selector.describe_commands().as_bytes());
    out.bulk(b"keys");
    out.bulk(&selector.describe_keys());
    out.bulk(b"channels");
    out.bulk(&selector.describe_channels());
    // Redis knows no such right, and clients made for it see none that was not used.
    if let Some(databases) = selector.describe_databases() {
        out.bulk(b"databases");
        out.bulk(databases.as_bytes());
    }
}

/// Pairs that [`put_selector`] writes.
fn selector_pairs(selector: &Selector) -> usize {
    3 + usize::from(selector.describe_databases().is_some())
}

fn getuser(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(user) = all_users(cx)?.get(a.get(2)).cloned() else {
        cx.out.null();
        return Ok(());
    };
    let user = user.borrow();
    let out = &mut cx.out;
    out.map(3 + user.selectors().first().map_or(0, selector_pairs));
    out.bulk(b"flags");
    let flags = user.flags();
    out.set(flags.len());
    flags.iter().for_each(|f| out.bulk(f.as_bytes()));
    out.bulk(b"passwords");
    let passwords: Vec<String> = user.passwords().collect();
    out.array(passwords.len());
    passwords.iter().for_each(|p| out.bulk(p.as_bytes()));
    let mut selectors = user.selectors().iter();
    if let Some(root) = selectors.next() {
        put_selector(out, root);
    }
    out.bulk(b"selectors");
    out.array(selectors.len());
    for selector in selectors {
        out.map(selector_pairs(selector));
        put_selector(out, selector);
    }
    Ok(())
}

fn list(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let lines: Vec<Vec<u8>> = all_users(cx)?.iter().map(|u| u.borrow().line()).collect();
    cx.out.array(lines.len());
    lines.iter().for_each(|line| cx.out.bulk(line));
    Ok(())
}

fn users(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let names: Vec<Vec<u8>> = all_users(cx)?.iter().map(|u| u.borrow().name().to_vec()).collect();
    cx.out.array(names.len());
    names.iter().for_each(|name| cx.out.bulk(name));
    Ok(())
}

fn whoami(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let name = cx.session.user.as_ref().map(|u| u.borrow().name().to_vec());
    match name {
        Some(name) => cx.out.bulk(&name),
        None => cx.out.null(),
    }
    Ok(())
}

fn setuser(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if acl::has_blanks(a.get(2)) {
        return Err(CmdError::fixed("ERR Usernames can't contain spaces or null characters"));
    }
    let host = host(cx)?;
    host.users.set(a.get(2), a.from(3)).map_err(|why| CmdError::text(format!("ERR {why}")))?;
    let own = host.drop_unentitled(&[]);
    cx.session.close |= own;
    cx.out.ok();
    Ok(())
}

/// Whether there is a file of users.
fn need_file(cx: &mut SessionCx<'_>) -> CmdResult {
    if host(cx)?.shared.with_config(|c| c.text(OptionId::AclFile).is_empty()) {
        return Err(CmdError::fixed(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
             users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a \
             Redis configuration file set) in order to store users in the Redis configuration.",
        ));
    }
    Ok(())
}

fn load(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    need_file(cx)?;
    let own = host(cx)?.load_users().map_err(|why| CmdError::text(format!("ERR {why}")))?;
    cx.session.close |= own;
    cx.out.ok();
    Ok(())
}

fn save(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    need_file(cx)?;
    host(cx)?.save_users().map_err(|e| {
        tracing::warn!("ACL SAVE: {e}");
        CmdError::text(format!("ERR There was an error trying to save the ACLs: {e}"))
    })?;
    cx.out.ok();
    Ok(())
}

fn log(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 3 {
        return Err(CmdError::wrong_sub(a.get(1), "ACL"));
    }
    if a.len() == 3 && a.is(2, "RESET") {
        host(cx)?.acl_log.entries.clear();
        cx.out.ok();
        return Ok(());
    }
    let count = if a.len() == 3 { a.int(2)?.max(0) as usize } else { 10 };
    let now_ms = cx.shard.now().unix_ms;
    let entries: Vec<_> = host(cx)?.acl_log.entries.iter().take(count).cloned().collect();
    let out = &mut cx.out;
    out.array(entries.len());
    for e in &entries {
        out.map(10);
        out.bulk(b"count");
        out.int(e.count as i64);
        for (name, value) in [
            ("reason", e.reason.as_bytes()),
            ("context", e.context.as_bytes()),
            ("object", &e.object),
            ("username", &e.user),
        ] {
            out.bulk(name.as_bytes());
            out.bulk(value);
        }
        out.bulk(b"age-seconds");
        out.double(now_ms.saturating_sub(e.updated_ms) as f64 / 1000.0);
        out.bulk(b"client-info");
        out.bulk(e.client.as_bytes());
        for (name, value) in [
            ("entry-id", e.id),
            ("timestamp-created", e.created_ms),
            ("timestamp-last-updated", e.updated_ms),
        ] {
            out.bulk(name.as_bytes());
            out.int(value as i64);
        }
    }
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "ACL",
        &[
            ("CAT [<category>]", "List the categories, or the commands of one."),
            ("DELUSER <username> [<username> ...]", "Delete users and close their connections."),
            (
                "DRYRUN <username> <command> [<arg> ...]",
                "Tell whether the user may run the command.",
            ),
            ("GETUSER <username>", "Get the details of a user."),
            ("GENPASS [<bits>]", "Generate a password, of 256 bits by default."),
            ("LIST", "Show all users as lines of a file."),
            ("LOAD", "Read all users from the ACL file."),
            ("LOG [<count> | RESET]", "Show, or forget, what was denied."),
            ("SAVE", "Write all users into the ACL file."),
            ("SETUSER <username> <rule> [<rule> ...]", "Create or change a user."),
            ("USERS", "List the names of all users."),
            ("WHOAMI", "Return the name of the connection's user."),
        ],
    );
    Ok(())
}
