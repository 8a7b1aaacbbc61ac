//! HSETEX: fields and their time to live in one step, all or none.

use super::expiry::{self, Measure};
use super::{HDEL, HEXPIRE, HSET};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::Hash;
use moon_formats::number::{Digits, parse_i64};

/// What becomes of the fields' times to live.
#[derive(Clone, Copy, PartialEq)]
enum Ttl<'a> {
    Clear,
    Keep,
    Given(Measure, &'a [u8]),
}

#[derive(Clone, Copy, PartialEq)]
enum Only {
    /// No field exists (FNX), all fields do (FXX).
    Fields { exist: bool },
    /// The key does not exist (NX), it does (XX): Valkey's.
    Key { exists: bool },
}

struct Options<'a> {
    only: Option<Only>,
    ttl: Ttl<'a>,
    pairs: &'a [&'a [u8]],
}

impl<'a> Options<'a> {
    fn parse(a: Args<'a>, command: &str) -> CmdResult<Self> {
        let (mut only, mut ttl, mut pairs) = (None, Ttl::Clear, None);
        let mut i = 2;
        while i < a.len() {
            let new_only = [
                ("FNX", Only::Fields { exist: false }),
                ("FXX", Only::Fields { exist: true }),
                ("NX", Only::Key { exists: false }),
                ("XX", Only::Key { exists: true }),
            ]
            .into_iter()
            .find(|(word, _)| a.is(i, word));
            let new_ttl = match Measure::parse(a, i) {
                Some(measure) => Some(Ttl::Given(measure, a.get(i + 1))),
                None => a.is(i, "KEEPTTL").then_some(Ttl::Keep),
            };
            if a.is(i, "FIELDS") {
                if pairs.is_some() {
                    return Err(CmdError::fixed("ERR multiple FIELDS argument"));
                }
                if i + 3 >= a.len() {
                    return Err(CmdError::arity(command));
                }
                let count = parse_i64(a.get(i + 1))
                    .and_then(|n| i32::try_from(n).ok())
                    .and_then(|n| usize::try_from(n).ok())
                    .filter(|n| *n > 0)
                    .ok_or(CmdError::fixed("ERR invalid number of fields"))?;
                let given = a.from(i + 2).get(..count * 2);
                pairs = Some(given.ok_or_else(|| CmdError::arity(command))?);
                i += 1 + count * 2;
            } else if let Some((_, new)) = new_only {
                if only.is_some() {
                    return Err(CmdError::fixed(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
                only = Some(new);
            } else if let Some(new) = new_ttl {
                if ttl != Ttl::Clear {
                    return Err(CmdError::fixed(
                        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                    ));
                }
                if let Ttl::Given(..) = new {
                    i += 1;
                    if i >= a.len() {
                        return Err(CmdError::fixed("ERR missing expire time"));
                    }
                }
                ttl = new;
            } else {
                let word = String::from_utf8_lossy(a.get(i));
                return Err(CmdError::text(format!("ERR unknown argument: {word}")));
            }
            i += 1;
        }
        let pairs = pairs.ok_or(CmdError::fixed("ERR missing FIELDS argument"))?;
        Ok(Options { only, ttl, pairs })
    }
}

/// HSETEX key [FNX | FXX | NX | XX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
/// FIELDS numfields field value [field value ...]
pub(super) fn hsetex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, name) = (a.get(1), cx.command.spec.name);
    let o = Options::parse(a, name)?;
    let now = cx.ks.now;
    let at_ms = match o.ttl {
        Ttl::Given(measure, text) => Some(measure.at_ms(text, now, name)?),
        Ttl::Keep | Ttl::Clear => None,
    };
    cx.ks.settle_fields(key, o.pairs.iter().step_by(2).copied());
    let hash = cx.ks.collection::<Hash>(key)?;
    let is_there = |field: &[u8]| hash.is_some_and(|h| h.contains(field, now.unix_ms));
    let mut fields = o.pairs.iter().step_by(2);
    let go = match o.only {
        None => true,
        Some(Only::Key { exists }) => hash.is_some() == exists,
        Some(Only::Fields { exist }) => fields.all(|f| is_there(f) == exist),
    };
    if go {
        match at_ms {
            Some(at_ms) if cx.ks.is_past(at_ms) => remove(cx, key, o.pairs)?,
            _ => set(cx, key, &o, at_ms)?,
        }
    }
    cx.out.int(i64::from(go));
    Ok(())
}

fn set(cx: &mut WriteCx<'_>, key: &[u8], o: &Options<'_>, at_ms: Option<u64>) -> CmdResult {
    let pairs = o.pairs;
    cx.ks.edit_or_create(key, |hash: &mut Hash, edit| {
        hash.will_set(pairs.len() / 2, edit.limits);
        for pair in pairs.chunks_exact(2) {
            if o.ttl == Ttl::Keep {
                hash.set_keep_expire(pair[0], pair[1], edit.limits);
            } else {
                hash.set(pair[0], pair[1], edit.limits);
                hash.set_expire(pair[0], at_ms);
            }
        }
        edit.changed(HSET);
        if at_ms.is_some() {
            edit.changed(HEXPIRE);
        }
        Ok(())
    })?;
    let at = Digits::of_u64(at_ms.unwrap_or(0));
    match o.ttl {
        Ttl::Clear => {
            let mut words = vec![b"HSET".as_slice(), key];
            words.extend(pairs);
            cx.ks.effect(&words);
        }
        Ttl::Keep => expiry::effect(&mut cx.ks, &[b"HSETEX", key, b"KEEPTTL"], pairs, 2),
        Ttl::Given(..) => {
            let head: [&[u8]; 4] = [b"HSETEX", key, b"PXAT", at.as_bytes()];
            expiry::effect(&mut cx.ks, &head, pairs, 2);
        }
    }
    Ok(())
}

/// A time that has come: what would have been set is gone at once.
fn remove(cx: &mut WriteCx<'_>, key: &[u8], pairs: &[&[u8]]) -> CmdResult {
    let removed = cx.ks.edit(key, |hash: &mut Hash, edit| {
        let fields = pairs.iter().step_by(2).copied();
        let removed: Vec<&[u8]> = fields.filter(|field| hash.remove(field)).collect();
        if !removed.is_empty() {
            edit.changed(HDEL);
        }
        Ok(removed)
    })?;
    expiry::log_each_removal(&mut cx.ks, key, &removed.unwrap_or_default());
    Ok(())
}
