//! XPENDING.

use super::ids;
use super::reply::put_id;
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use crate::types::stream::{Group, Pending, Stream, StreamId};
use moon_formats::resp::Reply;

pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> CmdError {
    CmdError::text(format!(
        "NOGROUP No such key '{}' or consumer group '{}'",
        String::from_utf8_lossy(key),
        String::from_utf8_lossy(group)
    ))
}

/// Which pending entries to list.
struct Query<'a> {
    min_idle: i64,
    from: StreamId,
    to: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Query<'a> {
    fn parse(a: Args<'a>) -> CmdResult<Option<Query<'a>>> {
        if a.len() == 3 {
            return Ok(None);
        }
        if a.len() < 6 || a.len() > 9 {
            return Err(CmdError::SYNTAX);
        }
        let (mut at, mut min_idle) = (3, 0);
        if a.is(3, "IDLE") {
            min_idle = a.int(4)?;
            if a.len() < 8 {
                return Err(CmdError::SYNTAX);
            }
            at = 5;
        }
        let count = usize::try_from(a.int(at + 2)?).unwrap_or(0);
        let from = ids::range_start(a.get(at))?;
        let to = ids::range_end(a.get(at + 1))?;
        Ok(Some(Query { min_idle, from, to, count, consumer: a.opt(at + 3) }))
    }
}

/// XPENDING key group [[IDLE min-idle-time] start end count [consumer]]
pub(super) fn xpending(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let query = Query::parse(a)?;
    let stream = cx.ks.collection::<Stream>(a.get(1))?;
    let group = stream
        .and_then(|s| s.group(a.get(2)))
        .ok_or_else(|| no_key_or_group(a.get(1), a.get(2)))?;
    let now = cx.ks.now.unix_ms;
    match query {
        None => summary(&mut cx.out, group),
        Some(query) => list(&mut cx.out, group, &query, now),
    }
    Ok(())
}

fn summary(out: &mut Reply<'_>, group: &Group) {
    out.array(4);
    out.int(group.pending_count() as i64);
    let mut all = group.pending_range(StreamId::MIN, StreamId::MAX);
    let Some((first, _)) = all.next() else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    let last = all.next_back().map_or(first, |(id, _)| id);
    put_id(out, first);
    put_id(out, last);
    let head = out.defer();
    let mut n = 0;
    for consumer in group.consumers().filter(|c| c.held() > 0) {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk_int(consumer.held() as i64);
        n += 1;
    }
    out.array_at(head, n);
}

fn list(out: &mut Reply<'_>, group: &Group, query: &Query<'_>, now: u64) {
    let head = out.defer();
    let mut n = 0;
    let mut put = |id: StreamId, pending: &Pending| {
        let idle = now.saturating_sub(pending.delivery_ms);
        // Compared as signed numbers: a delivery in the future is below any bound but none.
        if query.min_idle != 0
            && (now as i64).wrapping_sub(pending.delivery_ms as i64) < query.min_idle
        {
            return true;
        }
        out.array(4);
        put_id(out, id);
        out.bulk(group.owner(pending).map_or(b"", |c| c.name()));
        out.int(idle as i64);
        out.int(pending.deliveries as i64);
        n += 1;
        n < query.count
    };
    if query.count > 0 {
        match query.consumer {
            None => _ = group.pending_range(query.from, query.to).all(|(id, p)| put(id, p)),
            Some(name) => {
                let consumer = group.find(name).and_then(|id| group.consumer(id));
                let held = consumer.into_iter().flat_map(|c| c.held_from(query.from, query.to));
                _ = held.filter_map(|id| Some((id, group.pending(id)?))).all(|(id, p)| put(id, &p));
            }
        }
    }
    out.array_at(head, n);
}
