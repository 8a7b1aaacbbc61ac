//! The scanner on bytes of any kind: for fuzzing, and for the same target as a test.

use std::path::Path;

use crate::io::sim::{SimConfig, SimDisk};
use crate::io::{Access, Caching, Disk};

use super::{EndKind, ScanOptions, Verify, scan};

/// Scans `data` as a log of one or two segments; the first byte chooses how. Must neither panic
/// nor read for ever, and must say the same twice.
///
/// # Panics
/// If two scans differ or the end lies below where the log begins.
pub fn scan_any_bytes(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let disk = SimDisk::new(SimConfig::default(), 1);
    disk.set_recording(false);
    let rt = disk.runtime();
    let dir = Path::new("/wal");
    let half = if mode & 1 == 1 { data.len() / 2 } else { data.len() };
    let opts = ScanOptions { reference: mode & 2 == 2, ..ScanOptions::default() };
    rt.block_on(async {
        disk.create_dir_all(dir).await.expect("a directory");
        for (i, bytes) in [&data[..half], &data[half..]].into_iter().enumerate() {
            if bytes.is_empty() {
                continue;
            }
            let path = dir.join(format!("{:012}.wal", i + 1));
            let file = disk.open(&path, Access::CreateNew, Caching::Cached).await;
            let file = file.expect("a new file");
            file.write_now(0, bytes).expect("a cached file").expect("written");
        }
        let first = scan(&disk, dir, &opts, &mut Verify).await;
        let second = scan(&disk, dir, &opts, &mut Verify).await;
        match (first, second) {
            (Ok(a), Ok(b)) => {
                assert_eq!(a, b, "two scans of the same bytes");
                if !matches!(a.kind, EndKind::Hole(_)) {
                    assert!(a.next_lsn > a.last_lsn);
                }
            }
            (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
            (a, b) => panic!("{a:?} and then {b:?}"),
        }
    });
    rt.shutdown();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimRng;

    /// Bytes of a real segment with a few of them changed, cut and moved.
    #[test]
    fn any_bytes_are_survived() {
        let golden =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/golden/wal/v3/000000000001.wal");
        let golden = std::fs::read(golden).expect("the golden segment");
        let mut rng = SimRng::new(9);
        for round in 0..3000u64 {
            let mut data = vec![round as u8];
            data.extend_from_slice(&golden[..golden.len().min(24 << 10)]);
            for _ in 0..rng.below(6) {
                let at = 1 + rng.below(data.len() as u64 - 1) as usize;
                match rng.below(3) {
                    0 => data[at] ^= 1 << rng.below(8),
                    1 => data.truncate(at.max(2)),
                    _ => data[at] = rng.below(256) as u8,
                }
            }
            if round % 7 == 0 {
                // A reference header in front of what follows.
                data.truncate(4096);
                data[8..].iter_mut().take(56).for_each(|b| *b = 0);
            }
            scan_any_bytes(&data);
        }
    }
}
