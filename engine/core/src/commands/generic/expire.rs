//! Times to live.
//!
//! All times are kept and logged as milliseconds since 1970. A time that has come already
//! removes the key, logged as DEL.

use crate::args::Args;
use crate::db::Keyspace;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::{ReadCx, WriteCx};
use moon_formats::number::Digits;

/// Sets when a key that exists expires, and states the effect.
pub(in crate::commands) fn expire_at(ks: &mut Keyspace<'_>, key: &[u8], at_ms: u64) {
    if ks.is_past(at_ms) {
        if ks.remove(key, Event::DEL) {
            ks.removal_effect(key);
        }
    } else if ks.set_expire(key, Some(at_ms), Event::EXPIRE) {
        let at = Digits::of_i64(at_ms as i64);
        ks.effect(&[b"PEXPIREAT", key, at.as_bytes()]);
    }
}

/// EXPIRE key seconds [NX | XX | GT | LT]
pub(super) fn expire(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let base = cx.ks.now.unix_ms;
    set(cx, a, base, 1000)
}

/// PEXPIRE key milliseconds [NX | XX | GT | LT]
pub(super) fn pexpire(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let base = cx.ks.now.unix_ms;
    set(cx, a, base, 1)
}

/// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
pub(super) fn expireat(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    set(cx, a, 0, 1000)
}

/// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
pub(super) fn pexpireat(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    set(cx, a, 0, 1)
}

#[derive(Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(a: Args<'_>) -> CmdResult<Self> {
        let mut c = Conditions::default();
        for i in 3..a.len() {
            if a.is(i, "NX") {
                c.nx = true;
            } else if a.is(i, "XX") {
                c.xx = true;
            } else if a.is(i, "GT") {
                c.gt = true;
            } else if a.is(i, "LT") {
                c.lt = true;
            } else {
                let option = String::from_utf8_lossy(a.get(i));
                return Err(CmdError::text(format!("ERR Unsupported option {option}")));
            }
        }
        if c.nx && (c.xx || c.gt || c.lt) {
            return Err(CmdError::fixed(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if c.gt && c.lt {
            return Err(CmdError::fixed(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(c)
    }

    /// Whether a key that expires at `old` may now expire at `new`. No time to live is later
    /// than any.
    fn allow(&self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(|t| t as i64);
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

fn set(cx: &mut WriteCx<'_>, a: Args<'_>, base: u64, unit: i64) -> CmdResult {
    let key = a.get(1);
    let conditions = Conditions::parse(a)?;
    let at = a
        .int(2)?
        .checked_mul(unit)
        .and_then(|n| n.checked_add(base as i64))
        .ok_or_else(|| CmdError::expire_time(cx.command.spec.name))?;
    let go = cx.ks.exists(key) && conditions.allow(cx.ks.expire_ms(key), at);
    if go {
        expire_at(&mut cx.ks, key, u64::try_from(at).unwrap_or(0));
    }
    cx.out.int(i64::from(go));
    Ok(())
}

/// PERSIST key
pub(super) fn persist(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    let go = cx.ks.exists(key) && cx.ks.expire_ms(key).is_some();
    if go {
        cx.ks.set_expire(key, None, Event::PERSIST);
    }
    cx.out.int(i64::from(go));
    Ok(())
}

/// TTL key
pub(super) fn ttl(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, |at, now| (at.saturating_sub(now) + 500) / 1000)
}

/// PTTL key
pub(super) fn pttl(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, u64::saturating_sub)
}

/// EXPIRETIME key
pub(super) fn expiretime(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, |at, _| at.saturating_add(500) / 1000)
}

/// PEXPIRETIME key
pub(super) fn pexpiretime(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    tell(cx, a, |at, _| at)
}

/// -2 without the key, -1 without time to live, else what `f` makes of its end and of now.
fn tell(cx: &mut ReadCx<'_>, a: Args<'_>, f: impl Fn(u64, u64) -> u64) -> CmdResult {
    let now = cx.ks.now.unix_ms;
    let n = match cx.ks.look(a.get(1)) {
        None => -2,
        Some(e) => e.expire_ms().map_or(-1, |at| f(at, now) as i64),
    };
    cx.out.int(n);
    Ok(())
}
