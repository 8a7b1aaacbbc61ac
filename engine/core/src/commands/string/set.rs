//! SET and its older forms; several keys at once.
//!
//! What is logged is the outcome: `SET key value` with an absolute time or KEEPTTL. A time
//! that has passed already removes the key.

use super::super::ttl::{Given, Unit};
use super::cond::{Condition, Test};
use super::get::value;
use crate::args::Args;
use crate::command::{Access, KeyUse};
use crate::db::Ttl;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::WriteCx;
use moon_formats::number::{Digits, parse_i64};

/// What SET does only if ...
#[derive(Debug, Clone, Copy)]
enum Only<'a> {
    Always,
    /// The key does not exist.
    Missing,
    /// The key exists.
    Existing,
    /// Its value compares as asked.
    If(Condition<'a>),
}

struct Options<'a> {
    only: Only<'a>,
    get: bool,
    keep_ttl: bool,
    ttl: Option<Given<'a>>,
}

impl<'a> Options<'a> {
    const NONE: Self = Options { only: Only::Always, get: false, keep_ttl: false, ttl: None };

    /// Reads the options from argument `i` on. Repeating one is allowed, the last counts;
    /// options that exclude each other are not.
    fn parse(a: Args<'a>, mut i: usize, one_key: bool) -> CmdResult<Self> {
        let mut o = Options::NONE;
        while i < a.len() {
            if a.is(i, "NX") && matches!(o.only, Only::Always | Only::Missing) {
                o.only = Only::Missing;
            } else if a.is(i, "XX") && matches!(o.only, Only::Always | Only::Existing) {
                o.only = Only::Existing;
            } else if a.is(i, "GET") && one_key {
                o.get = true;
            } else if a.is(i, "KEEPTTL") && o.ttl.is_none() {
                o.keep_ttl = true;
            } else if let Some(unit) = Unit::parse(a.get(i))
                && !o.keep_ttl
                && o.ttl.is_none_or(|t| t.unit == unit)
                && let Some(text) = a.opt(i + 1)
            {
                o.ttl = Some(Given { unit, text });
                i += 1;
            } else if let Some(test) = Test::parse(a.get(i))
                && one_key
                && o.only.allows(test)
                && let Some(operand) = a.opt(i + 1)
            {
                o.only = Only::If(Condition { test, operand });
                i += 1;
            } else {
                return Err(CmdError::SYNTAX);
            }
            i += 1;
        }
        Ok(o)
    }

    fn ttl(&self, cx: &WriteCx<'_>) -> CmdResult<Ttl> {
        Ok(match self.ttl {
            Some(given) => Ttl::At(given.at_ms(cx.ks.now, cx.command.spec.name)?),
            None if self.keep_ttl => Ttl::Keep,
            None => Ttl::Clear,
        })
    }
}

impl Only<'_> {
    fn allows(self, test: Test) -> bool {
        match self {
            Only::Always => true,
            Only::If(c) => c.test == test,
            Only::Missing | Only::Existing => false,
        }
    }
}

/// Sets one key and states the effect, unless the request is its own (`SET key value PXAT at`).
fn store(cx: &mut WriteCx<'_>, key: &[u8], new: &[u8], ttl: Ttl, is_own: bool) {
    let at_ms = match ttl {
        Ttl::Clear => {
            cx.ks.put_string(key, new, ttl, Event::SET);
            cx.ks.effect(&[b"SET", key, new]);
            return;
        }
        Ttl::Keep => {
            cx.ks.put_string(key, new, ttl, Event::SET);
            cx.ks.effect(&[b"SET", key, new, b"KEEPTTL"]);
            return;
        }
        Ttl::At(at_ms) => at_ms,
    };
    if cx.ks.is_past(at_ms) {
        if cx.ks.remove(key, Event::DEL) {
            cx.ks.removal_effect(key);
        }
        return;
    }
    cx.ks.put_string(key, new, ttl, Event::SET);
    cx.ks.also(key, Event::EXPIRE);
    if is_own {
        return;
    }
    let at = Digits::of_i64(at_ms as i64);
    cx.ks.effect(&[b"SET", key, new, b"PXAT", at.as_bytes()]);
}

/// SET reads the key only with GET (Redis `db.c`, `setGetKeys`).
pub(super) fn key_use(a: Args<'_>) -> (Access, KeyUse) {
    if (3..a.len()).any(|i| a.is(i, "GET")) {
        (Access::ReadWrite, KeyUse::ACCESS.and(KeyUse::UPDATE))
    } else {
        (Access::Overwrite, KeyUse::UPDATE)
    }
}

/// SET key value [NX | XX | IFEQ v | IFNE v | IFDEQ d | IFDNE d] [GET] [EX s | PX ms | ...]
pub(super) fn set(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, new) = (a.get(1), a.get(2));
    if a.len() == 3 {
        cx.ks.put_string(key, new, Ttl::Clear, Event::SET);
        cx.out.ok();
        return Ok(());
    }
    let options = Options::parse(a, 3, true)?;
    let ttl = options.ttl(cx)?;
    if options.get {
        value(&mut cx.out, cx.ks.string_counted(key)?);
    }
    let go = match options.only {
        Only::Always => true,
        Only::Missing => !cx.ks.exists(key),
        Only::Existing => cx.ks.exists(key),
        Only::If(condition) => match cx.ks.string(key)? {
            Some(old) => condition.met_by(old)?,
            None => condition.test.wants_difference(),
        },
    };
    if go {
        let is_own = a.len() == 5 && options.ttl.is_some_and(|given| given.unit == Unit::PxAt);
        store(cx, key, new, ttl, is_own);
    }
    match (options.get, go) {
        (true, _) => {}
        (false, true) => cx.out.ok(),
        (false, false) => cx.out.null(),
    }
    Ok(())
}

/// SETNX key value
pub(super) fn setnx(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let go = !cx.ks.exists(a.get(1));
    if go {
        store(cx, a.get(1), a.get(2), Ttl::Clear, false);
    }
    cx.out.int(i64::from(go));
    Ok(())
}

/// SETEX key seconds value
pub(super) fn setex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    set_with(cx, a, Unit::Ex)
}

/// PSETEX key milliseconds value
pub(super) fn psetex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    set_with(cx, a, Unit::Px)
}

fn set_with(cx: &mut WriteCx<'_>, a: Args<'_>, unit: Unit) -> CmdResult {
    let at_ms = Given { unit, text: a.get(2) }.at_ms(cx.ks.now, cx.command.spec.name)?;
    store(cx, a.get(1), a.get(3), Ttl::At(at_ms), false);
    cx.out.ok();
    Ok(())
}

/// The keys and values of MSET, from argument 1 on.
fn pairs<'a>(words: &'a [&'a [u8]]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    words.chunks_exact(2).map(|pair| (pair[0], pair[1]))
}

/// MSET key value [key value ...]
pub(super) fn mset(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len().is_multiple_of(2) {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    for (key, new) in pairs(a.from(1)) {
        cx.ks.put_string(key, new, Ttl::Clear, Event::SET);
    }
    cx.out.ok();
    Ok(())
}

/// MSETNX key value [key value ...]
pub(super) fn msetnx(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len().is_multiple_of(2) {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let go = !pairs(a.from(1)).any(|(key, _)| cx.ks.exists(key));
    if go {
        for (key, new) in pairs(a.from(1)) {
            cx.ks.put_string(key, new, Ttl::Clear, Event::SET);
        }
        let mut words = a.all().to_vec();
        words[0] = b"MSET";
        cx.ks.effect(&words);
    }
    cx.out.int(i64::from(go));
    Ok(())
}

/// MSETEX numkeys key value [key value ...] [NX | XX] [EX s | PX ms | ... | KEEPTTL]
pub(super) fn msetex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let count = parse_i64(a.get(1))
        .and_then(|n| i32::try_from(n).ok())
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n > 0)
        .ok_or(CmdError::fixed("ERR invalid numkeys value"))?;
    let Some(words) = a.from(2).get(..count * 2) else {
        return Err(CmdError::fixed("ERR wrong number of key-value pairs"));
    };
    let options = Options::parse(a, 2 + words.len(), false)?;
    let ttl = options.ttl(cx)?;
    let go = match options.only {
        Only::Missing => !pairs(words).any(|(key, _)| cx.ks.exists(key)),
        Only::Existing => pairs(words).all(|(key, _)| cx.ks.exists(key)),
        Only::Always | Only::If(_) => true,
    };
    if go {
        for (key, new) in pairs(words) {
            store(cx, key, new, ttl, false);
        }
    }
    cx.out.int(i64::from(go));
    Ok(())
}
