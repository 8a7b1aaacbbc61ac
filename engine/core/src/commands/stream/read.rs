//! XREAD and XREADGROUP.

use super::effects::GroupEffects;
use super::groups::CONSUMER_CREATED;
use super::ids::{self, IdText};
use super::reply::{put_entries, put_entry, put_fields, put_id};
use crate::args::Args;
use crate::clock::Now;
use crate::db::Edit;
use crate::error::{CmdError, CmdResult};
use crate::exec::{Deadline, ReadCx, Wait, WriteCx, timeout_ms};
use crate::types::stream::{ConsumerId, Group, Log, Stream, StreamId, one_more};
use moon_formats::resp::{Proto, Reply};
use moon_formats::value::ValueType;

/// The arguments of both.
struct ReadArgs<'a> {
    keys: &'a [&'a [u8]],
    ids: &'a [&'a [u8]],
    /// Most entries of each stream.
    count: usize,
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    claim: Option<u64>,
    /// How long to wait for entries.
    block: Option<Deadline>,
}

fn only_group(what: &str) -> CmdError {
    CmdError::text(format!(
        "ERR The {what} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

impl<'a> ReadArgs<'a> {
    fn parse(a: Args<'a>, grouped: bool, name: &str, now: Now) -> CmdResult<ReadArgs<'a>> {
        let mut args = ReadArgs {
            keys: &[],
            ids: &[],
            count: 0,
            group: None,
            no_ack: false,
            claim: None,
            block: None,
        };
        let mut at = 1;
        loop {
            let more = a.len().saturating_sub(at + 1);
            if a.is(at, "BLOCK") && more >= 1 {
                args.block = Some(timeout_ms(now, a.get(at + 1))?);
                at += 2;
            } else if a.is(at, "COUNT") && more >= 1 {
                args.count = usize::try_from(a.int(at + 1)?).unwrap_or(0);
                at += 2;
            } else if a.is(at, "STREAMS") && more >= 1 {
                let words = a.from(at + 1);
                if !words.len().is_multiple_of(2) {
                    let each = if grouped { "ID or '>'" } else { "ID, '+', or '$'" };
                    return Err(CmdError::text(format!(
                        "ERR Unbalanced '{name}' list of streams: for each stream key an {each} \
                         must be specified."
                    )));
                }
                (args.keys, args.ids) = words.split_at(words.len() / 2);
                break;
            } else if a.is(at, "GROUP") && more >= 2 {
                if !grouped {
                    return Err(only_group("GROUP"));
                }
                args.group = Some((a.get(at + 1), a.get(at + 2)));
                at += 3;
            } else if a.is(at, "NOACK") {
                if !grouped {
                    return Err(only_group("NOACK"));
                }
                args.no_ack = true;
                at += 1;
            } else if a.is(at, "CLAIM") && more >= 1 {
                if !grouped {
                    return Err(only_group("CLAIM"));
                }
                let idle = a.int(at + 1).ok().and_then(|n| u64::try_from(n).ok());
                args.claim = Some(
                    idle.ok_or(CmdError::fixed("ERR min-idle-time must be a positive integer"))?,
                );
                at += 2;
            } else {
                return Err(CmdError::SYNTAX);
            }
        }
        if args.count == 0 {
            args.count = usize::MAX;
        }
        Ok(args)
    }

    fn streams(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.keys.iter().copied().zip(self.ids.iter().copied())
    }
}

/// The outer reply: a map of streams, which RESP2 writes as an array of pairs.
struct Streams {
    head: usize,
    n: usize,
}

impl Streams {
    fn new(out: &mut Reply<'_>) -> Streams {
        Streams { head: out.defer(), n: 0 }
    }

    fn key(&mut self, out: &mut Reply<'_>, key: &[u8]) {
        if out.proto() == Proto::Resp2 {
            out.array(2);
        }
        out.bulk(key);
        self.n += 1;
    }

    fn finish(self, out: &mut Reply<'_>) {
        match out.proto() {
            _ if self.n == 0 => out.null_array(),
            Proto::Resp2 => out.array_at(self.head, self.n),
            Proto::Resp3 => out.map_at(self.head, self.n),
        }
    }
}

/// XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]
pub(super) fn xread(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let args = ReadArgs::parse(a, false, cx.command.spec.name, cx.ks.now)?;
    let mut found = Vec::with_capacity(args.keys.len());
    for (key, id) in args.streams() {
        let stream = cx.ks.collection::<Stream>(key)?;
        let after = match (id, stream) {
            (b"$", stream) => stream.map_or(StreamId::MIN, |s| s.log().last_id()),
            (b"+", stream) => {
                let last = stream.and_then(|s| s.log().last());
                last.and_then(|e| e.id.previous()).unwrap_or_default()
            }
            (b">", _) => {
                return Err(CmdError::fixed(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                     <group> <consumer> option.",
                ));
            }
            (text, _) => ids::parse_exact(text)?,
        };
        found.push((key, stream, after));
    }
    let after: Vec<StreamId> = found.iter().map(|(_, _, after)| *after).collect();
    let mut streams = Streams::new(&mut cx.out);
    for (key, stream, after) in found {
        let (Some(stream), Some(from)) = (stream, after.next()) else { continue };
        let mut entries = stream.log().range(from, StreamId::MAX).take(args.count).peekable();
        if entries.peek().is_some() {
            streams.key(&mut cx.out, key);
            put_entries(&mut cx.out, entries);
        }
    }
    if streams.n == 0
        && let Some(until) = args.block
        && cx.wait.ask(|| {
            let mut wait = Wait::new(args.keys, ValueType::Stream2, until);
            // `$` means from now on, not from when it is looked at again.
            if args.ids.contains(&&b"$"[..]) {
                wait.words = Some(fixed_words(a, args.ids.len(), &after));
            }
            wait
        })
    {
        return Ok(());
    }
    streams.finish(&mut cx.out);
    Ok(())
}

/// The words of XREAD with the ids that `$` stood for.
fn fixed_words(a: Args<'_>, ids: usize, after: &[StreamId]) -> Vec<Box<[u8]>> {
    let first = a.len() - ids;
    let word = |(i, word): (usize, &&[u8])| match after.get(i.wrapping_sub(first)) {
        Some(id) if **word == *b"$" => IdText::of(*id).as_bytes().into(),
        _ => Box::from(*word),
    };
    a.all().iter().enumerate().map(word).collect()
}

fn meaningless(id: &str) -> CmdError {
    CmdError::text(format!(
        "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of \
         this consumer by specifying a proper ID, or use the > ID to get new messages. The {id} ID \
         would just return an empty result set."
    ))
}

/// What a consumer asks a stream for.
#[derive(Clone, Copy)]
enum Wanted {
    New,
    /// What it has pending itself after this id.
    Held(StreamId),
}

/// XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK]
/// STREAMS key [key ...] id [id ...]
pub(super) fn xreadgroup(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let args = ReadArgs::parse(a, true, cx.command.spec.name, cx.ks.now)?;
    let Some((group, consumer)) = args.group else {
        return Err(CmdError::fixed("ERR Missing GROUP option for XREADGROUP"));
    };
    let mut wanted = Vec::with_capacity(args.keys.len());
    for (key, id) in args.streams() {
        let stream = cx.ks.collection::<Stream>(key)?;
        if stream.is_none_or(|s| s.group(group).is_none()) {
            return Err(CmdError::text(format!(
                "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
                String::from_utf8_lossy(key),
                String::from_utf8_lossy(group)
            )));
        }
        wanted.push(match id {
            b"$" => return Err(meaningless("$")),
            b"+" => return Err(meaningless("+")),
            b">" => Wanted::New,
            text => Wanted::Held(ids::parse_exact(text)?),
        });
    }
    let now = cx.ks.now.unix_ms;
    let mut streams = Streams::new(&mut cx.out);
    for ((key, _), wanted) in args.streams().zip(wanted) {
        let mut effects = GroupEffects::new(&cx.ks);
        let out = &mut cx.out;
        cx.ks.edit(key, |stream: &mut Stream, edit| {
            stream.edit_group(group, |log, group| {
                let mut reader =
                    Reader { log, group, edit, effects: &mut effects, out, args: &args, now };
                reader.serve(key, consumer, wanted, &mut streams);
            });
            Ok(())
        })?;
        effects.state(&mut cx.ks, key, group, consumer, now);
    }
    if streams.n == 0
        && let Some(until) = args.block
        && cx.wait.ask(|| {
            let mut wait = Wait::new(args.keys, ValueType::Stream2, until);
            wait.without_key = true;
            wait
        })
    {
        return Ok(());
    }
    streams.finish(&mut cx.out);
    Ok(())
}

/// One stream of XREADGROUP being served.
struct Reader<'r, 'a, 'o, 'e> {
    log: &'r Log,
    group: &'r mut Group,
    edit: &'r mut Edit<'e>,
    effects: &'r mut GroupEffects,
    out: &'r mut Reply<'o>,
    args: &'r ReadArgs<'a>,
    now: u64,
}

impl Reader<'_, '_, '_, '_> {
    fn serve(&mut self, key: &[u8], consumer: &[u8], wanted: Wanted, streams: &mut Streams) {
        let (consumer, created) = self.group.find_or_create(consumer, self.now);
        if created {
            self.edit.changed(CONSUMER_CREATED);
            self.effects.created();
        }
        self.group.seen(consumer, self.now);
        match wanted {
            Wanted::Held(after) => {
                streams.key(self.out, key);
                self.history(consumer, after);
            }
            Wanted::New => {
                let head = self.out.len();
                streams.key(self.out, key);
                if self.new_entries(consumer) == 0 {
                    self.out.truncate(head);
                    streams.n -= 1;
                }
            }
        }
    }

    /// What the consumer has pending after an id. Reading it again counts as a delivery.
    fn history(&mut self, consumer: ConsumerId, after: StreamId) {
        let ids: Vec<StreamId> = match (self.group.consumer(consumer), after.next()) {
            (Some(c), Some(from)) => {
                c.held_from(from, StreamId::MAX).take(self.args.count).collect()
            }
            _ => Vec::new(),
        };
        self.out.array(ids.len());
        for id in ids {
            let (Some(entry), Some(pending)) = (self.log.get(id), self.group.pending(id)) else {
                self.out.array(2);
                put_id(self.out, id);
                self.out.null_array();
                continue;
            };
            put_entry(self.out, &entry);
            let deliveries = one_more(pending.deliveries);
            self.group.deliver(id, consumer, self.now, deliveries);
            self.edit.changed_uncounted();
            self.effects.delivered(id, deliveries);
        }
    }

    /// Entries that the group has not read; returns how many.
    fn new_entries(&mut self, consumer: ConsumerId) -> usize {
        let head = self.out.defer();
        let mut n = self.args.claim.map_or(0, |idle| self.claimed(consumer, idle));
        let claimed = n;
        let from = self.group.last_id.next();
        let new = from.into_iter().flat_map(|from| self.log.range(from, StreamId::MAX));
        for entry in new.take(self.args.count - n) {
            self.group.advance(self.log, entry.id);
            if self.args.claim.is_some() {
                self.out.array(4);
                put_id(self.out, entry.id);
                put_fields(self.out, &entry);
                self.out.int(0);
                self.out.int(0);
            } else {
                put_entry(self.out, &entry);
            }
            if !self.args.no_ack {
                self.group.deliver(entry.id, consumer, self.now, 1);
                self.group.active(consumer, self.now);
                self.effects.delivered(entry.id, 1);
            }
            n += 1;
        }
        self.out.array_at(head, n);
        if n > claimed {
            self.edit.changed_quietly();
            self.effects.moved(self.group);
        }
        n
    }

    /// Entries that have been pending for at least `idle` milliseconds, whoever holds them, the longest idle
    /// first; returns how many. Each comes with its idle time and how often it had been delivered.
    fn claimed(&mut self, consumer: ConsumerId, idle: u64) -> usize {
        let Some(until) = self.now.checked_sub(idle) else { return 0 };
        let mut n = 0;
        for id in self.group.idle_until(until, self.args.count) {
            let Some(pending) = self.group.pending(id) else { continue };
            self.edit.changed_quietly();
            let Some(entry) = self.log.get(id) else {
                self.group.acknowledge(id);
                self.effects.acknowledged(id);
                continue;
            };
            self.out.array(4);
            put_id(self.out, id);
            put_fields(self.out, &entry);
            self.out.int(self.now.saturating_sub(pending.delivery_ms) as i64);
            self.out.int(pending.deliveries as i64);
            let deliveries = one_more(pending.deliveries);
            self.group.deliver(id, consumer, self.now, deliveries);
            self.group.active(consumer, self.now);
            self.effects.delivered(id, deliveries);
            n += 1;
        }
        n
    }
}
