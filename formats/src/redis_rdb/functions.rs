//! Libraries of functions as FUNCTION DUMP writes them.
//!
//! ```text
//! u8 245, string source  once per library
//! u16 version, u64 crc64 little-endian, as every payload ends
//! ```

use super::file::op;
use super::prim::{put_raw, string};
use super::{Format, Limits, Payload, seal};
use crate::bytes::{Put, Reader};
use crate::error::DecodeError;
use std::borrow::Cow;
use std::fmt;

/// Why a payload holds no libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFunctions {
    /// Version or checksum.
    Frame(DecodeError),
    /// The form of the release candidates of Redis 7.
    Candidate,
    /// Something else, a value for instance.
    Other,
    /// A library that does not decode.
    Source(DecodeError),
}

impl fmt::Display for NotFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The words of Redis (`functions.c`, `functionRestoreCommand`; `rdb.c`, `rdbFunctionLoad`).
        f.write_str(match self {
            NotFunctions::Frame(_) => "DUMP payload version or checksum are wrong",
            NotFunctions::Candidate => "Pre-GA function format not supported",
            NotFunctions::Other => "given type is not a function",
            NotFunctions::Source(_) => "Failed loading library payload",
        })
    }
}

impl std::error::Error for NotFunctions {}

/// Writes a payload of libraries.
pub fn dump<'a>(sources: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let from = out.len();
    for source in sources {
        out.put_u8(op::FUNCTION);
        put_raw(out, source);
    }
    seal(out, from, Format::OWN.version);
}

/// The sources in a payload, in order.
pub fn read<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<Cow<'a, [u8]>>, NotFunctions> {
    let payload = Payload::open(bytes, false).map_err(NotFunctions::Frame)?;
    let mut r = Reader::new(payload.content, 0);
    let mut sources = Vec::new();
    while r.remaining() > 0 {
        match r.u8("library opcode").map_err(NotFunctions::Source)? {
            op::FUNCTION => {}
            op::FUNCTION_PRE => return Err(NotFunctions::Candidate),
            _ => return Err(NotFunctions::Other),
        }
        sources.push(string(&mut r, limits, "function library").map_err(NotFunctions::Source)?);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::{NotFunctions, dump, read};
    use crate::redis_rdb::{Limits, seal};

    #[test]
    fn there_and_back() {
        let sources: [&[u8]; 3] = [b"#!lua name=a\n", b"", &[0xff; 70_000]];
        let mut payload = Vec::new();
        dump(sources.into_iter(), &mut payload);
        let back = read(&payload, &Limits::default()).expect("just written");
        assert!(back.iter().map(|s| &**s).eq(sources));
    }

    #[test]
    fn what_is_refused() {
        let sealed = |content: &[u8]| {
            let mut payload = content.to_vec();
            seal(&mut payload, 0, 10);
            payload
        };
        let limits = Limits::default();
        assert_eq!(read(&sealed(&[246, 0]), &limits), Err(NotFunctions::Candidate));
        assert_eq!(read(&sealed(&[0, 1, b'x']), &limits), Err(NotFunctions::Other));
        assert!(matches!(read(&sealed(&[245, 9, b'x']), &limits), Err(NotFunctions::Source(_))));
        let mut broken = sealed(&[245, 1, b'x']);
        broken[2] = b'y';
        assert!(matches!(read(&broken, &limits), Err(NotFunctions::Frame(_))));
    }
}
