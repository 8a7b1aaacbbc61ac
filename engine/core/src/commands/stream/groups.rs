//! XGROUP: making, moving and removing groups and consumers.

use super::ids;
use crate::args::Args;
use crate::db::Edit;
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use crate::exec::{SessionCx, WriteCx};
use crate::types::stream::Stream;

const CREATED: Event = Event::beside_content(Class::STREAM, "xgroup-create");
const MOVED: Event = Event::beside_content(Class::STREAM, "xgroup-setid");
const DESTROYED: Event = Event::beside_content(Class::STREAM, "xgroup-destroy");
pub(super) const CONSUMER_CREATED: Event =
    Event::beside_content(Class::STREAM, "xgroup-createconsumer");
const CONSUMER_REMOVED: Event = Event::beside_content(Class::STREAM, "xgroup-delconsumer");

const NO_KEY: CmdError = CmdError::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

pub(super) fn no_group(group: &[u8], key: &[u8]) -> CmdError {
    CmdError::text(format!(
        "NOGROUP No such consumer group '{}' for key name '{}'",
        String::from_utf8_lossy(group),
        String::from_utf8_lossy(key)
    ))
}

/// The options of CREATE and SETID from argument 5 on: whether to make the stream, entries read.
fn options(a: Args<'_>, create: bool) -> CmdResult<(bool, Option<u64>)> {
    let (mut make, mut read) = (false, None);
    let mut at = 5;
    while at < a.len() {
        if create && a.is(at, "MKSTREAM") {
            make = true;
            at += 1;
        } else if a.is(at, "ENTRIESREAD") && at + 1 < a.len() {
            read = match a.int(at + 1)? {
                -1 => None,
                n => Some(u64::try_from(n).map_err(|_| {
                    CmdError::fixed("ERR value for ENTRIESREAD must be positive or -1")
                })?),
            };
            at += 2;
        } else {
            return Err(CmdError::wrong_sub(a.get(1), "XGROUP"));
        }
    }
    Ok((make, read))
}

/// XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]
pub(super) fn create(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (make, read) = options(a, true)?;
    if a.len() > 8 {
        return Err(CmdError::wrong_sub(a.get(1), "XGROUP"));
    }
    let change = |stream: &mut Stream, edit: &mut Edit<'_>| {
        let id = match a.get(4) {
            b"$" => stream.log().last_id(),
            text => ids::parse_exact(text)?,
        };
        if !stream.create_group(a.get(3), id, read) {
            return Err(CmdError::fixed("BUSYGROUP Consumer Group name already exists"));
        }
        edit.changed(CREATED);
        Ok(())
    };
    if make {
        cx.ks.edit_or_create(a.get(2), change)?;
    } else {
        cx.ks.edit(a.get(2), change)?.ok_or(NO_KEY)?;
    }
    cx.out.ok();
    Ok(())
}

/// Edits the stream of a subcommand that needs the key.
fn edit<R>(
    cx: &mut WriteCx<'_>,
    a: Args<'_>,
    f: impl FnOnce(&mut Stream, &mut Edit<'_>) -> CmdResult<R>,
) -> CmdResult<R> {
    cx.ks.edit(a.get(2), f)?.ok_or(NO_KEY)
}

/// XGROUP SETID key group <id | $> [ENTRIESREAD entries-read]
pub(super) fn set_id(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (_, read) = options(a, false)?;
    edit(cx, a, |stream, edit| {
        let last = stream.log().last_id();
        if stream.group(a.get(3)).is_none() {
            return Err(no_group(a.get(3), a.get(2)));
        }
        if a.len() > 7 {
            return Err(CmdError::wrong_sub(a.get(1), "XGROUP"));
        }
        let id = match a.get(4) {
            b"$" => last,
            text => ids::parse_open(text, 0)?,
        };
        stream.edit_group(a.get(3), |_, group| {
            group.last_id = id;
            group.entries_read = read;
        });
        edit.changed(MOVED);
        Ok(())
    })?;
    cx.out.ok();
    Ok(())
}

/// XGROUP DESTROY key group
pub(super) fn destroy(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let gone = edit(cx, a, |stream, edit| {
        let gone = stream.destroy_group(a.get(3));
        if gone {
            edit.changed(DESTROYED);
        }
        Ok(gone)
    })?;
    cx.out.int(i64::from(gone));
    Ok(())
}

/// XGROUP CREATECONSUMER key group consumer
pub(super) fn create_consumer(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let created = edit(cx, a, |stream, edit| {
        let now = edit.now.unix_ms;
        let (_, created) = stream
            .edit_group(a.get(3), |_, group| group.find_or_create(a.get(4), now))
            .ok_or_else(|| no_group(a.get(3), a.get(2)))?;
        if created {
            edit.changed(CONSUMER_CREATED);
        }
        Ok(created)
    })?;
    cx.out.int(i64::from(created));
    Ok(())
}

/// XGROUP DELCONSUMER key group consumer
pub(super) fn remove_consumer(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let held = edit(cx, a, |stream, edit| {
        let held = stream
            .edit_group(a.get(3), |_, group| group.remove_consumer(a.get(4)))
            .ok_or_else(|| no_group(a.get(3), a.get(2)))?;
        if held.is_some() {
            edit.changed(CONSUMER_REMOVED);
        }
        Ok(held)
    })?;
    cx.out.int(held.unwrap_or(0) as i64);
    Ok(())
}

/// XGROUP HELP
pub(super) fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    crate::commands::help(
        &mut cx.out,
        "XGROUP",
        &[
            (
                "CREATE <key> <groupname> <id|$> [option]",
                "Make a group that reads on from an id; options:",
            ),
            ("    MKSTREAM", "Make the stream if there is none."),
            ("    ENTRIESREAD <entries-read>", "Number of entries the group has read."),
            ("CREATECONSUMER <key> <groupname> <consumer>", "Make a consumer."),
            (
                "DELCONSUMER <key> <groupname> <consumer>",
                "Remove a consumer with all it has pending.",
            ),
            ("DESTROY <key> <groupname>", "Remove a group."),
            (
                "SETID <key> <groupname> <id|$> [ENTRIESREAD <entries-read>]",
                "Let a group read on from an id.",
            ),
        ],
    );
    Ok(())
}
