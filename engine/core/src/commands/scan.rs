//! What SCAN and its forms for hashes, sets and sorted sets share: cursor and options.

use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::glob::glob_match;
use moon_formats::number::Digits;
use moon_formats::resp::Reply;

/// Type names that SCAN accepts; a database need not have any key of the type.
const TYPE_NAMES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];
/// Keys or elements to look at without COUNT.
const COUNT_USUAL: usize = 10;

/// What is gone through; it decides where the options begin and which there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The keys of a database: with TYPE.
    Keys,
    /// The fields of a hash: with NOVALUES.
    Fields,
    /// The members of a set or sorted set.
    Members,
}

/// Options of a scan.
pub(super) struct Options<'a> {
    /// How many keys or elements to look at.
    pub(super) count: usize,
    /// MATCH, if it can exclude anything.
    pub(super) pattern: Option<&'a [u8]>,
    /// TYPE.
    pub(super) type_name: Option<&'static str>,
    /// NOVALUES: fields without their values.
    pub(super) no_values: bool,
}

impl<'a> Options<'a> {
    /// Reads what follows the cursor (Redis `scanGenericCommand`, step 1).
    pub(super) fn parse(a: Args<'a>, of: Of) -> CmdResult<Self> {
        let mut o =
            Options { count: COUNT_USUAL, pattern: None, type_name: None, no_values: false };
        let mut i = if of == Of::Keys { 2 } else { 3 };
        while i < a.len() {
            let more = i + 1 < a.len();
            if a.is(i, "COUNT") && more {
                let count = a.int(i + 1)?;
                o.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(CmdError::SYNTAX)?;
            } else if a.is(i, "MATCH") && more {
                o.pattern = Some(a.get(i + 1)).filter(|p| *p != b"*");
            } else if of == Of::Keys && a.is(i, "TYPE") && more {
                let found = TYPE_NAMES.iter().find(|name| a.is(i + 1, name));
                o.type_name = Some(found.ok_or_else(|| {
                    let name = String::from_utf8_lossy(a.get(i + 1));
                    CmdError::text(format!("ERR unknown type name '{name}'"))
                })?);
            } else if a.is(i, "NOVALUES") {
                if of != Of::Fields {
                    return Err(CmdError::fixed("ERR NOVALUES option can only be used in HSCAN"));
                }
                o.no_values = true;
                i += 1;
                continue;
            } else {
                return Err(CmdError::SYNTAX);
            }
            i += 2;
        }
        Ok(o)
    }

    /// Whether MATCH lets a key or element through.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|p| glob_match(p, name, false))
    }
}

/// What one step of a scan has found so far.
pub(super) struct Found<'a> {
    elements: Reply<'a>,
    count: usize,
}

impl Found<'_> {
    /// Adds a bulk string.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.elements.bulk(bytes);
        self.count += 1;
    }
}

/// Writes the reply of one step: the cursor that `walk` returns, then what it has found.
pub(super) fn step(out: &mut Reply<'_>, walk: impl FnOnce(&mut Found<'_>) -> u64) {
    let mut bytes = Vec::new();
    let mut found = Found { elements: Reply::new(&mut bytes, out.proto()), count: 0 };
    let next = walk(&mut found);
    let count = found.count;
    out.array(2);
    out.bulk(Digits::of_u64(next).as_bytes());
    out.array(count);
    out.raw(&bytes);
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
