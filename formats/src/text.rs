//! Text files that guard themselves: one item per line, closed by `end <crc32c>`.
//!
//! ```text
//! <word> <word> ...\n          any number of lines
//! end <8 hex digits>\n         CRC32C of every byte before this line
//! ```
//!
//! Printable ASCII, single blanks, `\n` line ends. Shared by the umbrella marker and the
//! manifests of `appendonlydir`.

#![warn(clippy::indexing_slicing)]

use crate::crc::crc32c;
use crate::error::{Cause, DecodeError};
use crate::number::parse_u64;

/// Longest text file a reader accepts, in bytes.
pub(crate) const TEXT_LEN_MAX: usize = 1 << 20;

/// One line of a verified file.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    /// Offset of its first byte.
    pub(crate) offset: u64,
    /// The whole line.
    pub(crate) text: &'a str,
    rest: &'a str,
}

impl<'a> Line<'a> {
    #[cold]
    pub(crate) fn form(&self, what: &'static str, expected: &'static str) -> DecodeError {
        DecodeError::new(self.offset, what, Cause::Form { expected })
    }

    /// The next word.
    pub(crate) fn word(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let (word, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        if word.is_empty() {
            return Err(self.form(what, "one more word on the line"));
        }
        self.rest = rest;
        Ok(word)
    }

    /// The next word, which must be `expected`.
    pub(crate) fn literal(
        &mut self,
        expected: &'static str,
        what: &'static str,
    ) -> Result<(), DecodeError> {
        match self.word(what)? == expected {
            true => Ok(()),
            false => Err(self.form(what, expected)),
        }
    }

    /// The next word as a canonical number.
    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let word = self.word(what)?;
        parse_u64(word.as_bytes()).ok_or_else(|| self.form(what, "a decimal number"))
    }

    /// The next word as a number of at least `min` and at most `max`.
    pub(crate) fn number_in(
        &mut self,
        min: u64,
        max: u64,
        expected: &'static str,
        what: &'static str,
    ) -> Result<u64, DecodeError> {
        let found = self.number(what)?;
        if (min..=max).contains(&found) {
            return Ok(found);
        }
        Err(DecodeError::new(self.offset, what, Cause::Value { expected, found }))
    }

    /// The next word as 8 lower-case hexadecimal digits.
    pub(crate) fn hex32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let word = self.word(what)?;
        parse_hex32(word).ok_or_else(|| self.form(what, "8 lower-case hexadecimal digits"))
    }

    /// True when all words were taken.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses words that were not taken.
    pub(crate) fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        match self.is_done() {
            true => Ok(()),
            false => Err(self.form(what, "no more words on the line")),
        }
    }
}

pub(crate) fn is_lower_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

fn parse_hex32(word: &str) -> Option<u32> {
    (word.len() == 8 && word.bytes().all(is_lower_hex))
        .then(|| u32::from_str_radix(word, 16).ok())
        .flatten()
}

/// Checks the closing line and gives the lines before it.
pub(crate) fn lines<'a>(bytes: &'a [u8], what: &'static str) -> Result<Vec<Line<'a>>, DecodeError> {
    let form = |offset: usize, expected| {
        Err(DecodeError::new(offset as u64, what, Cause::Form { expected }))
    };
    if bytes.len() > TEXT_LEN_MAX {
        let cause = Cause::Value { expected: "at most 1 MiB", found: bytes.len() as u64 };
        return Err(DecodeError::new(0, what, cause));
    }
    if let Some(at) = bytes.iter().position(|b| !matches!(b, b'\n' | b' '..=b'~')) {
        return form(at, "printable ASCII");
    }
    let text = std::str::from_utf8(bytes).expect("ASCII is UTF-8");
    let Some(body) = text.strip_suffix('\n') else {
        return form(bytes.len(), "a text that ends with a line end");
    };
    let end_at = body.rfind('\n').map_or(0, |i| i + 1);
    let (before, end) = body.split_at(end_at);
    let Some(stored) = end.strip_prefix("end ").and_then(parse_hex32) else {
        return form(end_at, "closed by `end` and 8 lower-case hexadecimal digits");
    };
    let computed = crc32c(before.as_bytes());
    if stored != computed {
        let cause = Cause::Checksum { stored: u64::from(stored), computed: u64::from(computed) };
        return Err(DecodeError::new(end_at as u64, what, cause));
    }
    let mut offset = 0;
    let mut out = Vec::new();
    for text in before.split_terminator('\n') {
        if text.is_empty() || text.starts_with(' ') || text.ends_with(' ') || text.contains("  ") {
            return form(offset, "words separated by single blanks");
        }
        out.push(Line { offset: offset as u64, text, rest: text });
        offset += text.len() + 1;
    }
    Ok(out)
}

/// Appends the closing line.
pub(crate) fn close(mut text: String) -> String {
    let crc = crc32c(text.as_bytes());
    text.push_str(&format!("end {crc:08x}\n"));
    text
}

/// Checksum in the closing line of a text made by [`close`].
pub(crate) fn checksum(text: &str) -> u32 {
    let end = text.trim_end().rsplit_once(' ').map_or("", |(_, digits)| digits);
    parse_hex32(end).unwrap_or(0)
}

/// The lines of a file whose items come in a fixed order.
pub(crate) struct Cursor<'a> {
    lines: std::vec::IntoIter<Line<'a>>,
    end: u64,
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Result<Cursor<'a>, DecodeError> {
        let lines = lines(bytes, what)?;
        let end = lines.last().map_or(0, |l| l.offset + l.text.len() as u64 + 1);
        Ok(Cursor { lines: lines.into_iter(), end, what })
    }

    pub(crate) fn next(&mut self) -> Option<Line<'a>> {
        self.lines.next()
    }

    /// The next line, which must start with `key`.
    pub(crate) fn expect(&mut self, key: &'static str) -> Result<Line<'a>, DecodeError> {
        let Some(mut line) = self.lines.next() else {
            return Err(DecodeError::new(self.end, self.what, Cause::Form { expected: key }));
        };
        line.literal(key, self.what)?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = close("a 1\nb 2\n".into()).into_bytes();
        assert_eq!(lines(&good, "t").unwrap().len(), 2);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(lines(&bad, "t").is_err(), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(lines(&good[..cut], "t").is_err(), "{cut}");
        }
    }

    #[test]
    fn blanks_are_single() {
        for bad in ["a  b\n", " a\n", "a \n", "\n"] {
            assert!(lines(close(bad.into()).as_bytes(), "t").is_err(), "{bad:?}");
        }
    }
}
