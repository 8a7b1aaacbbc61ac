//! The reply writer.
//!
//! One buffer, one protocol. Aggregates announce their length first; a caller that learns the
//! length last takes a place with [`Reply::defer`] and fills it in. Simple strings and errors
//! never carry a line break: user bytes in them become spaces (redis-surface §1).

use crate::number::{Digits, Score};

/// Protocol version of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// RESP2, the protocol of a new connection.
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Appends replies to a buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    buf: &'a mut Vec<u8>,
    proto: Proto,
}

/// A type byte, a decimal number and a line end, built right-aligned on the stack.
struct Header {
    buf: [u8; 24],
    start: usize,
}

impl Header {
    #[inline]
    fn of(kind: u8, digits: &Digits) -> Header {
        let digits = digits.as_bytes();
        let mut buf = [0u8; 24];
        let start = 24 - 3 - digits.len();
        buf[start] = kind;
        buf[start + 1..22].copy_from_slice(digits);
        buf[22] = b'\r';
        buf[23] = b'\n';
        Header { buf, start }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.buf[self.start..]
    }
}

/// Appends `kind`, `n` and a line end. Small numbers, the common case, take one store.
#[inline]
pub(super) fn put_header(buf: &mut Vec<u8>, kind: u8, n: u64) {
    if n < 10 {
        buf.extend_from_slice(&[kind, b'0' + n as u8, b'\r', b'\n']);
    } else if n < 100 {
        let (tens, ones) = (n as u8 / 10, n as u8 % 10);
        buf.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
    } else {
        put_long_header(buf, kind, n);
    }
}

#[inline(never)]
fn put_long_header(buf: &mut Vec<u8>, kind: u8, n: u64) {
    buf.extend_from_slice(Header::of(kind, &Digits::of_u64(n)).as_bytes());
}

/// Appends `$len`, the bytes and a line end.
#[inline]
pub(super) fn put_bulk(buf: &mut Vec<u8>, bytes: &[u8]) {
    buf.reserve(bytes.len() + 26);
    put_header(buf, b'$', bytes.len() as u64);
    buf.extend_from_slice(bytes);
    buf.extend_from_slice(b"\r\n");
}

impl<'a> Reply<'a> {
    /// Writes to the end of `buf`.
    pub fn new(buf: &'a mut Vec<u8>, proto: Proto) -> Self {
        Reply { buf, proto }
    }

    /// The protocol replies are written in.
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// Switches the protocol of what follows (`HELLO`).
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
    }

    /// Bytes in the buffer, earlier replies included.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// True when the buffer holds nothing.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Takes back everything after `len`, a value that [`Reply::len`] returned.
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }

    /// What was written after `len`, a value that [`Reply::len`] returned.
    pub fn since(&self, len: usize) -> &[u8] {
        self.buf.get(len..).unwrap_or_default()
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string. Line breaks become spaces.
    #[inline]
    pub fn simple(&mut self, s: &str) {
        self.line(b'+', s.as_bytes());
    }

    /// As [`Reply::simple`] for bytes that need not be text.
    pub fn simple_bytes(&mut self, s: &[u8]) {
        self.line(b'+', s);
    }

    /// An error: `msg` starts with its code, without `-`. Line breaks become spaces.
    #[inline]
    pub fn error(&mut self, msg: &str) {
        self.line(b'-', msg.as_bytes());
    }

    /// As [`Reply::error`] for a text that quotes client bytes.
    pub fn error_bytes(&mut self, msg: &[u8]) {
        self.line(b'-', msg);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.buf.reserve(text.len() + 3);
        self.buf.push(kind);
        let at = self.buf.len();
        self.buf.extend_from_slice(text);
        if memchr::memchr2(b'\r', b'\n', text).is_some() {
            for b in &mut self.buf[at..] {
                if matches!(b, b'\r' | b'\n') {
                    *b = b' ';
                }
            }
        }
        self.buf.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        match u64::try_from(n) {
            Ok(n) => put_header(self.buf, b':', n),
            Err(_) => {
                self.buf.extend_from_slice(Header::of(b':', &Digits::of_i64(n)).as_bytes());
            }
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, b: &[u8]) {
        put_bulk(self.buf, b);
    }

    /// An integer in decimal as a bulk string.
    #[inline]
    pub fn bulk_int(&mut self, n: i64) {
        put_bulk(self.buf, Digits::of_i64(n).as_bytes());
    }

    /// The null value: `$-1`, in RESP3 `_`.
    #[inline]
    pub fn null(&mut self) {
        self.buf.extend_from_slice(match self.proto {
            Proto::Resp2 => b"$-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// The null array: `*-1`, in RESP3 `_`.
    #[inline]
    pub fn null_array(&mut self) {
        self.buf.extend_from_slice(match self.proto {
            Proto::Resp2 => b"*-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// Head of an array of `n` elements.
    #[inline]
    pub fn array(&mut self, n: usize) {
        put_header(self.buf, b'*', n as u64);
    }

    /// Head of a map: `*` with twice as many elements, in RESP3 `%`.
    #[inline]
    pub fn map(&mut self, pairs: usize) {
        let (kind, n) = self.map_head(pairs);
        put_header(self.buf, kind, n);
    }

    /// Head of a set: `*`, in RESP3 `~`.
    #[inline]
    pub fn set(&mut self, n: usize) {
        put_header(self.buf, self.set_kind(), n as u64);
    }

    /// Head of a push message: `*`, in RESP3 `>`.
    #[inline]
    pub fn push(&mut self, n: usize) {
        let kind = match self.proto {
            Proto::Resp2 => b'*',
            Proto::Resp3 => b'>',
        };
        put_header(self.buf, kind, n as u64);
    }

    /// Head of an attribute of `pairs` pairs in front of the reply it belongs to. RESP3 only:
    /// in RESP2 nothing may be written, so the caller asks for the protocol first.
    pub fn attribute(&mut self, pairs: usize) {
        debug_assert_eq!(self.proto, Proto::Resp3, "RESP2 has no attributes");
        put_header(self.buf, b'|', pairs as u64);
    }

    /// A double in Redis' score format: a bulk string, in RESP3 `,`.
    pub fn double(&mut self, d: f64) {
        let text = Score::of(d);
        match self.proto {
            Proto::Resp2 => put_bulk(self.buf, text.as_bytes()),
            Proto::Resp3 => {
                self.buf.push(b',');
                self.buf.extend_from_slice(text.as_bytes());
                self.buf.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A boolean: `:1` or `:0`, in RESP3 `#t` or `#f`.
    pub fn bool(&mut self, b: bool) {
        self.buf.extend_from_slice(match (self.proto, b) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        });
    }

    /// Text for people: a bulk string, in RESP3 a verbatim string of format `txt`.
    pub fn verbatim(&mut self, txt: &[u8]) {
        self.verbatim_as(*b"txt", txt);
    }

    /// As [`Reply::verbatim`] with another format, such as `mkd`.
    pub fn verbatim_as(&mut self, format: [u8; 3], text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => {
                put_header(self.buf, b'=', text.len() as u64 + 4);
                self.buf.extend_from_slice(&format);
                self.buf.push(b':');
                self.buf.extend_from_slice(text);
                self.buf.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A whole number of any size, given in decimal: a bulk string, in RESP3 `(`.
    pub fn big_number(&mut self, s: &str) {
        match self.proto {
            Proto::Resp2 => self.bulk(s.as_bytes()),
            Proto::Resp3 => self.line(b'(', s.as_bytes()),
        }
    }

    /// The buffer behind the writer, for a caller that writes whole replies of others into it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buf
    }

    /// Bytes of a finished reply, as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Takes the place of an aggregate head whose count is not known yet. Several places may
    /// be open; the innermost (last taken) is filled first.
    pub fn defer(&mut self) -> usize {
        self.buf.len()
    }

    /// Inserts the head of an array at a place of [`Reply::defer`].
    pub fn array_at(&mut self, at: usize, n: usize) {
        self.insert(at, b'*', n as u64);
    }

    /// Inserts the head of a map at a place of [`Reply::defer`].
    pub fn map_at(&mut self, at: usize, pairs: usize) {
        let (kind, n) = self.map_head(pairs);
        self.insert(at, kind, n);
    }

    /// Inserts the head of a set at a place of [`Reply::defer`].
    pub fn set_at(&mut self, at: usize, n: usize) {
        self.insert(at, self.set_kind(), n as u64);
    }

    fn map_head(&self, pairs: usize) -> (u8, u64) {
        match self.proto {
            Proto::Resp2 => (b'*', pairs as u64 * 2),
            Proto::Resp3 => (b'%', pairs as u64),
        }
    }

    fn set_kind(&self) -> u8 {
        match self.proto {
            Proto::Resp2 => b'*',
            Proto::Resp3 => b'~',
        }
    }

    fn insert(&mut self, at: usize, kind: u8, n: u64) {
        let header = Header::of(kind, &Digits::of_u64(n));
        let header = header.as_bytes();
        let end = self.buf.len();
        self.buf.extend_from_slice(header);
        self.buf.copy_within(at..end, at + header.len());
        self.buf[at..at + header.len()].copy_from_slice(header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `f` under both protocols and compares the bytes.
    fn check(f: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
        for (proto, want) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
            let mut buf = Vec::new();
            f(&mut Reply::new(&mut buf, proto));
            assert_eq!(buf.escape_ascii().to_string(), want.escape_default().to_string());
        }
    }

    #[test]
    fn shapes_in_both_protocols() {
        check(|r| r.ok(), "+OK\r\n", "+OK\r\n");
        check(|r| r.simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n");
        check(|r| r.error("ERR x\ny"), "-ERR x y\r\n", "-ERR x y\r\n");
        check(|r| r.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
        check(|r| r.bulk(&[b'x'; 12]), "$12\r\nxxxxxxxxxxxx\r\n", "$12\r\nxxxxxxxxxxxx\r\n");
        check(|r| r.bulk_int(-10), "$3\r\n-10\r\n", "$3\r\n-10\r\n");
        check(|r| r.null(), "$-1\r\n", "_\r\n");
        check(|r| r.null_array(), "*-1\r\n", "_\r\n");
        check(|r| r.array(3), "*3\r\n", "*3\r\n");
        check(|r| r.map(70), "*140\r\n", "%70\r\n");
        check(|r| r.set(2), "*2\r\n", "~2\r\n");
        check(|r| r.push(2), "*2\r\n", ">2\r\n");
        check(|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        check(|r| r.bool(true), ":1\r\n", "#t\r\n");
        check(|r| r.bool(false), ":0\r\n", "#f\r\n");
        check(|r| r.verbatim(b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        check(|r| r.big_number("12345"), "$5\r\n12345\r\n", "(12345\r\n");
    }

    #[test]
    fn integers() {
        for n in [0, 9, 10, 99, 100, 1234567, -1, -10, i64::MAX, i64::MIN] {
            let text = format!(":{n}\r\n");
            check(|r| r.int(n), &text, &text);
        }
    }

    #[test]
    fn deferred_heads_nest() {
        check(
            |r| {
                r.int(7);
                let outer = r.defer();
                r.bulk(b"k");
                let inner = r.defer();
                r.int(1);
                r.int(2);
                r.set_at(inner, 2);
                r.map_at(outer, 1);
            },
            ":7\r\n*2\r\n$1\r\nk\r\n*2\r\n:1\r\n:2\r\n",
            ":7\r\n%1\r\n$1\r\nk\r\n~2\r\n:1\r\n:2\r\n",
        );
    }

    #[test]
    fn truncate_takes_back_a_reply() {
        let mut buf = Vec::new();
        let mut r = Reply::new(&mut buf, Proto::Resp2);
        r.ok();
        let at = r.len();
        r.array(2);
        assert_eq!(r.since(at), b"*2\r\n");
        r.truncate(at);
        r.null();
        assert_eq!(buf, b"+OK\r\n$-1\r\n");
    }
}
