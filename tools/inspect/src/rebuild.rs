//! `rebuild`: a manifest that is damaged or lost, made again from what is left. The new file is written
//! beside the old one, never over it; whoever runs a data directory puts it in place.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use moon_formats::aof::{Base, PartList, Timeline, encode_guard};
use moon_formats::names;
use moon_formats::rrdshard::{Head, Item, section};
use moon_formats::shard_manifest::{Root, Row, Slot, read_root};
use moon_formats::wal::body::{FileEntry, Payload};
use moon_formats::wal::{Body, Cut, HEADER_LEN, Record, SegmentHeader, UnverifiedHeader};
use moon_storage::parts::{ShardPaths, without_base};
use moon_storage::recovery::Target;
use moon_storage::scan::{LogStart, Position, VisitError, Visitor};

use crate::cli::Target as At;
use crate::data::shape;
use crate::fail::{Failure, SOUND};
use crate::logs::{Files, Place, place};
use crate::out::{Fields, Out};
use crate::rdb::source::{self, End};
use crate::record::with_body;

/// Bytes read to see a segment's header and its cut.
const OPENING_BYTES: usize = 4096;
/// Longest shard manifest whose epochs are looked at.
const MANIFEST_MAX: u64 = 1 << 30;
/// Status of a file that is finished, and of one that is gone.
const SEALED: u8 = 3;
const TOMBSTONE: u8 = 5;

/// The shards that are asked for, in a data directory of this shape.
fn shards(files: &Files, at: &At) -> Result<(Vec<ShardPaths>, u16), Failure> {
    if place(files, &at.path)? != Place::Data {
        return Err(Failure::not_ours(&at.path, "rebuild takes a data directory"));
    }
    let (shards, _) = shape(files, &at.path)?;
    let wanted: Vec<ShardPaths> = (0..shards)
        .filter(|n| at.shard.is_none_or(|s| s == *n))
        .map(|n| ShardPaths::new(&at.path, n))
        .collect();
    match wanted.is_empty() {
        true => Err(Failure::environment(format!("{}: {shards} shards", at.path.display()))),
        false => Ok((wanted, shards)),
    }
}

/// Writes a new file beside `path` and says where.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".rebuilt");
    let new = PathBuf::from(name);
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::environment(format!(
            "{} is there already, from an earlier rebuild: remove it first",
            new.display()
        )),
        _ => Failure::environment(format!("cannot write {}: {e}", new.display())),
    })?;
    Ok(new)
}

fn say(out: &mut Out<'_>, new: &Path, path: &Path, what: &str) {
    let fields: Fields =
        vec![("file", new.into()), ("replaces", path.into()), ("what", what.into())];
    let text = format!(
        "{}: {what}; look at it, stop the server, then rename it to {}",
        new.display(),
        path.file_name().and_then(|n| n.to_str()).unwrap_or_default()
    );
    out.item("rebuilt", fields, &text);
}

/// The file table of a shard out of the base's FILES and the log.
struct Table {
    head: Option<Head>,
    rows: BTreeMap<u64, Row>,
}

impl Target for Table {
    fn restart(&mut self) {
        *self = Table { head: None, rows: BTreeMap::new() };
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        match item {
            Item::Head(head) => self.head = Some(*head),
            Item::Section(s) if s.section == section::FILES => {
                let cut = self.head.map_or(0, |h| h.preamble.last_lsn);
                for f in section::read_files(s.payload, s.offset)? {
                    let file = FileEntry {
                        file_id: f.file_id,
                        file_type: f.file_type,
                        status: SEALED,
                        tier: f.tier,
                        page_size_log2: 12,
                        page_count: u32::try_from(f.byte_size >> 12).unwrap_or(u32::MAX),
                        byte_size: f.byte_size,
                        created_lsn: cut,
                        db: 0,
                        max_key_hash: 0,
                        last_modified_lsn: cut,
                    };
                    self.rows.insert(f.file_id, Row { file, dead_lsn: 0, content_xxh64: 0 });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Visitor for Table {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        with_body(r, |body| match body {
            Some(Body::FileCreate(file)) => {
                self.rows.insert(file.file_id, Row { file: *file, dead_lsn: 0, content_xxh64: 0 });
            }
            Some(Body::FileDelete(gone)) => {
                if let Some(row) = self.rows.get_mut(&gone.file_id) {
                    row.file.status = TOMBSTONE;
                    row.file.last_modified_lsn = r.lsn;
                    row.dead_lsn = r.lsn;
                }
            }
            Some(Body::FileTierChange(change)) => {
                if let Some(row) = self.rows.get_mut(&change.file_id) {
                    row.file.tier = change.to;
                    row.file.last_modified_lsn = r.lsn;
                }
            }
            _ => {}
        })?;
        Ok(ControlFlow::Continue(()))
    }
}

/// `manifest rebuild`.
pub(crate) fn manifest(files: &Files, at: &At, out: &mut Out<'_>) -> Result<u8, Failure> {
    let (wanted, shards) = self::shards(files, at)?;
    for paths in wanted {
        let mut table = Table { head: None, rows: BTreeMap::new() };
        let recovered = files
            .recover(&paths, shards, &mut table)
            .map_err(|e| Failure { code: e.exit_code(), message: e.to_string() })?;
        let path = paths.own().join(names::shard_manifest(paths.shard));
        let old = match path.exists() {
            true => files.whole(&path, MANIFEST_MAX)?,
            false => Vec::new(),
        };
        // Above every epoch that was committed, as far as can be seen.
        let epochs = [Slot::A, Slot::B].map(|slot| read_root(&old, slot).map(|f| f.root.epoch));
        let epoch = epochs.into_iter().flatten().max().unwrap_or(0) + 1;
        let cut = table.head.map_or(0, |h| h.preamble.last_lsn);
        let root = Root {
            epoch,
            redo_lsn: cut,
            wal_flush_lsn: recovered.end.durable_lsn,
            snapshot_lsn: cut,
            created_at_secs: table.head.map_or(0, |h| h.preamble.created_at_ms / 1000),
            shard_uuid: table.head.and_then(|h| h.extension).map_or([0; 16], |e| e.storage_uuid),
            files: table.rows.into_values().collect(),
        };
        let new = write_beside(&path, &root.encode_file())?;
        let what = format!("{} files, epoch {epoch}, cut {cut}", root.files.len());
        say(out, &new, &path, &what);
    }
    Ok(SOUND)
}

/// Segment headers of a log, with their cuts, ascending.
fn segments(files: &Files, dir: &Path) -> Result<Vec<(u64, SegmentHeader, Option<Cut>)>, Failure> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut seqs: Vec<u64> = files
        .list(dir)?
        .iter()
        .filter(|e| !e.is_dir)
        .filter_map(|e| names::parse_wal_segment(&e.name))
        .collect();
    seqs.sort_unstable();
    let mut all = Vec::new();
    for seq in seqs {
        let path = dir.join(names::wal_segment(seq));
        let (bytes, _) = files.head(&path, OPENING_BYTES)?;
        let read = || {
            let header = UnverifiedHeader::parse(&bytes, 0)?.verify()?;
            if !header.has_cut() {
                return Ok((header, None));
            }
            let opening = bytes.get(HEADER_LEN..).unwrap_or_default();
            let record = Record::decode(opening, HEADER_LEN as u64)?;
            let cut = Cut::decode(record.payload, record.flags, record.payload_offset())?;
            Ok((header, Some(cut)))
        };
        let (header, cut) = read().map_err(|e| {
            Failure::decode(&path, &e, "the log must be restored before its list can be made")
        })?;
        all.push((seq, header, cut));
    }
    Ok(all)
}

/// Bases that are sound, newest first; the others are told of.
fn bases(files: &Files, paths: &ShardPaths, out: &mut Out<'_>) -> Result<Vec<Base>, Failure> {
    let dir = paths.parts();
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut seqs: Vec<u64> = files
        .list(&dir)?
        .iter()
        .filter(|e| !e.is_dir)
        .filter_map(|e| names::parse_base_file(&e.name))
        .collect();
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    let mut sound = Vec::new();
    for seq in seqs {
        let path = dir.join(names::base_file(seq));
        let mut head = None;
        let read = source::read(files, &path, &mut |_, item| {
            if let source::Item::Head(h) = item {
                head = Some(h);
            }
            ControlFlow::Continue(())
        });
        let why = match (read, head) {
            (Ok(Some(End { summary: Some(s), .. })), Some(head)) => {
                let of = head.extension.map(|e| e.base_seq);
                if of == Some(seq) && head.preamble.shard_id == paths.shard {
                    let (cut, bytes, crc) = (head.preamble.last_lsn, s.bytes, s.crc);
                    sound.push(Base { seq, cut, bytes, crc });
                    continue;
                }
                format!("{}: it is not base {seq} of shard {}", path.display(), paths.shard)
            }
            (Err(failure), _) => failure.message,
            _ => format!("{}: not a base", path.display()),
        };
        let fields: Fields = vec![("file", path.as_path().into()), ("why", why.as_str().into())];
        out.item("left_out", fields, &format!("left out: {why}"));
    }
    Ok(sound)
}

/// The list of a shard, from its bases and the segments of its log.
fn part_list(
    shard: u16,
    mut bases: Vec<Base>,
    segments: &[(u64, SegmentHeader, Option<Cut>)],
) -> Result<PartList, String> {
    let first = segments.first().map(|(_, h, _)| h.base_lsn);
    // A base is of use if the log goes on behind its cut.
    let reaches = |b: &Base| first.is_none_or(|first| first <= b.cut + 1);
    let newest = bases.first().copied();
    bases.retain(reaches);
    let from_lsn = match (newest, bases.last(), first) {
        (_, Some(oldest), _) => oldest.cut + 1,
        (None, None, Some(1) | None) => 1,
        (Some(newest), None, Some(first)) => {
            return Err(format!(
                "the log begins at lsn {first}, the newest base ends at {}: what is between is gone",
                newest.cut
            ));
        }
        (None, None, Some(first)) => {
            return Err(format!("the log begins at lsn {first}, and there is no sound base"));
        }
        (Some(_), None, None) => return Err("no base is of use".into()),
    };
    let holds = segments.iter().rev().find(|(_, h, _)| h.base_lsn <= from_lsn);
    let start = LogStart { lsn: from_lsn, seq: holds.map_or(0, |(seq, ..)| *seq) };
    let mut list = without_base(shard, 1, start);
    let mut bases = bases.into_iter();
    list.base = bases.next();
    list.history = bases.collect();
    list.timelines = timelines(segments);
    Ok(list)
}

/// Timelines, as far as the segments know of them.
fn timelines(segments: &[(u64, SegmentHeader, Option<Cut>)]) -> Vec<Timeline> {
    let mut all: Vec<Timeline> = Vec::new();
    for (_, header, cut) in segments {
        match all.last() {
            Some(last) if last.epoch >= header.epoch => {}
            Some(last) => {
                let forked_at = cut.map_or(last.from_lsn, |c| c.keep_lsn);
                all.push(Timeline {
                    epoch: header.epoch,
                    from_lsn: header.base_lsn,
                    forked_at: Some(forked_at),
                });
            }
            None => {
                let from_lsn = if header.epoch == 1 { 1 } else { header.base_lsn };
                all.push(Timeline { epoch: header.epoch, from_lsn, forked_at: None });
            }
        }
    }
    if all.is_empty() {
        all.push(Timeline { epoch: 1, from_lsn: 1, forked_at: None });
    }
    all
}

/// `aof rebuild`.
pub(crate) fn aof(files: &Files, at: &At, out: &mut Out<'_>) -> Result<u8, Failure> {
    let (wanted, shards) = self::shards(files, at)?;
    let mut lists = Vec::new();
    for paths in &wanted {
        let bases = bases(files, paths, out)?;
        let segments = segments(files, &paths.log())?;
        let list = part_list(paths.shard, bases, &segments).map_err(|what| {
            Failure::damage(format!(
                "shard {}: {what}; restore the data directory from a backup or a replica",
                paths.shard
            ))
        })?;
        lists.push((paths, list));
    }
    // All or none: half of the lists would look like all of them.
    for (paths, list) in lists {
        let dir = paths.parts();
        std::fs::create_dir_all(&dir)
            .map_err(|e| Failure::environment(format!("cannot make {}: {e}", dir.display())))?;
        let new = write_beside(&paths.part_list(), list.encode().as_bytes())?;
        let base = list.base.map_or_else(|| "no base".to_owned(), |b| format!("base {}", b.seq));
        let what = format!(
            "{base}, {} older, log from lsn {} in segment {}",
            list.history.len(),
            list.log_from_lsn,
            list.log_from_seq
        );
        say(out, &new, &paths.part_list(), &what);
    }
    if at.shard.is_none() {
        let path = at.path.join(names::AOF_DIR).join(names::AOF_MANIFEST);
        let new = write_beside(&path, encode_guard(shards).as_bytes())?;
        say(out, &new, &path, &format!("guard of {shards} shards"));
    }
    Ok(SOUND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_formats::wal::CutReason;

    fn segment(
        seq: u64,
        epoch: u64,
        base_lsn: u64,
        keep: Option<u64>,
    ) -> (u64, SegmentHeader, Option<Cut>) {
        let header = SegmentHeader {
            flags: 0,
            shard_id: 0,
            align_log2: 12,
            epoch,
            redo_lsn: 0,
            base_lsn,
            segment_size: 0,
            segment_seq: seq,
            prev_tail_crc: 0,
            features: 0,
        };
        let cut = keep.map(|keep_lsn| Cut {
            keep_lsn,
            max_seen_lsn: keep_lsn,
            reason: CutReason::CrashTail,
            wall_us: 0,
        });
        (seq, header, cut)
    }

    fn base(seq: u64, cut: u64) -> Base {
        Base { seq, cut, bytes: 0, crc: 0 }
    }

    #[test]
    fn a_list_follows_from_bases_and_segments() {
        let segments = [
            segment(4, 1, 50, None),
            segment(5, 1, 100, None),
            segment(6, 2, 1000, Some(120)),
            segment(7, 2, 1100, None),
        ];
        let list = part_list(0, vec![base(9, 110), base(8, 49), base(7, 30)], &segments).unwrap();
        assert_eq!(list.base, Some(base(9, 110)));
        // The log does not reach back to base 7.
        assert_eq!(list.history, [base(8, 49)]);
        assert_eq!((list.log_from_lsn, list.log_from_seq), (50, 4));
        let forked = Timeline { epoch: 2, from_lsn: 1000, forked_at: Some(120) };
        assert_eq!(list.timelines[1..], [forked]);
        assert_eq!(PartList::decode(list.encode().as_bytes()), Ok(list));
        let list = part_list(0, vec![base(9, 110)], &segments).unwrap();
        assert_eq!((list.log_from_lsn, list.log_from_seq), (111, 5));
    }

    #[test]
    fn what_is_gone_is_said() {
        let late = [segment(4, 1, 50, None)];
        for (bases, what) in [
            (vec![], "the log begins at lsn 50, and there is no sound base"),
            (vec![base(1, 40)], "the newest base ends at 40"),
        ] {
            assert!(part_list(0, bases, &late).unwrap_err().contains(what));
        }
        // A restored base without a log, and an empty shard, are whole.
        let list = part_list(0, vec![base(1, 40)], &[]).unwrap();
        assert_eq!((list.log_from_lsn, list.log_from_seq), (41, 0));
        let list = part_list(0, vec![], &[]).unwrap();
        assert_eq!((list.log_from_lsn, list.log_from_seq), (1, 0));
        let list = part_list(0, vec![], &[segment(1, 1, 1, None)]).unwrap();
        assert_eq!((list.log_from_lsn, list.log_from_seq), (1, 1));
    }
}
