//! Times to live of fields.
//!
//! One answer a field, in the order asked. Times are logged as milliseconds since 1970, with the
//! condition they were given under and the fields that met it; a time that has come already removes
//! the fields, each logged as an HDEL of its own.

use super::{HDEL, HEXPIRE, HPERSIST};
use crate::args::Args;
use crate::clock::Now;
use crate::db::Keyspace;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use crate::types::Hash;
use moon_formats::number::{Digits, parse_i64};

/// No such field, or no such key.
const NO_FIELD: i64 = -2;
/// The field has no time to live.
const NO_TTL: i64 = -1;
/// The condition does not hold.
const UNMET: i64 = 0;
/// The time to live was set, or taken off.
const DONE: i64 = 1;
/// The time has come: the field was removed.
const REMOVED: i64 = 2;

/// Latest instant a field may be given, milliseconds since 1970.
const LATEST_MS: u64 = (1 << 46) - 1;

pub(super) const BAD_COUNT: &str = "ERR Number of fields must be a positive integer";

/// The fields after `FIELDS numfields` at argument `at`, which end the command.
pub(super) fn fields<'a>(
    a: Args<'a>,
    at: usize,
    bad_count: &'static str,
) -> CmdResult<&'a [&'a [u8]]> {
    if !a.is(at, "FIELDS") {
        return Err(CmdError::fixed(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = parse_i64(a.get(at + 1))
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n > 0)
        .ok_or(CmdError::fixed(bad_count))?;
    let fields = a.from(at + 2);
    if fields.len() != count {
        return Err(CmdError::fixed(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(fields)
}

/// In what a field's time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    seconds: bool,
    relative: bool,
}

impl Measure {
    const S: Measure = Measure { seconds: true, relative: true };
    const MS: Measure = Measure { seconds: false, relative: true };
    const S_AT: Measure = Measure { seconds: true, relative: false };
    const MS_AT: Measure = Measure { seconds: false, relative: false };

    /// What `EX`, `PX`, `EXAT` or `PXAT` at argument `i` means.
    pub(super) fn parse(a: Args<'_>, i: usize) -> Option<Self> {
        [("EX", Self::S), ("PX", Self::MS), ("EXAT", Self::S_AT), ("PXAT", Self::MS_AT)]
            .into_iter()
            .find(|(word, _)| a.is(i, word))
            .map(|(_, measure)| measure)
    }

    /// The instant meant, which may have come.
    pub(super) fn at_ms(self, text: &[u8], now: Now, command: &str) -> CmdResult<u64> {
        let n = parse_i64(text).ok_or(CmdError::NOT_INT)?;
        let n = u64::try_from(n)
            .map_err(|_| CmdError::fixed("ERR invalid expire time, must be >= 0"))?;
        n.checked_mul(if self.seconds { 1000 } else { 1 })
            .and_then(|n| n.checked_add(if self.relative { now.unix_ms } else { 0 }))
            .filter(|at| *at <= LATEST_MS)
            .ok_or_else(|| CmdError::expire_time(command))
    }
}

/// When HEXPIRE and its kin change a field that has this time to live, or none.
#[derive(Clone, Copy)]
enum Condition {
    Always,
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    fn parse(a: Args<'_>, i: usize) -> Self {
        let all = [Self::Nx, Self::Xx, Self::Gt, Self::Lt];
        let named = all.into_iter().find(|c| c.word().is_some_and(|word| a.is(i, word)));
        named.unwrap_or(Self::Always)
    }

    fn word(self) -> Option<&'static str> {
        match self {
            Condition::Always => None,
            Condition::Nx => Some("NX"),
            Condition::Xx => Some("XX"),
            Condition::Gt => Some("GT"),
            Condition::Lt => Some("LT"),
        }
    }

    fn allows(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Nx => old.is_none(),
            Condition::Xx => old.is_some(),
            Condition::Gt => old.is_some_and(|old| new > old),
            Condition::Lt => old.is_none_or(|old| new < old),
        }
    }
}

/// States `head` followed by `FIELDS n field ...`, if there is a field.
pub(super) fn effect(ks: &mut Keyspace<'_>, head: &[&[u8]], fields: &[&[u8]], of_each: usize) {
    if fields.is_empty() {
        return;
    }
    let count = Digits::of_u64((fields.len() / of_each) as u64);
    let mut words = head.to_vec();
    words.extend([b"FIELDS".as_slice(), count.as_bytes()]);
    words.extend(fields);
    ks.effect(&words);
}

/// Sets fields' times to live, or removes the fields, where `allow` lets it; `answer` gets what
/// happened to each.
fn expire_at(
    ks: &mut Keyspace<'_>,
    key: &[u8],
    fields: &[&[u8]],
    at_ms: u64,
    condition: Condition,
    mut answer: impl FnMut(i64),
) -> CmdResult {
    let past = ks.is_past(at_ms);
    let changed = ks.edit(key, |hash: &mut Hash, edit| {
        let now_ms = edit.now.unix_ms;
        let mut changed = Vec::new();
        for field in fields {
            let Some((_, old)) = hash.get_with_expire(field, now_ms) else {
                answer(NO_FIELD);
                continue;
            };
            if !condition.allows(old, at_ms) {
                answer(UNMET);
                continue;
            }
            changed.push(*field);
            if past {
                hash.remove(field);
                answer(REMOVED);
            } else {
                hash.set_expire(field, Some(at_ms));
                answer(DONE);
            }
        }
        if !changed.is_empty() {
            edit.changed(if past { HDEL } else { HEXPIRE });
        }
        Ok(changed)
    })?;
    let Some(changed) = changed else {
        fields.iter().for_each(|_| answer(NO_FIELD));
        return Ok(());
    };
    if past {
        log_each_removal(ks, key, &changed);
    } else {
        let at = Digits::of_u64(at_ms);
        let mut head = vec![b"HPEXPIREAT".as_slice(), key, at.as_bytes()];
        head.extend(condition.word().map(str::as_bytes));
        effect(ks, &head, &changed, 1);
    }
    Ok(())
}

/// States that fields were removed because the time they were given has come.
pub(super) fn log_each_removal(ks: &mut Keyspace<'_>, key: &[u8], fields: &[&[u8]]) {
    for field in fields {
        ks.effect(&[b"HDEL", key, field]);
    }
    ks.count_expired_fields(fields.len());
}

/// States the removal of fields, if there is one.
pub(super) fn log_removal(ks: &mut Keyspace<'_>, key: &[u8], fields: &[&[u8]]) {
    if !fields.is_empty() {
        let mut words = vec![b"HDEL".as_slice(), key];
        words.extend(fields);
        ks.effect(&words);
    }
}

fn expire(cx: &mut WriteCx<'_>, a: Args<'_>, measure: Measure) -> CmdResult {
    let key = a.get(1);
    cx.ks.collection::<Hash>(key)?;
    let at_ms = measure.at_ms(a.get(2), cx.ks.now, cx.command.spec.name)?;
    let condition = Condition::parse(a, 3);
    let at = if matches!(condition, Condition::Always) { 3 } else { 4 };
    let fields = fields(a, at, "ERR Parameter `numFields` should be greater than 0")?;
    cx.ks.settle_fields(key, fields.iter().copied());
    cx.out.array(fields.len());
    let out = &mut cx.out;
    expire_at(&mut cx.ks, key, fields, at_ms, condition, |n| out.int(n))
}

/// HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn hexpire(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    expire(cx, a, Measure::S)
}

/// HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn hpexpire(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    expire(cx, a, Measure::MS)
}

/// HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn hexpireat(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    expire(cx, a, Measure::S_AT)
}

/// HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn hpexpireat(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    expire(cx, a, Measure::MS_AT)
}

/// HTTL key FIELDS numfields field [field ...]
pub(super) fn httl(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, |at, now| at.saturating_sub(now).div_ceil(1000))
}

/// HPTTL key FIELDS numfields field [field ...]
pub(super) fn hpttl(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, u64::saturating_sub)
}

/// HEXPIRETIME key FIELDS numfields field [field ...]
pub(super) fn hexpiretime(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, |at, _| at.div_ceil(1000))
}

/// HPEXPIRETIME key FIELDS numfields field [field ...]
pub(super) fn hpexpiretime(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, |at, _| at)
}

fn tell(cx: &mut ReadCx<'_>, a: Args<'_>, f: impl Fn(u64, u64) -> u64) -> CmdResult {
    let now_ms = cx.ks.now.unix_ms;
    let hash = cx.ks.collection::<Hash>(a.get(1))?;
    let fields = fields(a, 2, BAD_COUNT)?;
    cx.out.array(fields.len());
    for field in fields {
        cx.out.int(match hash.and_then(|h| h.get_with_expire(field, now_ms)) {
            None => NO_FIELD,
            Some((_, None)) => NO_TTL,
            Some((_, Some(at_ms))) => f(at_ms, now_ms) as i64,
        });
    }
    Ok(())
}

/// HPERSIST key FIELDS numfields field [field ...]
pub(super) fn hpersist(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    cx.ks.collection::<Hash>(key)?;
    let fields = fields(a, 2, BAD_COUNT)?;
    cx.ks.settle_fields(key, fields.iter().copied());
    cx.out.array(fields.len());
    let out = &mut cx.out;
    persist(&mut cx.ks, key, fields, |n| out.int(n))
}

fn persist(
    ks: &mut Keyspace<'_>,
    key: &[u8],
    fields: &[&[u8]],
    mut answer: impl FnMut(i64),
) -> CmdResult {
    let changed = ks.edit(key, |hash: &mut Hash, edit| {
        let mut changed = Vec::new();
        for field in fields {
            answer(match hash.get_with_expire(field, edit.now.unix_ms) {
                None => NO_FIELD,
                Some((_, None)) => NO_TTL,
                Some((_, Some(_))) => {
                    hash.set_expire(field, None);
                    changed.push(*field);
                    DONE
                }
            });
        }
        if !changed.is_empty() {
            edit.changed(HPERSIST);
        }
        Ok(changed)
    })?;
    match changed {
        Some(changed) => effect(ks, &[b"HPERSIST", key], &changed, 1),
        None => fields.iter().for_each(|_| answer(NO_FIELD)),
    }
    Ok(())
}

/// HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS numfields field [field ...]
pub(super) fn hgetex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    cx.ks.collection::<Hash>(key)?;
    let measure = Measure::parse(a, 2);
    let lasting = a.is(2, "PERSIST");
    let at = match measure {
        Some(_) => 4,
        None if lasting => 3,
        None => 2,
    };
    if at > 2 && (Measure::parse(a, at).is_some() || a.is(at, "PERSIST")) {
        return Err(CmdError::fixed(
            "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
        ));
    }
    let fields = fields(a, at, BAD_COUNT)?;
    let at_ms = measure.map(|m| m.at_ms(a.get(3), cx.ks.now, cx.command.spec.name)).transpose()?;
    cx.ks.settle_fields(key, fields.iter().copied());
    super::fields::values(cx, key, fields)?;
    match at_ms {
        Some(at_ms) => expire_at(&mut cx.ks, key, fields, at_ms, Condition::Always, |_| ()),
        None if lasting => persist(&mut cx.ks, key, fields, |_| ()),
        None => Ok(()),
    }
}
