//! Idempotent ids: XADD's options for them, XCFGSET, XIDMPRECORD (Redis 8.6).
//!
//! Logged is the entry under its own id, then XIDMPRECORD, which notes the idempotent id; a stream whose
//! settings are not those that replay assumes has them logged in between.

use super::ids::{self, IdText};
use crate::args::Args;
use crate::db::Keyspace;
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use crate::exec::WriteCx;
use crate::types::Limits;
use crate::types::stream::{DURATION_SECS_MAX, IDS_MAX, Memory, Stream, StreamId, content_id};
use moon_formats::number::Digits;

const XCFGSET: Event = Event::beside_content(Class::STREAM, "xcfgset");
const XIDMPRECORD: Event = Event::beside_content(Class::STREAM, "xidmprecord");

const TWICE: CmdError = CmdError::fixed("ERR IDMP/IDMPAUTO specified multiple times");
const NOT_AUTOMATIC: CmdError =
    CmdError::fixed("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs");

/// Who adds an entry, and under which id.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) producer: &'a [u8],
    /// `None`: by its content.
    iid: Option<&'a [u8]>,
}

impl<'a> Sent<'a> {
    /// Takes in the option at `at`; how many words it has, 0 if it is none.
    pub(super) fn take(sent: &mut Option<Self>, a: Args<'a>, at: usize) -> CmdResult<usize> {
        let more = a.len() - at - 1;
        let auto = a.is(at, "IDMPAUTO") && more >= 1;
        let given = a.is(at, "IDMP") && more >= 2;
        if !auto && !given {
            return Ok(0);
        }
        if sent.is_some() {
            return Err(TWICE);
        }
        let (producer, iid) = (a.get(at + 1), (!auto).then(|| a.get(at + 2)));
        if producer.is_empty() {
            let name = if auto { "IDMPAUTO" } else { "IDMP" };
            return Err(CmdError::text(format!("ERR {name} requires a non-empty producer ID")));
        }
        if iid.is_some_and(<[u8]>::is_empty) {
            return Err(CmdError::fixed("ERR IDMP requires a non-empty idempotent ID"));
        }
        *sent = Some(Sent { producer, iid });
        Ok(if auto { 2 } else { 3 })
    }

    /// The id of this entry; only one whose own id the stream chooses may have it.
    pub(super) fn iid(self, automatic: bool, pairs: &[&[u8]]) -> CmdResult<Vec<u8>> {
        if !automatic {
            return Err(NOT_AUTOMATIC);
        }
        Ok(self.iid.map_or_else(|| content_id(pairs).to_vec(), <[u8]>::to_vec))
    }
}

/// Settings of a stream that has none. Replay knows the options of today, not those of then, and goes by
/// Redis' own; who logs says so if they were others.
pub(super) fn memory_of_new(limits: &Limits, is_replay: bool) -> Memory {
    if is_replay { Memory::default() } else { limits.stream_idempotence }
}

/// States the settings of a stream.
fn log_memory(ks: &mut Keyspace<'_>, key: &[u8], memory: Memory) {
    let secs = Digits::of_u64(u64::from(memory.duration_secs));
    let max = Digits::of_u64(u64::from(memory.max));
    let (secs, max) = (secs.as_bytes(), max.as_bytes());
    ks.effect(&[b"XCFGSET", key, b"IDMP-DURATION", secs, b"IDMP-MAXSIZE", max]);
}

/// States that an entry has an idempotent id; `new` are the settings that the stream has been given by
/// that.
pub(super) fn log_record(
    ks: &mut Keyspace<'_>,
    key: &[u8],
    producer: &[u8],
    iid: &[u8],
    id: &[u8],
    new: Option<Memory>,
) {
    if let Some(memory) = new.filter(|memory| *memory != Memory::default()) {
        log_memory(ks, key, memory);
    }
    ks.effect(&[b"XIDMPRECORD", key, producer, iid, id]);
}

/// XCFGSET key [IDMP-DURATION seconds] [IDMP-MAXSIZE count]
pub(super) fn xcfgset(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    let (mut secs, mut max) = (None, None);
    let mut at = 2;
    while at < a.len() {
        let (place, most, name, unit) = match () {
            () if a.is(at, "IDMP-DURATION") => {
                (&mut secs, DURATION_SECS_MAX, "IDMP-DURATION", "seconds")
            }
            () if a.is(at, "IDMP-MAXSIZE") => (&mut max, IDS_MAX, "IDMP-MAXSIZE", "entries"),
            () => return Err(CmdError::SYNTAX),
        };
        if at + 1 >= a.len() {
            return Err(CmdError::SYNTAX);
        }
        let n = u32::try_from(a.int(at + 1)?).ok().filter(|n| (1..=most).contains(n));
        *place = Some(n.ok_or_else(|| {
            CmdError::text(format!("ERR {name} must be between 1 and {most} {unit}"))
        })?);
        at += 2;
    }
    if secs.is_none() && max.is_none() {
        return Err(CmdError::fixed("ERR At least one parameter must be specified"));
    }
    let usual = memory_of_new(cx.ks.limits, cx.ks.is_replay());
    let memory = cx.ks.edit(key, |stream: &mut Stream, edit| {
        let old = stream.idempotence().map(|known| known.memory());
        let is = old.unwrap_or(usual);
        let memory =
            Memory { duration_secs: secs.unwrap_or(is.duration_secs), max: max.unwrap_or(is.max) };
        if old != Some(memory) {
            stream.idempotence_mut(memory).set_memory(memory);
            edit.changed(XCFGSET);
        }
        Ok(memory)
    })?;
    let memory = memory.ok_or(CmdError::NO_KEY)?;
    if cx.ks.command_changed() {
        log_memory(&mut cx.ks, key, memory);
    }
    cx.out.ok();
    Ok(())
}

/// XIDMPRECORD key producer iid id: what the log says of an entry that XADD has added under an idempotent
/// id.
pub(super) fn xidmprecord(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, producer, iid) = (a.get(1), a.get(2), a.get(3));
    if producer.is_empty() {
        return Err(CmdError::fixed("ERR XIDMPRECORD requires a non-empty producer ID"));
    }
    if iid.is_empty() {
        return Err(CmdError::fixed("ERR XIDMPRECORD requires a non-empty idempotent ID"));
    }
    let id: StreamId = ids::parse_exact(a.get(4))?;
    let is_replay = cx.ks.is_replay();
    let usual = memory_of_new(cx.ks.limits, is_replay);
    let new = cx.ks.edit(key, |stream: &mut Stream, edit| {
        // XADD may have trimmed its own entry.
        if stream.log().get(id).is_none() && !is_replay {
            return Err(CmdError::fixed(
                "ERR The specified stream ID was deleted or doesn't exist",
            ));
        }
        let fresh = stream.idempotence().is_none().then_some(usual);
        let known = stream.idempotence().and_then(|known| known.find(producer, iid, id.ms));
        match known {
            Some(known) if known == id => Ok(None),
            Some(_) => Err(CmdError::fixed(
                "ERR The producer ID and idempotent ID already map to a different stream ID",
            )),
            None => {
                stream.idempotence_mut(usual).record(producer, iid, id);
                edit.changed(XIDMPRECORD);
                Ok(Some(fresh))
            }
        }
    })?;
    if let Some(fresh) = new.ok_or(CmdError::NO_KEY)? {
        log_record(&mut cx.ks, key, producer, iid, IdText::of(id).as_bytes(), fresh);
    }
    cx.out.ok();
    Ok(())
}
