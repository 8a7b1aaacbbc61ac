//! Every file and directory name Moon writes: built and parsed here, nowhere else.
//!
//! A name has one spelling: what a `parse_*` accepts is exactly what the builder makes, so two
//! files cannot stand for the same number. Names are relative to the directory named in the
//! table of storage-formats §2.
//!
//! | name | in | is |
//! |---|---|---|
//! | `moon.lock` | data directory | lock for the process lifetime |
//! | `moon.storage` | data directory | umbrella marker |
//! | `appendonlydir` | data directory | guard manifest and `shard-<n>` |
//! | `shard-<n>` | data directory, `appendonlydir` | files of one shard |
//! | `moon.aof.manifest` | `appendonlydir`, its `shard-<n>` | guard, part list |
//! | `moon.aof.<seq>.base.rdb` | `appendonlydir/shard-<n>` | base |
//! | `wal-v3` | `shard-<n>` | log segments |
//! | `<seq>.wal`, 12 digits or more | `wal-v3` | log segment |
//! | `timeline-<e>` | `wal-v3` | segments set aside by a PITR fork |
//! | `salvage-<plan>`, 8 hexadecimal digits | `wal-v3` | what a salvage has set aside |
//! | `moon.aof.manifest.left` | `timeline-<e>`, `salvage-<plan>` | part list that was in force before |
//! | `salvage.plan` | `salvage-<plan>` | the plan that was carried out |
//! | `shard-<n>.manifest` | `shard-<n>` | dual-root file table |
//! | `shard-<n>.rrdshard` | `shard-<n>` | last BGSAVE |
//! | `data`, `heap-<id>.mpf`, 6 digits or more | `shard-<n>` | cold values |
//! | `graph`, `seg-<id>.csr` | `shard-<n>` | graph segments |
//! | `vectors`, `segment-<id>` | `shard-<n>` | vector segments |
//! | `set-<utc>-<id>` | repository of backups | one backup; its files have the paths that they have below a data directory |
//! | `<directory>.moon.migrate.journal` | beside a data directory | how far a run of moon-migrate has come |
//! | `<directory>.new` | beside a data directory | the tree that such a run makes |
//! | `<directory>.v<n>.bak` | beside a data directory | the tree that it has replaced |
//! | `backup.json` | `set-<utc>-<id>` | what the backup holds; written last |

use crate::number::parse_u64;

/// Lock file of the data directory.
pub const LOCK: &str = "moon.lock";
/// Umbrella marker of the data directory.
pub const MARKER: &str = "moon.storage";
/// Directory of the guard manifest, part lists and bases.
pub const AOF_DIR: &str = "appendonlydir";
/// Guard manifest of `appendonlydir`, part list of its `shard-<n>`.
pub const AOF_MANIFEST: &str = "moon.aof.manifest";
/// Part list that was in force before a fork or a salvage, in its [`timeline_dir`] or
/// [`salvage_dir`].
pub const AOF_MANIFEST_LEFT: &str = "moon.aof.manifest.left";
/// The plan that a salvage has carried out, in its [`salvage_dir`].
pub const SALVAGE_PLAN: &str = "salvage.plan";
/// Directory of log segments.
pub const WAL_DIR: &str = "wal-v3";
/// Directory of cold values.
pub const DATA_DIR: &str = "data";
/// Directory of graph segments.
pub const GRAPH_DIR: &str = "graph";
/// Directory of vector segments.
pub const VECTORS_DIR: &str = "vectors";

/// What the name of a data directory and this make: the journal of a migration into it.
pub const MIGRATION_JOURNAL_SUFFIX: &str = ".moon.migrate.journal";
/// What the name of a data directory and this make: the tree that a migration makes.
pub const MIGRATION_NEW_SUFFIX: &str = ".new";

/// The `n`-th tree that migrations into `directory` have replaced.
pub fn migration_backup(directory: &str, n: u64) -> String {
    format!("{directory}.v{n}.bak")
}

/// What a backup holds, in its [`backup_set`].
pub const BACKUP: &str = "backup.json";
/// What the name of a compressed file of a backup ends in.
pub const ZSTD_SUFFIX: &str = ".zst";

/// `prefix`, a number of at least `width` digits, `suffix`.
fn numbered(name: &str, prefix: &str, width: usize, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    if digits.len() < width {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    // Zeros fill up to the width and stand nowhere else.
    let zeros = digits.len() - significant.len();
    match significant {
        "" => (digits.len() == width.max(1)).then_some(0),
        _ if zeros > 0 && digits.len() > width => None,
        _ => parse_u64(significant.as_bytes()),
    }
}

/// Directory of shard `n`.
pub fn shard_dir(n: u16) -> String {
    format!("shard-{n}")
}

/// Shard of a [`shard_dir`].
pub fn parse_shard_dir(name: &str) -> Option<u16> {
    numbered(name, "shard-", 1, "").and_then(|n| u16::try_from(n).ok())
}

/// Log segment `seq`.
pub fn wal_segment(seq: u64) -> String {
    format!("{seq:012}.wal")
}

/// Number of a [`wal_segment`].
pub fn parse_wal_segment(name: &str) -> Option<u64> {
    numbered(name, "", 12, ".wal")
}

/// Directory of segments set aside by the fork that ended timeline `epoch`.
pub fn timeline_dir(epoch: u64) -> String {
    format!("timeline-{epoch}")
}

/// Epoch of a [`timeline_dir`].
pub fn parse_timeline_dir(name: &str) -> Option<u64> {
    numbered(name, "timeline-", 1, "")
}

/// Directory of what a salvage by the plan with this checksum has set aside.
pub fn salvage_dir(plan_crc: u32) -> String {
    format!("salvage-{plan_crc:08x}")
}

/// Checksum of the plan of a [`salvage_dir`].
pub fn parse_salvage_dir(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("salvage-")?;
    let is_hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (digits.len() == 8 && is_hex).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Base number `seq`.
pub fn base_file(seq: u64) -> String {
    format!("moon.aof.{seq}.base.rdb")
}

/// Number of a [`base_file`].
pub fn parse_base_file(name: &str) -> Option<u64> {
    numbered(name, "moon.aof.", 1, ".base.rdb")
}

/// Dual-root file table of shard `n`.
pub fn shard_manifest(n: u16) -> String {
    format!("shard-{n}.manifest")
}

/// Shard of a [`shard_manifest`].
pub fn parse_shard_manifest(name: &str) -> Option<u16> {
    numbered(name, "shard-", 1, ".manifest").and_then(|n| u16::try_from(n).ok())
}

/// Last BGSAVE of shard `n`.
pub fn shard_snapshot(n: u16) -> String {
    format!("shard-{n}.rrdshard")
}

/// Shard of a [`shard_snapshot`].
pub fn parse_shard_snapshot(name: &str) -> Option<u16> {
    numbered(name, "shard-", 1, ".rrdshard").and_then(|n| u16::try_from(n).ok())
}

/// Cold value file `id`.
pub fn heap_file(id: u64) -> String {
    format!("heap-{id:06}.mpf")
}

/// Id of a [`heap_file`].
pub fn parse_heap_file(name: &str) -> Option<u64> {
    numbered(name, "heap-", 6, ".mpf")
}

/// Graph segment `id`.
pub fn graph_segment(id: u64) -> String {
    format!("seg-{id}.csr")
}

/// Id of a [`graph_segment`].
pub fn parse_graph_segment(name: &str) -> Option<u64> {
    numbered(name, "seg-", 1, ".csr")
}

/// Directory of vector segment `id`.
pub fn vector_segment_dir(id: u64) -> String {
    format!("segment-{id}")
}

/// Id of a [`vector_segment_dir`].
pub fn parse_vector_segment_dir(name: &str) -> Option<u64> {
    numbered(name, "segment-", 1, "")
}

/// Directory of a backup that was begun at `unix_us`; `id` tells it from others of the same second.
pub fn backup_set(unix_us: i64, id: u32) -> String {
    let utc = crate::time::utc(unix_us);
    // The time to seconds, without marks: 20260131T235959Z.
    let digits: String = utc.chars().take(19).filter(|c| !"-:".contains(*c)).collect();
    format!("set-{digits}Z-{id:08x}")
}

/// True for a name that [`backup_set`] makes.
pub fn is_backup_set(name: &str) -> bool {
    let Some((utc, id)) = name.strip_prefix("set-").and_then(|rest| rest.split_once("Z-")) else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_time = utc.len() == 15
        && utc.split_once('T').is_some_and(|(d, t)| d.len() == 8 && digits(d) && digits(t));
    is_time && id.len() == 8 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The name a file is written under before it is renamed to `name`.
pub fn temporary(name: &str) -> String {
    format!("{name}.tmp")
}

/// The name a directory is filled under before it is renamed to `name`.
pub fn staging(name: &str) -> String {
    format!(".{name}.staging")
}

/// True for names of [`temporary`] and [`staging`]: nothing ever reads them, and what is left
/// of them after a crash may be removed.
pub fn is_temporary(name: &str) -> bool {
    name.ends_with(".tmp") || (name.starts_with('.') && name.ends_with(".staging"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings() {
        assert_eq!(wal_segment(7), "000000000007.wal");
        assert_eq!(wal_segment(1_234_567_890_123), "1234567890123.wal");
        assert_eq!(heap_file(0), "heap-000000.mpf");
        assert_eq!(base_file(7), "moon.aof.7.base.rdb");
        assert_eq!(parse_wal_segment("000000000000.wal"), Some(0));
        assert_eq!(parse_shard_dir("shard-0"), Some(0));
    }

    #[test]
    fn one_spelling_each() {
        for bad in [
            "0000000000007.wal",
            "7.wal",
            "00000000000x.wal",
            "000000000007.wal.tmp",
            "+00000000007.wal",
            "99999999999999999999999.wal",
            ".wal",
        ] {
            assert_eq!(parse_wal_segment(bad), None, "{bad}");
        }
        for bad in ["shard-", "shard-01", "shard--1", "shard-65536", "shard-00", "Shard-1"] {
            assert_eq!(parse_shard_dir(bad), None, "{bad}");
        }
    }

    #[test]
    fn sets_of_backups() {
        let name = backup_set(1_769_903_999_123_456, 0x00c0_ffee);
        assert_eq!(name, "set-20260131T235959Z-00c0ffee");
        assert!(is_backup_set(&name));
        for bad in [
            "set-20260131T235959Z-00C0FFEE",
            "set-20260131T23595Z-00c0ffee",
            "set-2026013T1235959Z-00c0ffee",
            "set-20260131T235959Z-c0ffee",
            "set-20260131T235959-00c0ffee",
            "../set-20260131T235959Z-00c0ffee",
            "set-",
        ] {
            assert!(!is_backup_set(bad), "{bad}");
        }
    }

    #[test]
    fn temporary_names() {
        assert!(is_temporary(&temporary(&wal_segment(1))));
        assert!(is_temporary(&staging(&vector_segment_dir(4))));
        assert!(!is_temporary("segment-4"));
        assert!(!is_temporary("x.staging"));
    }

    proptest! {
        #[test]
        fn names_come_back(n: u64, shift in 0u32..64) {
            let n = n >> shift;
            let s = n as u16;
            prop_assert_eq!(parse_wal_segment(&wal_segment(n)), Some(n));
            prop_assert_eq!(parse_heap_file(&heap_file(n)), Some(n));
            prop_assert_eq!(parse_base_file(&base_file(n)), Some(n));
            prop_assert_eq!(parse_timeline_dir(&timeline_dir(n)), Some(n));
            prop_assert_eq!(parse_salvage_dir(&salvage_dir(n as u32)), Some(n as u32));
            prop_assert_eq!(parse_graph_segment(&graph_segment(n)), Some(n));
            prop_assert_eq!(parse_vector_segment_dir(&vector_segment_dir(n)), Some(n));
            prop_assert_eq!(parse_shard_dir(&shard_dir(s)), Some(s));
            prop_assert_eq!(parse_shard_manifest(&shard_manifest(s)), Some(s));
            prop_assert_eq!(parse_shard_snapshot(&shard_snapshot(s)), Some(s));
        }

        #[test]
        fn what_parses_is_what_is_built(name in "[0-9]{0,15}(\\.wal)?") {
            if let Some(n) = parse_wal_segment(&name) {
                prop_assert_eq!(wal_segment(n), name);
            }
        }
    }
}
