//! ROLE, and what replicas say: REPLCONF, PSYNC, SYNC (redis-surface §23).

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::{ANYTIME, host, row};
use crate::config::{OptionId, Value};
use crate::service::host::ServerHost;
use crate::service::replication::{Ask, Content};

const GROUP: Group = Group::Server;
const SYNCS: Flags =
    Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI);

const FOLLOWS: Flags = Flags::ADMIN
    .and(Flags::NOSCRIPT)
    .and(Flags::STALE)
    .and(Flags::NO_ASYNC_LOADING)
    .and(Flags::NO_ONLOOKER);

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        summary: "Returns the replication role.",
        acl: &["@admin", "@dangerous"],
        ..row("role", GROUP, "2.8.12", 1, ANYTIME.and(Flags::FAST), Run::Session(role))
    },
    CommandSpec {
        syntax: "<host port | NO ONE>",
        summary: "Configures a server as replica of another, or promotes it to a master.",
        ..row("replicaof", GROUP, "5.0.0", 3, FOLLOWS, Run::Session(replicaof))
    },
    CommandSpec {
        syntax: "<host port | NO ONE>",
        summary: "Sets a server as a replica of another, or promotes it to being a master.",
        ..row("slaveof", GROUP, "1.0.0", 3, FOLLOWS, Run::Session(replicaof))
    },
    CommandSpec {
        syntax: "[option value ...]",
        summary: "An internal command for configuring the replication stream.",
        ..row(
            "replconf",
            GROUP,
            "3.0.0",
            -1,
            ANYTIME.and(Flags::ADMIN).and(Flags::ALLOW_BUSY),
            Run::Session(replconf),
        )
    },
    CommandSpec {
        syntax: "replicationid offset",
        summary: "An internal command used in replication.",
        ..row("psync", GROUP, "2.8.0", -3, SYNCS, Run::Session(psync))
    },
    CommandSpec {
        summary: "An internal command used in replication.",
        ..row("sync", GROUP, "1.0.0", 1, SYNCS, Run::Session(sync))
    },
];

fn role(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let now_ms = cx.shard.now().mono_us / 1000;
    let host = host(cx)?;
    if let Some(following) = &host.following {
        let (name, port) = (following.host.clone(), following.port);
        let (state, at) = (following.state_name(), following.position());
        cx.out.array(5);
        cx.out.bulk(b"slave");
        cx.out.bulk(name.as_bytes());
        cx.out.int(i64::from(port));
        cx.out.bulk(state.as_bytes());
        cx.out.int(if state == "connected" { at as i64 } else { -1 });
        return Ok(());
    }
    let (offset, replicas) = (host.replicas.offset(), host.replica_figures(now_ms));
    cx.out.array(3);
    cx.out.bulk(b"master");
    cx.out.int(offset as i64);
    let online: Vec<_> = replicas.iter().filter(|r| r.state == "online").collect();
    cx.out.array(online.len());
    for r in online {
        cx.out.array(3);
        cx.out.bulk(r.address.as_bytes());
        cx.out.bulk(r.port.to_string().as_bytes());
        cx.out.bulk(r.offset.to_string().as_bytes());
    }
    Ok(())
}

/// REPLCONF [option value ...]; ACK and GETACK are not answered.
fn replconf(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len().is_multiple_of(2) {
        return Err(CmdError::SYNTAX);
    }
    let now_ms = cx.shard.now().mono_us / 1000;
    let bad = || CmdError::fixed("ERR value is not an integer or out of range");
    let host = host(cx)?;
    let slot = host.current;
    for i in (1..a.len()).step_by(2) {
        let value = a.get(i + 1);
        match () {
            () if a.is(i, "ACK") => {
                // What its own log holds may follow.
                let durable =
                    (i + 3 < a.len() && a.is(i + 2, "FACK")).then(|| number(a.get(i + 3)));
                if let Some(offset) = number(value) {
                    let durable = durable.flatten().unwrap_or(0);
                    host.replicas.acknowledged(slot, offset, durable, now_ms);
                }
                return Ok(());
            }
            () if a.is(i, "GETACK") => {
                // Only the master may ask.
                if let Some(following) = &mut host.following
                    && following.slot() == Some(slot)
                {
                    following.ask();
                }
                return Ok(());
            }
            () if a.is(i, "LISTENING-PORT") => {
                let port = number(value).and_then(|n| u16::try_from(n).ok()).ok_or_else(bad)?;
                host.replicas.announced(slot).port = port;
            }
            () if a.is(i, "IP-ADDRESS") => {
                const MAX: usize = 253;
                if value.len() > MAX {
                    return Err(CmdError::text(format!(
                        "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                        value.len()
                    )));
                }
                let address = String::from_utf8_lossy(value).replace(['\r', '\n', ',', '='], "?");
                host.replicas.announced(slot).address = Some(address);
            }
            // What is not known is of no use to this server.
            () if a.is(i, "CAPA") => {
                let announced = host.replicas.announced(slot);
                announced.eof |= value.eq_ignore_ascii_case(b"eof");
                announced.psync2 |= value.eq_ignore_ascii_case(b"psync2");
            }
            () if a.is(i, "RDB-ONLY") => {
                host.replicas.announced(slot).file_only = number(value).ok_or_else(bad)? != 0;
            }
            () if a.is(i, "RDB-FILTER-ONLY") => filter(host, value)?,
            // How Valkey replicas name their version; the file fits any.
            () if a.is(i, "VERSION") => {}
            () => {
                let option = String::from_utf8_lossy(a.get(i)).replace(['\r', '\n'], " ");
                return Err(CmdError::text(format!("ERR Unrecognized REPLCONF option: {option}")));
            }
        }
    }
    cx.out.ok();
    Ok(())
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// RDB-FILTER-ONLY: names of what is wanted, of which there is one; nothing at all is also a wish.
fn filter(host: &mut ServerHost, value: &[u8]) -> CmdResult {
    let text = String::from_utf8_lossy(value).into_owned();
    let mut content = Content::Nothing;
    for word in text.split_ascii_whitespace() {
        if !word.eq_ignore_ascii_case("functions") {
            return Err(CmdError::text(format!(
                "ERR Unsupported rdb-filter-only option: {}",
                word.replace(['\r', '\n'], " ")
            )));
        }
        content = Content::Functions;
    }
    let slot = host.current;
    host.replicas.announced(slot).content = content;
    Ok(())
}

/// REPLICAOF host port, REPLICAOF NO ONE
fn replicaof(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let nobody = a.is(1, "NO") && a.is(2, "ONE");
    let master = match nobody {
        true => None,
        false => {
            let port = number(a.get(2)).and_then(|n| u16::try_from(n).ok());
            let port = port.ok_or(CmdError::fixed("ERR Invalid master port"))?;
            Some((String::from_utf8_lossy(a.get(1)).into_owned(), port))
        }
    };
    let Some(host) = cx.host.as_any().downcast_mut::<ServerHost>() else { return Ok(()) };
    if let (Some((name, port)), Some(now)) = (&master, &host.following)
        && *name == now.host
        && *port == now.port
    {
        cx.out.simple("OK Already connected to specified master");
        return Ok(());
    }
    host.set_master(cx.shard, master.clone());
    let words = master.map(|(name, port)| vec![name, port.to_string()]);
    host.shared.note(OptionId::ReplicaOf, Value::Words(words.unwrap_or_default()));
    cx.out.ok();
    Ok(())
}

fn psync(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    // PSYNC id offset FAILOVER hands a role over; nobody here has one to give.
    if a.len() > 3 {
        return Err(CmdError::fixed("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    let text = std::str::from_utf8(a.get(2)).unwrap_or_default();
    let offset: i64 =
        text.parse().map_err(|_| CmdError::fixed("ERR value is not an integer or out of range"))?;
    // Positions count from 0 here and from 1 there.
    let from = u64::try_from(offset).ok().and_then(|n| n.checked_sub(1));
    let from = from.filter(|_| a.get(1) != b"?");
    follow(cx, &Ask::Psync { id: a.get(1), from })
}

fn sync(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    follow(cx, &Ask::Sync)
}

fn follow(cx: &mut SessionCx<'_>, ask: &Ask<'_>) -> CmdResult {
    let Some(host) = cx.host.as_any().downcast_mut::<ServerHost>() else { return Ok(()) };
    if host.replicas.is_replica(host.current) {
        // Redis ignores it: the stream has begun.
        return Ok(());
    }
    let mut first = Vec::new();
    host.follow(cx.shard, ask, &mut first).map_err(|e| {
        tracing::warn!("a replica was refused: {e}");
        CmdError::text(format!("ERR the data set cannot be sent: {e}"))
    })?;
    cx.out.raw(&first);
    Ok(())
}
