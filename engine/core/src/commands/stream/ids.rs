//! Ids of stream entries as text.

use crate::error::{CmdError, CmdResult};
use moon_formats::number::Digits;
use moon_formats::value::StreamId;

pub(super) const INVALID: CmdError =
    CmdError::fixed("ERR Invalid stream ID specified as stream command argument");

/// An id printed, without allocation.
pub(super) struct IdText {
    buf: [u8; 41],
    len: usize,
}

impl IdText {
    pub(super) fn of(id: StreamId) -> IdText {
        let mut text = IdText { buf: [0; 41], len: 0 };
        text.push(Digits::of_u64(id.ms).as_bytes());
        text.push(b"-");
        text.push(Digits::of_u64(id.seq).as_bytes());
        text
    }

    fn push(&mut self, part: &[u8]) {
        self.buf[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

/// Longest id that is looked at.
const LONGEST: usize = 127;

/// A part of an id as C's `strtoull` reads it: blanks, a sign and leading zeros are allowed.
fn number(text: &[u8]) -> Option<u64> {
    let blank = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
    let text = text.get(text.iter().take_while(|b| blank(b)).count()..)?;
    let (digits, negative) = match text {
        [b'+', rest @ ..] => (rest, false),
        [b'-', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    // A canonical negative number is out of range; others wrap.
    let canonical = digits.first().is_some_and(|b| *b != b'0') || digits.len() == 1;
    if digits.is_empty() || (negative && canonical) {
        return None;
    }
    let n = digits.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative { n.wrapping_neg() } else { n })
}

/// `ms` or `ms-seq`; a missing sequence number is `seq`.
pub(super) fn parse(text: &[u8], seq: u64) -> CmdResult<StreamId> {
    if text.len() > LONGEST {
        return Err(INVALID);
    }
    let mut parts = text.splitn(2, |b| *b == b'-');
    let ms = parts.next().and_then(number).ok_or(INVALID)?;
    let seq = parts.next().map_or(Some(seq), number).ok_or(INVALID)?;
    Ok(StreamId { ms, seq })
}

/// An id with both of its parts, or the first of its millisecond.
pub(super) fn parse_exact(text: &[u8]) -> CmdResult<StreamId> {
    parse(text, 0)
}

/// Ids given in a row.
pub(super) fn parse_all(words: &[&[u8]]) -> CmdResult<Vec<StreamId>> {
    words.iter().map(|word| parse_exact(word)).collect()
}

/// The same with `-` and `+` for the least and the greatest id.
pub(super) fn parse_open(text: &[u8], seq: u64) -> CmdResult<StreamId> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse(text, seq),
    }
}

/// The lower end of a range: `-`, an id, or `(id` for the one after it.
pub(super) fn range_start(text: &[u8]) -> CmdResult<StreamId> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            parse(rest, 0)?.next().ok_or(CmdError::fixed("ERR invalid start ID for the interval"))
        }
        _ => parse_open(text, 0),
    }
}

/// The upper end of a range: `+`, an id, or `(id` for the one before it.
pub(super) fn range_end(text: &[u8]) -> CmdResult<StreamId> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => parse(rest, u64::MAX)?
            .previous()
            .ok_or(CmdError::fixed("ERR invalid end ID for the interval")),
        _ => parse_open(text, u64::MAX),
    }
}
