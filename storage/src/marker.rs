//! `moon.storage`: which data this directory holds, and in which formats.
//!
//! Written once, when a directory is initialised, by write aside, sync, rename, directory sync:
//! a half-initialised directory does not look like data. Read before anything else at start.

use std::path::Path;

use moon_formats::marker::Marker;
use moon_formats::names;

use crate::io::Disk;
use crate::whole::{self, FileError};

/// Reads the marker of `dir`; `None` if there is none (an empty directory, or one of the
/// reference layout).
///
/// # Errors
/// See [`FileError`].
pub async fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Marker>, FileError> {
    whole::decoded(disk, &dir.join(names::MARKER), Marker::decode).await
}

/// Writes the marker of `dir`, replacing one that is there. Durable when this returns.
///
/// # Errors
/// [`FileError::Io`]; the directory holds the old marker, if there was one, or the new one.
pub async fn write(disk: &dyn Disk, dir: &Path, marker: &Marker) -> Result<(), FileError> {
    let path = dir.join(names::MARKER);
    disk.create_dir_all(dir).await.map_err(FileError::io(&path))?;
    let text = marker.encode();
    let how = whole::How::default();
    let written = whole::replace(disk, dir, names::MARKER, text.as_bytes(), how).await;
    written.map_err(|(_, cause)| FileError::io(&path)(cause))
}

/// Makes the name of a marker that was found durable. A process killed right after the rename
/// leaves one that only the kernel knows of; what is written from now on must not outlive it.
///
/// # Errors
/// [`FileError::Io`].
pub async fn settle(disk: &dyn Disk, dir: &Path) -> Result<(), FileError> {
    disk.sync_dir(dir).await.map_err(FileError::io(dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::{Fault, FaultKind, Image, SimConfig, SimDisk};

    fn sample(shards: u16) -> Marker {
        Marker { uuid: [7; 16], shards, databases: 16, created_ms: 1, extra: vec![] }
    }

    fn load(disk: &SimDisk) -> Result<Option<Marker>, FileError> {
        disk.runtime().block_on(read(disk, Path::new("/data")))
    }

    #[test]
    fn every_crash_leaves_the_old_marker_or_the_new_one() {
        let disk = SimDisk::new(SimConfig::default(), 1);
        let rt = disk.runtime();
        let dir = Path::new("/data");
        assert_eq!(load(&disk).expect("readable"), None);
        rt.block_on(write(&disk, dir, &sample(1))).expect("written");
        let first = disk.moment();
        rt.block_on(write(&disk, dir, &sample(2))).expect("written again");
        let second = disk.moment();
        assert_eq!(load(&disk).expect("readable"), Some(sample(2)));
        assert_eq!(disk.violations(), []);
        for stop in 0..disk.stop_count() {
            for image in Image::ALL {
                let after = disk.power_loss_at(stop, image, stop as u64).expect("a stop");
                let found = load(&after).expect("readable").map(|m| m.shards);
                let wanted: &[Option<u16>] = match stop {
                    s if s < first => &[None, Some(1)],
                    s if s < second => &[Some(1), Some(2)],
                    _ => &[Some(2)],
                };
                assert!(wanted.contains(&found), "stop {stop} {image:?}: {found:?}");
                // What a crash left aside does not block the next write.
                after.runtime().block_on(write(&after, dir, &sample(3))).expect("written");
                assert_eq!(load(&after).expect("readable"), Some(sample(3)));
            }
        }
    }

    #[test]
    fn damage_is_named_and_errors_leave_the_old_marker() {
        let disk = SimDisk::new(SimConfig::default(), 2);
        let rt = disk.runtime();
        let dir = Path::new("/data");
        rt.block_on(write(&disk, dir, &sample(1))).expect("written");
        for kind in [FaultKind::SyncEioOnce, FaultKind::EnospcWrite, FaultKind::RenameEio] {
            disk.inject(Fault::new(kind));
            assert!(rt.block_on(write(&disk, dir, &sample(2))).is_err(), "{kind:?}");
            disk.clear_faults();
            assert_eq!(load(&disk).expect("readable"), Some(sample(1)), "{kind:?}");
        }
        assert!(disk.rot(Path::new("/data/moon.storage"), 20, 1));
        let e = load(&disk).expect_err("damaged").to_string();
        assert!(e.contains("/data/moon.storage"), "{e}");
    }
}
