//! `backup.json`: what a set in a repository of backups holds (durability §15).
//!
//! ```text
//! {"moon-backup":1,"tool":"0.1.0","set":"set-<utc>-<id>","kind":"full"|"incremental","parent":<set>|null,
//! "uuid":"<32 hex>","shard_count":<n>,"databases":<n>,"created_ms":<unix ms>,"taken_us":<unix us>,
//! "shards":[{"shard":<n>,"epoch":<e>,"base_seq":<n>|null,"base_cut":<lsn>|null,
//!   "lsn_from":<lsn>,"lsn_to":<lsn>,"first_seq":<n>,"last_seq":<n>,"sealed":<bool>,
//!   "tail_crc":<u32>|null,"from_us":<unix us>|null,"to_us":<unix us>|null,
//!   "digest":"<32 hex>"|null,"parts":"<part list>"}, ...],
//! "files":[{"path":"<below the data directory>","bytes":<n>,"xxh64":"<16 hex>",
//!   "codec":"none"|"zstd","stored_bytes":<n>,"stored_xxh64":"<16 hex>"}, ...],
//! "end":"<crc32c of every byte before this member, 8 hex>"}
//! ```
//!
//! Integers above 2^53 are strings. `shards` are all shards, in order. A set holds the LSNs `lsn_from` to
//! `lsn_to` of each; those of an incremental one begin behind its parent's. `parts` is the part list with
//! which the files are a data directory ([`crate::aof::PartList`]): it names the base of a full set, and the
//! timelines. `first_seq` is 0 where no segment was needed.
//!
//! Invariants: what is decoded has only paths that a data directory has, so nothing is written elsewhere;
//! every base and segment that is named is among the files, once, and nothing else is.

#![warn(clippy::indexing_slicing)]

use std::fmt;

use crate::aof::PartList;
use crate::crc::crc32c;
use crate::error::{Cause, DecodeError};
use crate::json::{Json, Members, Object};
use crate::marker::{DATABASES_MAX, SHARDS_MAX};
use crate::names;
use crate::text::is_lower_hex;

/// Version that is written.
pub const VERSION: u64 = 1;
/// Longest file that is read, in bytes.
pub const BYTES_MAX: u64 = 64 << 20;
/// Most files of a set.
const FILES_MAX: usize = 500_000;

/// What a set builds on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Full,
    /// The set with this name.
    Incremental(String),
}

/// One shard's part of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPart {
    /// Shard number.
    pub shard: u16,
    /// First LSN that the set covers; of a full set the one behind the cut of its base.
    pub lsn_from: u64,
    /// LSN of the last record that it holds, or of its base.
    pub lsn_to: u64,
    /// Number of its first segment; 0 for none.
    pub first_seq: u64,
    /// Number of the last segment that was looked at; 0 for none.
    pub last_seq: u64,
    /// That segment had been ended.
    pub sealed: bool,
    /// CRC of the record at `lsn_to`, where it is known.
    pub tail_crc: Option<u32>,
    /// Clock of the first batch, microseconds since 1970.
    pub from_us: Option<i64>,
    /// Clock of the last batch, microseconds since 1970.
    pub to_us: Option<i64>,
    /// Digest of the shard at `lsn_to`.
    pub digest: Option<u128>,
    /// The part list that goes with the files.
    pub parts: PartList,
}

impl ShardPart {
    /// Timeline.
    pub fn epoch(&self) -> u64 {
        self.parts.timelines.last().map_or(1, |t| t.epoch)
    }
}

/// How a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As it is.
    None,
    /// One zstd frame, under the name and [`names::ZSTD_SUFFIX`].
    Zstd,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The base with this number.
    Base(u16, u64),
    /// The log segment with this number.
    Segment(u16, u64),
}

impl FileKind {
    /// What a path below a data directory names; `None` for what no backup holds.
    pub fn of(path: &str) -> Option<FileKind> {
        let mut parts = path.split('/');
        let (a, b, name) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        if a == names::AOF_DIR {
            return Some(FileKind::Base(names::parse_shard_dir(b)?, names::parse_base_file(name)?));
        }
        let shard = names::parse_shard_dir(a).filter(|_| b == names::WAL_DIR)?;
        Some(FileKind::Segment(shard, names::parse_wal_segment(name)?))
    }

    /// Its path below a data directory.
    pub fn path(self) -> String {
        match self {
            FileKind::Base(shard, seq) => {
                format!("{}/{}/{}", names::AOF_DIR, names::shard_dir(shard), names::base_file(seq))
            }
            FileKind::Segment(shard, seq) => {
                format!(
                    "{}/{}/{}",
                    names::shard_dir(shard),
                    names::WAL_DIR,
                    names::wal_segment(seq)
                )
            }
        }
    }
}

/// A file of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupFile {
    /// What it is, and with that its path.
    pub kind: FileKind,
    /// Its size.
    pub bytes: u64,
    /// XXH64 of its bytes, seed 0.
    pub xxh64: u64,
    /// How it is stored.
    pub codec: Codec,
    /// Bytes that it takes in the set.
    pub stored_bytes: u64,
    /// XXH64 of these. Some bits of a zstd frame change nothing of what it unpacks to: only this tells of them.
    pub stored_xxh64: u64,
}

impl BackupFile {
    /// Its path below the directory of its set.
    pub fn stored_path(&self) -> String {
        match self.codec {
            Codec::None => self.kind.path(),
            Codec::Zstd => self.kind.path() + names::ZSTD_SUFFIX,
        }
    }
}

/// What a set holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Version of the program that wrote it.
    pub tool: String,
    /// Name of the set, which is that of its directory.
    pub set: String,
    /// What it builds on.
    pub kind: Kind,
    /// Identity of the data directory.
    pub uuid: [u8; 16],
    /// Databases of the data directory.
    pub databases: u16,
    /// When the data directory was made, milliseconds since 1970.
    pub created_ms: u64,
    /// The state is that of this moment, microseconds since 1970.
    pub taken_us: i64,
    /// All shards, in order.
    pub shards: Vec<ShardPart>,
    /// All files.
    pub files: Vec<BackupFile>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Kind::Full { "full" } else { "incremental" })
    }
}

impl Backup {
    /// The text of the file.
    pub fn encode(&self) -> Vec<u8> {
        let parent = match &self.kind {
            Kind::Full => None,
            Kind::Incremental(parent) => Some(parent.as_str()),
        };
        let mut text = Object::default()
            .number("moon-backup", VERSION)
            .text("tool", &self.tool)
            .text("set", &self.set)
            .text("kind", &self.kind.to_string())
            .option("parent", parent, Object::text)
            .text("uuid", &self.uuid.iter().map(|b| format!("{b:02x}")).collect::<String>())
            .number("shard_count", self.shards.len() as u64)
            .number("databases", self.databases.into())
            .number("created_ms", self.created_ms)
            .signed("taken_us", self.taken_us)
            .list("shards", self.shards.iter().map(shard_object))
            .list("files", self.files.iter().map(file_object))
            .open_bytes();
        let end = format!(",\n\"end\":\"{:08x}\"}}\n", crc32c(&text));
        text.extend_from_slice(end.as_bytes());
        text
    }

    /// Reads the file.
    ///
    /// # Errors
    /// It is damaged, does not agree with itself, or was written by a later version.
    pub fn decode(text: &[u8]) -> Result<Backup, DecodeError> {
        const WHAT: &str = "backup.json";
        if text.len() as u64 > BYTES_MAX {
            let cause = Cause::Count { count: text.len() as u64, fits: BYTES_MAX };
            return Err(DecodeError::new(0, WHAT, cause));
        }
        let body = check_end(text)?;
        let mut whole = body.to_vec();
        whole.push(b'}');
        let mut m = Members::of(Json::decode(&whole)?, WHAT)?;
        let version: u64 = m.number("moon-backup")?;
        if version > VERSION {
            return Err(DecodeError::new(0, "moon-backup", Cause::Newer { found: version }));
        }
        if version != VERSION {
            return Err(form("moon-backup", "1"));
        }
        let kind = match (m.text("kind")?.as_str(), m.text_or_null("parent")?) {
            ("full", None) => Kind::Full,
            ("incremental", Some(parent)) if names::is_backup_set(&parent) => {
                Kind::Incremental(parent)
            }
            _ => return Err(form("kind", "full without a parent, or incr with one")),
        };
        let shard_count: usize = m.number("shard_count")?;
        let shards = m.list("shards", SHARDS_MAX as usize)?;
        if shard_count == 0 || shards.len() != shard_count {
            return Err(form("shards", "as many as shard_count says"));
        }
        let files = m.list("files", FILES_MAX)?;
        let backup = Backup {
            tool: m.text("tool")?,
            set: m.text("set")?,
            kind,
            uuid: uuid(&m.text("uuid")?)?,
            databases: m.number("databases")?,
            created_ms: m.number("created_ms")?,
            taken_us: m.number("taken_us")?,
            shards: shards.into_iter().map(shard_part).collect::<Result<_, _>>()?,
            files: files.into_iter().map(file).collect::<Result<_, _>>()?,
        };
        backup.check()?;
        Ok(backup)
    }

    /// The part of a shard.
    pub fn shard(&self, shard: u16) -> Option<&ShardPart> {
        self.shards.get(usize::from(shard))
    }

    /// Bytes of all files, as stored.
    pub fn stored_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.stored_bytes).fold(0, u64::saturating_add)
    }

    /// That the parts agree with each other.
    fn check(&self) -> Result<(), DecodeError> {
        if !names::is_backup_set(&self.set) {
            return Err(form("set", "set-<utc>-<id>"));
        }
        if self.databases == 0 || u64::from(self.databases) > DATABASES_MAX {
            return Err(form("databases", "1 to 65534"));
        }
        let mut wanted = Vec::new();
        for (number, part) in (0u16..).zip(&self.shards) {
            if part.shard != number || part.parts.shard != number {
                return Err(form("shard", "all shards in order"));
            }
            let base = part.parts.base.filter(|_| self.kind == Kind::Full);
            let begins = match (&self.kind, part.parts.base) {
                (Kind::Full, Some(base)) => part.lsn_from == base.cut.saturating_add(1),
                (Kind::Full, None) => part.lsn_from == part.parts.log_from_lsn.max(1),
                (Kind::Incremental(_), base) => base.is_none(),
            };
            if !begins || !part.parts.history.is_empty() || part.parts.ended.is_some() {
                return Err(form("parts", "the base of a full set, and nothing else"));
            }
            if part.lsn_from == 0 || part.lsn_to.checked_add(1).is_none_or(|e| e < part.lsn_from) {
                return Err(form("lsn_to", "not before lsn_from"));
            }
            // Also a limit on what is listed below.
            let segments = part.last_seq.checked_sub(part.first_seq);
            if segments.is_none_or(|n| part.first_seq > 0 && n >= self.files.len() as u64) {
                return Err(form("last_seq", "that of the last segment among the files"));
            }
            wanted.extend(base.map(|b| FileKind::Base(number, b.seq)));
            if part.first_seq > 0 && wanted.len() <= self.files.len() {
                let seqs = part.first_seq..=part.last_seq;
                wanted.extend(seqs.map(|seq| FileKind::Segment(number, seq)));
            }
        }
        if self.files.len() != wanted.len()
            || self.files.iter().zip(&wanted).any(|(file, kind)| file.kind != *kind)
        {
            return Err(form("files", "the bases and segments of the shards, in order"));
        }
        Ok(())
    }
}

fn form(what: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::new(0, what, Cause::Form { expected })
}

/// The text up to its last member, if that is the checksum of it.
fn check_end(text: &[u8]) -> Result<&[u8], DecodeError> {
    const TAIL: usize = ",\n\"end\":\"01234567\"}\n".len();
    let split = text.len().checked_sub(TAIL).and_then(|at| text.split_at_checked(at));
    let Some((body, tail)) = split else {
        return Err(form("backup.json", "closed by an end member"));
    };
    let computed = crc32c(body);
    if tail == format!(",\n\"end\":\"{computed:08x}\"}}\n").as_bytes() {
        return Ok(body);
    }
    let stored = tail.get(9..17).and_then(|hex| std::str::from_utf8(hex).ok());
    let stored = stored.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    let cause = Cause::Checksum { stored, computed: computed.into() };
    Err(DecodeError::new(body.len() as u64, "backup.json", cause))
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(is_lower_hex) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn uuid(text: &str) -> Result<[u8; 16], DecodeError> {
    hex(text).ok_or(form("uuid", "32 hexadecimal digits"))
}

fn shard_object(part: &ShardPart) -> Object {
    let base = part.parts.base;
    Object::default()
        .number("shard", part.shard.into())
        .number("epoch", part.epoch())
        .option("base_seq", base.map(|b| b.seq), Object::number)
        .option("base_cut", base.map(|b| b.cut), Object::number)
        .number("lsn_from", part.lsn_from)
        .number("lsn_to", part.lsn_to)
        .number("first_seq", part.first_seq)
        .number("last_seq", part.last_seq)
        .flag("sealed", part.sealed)
        .option("tail_crc", part.tail_crc.map(u64::from), Object::number)
        .option("from_us", part.from_us, Object::signed)
        .option("to_us", part.to_us, Object::signed)
        .option("digest", part.digest, |o, name, d| o.text(name, &format!("{d:032x}")))
        .text("parts", &part.parts.encode())
}

fn shard_part(value: Json) -> Result<ShardPart, DecodeError> {
    let mut m = Members::of(value, "shards")?;
    let digest = match m.text_or_null("digest")? {
        None => None,
        Some(text) => {
            let bytes = hex::<16>(&text).ok_or(form("digest", "32 hexadecimal digits"))?;
            Some(u128::from_be_bytes(bytes))
        }
    };
    let part = ShardPart {
        shard: m.number("shard")?,
        lsn_from: m.number("lsn_from")?,
        lsn_to: m.number("lsn_to")?,
        first_seq: m.number("first_seq")?,
        last_seq: m.number("last_seq")?,
        sealed: m.flag("sealed")?,
        tail_crc: m.number_or_null("tail_crc")?,
        from_us: m.number_or_null("from_us")?,
        to_us: m.number_or_null("to_us")?,
        digest,
        parts: PartList::decode(m.text("parts")?.as_bytes())?,
    };
    let base = part.parts.base;
    let (epoch, seq, cut) =
        (m.number("epoch")?, m.number_or_null("base_seq")?, m.number_or_null("base_cut")?);
    if (part.epoch(), base.map(|b| b.seq), base.map(|b| b.cut)) != (epoch, seq, cut) {
        return Err(form("parts", "of the epoch and base beside it"));
    }
    Ok(part)
}

fn file_object(file: &BackupFile) -> Object {
    Object::default()
        .text("path", &file.kind.path())
        .number("bytes", file.bytes)
        .text("xxh64", &format!("{:016x}", file.xxh64))
        .text("codec", if file.codec == Codec::Zstd { "zstd" } else { "none" })
        .number("stored_bytes", file.stored_bytes)
        .text("stored_xxh64", &format!("{:016x}", file.stored_xxh64))
}

fn file(value: Json) -> Result<BackupFile, DecodeError> {
    let mut m = Members::of(value, "files")?;
    let kind = FileKind::of(&m.text("path")?).ok_or(form("path", "that of a base or a segment"))?;
    let mut xxh64 = |name| {
        let digits = hex::<8>(&m.text(name)?).ok_or(form(name, "16 hexadecimal digits"))?;
        Ok(u64::from_be_bytes(digits))
    };
    let (content, stored) = (xxh64("xxh64")?, xxh64("stored_xxh64")?);
    let codec = match m.text("codec")?.as_str() {
        "none" => Codec::None,
        "zstd" => Codec::Zstd,
        _ => return Err(form("codec", "none or zstd")),
    };
    let file = BackupFile {
        kind,
        bytes: m.number("bytes")?,
        xxh64: content,
        codec,
        stored_bytes: m.number("stored_bytes")?,
        stored_xxh64: stored,
    };
    let as_stored = (file.stored_bytes, file.stored_xxh64);
    if codec == Codec::None && as_stored != (file.bytes, file.xxh64) {
        return Err(form("stored_bytes", "those of the file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_backup;

    #[test]
    fn a_set_comes_back() {
        for kind in [Kind::Full, Kind::Incremental("set-20260101T000000Z-00000001".into())] {
            let backup = sample_backup(kind);
            let text = backup.encode();
            assert_eq!(Backup::decode(&text), Ok(backup));
            // Line ends stand between members only; others are escaped.
            let line: Vec<u8> = text.into_iter().filter(|b| *b != b'\n').collect();
            assert!(crate::testing::is_json(&line), "{}", String::from_utf8_lossy(&line));
        }
    }

    /// The sample with a part of its text replaced and the checksum put right.
    fn with(from: &str, to: &str) -> Result<Backup, DecodeError> {
        let text = String::from_utf8(sample_backup(Kind::Full).encode()).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        let body = text.rsplit_once(",\n\"end\"").unwrap().0.replacen(from, to, 1);
        let end = format!(",\n\"end\":\"{:08x}\"}}\n", crc32c(body.as_bytes()));
        Backup::decode((body + &end).as_bytes())
    }

    #[test]
    fn what_does_not_agree_with_itself_is_refused_with_a_good_checksum() {
        for (from, to) in [
            ("\"moon-backup\":1", "\"moon-backup\":0"),
            ("\"kind\":\"full\"", "\"kind\":\"incremental\""),
            ("\"kind\":\"full\"", "\"kind\":\"part\""),
            ("\"shard_count\":1", "\"shard_count\":2"),
            ("\"databases\":16", "\"databases\":0"),
            ("\"epoch\":1", "\"epoch\":2"),
            ("\"base_seq\":3", "\"base_seq\":4"),
            ("\"base_cut\":100", "\"base_cut\":99"),
            ("\"lsn_from\":101", "\"lsn_from\":100"),
            ("\"lsn_to\":180", "\"lsn_to\":99"),
            ("\"first_seq\":7", "\"first_seq\":8"),
            ("\"last_seq\":8", "\"last_seq\":9"),
            ("\"last_seq\":8", "\"last_seq\":6"),
            ("appendonlydir/shard-0/", "../shard-0/"),
            ("appendonlydir/shard-0/", "appendonlydir/shard-1/"),
            ("shard-0/wal-v3/000000000007", "shard-0/wal-v3/000000000008"),
            ("\"codec\":\"none\"", "\"codec\":\"lz4\""),
            ("\"bytes\":5000", "\"bytes\":5001"),
            ("\"bytes\":5000", "\"bytes\":-1"),
            ("set-2026", "sets-2026"),
        ] {
            assert!(with(from, to).is_err(), "{to}");
        }
        assert!(with("\"moon-backup\":1", "\"moon-backup\":2").unwrap_err().is_newer());
        // A digest is not known to be wrong before the data are read.
        assert!(with("\"digest\":\"0", "\"digest\":\"1").is_ok());
    }

    #[test]
    fn paths_are_those_of_a_data_directory() {
        for kind in [FileKind::Base(0, 7), FileKind::Segment(3, 1)] {
            assert_eq!(FileKind::of(&kind.path()), Some(kind));
        }
        for bad in [
            "/etc/passwd",
            "../shard-0/wal-v3/000000000001.wal",
            "shard-0/wal-v3/../../x",
            "shard-0/wal-v3/1.wal",
            "appendonlydir/shard-0/moon.aof.manifest",
            "moon.storage",
            "shard-0/data/heap-000001.mpf",
        ] {
            assert_eq!(FileKind::of(bad), None, "{bad}");
        }
    }
}
