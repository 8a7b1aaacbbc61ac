//! XADD.

use super::idempotent::{Sent, log_record, memory_of_new};
use super::ids::{self, IdText};
use super::trim::{ExactTrim, TrimArgs};
use super::{NOT_ABOVE_TOP, TOO_LARGE, XADD, XTRIM};
use crate::args::Args;
use crate::db::Edit;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::stream::{Log, Stream, StreamId, Trim};

const ZERO: CmdError = CmdError::fixed("ERR The ID specified in XADD must be greater than 0-0");
const EXHAUSTED: CmdError =
    CmdError::fixed("ERR The stream has exhausted the last possible ID, unable to add more items");

/// The id asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NewId {
    /// `*`
    Any,
    /// `ms-*`
    Within(u64),
    /// Given in full.
    This(StreamId),
}

impl NewId {
    fn parse(text: &[u8]) -> CmdResult<NewId> {
        if text == b"*" {
            return Ok(NewId::Any);
        }
        match text.strip_suffix(b"-*") {
            Some(ms) if !ms.contains(&b'-') => Ok(NewId::Within(ids::parse_exact(ms)?.ms)),
            _ => ids::parse_exact(text).map(NewId::This),
        }
    }

    /// The id that an entry gets behind the last one of the stream.
    fn after(self, log: &Log, now_ms: u64) -> CmdResult<StreamId> {
        let last = log.last_id();
        if last == StreamId::MAX {
            return Err(EXHAUSTED);
        }
        let id = match self {
            NewId::Any if now_ms > last.ms => Some(StreamId { ms: now_ms, seq: 0 }),
            NewId::Any => last.next(),
            NewId::Within(ms) if ms == last.ms => last.next().filter(|id| id.ms == ms),
            NewId::Within(ms) => Some(StreamId { ms, seq: 0 }),
            NewId::This(id) => Some(id),
        };
        id.filter(|id| *id > last).ok_or(NOT_ABOVE_TOP)
    }
}

/// XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer | IDMP producer iid] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]]
/// <* | id> field value [field value ...]
pub(super) fn xadd(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let mut trim = TrimArgs::default();
    let mut sent = None;
    let mut create = true;
    let mut at = 2;
    let new = loop {
        if at >= a.len() {
            return Err(CmdError::arity(cx.command.spec.name));
        }
        if a.get(at) == b"*" {
            break NewId::Any;
        }
        if a.is(at, "NOMKSTREAM") {
            create = false;
            at += 1;
            continue;
        }
        match Sent::take(&mut sent, a, at)? {
            0 => {}
            n => {
                at += n;
                continue;
            }
        }
        match trim.take(a, at)? {
            0 => break NewId::parse(a.get(at))?,
            n => at += n,
        }
    };
    let trim = trim.finish(&cx.ks)?;
    let pairs = a.from(at + 1);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    if new == NewId::This(StreamId::MIN) {
        return Err(ZERO);
    }
    let sent = match sent {
        Some(sent) => Some((sent.producer, sent.iid(new == NewId::Any, pairs)?)),
        None => None,
    };
    let mut settings = None;
    let add = |stream: &mut Stream, edit: &mut Edit<'_>| {
        let id = new.after(stream.log(), edit.now.unix_ms)?;
        let memory = memory_of_new(edit.limits, edit.now.unix_ms == 0);
        if let Some((producer, iid)) = &sent
            && let Some(known) = stream.idempotence()
            && let Some(id) = known.find(producer, iid, id.ms)
        {
            stream.idempotence_mut(memory).count_duplicate();
            return Ok((id, None));
        }
        stream.log_mut().append(id, pairs, edit.limits).map_err(|_| TOO_LARGE)?;
        if let Some((producer, iid)) = &sent {
            settings = stream.idempotence().is_none().then_some(memory);
            stream.idempotence_mut(memory).record(producer, iid, id);
        }
        edit.changed(XADD);
        Ok((id, trim.as_ref().and_then(|t| trimmed(stream, t, edit))))
    };
    let key = a.get(1);
    let added =
        if create { Some(cx.ks.edit_or_create(key, add)?) } else { cx.ks.edit(key, add)? };
    let Some((id, exact)) = added else {
        cx.out.null();
        return Ok(());
    };
    let text = IdText::of(id);
    cx.out.bulk(text.as_bytes());
    if !cx.ks.command_changed() {
        return Ok(());
    }
    let own_words = matches!(new, NewId::This(_)) && trim.is_none_or(|t| !t.whole_blocks);
    if !own_words && cx.ks.wants_effects() {
        let mut words: Vec<&[u8]> = Vec::with_capacity(a.len() + 4);
        words.extend([b"XADD", key]);
        if let Some(exact) = &exact {
            words.extend(exact.words());
        }
        words.push(text.as_bytes());
        words.extend(pairs);
        cx.ks.effect(&words);
        if let Some((producer, iid)) = &sent {
            log_record(&mut cx.ks, key, producer, iid, text.as_bytes(), settings);
        }
    }
    Ok(())
}

/// Trims after an entry was added; how to repeat that if it did anything.
fn trimmed(stream: &mut Stream, trim: &Trim, edit: &mut Edit<'_>) -> Option<ExactTrim> {
    let done = stream.trim(trim);
    if done.removed == 0 {
        return None;
    }
    edit.changed(XTRIM);
    Some(ExactTrim::of(stream, trim, &done))
}
