//! Changes out of the log: CDC.READ, CDC.SNAPSHOT, CDC.SUBSCRIBE and slots (durability §13, §14).

use std::ops::RangeInclusive;

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{Deadline, SessionCx, timeout_ms};
use moon_engine::slots::{self, Slot};
use moon_formats::cdc::Format;
use moon_formats::number::{parse_i64, parse_u64};

use super::row;
use crate::service::cdc::{Cursor, Desk, Filter, Form, NO_LOG, Planes, Query, Trouble};
use crate::service::host::ServerHost;

const GROUP: Group = Group::Server;
const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_MULTI);
/// What a connection that changes are pushed to may say.
const PUSHES: Flags = FLAGS.and(Flags::PUBSUB).and(Flags::IN_SUBSCRIBE);
const ACL: &[&str] = &["@cdc"];

const LIMIT_USUAL: usize = 256;
const LIMIT_MAX: i64 = 10_000;
const BYTES_USUAL: usize = 1 << 20;
const BYTES_MAX: i64 = 64 << 20;

/// A row of the group.
const fn reader(name: &'static str, arity: i16, flags: Flags, run: Run) -> CommandSpec {
    CommandSpec { acl: ACL, ..row(name, GROUP, "0.1.0", arity, flags, run) }
}

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        summary: "Returns changes out of the log from a cursor on, and the cursor that follows them.",
        syntax: "shard cursor [LIMIT count] [BYTES bytes] [BLOCK milliseconds] [EPOCH epoch] [OFFSET count] [DB number] [MATCH pattern] [PLANES planes] [FORMAT DEBEZIUM | RAW] [BEFORE YES | NO]",
        complexity: "O(N) where N is the number of records from the cursor on that are looked at",
        ..reader("cdc.read", -3, FLAGS.and(Flags::BLOCKING), Run::Session(read))
    },
    CommandSpec {
        summary: "Returns a cursor over the rows of the newest base, and the one that follows them.",
        syntax: "shard",
        complexity: "O(1)",
        ..reader("cdc.snapshot", 2, FLAGS, Run::Session(snapshot))
    },
    CommandSpec {
        summary: "Has changes pushed to the connection from a cursor on.",
        syntax: "<shard | *> <cursor | $ | EARLIEST | SLOT name> [EPOCH epoch] [OFFSET count] [DB number] [MATCH pattern] [PLANES planes] [FORMAT DEBEZIUM | RAW] [BEFORE YES | NO] [CREDIT count]",
        complexity: "O(1)",
        ..reader("cdc.subscribe", -3, PUSHES, Run::Session(subscribe))
    },
    CommandSpec {
        summary: "Ends the pushing of changes.",
        syntax: "[shard | *]",
        complexity: "O(N) where N is the number of connections that changes are pushed to",
        ..reader("cdc.unsubscribe", -1, PUSHES, Run::Session(unsubscribe))
    },
    CommandSpec {
        summary: "Lets so many more changes be pushed to the connection; returns how many may be now.",
        syntax: "count",
        complexity: "O(N) where N is the number of connections that changes are pushed to",
        ..reader("cdc.credit", 2, PUSHES, Run::Session(credit))
    },
    CommandSpec {
        summary: "Moves a slot: what lies before the cursor is not needed any more. Returns where it is then.",
        syntax: "name shard cursor",
        complexity: "O(log N) where N is the number of slots",
        ..reader("cdc.ack", 4, PUSHES, Run::Session(ack))
    },
    CommandSpec {
        summary: "A container for commands on slots, which keep the log for readers of changes.",
        subs: &[
            CommandSpec {
                summary: "Makes a slot; returns its cursor.",
                syntax: "name [shard cursor]",
                complexity: "O(log N) where N is the number of slots",
                ..reader("cdc.slot|create", -3, FLAGS, Run::Session(create))
            },
            CommandSpec {
                summary: "Drops a slot.",
                syntax: "name",
                complexity: "O(log N) where N is the number of slots",
                ..reader("cdc.slot|drop", 3, FLAGS, Run::Session(remove))
            },
            CommandSpec {
                summary: "Returns all slots, or one: where each is, and how much of the log it holds.",
                syntax: "[name]",
                complexity: "O(N) where N is the number of slots",
                ..reader("cdc.slot|list", -2, FLAGS, Run::Session(list))
            },
        ],
        ..reader("cdc.slot", -2, Flags::NONE, Run::Container)
    },
];

/// What may follow the cursor.
struct Options {
    query: Query,
    until: Option<Deadline>,
    credit: Option<u64>,
}

/// CDC.READ shard cursor [option ...]
fn read(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let desk = desk(cx)?;
    check_shard(&desk, a.get(1))?;
    let cursor = cursor(&desk, a.get(2))?;
    let Options { query, until, .. } = options(cx, &desk, cursor, a.from(3), false)?;
    check_place(&desk, cursor)?;
    let SessionCx { session, host, .. } = cx;
    let host = host.as_any().downcast_mut::<ServerHost>();
    let host = host.ok_or(CmdError::fixed(NO_LOG))?;
    host.read_changes(session, query, until);
    Ok(())
}

/// CDC.SNAPSHOT shard: cursors of the newest base's rows, and of the log behind it.
fn snapshot(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let desk = desk(cx)?;
    check_shard(&desk, a.get(1))?;
    let (first, behind) = desk.snapshot();
    cx.out.array(2);
    first.reply(&mut cx.out);
    behind.reply(&mut cx.out);
    Ok(())
}

/// CDC.SUBSCRIBE shard|* cursor|SLOT name [option ...]
fn subscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let desk = desk(cx)?;
    if a.get(1) != b"*" {
        check_shard(&desk, a.get(1))?;
    }
    let (cursor, rest) = match a.is(2, "SLOT") && a.len() > 3 {
        true => (Cursor::Lsn(slot(cx, &desk, a.get(3))?.floor_lsn), 4),
        false => (cursor(&desk, a.get(2))?, 3),
    };
    let Options { query, credit, .. } = options(cx, &desk, cursor, a.from(rest), true)?;
    check_place(&desk, cursor)?;
    let (proto, now_us) = (cx.session.proto, cx.shard.now().mono_us);
    super::host(cx)?.follow_changes(query, credit, proto, now_us);
    cx.session.subscribed = true;
    cx.out.ok();
    Ok(())
}

/// CDC.UNSUBSCRIBE [shard|*]
fn unsubscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 2 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let desk = desk(cx)?;
    if let Some(shard) = a.opt(1).filter(|word| *word != b"*") {
        check_shard(&desk, shard)?;
    }
    let host = super::host(cx)?;
    host.unfollow_changes(host.current);
    cx.session.subscribed = super::host(cx)?.me()?.is_subscribed();
    cx.out.ok();
    Ok(())
}

/// CDC.CREDIT count
fn credit(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let more = in_range(a.get(1), 1..=i64::MAX, "the credit")? as u64;
    let credit = super::host(cx)?.add_credit(more);
    let credit = credit.ok_or(CmdError::fixed("ERR no changes are pushed to this connection"))?;
    cx.out.int(i64::try_from(credit).unwrap_or(i64::MAX));
    Ok(())
}

/// A slot that its reader can go on with.
fn slot(cx: &mut SessionCx<'_>, desk: &Desk, name: &[u8]) -> CmdResult<Slot> {
    let slot = cx.shard.slots.get(name).ok_or(CmdError::fixed("ERR no such slot"))?;
    if slot.given_up || slot.floor_lsn < desk.log().oldest_lsn() && slot.floor_lsn < desk.base_cut()
    {
        return Err(gone(desk));
    }
    Ok(slot)
}

fn gone(desk: &Desk) -> CmdError {
    let (oldest, snapshot) = (desk.log().oldest_lsn(), desk.base_cut());
    CmdError::text(Trouble::Gone { oldest, snapshot }.to_string())
}

/// CDC.SLOT CREATE name [shard cursor]
fn create(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let desk = desk(cx)?;
    let name = a.get(2);
    slots::check_name(name)?;
    let lsn = match a.len() {
        3 => desk.log().shown_lsn() + 1,
        5 => {
            check_shard(&desk, a.get(3))?;
            let cursor = cursor(&desk, a.get(4))?;
            check_place(&desk, cursor)?;
            let Cursor::Lsn(lsn) = cursor else {
                return Err(CmdError::fixed(
                    "ERR a slot holds the log: give the cursor that follows the snapshot",
                ));
            };
            lsn
        }
        _ => return Err(CmdError::arity(cx.command.spec.name)),
    };
    if cx.shard.slots.get(name).is_some() {
        return Err(CmdError::fixed("ERR there is a slot with this name"));
    }
    if lsn < desk.log().oldest_lsn() {
        return Err(gone(&desk));
    }
    let created_us = cx.shard.now().unix_us;
    let made = Slot { floor_lsn: lsn, created_us, given_up: false };
    cx.shard.set_slot(cx.host, name, Some(made))?;
    cx.out.int(lsn as i64);
    Ok(())
}

/// CDC.SLOT DROP name
fn remove(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if cx.shard.slots.get(a.get(2)).is_none() {
        return Err(CmdError::fixed("ERR no such slot"));
    }
    cx.shard.set_slot(cx.host, a.get(2), None)?;
    cx.out.ok();
    Ok(())
}

/// CDC.SLOT LIST [name]
fn list(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let desk = desk(cx)?;
    if a.len() > 3 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let shown = desk.log().shown_lsn();
    let wanted = a.opt(2);
    let chosen: Vec<(Vec<u8>, Slot)> = cx
        .shard
        .slots
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|w| w == *name))
        .map(|(name, slot)| (name.to_vec(), slot))
        .collect();
    cx.out.array(chosen.len());
    for (name, slot) in chosen {
        cx.out.map(6);
        cx.out.bulk(b"name");
        cx.out.bulk(&name);
        for (field, value) in [
            ("shard", 0),
            ("cursor", slot.floor_lsn),
            ("lag", (shown + 1).saturating_sub(slot.floor_lsn)),
            ("created", slot.created_us / 1000),
        ] {
            cx.out.bulk(field.as_bytes());
            cx.out.int(value as i64);
        }
        cx.out.bulk(b"state");
        cx.out.bulk(if slot.given_up { b"invalidated" } else { b"active" });
    }
    Ok(())
}

/// CDC.ACK name shard cursor
fn ack(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let desk = desk(cx)?;
    check_shard(&desk, a.get(2))?;
    let cursor = cursor(&desk, a.get(3))?;
    check_place(&desk, cursor)?;
    let slot = slot(cx, &desk, a.get(1))?;
    let Cursor::Lsn(lsn) = cursor else {
        return Err(CmdError::fixed("ERR a slot is moved once its snapshot has been read"));
    };
    if lsn > slot.floor_lsn {
        cx.shard.set_slot(cx.host, a.get(1), Some(Slot { floor_lsn: lsn, ..slot }))?;
    }
    cx.out.int(lsn.max(slot.floor_lsn) as i64);
    Ok(())
}

/// What changes are read with.
fn desk(cx: &mut SessionCx<'_>) -> CmdResult<Desk> {
    super::host(cx)?.desk().ok_or(CmdError::fixed(NO_LOG))
}

/// The number of a shard, or the directory of its log.
fn check_shard(desk: &Desk, word: &[u8]) -> CmdResult {
    if parse_u64(word) == Some(0) || word == desk.log_dir().as_os_str().as_encoded_bytes() {
        return Ok(());
    }
    Err(CmdError::fixed(
        "ERR no such shard: give its number, or the directory of this server's log",
    ))
}

fn cursor(desk: &Desk, word: &[u8]) -> CmdResult<Cursor> {
    let log = desk.log();
    if word == b"$" {
        return Ok(Cursor::Lsn(log.shown_lsn() + 1));
    }
    if word.eq_ignore_ascii_case(b"EARLIEST") {
        return Ok(Cursor::Lsn(log.oldest_lsn()));
    }
    match parse_u64(word).filter(|lsn| i64::try_from(*lsn).is_ok()) {
        Some(0) => Ok(Cursor::Lsn(log.oldest_lsn())),
        Some(lsn) => Ok(Cursor::Lsn(lsn)),
        None => Cursor::in_base(word).ok_or(CmdError::fixed(
            "ERR a cursor is an LSN, EARLIEST, $ or what CDC.SNAPSHOT gives",
        )),
    }
}

/// A cursor beyond the log is one of another history.
fn check_place(desk: &Desk, cursor: Cursor) -> CmdResult {
    if let Cursor::Lsn(lsn) = cursor
        && lsn > desk.log().last_lsn() + 1
    {
        return Err(other_timeline(desk));
    }
    Ok(())
}

fn other_timeline(desk: &Desk) -> CmdError {
    let (epoch, forked_at) = desk.timeline();
    CmdError::text(format!("CDCEPOCH epoch={epoch} forked-at={forked_at}"))
}

fn in_range(word: &[u8], range: RangeInclusive<i64>, name: &str) -> CmdResult<usize> {
    let number = parse_i64(word).filter(|n| range.contains(n));
    number.map(|n| n as usize).ok_or_else(|| {
        let (low, high) = range.into_inner();
        CmdError::text(format!("ERR {name} must be from {low} to {high}"))
    })
}

fn options(
    cx: &mut SessionCx<'_>,
    desk: &Desk,
    cursor: Cursor,
    words: &[&[u8]],
    pushes: bool,
) -> CmdResult<Options> {
    let databases = cx.shard.dbs().len() as i64;
    let (mut until, mut credit) = (None, None);
    let filter =
        Filter { db: None, pattern: None, planes: Planes::ALL, user: cx.session.user.clone() };
    let mut query = Query {
        cursor,
        offset: 0,
        limit: LIMIT_USUAL,
        bytes: BYTES_USUAL,
        filter,
        format: Format::Debezium,
        before: true,
        form: Form::Element,
    };
    let (pairs, rest) = words.as_chunks::<2>();
    for [name, value] in pairs {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        let says = |word: &str| value.eq_ignore_ascii_case(word.as_bytes());
        match () {
            () if pushes && is("CREDIT") => {
                credit = Some(in_range(value, 0..=i64::MAX, "CREDIT")? as u64);
            }
            () if pushes && ["LIMIT", "BYTES", "BLOCK"].iter().any(|w| is(w)) => {
                return Err(CmdError::SYNTAX);
            }
            () if is("LIMIT") => query.limit = in_range(value, 1..=LIMIT_MAX, "LIMIT")?,
            () if is("BYTES") => query.bytes = in_range(value, 1..=BYTES_MAX, "BYTES")?,
            () if is("OFFSET") => query.offset = in_range(value, 0..=i64::MAX, "OFFSET")?,
            () if is("DB") => {
                query.filter.db = Some(in_range(value, 0..=databases - 1, "DB")? as u16);
            }
            () if is("BLOCK") => until = Some(timeout_ms(cx.shard.now(), value)?),
            () if is("EPOCH") => {
                if parse_u64(value) != Some(desk.log().epoch()) {
                    return Err(other_timeline(desk));
                }
            }
            () if is("MATCH") => query.filter.pattern = Some((*value).into()),
            () if is("PLANES") => {
                query.filter.planes = Planes::of(value).ok_or(CmdError::fixed(
                    "ERR PLANES are kv, stream, graph, temporal, ws, mq and index, with commas between them",
                ))?;
            }
            () if is("FORMAT") && says("DEBEZIUM") => query.format = Format::Debezium,
            () if is("FORMAT") && says("RAW") => query.format = Format::Raw,
            () if is("BEFORE") && says("YES") => query.before = true,
            () if is("BEFORE") && says("NO") => query.before = false,
            () => return Err(CmdError::SYNTAX),
        }
    }
    if rest.is_empty() { Ok(Options { query, until, credit }) } else { Err(CmdError::SYNTAX) }
}
