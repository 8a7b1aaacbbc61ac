//! `Command`: the effects of one atomic unit as RESP2 arrays, back to back.
//!
//! ```text
//! Command     commands rest
//! with EFFECT_META: the commands as bytes32, then one EffectMeta for each
//! EffectMeta  bits u8 {1 key created, 2 key removed, 4 before-image} |
//!             [type u8 | before bytes32]
//! ```

use super::{Payload, Quoted};
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::resp::{CommandIter, encode_command};
use crate::wal::record::{RecordStart, RecordType, begin_record, end_record, record_flags};
use std::fmt;

/// Payload of a `Command` record. The arrays are checked when they are read, not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// RESP2 arrays of bulk strings.
    pub resp: &'a [u8],
    /// Effect metadata, one entry per array.
    pub meta: Option<&'a [u8]>,
    /// Offset of `resp` in the file.
    pub offset: u64,
}

/// What one effect did to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EffectMeta<'a> {
    /// The key did not exist before.
    pub created: bool,
    /// The key does not exist after.
    pub removed: bool,
    /// Type and value body (storage-formats §6) of the key before.
    pub before: Option<(u8, &'a [u8])>,
}

impl<'a> EffectMeta<'a> {
    /// Appends the entry.
    pub fn put(&self, out: &mut Vec<u8>) {
        let bits = u8::from(self.created)
            | u8::from(self.removed) << 1
            | u8::from(self.before.is_some()) << 2;
        out.put_u8(bits);
        if let Some((kind, body)) = self.before {
            out.put_u8(kind);
            out.put_bytes32(body);
        }
    }

    fn read(r: &mut Reader<'a>) -> Result<EffectMeta<'a>, DecodeError> {
        let at = r.offset();
        let bits = r.u8("effect bits")?;
        if bits > 7 {
            let found = u64::from(bits & !7);
            return Err(DecodeError::new(at, "effect bit", Cause::Newer { found }));
        }
        let before = match bits & 4 {
            0 => None,
            _ => Some((r.u8("before-image type")?, r.bytes32("before-image")?)),
        };
        Ok(EffectMeta { created: bits & 1 != 0, removed: bits & 2 != 0, before })
    }
}

impl<'a> Command<'a> {
    /// A payload without metadata.
    pub fn new(resp: &'a [u8]) -> Command<'a> {
        Command { resp, meta: None, offset: 0 }
    }

    /// The effects, without copying. Each call starts anew.
    pub fn effects(&self) -> EffectIter<'a> {
        let meta_offset = self.offset + self.resp.len() as u64;
        EffectIter {
            commands: CommandIter::new(self.resp, self.offset),
            meta: self.meta.map(|m| Reader::new(m, meta_offset)),
        }
    }
}

/// One effect: a command and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Name and arguments.
    pub args: Vec<&'a [u8]>,
    /// What it did, if the record says.
    pub meta: Option<EffectMeta<'a>>,
}

/// Reads the effects of a [`Command`].
#[derive(Debug, Clone)]
pub struct EffectIter<'a> {
    commands: CommandIter<'a>,
    meta: Option<Reader<'a>>,
}

impl<'a> EffectIter<'a> {
    /// Reads the next effect into `args`. `Ok(None)` at the end of both lists; one list longer
    /// than the other is an error.
    pub fn next_into(
        &mut self,
        args: &mut Vec<&'a [u8]>,
    ) -> Result<Option<Option<EffectMeta<'a>>>, DecodeError> {
        if !self.commands.next_into(args)? {
            return match &self.meta {
                Some(r) => r.finish("effect metadata").map(|()| None),
                None => Ok(None),
            };
        }
        self.meta.as_mut().map(EffectMeta::read).transpose().map(Some)
    }
}

impl<'a> Iterator for EffectIter<'a> {
    type Item = Result<Effect<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut args = Vec::new();
        match self.next_into(&mut args) {
            Ok(Some(meta)) => Some(Ok(Effect { args, meta })),
            Ok(None) => None,
            Err(e) => {
                // An error ends the walk: nothing after it can be trusted.
                self.commands = CommandIter::new(&[], 0);
                self.meta = None;
                Some(Err(e))
            }
        }
    }
}

impl<'a> Payload<'a> for Command<'a> {
    const TYPE: RecordType = RecordType::Command;

    fn put(&self, out: &mut Vec<u8>) {
        if let Some(meta) = self.meta {
            out.put_bytes32(self.resp);
            out.put(meta);
        } else {
            out.put(self.resp);
        }
    }

    fn read(r: &mut Reader<'a>, flags: u8) -> Result<Self, DecodeError> {
        if flags & record_flags::EFFECT_META == 0 {
            let offset = r.offset();
            return Ok(Command { resp: r.rest(), meta: None, offset });
        }
        let offset = r.offset() + 4;
        let resp = r.bytes32("resp_len")?;
        Ok(Command { resp, meta: Some(r.rest()), offset })
    }

    fn flags(&self) -> u8 {
        match self.meta {
            Some(_) => record_flags::EFFECT_META,
            None => 0,
        }
    }
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for effect in self.effects() {
            f.write_str(separator)?;
            separator = "; ";
            match effect {
                Err(e) => write!(f, "<{e}>")?,
                Ok(effect) => {
                    for (i, arg) in effect.args.iter().enumerate() {
                        let space = if i == 0 { "" } else { " " };
                        write!(f, "{space}{}", Quoted(arg))?;
                    }
                    let Some(meta) = effect.meta else { continue };
                    if meta.created {
                        f.write_str(" +created")?;
                    }
                    if meta.removed {
                        f.write_str(" +removed")?;
                    }
                    if let Some((kind, body)) = meta.before {
                        write!(f, " +before(type {kind}, {} bytes)", body.len())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Builds a `Command` record in place: commands first, then (with metadata) one entry each.
#[derive(Debug)]
#[must_use = "finish completes the record"]
pub struct CommandWriter {
    start: RecordStart,
    /// Where `resp_len` stands, for a record with metadata.
    resp_len_at: Option<usize>,
}

impl CommandWriter {
    /// Starts a record at the end of `out`. With `meta` the caller gives one [`EffectMeta`] per
    /// command after [`CommandWriter::end_commands`].
    #[inline]
    pub fn begin(out: &mut Vec<u8>, lsn: u64, flags: u8, db: u16, meta: bool) -> CommandWriter {
        let flags = if meta { flags | record_flags::EFFECT_META } else { flags };
        let start = begin_record(out, lsn, RecordType::Command.code(), flags, db);
        let resp_len_at = meta.then(|| {
            out.put_u32(0);
            out.len() - 4
        });
        CommandWriter { start, resp_len_at }
    }

    /// Appends one command.
    #[inline]
    pub fn command<'a, I>(&self, out: &mut Vec<u8>, args: I)
    where
        I: ExactSizeIterator<Item = &'a [u8]>,
    {
        encode_command(out, args);
    }

    /// Closes the list of commands; metadata follows. Nothing to do without metadata.
    pub fn end_commands(&self, out: &mut [u8]) {
        if let Some(at) = self.resp_len_at {
            let len = (out.len() - at - 4) as u32;
            if let Some(field) = out.get_mut(at..at + 4) {
                field.copy_from_slice(&len.to_le_bytes());
            }
        }
    }

    /// Completes the record and returns its CRC.
    #[inline]
    pub fn finish(self, out: &mut Vec<u8>) -> u32 {
        end_record(out, self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::{Body, Record};

    fn words(text: &str) -> Vec<&[u8]> {
        text.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn a_unit_with_metadata_comes_back() {
        let mut out = Vec::new();
        let w = CommandWriter::begin(&mut out, 9, record_flags::INTERNAL, 2, true);
        w.command(&mut out, words("SET k v").into_iter());
        w.command(&mut out, words("DEL h").into_iter());
        w.end_commands(&mut out);
        EffectMeta { created: true, ..Default::default() }.put(&mut out);
        EffectMeta { removed: true, before: Some((1, b"body")), ..Default::default() }
            .put(&mut out);
        w.finish(&mut out);

        let record = Record::decode(&out, 0).unwrap();
        let body = Body::of(&record, RecordType::Command).unwrap();
        assert_eq!(
            body.to_string(),
            "\"SET\" \"k\" \"v\" +created; \"DEL\" \"h\" +removed +before(type 1, 4 bytes)"
        );
        let mut again = Vec::new();
        let Body::Command(command) = body else { panic!("{body}") };
        command.put_record(&mut again, 9, record_flags::INTERNAL, 2);
        assert_eq!(again, out);
    }

    #[test]
    fn lists_of_different_length_are_refused() {
        for entries in [0, 2] {
            let mut resp = Vec::new();
            encode_command(&mut resp, words("DEL k").into_iter());
            let meta = vec![0u8; entries];
            let command = Command { meta: Some(&meta), ..Command::new(&resp) };
            let all: Result<Vec<_>, _> = command.effects().collect();
            assert!(all.is_err(), "{entries}");
        }
    }
}
