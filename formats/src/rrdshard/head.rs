//! Preamble of every RRDSHARD file, and its extension from version 4.
//!
//! Both are covered by a checksum of their own only in version 4, which counts the preamble in at the
//! end of the file.

use super::{MAGIC, VERSION};
use crate::bytes::{Put, Reader};
use crate::crc::crc32c;
use crate::error::{Cause, DecodeError};
use crate::marker::{DATABASES_MAX, SHARDS_MAX};
use std::fmt;

/// Bytes of a preamble from version 2.
pub const PREAMBLE_LEN: usize = 35;
/// Bytes of the extension of version 4, its length field included.
pub const EXTENSION_LEN: usize = 80;
/// What the length field of the extension says.
const EXT_LEN: u32 = 76;

/// `(offset, size, name)` of each field; compared with the page by a test.
pub const PREAMBLE_FIELDS: &[(usize, usize, &str)] = &[
    (0, 8, "magic"),
    (8, 1, "version"),
    (9, 2, "shard_id"),
    (11, 8, "epoch"),
    (19, 8, "last_lsn"),
    (27, 8, "created_at_ms"),
];

/// `(offset, size, name)` of each field of the extension.
pub const EXTENSION_FIELDS: &[(usize, usize, &str)] = &[
    (35, 4, "ext_len"),
    (39, 4, "flags"),
    (43, 4, "features"),
    (47, 16, "storage_uuid"),
    (63, 8, "timeline"),
    (71, 8, "base_seq"),
    (79, 8, "last_gtid"),
    (87, 8, "wal_first_seq"),
    (95, 8, "mono_us"),
    (103, 2, "shards"),
    (105, 2, "databases"),
    (107, 1, "align_log2"),
    (108, 3, "zero"),
    (111, 4, "ext_crc"),
];

/// Bits of the extension's `flags`.
pub mod file_flags {
    /// The file holds every value.
    pub const SELF_CONTAINED: u32 = 1;
    /// Cold values stay where they are; the file holds their locations.
    pub const COLD_BY_REFERENCE: u32 = 2;
    /// Blocks may be compressed with zstd.
    pub const ZSTD: u32 = 4;
    /// All bits a reader knows.
    pub const KNOWN: u32 = 7;
}

/// Features this reader knows.
const FEATURES_KNOWN: u32 = 0;

/// What a file says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// Version of the file; 4 in what is written.
    pub version: u8,
    /// The shard.
    pub shard_id: u16,
    /// Number of the snapshot.
    pub epoch: u64,
    /// The cut: LSN of the last effect the file holds. In versions 2 and 3 a position of a log that does
    /// not cover keys, 0 for none.
    pub last_lsn: u64,
    /// Unix milliseconds of the cut; 0 in version 1.
    pub created_at_ms: u64,
}

/// What a file of version 4 says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// Bits of [`file_flags`]: one of the first two is set.
    pub flags: u32,
    /// Incompatible features in use.
    pub features: u32,
    /// Identity of the data directory.
    pub storage_uuid: [u8; 16],
    /// Timeline of the cut, from 1.
    pub timeline: u64,
    /// Number of the base; 0 in a file of BGSAVE.
    pub base_seq: u64,
    /// Last cross-shard unit the file holds, 0 for none.
    pub last_gtid: u64,
    /// The segment in which the log goes on after the cut.
    pub wal_first_seq: u64,
    /// Batch clock at the cut, in microseconds.
    pub mono_us: u64,
    /// Shards of the directory.
    pub shards: u16,
    /// Databases of the directory.
    pub databases: u16,
    /// log2 of the alignment it was written with.
    pub align_log2: u8,
}

/// Which kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RRDSHARD: one shard.
    Rrdshard,
    /// `MOON` of the reference: all shards. Only the version of its preamble means something.
    Moon,
}

/// Preamble and, from version 4, extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Kind of file.
    pub form: Form,
    /// The preamble.
    pub preamble: Preamble,
    /// The extension; `None` before version 4.
    pub extension: Option<Extension>,
}

impl Head {
    /// Appends a head of version 4.
    pub(super) fn put(preamble: &Preamble, ext: &Extension, out: &mut Vec<u8>) {
        out.put(MAGIC);
        out.put_u8(VERSION);
        out.put_u16(preamble.shard_id);
        out.put_u64(preamble.epoch);
        out.put_u64(preamble.last_lsn);
        out.put_u64(preamble.created_at_ms);
        let start = out.len();
        out.put_u32(EXT_LEN);
        out.put_u32(ext.flags);
        out.put_u32(ext.features);
        out.put(&ext.storage_uuid);
        out.put_u64(ext.timeline);
        out.put_u64(ext.base_seq);
        out.put_u64(ext.last_gtid);
        out.put_u64(ext.wal_first_seq);
        out.put_u64(ext.mono_us);
        out.put_u16(ext.shards);
        out.put_u16(ext.databases);
        out.put_u8(ext.align_log2);
        out.put(&[0; 3]);
        let crc = crc32c(out.get(start..).unwrap_or_default());
        out.put_u32(crc);
    }

    /// Reads the head of a file of any version and leaves the reader behind it.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Head, DecodeError> {
        let base = r.offset();
        let found = r.array::<8>("RRDSHARD")?;
        if found != *MAGIC {
            let cause = Cause::Magic { expected: MAGIC, found };
            return Err(DecodeError::new(base, "RRDSHARD", cause));
        }
        let version = r.version(1, VERSION, "RRDSHARD version")?;
        let at = r.offset();
        let preamble = Preamble {
            version,
            shard_id: r.u16("shard_id")?,
            epoch: r.u64("epoch")?,
            last_lsn: if version == 1 { 0 } else { r.u64("last_lsn")? },
            created_at_ms: if version == 1 { 0 } else { r.u64("created_at_ms")? },
        };
        let extension = if version < VERSION { None } else { Some(Extension::read(r)?) };
        if extension.is_some_and(|ext| preamble.shard_id >= ext.shards) {
            let found = u64::from(preamble.shard_id);
            let cause = Cause::Value { expected: "below the number of shards", found };
            return Err(DecodeError::new(at, "shard_id", cause));
        }
        Ok(Head { form: Form::Rrdshard, preamble, extension })
    }
}

impl Extension {
    fn read(r: &mut Reader<'_>) -> Result<Extension, DecodeError> {
        let (from, at) = (r.position(), r.offset());
        let ext_len = r.u32("ext_len")?;
        if ext_len != EXT_LEN {
            let (expected, found) = (u64::from(EXT_LEN), u64::from(ext_len));
            return Err(DecodeError::new(at, "ext_len", Cause::Mismatch { expected, found }));
        }
        let ext = Extension {
            flags: r.u32("flags")?,
            features: r.u32("features")?,
            storage_uuid: r.array("storage_uuid")?,
            timeline: r.u64("timeline")?,
            base_seq: r.u64("base_seq")?,
            last_gtid: r.u64("last_gtid")?,
            wal_first_seq: r.u64("wal_first_seq")?,
            mono_us: r.u64("mono_us")?,
            shards: r.u16("shards")?,
            databases: r.u16("databases")?,
            align_log2: r.u8("align_log2")?,
        };
        let reserved = r.clone();
        r.bytes(3, "zero")?;
        let computed = crc32c(r.taken(from, r.position()));
        let crc_at = r.offset();
        let stored = r.u32("ext_crc")?;
        if stored != computed {
            let (stored, computed) = (u64::from(stored), u64::from(computed));
            return Err(DecodeError::new(crc_at, "ext_crc", Cause::Checksum { stored, computed }));
        }
        reserved.clone().zeros(3, "zero")?;
        ext.check(at)?;
        Ok(ext)
    }

    /// Checks the values; `at` is the offset of the extension.
    fn check(&self, at: u64) -> Result<(), DecodeError> {
        let refuse = |name: &'static str, cause| {
            let field = EXTENSION_FIELDS.iter().find(|f| f.2 == name);
            let offset = field.map_or(0, |f| f.0 - PREAMBLE_LEN) as u64;
            Err(DecodeError::new(at + offset, name, cause))
        };
        let value = |expected, found| Cause::Value { expected, found };
        let unknown = u64::from(self.flags & !file_flags::KNOWN);
        if unknown != 0 {
            return refuse("flags", Cause::Newer { found: unknown });
        }
        let unknown = u64::from(self.features & !FEATURES_KNOWN);
        if unknown != 0 {
            return refuse("features", Cause::Newer { found: unknown });
        }
        let kind = self.flags & (file_flags::SELF_CONTAINED | file_flags::COLD_BY_REFERENCE);
        if kind.count_ones() != 1 {
            return refuse("flags", value("either 1 or 2 set", u64::from(self.flags)));
        }
        if self.timeline == 0 {
            return refuse("timeline", value("at least 1", 0));
        }
        if !(1..=SHARDS_MAX).contains(&u64::from(self.shards)) {
            return refuse("shards", value("1 to 1024", u64::from(self.shards)));
        }
        if !(1..=DATABASES_MAX).contains(&u64::from(self.databases)) {
            return refuse("databases", value("1 to 65534", u64::from(self.databases)));
        }
        if !(12..=24).contains(&self.align_log2) {
            return refuse("align_log2", value("12 to 24", u64::from(self.align_log2)));
        }
        Ok(())
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Preamble { version, shard_id, epoch, last_lsn, created_at_ms } = self.preamble;
        if self.form == Form::Moon {
            return write!(f, "snapshot MOON version={version}");
        }
        write!(f, "snapshot version={version} shard={shard_id} epoch={epoch}")?;
        write!(f, " last_lsn={last_lsn} created_at_ms={created_at_ms}")?;
        let Some(e) = &self.extension else { return Ok(()) };
        f.write_str(" uuid=")?;
        for b in e.storage_uuid {
            write!(f, "{b:02x}")?;
        }
        write!(f, " timeline={} base_seq={} last_gtid={}", e.timeline, e.base_seq, e.last_gtid)?;
        write!(f, " wal_first_seq={} mono_us={}", e.wal_first_seq, e.mono_us)?;
        write!(f, " shards={} databases={}", e.shards, e.databases)?;
        write!(f, " align={} features={:#x} flags=", 1u64 << e.align_log2, e.features)?;
        let names = ["SELF_CONTAINED", "COLD_BY_REFERENCE", "ZSTD"];
        crate::wal::write_flags(f, e.flags as u8, &names)
    }
}
