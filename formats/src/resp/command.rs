//! Whole commands as RESP2 arrays of bulk strings: the form of the log and of replication.
//!
//! What Moon writes here it also reads back, so the reader is strict: canonical lengths, every
//! line end checked, at least one argument.

#![warn(clippy::indexing_slicing)]

use super::reply::{put_bulk, put_header};
use crate::error::{Cause, DecodeError};
use crate::number::decimal_len;

/// Appends one command.
#[inline]
pub fn encode_command<'a, I>(out: &mut Vec<u8>, args: I)
where
    I: ExactSizeIterator<Item = &'a [u8]>,
{
    put_header(out, b'*', args.len() as u64);
    for arg in args {
        put_bulk(out, arg);
    }
}

/// Bytes [`encode_command`] appends for these arguments.
pub fn command_len<'a, I>(args: I) -> usize
where
    I: ExactSizeIterator<Item = &'a [u8]>,
{
    let head = decimal_len(args.len() as u64) + 3;
    args.fold(head, |sum, arg| sum + decimal_len(arg.len() as u64) + 5 + arg.len())
}

/// Reads commands that stand back to back in a slice.
#[derive(Debug, Clone)]
pub struct CommandIter<'a> {
    buf: &'a [u8],
    pos: usize,
    base: u64,
}

impl<'a> CommandIter<'a> {
    /// Reads `buf`; offsets in errors count from `base`.
    pub fn new(buf: &'a [u8], base: u64) -> CommandIter<'a> {
        CommandIter { buf, pos: 0, base }
    }

    /// Bytes of the commands read so far.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Reads the next command into `args` (cleared first). `Ok(false)` at the end.
    /// After an error the position is that of the command that failed.
    pub fn next_into(&mut self, args: &mut Vec<&'a [u8]>) -> Result<bool, DecodeError> {
        args.clear();
        if self.pos == self.buf.len() {
            return Ok(false);
        }
        let mut pos = self.pos;
        let count = self.number(&mut pos, b'*', "command argument count")?;
        let fits = (self.buf.len() - pos) / 6; // `$0` line end, empty, line end
        if count == 0 || count > fits {
            let (count, fits) = (count as u64, fits as u64);
            return Err(self.error(pos, "command argument count", Cause::Count { count, fits }));
        }
        for _ in 0..count {
            let len = self.number(&mut pos, b'$', "command argument length")?;
            let rest = self.buf.get(pos..).unwrap_or_default();
            let Some((arg, tail)) = rest.split_at_checked(len) else {
                return Err(self.truncated(pos, "command argument", len));
            };
            match tail {
                [b'\r', b'\n', ..] => {}
                [] | [b'\r'] => return Err(self.truncated(pos, "command argument", len + 2)),
                _ => return Err(self.form(pos + len, "a line end after the argument")),
            }
            args.push(arg);
            pos += len + 2;
        }
        self.pos = pos;
        Ok(true)
    }

    /// `kind`, a canonical decimal, line end.
    fn number(&self, pos: &mut usize, kind: u8, what: &'static str) -> Result<usize, DecodeError> {
        let at = *pos;
        let line = self.buf.get(at..).unwrap_or_default();
        match line.first() {
            None => return Err(self.truncated(at, what, 4)),
            Some(&b) if b != kind => {
                return Err(self
                    .form(at, if kind == b'*' { "`*` and a count" } else { "`$` and a length" }));
            }
            Some(_) => {}
        }
        let mut n = 0usize;
        let mut digits = 0;
        for &b in line.get(1..).unwrap_or_default() {
            match b {
                b'0'..=b'9' if digits < 10 && !(digits == 1 && n == 0) => {
                    n = n * 10 + usize::from(b - b'0');
                    digits += 1;
                }
                b'\r' if digits > 0 => {
                    let end = at + 1 + digits;
                    return match self.buf.get(end + 1) {
                        Some(b'\n') => {
                            *pos = end + 2;
                            Ok(n)
                        }
                        Some(_) => Err(self.form(end + 1, "a line end after the number")),
                        None => Err(self.truncated(at, what, digits + 3)),
                    };
                }
                _ => return Err(self.form(at + 1 + digits, "a canonical decimal number")),
            }
        }
        Err(self.truncated(at, what, digits + 3))
    }

    #[cold]
    fn error(&self, pos: usize, what: &'static str, cause: Cause) -> DecodeError {
        DecodeError::new(self.base + pos as u64, what, cause)
    }

    #[cold]
    fn truncated(&self, pos: usize, what: &'static str, needed: usize) -> DecodeError {
        let remaining = self.buf.len().saturating_sub(pos) as u64;
        self.error(pos, what, Cause::Truncated { needed: needed as u64, remaining })
    }

    #[cold]
    fn form(&self, pos: usize, expected: &'static str) -> DecodeError {
        self.error(pos, "command", Cause::Form { expected })
    }
}

impl<'a> Iterator for CommandIter<'a> {
    type Item = Result<Vec<&'a [u8]>, DecodeError>;

    /// The next command. Ends after the first error.
    fn next(&mut self) -> Option<Self::Item> {
        let mut args = Vec::new();
        match self.next_into(&mut args) {
            Ok(true) => Some(Ok(args)),
            Ok(false) => None,
            Err(e) => {
                self.pos = self.buf.len();
                Some(Err(e))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(commands: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut out = Vec::new();
        for c in commands {
            let before = out.len();
            encode_command(&mut out, c.iter().map(Vec::as_slice));
            assert_eq!(out.len() - before, command_len(c.iter().map(Vec::as_slice)));
        }
        out
    }

    #[test]
    fn bytes_on_the_wire() {
        let out = encode(&[vec![b"SET".to_vec(), b"k".to_vec(), vec![b'v'; 100]]]);
        let want = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\n{}\r\n", "v".repeat(100));
        assert_eq!(out, want.as_bytes());
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for bad in [
            "*0\r\n",
            "*-1\r\n",
            "*01\r\n$1\r\na\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n$1\r\nab\r",
            "*1\n$1\na\n",
            "*1\r\n$1\r\na\n\n",
            "*99999999999\r\n",
            "*9999999999\r\n$1\r\na\r\n",
            "GET a\r\n",
        ] {
            let e = CommandIter::new(bad.as_bytes(), 0).next().unwrap().unwrap_err();
            assert!(!e.is_truncated() || bad.ends_with('\r'), "{bad:?}: {e}");
        }
    }

    proptest! {
        #[test]
        fn commands_come_back(commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..6), 0..6)) {
            let out = encode(&commands);
            let read: Vec<Vec<Vec<u8>>> = CommandIter::new(&out, 0)
                .map(|c| c.unwrap().into_iter().map(<[u8]>::to_vec).collect())
                .collect();
            prop_assert_eq!(read, commands);
        }

        #[test]
        fn every_prefix_is_truncated(args in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..20), 1..5)) {
            let out = encode(&[args]);
            for cut in 1..out.len() {
                let e = CommandIter::new(&out[..cut], 7).next().unwrap().unwrap_err();
                // A count cut short may look too big for what remains.
                prop_assert!(e.is_truncated() || matches!(e.cause, Cause::Count { .. }), "{}", e);
            }
        }
    }
}
