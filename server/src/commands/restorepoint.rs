//! MOON.RESTOREPOINT: a name for the present place in the log (durability §12).

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;
use moon_engine::points::Made;

use super::{host, row};

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_MULTI).and(Flags::NO_ONLOOKER);

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    syntax: "name",
    summary: "Names the data as they are now, to be recovered to later; returns number and LSN of that place.",
    complexity: "O(1)",
    ..row("moon.restorepoint", Group::Server, "0.1.0", 2, FLAGS, Run::Session(restorepoint))
}];

/// MOON.RESTOREPOINT name. The reply waits for the log as that of a write does.
fn restorepoint(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let switch = &host(cx)?.switch;
    if !switch.is_on() && switch.is_founding() {
        return Err(CmdError::fixed("ERR the log has no base yet: try again when it has"));
    }
    let Made { gtid, lsn } = cx.shard.add_restore_point(a.get(1))?;
    tracing::info!(name = %a.get(1).escape_ascii(), gtid, lsn, "restore point");
    cx.out.map(2);
    for (field, value) in [("gtid", gtid), ("lsn", lsn)] {
        cx.out.bulk(field.as_bytes());
        cx.out.int(value as i64);
    }
    Ok(())
}
