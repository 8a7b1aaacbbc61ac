//! A new data directory from a chain.
//!
//! | step | after a crash |
//! |---|---|
//! | the point in time is looked for in the repository | nothing new |
//! | files are copied against their checksums, synced, their directories synced | no data |
//! | the part list is written | no data |
//! | the log is cut at the point and goes on as a timeline of its own: the fork that a server makes | no data |
//! | the marker `moon.storage` is written | the data |
//!
//! Invariants: a directory with anything in it is not touched; until the marker is there, which is last, no
//! server takes the directory for data; the repository is only read.

use std::io;
use std::path::Path;
use std::rc::Rc;

use moon_formats::backup::FileKind;
use moon_formats::marker::Marker;
use moon_formats::names;
use moon_formats::time::utc;
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::LogConfig;
use moon_storage::marker;
use moon_storage::parts::ShardPaths;
use moon_storage::recovery::target::resolve;
use moon_storage::recovery::{
    Point, PointTarget, RecoveryError, Request, TargetError, TimePolicy, recover_shard,
};
use moon_storage::whole;

use crate::chain::ChainDisk;
use crate::fail::Failure;
use crate::progress::Progress;
use crate::replay::{Replay, empty, only_read};
use crate::repo::{Repository, Set};
use crate::store::copy;
use crate::verify::{differs, marks};

/// Size of the segment with which the new timeline begins: it holds next to nothing.
const SEGMENT_BYTES: u64 = 1 << 20;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The last set to use; the newest that reaches the target without it.
    pub set: Option<String>,
    /// Where the data are to end, for each shard; empty for the end of the set.
    pub targets: Vec<PointTarget>,
    /// Which moment is meant where the clock was set.
    pub policy: TimePolicy,
    /// Replay what was restored and compare it.
    pub verify: bool,
}

/// What was restored of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its number.
    pub shard: u16,
    /// LSN of the last change.
    pub lsn: u64,
    /// When that was, microseconds since 1970.
    pub wall_us: Option<i64>,
    /// Keys, if it was replayed.
    pub keys: Option<u64>,
    /// Its digest, if it was replayed.
    pub digest: Option<u128>,
    /// Digests that were compared on the way.
    pub compared: usize,
}

/// The point of a shard that a target stands for.
#[derive(Debug, Clone, Copy)]
struct Found {
    lsn: u64,
    wall_us: Option<i64>,
}

/// Restores to `to`, which is empty; the set whose state was taken, and what is there now.
///
/// # Errors
/// The target cannot be had, something of the sets is damaged, or `to` cannot be written. What was written
/// is not data then.
pub async fn restore(
    disk: &Rc<dyn Disk>,
    rt: &Rc<dyn Runtime>,
    repository: &Repository,
    to: &Path,
    wish: &Wish,
    progress: &mut Progress,
) -> Result<(String, Vec<Restored>), Failure> {
    check_empty(&**disk, to).await?;
    let (chain, points) = choose(&**disk, repository, wish).await?;
    let Some(last) = chain.last() else { return Err(Failure::refused("no backup is there")) };
    let device = ChainDisk::new(&**disk, &chain);
    copy_files(&**disk, &device, to, progress).await?;
    let mut restored = Vec::new();
    for (point, list) in points.iter().zip(device.lists()) {
        let paths = ShardPaths::new(to, list.shard);
        let dir = paths.parts();
        for dir in [&dir, &paths.log()] {
            disk.create_dir_all(dir).await.map_err(|e| Failure::io("make", dir, e))?;
        }
        let put = whole::put(&**disk, &dir, names::AOF_MANIFEST, list.encode().as_bytes()).await;
        put.map_err(|e| Failure::io("write", &paths.part_list(), e))?;
        restored.push(settle(disk, rt, &paths, &chain, *point, wish.verify, progress).await?);
    }
    let backup = &last.backup;
    let shards = u16::try_from(backup.shards.len()).unwrap_or(u16::MAX);
    let (uuid, databases, created_ms) = (backup.uuid, backup.databases, backup.created_ms);
    let first = Marker { uuid, shards, databases, created_ms, extra: Vec::new() };
    marker::write(&**disk, to, &first).await?;
    Ok((last.name().to_owned(), restored))
}

/// Never over data, nor over anything else but a lock. Nothing is made.
///
/// # Errors
/// Something is there, or it cannot be read.
pub async fn check_empty(disk: &dyn Disk, to: &Path) -> Result<(), Failure> {
    match disk.list(to).await {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Failure::io("read", to, e)),
        Ok(entries) => match entries.iter().find(|e| e.name != names::LOCK) {
            None => Ok(()),
            Some(entry) if entries.iter().any(|e| e.name == names::MARKER) => {
                let text =
                    format!("{} holds data ({}); restore to another", to.display(), entry.name);
                Err(Failure::refused(text))
            }
            Some(entry) => Err(Failure::refused(format!(
                "{} is not empty ({}): if an earlier restore was cut short, remove it",
                to.display(),
                entry.name
            ))),
        },
    }
}

/// The shortest chain that reaches the target, and its points.
async fn choose<'a>(
    disk: &dyn Disk,
    repository: &'a Repository,
    wish: &Wish,
) -> Result<(Vec<&'a Set>, Vec<Found>), Failure> {
    if wish.targets.is_empty() {
        let set = repository.find(wish.set.as_deref())?;
        // A set that cannot be read may be a newer one.
        if let (None, Some((name, failure))) = (&wish.set, repository.unreadable.last())
            && name.as_str() > set.name()
        {
            return Err(failure.again());
        }
        let chain = repository.chain(set.name())?;
        let end = |part: &moon_formats::backup::ShardPart| Found {
            lsn: part.lsn_to,
            wall_us: part.to_us,
        };
        let points = set.backup.shards.iter().map(end).collect();
        return Ok((chain, points));
    }
    let ends = match &wish.set {
        Some(name) => vec![repository.find(Some(name))?],
        None => repository.leaves(),
    };
    let mut missed: Vec<Failure> = Vec::new();
    for end in ends {
        let chain = repository.chain(end.name())?;
        match find(disk, &chain, wish).await? {
            Ok(points) => {
                let reaches = |set: &&Set| {
                    let parts = set.backup.shards.iter().zip(&points);
                    parts.into_iter().all(|(part, point)| part.lsn_to >= point.lsn)
                };
                let len = chain.iter().position(reaches).map_or(chain.len(), |i| i + 1);
                return Ok((chain[..len].to_vec(), points));
            }
            Err(failure) => missed.push(failure),
        }
    }
    let why: Vec<String> = missed.into_iter().map(|failure| failure.message).collect();
    Err(Failure::refused(match why.is_empty() {
        true => "no backup is there".to_owned(),
        false => why.join("\n"),
    }))
}

/// The points in a chain; the inner error says why it does not reach the target.
async fn find(
    disk: &dyn Disk,
    chain: &[&Set],
    wish: &Wish,
) -> Result<Result<Vec<Found>, Failure>, Failure> {
    let Some(last) = chain.last() else { return Err(Failure::refused("no backup is there")) };
    let shards = last.backup.shards.len();
    let mut targets = wish.targets.clone();
    if let [one] = targets.as_slice()
        && !matches!(one, PointTarget::Lsn(_))
    {
        // A moment is the same for all of them.
        targets = vec![one.clone(); shards];
    }
    if targets.len() != shards {
        return Err(Failure::refused(format!(
            "{} has {shards} shards; give an lsn for each of them",
            last.name()
        )));
    }
    let device = ChainDisk::new(disk, chain);
    let mut points = Vec::new();
    for (part, target) in last.backup.shards.iter().zip(&targets) {
        if let PointTarget::Time(us) = target
            && *us > last.backup.taken_us
        {
            // Nobody knows what was written between the backup and that moment.
            return Ok(Err(Failure::refused(format!(
                "{}: it was made at {}, before {target}",
                last.name(),
                utc(last.backup.taken_us)
            ))));
        }
        let paths = device.paths(part.shard);
        let request = Request::new(&device, &paths, u16::try_from(shards).unwrap_or(u16::MAX));
        match resolve(&request, target, wish.policy).await {
            Ok(found) => points.push(Found { lsn: found.lsn, wall_us: found.wall_us }),
            Err(RecoveryError::Target(
                e @ (TargetError::Unreachable(..) | TargetError::NoPoint(..)),
            )) => {
                return Ok(Err(Failure::refused(format!("{}: {e}", last.name()))));
            }
            Err(e) => return Err(device.named(e)),
        }
    }
    Ok(Ok(points))
}

/// Copies the files of a chain to where they were.
async fn copy_files(
    disk: &dyn Disk,
    device: &ChainDisk<'_>,
    to: &Path,
    progress: &mut Progress,
) -> Result<(), Failure> {
    disk.create_dir_all(to).await.map_err(|e| Failure::io("make", to, e))?;
    progress.begin("copying", device.files().map(|place| place.file.bytes).sum());
    let mut dirs: Vec<std::path::PathBuf> = Vec::new();
    for place in device.files() {
        let path = to.join(place.file.kind.path());
        if let Some(parent) = path.parent().filter(|p| !dirs.iter().any(|d| d == p)) {
            disk.create_dir_all(parent).await.map_err(|e| Failure::io("make", parent, e))?;
            dirs.push(parent.to_owned());
        }
        let from = device.content(place).await.map_err(|e| Failure::stored(&place.stored, &e))?;
        let mut tell = |n| {
            progress.add(n);
            Ok(())
        };
        let none = moon_formats::backup::Codec::None;
        let copied = copy(&*from, place.file.bytes, disk, &path, none, &mut tell).await;
        let copied = copied.map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Failure::stored(&place.stored, &e)
            }
            _ => {
                let (from, to) = (place.stored.display(), path.display());
                Failure::environment(format!("cannot copy {from} to {to}: {e}"))
            }
        })?;
        if copied.xxh64 != place.file.xxh64 {
            let text = format!(
                "checksum {:016x}, and it should be {:016x}",
                copied.xxh64, place.file.xxh64
            );
            return Err(Failure::damage(&place.stored, text));
        }
        debug_assert!(matches!(place.file.kind, FileKind::Base(..) | FileKind::Segment(..)));
    }
    for dir in &dirs {
        disk.sync_dir(dir).await.map_err(|e| Failure::io("sync", dir, e))?;
    }
    Ok(())
}

/// Cuts the log of a shard at the point and begins its timeline.
async fn settle(
    disk: &Rc<dyn Disk>,
    rt: &Rc<dyn Runtime>,
    paths: &ShardPaths,
    chain: &[&Set],
    point: Found,
    verify: bool,
    progress: &mut Progress,
) -> Result<Restored, Failure> {
    let Some(last) = chain.last() else { return Err(Failure::refused("no backup is there")) };
    let shards = u16::try_from(last.backup.shards.len()).unwrap_or(u16::MAX);
    let mut request = Request::new(&**disk, paths, shards);
    request.point = Some(Point { lsn: point.lsn, fork: true });
    let mut restored = Restored {
        shard: paths.shard,
        lsn: point.lsn,
        wall_us: point.wall_us,
        keys: None,
        digest: None,
        compared: 0,
    };
    progress.begin(if verify { "replaying" } else { "reading" }, 0);
    let mut tell = |p: moon_storage::recovery::Progress| progress.at(p.done, p.total);
    let recovered = if verify {
        let mut marks = marks(chain, paths.shard);
        marks.retain(|mark| mark.lsn <= point.lsn);
        let mut shard = empty(last.backup.databases);
        let mut replay = Replay::new(&mut shard, last.backup.databases, &marks);
        let recovered = recover_shard(&request, &mut replay, &mut tell).await?;
        restored.digest = Some(replay.end(point.lsn));
        restored.keys = Some(replay.keys());
        restored.compared = replay.compared;
        if let Some(mark) = replay.wrong.first() {
            return Err(differs(mark, paths.shard));
        }
        recovered
    } else {
        recover_shard(&request, &mut only_read(), &mut tell).await?
    };
    let config =
        LogConfig { segment_bytes: SEGMENT_BYTES, disk_free_min_pct: 0, ..LogConfig::default() };
    let opened = recovered.open(Rc::clone(disk), Rc::clone(rt), config).await?;
    opened.log.shutdown().await.map_err(|e| Failure::from(RecoveryError::Log(e)))?;
    Ok(restored)
}
