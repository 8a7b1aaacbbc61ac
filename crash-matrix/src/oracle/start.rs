//! Starts of the shipped recovery on what a crash has left, as the server makes them.
//!
//! Invariants: each record that recovery hands over is held against the history as it comes; nothing is written.

use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use moon_engine::clock::Now;
use moon_engine::exec::Shard;
use moon_engine::snapshot::Loader;
use moon_formats::rrdshard::Item;
use moon_formats::wal::{Record, RecordType};
use moon_storage::io::Runtime;
use moon_storage::io::sim::SimDisk;
use moon_storage::log::LogConfig;
use moon_storage::marker;
use moon_storage::parts::ShardPaths;
use moon_storage::recovery::{
    FileSummary, Origin, Point, RecoveredEnd, RecoveryError, Request, Target, Unlogged,
    recover_shard, recover_snapshot, recover_without_log,
};
use moon_storage::scan::{Position, ScanError, VisitError, Visitor};

use crate::bugs::{self, Bug, EngineBug};
use crate::life::{DATA, Logged, empty_shard, marker_of, paths};

/// A state that came back.
pub struct Recovered {
    /// The shard.
    pub shard: Shard,
    /// Where the log goes on.
    pub end: RecoveredEnd,
    /// What storage found, to be opened.
    pub found: moon_storage::recovery::Recovered,
    /// Records of the history that were found.
    pub kept: usize,
}

struct Replay<'a> {
    loader: Option<Loader<'a>>,
    now: Now,
    bug: Option<EngineBug>,
    history: &'a [Rc<Logged>],
    next: usize,
}

impl Target for Replay<'_> {
    fn restart(&mut self) {
        if let Some(loader) = &mut self.loader {
            let mut empty = empty_shard();
            empty.set_now(self.now);
            loader.restart(empty);
        }
        self.next = 0;
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        if let Item::Head(head) = item {
            let cut = head.preamble.last_lsn;
            self.next = self.history.partition_point(|r| r.lsn <= cut);
        }
        match &mut self.loader {
            Some(loader) => Ok(loader.item(item)?),
            None => Ok(()),
        }
    }
}

impl Visitor for Replay<'_> {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.code != RecordType::Command.code() {
            return Ok(ControlFlow::Continue(()));
        }
        let Some(want) = self.history.get(self.next) else {
            return Err(format!("O2: lsn {} was never appended", r.lsn).into());
        };
        if want.lsn != r.lsn {
            return Err(format!("O2: lsn {} recovered, {} expected", r.lsn, want.lsn).into());
        }
        if want.payload != r.payload || want.flags != r.flags || want.db != r.db {
            return Err(format!("O10: lsn {} names another record", r.lsn).into());
        }
        if let Some(loader) = &mut self.loader {
            bugs::apply(self.bug, loader.shard(), self.next, (r.db, r.flags), r.payload)?;
        }
        self.next += 1;
        Ok(ControlFlow::Continue(()))
    }
}

pub(crate) fn request<'a>(
    disk: &'a SimDisk,
    paths: &'a ShardPaths,
    cfg: &LogConfig,
) -> Request<'a> {
    let request = Request::new(disk, paths, marker_of().shards);
    #[cfg(feature = "mutants")]
    let request = Request { mutant: cfg.mutant, ..request };
    let _ = cfg;
    request
}

/// Recovers as the server does: marker, part list, base, log.
///
/// # Errors
/// Why it does not start, or what was recovered wrongly.
pub fn start_over(
    disk: &SimDisk,
    history: &[Rc<Logged>],
    cfg: &LogConfig,
    bug: Bug,
    apply: bool,
) -> Result<Recovered, String> {
    start_at(disk, history, cfg, bug, apply, None)
}

/// The same up to a point in time.
///
/// # Errors
/// As [`start_over`].
pub fn start_at(
    disk: &SimDisk,
    history: &[Rc<Logged>],
    cfg: &LogConfig,
    bug: Bug,
    apply: bool,
    point: Option<Point>,
) -> Result<Recovered, String> {
    start_in(Path::new(DATA), disk, history, cfg, bug, apply, point)
}

/// The same in another directory than that of a life.
pub(crate) fn start_in(
    data: &Path,
    disk: &SimDisk,
    history: &[Rc<Logged>],
    cfg: &LogConfig,
    bug: Bug,
    apply: bool,
    point: Option<Point>,
) -> Result<Recovered, String> {
    let rt = disk.runtime();
    let now = Now::new(rt.wall_us(), rt.mono_us());
    let mut shard = empty_shard();
    shard.set_now(now);
    let refused = |e: String| format!("O1: does not start: {e}");
    let marked = rt.block_on(marker::read(disk, data));
    let marked = marked.map_err(|e| refused(e.to_string()))?;
    if marked.as_ref().is_some_and(|m| *m != marker_of()) {
        return Err("D: the marker says something else".into());
    }
    let mut replay = Replay {
        loader: apply.then(|| Loader::new(&mut shard)),
        now,
        bug: bug.engine,
        history,
        next: 0,
    };
    let paths = ShardPaths::new(data, 0);
    let request = Request { point, ..request(disk, &paths, cfg) };
    let recovered = rt.block_on(recover_shard(&request, &mut replay, &mut |_| {}));
    let kept = replay.next;
    drop(replay);
    let found = match recovered {
        Ok(found) => found,
        Err(RecoveryError::Scan(ScanError::Visitor(e))) if e.to_string().starts_with('O') => {
            return Err(e.to_string());
        }
        Err(e) => return Err(refused(e.to_string())),
    };
    if marked.is_none() && found.origin != Origin::Fresh {
        return Err(refused("there is data, but no marker".into()));
    }
    if apply
        && bug.engine == Some(EngineBug::LastRecordTwice)
        && let Some(record) = kept.checked_sub(1).and_then(|i| history.get(i))
    {
        let _ = shard.apply(record.db, record.flags, &record.payload);
    }
    Ok(Recovered { shard, end: found.end.clone(), found, kept })
}

/// Loads the last save; its cut and the shard, if there is one.
///
/// # Errors
/// Why it does not load.
pub fn load_save(disk: &SimDisk, cfg: &LogConfig) -> Result<Option<(u64, Shard)>, String> {
    let rt = disk.runtime();
    let now = Now::new(rt.wall_us(), rt.mono_us());
    let mut shard = empty_shard();
    let mut load =
        Replay { loader: Some(Loader::new(&mut shard)), now, bug: None, history: &[], next: 0 };
    let paths = paths();
    let found = rt.block_on(recover_snapshot(&request(disk, &paths, cfg), &mut load, &mut |_| {}));
    drop(load);
    let found = found.map_err(|e| format!("O1: the save does not load: {e}"))?;
    Ok(found.map(|summary| (summary.head.preamble.last_lsn, shard)))
}

/// Starts without a log, as a server does with `appendonly no`: the save that was found, and the shard.
///
/// # Errors
/// Why it does not start, or that it found more than a save.
pub(crate) fn start_unlogged(
    disk: &SimDisk,
    cfg: &LogConfig,
) -> Result<(Option<FileSummary>, Shard), String> {
    let rt = disk.runtime();
    let now = Now::new(rt.wall_us(), rt.mono_us());
    let mut shard = empty_shard();
    shard.set_now(now);
    let mut load =
        Replay { loader: Some(Loader::new(&mut shard)), now, bug: None, history: &[], next: 0 };
    let paths = paths();
    let request = request(disk, &paths, cfg);
    let found = rt.block_on(recover_without_log(&request, &mut load, &mut |_| {}));
    drop(load);
    match found.map_err(|e| format!("O1: does not start: {e}"))? {
        Unlogged::Save(found, None) => Ok((found, shard)),
        other => Err(format!("O12: there is more than a save: {other:?}")),
    }
}
