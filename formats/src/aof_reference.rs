//! Manifests and increments of the reference server's append-only files. Read only.
//!
//! The one idea: a manifest names files, an increment of a shard is frames around commands; what the commands
//! mean is nobody's business here.
//!
//! ```text
//! version 1 (storage-formats §7.2), all shards in one:    version 2 (§7.3), a directory for each shard:
//! seq <n>                                                 version 2
//! base <file>                                             seq <n>
//! incr <file>                                             shards <k>
//!                                                         shard <i> max_lsn <lsn>      k lines
//!
//! aof_frame   lsn u64 {bit 63: ordered} | len u32 {0: barrier} | command =len
//! ```
//!
//! Invariants: a file is never outside the directory of its manifest; a frame is believed only when it holds
//! exactly one command.

#![warn(clippy::indexing_slicing)]

use crate::bytes::Reader;
use crate::error::{Cause, DecodeError};
use crate::resp::CommandIter;

/// Most shards that a reference server has.
pub const SHARDS_MAX: u16 = 1024;
/// Bytes in front of a command.
pub const FRAME_HEAD_LEN: usize = 12;
/// Longest command.
pub const FRAME_LEN_MAX: usize = 1 << 30;
/// The command counts in the order of its number over all shards.
const ORDERED: u64 = 1 << 63;

/// What a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// Version 1: files of all shards together, in the manifest's directory.
    TopLevel {
        /// Number of the rewrite, from 1.
        seq: u64,
        /// The snapshot.
        base: Option<String>,
        /// Commands since.
        incr: Option<String>,
    },
    /// Version 2: `shard-<i>/moon.aof.<seq>.{base.rdb,incr.aof}` for each shard.
    PerShard {
        /// Number of the rewrite, from 1.
        seq: u64,
        /// How many shards there are.
        shards: u16,
    },
    /// Version 3: the guard of a native directory.
    Native,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// With the offset of the line that is wrong; a later version is refused by number.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, DecodeError> {
        let (mut version, mut seq, mut shards) = (None, None, None);
        let (mut base, mut incr, mut listed) = (None, None, 0u64);
        let mut offset = 0u64;
        for line in bytes.split(|b| *b == b'\n') {
            let at = offset;
            offset += line.len() as u64 + 1;
            let bad = |what: &'static str| {
                DecodeError::new(
                    at,
                    what,
                    Cause::Form { expected: "seq, base, incr, version, shards or shard" },
                )
            };
            let text = std::str::from_utf8(line).map_err(|_| bad("manifest line"))?;
            let words: Vec<&str> = text.split_whitespace().collect();
            let number = |word: &str| word.parse::<u64>().map_err(|_| bad("number"));
            match *words.as_slice() {
                ["version", n] if version.is_none() => version = Some(number(n)?),
                ["seq", n] if seq.is_none() => seq = Some(number(n)?),
                ["shards", n] if shards.is_none() => shards = Some(number(n)?),
                ["base", file] if base.is_none() => {
                    base = Some(file_of(file).ok_or_else(|| bad("file name"))?)
                }
                ["incr", file] if incr.is_none() => {
                    incr = Some(file_of(file).ok_or_else(|| bad("file name"))?)
                }
                ["shard", i, "max_lsn", lsn] => {
                    number(lsn)?;
                    if number(i)? != listed {
                        return Err(bad("shard number"));
                    }
                    listed += 1;
                }
                ["version" | "seq" | "shards" | "base" | "incr", ..] => {
                    return Err(bad("manifest line"));
                }
                // What later builds add.
                _ => {}
            }
        }
        let lacks = |what: &'static str| {
            DecodeError::new(offset, what, Cause::Form { expected: "the line" })
        };
        let seq = || match seq {
            Some(n) if n >= 1 => Ok(n),
            Some(n) => {
                Err(DecodeError::new(0, "seq", Cause::Value { expected: "at least 1", found: n }))
            }
            None => Err(lacks("seq")),
        };
        match version {
            None => Ok(Manifest::TopLevel { seq: seq()?, base, incr }),
            Some(2) => {
                let shards = shards.ok_or_else(|| lacks("shards"))?;
                if listed != shards {
                    return Err(DecodeError::new(
                        offset,
                        "lines of shards",
                        Cause::Value { expected: "one for each shard", found: listed },
                    ));
                }
                match u16::try_from(shards) {
                    Ok(shards @ 1..=SHARDS_MAX) => Ok(Manifest::PerShard { seq: seq()?, shards }),
                    _ => Err(DecodeError::new(
                        0,
                        "shards",
                        Cause::Value { expected: "1 to 1024", found: shards },
                    )),
                }
            }
            Some(crate::aof::VERSION) => Ok(Manifest::Native),
            Some(found) => Err(DecodeError::new(0, "version", Cause::Newer { found })),
        }
    }
}

/// A name without a way out of the directory.
fn file_of(name: &str) -> Option<String> {
    (!name.is_empty() && name != ".." && name != "." && !name.contains('/'))
        .then(|| name.to_string())
}

/// One frame of an increment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number: a position in the stream of replication, 0 for SELECT.
    pub lsn: u64,
    /// It takes effect after all that is not ordered, in the order of these numbers over all shards.
    pub is_ordered: bool,
    /// Words of the command; none for a barrier.
    pub words: Vec<&'a [u8]>,
    /// The command as it stands.
    pub command: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the frame that `buf` begins with; `base` is the offset of `buf`. A frame that is not there as a whole
    /// is [`DecodeError::is_truncated`], and only that.
    ///
    /// # Errors
    /// The command is longer than a command can be, or is not exactly one.
    pub fn decode(buf: &'a [u8], base: u64) -> Result<Frame<'a>, DecodeError> {
        let mut r = Reader::new(buf, base);
        let number = r.u64("frame lsn")?;
        let len = r.u32("frame length")? as usize;
        if len > FRAME_LEN_MAX {
            let cause = Cause::Value { expected: "at most 1 GiB", found: len as u64 };
            return Err(DecodeError::new(base + 8, "frame length", cause));
        }
        let command = r.bytes(len, "frame")?;
        let (lsn, is_ordered) = (number & !ORDERED, number & ORDERED != 0);
        let at = base + FRAME_HEAD_LEN as u64;
        let mut words = Vec::new();
        if !command.is_empty() {
            let mut commands = CommandIter::new(command, at);
            // The frame is whole: a command that is cut short within it is damage, not the end of the file.
            let one = commands.next_into(&mut words);
            if !matches!(one, Ok(true)) || commands.position() != len {
                return Err(DecodeError::new(
                    at,
                    "frame",
                    Cause::Form { expected: "exactly one command" },
                ));
            }
        }
        Ok(Frame { lsn, is_ordered, words, command })
    }

    /// Bytes of the whole frame.
    pub fn frame_len(&self) -> usize {
        FRAME_HEAD_LEN + self.command.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(lsn: u64, command: &[u8]) -> Vec<u8> {
        let mut bytes = lsn.to_le_bytes().to_vec();
        bytes.extend((command.len() as u32).to_le_bytes());
        bytes.extend_from_slice(command);
        bytes
    }

    #[test]
    fn manifests_of_both_versions() {
        let one = b"seq 3\nbase moon.aof.3.base.rdb\nincr moon.aof.3.incr.aof\n";
        let (base, incr) = (Some("moon.aof.3.base.rdb".into()), Some("moon.aof.3.incr.aof".into()));
        assert_eq!(Manifest::decode(one), Ok(Manifest::TopLevel { seq: 3, base, incr }));
        let two =
            b"version 2\nseq 7\nshards 2\nshard 0 max_lsn 12\nshard 1 max_lsn 9\nlater thing\n";
        assert_eq!(Manifest::decode(two), Ok(Manifest::PerShard { seq: 7, shards: 2 }));
        assert_eq!(Manifest::decode(crate::aof::encode_guard(1).as_bytes()), Ok(Manifest::Native));
    }

    #[test]
    fn manifests_that_are_refused() {
        for text in [
            "",
            "seq 0\n",
            "seq x\n",
            "seq 1\nseq 2\n",
            "seq 1\nbase ../x\n",
            "seq 1\nbase a b\n",
            "version 2\nseq 1\n",
            "version 2\nseq 1\nshards 2\nshard 0 max_lsn 1\n",
            "version 2\nseq 1\nshards 1\nshard 1 max_lsn 1\n",
            "version 2\nseq 1\nshards 0\n",
            "version 2\nshards 2000\n",
        ] {
            assert!(Manifest::decode(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Manifest::decode(b"version 4\nseq 1\n").unwrap_err().is_newer());
        assert!(Manifest::decode(b"seq 1\n\xff\n").is_err());
    }

    #[test]
    fn frames_are_one_command_each() {
        let ping = b"*1\r\n$4\r\nPING\r\n";
        let bytes = frame(ORDERED | 9, ping);
        let got = Frame::decode(&bytes, 0).expect("whole");
        assert_eq!((got.lsn, got.is_ordered, got.frame_len()), (9, true, bytes.len()));
        assert_eq!(got.words, [b"PING"]);
        let barrier = frame(4, b"");
        assert!(Frame::decode(&barrier, 0).expect("a barrier").words.is_empty());
        for cut in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..cut], 0).unwrap_err().is_truncated(), "{cut}");
        }
        for command in [
            &b"*1\r\n$4\r\nPIN"[..],
            b"PING\r\n\r\n",
            b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
            b"*x\r\n",
        ] {
            let e = Frame::decode(&frame(1, command), 0).unwrap_err();
            assert!(!e.is_truncated(), "{command:?}");
        }
        let e = Frame::decode(&[&[0; 8][..], &[0xff; 4]].concat(), 0).unwrap_err();
        assert!(!e.is_truncated());
    }

    #[test]
    fn mutated_input_is_refused_or_read_and_never_panics() {
        let text = b"version 2\nseq 7\nshards 1\nshard 0 max_lsn 12\n";
        let bytes = frame(3, b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n");
        for at in 0..text.len().max(bytes.len()) {
            for value in 0..=255u8 {
                let (mut t, mut b) = (text.to_vec(), bytes.clone());
                if let Some(byte) = t.get_mut(at) {
                    *byte = value;
                }
                if let Some(byte) = b.get_mut(at) {
                    *byte = value;
                }
                let _ = Manifest::decode(&t);
                let _ = Frame::decode(&b, 0);
            }
        }
    }
}
