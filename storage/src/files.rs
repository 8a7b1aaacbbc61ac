//! The data files of a shard: what base and log say of them, and what lies there.
//!
//! The one idea: records of the log make and drop files; the table ([`crate::manifest`]) repeats that, so
//! that nobody has to read the log to know what may be deleted. Where the two differ, the log is right.
//!
//! Invariants:
//! * A file goes only when its row says that it is dead, and died before the cut of the oldest base
//!   that is kept; or when neither base nor log has ever named it.
//! * Nothing is removed before a table without it is durable.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use moon_formats::names;
use moon_formats::shard_manifest::Row;
use moon_formats::wal::body::{FileDelete, FileEntry, FileTierChange, Payload};
use moon_formats::wal::{Record, RecordType};

use crate::io::Disk;
use crate::parts::ShardPaths;
use crate::scan::VisitError;

/// Status of a row whose file is in use.
const TOMBSTONE: u8 = 5;

/// Data files by id, as base and log have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<u64, Row>);

impl Files {
    /// Takes over what a record says of a file; other records say nothing.
    pub(crate) fn note(&mut self, r: &Record<'_>) -> Result<(), VisitError> {
        let at = r.payload_offset();
        if r.code == RecordType::FileCreate.code() {
            let file = FileEntry::decode(r.payload, r.flags, at)?;
            self.0.insert(file.file_id, Row { file, dead_lsn: 0, content_xxh64: 0 });
        } else if r.code == RecordType::FileDelete.code() {
            let dropped = FileDelete::decode(r.payload, r.flags, at)?;
            if let Some(row) = self.0.get_mut(&dropped.file_id) {
                row.file.status = TOMBSTONE;
                row.dead_lsn = r.lsn;
            }
        } else if r.code == RecordType::FileTierChange.code() {
            let moved = FileTierChange::decode(r.payload, r.flags, at)?;
            if let Some(row) = self.0.get_mut(&moved.file_id) {
                row.file.tier = moved.to;
            }
        }
        Ok(())
    }

    /// The rows of a start: what base and log have, and what only the table knows, which is dead from
    /// `last_lsn` on. What the table alone has measured stays. The second value counts the differences.
    pub(crate) fn settle(mut self, table: &[Row], last_lsn: u64) -> (Vec<Row>, usize) {
        let mut differ = 0;
        let mut known = 0;
        for old in table {
            match self.0.get_mut(&old.file.file_id) {
                Some(row) => {
                    known += 1;
                    row.content_xxh64 = old.content_xxh64;
                    differ += usize::from(row.file.status != old.file.status);
                }
                None if old.file.status == TOMBSTONE => {
                    self.0.insert(old.file.file_id, *old);
                    known += 1;
                }
                None => {
                    let mut row = *old;
                    row.file.status = TOMBSTONE;
                    row.dead_lsn = last_lsn;
                    self.0.insert(old.file.file_id, row);
                    known += 1;
                    differ += 1;
                }
            }
        }
        differ += self.0.len() - known;
        (self.0.into_values().collect(), differ)
    }

    /// Files that lie there and are named by nobody, and temporary ones.
    pub(crate) async fn orphans(
        &self,
        disk: &dyn Disk,
        paths: &ShardPaths,
    ) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
        let dir = paths.cold();
        let entries = match disk.list(&dir).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err((dir, e)),
        };
        let goes = |name: &str| match names::parse_heap_file(name) {
            Some(id) => !self.0.contains_key(&id),
            None => names::is_temporary(name),
        };
        let orphans = entries.iter().filter(|e| !e.is_dir && goes(&e.name));
        Ok(orphans.map(|e| dir.join(&e.name)).collect())
    }
}

/// Takes the rows out whose files may go: dead before `oldest_cut`.
pub(crate) fn take_dead(rows: &mut Vec<Row>, oldest_cut: u64) -> Vec<Row> {
    let (dead, alive) = std::mem::take(rows)
        .into_iter()
        .partition(|r| r.file.status == TOMBSTONE && r.dead_lsn < oldest_cut);
    *rows = alive;
    dead
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(file_id: u64, status: u8, dead_lsn: u64) -> Row {
        let file = FileEntry {
            file_id,
            file_type: 0x10,
            status,
            tier: 3,
            page_size_log2: 12,
            page_count: 1,
            byte_size: 4096,
            created_lsn: 1,
            db: 0,
            max_key_hash: 0,
            last_modified_lsn: 1,
        };
        Row { file, dead_lsn, content_xxh64: 7 }
    }

    #[test]
    fn the_log_is_right_where_it_differs_from_the_table() {
        let known = |rows: &[Row]| Files(rows.iter().map(|r| (r.file.file_id, *r)).collect());
        let status = |rows: &[Row]| -> Vec<(u64, u8, u64)> {
            rows.iter().map(|r| (r.file.file_id, r.file.status, r.dead_lsn)).collect()
        };
        let log = known(&[row(1, 1, 0), row(2, 5, 40), row(4, 1, 0)]);
        let table = [row(1, 1, 0), row(2, 1, 0), row(3, 1, 0), row(5, 5, 9)];
        let (mut rows, differ) = log.settle(&table, 90);
        assert_eq!(
            status(&rows),
            [(1, 1, 0), (2, 5, 40), (3, 5, 90), (4, 1, 0), (5, 5, 9)],
            "2 died, 3 is nobody's, 4 is new, 5 waits for a base"
        );
        assert_eq!(differ, 3);
        assert_eq!(status(&take_dead(&mut rows, 41)), [(2, 5, 40), (5, 5, 9)]);
        assert_eq!(status(&rows), [(1, 1, 0), (3, 5, 90), (4, 1, 0)]);
        assert_eq!(known(&[row(1, 1, 0)]).settle(&[row(1, 1, 0)], 9).1, 0);
    }
}
