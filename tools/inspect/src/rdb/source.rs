//! One stream of items out of any kind of snapshot. The bytes are read by the codecs of
//! moon-formats; here they get one shape.

use std::ops::ControlFlow;
use std::path::Path;

use moon_formats::DecodeError;
use moon_formats::redis_rdb::{self, FileReader, Format, Limits, Magic, Step};
use moon_formats::rrdshard::{self, Decoder, Entry, Head, Joiner, Range, Section, Stored, Summary};
use moon_formats::value::{Value, ValueType};
use moon_formats::wal::body::ColdPtr;

use super::ADVICE;
use crate::fail::Failure;
use crate::logs::Files;

/// Where the value of a key is.
pub(crate) enum Where<'a> {
    /// Here.
    Here { body: &'a [u8], value: Value<'a> },
    /// Here, put together from chunks.
    Joined { body: &'a [u8], value: Value<'a> },
    /// In a file of cold values.
    Cold(ColdPtr),
}

/// A key of any kind of file.
pub(crate) struct Key<'a> {
    pub(crate) db: u64,
    pub(crate) key: &'a [u8],
    pub(crate) kind: ValueType,
    pub(crate) expire_ms: Option<u64>,
    /// Access word of Moon.
    pub(crate) access: Option<u32>,
    /// Of Redis.
    pub(crate) idle_secs: Option<u64>,
    pub(crate) freq: Option<u8>,
    pub(crate) place: Where<'a>,
}

impl<'a> Key<'a> {
    /// Body and value, if they are in the file.
    pub(crate) fn value(&self) -> Option<(&'a [u8], &Value<'a>)> {
        match &self.place {
            Where::Here { body, value } | Where::Joined { body, value } => Some((body, value)),
            Where::Cold(_) => None,
        }
    }
}

/// What a file holds.
pub(crate) enum Item<'a> {
    Head(Head),
    ForeignHead(Format),
    Range(Range),
    Key(Key<'a>),
    Section(Section<'a>),
    Aux(&'a [u8], &'a [u8]),
    Function(&'a [u8]),
}

/// How a file ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// What the trailer of ours says.
    pub(crate) summary: Option<Summary>,
    /// The file has a checksum over all of it.
    pub(crate) checked: bool,
    /// Bytes behind the end: a preamble in an append-only file.
    pub(crate) bytes: u64,
}

/// Takes items; the number is the offset in the file.
pub(crate) type Take<'t> = dyn FnMut(u64, Item<'_>) -> ControlFlow<()> + 't;

/// Reads a file to its end, or until `take` breaks off (then `None`).
pub(crate) fn read(
    files: &Files,
    path: &Path,
    take: &mut Take<'_>,
) -> Result<Option<End>, Failure> {
    let (head, _) = files.head(path, 8)?;
    let is_foreign = head.starts_with(b"REDIS") || head.starts_with(b"VALKEY");
    match is_foreign {
        true => foreign(files, path, take),
        false => ours(files, path, take),
    }
}

fn ours(files: &Files, path: &Path, take: &mut Take<'_>) -> Result<Option<End>, Failure> {
    let mut reader = Ours { decoder: Decoder::new(), joiner: Joiner::default(), end: None };
    let mut result = Ok(ControlFlow::Continue(()));
    files.stream(path, |piece| {
        reader.decoder.feed(piece);
        result = reader.items(take);
        match result {
            Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    })?;
    if let Ok(ControlFlow::Continue(())) = result {
        reader.decoder.close();
        result = reader.items(take);
    }
    match result {
        Ok(ControlFlow::Continue(())) => Ok(reader.end),
        Ok(ControlFlow::Break(())) => Ok(None),
        Err(e) => Err(Failure::decode(path, &e, ADVICE)),
    }
}

struct Ours {
    decoder: Decoder,
    joiner: Joiner,
    end: Option<End>,
}

impl Ours {
    /// Every item of what was fed.
    fn items(&mut self, take: &mut Take<'_>) -> Result<ControlFlow<()>, DecodeError> {
        let Ours { decoder, joiner, end } = self;
        loop {
            let Some(item) = decoder.next()? else { return Ok(ControlFlow::Continue(())) };
            let flow = match item {
                rrdshard::Item::Head(head) => take(0, Item::Head(head)),
                rrdshard::Item::Db(_) => ControlFlow::Continue(()),
                rrdshard::Item::Range(range) => take(range.offset, Item::Range(range)),
                rrdshard::Item::Entry(entry) => {
                    joiner.entry(&entry);
                    match key_of(&entry) {
                        Some(key) => take(entry.offset, Item::Key(key)),
                        None => ControlFlow::Continue(()),
                    }
                }
                rrdshard::Item::Chunk(chunk) => match joiner.chunk(&chunk) {
                    None => ControlFlow::Continue(()),
                    Some(joined) => {
                        let (body, value) = (&joined.body[..], joined.value()?);
                        let key = Key {
                            db: joined.db.into(),
                            key: &joined.key,
                            kind: joined.kind,
                            expire_ms: joined.expire_ms,
                            access: joined.access,
                            idle_secs: None,
                            freq: None,
                            place: Where::Joined { body, value },
                        };
                        take(joined.offset, Item::Key(key))
                    }
                },
                rrdshard::Item::Section(section) => take(section.offset, Item::Section(section)),
                rrdshard::Item::End(summary) => {
                    let bytes = summary.bytes;
                    *end = Some(End { summary: Some(summary), checked: true, bytes });
                    ControlFlow::Continue(())
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }
}

/// A key whose value is known; large ones are when their chunks have come.
fn key_of<'a>(entry: &Entry<'a>) -> Option<Key<'a>> {
    let place = match &entry.value {
        Stored::Body { bytes, value } => Where::Here { body: bytes, value: value.clone() },
        Stored::Cold(ptr) => Where::Cold(*ptr),
        Stored::Large(_) => return None,
    };
    let &Entry { db, key, kind, expire_ms, access, .. } = entry;
    Some(Key { db: db.into(), key, kind, expire_ms, access, idle_secs: None, freq: None, place })
}

fn foreign(files: &Files, path: &Path, take: &mut Take<'_>) -> Result<Option<End>, Failure> {
    let limits = Limits::default();
    let mut reader =
        Foreign { reader: FileReader::new(limits), buf: Vec::new(), end: None, want: 0 };
    let mut result = Ok(ControlFlow::Continue(()));
    files.stream(path, |piece| {
        reader.buf.extend_from_slice(piece);
        if reader.buf.len() >= reader.want {
            result = reader.items(take, false);
        }
        match result {
            Ok(ControlFlow::Continue(())) if reader.end.is_none() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    })?;
    if let (Ok(ControlFlow::Continue(())), None) = (&result, reader.end) {
        result = reader.items(take, true);
    }
    match result {
        Ok(ControlFlow::Continue(())) => Ok(reader.end),
        Ok(ControlFlow::Break(())) => Ok(None),
        Err(e) => Err(Failure::decode(path, &e, ADVICE)),
    }
}

struct Foreign {
    reader: FileReader,
    /// The file from the reader's offset on.
    buf: Vec<u8>,
    end: Option<End>,
    /// Bytes that must be there before the next try.
    want: usize,
}

impl Foreign {
    fn items(&mut self, take: &mut Take<'_>, last: bool) -> Result<ControlFlow<()>, DecodeError> {
        let Foreign { reader, buf, end, want } = self;
        let mut taken = 0;
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() && end.is_none() {
            let offset = reader.offset();
            let (n, item) = match reader.next(&buf[taken..], last)? {
                Step::Item(n, item) => (n, item),
                Step::More(n) => {
                    *want = n;
                    break;
                }
            };
            taken += n;
            flow = match item {
                redis_rdb::Item::Head(format) => take(offset, Item::ForeignHead(format)),
                redis_rdb::Item::Aux(name, value) => take(offset, Item::Aux(&name, &value)),
                // Only a reader that was asked to skip modules has any.
                redis_rdb::Item::Resize(..) | redis_rdb::Item::Module(_) => {
                    ControlFlow::Continue(())
                }
                redis_rdb::Item::Function(source) => take(offset, Item::Function(&source)),
                redis_rdb::Item::Key(k) => {
                    let place = Where::Here { body: k.body, value: k.value()? };
                    let redis_rdb::Key { db, kind, expire_ms, idle_secs, freq, .. } = k;
                    let key = Key {
                        db,
                        key: &k.key,
                        kind,
                        expire_ms,
                        access: None,
                        idle_secs,
                        freq,
                        place,
                    };
                    take(offset, Item::Key(key))
                }
                redis_rdb::Item::End { checked } => {
                    *end = Some(End { summary: None, checked, bytes: offset + n as u64 });
                    ControlFlow::Continue(())
                }
            };
        }
        buf.drain(..taken);
        Ok(flow)
    }
}

/// `redis 12`, `valkey 80`.
pub(crate) fn format_name(format: Format) -> String {
    let magic = match format.magic {
        Magic::Redis => "REDIS",
        Magic::Valkey => "VALKEY",
    };
    format!("{magic} {}", format.version)
}
