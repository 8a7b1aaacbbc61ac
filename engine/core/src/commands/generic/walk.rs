//! Going through the keys of a database.

use crate::args::Args;
use crate::db::type_name;
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use crate::glob::glob_match;
use moon_formats::number::Digits;
use moon_formats::resp::Reply;

/// Type names that SCAN accepts; a database need not have any key of the type.
const TYPE_NAMES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];
/// Keys that SCAN looks at without COUNT.
const COUNT_USUAL: usize = 10;
/// Picks of RANDOMKEY that may hit expired keys before it looks for a live one in order.
const RANDOM_TRIES: usize = 100;

/// KEYS pattern
pub(super) fn keys(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let pattern = Some(a.get(1)).filter(|p| *p != b"*");
    let now_ms = cx.ks.now.unix_ms;
    let at = cx.out.defer();
    let mut n = 0;
    for e in cx.ks.db().table().iter() {
        let matches = pattern.is_none_or(|p| glob_match(p, e.key(), false));
        if matches && e.expire_ms().is_none_or(|t| t > now_ms) {
            cx.out.bulk(e.key());
            n += 1;
        }
    }
    cx.out.array_at(at, n);
    Ok(())
}

/// DBSIZE
pub(super) fn dbsize(cx: &mut ReadCx<'_>, _: Args<'_>) -> CmdResult {
    cx.out.int(cx.ks.db().len() as i64);
    Ok(())
}

/// RANDOMKEY
pub(super) fn randomkey(cx: &mut ReadCx<'_>, _: Args<'_>) -> CmdResult {
    let table = cx.ks.db().table();
    for _ in 0..RANDOM_TRIES {
        let Some(e) = table.random(cx.rng.next_u64()) else { break };
        if cx.ks.is_live(e) {
            cx.out.bulk(e.key());
            return Ok(());
        }
    }
    let now_ms = cx.ks.now.unix_ms;
    match table.iter().find(|e| e.expire_ms().is_none_or(|t| t > now_ms)) {
        Some(e) => cx.out.bulk(e.key()),
        None => cx.out.null(),
    }
    Ok(())
}

/// Options of SCAN.
struct Options<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    type_name: Option<&'static str>,
}

impl<'a> Options<'a> {
    fn parse(a: Args<'a>) -> CmdResult<Self> {
        let mut o = Options { count: COUNT_USUAL, pattern: None, type_name: None };
        let mut i = 2;
        while i < a.len() {
            let more = i + 1 < a.len();
            if a.is(i, "COUNT") && more {
                let count = a.int(i + 1)?;
                o.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(CmdError::SYNTAX)?;
            } else if a.is(i, "MATCH") && more {
                o.pattern = Some(a.get(i + 1)).filter(|p| *p != b"*");
            } else if a.is(i, "TYPE") && more {
                let found = TYPE_NAMES.iter().find(|name| a.is(i + 1, name));
                o.type_name = Some(found.ok_or_else(|| {
                    let name = String::from_utf8_lossy(a.get(i + 1));
                    CmdError::text(format!("ERR unknown type name '{name}'"))
                })?);
            } else if a.is(i, "NOVALUES") {
                return Err(CmdError::fixed("ERR NOVALUES option can only be used in HSCAN"));
            } else {
                return Err(CmdError::SYNTAX);
            }
            i += 2;
        }
        Ok(o)
    }
}

/// A cursor as C `strtoull` reads it: blanks and a sign may stand in front.
pub(super) fn cursor(text: &[u8]) -> CmdResult<u64> {
    const BAD: CmdError = CmdError::fixed("ERR invalid cursor");
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    digits
        .iter()
        .try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
        .ok_or(BAD)
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub(super) fn scan(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let cursor = cursor(a.get(1))?;
    let o = Options::parse(a)?;
    let (mut found, mut n) = (Vec::new(), 0);
    let mut keys = Reply::new(&mut found, cx.out.proto());
    let next = cx.ks.db().table().scan(cursor, o.count, |e| {
        let wanted = o.type_name.is_none_or(|name| type_name(&e.value()) == name)
            && o.pattern.is_none_or(|p| glob_match(p, e.key(), false));
        if wanted && cx.ks.is_live(e) {
            keys.bulk(e.key());
            n += 1;
        }
    });
    cx.out.array(2);
    cx.out.bulk(Digits::of_u64(next).as_bytes());
    cx.out.array(n);
    cx.out.raw(&found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cursor;

    #[test]
    fn cursors() {
        for (text, want) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("+5", Some(5)),
            (" 5", Some(5)),
            ("5 ", None),
            ("-1", None),
            ("", None),
            ("x", None),
            ("0x10", None),
        ] {
            assert_eq!(cursor(text.as_bytes()).ok(), want, "{text:?}");
        }
    }
}
