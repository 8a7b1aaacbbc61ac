//! CONFIG GET, SET, RESETSTAT, REWRITE.

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run, Secret};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::{ANYTIME, apply, host, relisten, row};
use std::io;

use crate::config::{Config, OptionId};
use crate::net::{listen, sys};
use crate::process;
use crate::service::host::{ServerHost, tune};
use crate::service::shared::Listening;
use crate::tls;

const FLAGS: Flags = ANYTIME.and(Flags::ADMIN);

const fn sub(
    name: &'static str,
    arity: i16,
    syntax: &'static str,
    summary: &'static str,
    run: Run,
) -> CommandSpec {
    CommandSpec { summary, syntax, ..row(name, Group::Server, "2.0.0", arity, FLAGS, run) }
}

/// Values of options that are nobody's business, those of Redis that clients may send included.
const SECRETS: &[Secret] = &[
    Secret::After("requirepass", 1),
    Secret::After("masterauth", 1),
    Secret::After("masteruser", 1),
    Secret::After("tls-key-file-pass", 1),
    Secret::After("tls-client-key-file-pass", 1),
];

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for server configuration commands.",
    complexity: "Depends on subcommand.",
    subs: &[
        sub(
            "config|get",
            -3,
            "parameter [parameter ...]",
            "Returns the effective values of configuration parameters.",
            Run::Session(get),
        ),
        sub(
            "config|help",
            2,
            "",
            "Returns helpful text about the different subcommands.",
            Run::Session(help),
        ),
        CommandSpec {
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "config|resetstat",
                2,
                "",
                "Resets the server's statistics.",
                Run::Session(resetstat),
            )
        },
        CommandSpec {
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "config|rewrite",
                2,
                "",
                "Persists the effective configuration to file.",
                Run::Session(rewrite),
            )
        },
        CommandSpec {
            secrets: SECRETS,
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..sub(
                "config|set",
                -4,
                "parameter value [parameter value ...]",
                "Sets configuration parameters in-flight.",
                Run::Session(set),
            )
        },
    ],
    ..row("config", Group::Server, "2.0.0", -2, Flags::NONE, Run::Container)
}];

fn get(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let rows = host(cx)?.shared.with_config(|c| c.get(a.from(2)));
    cx.out.map(rows.len());
    for (name, value) in rows {
        cx.out.bulk(name.as_bytes());
        cx.out.bulk(value.as_bytes());
    }
    Ok(())
}

fn set(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let words = a.from(2);
    if !words.len().is_multiple_of(2) {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let pairs: Vec<(&[u8], &[u8])> = words.chunks(2).map(|p| (p[0], p[1])).collect();
    let host = host(cx)?;
    let protected_ok = host.protected_config_ok();
    let shared = host.shared.clone();
    let ids = shared
        .change_config(|config| {
            let before = config.clone();
            let ids = config.set(&pairs, protected_ok)?;
            if ids.contains(&OptionId::AppendOnly) && host.shared.facts.inspected().is_some() {
                *config = before;
                return Err(
                    "CONFIG SET failed (possibly related to argument 'appendonly') - this \
                            server only shows the data at a point in time (recovery-mode inspect)"
                        .into(),
                );
            }
            if ids.contains(&OptionId::MaxClients)
                && let Err(why) = raise_clients(config.size(OptionId::MaxClients))
            {
                *config = before;
                return Err(format!(
                    "CONFIG SET failed (possibly related to argument 'maxclients') - {why}"
                ));
            }
            let tls = match ids.iter().find(|id| tls::concerns(**id)) {
                Some(id) => Some(tls::Ends::load(config).map_err(|error| {
                    *config = before.clone();
                    let name = id.opt().name;
                    tracing::error!(%error, "CONFIG SET {name}: TLS stays as it was");
                    format!(
                        "CONFIG SET failed (possibly related to argument '{name}') - Unable to \
                         update TLS configuration. Check server logs."
                    )
                })?),
                None => None,
            };
            let moved = ids
                .iter()
                .find(|id| matches!(id, OptionId::Port | OptionId::TlsPort | OptionId::Bind));
            if let Some(id) = moved
                && let Err(error) = move_listeners(host, config)
            {
                *config = before;
                let name = id.opt().name;
                tracing::warn!(%error, "CONFIG SET {name}");
                let why = match id {
                    OptionId::Port | OptionId::TlsPort => {
                        "Unable to listen on this port. Check server logs."
                    }
                    _ => "Failed to bind to specified addresses.",
                };
                return Err(format!(
                    "CONFIG SET failed (possibly related to argument '{name}') - {why}"
                ));
            }
            if let Some(tls) = tls {
                host.shared.set_tls(tls);
            }
            Ok(ids)
        })
        .map_err(|text: String| CmdError::text(format!("ERR {text}")))?;
    let slow_ticks = shared.with_config(|config| {
        if ids.contains(&OptionId::LogLevel) {
            process::log::set_level(config.text(OptionId::LogLevel));
        }
        host.refresh(config);
        if let Some(log) = &host.log {
            tune(log, config);
        }
        host.slow_ticks()
    });
    relisten(cx)?;
    cx.shard.slow_ticks = slow_ticks;
    shared.with_config(|config| apply(config, cx.shard));
    cx.out.ok();
    Ok(())
}

/// Opens the sockets that `bind`, `port` and `tls-port` now ask for and closes those they no longer do; clients
/// stay.
fn move_listeners(host: &mut ServerHost, config: &Config) -> io::Result<()> {
    let shared = host.shared.clone();
    shared.with_listeners(|all| {
        let is_tcp = |l: &Listening| l.is_open && l.kind != listen::Kind::Unix;
        let have: Vec<listen::Known> =
            all.iter().filter(|l| is_tcp(l)).map(|l| (l.name.clone(), l.kind)).collect();
        let (opened, wanted) = listen::open_tcp(config, &have)?;
        for (index, l) in all.iter_mut().enumerate() {
            if is_tcp(l) && !wanted.contains(&(l.name.clone(), l.kind)) {
                l.is_open = false;
                host.listening.push((index as u32, None));
            }
        }
        for listener in opened {
            host.listening.push((all.len() as u32, Some(listener.socket)));
            all.push(Listening { name: listener.name, kind: listener.kind, is_open: true });
        }
        Ok(())
    })
}

/// Makes room for so many clients.
fn raise_clients(clients: usize) -> Result<(), String> {
    let want = clients as u64 + process::FILES_RESERVED;
    match sys::raise_nofile(want) {
        Ok(got) if got >= want => Ok(()),
        _ => Err(format!(
            "The operating system is not able to handle the specified number of clients, try with {}",
            sys::raise_nofile(0).unwrap_or(0).saturating_sub(process::FILES_RESERVED)
        )),
    }
}

/// The default user of a server without any users defined.
const FRESH: &str = "user default on nopass sanitize-payload ~* &* +@all";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn resetstat(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.shard.stats.reset();
    cx.shard.scripts.evicted = 0;
    cx.shard.scripts.count_freed_anew();
    host(cx)?.reset_stats();
    cx.out.ok();
    Ok(())
}

fn rewrite(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    rewrite_file(cx, false)
}

/// Writes the options in force into their file, or all of them.
pub(super) fn rewrite_file(cx: &mut SessionCx<'_>, all: bool) -> CmdResult {
    let host = host(cx)?;
    let lines: Vec<String> = match host.shared.with_config(|c| c.text(OptionId::AclFile).is_empty())
    {
        // A new server has the default user as it is.
        true => {
            host.users.iter().map(|u| text(&u.borrow().line())).filter(|l| l != FRESH).collect()
        }
        false => Vec::new(),
    };
    let result = host.shared.with_config(|config| {
        let mut config = config.clone();
        config.users = lines;
        crate::config::rewrite(&config, all)
    });
    match result {
        Ok(()) => {
            tracing::info!("CONFIG REWRITE done");
            cx.out.ok();
            Ok(())
        }
        Err(why) => Err(CmdError::text(format!("ERR {why}"))),
    }
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "CONFIG",
        &[
            (
                "GET <pattern>",
                "Return parameters matching the glob-like <pattern> and their values.",
            ),
            ("SET <directive> <value>", "Set the configuration <directive> to <value>."),
            ("RESETSTAT", "Reset statistics reported by the INFO command."),
            ("REWRITE", "Rewrite the configuration file."),
        ],
    );
    Ok(())
}
