//! Segments of the reference server: records back to back behind a 64-byte header, no batches,
//! no padding, no word about what was durable (storage-formats.md §3.6, rule 5).
//!
//! A record that does not hold is the end only in the last file; before that it is damage. Builds
//! up to 0.6 logged every plane inside `Command` payloads; those are unwrapped here, so a visitor
//! sees one form.

use moon_formats::wal::{HEADER_LEN, Record, RecordType};

use super::end::{HoleReason, ScanError};
use super::window::{Found, Window};
use super::{FIRST_BLOCK, Position, Scan, Seg, Stop};

/// Times in a bare temporal payload lie between these, in milliseconds.
const TIMES_MS: std::ops::RangeInclusive<i64> = 0..=100_000_000_000_000;

impl Scan<'_> {
    pub(super) async fn walk_reference(&mut self, seg: &Seg) -> Result<Stop, ScanError> {
        let mut window = Window::new(&*seg.file, FIRST_BLOCK as u64);
        let mut pos = HEADER_LEN as u64;
        loop {
            self.end.at = Position { seq: seg.seq, offset: pos };
            let record = match window.record(pos) {
                Found::Record(record) if record.lsn >= self.end.last_lsn => record,
                Found::Record(_) => return Ok(self.broken(seg, pos)),
                found => {
                    let len = match (found, window.is_blank(pos)) {
                        (Found::More(len), _) => len,
                        (_, None) => window.size() - pos,
                        (_, Some(true)) => return Ok(Stop::Ended),
                        (_, Some(false)) => return Ok(self.broken(seg, pos)),
                    };
                    let io = |cause| ScanError::Io { path: seg.path.clone(), cause };
                    window.slide(pos, len).await.map_err(io)?;
                    continue;
                }
            };
            let len = record.record_len() as u64;
            if let Err(cause) = record.kind() {
                return Err(ScanError::Newer { path: seg.path.clone(), cause });
            }
            if self.visit(&unwrapped(record), seg.seq)?.is_break() {
                return Ok(Stop::Break);
            }
            pos += len;
        }
    }

    fn broken(&mut self, seg: &Seg, offset: u64) -> Stop {
        if self.segs.last().is_some_and(|last| last.seq == seg.seq) {
            return Stop::Failed { offset, resume: None };
        }
        self.hole(seg.path.clone(), offset, HoleReason::DurableRecordsMissing);
        Stop::Hole
    }
}

/// What a `Command` payload of an old build really is.
fn unwrapped(outer: Record<'_>) -> Record<'_> {
    if outer.code != RecordType::Command.code() {
        return outer;
    }
    match Record::decode(outer.payload, outer.payload_offset()) {
        Ok(inner) if inner.record_len() == outer.payload.len() && inner.kind().is_ok() => {
            Record { lsn: outer.lsn, ..inner }
        }
        _ if is_bare_temporal(outer.payload) => {
            Record { code: RecordType::GraphTemporal.code(), ..outer }
        }
        _ => outer,
    }
}

fn is_bare_temporal(payload: &[u8]) -> bool {
    let time = |at: usize| {
        let bytes = payload.get(at..at + 8).and_then(|b| b.first_chunk::<8>());
        bytes.map_or(-1, |b| i64::from_le_bytes(*b))
    };
    payload.len() == 25
        && payload[0] != b'*'
        && payload[8] <= 1
        && TIMES_MS.contains(&time(9))
        && TIMES_MS.contains(&time(17))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::path::Path;

    use moon_formats::wal::put_record;

    use super::*;
    use crate::io::sim::{SimConfig, SimDisk};
    use crate::io::{Access, Caching, Disk};
    use crate::scan::{EndKind, LogEnd, ScanOptions, VisitError, Visitor, scan};

    const DIR: &str = "/wal";
    const COMMAND: u8 = RecordType::Command as u8;

    fn header(base_lsn: u64) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[..6].copy_from_slice(b"RRDWAL");
        (bytes[6], bytes[7]) = (3, 1);
        bytes[28..36].copy_from_slice(&base_lsn.to_le_bytes());
        bytes[36..44].copy_from_slice(&(1u64 << 24).to_le_bytes());
        bytes
    }

    #[derive(Default)]
    struct Seen(Vec<(u64, u8, Vec<u8>)>);

    impl Visitor for Seen {
        fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
            self.0.push((r.lsn, r.code, r.payload.to_vec()));
            Ok(ControlFlow::Continue(()))
        }
    }

    fn read(files: &[Vec<u8>], reference: bool) -> (Result<LogEnd, ScanError>, Seen) {
        let disk = SimDisk::new(SimConfig::default(), 1);
        let rt = disk.runtime();
        let mut seen = Seen::default();
        let end = rt.block_on(async {
            disk.create_dir_all(Path::new(DIR)).await.expect("a directory");
            for (i, bytes) in files.iter().enumerate() {
                let path = Path::new(DIR).join(format!("{:012}.wal", i + 1));
                let file = disk.open(&path, Access::CreateNew, Caching::Cached).await;
                file.expect("a file").write_now(0, bytes).expect("cached").expect("written");
            }
            let opts = ScanOptions { reference, ..ScanOptions::default() };
            scan(&disk, Path::new(DIR), &opts, &mut seen).await
        });
        (end, seen)
    }

    fn log() -> Vec<Vec<u8>> {
        let (mut first, mut second) = (header(1), header(3));
        put_record(&mut first, 1, COMMAND, 0, 0, b"*1\r\n$4\r\nPING\r\n");
        let mut inner = Vec::new();
        put_record(&mut inner, 900, RecordType::WorkspaceDrop as u8, 0, 0, &[7; 16]);
        put_record(&mut first, 2, COMMAND, 0, 0, &inner);
        let mut temporal = vec![5, 0, 0, 0, 0, 0, 0, 0, 1];
        temporal.extend(77i64.to_le_bytes());
        temporal.extend(78i64.to_le_bytes());
        put_record(&mut second, 3, COMMAND, 0, 0, &temporal);
        second.extend([0; 64]);
        vec![first, second]
    }

    #[test]
    fn records_are_read_and_old_wrappings_undone() {
        let (end, seen) = read(&log(), true);
        let end = end.expect("readable");
        assert_eq!((end.kind, end.last_lsn, end.records), (EndKind::Clean, 3, 3));
        let codes: Vec<_> = seen.0.iter().map(|r| (r.0, r.1)).collect();
        let want = [
            (1, COMMAND),
            (2, RecordType::WorkspaceDrop as u8),
            (3, RecordType::GraphTemporal as u8),
        ];
        assert_eq!(codes, want);
        assert_eq!(seen.0[1].2, [7; 16]);
    }

    #[test]
    fn recovery_refuses_them_by_name() {
        assert!(matches!(read(&log(), false).0, Err(ScanError::Reference { .. })));
    }

    #[test]
    fn a_bad_record_is_a_tail_in_the_last_file_only() {
        for (file, cut) in [(0, false), (1, false), (1, true)] {
            let mut files = log();
            match cut {
                true => files[file].truncate(HEADER_LEN + 30),
                false => files[file][HEADER_LEN + 18] ^= 1,
            }
            let (end, seen) = read(&files, true);
            let kind = end.expect("readable").kind;
            match file {
                0 => assert!(matches!(kind, EndKind::Hole(_)) && seen.0.is_empty(), "{kind:?}"),
                _ => assert!(matches!(kind, EndKind::CrashTail { .. }), "{kind:?}"),
            }
        }
    }
}
