//! WAIT, WAITAOF.

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{SessionCx, timeout_ms};
use moon_formats::number::parse_i64;

use super::row;
use crate::service::acks::{NO_LOG, Want};
use crate::service::host::ServerHost;

const GROUP: Group = Group::Generic;
const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        summary: "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed.",
        syntax: "numreplicas timeout",
        acl: &["@connection"],
        tips: TIPS,
        ..row("wait", GROUP, "3.0.0", 3, Flags::BLOCKING, Run::Session(wait))
    },
    CommandSpec {
        summary: "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas.",
        syntax: "numlocal numreplicas timeout",
        acl: &["@connection"],
        tips: TIPS,
        ..row("waitaof", GROUP, "7.2.0", 4, Flags::BLOCKING, Run::Session(waitaof))
    },
];

/// WAIT numreplicas timeout (milliseconds, 0 without end)
fn wait(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if cx.shard.role().is_replica() {
        return Err(CmdError::fixed(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 \
             if a replica is configured to be writable (which is not the default) writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let want = Want::Replicas(a.int(1)?);
    let until = timeout_ms(cx.shard.now(), a.get(2))?;
    wait_for(cx, want, until)
}

/// WAITAOF numlocal numreplicas timeout
fn waitaof(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let local = match a.int(1)? {
        0 => false,
        1 => true,
        _ => {
            return Err(CmdError::fixed("ERR value is out of range, value must between 0 and 1"));
        }
    };
    let replicas = parse_i64(a.get(2))
        .filter(|n| *n >= 0)
        .ok_or(CmdError::fixed("ERR value is out of range, must be positive"))?;
    let until = timeout_ms(cx.shard.now(), a.get(3))?;
    if cx.shard.role().is_replica() {
        return Err(CmdError::fixed(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
             replicas are just local and are not propagated.",
        ));
    }
    if local && cx.host::<ServerHost>()?.log.is_none() {
        return Err(CmdError::fixed(NO_LOG));
    }
    wait_for(cx, Want::Logs { local, replicas }, until)
}

fn wait_for(cx: &mut SessionCx<'_>, want: Want, until: moon_engine::exec::Deadline) -> CmdResult {
    let SessionCx { session, host, out, .. } = cx;
    let host = host.as_any().downcast_mut::<ServerHost>();
    let host =
        host.ok_or(CmdError::fixed("ERR this command needs the server around the engine"))?;
    host.wait_for(session, want, until, out);
    Ok(())
}
