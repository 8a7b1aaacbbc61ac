//! XDEL, XDELEX, XACK, XACKDEL, XSETID.

use super::{XDEL, XSETID, ids};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::stream::{Deletion, References, Stream, StreamId};
use moon_formats::number::parse_i64;

/// XDEL key id [id ...]
pub(super) fn xdel(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    // The type is looked at first, as in Redis.
    if cx.ks.collection::<Stream>(a.get(1))?.is_none() {
        cx.out.int(0);
        return Ok(());
    }
    let ids = ids::parse_all(a.from(2))?;
    let deleted = cx.ks.edit(a.get(1), |stream: &mut Stream, edit| {
        let deleted = ids.iter().filter(|id| stream.log_mut().delete(**id)).count();
        if deleted > 0 {
            edit.changed(XDEL);
        }
        Ok(deleted)
    })?;
    cx.out.int(deleted.unwrap_or(0) as i64);
    Ok(())
}

/// XACK key group id [id ...]
pub(super) fn xack(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let name = a.get(2);
    let stream = cx.ks.collection::<Stream>(a.get(1))?;
    if stream.is_none_or(|s| s.group(name).is_none()) {
        cx.out.int(0);
        return Ok(());
    }
    let ids = ids::parse_all(a.from(3))?;
    let acknowledged = cx.ks.edit(a.get(1), |stream: &mut Stream, edit| {
        let n = stream.edit_group(name, |_, group| {
            ids.iter().filter(|id| group.acknowledge(**id).is_some()).count()
        });
        if n.is_some_and(|n| n > 0) {
            edit.changed_quietly();
        }
        Ok(n.unwrap_or(0))
    })?;
    cx.out.int(acknowledged.unwrap_or(0) as i64);
    Ok(())
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]` from argument `at` on.
fn chosen_ids(a: Args<'_>, at: usize) -> CmdResult<(References, Vec<StreamId>)> {
    let mut references = None;
    let mut ids = None;
    let mut at = at;
    while at < a.len() {
        if let Some(named) = References::named(a.get(at)) {
            if references.replace(named).is_some() {
                return Err(CmdError::SYNTAX);
            }
            at += 1;
        } else if a.is(at, "IDS") && at + 1 < a.len() && ids.is_none() {
            ids = Some(counted_ids(a, at + 1, &mut at)?);
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok((references.unwrap_or(References::Keep), ids.ok_or(CmdError::SYNTAX)?))
}

/// `numids id [id ...]`; `next` becomes the argument after them.
pub(super) fn counted_ids(a: Args<'_>, at: usize, next: &mut usize) -> CmdResult<Vec<StreamId>> {
    let n = parse_i64(a.get(at))
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n > 0)
        .ok_or(CmdError::fixed("ERR Number of IDs must be a positive integer"))?;
    let words = a.from(at + 1);
    let Some(words) = words.get(..n) else {
        return Err(CmdError::fixed(
            "ERR The `numids` parameter must match the number of arguments",
        ));
    };
    *next = at + 1 + n;
    ids::parse_all(words)
}

/// XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]
pub(super) fn xdelex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (references, ids) = chosen_ids(a, 2)?;
    delete_chosen(cx, a.get(1), &ids, |stream, id| stream.delete(id, references))
}

/// XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]
pub(super) fn xackdel(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (references, ids) = chosen_ids(a, 3)?;
    let group = a.get(2);
    delete_chosen(cx, a.get(1), &ids, |stream, id| {
        let pending = stream.edit_group(group, |_, g| g.acknowledge(id)).flatten();
        if pending.is_none() {
            return (Deletion::NoSuchId, false);
        }
        let (outcome, _) = stream.delete(id, references);
        // Acknowledged, and gone already.
        let gone = outcome == Deletion::NoSuchId;
        (if gone { Deletion::Deleted } else { outcome }, true)
    })
}

/// Replies with the outcome for each id. `delete` says as well whether anything changed.
fn delete_chosen(
    cx: &mut WriteCx<'_>,
    key: &[u8],
    ids: &[StreamId],
    mut delete: impl FnMut(&mut Stream, StreamId) -> (Deletion, bool),
) -> CmdResult {
    let outcomes = cx.ks.edit(key, |stream: &mut Stream, edit| {
        let before = stream.log().len();
        let mut changed = false;
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let (outcome, did) = delete(stream, *id);
            outcomes.push(outcome);
            changed |= did;
        }
        if stream.log().len() < before {
            edit.changed(XDEL);
        } else if changed {
            edit.changed_quietly();
        }
        Ok(outcomes)
    })?;
    cx.out.array(ids.len());
    for i in 0..ids.len() {
        let outcome = outcomes.as_ref().and_then(|o| o.get(i).copied());
        cx.out.int(match outcome.unwrap_or(Deletion::NoSuchId) {
            Deletion::NoSuchId => -1,
            Deletion::Deleted => 1,
            Deletion::Referenced => 2,
        });
    }
    Ok(())
}

/// XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]
pub(super) fn xsetid(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let smaller = |than: &str| {
        CmdError::text(format!("ERR The ID specified in XSETID is smaller than {than}"))
    };
    let id = ids::parse_exact(a.get(2))?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut at = 3;
    while at < a.len() {
        if at + 1 >= a.len() {
            return Err(CmdError::SYNTAX);
        }
        if a.is(at, "ENTRIESADDED") {
            let n = u64::try_from(a.int(at + 1)?);
            added = Some(n.map_err(|_| CmdError::fixed("ERR entries_added must be positive"))?);
        } else if a.is(at, "MAXDELETEDID") {
            max_deleted = ids::parse_exact(a.get(at + 1))?;
            if id < max_deleted {
                return Err(smaller("the provided max_deleted_entry_id"));
            }
        } else {
            return Err(CmdError::SYNTAX);
        }
        at += 2;
    }
    let set = cx.ks.edit(a.get(1), |stream: &mut Stream, edit| {
        let log = stream.log_mut();
        if id < log.max_deleted_id() {
            return Err(smaller("current max_deleted_entry_id"));
        }
        if let Some(top) = log.last() {
            if id < top.id {
                return Err(smaller("the target stream top item"));
            }
            if added.is_some_and(|n| n < log.len()) {
                return Err(CmdError::fixed(
                    "ERR The entries_added specified in XSETID is smaller than the target stream \
                     length",
                ));
            }
        }
        log.set_ids(id, added, (max_deleted != StreamId::MIN).then_some(max_deleted));
        edit.changed(XSETID);
        Ok(())
    })?;
    if set.is_none() {
        return Err(CmdError::NO_KEY);
    }
    cx.out.ok();
    Ok(())
}
