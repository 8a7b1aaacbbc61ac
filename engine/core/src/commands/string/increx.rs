//! INCREX: add within bounds and set the time to live, in one step.
//!
//! A result beyond the bounds, or beyond the type, changes nothing at all unless SATURATE
//! asks for the bound itself. What is logged is a SET of the result.

use super::super::ttl::{Given, Unit};
use super::number::long_double;
use super::{INCRBY, INCRBYFLOAT};
use crate::args::Args;
use crate::db::Ttl;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::WriteCx;
use crate::longdouble::LongDouble;
use moon_formats::number::{Digits, parse_i64};
use moon_formats::resp::Proto;

const INFINITE: CmdError = CmdError::fixed("ERR increment would produce NaN or Infinity");

#[derive(Default)]
struct Options<'a> {
    by_int: Option<&'a [u8]>,
    by_float: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    ttl: Option<Given<'a>>,
    persist: bool,
    only_without_ttl: bool,
}

impl<'a> Options<'a> {
    /// Unlike those of SET, these options may not be repeated.
    fn parse(a: Args<'a>) -> CmdResult<Self> {
        let mut o = Options::default();
        let mut i = 2;
        while i < a.len() {
            let argument = a.opt(i + 1);
            let with_argument = if a.is(i, "SATURATE") && !o.saturate {
                o.saturate = true;
                false
            } else if a.is(i, "PERSIST") && !o.persist && o.ttl.is_none() && !o.only_without_ttl {
                o.persist = true;
                false
            } else if a.is(i, "ENX") && !o.only_without_ttl && !o.persist {
                o.only_without_ttl = true;
                false
            } else {
                let text = argument.ok_or(CmdError::SYNTAX)?;
                o.valued(a, i, text)?;
                true
            };
            i += 1 + usize::from(with_argument);
        }
        if o.only_without_ttl && o.ttl.is_none() {
            return Err(CmdError::fixed("ERR ENX flag requires an expiration"));
        }
        Ok(o)
    }

    fn valued(&mut self, a: Args<'a>, i: usize, text: &'a [u8]) -> CmdResult {
        let no_step = self.by_int.is_none() && self.by_float.is_none();
        if a.is(i, "BYINT") && no_step {
            self.by_int = Some(text);
        } else if a.is(i, "BYFLOAT") && no_step {
            self.by_float = Some(text);
        } else if a.is(i, "LBOUND") && self.lower.is_none() {
            self.lower = Some(text);
        } else if a.is(i, "UBOUND") && self.upper.is_none() {
            self.upper = Some(text);
        } else if let Some(unit) = Unit::parse(a.get(i))
            && self.ttl.is_none()
            && !self.persist
        {
            self.ttl = Some(Given { unit, text });
        } else {
            return Err(CmdError::SYNTAX);
        }
        Ok(())
    }

    /// Step and bounds, read by `parse`; `kind` completes the error texts.
    fn numbers<T: PartialOrd>(
        &self,
        step: Option<&[u8]>,
        parse: impl Fn(&[u8]) -> Option<T>,
        kind: &str,
        usual: [T; 3],
    ) -> CmdResult<[T; 3]> {
        let read = |text: Option<&[u8]>, name: &str, usual: T| match text {
            None => Ok(usual),
            Some(text) => {
                parse(text).ok_or_else(|| CmdError::text(format!("ERR {name} is not {kind}")))
            }
        };
        let [one, lowest, highest] = usual;
        let step = read(step, "Increment", one)?;
        let lower = read(self.lower, "LBOUND", lowest)?;
        let upper = read(self.upper, "UBOUND", highest)?;
        if lower > upper {
            return Err(CmdError::fixed("ERR LBOUND can't be greater than UBOUND"));
        }
        Ok([step, lower, upper])
    }
}

/// INCREX key [BYFLOAT n | BYINT n] [LBOUND n] [UBOUND n] [SATURATE] [EX s | ...] [ENX]
pub(super) fn increx(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let options = Options::parse(a)?;
    if options.by_float.is_some() { by_float(cx, a, &options) } else { by_int(cx, a, &options) }
}

fn by_int(cx: &mut WriteCx<'_>, a: Args<'_>, o: &Options<'_>) -> CmdResult {
    let key = a.get(1);
    let kind = "an integer or out of range";
    let [by, lower, upper] = o.numbers(o.by_int, parse_i64, kind, [1, i64::MIN, i64::MAX])?;
    let at_ms = time(cx, o)?;
    let old = match cx.ks.string(key)? {
        Some(v) => v.as_int().ok_or(CmdError::NOT_INT)?,
        None => 0,
    };
    cx.out.array(2);
    let sum = old.checked_add(by).filter(|sum| (lower..=upper).contains(sum));
    let new = match sum {
        Some(sum) => sum,
        None if o.saturate => old.saturating_add(by).clamp(lower, upper),
        None => {
            cx.out.int(old);
            cx.out.int(0);
            return Ok(());
        }
    };
    let applied =
        new.checked_sub(old).ok_or(CmdError::fixed("ERR applied increment would overflow"))?;
    let text = Digits::of_i64(new);
    store(cx, key, text.as_bytes(), at_ms, o, INCRBY);
    cx.out.int(new);
    cx.out.int(applied);
    Ok(())
}

fn by_float(cx: &mut WriteCx<'_>, a: Args<'_>, o: &Options<'_>) -> CmdResult {
    let key = a.get(1);
    let usual = [LongDouble::from(1), LongDouble::MAX.negated(), LongDouble::MAX];
    let [by, lower, upper] = o.numbers(o.by_float, LongDouble::parse, "a valid float", usual)?;
    if !by.is_finite() {
        return Err(INFINITE);
    }
    let at_ms = time(cx, o)?;
    let old = match cx.ks.string(key)? {
        Some(v) => long_double(v).ok_or(CmdError::NOT_FLOAT)?,
        None => LongDouble::ZERO,
    };
    if !old.is_finite() {
        return Err(INFINITE);
    }
    // Both are finite, so there is a sum; it may be infinite.
    let sum = old.plus(by).ok_or(INFINITE)?;
    let new = if sum.is_finite() && lower <= sum && sum <= upper {
        sum
    } else if o.saturate {
        if sum > upper {
            upper
        } else if sum < lower {
            lower
        } else {
            sum
        }
    } else {
        cx.out.array(2);
        float(cx, &old.to_text());
        float(cx, "0");
        return Ok(());
    };
    let applied = new
        .minus(old)
        .filter(|d| d.is_finite())
        .ok_or(CmdError::fixed("ERR applied increment would be Infinity"))?;
    let text = new.to_text();
    store(cx, key, text.as_bytes(), at_ms, o, INCRBYFLOAT);
    cx.out.array(2);
    float(cx, &text);
    float(cx, &applied.to_text());
    Ok(())
}

/// A bulk string to RESP2, a double to RESP3, with all its digits.
fn float(cx: &mut WriteCx<'_>, text: &str) {
    match cx.out.proto() {
        Proto::Resp2 => cx.out.bulk(text.as_bytes()),
        Proto::Resp3 => cx.out.raw(format!(",{text}\r\n").as_bytes()),
    }
}

fn time(cx: &WriteCx<'_>, o: &Options<'_>) -> CmdResult<Option<u64>> {
    o.ttl.map(|t| t.at_ms(cx.ks.now, cx.command.spec.name)).transpose()
}

fn store(
    cx: &mut WriteCx<'_>,
    key: &[u8],
    text: &[u8],
    at_ms: Option<u64>,
    o: &Options<'_>,
    event: Event,
) {
    let had_ttl = cx.ks.expire_ms(key).is_some();
    let at_ms = at_ms.filter(|_| !(o.only_without_ttl && had_ttl));
    let ttl = match at_ms {
        Some(at_ms) if cx.ks.is_past(at_ms) => {
            if cx.ks.remove(key, Event::DEL) {
                cx.ks.removal_effect(key);
            }
            return;
        }
        Some(at_ms) => Ttl::At(at_ms),
        None if o.persist => Ttl::Clear,
        None => Ttl::Keep,
    };
    match event {
        INCRBY => cx.ks.put_string(key, text, ttl, event),
        _ => cx.ks.put_bytes(key, text, ttl, event),
    };
    match ttl {
        Ttl::At(at_ms) => {
            cx.ks.also(key, Event::EXPIRE);
            let at = Digits::of_i64(at_ms as i64);
            cx.ks.effect(&[b"SET", key, text, b"PXAT", at.as_bytes()]);
        }
        Ttl::Clear => {
            if had_ttl {
                cx.ks.also(key, Event::PERSIST);
            }
            cx.ks.effect(&[b"SET", key, text]);
        }
        Ttl::Keep => cx.ks.effect(&[b"SET", key, text, b"KEEPTTL"]),
    }
}
