//! XINFO.

use super::groups::no_group;
use super::reply::{put_entries, put_entry, put_id};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, SessionCx};
use crate::types::stream::{Consumer, Group, Idempotence, Log, Stream, StreamId};
use moon_formats::resp::Reply;

fn stream<'a>(cx: &mut ReadCx<'a>, a: Args<'_>) -> CmdResult<&'a Stream> {
    cx.ks.collection::<Stream>(a.get(2))?.ok_or(CmdError::NO_KEY)
}

/// XINFO STREAM key [FULL [COUNT count]]
pub(super) fn stream_info(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let stream = stream(cx, a)?;
    let full = match a.len() {
        3 => None,
        4 if a.is(3, "FULL") => Some(10),
        6 if a.is(3, "FULL") && a.is(4, "COUNT") => Some(match a.int(5)? {
            0 => usize::MAX,
            n => usize::try_from(n).unwrap_or(10),
        }),
        _ => return Err(CmdError::wrong_sub(a.get(1), "XINFO")),
    };
    let out = &mut cx.out;
    let log = stream.log();
    out.map(if full.is_some() { 15 } else { 16 });
    let (keys, nodes) = log.shape();
    for (name, n) in [
        ("length", log.len()),
        ("radix-tree-keys", keys as u64),
        ("radix-tree-nodes", nodes as u64),
    ] {
        out.bulk(name.as_bytes());
        out.int(n as i64);
    }
    out.bulk(b"last-generated-id");
    put_id(out, log.last_id());
    out.bulk(b"max-deleted-entry-id");
    put_id(out, log.max_deleted_id());
    out.bulk(b"entries-added");
    out.int(log.entries_added() as i64);
    out.bulk(b"recorded-first-entry-id");
    put_id(out, log.first_id());
    let known = stream.idempotence().map_or_else(
        || Idempotence::new(cx.ks.limits.stream_idempotence).figures(0),
        |known| known.figures(cx.ks.now.unix_ms),
    );
    for (name, n) in [
        ("idmp-duration", u64::from(known.memory.duration_secs)),
        ("idmp-maxsize", u64::from(known.memory.max)),
        ("pids-tracked", known.producers as u64),
        ("iids-tracked", known.ids as u64),
        ("iids-added", known.added),
        ("iids-duplicates", known.duplicates),
    ] {
        out.bulk(name.as_bytes());
        out.int(n as i64);
    }
    match full {
        None => {
            out.bulk(b"groups");
            out.int(stream.groups().len() as i64);
            for (name, entry) in [("first-entry", log.iter().next()), ("last-entry", log.last())] {
                out.bulk(name.as_bytes());
                match entry {
                    Some(entry) => put_entry(out, &entry),
                    None => out.null(),
                }
            }
        }
        Some(count) => {
            out.bulk(b"entries");
            put_entries(out, log.iter().take(count));
            out.bulk(b"groups");
            out.array(stream.groups().len());
            for group in stream.groups() {
                full_group(out, log, group, count);
            }
        }
    }
    Ok(())
}

/// Where a group stands: last id, entries read, lag.
fn position(out: &mut Reply<'_>, log: &Log, group: &Group) {
    out.bulk(b"last-delivered-id");
    put_id(out, group.last_id);
    for (name, n) in
        [("entries-read", group.entries_read.map(|n| n as i64)), ("lag", log.lag(group))]
    {
        out.bulk(name.as_bytes());
        match n {
            Some(n) => out.int(n),
            None => out.null(),
        }
    }
}

fn full_group(out: &mut Reply<'_>, log: &Log, group: &Group, count: usize) {
    out.map(7);
    out.bulk(b"name");
    out.bulk(group.name());
    position(out, log, group);
    out.bulk(b"pel-count");
    out.int(group.pending_count() as i64);
    out.bulk(b"pending");
    out.array(group.pending_count().min(count));
    for (id, pending) in group.pending_range(StreamId::MIN, StreamId::MAX).take(count) {
        out.array(4);
        put_id(out, id);
        out.bulk(group.owner(pending).map_or(b"", Consumer::name));
        out.int(pending.delivery_ms as i64);
        out.int(pending.deliveries as i64);
    }
    out.bulk(b"consumers");
    out.array(group.consumer_count());
    for consumer in group.consumers() {
        out.map(5);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"seen-time");
        out.int(consumer.seen_ms as i64);
        out.bulk(b"active-time");
        out.int(consumer.active_ms.map_or(-1, |ms| ms as i64));
        out.bulk(b"pel-count");
        out.int(consumer.held() as i64);
        out.bulk(b"pending");
        let head = out.defer();
        let mut n = 0;
        for id in consumer.held_from(StreamId::MIN, StreamId::MAX).take(count) {
            let Some(pending) = group.pending(id) else { continue };
            out.array(3);
            put_id(out, id);
            out.int(pending.delivery_ms as i64);
            out.int(pending.deliveries as i64);
            n += 1;
        }
        out.array_at(head, n);
    }
}

/// XINFO GROUPS key
pub(super) fn groups(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let stream = stream(cx, a)?;
    let out = &mut cx.out;
    out.array(stream.groups().len());
    for group in stream.groups() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(group.name());
        out.bulk(b"consumers");
        out.int(group.consumer_count() as i64);
        out.bulk(b"pending");
        out.int(group.pending_count() as i64);
        position(out, stream.log(), group);
    }
    Ok(())
}

/// XINFO CONSUMERS key group
pub(super) fn consumers(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let stream = stream(cx, a)?;
    let group = stream.group(a.get(3)).ok_or_else(|| no_group(a.get(3), a.get(2)))?;
    let now = cx.ks.now.unix_ms;
    let out = &mut cx.out;
    out.array(group.consumer_count());
    for consumer in group.consumers() {
        // One that the log made and nobody has heard of since is not known to be idle.
        let seen = if consumer.seen_ms == 0 { now } else { consumer.seen_ms };
        out.map(4);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"pending");
        out.int(consumer.held() as i64);
        out.bulk(b"idle");
        out.int(now.saturating_sub(seen) as i64);
        out.bulk(b"inactive");
        out.int(consumer.active_ms.map_or(-1, |ms| now.saturating_sub(ms) as i64));
    }
    Ok(())
}

/// XINFO HELP
pub(super) fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    crate::commands::help(
        &mut cx.out,
        "XINFO",
        &[
            ("CONSUMERS <key> <groupname>", "Show the consumers of a group."),
            ("GROUPS <key>", "Show the groups of a stream."),
            ("STREAM <key> [FULL [COUNT <count>]]", "Tell about a stream."),
        ],
    );
    Ok(())
}
