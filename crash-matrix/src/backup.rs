//! Backups of a life, and what is restored of them (crash-matrix.md O9, O14; durability.md §15).
//!
//! A life is backed up in full and by increments while its commands run on, segments rotate and bases are made.
//! Power is lost at operations of the last backups, of a restore and of a removal. Whatever that leaves: the
//! source is what it was, the repository holds whole sets only, nothing half restored is data, and the next
//! backup and restore work. Every set, and LSNs between, restore to the digest taken behind that record.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::backup::{Codec, Kind};
use moon_restore::backup::{Made, Wish, make};
use moon_restore::fail::Failure;
use moon_restore::progress::Progress;
use moon_restore::repo::{Repository, clear, order_of_removal, superfluous};
use moon_restore::restore::{self, Restored, restore};
use moon_restore::source::{Cut, ShardCut, stopped};
use moon_restore::verify;
use moon_storage::io::sim::{Image, SimDisk, SimRng};
use moon_storage::io::{Access, Caching, Disk, Runtime};
use moon_storage::log::{Floor, LogConfig};
use moon_storage::marker;
use moon_storage::parts::bases;
use moon_storage::recovery::{PointTarget, TimePolicy};
use moon_storage::snapshot::Retention;

use crate::bugs::{BackupBug, Bug};
use crate::door::{Door, Lie};
use crate::figures::{Figures, Outcome};
use crate::life::{DATA, History, Life, marker_of};
use crate::oracle::{digest_at, start_at, start_in};
use crate::pitr::{is_state, promised};
use crate::proof::{Stopped, Trial, prove};
use crate::run::{Effort, Run};
use crate::workload::Workload;

const REPO: &str = "/repo";
/// Where it is restored to while power is lost.
const NEW: &str = "/new";
/// The sets that are made, whether they build on others: two chains.
const SETS: [bool; 5] = [false, true, true, false, true];
/// The first of those at whose operations power is lost: a full one, and one that builds on it.
const CRASHED: usize = 3;
/// One crash in so many is followed by another backup and a restore.
const DEEP: u64 = 6;
/// Turns of the shard that a backup may last.
const TURNS_MAX: u32 = 10_000;

/// A set that was made.
struct SetMade {
    name: String,
    lsn_to: u64,
    /// Stops that belong to it.
    stops: Range<usize>,
}

/// A life that has ended, and its repository.
struct Past {
    life: Life,
    history: History,
    sets: Vec<SetMade>,
    /// First LSN that the newest chain reaches.
    first_lsn: u64,
    /// Device behind the clean end of the life.
    disk: SimDisk,
    cfg: LogConfig,
    bug: Bug,
}

impl Drop for Past {
    fn drop(&mut self) {
        self.disk.runtime().shutdown();
    }
}

/// One run of the set.
pub(crate) fn run(run: &Run, effort: Effort, bug: Bug, first: bool) -> Outcome {
    prove(run, effort, bug, first, record, &[backups, restores, half_restored, removals, damage])
}

fn record(run: &Run, cfg: LogConfig, bug: Bug, figures: &mut Figures) -> Result<Past, String> {
    let disk = run.disk();
    disk.set_recording(false);
    let mut life = Life::first(&disk, &cfg, bug)?;
    life.plan.plane = run.cell.plane;
    // Enough of the log for an increment over the bases that are made between two sets.
    life.plan.retention = Retention { bases: 3, window_ms: 0 };
    let mut work = Workload::new(run.cell.plane, run.seed);
    let mut rng = SimRng::new(run.seed ^ 0x6261_636b);
    let codec = if run.seed.is_multiple_of(2) { Codec::None } else { Codec::Zstd };
    let (mut sets, mut first_lsn) = (Vec::new(), 0);
    for (i, incremental) in SETS.into_iter().enumerate() {
        life.drive(&mut work, 16, &mut rng);
        if i % 2 == 0 {
            life.whole_snapshot(true).map_err(|e| format!("O14: no base: {e}"))?;
            life.drive(&mut work, 8, &mut rng);
        }
        disk.set_recording(i >= CRASHED);
        let from = disk.moment();
        let wish = Wish { incremental, codec, digest: true, id: i as u32 };
        let made = back_up(&mut life, &mut work, &mut rng, wish)?;
        let stops = from..disk.stop_count();
        disk.set_recording(false);
        let backup = &made.set.backup;
        if (backup.kind == Kind::Full) == incremental {
            return Err(format!("O14: set {i} is {}: {:?}", backup.kind, made.why_full));
        }
        let part = &backup.shards[0];
        if part.digest != digest_at(&life.history.borrow(), part.lsn_to) {
            return Err(format!("O9: a backup is not the state of lsn {}", part.lsn_to));
        }
        if !incremental {
            first_lsn = part.lsn_from - 1;
        }
        sets.push(SetMade { name: made.set.name().to_owned(), lsn_to: part.lsn_to, stops });
    }
    life.drive(&mut work, 8, &mut rng);
    life.shutdown().map_err(|e| format!("O14: no clean shutdown: {e}"))?;
    figures.backups.made += sets.len() as u64;
    let history = life.noted(figures, " of a backup")?;
    let disk = disk.power_loss(Image::None, run.seed);
    Ok(Past { life, history, sets, first_lsn, disk, cfg, bug })
}

/// Backs a life up while it goes on: what a server does on MOON.BACKUP, and the tool beside it.
fn back_up(
    life: &mut Life,
    work: &mut Workload,
    rng: &mut SimRng,
    wish: Wish,
) -> Result<Made, String> {
    let (log, parts, disk) = (life.log.clone(), life.parts.clone(), life.disk.clone());
    let rt = disk.runtime();
    log.set_floor(Floor::Backup, Some(log.oldest_lsn()));
    parts.pin(parts.with(|list| bases(list).map(|base| base.seq).min()));
    let lsn = life.history.borrow().last().map_or(0, |record| record.lsn);
    let last = rt.block_on(log.rotate()).map_err(|e| format!("O14: no rotation: {e}"))?;
    let last_seq = last.map_or(0, |segment| segment.seq);
    let shards = vec![ShardCut { list: parts.list(), last_seq, lsn }];
    let cut = Cut { shards, ..cut_of(rt.wall_us()) };
    let done: Rc<RefCell<Option<Result<Made, Failure>>>> = Rc::default();
    let (to, source) = (Rc::clone(&done), device(&disk, life.bug));
    rt.spawn(Box::pin(async move {
        let (mut keeps, mut progress) = (|| Ok(()), Progress::silent());
        let made = make(&*source, &cut, Path::new(REPO), wish, &mut keeps, &mut progress).await;
        *to.borrow_mut() = Some(made);
    }));
    for turn in 0..TURNS_MAX {
        if let Some(made) = done.borrow_mut().take() {
            log.set_floor(Floor::Backup, None);
            parts.pin(None);
            return made.map_err(|e| format!("O14: no backup: {}", e.message));
        }
        // Bases come and go meanwhile.
        if turn == 0 {
            life.begin_snapshot(true);
        }
        life.drive(work, 1, rng);
    }
    Err("O14: a backup does not end".into())
}

/// What moon-restore works on.
fn device(disk: &SimDisk, bug: Bug) -> Rc<dyn Disk> {
    let lie = match bug.backup {
        Some(BackupBug::SetUnsynced) => Lie::Unsynced(Box::new(|path: &Path| {
            path.starts_with(REPO) && path.extension().is_none_or(|end| end != "tmp")
        })),
        Some(BackupBug::SetNamesUnsynced) => {
            Lie::NamesUnsynced(Box::new(|dir: &Path| dir.starts_with(REPO)))
        }
        Some(BackupBug::RestoreMarkedFirst) => Lie::MarkedFirst(NEW.into(), marker_of()),
        Some(BackupBug::ListRemovedLast) => Lie::ListLast,
        None => return disk.as_dyn(),
    };
    Door::before(disk.as_dyn(), lie)
}

fn cut_of(taken_us: i64) -> Cut {
    let marker = marker_of();
    Cut {
        data: PathBuf::from(DATA),
        uuid: marker.uuid,
        databases: marker.databases,
        created_ms: marker.created_ms,
        taken_us,
        shards: Vec::new(),
    }
}

fn repository(disk: &SimDisk) -> Result<Repository, String> {
    let read = disk.runtime().block_on(Repository::read(disk, Path::new(REPO)));
    read.map_err(|e| format!("O14: the repository cannot be read: {}", e.message))
}

/// What `verify --deep` finds.
fn found(disk: &SimDisk) -> Result<Vec<Failure>, String> {
    let (repository, mut progress) = (repository(disk)?, Progress::silent());
    let found = verify::check(disk, &repository, None, true, &mut progress);
    let found = disk.runtime().block_on(found);
    found.map(|found| found.failures).map_err(|e| format!("O14: no check: {}", e.message))
}

fn is_sound(disk: &SimDisk) -> Result<(), String> {
    match found(disk)?.first() {
        None => Ok(()),
        Some(failure) => Err(format!("O14: the repository is damaged: {}", failure.message)),
    }
}

fn restore_to(
    disk: &SimDisk,
    bug: Bug,
    to: &str,
    set: Option<&str>,
    lsn: Option<u64>,
) -> Result<Restored, Failure> {
    let wish = restore::Wish {
        set: set.map(str::to_owned),
        targets: lsn.map(PointTarget::Lsn).into_iter().collect(),
        policy: TimePolicy::Refuse,
        verify: true,
    };
    let rt = disk.runtime();
    let (dyn_disk, dyn_rt) = (device(disk, bug), rt.as_dyn());
    rt.block_on(async {
        let repository = Repository::read(disk, Path::new(REPO)).await?;
        let mut progress = Progress::silent();
        let to = Path::new(to);
        let restored = restore(&dyn_disk, &dyn_rt, &repository, to, &wish, &mut progress).await?;
        Ok(restored.1[0].clone())
    })
}

/// Restores, starts on what is there and compares it with the state behind `lsn`.
fn restores_to(
    past: &Past,
    disk: &SimDisk,
    history: &History,
    to: &str,
    set: Option<&str>,
    lsn: u64,
) -> Result<(), String> {
    let target = set.is_none().then_some(lsn);
    let restored = restore_to(disk, past.bug, to, set, target)
        .map_err(|e| format!("O14: lsn {lsn} is not restored: {}", e.message))?;
    if restored.lsn != lsn {
        return Err(format!("O14: lsn {} was restored for lsn {lsn}", restored.lsn));
    }
    serves(past, disk, history, to, lsn)
}

/// A start on a restored directory shows the state behind `lsn`, on a timeline of its own.
fn serves(
    past: &Past,
    disk: &SimDisk,
    history: &History,
    dir: &str,
    lsn: u64,
) -> Result<(), String> {
    let data = Path::new(dir);
    let served = start_in(data, disk, history, &past.cfg, past.bug, true, None)?;
    is_state(&served.shard, history, lsn, dir)?;
    match served.end.epoch {
        2 => Ok(()),
        epoch => Err(format!("O14: {dir} is on timeline {epoch}")),
    }
}

/// Every file below a directory with its bytes.
fn bytes_below(disk: &SimDisk, dir: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    let read = async {
        let (mut dirs, mut files) = (vec![PathBuf::from(dir)], Vec::new());
        while let Some(dir) = dirs.pop() {
            for entry in disk.list(&dir).await? {
                let path = dir.join(&entry.name);
                if entry.is_dir {
                    dirs.push(path);
                    continue;
                }
                let file = disk.open(&path, Access::Read, Caching::Cached).await?;
                let bytes = file.read_at(0, file.size() as usize).await?;
                files.push((path, bytes));
            }
        }
        files.sort();
        Ok::<_, std::io::Error>(files)
    };
    disk.runtime().block_on(read).map_err(|e| format!("O14: {dir}: {e}"))
}

/// Power is lost, or the process killed, at operations of the last backups.
fn backups(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let mut rng = SimRng::new(t.run.seed ^ 0x7365_7473);
    let mut whole = 0;
    for i in CRASHED..SETS.len() {
        let (stops, of) = (past.sets[i].stops.clone(), format!("backup {i}, "));
        t.each_crash(&past.life.disk, stops, &mut rng, &of, |t, left| {
            whole += u64::from(after_backup(past, i, left)?);
            t.out.backups.crashed += 1;
            Ok(())
        })?;
    }
    t.hash.update(&whole.to_le_bytes());
    if t.effort.stops.is_none() && whole == 0 {
        return Err("O14: no crash of a backup leaves its set".into());
    }
    Ok(())
}

/// What a crash of backup `i` has left; whether its set is there.
fn after_backup(past: &Past, i: usize, left: &Stopped) -> Result<bool, String> {
    let after = &left.disk;
    let names: Vec<String> =
        repository(after)?.sets.iter().map(|set| set.name().to_owned()).collect();
    let made = |sets: &[SetMade]| sets.iter().map(|set| set.name.clone()).collect::<Vec<_>>();
    let (without, with) = (made(&past.sets[..i]), made(&past.sets[..=i]));
    if names != without && names != with {
        return Err(format!("O14: the sets are {names:?}, they should be {with:?}"));
    }
    is_sound(after)?;
    let source = start_at(after, &past.history, &past.cfg, past.bug, true, None)?;
    let end = source.kept.checked_sub(1).map_or(0, |k| past.history[k].lsn);
    is_state(&source.shard, &past.history, end, "the source")?;
    let least = promised(&past.life, left.stop, &History::new());
    if end < least {
        return Err(format!("O2: acknowledged lsn {least} is lost, the log ends at {end}"));
    }
    if left.seed.is_multiple_of(DEEP) {
        next_backup(past, after, source.shard.digest())?;
    }
    Ok(names.len() > i)
}

/// What a backup that was cut short has left is in nobody's way.
fn next_backup(past: &Past, disk: &SimDisk, digest: u128) -> Result<(), String> {
    let rt = disk.runtime();
    let wish = Wish { incremental: true, codec: Codec::None, digest: true, id: 99 };
    let made = rt.block_on(async {
        let cut = stopped(disk, Path::new(DATA), rt.wall_us()).await?;
        let (mut keeps, mut progress) = (|| Ok(()), Progress::silent());
        make(disk, &cut, Path::new(REPO), wish, &mut keeps, &mut progress).await
    });
    let made = made.map_err(|e| format!("O14: no backup after a crash of one: {}", e.message))?;
    let left = repository(disk)?.unfinished;
    if let Some(dir) = left.first() {
        return Err(format!("O12: {} is left by a backup", dir.display()));
    }
    is_sound(disk)?;
    let restored = restore_to(disk, past.bug, "/next", Some(made.set.name()), None)
        .map_err(|e| format!("O14: a set after a crash is not restored: {}", e.message))?;
    if restored.digest != Some(digest) {
        return Err("O9: a backup after a crash is not the source".into());
    }
    serves(past, disk, &past.history, "/next", restored.lsn)
}

/// Every set, and LSNs of the newest chain: each of them, or a sample.
fn restores(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let disk = past.disk.power_loss(Image::None, t.run.seed);
    let before = bytes_below(&disk, REPO)?;
    is_sound(&disk)?;
    for (i, set) in past.sets.iter().enumerate() {
        restores_to(past, &disk, &past.history, &format!("/set-{i}"), Some(&set.name), set.lsn_to)?;
        t.out.backups.restored += 1;
    }
    let mut rng = SimRng::new(t.run.seed ^ 0x6c73_6e73);
    let last = past.sets.last().map_or(0, |set| set.lsn_to);
    let all = past.first_lsn..=last;
    let count = (last + 1 - past.first_lsn) as usize;
    for lsn in all {
        // A start and a replay each: fewer of them than of stops.
        if !t.takes(&mut rng, count * 4) {
            continue;
        }
        restores_to(past, &disk, &past.history, &format!("/lsn-{lsn}"), None, lsn)?;
        t.hash.update(&lsn.to_le_bytes());
        t.out.backups.restored += 1;
    }
    for lsn in [past.sets[0].lsn_to.saturating_sub(1_000_000), last + 1] {
        let refused =
            restore_to(&disk, past.bug, "/nowhere", None, Some(lsn)).err().map(|e| e.code);
        if lsn > 0 && refused != Some(2) {
            return Err(format!("O14: lsn {lsn}, which no set holds, is not refused"));
        }
    }
    if bytes_below(&disk, REPO)? != before {
        return Err("O14: a restore changes the repository".into());
    }
    disk.runtime().shutdown();
    Ok(())
}

/// Power is lost at operations of a restore: there is data, or what is not taken for data.
fn half_restored(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let disk = past.disk.power_loss(Image::None, t.run.seed);
    let mut rng = SimRng::new(t.run.seed ^ 0x6861_6c66);
    let last = past.sets.last().map_or(0, |set| set.lsn_to);
    let lsn = past.first_lsn + 1 + rng.below((last - past.first_lsn).max(1));
    let sets = bytes_below(&disk, REPO)?;
    disk.set_recording(true);
    let from = disk.moment();
    restores_to(past, &disk, &past.history, NEW, None, lsn)?;
    let (mut data, mut none) = (0u64, 0u64);
    t.each_crash(&disk, from..disk.stop_count(), &mut rng, "restore, ", |t, left| {
        let after = &left.disk;
        t.out.backups.crashed += 1;
        let marked = after.runtime().block_on(marker::read(after, Path::new(NEW)));
        match marked.map_err(|e| format!("O14: {e}"))? {
            Some(_) => {
                data += 1;
                serves(past, after, &past.history, NEW, lsn)?;
            }
            None => none += 1,
        }
        if bytes_below(after, REPO)? != sets {
            return Err("O14: a restore changes the repository".into());
        }
        if left.seed.is_multiple_of(DEEP) {
            restores_to(past, after, &past.history, "/again", None, lsn)?;
            let source = start_at(after, &past.history, &past.cfg, past.bug, true, None)?;
            if source.kept != past.history.len() {
                return Err("O9: a restore changes the source".into());
            }
        }
        Ok(())
    })?;
    t.hash.update(&data.to_le_bytes());
    t.hash.update(&none.to_le_bytes());
    if let Some(v) = disk.violations().first() {
        return Err(format!("manners of a restore: {v:?}"));
    }
    if t.effort.stops.is_none() && (data == 0 || none == 0) {
        return Err(format!("O14: {data} crashes of a restore leave data, {none} none"));
    }
    disk.runtime().shutdown();
    Ok(())
}

/// Power is lost while the older chain is removed: no chain breaks.
fn removals(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let disk = past.disk.power_loss(Image::None, t.run.seed);
    let mut rng = SimRng::new(t.run.seed ^ 0x676f_6e65);
    let all = repository(&disk)?;
    disk.set_recording(true);
    let from = disk.moment();
    let rt = disk.runtime();
    for tree in superfluous(&all.trees(), Some(1), None) {
        for set in order_of_removal(&tree) {
            let removed = rt.block_on(clear(&*device(&disk, past.bug), &set.dir));
            removed.map_err(|e| format!("O14: a set is not removed: {}", e.message))?;
        }
    }
    let left = repository(&disk)?;
    if left.sets.len() != SETS.len() - CRASHED || !left.unfinished.is_empty() {
        return Err(format!("O12: {} sets are left by a removal", left.sets.len()));
    }
    t.each_crash(&disk, from..disk.stop_count(), &mut rng, "removal, ", |t, left| {
        let after = &left.disk;
        t.out.backups.crashed += 1;
        is_sound(after)?;
        let left = repository(after)?;
        if left.sets.len() < SETS.len() - CRASHED {
            return Err(format!("O14: {} sets are left", left.sets.len()));
        }
        for dir in &left.unfinished {
            let cleared = after.runtime().block_on(clear(after, dir));
            cleared.map_err(|e| format!("O12: {}", e.message))?;
        }
        match repository(after)?.unfinished.is_empty() {
            true => Ok(()),
            false => Err("O12: a removal cannot be ended".into()),
        }
    })?;
    disk.runtime().shutdown();
    Ok(())
}

/// What is damaged in a repository is found, file by file.
fn damage(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let mut rng = SimRng::new(t.run.seed ^ 0x726f_7400);
    let files = bytes_below(&past.disk, REPO)?;
    for (i, (path, bytes)) in files.iter().enumerate() {
        for kind in 0..5 {
            if !t.takes(&mut rng, files.len() * 5) {
                continue;
            }
            let disk = past.disk.power_loss(Image::None, t.run.seed);
            let put = |path: &Path, bytes: &[u8]| write(&disk, path, bytes);
            let other = &files[(i + 1) % files.len()];
            let len = bytes.len() as u64;
            match kind {
                0 => {
                    disk.rot(path, rng.below(len), 1 << rng.below(8));
                }
                1 => put(path, &bytes[..rng.below(len) as usize])?,
                2 => put(path, &[bytes, &b"\0"[..]].concat())?,
                3 if *bytes != other.1 => {
                    put(path, &other.1)?;
                    put(&other.0, bytes)?;
                }
                // A list that is gone is a set that is not there: damage only where others build on it.
                4 if is_needed(past, path) => {
                    let removed = disk.runtime().block_on(disk.remove(path));
                    removed.map_err(|e| format!("D: {e}"))?;
                }
                _ => continue,
            }
            if found(&disk)?.is_empty() {
                let path = path.display();
                return Err(format!("D: damage of kind {kind} to {path} is not found"));
            }
            t.out.backups.damaged += 1;
            disk.runtime().shutdown();
        }
    }
    Ok(())
}

/// Whether a set is broken without this file, or others are without its set.
fn is_needed(past: &Past, path: &Path) -> bool {
    let is_list = path.file_name().is_some_and(|name| name == moon_formats::names::BACKUP);
    let is_leaf = [CRASHED - 1, SETS.len() - 1]
        .iter()
        .any(|i| path.starts_with(Path::new(REPO).join(&past.sets[*i].name)));
    !(is_list && is_leaf)
}

/// Puts other bytes in place of a file's.
fn write(disk: &SimDisk, path: &Path, bytes: &[u8]) -> Result<(), String> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Ok(());
    };
    let put = disk.runtime().block_on(moon_storage::whole::put(disk, dir, name, bytes));
    put.map_err(|e| format!("D: {e}"))
}
