//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE (redis-surface §20, durability §5, §6).

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::{host, row};
use crate::service::saver::Refused;

const GROUP: Group = Group::Server;
const WRITES_FILES: Flags =
    Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING).and(Flags::NO_ONLOOKER);

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        summary: "Saves the data set to the disk and answers when it is there.",
        complexity: "O(N) where N is the total number of keys in all databases",
        ..row("save", GROUP, "1.0.0", 1, WRITES_FILES.and(Flags::NO_MULTI), Run::Session(save))
    },
    CommandSpec {
        syntax: "[SCHEDULE | CANCEL]",
        summary: "Saves the data set to the disk in the background.",
        complexity: "O(1)",
        ..row("bgsave", GROUP, "1.0.0", -1, WRITES_FILES, Run::Session(bgsave))
    },
    CommandSpec {
        summary: "Writes a new base in the background, so that the log before it can go.",
        complexity: "O(1)",
        ..row("bgrewriteaof", GROUP, "1.0.0", 1, WRITES_FILES, Run::Session(bgrewriteaof))
    },
    CommandSpec {
        summary: "Returns the Unix time of the last successful save.",
        tips: &["nondeterministic_output"],
        ..row(
            "lastsave",
            GROUP,
            "1.0.0",
            1,
            Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
            Run::Session(lastsave),
        )
    },
];

const REWRITING: CmdError =
    CmdError::fixed("ERR Background append only file rewriting already in progress");
const SAVING: CmdError = CmdError::fixed("ERR Background save already in progress");

fn save(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.shard.while_idle()?;
    let host = host(cx)?;
    host.saver.want_save_for(host.current).map_err(|refused| match refused {
        Refused::Saving => SAVING,
        _ => CmdError::fixed("ERR a new base is being written, see BGSAVE SCHEDULE"),
    })
}

fn bgsave(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let schedule = a.len() == 2 && a.is(1, "SCHEDULE");
    let cancel = a.len() == 2 && a.is(1, "CANCEL");
    if a.len() > 1 && !schedule && !cancel {
        return Err(CmdError::SYNTAX);
    }
    if cancel {
        let Some(host) = cx.host.as_any().downcast_mut::<crate::service::host::ServerHost>() else {
            return Ok(());
        };
        if !host.saver.cancel_save(cx.shard) {
            return Err(CmdError::fixed(
                "ERR Background save is currently not in progress or scheduled",
            ));
        }
        cx.out.simple("Background save cancelled");
        return Ok(());
    }
    let host = host(cx)?;
    let later = schedule && host.saver.is_rewriting();
    host.saver.want_save(schedule).map_err(|refused| match refused {
        Refused::Saving => SAVING,
        _ => CmdError::fixed(
            "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in \
             order to schedule a BGSAVE whenever possible.",
        ),
    })?;
    cx.out.simple(if later { "Background saving scheduled" } else { "Background saving started" });
    Ok(())
}

fn bgrewriteaof(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let host = host(cx)?;
    // The base of a log that has just been switched on.
    if host.switch.is_founding() {
        return Err(REWRITING);
    }
    let begins = host.saver.want_rewrite().map_err(|refused| match refused {
        Refused::NoLog => CmdError::fixed(
            "ERR there is no log to rewrite: the server runs with appendonly no; see BGSAVE",
        ),
        _ => REWRITING,
    })?;
    cx.out.simple(match begins {
        true => "Background append only file rewriting started",
        false => "Background append only file rewriting scheduled",
    });
    Ok(())
}

fn lastsave(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let secs = host(cx)?.saver.saved_secs;
    cx.out.int(secs as i64);
    Ok(())
}
