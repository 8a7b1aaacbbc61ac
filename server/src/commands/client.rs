//! CLIENT and its subcommands (redis-surface §14).

use moon_engine::acl::Users;
use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{ClientReply, SessionCx};
use moon_formats::number::parse_i64;

use super::{ANYTIME, host, row, tracking};
use crate::net::hub::Order;
use crate::service::client::Client;
use crate::service::host::{Pause, ServerHost};

const GROUP: Group = Group::Connection;

const fn sub(
    name: &'static str,
    since: &'static str,
    arity: i16,
    syntax: &'static str,
    summary: &'static str,
    run: Run,
) -> CommandSpec {
    let flags = ANYTIME.and(Flags::KEEPS_CACHING);
    CommandSpec { summary, syntax, ..row(name, GROUP, since, arity, flags, run) }
}

const fn admin(spec: CommandSpec) -> CommandSpec {
    CommandSpec { flags: spec.flags.and(Flags::ADMIN), ..spec }
}

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for client connection commands.",
    complexity: "Depends on subcommand.",
    subs: &[
        sub(
            "client|caching",
            "6.0.0",
            3,
            "<YES | NO>",
            "Instructs the server whether to track the keys in the next request.",
            Run::Session(tracking::caching),
        ),
        sub(
            "client|getname",
            "2.6.9",
            2,
            "",
            "Returns the name of the connection.",
            Run::Session(getname),
        ),
        sub(
            "client|getredir",
            "6.0.0",
            2,
            "",
            "Returns the client ID to which the connection's tracking notifications are redirected.",
            Run::Session(tracking::getredir),
        ),
        sub(
            "client|help",
            "5.0.0",
            2,
            "",
            "Returns helpful text about the different subcommands.",
            Run::Session(help),
        ),
        sub(
            "client|id",
            "5.0.0",
            2,
            "",
            "Returns the unique client ID of the connection.",
            Run::Session(id),
        ),
        CommandSpec {
            tips: &["nondeterministic_output"],
            ..sub(
                "client|info",
                "6.2.0",
                2,
                "",
                "Returns information about the connection.",
                Run::Session(info),
            )
        },
        admin(sub(
            "client|kill",
            "2.4.0",
            -3,
            "<ip:port | [ID client-id | TYPE type | USER username | ADDR ip:port | LADDR ip:port | SKIPME yes/no | MAXAGE maxage ...]>",
            "Terminates open connections.",
            Run::Session(kill),
        )),
        CommandSpec {
            tips: &["nondeterministic_output"],
            ..admin(sub(
                "client|list",
                "2.4.0",
                -2,
                "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
                "Lists open connections.",
                Run::Session(list),
            ))
        },
        admin(sub(
            "client|no-evict",
            "7.0.0",
            3,
            "<ON | OFF>",
            "Sets the client eviction mode of the connection.",
            Run::Session(no_evict),
        )),
        sub(
            "client|no-touch",
            "7.2.0",
            3,
            "<ON | OFF>",
            "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
            Run::Session(no_touch),
        ),
        admin(sub(
            "client|pause",
            "3.0.0",
            -3,
            "timeout [WRITE | ALL]",
            "Suspends commands processing.",
            Run::Session(pause),
        )),
        sub(
            "client|reply",
            "3.2.0",
            3,
            "<ON | OFF | SKIP>",
            "Instructs the server whether to reply to commands.",
            Run::Session(reply),
        ),
        CommandSpec {
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "client|setinfo",
                "7.2.0",
                4,
                "<LIB-NAME libname | LIB-VER libver>",
                "Sets information specific to the client or connection.",
                Run::Session(setinfo),
            )
        },
        CommandSpec {
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "client|setname",
                "2.6.9",
                3,
                "connection-name",
                "Sets the connection name.",
                Run::Session(setname),
            )
        },
        sub(
            "client|tracking",
            "6.0.0",
            -3,
            "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
            "Controls server-assisted client-side caching for the connection.",
            Run::Session(tracking::tracking),
        ),
        sub(
            "client|trackinginfo",
            "6.2.0",
            2,
            "",
            "Returns information about server-assisted client-side caching for the connection.",
            Run::Session(tracking::trackinginfo),
        ),
        admin(sub(
            "client|unblock",
            "5.0.0",
            -3,
            "client-id [TIMEOUT | ERROR]",
            "Unblocks a client blocked by a blocking command from a different connection.",
            Run::Session(unblock),
        )),
        admin(sub(
            "client|unpause",
            "6.2.0",
            2,
            "",
            "Resumes processing commands from paused clients.",
            Run::Session(unpause),
        )),
    ],
    ..row("client", GROUP, "2.4.0", -2, Flags::NONE, Run::Container)
}];

fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|b| (b'!'..=b'~').contains(b))
}

/// A client name: printable, without blanks.
pub(super) fn check_name(name: &[u8]) -> CmdResult<String> {
    if !is_printable(name) {
        return Err(CmdError::fixed(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn on_off(a: Args<'_>) -> CmdResult<bool> {
    match () {
        () if a.is(2, "ON") => Ok(true),
        () if a.is(2, "OFF") => Ok(false),
        () => Err(CmdError::SYNTAX),
    }
}

fn getname(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let name = host(cx)?.me()?.name.clone();
    if name.is_empty() {
        cx.out.null()
    } else {
        cx.out.bulk(name.as_bytes())
    }
    Ok(())
}

fn id(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.out.int(cx.session.id as i64);
    Ok(())
}

/// Brings the current client's line up to date: its session changes while a batch runs.
fn refresh_me(cx: &mut SessionCx<'_>) -> CmdResult {
    let Some(host) = cx.host.as_any().downcast_mut::<ServerHost>() else { return Ok(()) };
    host.observe(host.current, cx.session);
    Ok(())
}

fn info(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    refresh_me(cx)?;
    let now_ms = cx.shard.now().mono_us / 1000;
    let line = format!("{}\n", host(cx)?.me()?.line(now_ms));
    cx.out.verbatim(line.as_bytes());
    Ok(())
}

/// A client type name as CLIENT LIST and KILL take it.
fn kind(word: &[u8]) -> CmdResult<&'static str> {
    for (name, kind) in [
        ("normal", "normal"),
        ("master", "master"),
        ("replica", "replica"),
        ("slave", "replica"),
        ("pubsub", "pubsub"),
    ] {
        if word.eq_ignore_ascii_case(name.as_bytes()) {
            return Ok(kind);
        }
    }
    Err(CmdError::text(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(word))))
}

fn list(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    refresh_me(cx)?;
    let now_ms = cx.shard.now().mono_us / 1000;
    let keep: Box<dyn Fn(&Client) -> bool> = if a.len() == 2 {
        Box::new(|_| true)
    } else if a.len() == 4 && a.is(2, "TYPE") {
        let kind = kind(a.get(3))?;
        Box::new(move |c| c.kind() == kind)
    } else if a.len() > 3 && a.is(2, "ID") {
        let ids: Option<Vec<i64>> = a.from(3).iter().map(|w| parse_i64(w)).collect();
        let ids = ids.ok_or(CmdError::fixed("ERR Invalid client ID"))?;
        Box::new(move |c| ids.contains(&(c.id as i64)))
    } else {
        return Err(CmdError::SYNTAX);
    };
    let host = host(cx)?;
    let mut clients: Vec<&Client> = host.clients().map(|(_, c)| c).filter(|c| keep(c)).collect();
    clients.sort_unstable_by_key(|c| c.id);
    let text: String = clients.iter().map(|c| c.line(now_ms) + "\n").collect();
    cx.out.verbatim(text.as_bytes());
    Ok(())
}

/// Conditions of CLIENT KILL; all given ones must hold.
#[derive(Default)]
struct Filter {
    id: Option<u64>,
    addr: Option<String>,
    laddr: Option<String>,
    kind: Option<&'static str>,
    user: Option<Vec<u8>>,
    max_age_secs: Option<u64>,
    skip_me: bool,
}

impl Filter {
    fn parse(a: Args<'_>, users: &Users) -> CmdResult<Self> {
        let text = |i| String::from_utf8_lossy(a.get(i)).into_owned();
        if a.len() == 3 {
            return Ok(Self { addr: Some(text(2)), ..Self::default() });
        }
        let mut filter = Self { skip_me: true, ..Self::default() };
        let mut i = 2;
        while i < a.len() {
            if i + 1 >= a.len() {
                return Err(CmdError::SYNTAX);
            }
            let value = a.get(i + 1);
            if a.is(i, "ID") {
                let id = parse_i64(value)
                    .filter(|n| *n > 0)
                    .ok_or(CmdError::fixed("ERR client-id should be greater than 0"))?;
                filter.id = Some(id as u64);
            } else if a.is(i, "TYPE") {
                filter.kind = Some(kind(value)?);
            } else if a.is(i, "ADDR") {
                filter.addr = Some(text(i + 1));
            } else if a.is(i, "LADDR") {
                filter.laddr = Some(text(i + 1));
            } else if a.is(i, "USER") {
                if users.get(value).is_none() {
                    return Err(CmdError::text(format!("ERR No such user '{}'", text(i + 1))));
                }
                filter.user = Some(value.to_vec());
            } else if a.is(i, "MAXAGE") {
                let secs = parse_i64(value)
                    .ok_or(CmdError::fixed("ERR maxage is not an integer or out of range"))?;
                if secs <= 0 {
                    return Err(CmdError::fixed("ERR maxage should be greater than 0"));
                }
                filter.max_age_secs = Some(secs as u64);
            } else if a.is(i, "SKIPME") {
                filter.skip_me = if a.is(i + 1, "YES") {
                    true
                } else if a.is(i + 1, "NO") {
                    false
                } else {
                    return Err(CmdError::SYNTAX);
                };
            } else {
                return Err(CmdError::SYNTAX);
            }
            i += 2;
        }
        Ok(filter)
    }

    fn holds(&self, c: &Client, me: u64, now_ms: u64) -> bool {
        self.id.is_none_or(|id| id == c.id)
            && self.addr.as_ref().is_none_or(|a| *a == c.peer.addr)
            && self.laddr.as_ref().is_none_or(|a| *a == c.peer.local_addr)
            && self.kind.is_none_or(|k| k == c.kind())
            && self.user.as_ref().is_none_or(|name| {
                c.user.as_ref().is_some_and(|u| u.borrow().name() == name.as_slice())
            })
            && self.max_age_secs.is_none_or(|s| now_ms.saturating_sub(c.created_ms) / 1000 >= s)
            && !(self.skip_me && c.id == me)
    }
}

fn kill(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let filter = Filter::parse(a, &host(cx)?.users)?;
    let now_ms = cx.shard.now().mono_us / 1000;
    let me = cx.session.id;
    let host = host(cx)?;
    let hits: Vec<(u32, u64)> = host
        .clients()
        .filter(|(_, c)| filter.holds(c, me, now_ms))
        .map(|(slot, c)| (slot, c.id))
        .collect();
    let mut killed_me = false;
    for (slot, id) in &hits {
        if *id == me {
            killed_me = true;
        } else {
            host.orders.push(Order::Kill(*slot));
        }
    }
    // From here on nothing is popped for them.
    hits.iter().for_each(|(_, id)| cx.shard.stop_waiting(*id));
    if killed_me {
        // The reply still leaves.
        cx.session.close = true;
    }
    if a.len() > 3 {
        cx.out.int(hits.len() as i64);
    } else if hits.is_empty() {
        return Err(CmdError::fixed("ERR No such client"));
    } else {
        cx.out.ok();
    }
    Ok(())
}

fn no_evict(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let on = on_off(a)?;
    host(cx)?.me()?.no_evict = on;
    cx.out.ok();
    Ok(())
}

fn no_touch(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    cx.session.no_touch = on_off(a)?;
    cx.out.ok();
    Ok(())
}

fn pause(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let all = match a.len() {
        3 => true,
        4 if a.is(3, "ALL") => true,
        4 if a.is(3, "WRITE") => false,
        4 => return Err(CmdError::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(CmdError::SYNTAX),
    };
    let ms = parse_i64(a.get(2))
        .ok_or(CmdError::fixed("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CmdError::fixed("ERR timeout is negative"))?;
    let until_ms = (cx.shard.now().mono_us / 1000).saturating_add(ms);
    let host = host(cx)?;
    // The longest end and the widest mode win.
    host.pause = Some(match host.pause {
        Some(old) => Pause { until_ms: old.until_ms.max(until_ms), all: old.all || all },
        None => Pause { until_ms, all },
    });
    cx.shard.expiry_paused = true;
    cx.out.ok();
    Ok(())
}

fn unblock(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let error = match a.len() {
        3 => false,
        4 if a.is(3, "TIMEOUT") => false,
        4 if a.is(3, "ERROR") => true,
        4 => {
            return Err(CmdError::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        _ => return Err(CmdError::SYNTAX),
    };
    let id = a.int(2)?;
    let ended = match u64::try_from(id) {
        Ok(id) => {
            cx.shard.unblock(id, error) || {
                let host = host(cx)?;
                host.end_wait(id, error) || host.end_wait_for_changes(id, error)
            }
        }
        Err(_) => false,
    };
    cx.out.int(i64::from(ended));
    Ok(())
}

fn unpause(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let host = host(cx)?;
    host.unpause();
    let paused = host.is_paused();
    cx.shard.expiry_paused = paused;
    cx.out.ok();
    Ok(())
}

fn reply(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.is(2, "ON") {
        cx.session.reply = ClientReply::On;
        cx.out.ok();
    } else if a.is(2, "OFF") {
        cx.session.reply = ClientReply::Off;
    } else if a.is(2, "SKIP") {
        if cx.session.reply != ClientReply::Off {
            cx.session.reply = ClientReply::SkipNext;
        }
    } else {
        return Err(CmdError::SYNTAX);
    }
    Ok(())
}

fn setinfo(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let value = a.get(3);
    let text = String::from_utf8_lossy(value).into_owned();
    let option = if a.is(2, "LIB-NAME") {
        "lib-name"
    } else if a.is(2, "LIB-VER") {
        "lib-ver"
    } else {
        return Err(CmdError::text(format!(
            "ERR Unrecognized option '{}'",
            String::from_utf8_lossy(a.get(2))
        )));
    };
    if !is_printable(value) {
        return Err(CmdError::text(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    let me = host(cx)?.me()?;
    if option == "lib-name" {
        me.lib_name = text
    } else {
        me.lib_ver = text
    }
    cx.out.ok();
    Ok(())
}

fn setname(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let name = check_name(a.get(2))?;
    host(cx)?.me()?.name = name;
    cx.out.ok();
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "CLIENT",
        &[
            (
                "CACHING (YES|NO)",
                "Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
            ),
            ("GETNAME", "Return the name of the current connection."),
            ("GETREDIR", "Return the client ID we are redirecting to when tracking is enabled."),
            ("ID", "Return the ID of the current connection."),
            ("INFO", "Return information about the current client connection."),
            ("KILL <ip:port>", "Kill connection made from <ip:port>."),
            (
                "KILL <option> <value> [<option> <value> [...]]",
                "Kill connections by ID, TYPE, USER, ADDR, LADDR, SKIPME, MAXAGE.",
            ),
            ("LIST [options ...]", "Return information about client connections."),
            ("NO-EVICT (ON|OFF)", "Protect current client connection from eviction."),
            ("NO-TOUCH (ON|OFF)", "Will not touch LRU/LFU stats when this mode is on."),
            (
                "PAUSE <timeout> [WRITE|ALL]",
                "Suspend all, or just write, clients for <timeout> milliseconds.",
            ),
            ("REPLY (ON|OFF|SKIP)", "Control the replies sent to the current connection."),
            ("SETINFO <option> <value>", "Set client meta attr. Options are: LIB-NAME, LIB-VER."),
            ("SETNAME <name>", "Assign the name <name> to the current connection."),
            (
                "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
                "Control server assisted client side caching.",
            ),
            ("TRACKINGINFO", "Report tracking status for the current connection."),
            (
                "UNBLOCK <clientid> [TIMEOUT|ERROR]",
                "End the wait of a blocked client, as if its time were over or with an error.",
            ),
            ("UNPAUSE", "Stop the current client pause, resuming traffic."),
        ],
    );
    Ok(())
}
