//! Conditions on the value a key holds: IFEQ, IFNE and, by digest, IFDEQ, IFDNE.
//!
//! A digest is the 64-bit XXH3 of the value as 16 lower-case hexadecimal digits.

use crate::args::Args;
use crate::command::{Access, KeyUse};
use crate::db::StrValue;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::WriteCx;
use moon_formats::number::Digits;
use xxhash_rust::xxh3::xxh3_64;

const DIGEST_LEN: usize = 16;
const BAD_DIGEST: CmdError = CmdError::fixed("ERR must be exactly 16 hexadecimal characters");

/// The digest of a value.
pub(super) fn digest(value: &[u8]) -> [u8; DIGEST_LEN] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let hash = xxh3_64(value);
    std::array::from_fn(|i| HEX[(hash >> (60 - 4 * i)) as usize & 0xf])
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    NotEqual,
    DigestEqual,
    DigestNotEqual,
}

/// A condition with what to compare to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) test: Test,
    pub(super) operand: &'a [u8],
}

impl Test {
    /// The test a keyword names, any case.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        Some(match word.len() {
            4 if is("IFEQ") => Test::Equal,
            4 if is("IFNE") => Test::NotEqual,
            5 if is("IFDEQ") => Test::DigestEqual,
            5 if is("IFDNE") => Test::DigestNotEqual,
            _ => return None,
        })
    }

    /// Whether it asks for a difference, which a missing key satisfies.
    pub(super) fn wants_difference(self) -> bool {
        matches!(self, Test::NotEqual | Test::DigestNotEqual)
    }
}

impl Condition<'_> {
    /// Whether a value meets the condition. A digest operand of another length is an error.
    pub(super) fn met_by(&self, value: StrValue<'_>) -> CmdResult<bool> {
        let mut buf = Digits::new();
        let value = value.bytes(&mut buf);
        let equal = match self.test {
            Test::Equal | Test::NotEqual => value == self.operand,
            Test::DigestEqual | Test::DigestNotEqual => {
                if self.operand.len() != DIGEST_LEN {
                    return Err(BAD_DIGEST);
                }
                digest(value).eq_ignore_ascii_case(self.operand)
            }
        };
        Ok(equal != self.test.wants_difference())
    }
}

fn remove_if(cx: &mut WriteCx<'_>, key: &[u8], met: bool) {
    let removed = met && cx.ks.remove(key, Event::DEL);
    if removed {
        cx.ks.removal_effect(key);
    }
    cx.out.int(i64::from(removed));
}

/// DELEX reads the key only with a condition.
pub(super) fn key_use(a: Args<'_>) -> (Access, KeyUse) {
    if a.len() > 2 {
        (Access::ReadWrite, KeyUse::ACCESS.and(KeyUse::DELETE))
    } else {
        (Access::Remove, KeyUse::DELETE)
    }
}

/// DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]
pub(super) fn delex(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    match a.len() {
        2 => {
            remove_if(cx, key, true);
            return Ok(());
        }
        4 => {}
        _ => return Err(CmdError::arity(cx.command.spec.name)),
    }
    // A missing key, then a wrong type, beat whatever is wrong with the condition.
    let met = match cx.ks.string(key) {
        Ok(None) => false,
        Ok(Some(value)) => {
            let Some(test) = Test::parse(a.get(2)) else {
                return Err(CmdError::fixed(
                    "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
                ));
            };
            Condition { test, operand: a.get(3) }.met_by(value)?
        }
        Err(_) => {
            return Err(CmdError::fixed(
                "ERR Key should be of string type if conditions are specified",
            ));
        }
    };
    remove_if(cx, key, met);
    Ok(())
}

/// DELIFEQ key value (Valkey's form of DELEX IFEQ)
pub(super) fn delifeq(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let condition = Condition { test: Test::Equal, operand: a.get(2) };
    let met = match cx.ks.string(a.get(1))? {
        Some(value) => condition.met_by(value)?,
        None => false,
    };
    remove_if(cx, a.get(1), met);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn digests_keep_leading_zeros() {
        let zeros = b"v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzk\
                      jytls2kwlj7626sd";
        assert_eq!(&digest(zeros), b"00006c38adf31777");
        assert_eq!(&digest(b"hello"), b"9555e8555c62dcfd");
        assert_eq!(&digest(b""), b"2d06800538d394c2");
    }
}
