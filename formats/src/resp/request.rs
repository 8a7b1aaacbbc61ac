//! The request parser: finds arguments in a receive buffer without copying them.
//!
//! Invariants:
//! * [`Span`]s point into the buffer given to the call that completed the request.
//! * The result does not depend on how the bytes were split into reads.
//! * Each byte is looked at once: after [`Parsed::Incomplete`] the next call resumes where this
//!   one stopped, so an argument of 512 MB that comes in pieces costs what it costs in one.
//! * Nothing is allocated by an announced count or length.
//!
//! Inline requests are unquoted in place: what a quoted argument means is never longer than
//! what was typed, so it fits where it stood, and callers see one kind of span.
//!
//! Source: redis-surface §1; Redis `networking.c` (`processMultibulkBuffer`,
//! `processInlineBuffer`) and `sds.c` (`sdssplitargs`) for the exact rules. As there, the two
//! bytes after an argument and the byte after a `\r` are skipped unseen.

#![warn(clippy::indexing_slicing)]

use super::reply::Reply;
use crate::number::parse_i64;
use std::fmt;

/// Longest header line or inline request, in bytes.
const LINE_MAX: usize = 64 * 1024;
/// Most arguments of one request.
const ARGS_MAX: i64 = i32::MAX as i64;
/// Most arguments before authentication.
const UNAUTHENTICATED_ARGS_MAX: i64 = 10;
/// Longest argument before authentication, in bytes.
const UNAUTHENTICATED_BULK_MAX: i64 = 16384;

/// One argument: `len` bytes from `start`, relative to the buffer given to `parse`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The argument. `buf` is the buffer the parser saw; panics if it is shorter.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the parser checked the span against this buffer")]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..][..self.len as usize]
    }
}

/// What a connection may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`, in bytes.
    pub max_bulk: u64,
    /// False until the connection has authenticated: few and short arguments only.
    pub authenticated: bool,
}

impl Default for Limits {
    /// 512 MiB, authenticated.
    fn default() -> Self {
        Limits { max_bulk: 512 << 20, authenticated: true }
    }
}

/// Outcome of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A request; its arguments were appended to `spans`.
    Request {
        /// Bytes of the buffer it took.
        consumed: usize,
    },
    /// The request goes on beyond the buffer. Call again with the same bytes and more.
    Incomplete {
        /// At least this many bytes are missing.
        need: usize,
    },
    /// A blank line or an array without elements: no request, no reply.
    Empty {
        /// Bytes of the buffer it took.
        consumed: usize,
    },
}

/// Why a connection is closed. The text goes out as `-ERR Protocol error: ...`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// The count of an array is not a number or too large.
    InvalidMultibulkLength,
    /// More than 10 arguments before authentication.
    UnauthenticatedMultibulkLength,
    /// More than 16384 bytes in one argument before authentication.
    UnauthenticatedBulkLength,
    /// Something else than `$` where an argument should start.
    ExpectedDollar {
        /// The byte seen.
        got: u8,
    },
    /// The length of an argument is negative, not a number or too large.
    InvalidBulkLength,
    /// A count line without end.
    TooBigMbulkCount,
    /// A length line without end.
    TooBigBulkCount,
    /// An inline request of more than 64 KiB.
    TooBigInline,
    /// An inline request with an open quote, or text right after a closing one.
    UnbalancedQuotes,
}

impl ProtocolError {
    /// Writes the error reply. The connection closes after it.
    pub fn reply(&self, reply: &mut Reply<'_>) {
        let mut text = b"ERR Protocol error: ".to_vec();
        match self {
            // The byte goes out as it came, which text cannot hold.
            ProtocolError::ExpectedDollar { got } => {
                text.extend_from_slice(b"expected '$', got '");
                text.extend_from_slice(&[*got, b'\'']);
            }
            other => text.extend_from_slice(other.text().as_bytes()),
        }
        reply.error_bytes(&text);
    }

    fn text(&self) -> &'static str {
        match self {
            ProtocolError::InvalidMultibulkLength => "invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            ProtocolError::ExpectedDollar { .. } => "expected '$'",
            ProtocolError::InvalidBulkLength => "invalid bulk length",
            ProtocolError::TooBigMbulkCount => "too big mbulk count string",
            ProtocolError::TooBigBulkCount => "too big bulk count string",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol error: {}", self.text())?;
        match self {
            ProtocolError::ExpectedDollar { got } => write!(f, ", got '{}'", got.escape_ascii()),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// State of one connection's request stream.
#[derive(Debug)]
pub struct RequestParser {
    limits: Limits,
    /// Offset of the first byte not understood yet, from the start of the request.
    pos: usize,
    /// Bytes after `pos` known to hold no line end.
    searched: usize,
    /// Arguments still to come; 0 while the first line has not been read.
    missing: usize,
    /// Length of the argument at `pos`, once its header has been read.
    bulk: Option<usize>,
    /// Arguments of the unfinished request.
    partial: Vec<Span>,
}

/// What the header line at some place says.
enum HeaderLine {
    Number(i64, usize),
    NotNumber,
    NoEnd,
    TooLong,
}

impl RequestParser {
    /// A parser at the start of a request.
    pub fn new(limits: Limits) -> Self {
        RequestParser { limits, pos: 0, searched: 0, missing: 0, bulk: None, partial: Vec::new() }
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the limits for header lines not yet read. A caller that parses ahead of
    /// execution must not parse past an `AUTH` or `HELLO`: it changes what may follow.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// True when a request has begun and not ended.
    pub fn is_midway(&self) -> bool {
        self.missing > 0 || self.searched > 0
    }

    /// Where the argument being received starts and how long it will be, so that the caller can
    /// make room for it in one step. `None` unless the last call was `Incomplete` inside one.
    pub fn pending_bulk(&self) -> Option<Span> {
        self.bulk.map(|len| Span { start: self.pos as u32, len: len as u32 })
    }

    /// Finds the request at the start of `buf`.
    ///
    /// On [`Parsed::Request`] its arguments stand at the end of `spans`; otherwise `spans` holds
    /// what it held. After [`Parsed::Incomplete`] call again with `buf` starting at the same
    /// byte (it may have moved in memory) and longer. After an error the parser is of no
    /// further use: the connection closes.
    #[inline]
    pub fn parse(
        &mut self,
        buf: &mut [u8],
        spans: &mut Vec<Span>,
    ) -> Result<Parsed, ProtocolError> {
        let base = spans.len();
        if self.missing == 0 {
            match buf.first() {
                None => return Ok(Parsed::Incomplete { need: 1 }),
                Some(b'*') => {}
                Some(_) => return self.inline(buf, spans),
            }
            let (count, after) = match short_number(buf, 0) {
                Some((n, after)) => {
                    self.searched = 0;
                    (n as i64, after)
                }
                None => match self.long_line(buf, 0) {
                    HeaderLine::Number(n, after) => (n, after),
                    HeaderLine::NotNumber => return Err(ProtocolError::InvalidMultibulkLength),
                    HeaderLine::NoEnd => return Ok(Parsed::Incomplete { need: 1 }),
                    HeaderLine::TooLong => return Err(ProtocolError::TooBigMbulkCount),
                },
            };
            if count > ARGS_MAX {
                return Err(ProtocolError::InvalidMultibulkLength);
            }
            if count > UNAUTHENTICATED_ARGS_MAX && !self.limits.authenticated {
                return Err(ProtocolError::UnauthenticatedMultibulkLength);
            }
            if count <= 0 {
                return Ok(Parsed::Empty { consumed: after });
            }
            self.missing = count as usize;
            self.pos = after;
            spans.reserve(self.missing.min(1024));
        } else if base == 0 {
            std::mem::swap(spans, &mut self.partial);
        } else {
            spans.append(&mut self.partial);
        }
        self.arguments(buf, spans, base)
    }

    #[inline]
    fn arguments(
        &mut self,
        buf: &[u8],
        spans: &mut Vec<Span>,
        base: usize,
    ) -> Result<Parsed, ProtocolError> {
        let mut pos = self.pos;
        let mut missing = self.missing;
        let mut bulk = self.bulk.take();
        let need = loop {
            let len = match bulk {
                Some(len) => len,
                None => {
                    let (len, after) = match short_number(buf, pos) {
                        Some((n, after)) if buf.get(pos) == Some(&b'$') => {
                            self.searched = 0;
                            (n as i64, after)
                        }
                        _ => match self.long_line(buf, pos) {
                            HeaderLine::NoEnd => break 1,
                            HeaderLine::TooLong => return Err(ProtocolError::TooBigBulkCount),
                            line => match buf.get(pos) {
                                Some(b'$') => match line {
                                    HeaderLine::Number(n, after) => (n, after),
                                    _ => return Err(ProtocolError::InvalidBulkLength),
                                },
                                other => {
                                    let got = other.copied().unwrap_or_default();
                                    return Err(ProtocolError::ExpectedDollar { got });
                                }
                            },
                        },
                    };
                    // A request beyond 4 GiB could not be described by spans; no limit of the
                    // server lets one grow so far.
                    if len < 0
                        || len as u64 > self.limits.max_bulk
                        || after as u64 + len as u64 > u64::from(u32::MAX) - 2
                    {
                        return Err(ProtocolError::InvalidBulkLength);
                    }
                    if len > UNAUTHENTICATED_BULK_MAX && !self.limits.authenticated {
                        return Err(ProtocolError::UnauthenticatedBulkLength);
                    }
                    pos = after;
                    len as usize
                }
            };
            let end = pos + len + 2;
            if end > buf.len() {
                self.bulk = Some(len);
                break end - buf.len();
            }
            spans.push(Span { start: pos as u32, len: len as u32 });
            bulk = None;
            pos = end;
            missing -= 1;
            if missing == 0 {
                self.pos = 0;
                self.missing = 0;
                return Ok(Parsed::Request { consumed: pos });
            }
        };
        self.pos = pos;
        self.missing = missing;
        self.keep_partial(spans, base);
        Ok(Parsed::Incomplete { need })
    }

    /// Sets the arguments of an unfinished request aside; the caller's vector is as before.
    #[cold]
    fn keep_partial(&mut self, spans: &mut Vec<Span>, base: usize) {
        if base == 0 {
            std::mem::swap(spans, &mut self.partial);
        } else {
            self.partial.extend(spans.drain(base..));
        }
    }

    /// A header line of any form, its end searched from where the last call stopped.
    #[cold]
    fn long_line(&mut self, buf: &[u8], at: usize) -> HeaderLine {
        let line = buf.get(at..).unwrap_or_default();
        let unseen = line.get(self.searched..).unwrap_or_default();
        match memchr::memchr(b'\r', unseen).map(|i| i + self.searched) {
            Some(len) if len > LINE_MAX => HeaderLine::TooLong,
            Some(len) if len + 1 < line.len() => {
                self.searched = 0;
                match line.get(1..len).and_then(parse_i64) {
                    Some(n) => HeaderLine::Number(n, at + len + 2),
                    None => HeaderLine::NotNumber,
                }
            }
            Some(len) => {
                self.searched = len;
                HeaderLine::NoEnd
            }
            None if line.len() > LINE_MAX => HeaderLine::TooLong,
            None => {
                self.searched = line.len();
                HeaderLine::NoEnd
            }
        }
    }

    #[cold]
    fn inline(&mut self, buf: &mut [u8], spans: &mut Vec<Span>) -> Result<Parsed, ProtocolError> {
        let unseen = buf.get(self.searched..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', unseen).map(|i| i + self.searched) else {
            if buf.len() > LINE_MAX {
                return Err(ProtocolError::TooBigInline);
            }
            self.searched = buf.len();
            return Ok(Parsed::Incomplete { need: 1 });
        };
        self.searched = 0;
        if end > LINE_MAX {
            return Err(ProtocolError::TooBigInline);
        }
        let consumed = end + 1;
        let line = buf.get_mut(..end).unwrap_or_default();
        let line = match line {
            [text @ .., b'\r'] => text,
            text => text,
        };
        let base = spans.len();
        split_inline(line, spans)?;
        Ok(if spans.len() == base {
            Parsed::Empty { consumed }
        } else {
            Parsed::Request { consumed }
        })
    }
}

/// A type byte, one to four canonical digits and `\r` plus one byte: all but the rarest header
/// lines. `None` says nothing about the line except that the long way must look at it.
#[inline]
fn short_number(buf: &[u8], at: usize) -> Option<(u32, usize)> {
    let &[_, a, b, c] = buf.get(at..)?.first_chunk::<4>()?;
    let a = a.wrapping_sub(b'0');
    if a > 9 {
        return None;
    }
    if b == b'\r' {
        return Some((u32::from(a), at + 4));
    }
    let b = b.wrapping_sub(b'0');
    if b > 9 || a == 0 {
        return None;
    }
    let &[d, e, f] = buf.get(at + 4..)?.first_chunk::<3>()?;
    let two = u32::from(a) * 10 + u32::from(b);
    if c == b'\r' {
        return Some((two, at + 5));
    }
    let c = c.wrapping_sub(b'0');
    if c > 9 {
        return None;
    }
    let three = two * 10 + u32::from(c);
    if d == b'\r' {
        return Some((three, at + 6));
    }
    let d = d.wrapping_sub(b'0');
    if d > 9 || e != b'\r' {
        return None;
    }
    let _ = f; // the byte after `\r` is there
    Some((three * 10 + u32::from(d), at + 7))
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The words of a line, unquoted as in an inline request; `None` if a quote does not end.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut line = line.to_vec();
    let mut spans = Vec::new();
    split_inline(&mut line, &mut spans).ok()?;
    Some(spans.iter().map(|span| span.of(&line).to_vec()).collect())
}

/// Splits an inline request as `sdssplitargs` does and unquotes it in place.
#[expect(clippy::indexing_slicing, reason = "`write <= read < line.len()` holds at every index")]
fn split_inline(line: &mut [u8], spans: &mut Vec<Span>) -> Result<(), ProtocolError> {
    let base = spans.len();
    let mut read = 0;
    loop {
        while read < line.len() && is_blank(line[read]) {
            read += 1;
        }
        if read == line.len() {
            return Ok(());
        }
        let start = read;
        let mut write = read;
        let mut quote = None;
        while read < line.len() {
            let b = line[read];
            let (byte, taken) = match quote {
                None => match b {
                    b' ' | b'\t' | b'\n' | b'\r' => break,
                    b'"' | b'\'' => {
                        quote = Some(b);
                        read += 1;
                        continue;
                    }
                    _ => (b, 1),
                },
                Some(q) if b == q => {
                    read += 1;
                    if read < line.len() && !is_blank(line[read]) {
                        spans.truncate(base);
                        return Err(ProtocolError::UnbalancedQuotes);
                    }
                    quote = None;
                    break;
                }
                Some(b'"') => unescape(&line[read..]),
                Some(_) if line[read..].starts_with(b"\\'") => (b'\'', 2),
                Some(_) => (b, 1),
            };
            line[write] = byte;
            write += 1;
            read += taken;
        }
        if quote.is_some() {
            spans.truncate(base);
            return Err(ProtocolError::UnbalancedQuotes);
        }
        spans.push(Span { start: start as u32, len: (write - start) as u32 });
    }
}

/// The byte at the start of text inside double quotes, and how many bytes spell it.
fn unescape(text: &[u8]) -> (u8, usize) {
    match *text {
        [b'\\', b'x', hi, lo, ..] if hi.is_ascii_hexdigit() && lo.is_ascii_hexdigit() => {
            let digit = |b: u8| (b as char).to_digit(16).unwrap_or(0) as u8;
            (digit(hi) * 16 + digit(lo), 4)
        }
        [b'\\', c, ..] => {
            let byte = match c {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 0x08,
                b'a' => 0x07,
                other => other,
            };
            (byte, 2)
        }
        [b, ..] => (b, 1),
        [] => (0, 1),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
