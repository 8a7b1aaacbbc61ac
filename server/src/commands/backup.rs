//! MOON.BACKUP: leases for tools that copy the files of a running server (durability §15).

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;
use moon_formats::number::parse_u64;

use super::{host, row};
use crate::service::backup::{TTL_SECS, TTL_SECS_MAX};
use crate::service::host::ServerHost;

const GROUP: Group = Group::Server;
const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_MULTI);
const RUN_OUT: CmdError = CmdError::fixed("ERR the time to live must be from 1 to 86400 seconds");

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for commands of backups: leases on the files of the server.",
    subs: &[
        CommandSpec {
            summary: "Begins a backup: returns which files hold everything up to which LSN, and keeps them.",
            syntax: "[ttl-seconds]",
            complexity: "O(N) where N is the number of segments of the log",
            ..row("moon.backup|begin", GROUP, "0.1.0", -2, FLAGS, Run::Session(begin))
        },
        CommandSpec {
            summary: "Ends a backup, whose files need not be kept any more.",
            syntax: "id [FAILED]",
            complexity: "O(1)",
            ..row("moon.backup|end", GROUP, "0.1.0", -3, FLAGS, Run::Session(end))
        },
        CommandSpec {
            summary: "Has the files of a backup be kept for longer; returns for how many seconds.",
            syntax: "id [ttl-seconds]",
            complexity: "O(1)",
            ..row("moon.backup|renew", GROUP, "0.1.0", -3, FLAGS, Run::Session(renew))
        },
    ],
    ..row("moon.backup", GROUP, "0.1.0", -2, Flags::NONE, Run::Container)
}];

fn ttl(word: Option<&[u8]>) -> CmdResult<Option<u64>> {
    let Some(word) = word else { return Ok(None) };
    let secs = parse_u64(word).filter(|secs| (1..=TTL_SECS_MAX).contains(secs));
    secs.map(Some).ok_or(RUN_OUT)
}

/// MOON.BACKUP BEGIN [ttl-seconds]
fn begin(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 3 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let ttl_secs = ttl(a.opt(2))?.unwrap_or(TTL_SECS);
    let now = (cx.shard.now().mono_us, cx.shard.now().unix_us);
    let SessionCx { session, host, .. } = cx;
    let host = host.as_any().downcast_mut::<ServerHost>();
    let host =
        host.ok_or(CmdError::fixed("ERR this command needs the server around the engine"))?;
    host.begin_backup(session, ttl_secs, now).map_err(CmdError::fixed)
}

/// MOON.BACKUP END id [FAILED]
fn end(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let failed = a.len() == 4 && a.is(3, "FAILED");
    if a.len() > 3 && !failed {
        return Err(CmdError::SYNTAX);
    }
    host(cx)?.end_backup(a.get(2), failed).map_err(CmdError::fixed)?;
    cx.out.ok();
    Ok(())
}

/// MOON.BACKUP RENEW id [ttl-seconds]
fn renew(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 4 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let ttl_secs = ttl(a.opt(3))?;
    let now_us = cx.shard.now().mono_us;
    let left = host(cx)?.renew_backup(a.get(2), ttl_secs, now_us).map_err(CmdError::fixed)?;
    cx.out.int(left as i64);
    Ok(())
}
