//! `Command`: the effects of one atomic unit as RESP2 arrays, back to back.
//!
//! ```text
//! Command     commands rest
//! with EFFECT_META: the commands as bytes32, then EffectMeta for each
//! EffectMeta  bits u8 {1 key created, 2 key removed, 4 before-image, 8 place, 16 another one of this
//!             command follows, 32 by expiry, 64 by eviction} | [bits&8: word u32 | key_db u16] |
//!             [bits&4: type u8 {+128 with a time to live} | [type&128: ttl_ms u64] |
//!             before bytes32 {empty: left out}]
//! ```
//!
//! An EffectMeta without a place speaks of the first argument, in the database of the record or of the last
//! SELECT before. A command that changed any other key, or several, has one with a place for each of them.
//! `before` is the value body of the key as it was before the command; no body is empty, so an empty one says
//! that the value was left out (it was large, or the key had been changed by an effect of the same command).

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
    /// Effect metadata, at least one entry per array.
    pub meta: Option<&'a [u8]>,
    /// Offset of `resp` in the file.
    pub offset: u64,
}

/// Where an effect names a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPlace {
    /// Which word of the command it is, the name being 0.
    pub word: u32,
    /// Its database.
    pub db: u16,
}

/// What one effect did to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EffectMeta<'a> {
    /// The key did not exist before.
    pub created: bool,
    /// The key does not exist after.
    pub removed: bool,
    /// A time to live ran out.
    pub expired: bool,
    /// Memory was short.
    pub evicted: bool,
    /// Where the key is named, if it is not the first argument or not the only key.
    pub place: Option<KeyPlace>,
    /// The key as it was before.
    pub before: Option<BeforeImage<'a>>,
}

/// A key as it was before a command changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeforeImage<'a> {
    /// Type code of its value body (storage-formats §6), below 128; [`BeforeImage::NO_TYPE`] if it is not known.
    pub kind: u8,
    /// Its time to live, milliseconds since 1970.
    pub ttl_ms: Option<u64>,
    /// Its value body; `None` if the value was left out. No body is empty.
    pub body: Option<&'a [u8]>,
}

/// Bit of an image's type: a time to live follows.
const IMAGE_HAS_TTL: u8 = 128;

impl<'a> BeforeImage<'a> {
    /// Type of a value of which nothing is known: it was made by the same command.
    pub const NO_TYPE: u8 = 127;

    fn put(&self, out: &mut Vec<u8>) {
        debug_assert!(self.kind < IMAGE_HAS_TTL, "type {}", self.kind);
        let kind = self.kind & !IMAGE_HAS_TTL;
        match self.ttl_ms {
            None => out.put_u8(kind),
            Some(ms) => {
                out.put_u8(kind | IMAGE_HAS_TTL);
                out.put_u64(ms);
            }
        }
        out.put_bytes32(self.body.unwrap_or_default());
    }

    fn read(r: &mut Reader<'a>) -> Result<BeforeImage<'a>, DecodeError> {
        let kind = r.u8("before-image type")?;
        let ttl_ms = match kind & IMAGE_HAS_TTL {
            0 => None,
            _ => Some(r.u64("ttl_ms of the before-image")?),
        };
        let body = Some(r.bytes32("before-image")?).filter(|body| !body.is_empty());
        Ok(BeforeImage { kind: kind & !IMAGE_HAS_TTL, ttl_ms, body })
    }
}

impl<'a> EffectMeta<'a> {
    /// Appends the only entry of an effect.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.put_one(out, false);
    }

    /// Appends an entry; `more`: another one of the same effect follows.
    pub fn put_one(&self, out: &mut Vec<u8>, more: bool) {
        let flags = [
            self.created,
            self.removed,
            self.before.is_some(),
            self.place.is_some(),
            more,
            self.expired,
            self.evicted,
        ];
        out.put_u8(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
        if let Some(place) = self.place {
            out.put_u32(place.word);
            out.put_u16(place.db);
        }
        if let Some(image) = self.before {
            image.put(out);
        }
    }

    /// The next entry, and whether another one of the same effect follows.
    fn read(r: &mut Reader<'a>) -> Result<(EffectMeta<'a>, bool), DecodeError> {
        let at = r.offset();
        let bits = r.u8("effect bits")?;
        if bits > 127 {
            let found = u64::from(bits & 128);
            return Err(DecodeError::new(at, "effect bit", Cause::Newer { found }));
        }
        let has = |bit: u8| bits & bit != 0;
        let place = match has(8) {
            false => None,
            true => Some(KeyPlace { word: r.u32("word of the key")?, db: r.u16("key_db")? }),
        };
        let before = match has(4) {
            false => None,
            true => Some(BeforeImage::read(r)?),
        };
        let meta = EffectMeta {
            created: has(1),
            removed: has(2),
            expired: has(32),
            evicted: has(64),
            place,
            before,
        };
        Ok((meta, has(16)))
    }
}

impl<'a> Command<'a> {
    /// A payload without metadata.
    pub fn new(resp: &'a [u8]) -> Command<'a> {
        Command { resp, meta: None, offset: 0 }
    }

    /// The effects in the payload of a record with these flags, without what they did.
    ///
    /// # Errors
    /// The payload ends too early.
    pub fn resp_of(payload: &'a [u8], flags: u8) -> Result<&'a [u8], DecodeError> {
        Command::read(&mut Reader::new(payload, 0), flags).map(|command| command.resp)
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
    /// What it did, key by key; empty if the record does not say.
    pub metas: Vec<EffectMeta<'a>>,
}

/// Reads the effects of a [`Command`].
#[derive(Debug, Clone)]
pub struct EffectIter<'a> {
    commands: CommandIter<'a>,
    meta: Option<Reader<'a>>,
}

impl<'a> EffectIter<'a> {
    /// Reads the next effect into `args`, and what it did into `metas`. `Ok(false)` at the end of both
    /// lists; one list longer than the other is an error.
    pub fn next_into(
        &mut self,
        args: &mut Vec<&'a [u8]>,
        metas: &mut Vec<EffectMeta<'a>>,
    ) -> Result<bool, DecodeError> {
        metas.clear();
        if !self.commands.next_into(args)? {
            return match &self.meta {
                Some(r) => r.finish("effect metadata").map(|()| false),
                None => Ok(false),
            };
        }
        let Some(r) = &mut self.meta else { return Ok(true) };
        loop {
            let (meta, more) = EffectMeta::read(r)?;
            metas.push(meta);
            if !more {
                return Ok(true);
            }
        }
    }
}

impl<'a> Iterator for EffectIter<'a> {
    type Item = Result<Effect<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut args, mut metas) = (Vec::new(), Vec::new());
        match self.next_into(&mut args, &mut metas) {
            Ok(true) => Some(Ok(Effect { args, metas })),
            Ok(false) => None,
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
                    effect.metas.iter().try_for_each(|meta| meta.fmt(f))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for EffectMeta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, " +at(word {}, db {})", place.word, place.db)?;
        }
        for (on, text) in [
            (self.created, " +created"),
            (self.removed, " +removed"),
            (self.expired, " +expired"),
            (self.evicted, " +evicted"),
        ] {
            if on {
                f.write_str(text)?;
            }
        }
        match self.before {
            Some(image) => write!(f, " +before({image})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for BeforeImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            BeforeImage::NO_TYPE => f.write_str("type unknown")?,
            kind => write!(f, "type {kind}")?,
        }
        if let Some(ms) = self.ttl_ms {
            write!(f, ", ttl_ms {ms}")?;
        }
        match self.body {
            Some(body) => write!(f, ", {} bytes", body.len()),
            None => f.write_str(", left out"),
        }
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
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<&[u8]> {
        text.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn a_unit_with_metadata_comes_back() {
        let mut out = Vec::new();
        let w = CommandWriter::begin(&mut out, 9, record_flags::INTERNAL, 2, true);
        w.command(&mut out, words("SET k v").into_iter());
        w.command(&mut out, words("DEL h").into_iter());
        w.command(&mut out, words("RENAME a b").into_iter());
        w.end_commands(&mut out);
        EffectMeta { created: true, ..Default::default() }.put(&mut out);
        EffectMeta {
            removed: true,
            expired: true,
            before: Some(BeforeImage { kind: 1, ttl_ms: None, body: Some(b"body") }),
            ..Default::default()
        }
        .put(&mut out);
        let at = |word| Some(KeyPlace { word, db: 2 });
        EffectMeta { place: at(2), ..Default::default() }.put_one(&mut out, true);
        EffectMeta { removed: true, place: at(1), ..Default::default() }.put_one(&mut out, false);
        w.finish(&mut out);

        let record = Record::decode(&out, 0).unwrap();
        let body = Body::of(&record, RecordType::Command).unwrap();
        assert_eq!(
            body.to_string(),
            "\"SET\" \"k\" \"v\" +created; \"DEL\" \"h\" +removed +expired +before(type 1, 4 bytes); \
             \"RENAME\" \"a\" \"b\" +at(word 2, db 2) +at(word 1, db 2) +removed"
        );
        let mut again = Vec::new();
        let Body::Command(command) = body else { panic!("{body}") };
        command.put_record(&mut again, 9, record_flags::INTERNAL, 2);
        assert_eq!(again, out);
        assert_eq!(Command::resp_of(record.payload, record.flags), Ok(command.resp));
    }

    #[test]
    fn images_come_back() {
        for (image, len, text) in [
            (BeforeImage { kind: 0, ttl_ms: None, body: Some(b"body") }, 10, "type 0, 4 bytes"),
            (
                BeforeImage { kind: 8, ttl_ms: Some(77), body: None },
                14,
                "type 8, ttl_ms 77, left out",
            ),
            (
                BeforeImage { kind: BeforeImage::NO_TYPE, ttl_ms: Some(u64::MAX), body: None },
                14,
                "type unknown, ttl_ms 18446744073709551615, left out",
            ),
        ] {
            let meta = EffectMeta { before: Some(image), ..Default::default() };
            let mut out = Vec::new();
            meta.put(&mut out);
            assert_eq!(out.len(), len);
            assert_eq!(EffectMeta::read(&mut Reader::new(&out, 0)), Ok((meta, false)));
            assert_eq!(image.to_string(), text);
            for cut in 0..len {
                let read = EffectMeta::read(&mut Reader::new(&out[..cut], 0));
                assert!(read.unwrap_err().is_truncated(), "{cut}");
            }
        }
    }

    proptest! {
        /// What is read of any bytes is what they say: it is written as the same bytes again.
        #[test]
        fn any_metadata_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut r = Reader::new(&bytes, 0);
            let (mut again, mut at) = (Vec::new(), 0);
            while let Ok((meta, more)) = EffectMeta::read(&mut r) {
                meta.put_one(&mut again, more);
                at = r.offset() as usize;
            }
            prop_assert_eq!(&again[..], &bytes[..at]);
        }

        /// Damage anywhere in the metadata is an error or another image, and never touches the effects.
        #[test]
        fn damaged_images_leave_effects_alone(
            body in prop::collection::vec(any::<u8>(), 0..40),
            ttl_ms in any::<Option<u64>>(),
            kind in 0u8..128,
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let mut resp = Vec::new();
            encode_command(&mut resp, words("SET k v").into_iter());
            let body = Some(&body[..]).filter(|b| !b.is_empty());
            let image = BeforeImage { kind, ttl_ms, body };
            let mut meta = Vec::new();
            EffectMeta { before: Some(image), ..Default::default() }.put(&mut meta);
            let whole = Command { meta: Some(&meta), ..Command::new(&resp) };
            let read: Result<Vec<_>, _> = whole.effects().collect();
            prop_assert_eq!(read.unwrap()[0].metas[0].before, Some(image));
            let mut damaged = meta.clone();
            damaged[at.index(meta.len())] ^= flip;
            let mut payload = Vec::new();
            Command { meta: Some(&damaged), ..Command::new(&resp) }.put(&mut payload);
            let command = Command::decode(&payload, record_flags::EFFECT_META, 0).unwrap();
            prop_assert_eq!(command.resp, &resp[..]);
            for effect in command.effects().flatten() {
                prop_assert_eq!(&effect.args, &words("SET k v"));
            }
        }
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
