//! Making a set.
//!
//! | step | after a crash |
//! |---|---|
//! | what earlier backups have left is removed | nothing new |
//! | the log is read, and unless told otherwise replayed | nothing new |
//! | files are written and synced, directories synced | a directory that is no set |
//! | the source is asked whether it has kept its promise | the same |
//! | `backup.json` is written aside, synced, renamed, its directory synced | the set, or none |
//!
//! Invariant: the source is only read.

use std::path::Path;

use moon_formats::backup::{Backup, BackupFile, Codec, FileKind, Kind, ShardPart};
use moon_formats::names;
use moon_storage::io::{Access, Caching, Disk};
use moon_storage::parts::ShardPaths;
use moon_storage::recovery::{Point, Request, recover_shard};
use moon_storage::whole;

use crate::fail::Failure;
use crate::progress::Progress;
use crate::replay::{Replay, empty, only_read};
use crate::repo::{Repository, Set, clear};
use crate::source::{Cut, ShardCut, Survey, Unsurveyed, survey};
use crate::store::{Copied, copy};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Build on the newest set, if that can be done.
    pub incremental: bool,
    /// How files are stored.
    pub codec: Codec,
    /// Replay the source.
    pub digest: bool,
    /// Tells the set from others of the same second.
    pub id: u32,
}

/// What has been made.
#[derive(Debug)]
pub struct Made {
    /// The set.
    pub set: Set,
    /// Why it is a full set where an incremental one was asked for.
    pub why_full: Option<String>,
}

/// Asks the source whether its files still are what they were.
pub type Keeps<'a> = &'a mut dyn FnMut() -> Result<(), Failure>;

/// Makes a set. The caller keeps others from changing the repository.
///
/// # Errors
/// The source cannot be read or has not kept its promise, or the repository cannot be written: there is no
/// set then.
pub async fn make(
    disk: &dyn Disk,
    cut: &Cut,
    repo: &Path,
    wish: Wish,
    keeps: Keeps<'_>,
    progress: &mut Progress,
) -> Result<Made, Failure> {
    disk.create_dir_all(repo).await.map_err(|e| Failure::io("make", repo, e))?;
    let repository = Repository::read(disk, repo).await?;
    for dir in &repository.unfinished {
        clear(disk, dir).await?;
    }
    let (surveys, kind, why_full) = plan(disk, cut, &repository, wish.incremental).await?;
    let mut parts: Vec<ShardPart> = surveys.iter().map(|s| s.part.clone()).collect();
    for (part, of) in parts.iter_mut().zip(&cut.shards) {
        let digest = read_back(disk, cut, of, part, wish.digest, progress).await?;
        part.digest = digest;
    }
    let set = names::backup_set(cut.taken_us, wish.id);
    let dir = repo.join(&set);
    let written = write(disk, cut, &dir, &surveys, &kind, wish.codec, progress).await;
    let files = match written {
        Ok(files) => files,
        Err(failure) => return Err(give_up(disk, &dir, failure).await),
    };
    if let Err(failure) = keeps() {
        return Err(give_up(disk, &dir, failure).await);
    }
    let latest = parts.iter().filter_map(|p| p.to_us).max().unwrap_or(i64::MIN);
    let backup = Backup {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        set,
        kind,
        uuid: cut.uuid,
        databases: cut.databases,
        created_ms: cut.created_ms,
        taken_us: cut.taken_us.max(latest),
        shards: parts,
        files,
    };
    let put = whole::put(disk, &dir, names::BACKUP, &backup.encode()).await;
    put.map_err(|e| Failure::io("write", &dir.join(names::BACKUP), e))?;
    Ok(Made { set: Set { dir, backup }, why_full })
}

/// What failed, after what was written of the set has been removed if that can be done.
async fn give_up(disk: &dyn Disk, dir: &Path, failure: Failure) -> Failure {
    // What stays is no set, and the next backup removes it.
    drop(clear(disk, dir).await);
    failure
}

/// Finds what the set is to hold, and what it builds on.
async fn plan(
    disk: &dyn Disk,
    cut: &Cut,
    repository: &Repository,
    incremental: bool,
) -> Result<(Vec<Survey>, Kind, Option<String>), Failure> {
    let mut why_full = None;
    if incremental {
        match parent(repository, cut) {
            Err(why) => why_full = Some(why),
            Ok(parent) => match surveys(disk, cut, Some(parent)).await {
                Ok(found) => {
                    let kind = Kind::Incremental(parent.name().to_owned());
                    return Ok((found, kind, None));
                }
                Err(Unsurveyed::Failed(failure)) => return Err(failure),
                Err(Unsurveyed::Broken(why)) => {
                    why_full = Some(format!("{why} (the newest set is {})", parent.name()));
                }
            },
        }
    }
    match surveys(disk, cut, None).await {
        Ok(found) => Ok((found, Kind::Full, why_full)),
        Err(Unsurveyed::Failed(failure)) => Err(failure),
        Err(Unsurveyed::Broken(why)) => Err(Failure::damage(&cut.data, why)),
    }
}

/// The set to build on, or why there is none.
fn parent<'a>(repository: &'a Repository, cut: &Cut) -> Result<&'a Set, String> {
    if let Some((name, failure)) = repository.unreadable.last() {
        return Err(format!("the set {name} cannot be read: {}", failure.message));
    }
    let of_this = |set: &&Set| set.backup.uuid == cut.uuid;
    let newest = repository.sets.iter().rev().find(of_this);
    let newest = newest.ok_or("there is no earlier set of this directory")?;
    repository.chain(newest.name()).map_err(|failure| failure.message)?;
    let shape = |shards: usize, databases: u16| (shards, databases);
    let backup = &newest.backup;
    if shape(backup.shards.len(), backup.databases) != shape(cut.shards.len(), cut.databases) {
        return Err("the directory has other shards or databases now".into());
    }
    Ok(newest)
}

async fn surveys(
    disk: &dyn Disk,
    cut: &Cut,
    parent: Option<&Set>,
) -> Result<Vec<Survey>, Unsurveyed> {
    let mut found = Vec::new();
    for of in &cut.shards {
        let part = parent.and_then(|set| set.backup.shard(of.list.shard));
        found.push(survey(disk, cut, of, part).await?);
    }
    Ok(found)
}

/// Reads base and log of the source as a start would. With `digest` the data are replayed.
async fn read_back(
    disk: &dyn Disk,
    cut: &Cut,
    of: &ShardCut,
    part: &ShardPart,
    digest: bool,
    progress: &mut Progress,
) -> Result<Option<u128>, Failure> {
    let paths = ShardPaths::new(&cut.data, of.list.shard);
    let shards = u16::try_from(cut.shards.len()).unwrap_or(u16::MAX);
    let mut request = Request::new(disk, &paths, shards);
    // The server may have written more since.
    request.point = Some(Point { lsn: part.lsn_to, fork: false });
    progress.begin(if digest { "replaying" } else { "reading" }, 0);
    let mut tell = |p: moon_storage::recovery::Progress| progress.at(p.done, p.total);
    if !digest {
        recover_shard(&request, &mut only_read(), &mut tell).await?;
        return Ok(None);
    }
    let mut shard = empty(cut.databases);
    let mut replay = Replay::new(&mut shard, cut.databases, &[]);
    recover_shard(&request, &mut replay, &mut tell).await?;
    Ok(Some(replay.end(part.lsn_to)))
}

/// Writes the files of a set and makes them durable, names included.
async fn write(
    disk: &dyn Disk,
    cut: &Cut,
    dir: &Path,
    surveys: &[Survey],
    kind: &Kind,
    codec: Codec,
    progress: &mut Progress,
) -> Result<Vec<BackupFile>, Failure> {
    let mut wanted: Vec<(FileKind, u64)> = Vec::new();
    for Survey { segments, part } in surveys {
        if let (Kind::Full, Some(base)) = (kind, part.parts.base) {
            wanted.push((FileKind::Base(part.shard, base.seq), base.bytes));
        }
        let segment = |(seq, bytes): &(u64, u64)| (FileKind::Segment(part.shard, *seq), *bytes);
        wanted.extend(segments.iter().map(segment));
    }
    progress.begin("copying", wanted.iter().map(|(_, bytes)| bytes).sum());
    disk.create_dir_all(dir).await.map_err(|e| Failure::io("make", dir, e))?;
    let mut files = Vec::new();
    let mut dirs: Vec<std::path::PathBuf> = Vec::new();
    for (kind, bytes) in wanted {
        let from = cut.data.join(kind.path());
        let file = BackupFile { kind, bytes, xxh64: 0, codec, stored_bytes: 0, stored_xxh64: 0 };
        let to = dir.join(file.stored_path());
        if let Some(parent) = to.parent().filter(|p| !dirs.iter().any(|d| d == p)) {
            disk.create_dir_all(parent).await.map_err(|e| Failure::io("make", parent, e))?;
            dirs.push(parent.to_owned());
        }
        let source = disk.open(&from, Access::Read, Caching::Direct).await;
        let source = source.map_err(|e| Failure::io("read", &from, e))?;
        let mut tell = |n| {
            progress.add(n);
            Ok(())
        };
        let copied = copy(&*source, bytes, disk, &to, codec, &mut tell).await;
        let copied = copied.map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Failure::damage(&from, "it is shorter than it was")
            }
            _ => Failure::environment(format!(
                "cannot copy {} to {}: {e}",
                from.display(),
                to.display()
            )),
        })?;
        let Copied { xxh64, stored_bytes, stored_xxh64, .. } = copied;
        files.push(BackupFile { xxh64, stored_bytes, stored_xxh64, ..file });
    }
    for dir in &dirs {
        disk.sync_dir(dir).await.map_err(|e| Failure::io("sync", dir, e))?;
    }
    Ok(files)
}
