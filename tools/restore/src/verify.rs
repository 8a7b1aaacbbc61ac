//! Checking what a repository holds.
//!
//! Two looks at each chain: every file is read as it is stored, against size and checksum; and the chain is
//! read as a start would read it, against every checksum and rule of its formats, and, `deep`, replayed and
//! compared with what each set says that the data were.

use moon_formats::backup::{BackupFile, Codec};
use moon_storage::io::{Access, Caching, Disk};
use moon_storage::recovery::{Request, recover_shard};
use xxhash_rust::xxh64::Xxh64;

use std::rc::Rc;

use crate::chain::{ChainDisk, Place};
use crate::fail::Failure;
use crate::progress::Progress;
use crate::replay::{Mark, Replay, empty, only_read};
use crate::repo::{Repository, Set};
use crate::store::{Copied, Unpacked, read_all};

/// What a check has found.
#[derive(Debug, Default)]
pub struct Found {
    /// Sets that were looked at.
    pub sets: usize,
    /// Files of them.
    pub files: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
    /// Digests that were compared.
    pub compared: usize,
    /// What is wrong.
    pub failures: Vec<Failure>,
}

/// The digests of a chain's sets, for one shard.
pub(crate) fn marks(chain: &[&Set], shard: u16) -> Vec<Mark> {
    let mark = |set: &&Set| {
        let part = set.backup.shard(shard)?;
        Some(Mark { lsn: part.lsn_to, digest: part.digest?, set: set.name().to_owned() })
    };
    chain.iter().filter_map(mark).collect()
}

/// What is said of a digest that is another one.
pub(crate) fn differs(mark: &Mark, shard: u16) -> Failure {
    Failure::differs(format!(
        "{}: shard {shard} at lsn {} is not what it was when it was backed up (digest {:032x} expected)",
        mark.set, mark.lsn, mark.digest
    ))
}

/// Checks a repository, or of one `set` all that it builds on.
///
/// # Errors
/// There is no such set.
pub async fn check(
    disk: &dyn Disk,
    repository: &Repository,
    set: Option<&str>,
    deep: bool,
    progress: &mut Progress,
) -> Result<Found, Failure> {
    let ends = match set {
        Some(name) => vec![repository.find(Some(name))?],
        None => repository.leaves(),
    };
    let mut found = Found::default();
    let mut checked: Vec<&str> = Vec::new();
    for end in ends {
        let sets = match repository.chain(end.name()) {
            Ok(sets) => sets,
            Err(failure) => {
                found.failures.push(failure);
                continue;
            }
        };
        let before = found.failures.len();
        for set in &sets {
            if !checked.contains(&set.name()) {
                checked.push(set.name());
                files(disk, set, progress, &mut found).await;
            }
        }
        // Files that are damaged are named once.
        if found.failures.len() == before {
            chain(disk, &sets, deep, progress, &mut found).await;
        }
    }
    found.sets = checked.len();
    if set.is_none() {
        found.failures.extend(repository.unreadable.iter().map(|(_, failure)| failure.again()));
    }
    Ok(found)
}

/// Checks the files of one set.
async fn files(disk: &dyn Disk, set: &Set, progress: &mut Progress, found: &mut Found) {
    progress.begin("checking files", set.backup.stored_bytes());
    for file in &set.backup.files {
        let place = Place { stored: set.dir.join(file.stored_path()), file: *file };
        found.files += 1;
        found.bytes += file.stored_bytes;
        if let Err(failure) = check_file(disk, &place).await {
            found.failures.push(failure);
        }
        progress.add(file.stored_bytes);
    }
}

async fn check_file(disk: &dyn Disk, place: &Place) -> Result<(), Failure> {
    let Place { stored: path, file } = place;
    let at = |e: std::io::Error| Failure::stored(path, &e);
    let stored = disk.open(path, Access::Read, Caching::Direct).await.map_err(at)?;
    if stored.size() != file.stored_bytes {
        let text = format!("{} bytes, and it should have {}", stored.size(), file.stored_bytes);
        return Err(Failure::damage(path, text));
    }
    let read = match file.codec {
        Codec::None => {
            let mut hash = Xxh64::new(0);
            let mut each = |piece: Vec<u8>| {
                hash.update(&piece);
                Ok(())
            };
            let bytes = read_all(&*stored, file.bytes, &mut each).await.map_err(at)?;
            let xxh64 = hash.digest();
            Copied { bytes, xxh64, stored_bytes: bytes, stored_xxh64: xxh64 }
        }
        Codec::Zstd => {
            let unpacked = Unpacked::new(Rc::clone(&stored), file.bytes);
            unpacked.check(&mut |_| Ok(())).await.map_err(at)?
        }
    };
    let BackupFile { bytes, xxh64, stored_bytes, stored_xxh64, .. } = *file;
    if read == (Copied { bytes, xxh64, stored_bytes, stored_xxh64 }) {
        return Ok(());
    }
    let is_stored = (read.stored_bytes, read.stored_xxh64) == (stored_bytes, stored_xxh64);
    let (what, found, expected) = match is_stored {
        false => ("", read.stored_xxh64, stored_xxh64),
        true => (" of what it unpacks to", read.xxh64, xxh64),
    };
    let text = format!("checksum{what} {found:016x}, and it should be {expected:016x}");
    Err(Failure::damage(path, text))
}

/// Reads a chain as a start would.
async fn chain(
    disk: &dyn Disk,
    chain: &[&Set],
    deep: bool,
    progress: &mut Progress,
    found: &mut Found,
) {
    let Some(last) = chain.last() else { return };
    let device = ChainDisk::new(disk, chain);
    for part in &last.backup.shards {
        let paths = device.paths(part.shard);
        let shards = u16::try_from(last.backup.shards.len()).unwrap_or(u16::MAX);
        // To its end: not one record less than it should have, nor more.
        let request = Request::new(&device, &paths, shards);
        progress.begin(if deep { "replaying" } else { "reading" }, 0);
        let mut tell = |p: moon_storage::recovery::Progress| progress.at(p.done, p.total);
        let read = if deep {
            let marks = marks(chain, part.shard);
            let mut shard = empty(last.backup.databases);
            let mut replay = Replay::new(&mut shard, last.backup.databases, &marks);
            let read = recover_shard(&request, &mut replay, &mut tell).await;
            if let Ok(recovered) = &read {
                replay.end(recovered.end.last_lsn.max(part.lsn_from - 1));
            }
            found.compared += replay.compared;
            found.failures.extend(replay.wrong.iter().map(|mark| differs(mark, part.shard)));
            read
        } else {
            recover_shard(&request, &mut only_read(), &mut tell).await
        };
        match read {
            Err(e) => found.failures.push(device.named(e)),
            Ok(recovered) => {
                let lsn = recovered.end.last_lsn.max(part.lsn_from - 1);
                if lsn != part.lsn_to {
                    let text = format!("its log ends at lsn {lsn}, and should at {}", part.lsn_to);
                    found.failures.push(Failure::damage(&last.dir, text));
                }
            }
        }
    }
}
