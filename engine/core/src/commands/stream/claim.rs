//! XCLAIM, XAUTOCLAIM and XNACK.

use super::delete::counted_ids;
use super::effects::GroupEffects;
use super::groups::CONSUMER_CREATED;
use super::ids;
use super::pending::no_key_or_group;
use super::reply::{put_by_id, put_id};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::stream::{ConsumerId, Group, Log, Stream, StreamId, one_more};
use moon_formats::number::parse_i64;

/// How an entry changes hands.
struct Claim {
    consumer: ConsumerId,
    min_idle: u64,
    now: u64,
    delivery_ms: u64,
    retry_count: Option<u64>,
    just_id: bool,
}

impl Claim {
    /// Gives a pending entry to the consumer; the number of deliveries it then has. Nothing happens to one
    /// that has not been idle for long enough.
    fn take(&self, group: &mut Group, id: StreamId, force: bool) -> Option<u64> {
        let pending = group.pending(id);
        if pending.is_none() && !force {
            return None;
        }
        let idle = pending.map(|p| (self.now as i64).wrapping_sub(p.delivery_ms as i64));
        if self.min_idle > 0 && idle.is_some_and(|idle| idle < self.min_idle as i64) {
            return None;
        }
        // One made by FORCE starts as delivered once.
        let had = pending.map_or(1, |p| p.deliveries);
        let deliveries = match self.retry_count {
            Some(n) => n,
            None if self.just_id => had,
            None => one_more(had),
        };
        group.deliver(id, self.consumer, self.delivery_ms, deliveries);
        Some(deliveries)
    }
}

fn claim_number(text: &[u8], what: &str) -> CmdResult<i64> {
    parse_i64(text).ok_or_else(|| CmdError::text(format!("ERR Invalid {what}")))
}

/// What follows the ids of XCLAIM.
struct Options {
    /// Delivery time, if one was given.
    time: Option<i64>,
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Options {
    fn parse(a: Args<'_>, mut at: usize, now: u64) -> CmdResult<Options> {
        let mut o = Options {
            time: None,
            retry_count: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        while at < a.len() {
            let value = a.opt(at + 1);
            if a.is(at, "FORCE") {
                o.force = true;
            } else if a.is(at, "JUSTID") {
                o.just_id = true;
            } else if a.is(at, "IDLE")
                && let Some(text) = value
            {
                let idle = claim_number(text, "IDLE option argument for XCLAIM")?;
                o.time = Some((now as i64).wrapping_sub(idle));
                at += 1;
            } else if a.is(at, "TIME")
                && let Some(text) = value
            {
                o.time = Some(claim_number(text, "TIME option argument for XCLAIM")?);
                at += 1;
            } else if a.is(at, "RETRYCOUNT")
                && let Some(text) = value
            {
                let n = claim_number(text, "RETRYCOUNT option argument for XCLAIM")?;
                o.retry_count = u64::try_from(n).ok();
                at += 1;
            } else if a.is(at, "LASTID")
                && let Some(text) = value
            {
                o.last_id = ids::parse_exact(text)?;
                at += 1;
            } else {
                return Err(CmdError::text(format!(
                    "ERR Unrecognized XCLAIM option '{}'",
                    String::from_utf8_lossy(a.get(at))
                )));
            }
            at += 1;
        }
        Ok(o)
    }
}

/// XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds]
/// [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]
pub(super) fn xclaim(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, name) = (a.get(1), a.get(2));
    let stream = cx.ks.collection::<Stream>(key)?;
    if stream.is_none_or(|s| s.group(name).is_none()) {
        return Err(no_key_or_group(key, name));
    }
    let min_idle = claim_number(a.get(4), "min-idle-time argument for XCLAIM")?;
    let now = cx.ks.now.unix_ms;
    let ids: Vec<StreamId> =
        a.from(5).iter().map_while(|word| ids::parse_exact(word).ok()).collect();
    let o = Options::parse(a, 5 + ids.len(), now)?;
    let replay = cx.ks.is_replay();
    // A time that has not come yet is a clock that goes wrong somewhere; only the log may name one.
    let delivery_ms =
        o.time.and_then(|t| u64::try_from(t).ok()).filter(|t| replay || *t <= now).unwrap_or(now);
    let mut effects = GroupEffects::new(&cx.ks);
    let out = &mut cx.out;
    let head = out.defer();
    let mut n = 0;
    cx.ks.edit(key, |stream: &mut Stream, edit| {
        stream.edit_group(name, |log, group| {
            // While the log is read back, the delivery says what time it was.
            let seen = if replay { delivery_ms } else { now };
            if o.last_id > group.last_id {
                group.last_id = o.last_id;
                edit.changed_quietly();
                effects.moved(group);
            }
            let (consumer, created) = group.find_or_create(a.get(3), seen);
            if created {
                edit.changed(CONSUMER_CREATED);
                effects.created();
            }
            group.seen(consumer, seen);
            let claim = Claim {
                consumer,
                min_idle: u64::try_from(min_idle).unwrap_or(0),
                now,
                delivery_ms,
                retry_count: o.retry_count,
                just_id: o.just_id,
            };
            for id in &ids {
                if log.get(*id).is_none() {
                    if group.acknowledge(*id).is_some() {
                        edit.changed_quietly();
                        effects.acknowledged(*id);
                    }
                    continue;
                }
                let Some(deliveries) = claim.take(group, *id, o.force) else { continue };
                claimed(out, log, *id, o.just_id);
                group.active(consumer, seen);
                edit.changed_quietly();
                effects.delivered(*id, deliveries);
                n += 1;
            }
        });
        Ok(())
    })?;
    out.array_at(head, n);
    effects.state(&mut cx.ks, key, name, a.get(3), delivery_ms);
    Ok(())
}

fn claimed(out: &mut moon_formats::resp::Reply<'_>, log: &Log, id: StreamId, just_id: bool) {
    if just_id {
        put_id(out, id);
    } else {
        put_by_id(out, log, id);
    }
}

/// Entries looked at for each that may be claimed.
const ATTEMPTS: usize = 10;

/// XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]
pub(super) fn xautoclaim(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, name) = (a.get(1), a.get(2));
    let min_idle = claim_number(a.get(4), "min-idle-time argument for XAUTOCLAIM")?;
    let start = ids::range_start(a.get(5))?;
    let (mut count, mut just_id) = (100, false);
    let mut at = 6;
    while at < a.len() {
        if a.is(at, "COUNT") && at + 1 < a.len() {
            count = parse_i64(a.get(at + 1))
                .filter(|n| (1..=i64::MAX / 16).contains(n))
                .and_then(|n| usize::try_from(n).ok())
                .ok_or(CmdError::fixed("ERR COUNT must be > 0"))?;
            at += 1;
        } else if a.is(at, "JUSTID") {
            just_id = true;
        } else {
            return Err(CmdError::SYNTAX);
        }
        at += 1;
    }
    let stream = cx.ks.collection::<Stream>(key)?;
    if stream.is_none_or(|s| s.group(name).is_none()) {
        return Err(no_key_or_group(key, name));
    }
    let now = cx.ks.now.unix_ms;
    let mut effects = GroupEffects::new(&cx.ks);
    let mut deleted = Vec::new();
    let out = &mut cx.out;
    out.array(3);
    cx.ks.edit(key, |stream: &mut Stream, edit| {
        stream.edit_group(name, |log, group| {
            let (consumer, created) = group.find_or_create(a.get(3), now);
            if created {
                edit.changed(CONSUMER_CREATED);
                effects.created();
            }
            group.seen(consumer, now);
            let claim = Claim {
                consumer,
                min_idle: u64::try_from(min_idle).unwrap_or(0),
                now,
                delivery_ms: now,
                retry_count: None,
                just_id,
            };
            let (mut left, mut attempts) = (count, count.saturating_mul(ATTEMPTS));
            let mut claimed_ids = Vec::new();
            let mut next = Some(start);
            // Where to go on is the first entry that was not looked at.
            let cursor = loop {
                let Some(from) = next else { break StreamId::MIN };
                let first = group.pending_range(from, StreamId::MAX).next();
                let Some((id, _)) = first else { break StreamId::MIN };
                if left == 0 || attempts == 0 {
                    break id;
                }
                attempts -= 1;
                next = id.next();
                if log.get(id).is_none() {
                    group.acknowledge(id);
                    effects.acknowledged(id);
                    edit.changed_quietly();
                    deleted.push(id);
                    left -= 1;
                } else if let Some(deliveries) = claim.take(group, id, false) {
                    group.active(consumer, now);
                    effects.delivered(id, deliveries);
                    edit.changed_quietly();
                    claimed_ids.push(id);
                    left -= 1;
                }
            };
            put_id(out, cursor);
            out.array(claimed_ids.len());
            for id in claimed_ids {
                claimed(out, log, id, just_id);
            }
        });
        Ok(())
    })?;
    out.array(deleted.len());
    for id in deleted {
        put_id(out, id);
    }
    effects.state(&mut cx.ks, key, name, a.get(3), now);
    Ok(())
}

/// XNACK key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]
pub(super) fn xnack(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, name) = (a.get(1), a.get(2));
    let count: fn(u64) -> u64 = if a.is(3, "SILENT") {
        |n| n.saturating_sub(1)
    } else if a.is(3, "FAIL") {
        |n| n
    } else if a.is(3, "FATAL") {
        |_| i64::MAX as u64
    } else {
        return Err(CmdError::SYNTAX);
    };
    if !a.is(4, "IDS") {
        return Err(CmdError::SYNTAX);
    }
    let mut at = 5;
    let ids = counted_ids(a, 5, &mut at)?;
    let (mut retry_count, mut force) = (None, false);
    while at < a.len() {
        if a.is(at, "FORCE") {
            force = true;
        } else if a.is(at, "RETRYCOUNT") && at + 1 < a.len() {
            retry_count = Some(u64::try_from(a.int(at + 1)?).map_err(|_| CmdError::NOT_INT)?);
            at += 1;
        } else {
            return Err(CmdError::SYNTAX);
        }
        at += 1;
    }
    let stream = cx.ks.collection::<Stream>(key)?;
    if stream.is_none_or(|s| s.group(name).is_none()) {
        return Err(no_key_or_group(key, name));
    }
    let given_back = cx.ks.edit(key, |stream: &mut Stream, edit| {
        let n = stream.edit_group(name, |log, group| {
            let mut n = 0;
            for id in &ids {
                let had = match group.pending(*id) {
                    Some(pending) => pending.deliveries,
                    None if force && log.get(*id).is_some() => 0,
                    None => continue,
                };
                // Idle since ever: whoever looks for idle entries finds it first.
                group.give_back(*id, 0, retry_count.unwrap_or_else(|| count(had)));
                n += 1;
            }
            n
        });
        let n = n.unwrap_or(0);
        if n > 0 {
            edit.changed_quietly();
        }
        Ok(n)
    })?;
    cx.out.int(given_back.unwrap_or(0));
    Ok(())
}
