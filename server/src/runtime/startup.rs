//! Recovery beside the network loop: base and log are read and applied by a task of its own, while
//! clients are told to wait.
//!
//! Invariant: the shard belongs to the task until it has ended, so no request can see a half
//! of the data.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use moon_engine::exec::{Shard, ShardConfig};
use moon_engine::snapshot::Loader;
use moon_formats::rrdshard::Item;
use moon_formats::{names, wal};
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::{Log, LogError};
use moon_storage::parts::{Parts, ShardPaths, bases};
use moon_storage::recovery::{
    Origin, PointTarget, Progress, RecoveryError, Request, Target, Unlogged, read_head,
    recover_shard, recover_without_log,
};
use moon_storage::scan::{Position, VisitError, Visitor};
use moon_storage::switch::Standing;

use super::Gate;
use crate::config::OptionId;
use crate::service::host;
use crate::service::saver::Ground;
use crate::service::shared::Shared;

/// Reading the log for less time than this says nothing of its speed.
const MEASURED_US: u64 = 200_000;

/// Why a shard does not serve.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The data cannot be recovered, or the log not be opened.
    Recovery(RecoveryError),
    /// The log cannot be closed.
    Log(LogError),
}

impl StartError {
    /// The exit code that tells the supervisor what to do (operations §5).
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Recovery(e) => e.exit_code(),
            Self::Log(_) => 1,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recovery(e) => e.fmt(f),
            Self::Log(e) => e.fmt(f),
        }
    }
}

impl From<RecoveryError> for StartError {
    fn from(e: RecoveryError) -> Self {
        Self::Recovery(e)
    }
}

/// A shard with its data.
pub(crate) struct Recovered {
    pub(crate) shard: Shard,
    pub(crate) log: Option<Log>,
    /// What the saver works with; nothing where the data are only shown.
    pub(crate) ground: Option<Ground>,
    /// What is left of a log that was switched off.
    pub(crate) standing: Option<Standing>,
    pub(crate) records: u64,
    pub(crate) micros: u64,
}

type Slot = Rc<RefCell<Option<Result<Recovered, StartError>>>>;

/// A recovery under way.
pub(crate) struct Startup(Slot);

impl Startup {
    /// Starts the recovery of shard 0.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        rt: &Rc<dyn Runtime>,
        disk: Rc<dyn Disk>,
        gate: &Rc<Gate>,
        seed: u64,
    ) -> Self {
        let slot = Slot::default();
        let (out, shared, rt_in, gate) = (slot.clone(), shared.clone(), rt.clone(), gate.clone());
        shared.progress.loading.store(true, Relaxed);
        rt.spawn(Box::pin(async move {
            let result = run(&shared, rt_in, disk, &gate, seed).await;
            *out.borrow_mut() = Some(result);
            gate.open();
        }));
        Self(slot)
    }

    /// The result, once.
    pub(crate) fn poll(&mut self) -> Option<Result<Recovered, StartError>> {
        self.0.borrow_mut().take()
    }
}

async fn run(
    shared: &Shared,
    rt: Rc<dyn Runtime>,
    disk: Rc<dyn Disk>,
    gate: &Rc<Gate>,
    seed: u64,
) -> Result<Recovered, StartError> {
    let start = rt.mono_us();
    let (config, on, log_config) = shared.with_config(|c| {
        let shard = crate::commands::shard_config(c, seed);
        (shard, c.bool(OptionId::AppendOnly), host::log_config(c))
    });
    let paths = ShardPaths::new(&shared.facts.dir, 0);
    let mut shard = Shard::new(crate::commands::table(), &config);
    let wake = gate.clone();
    let mut ground = Ground {
        disk: disk.clone(),
        rt: rt.clone(),
        paths: paths.clone(),
        wake: Rc::new(move || wake.open()),
        uuid: shared.facts.uuid,
        parts: None,
        base_bytes: 0,
        saved_secs: shared.facts.started_unix_secs,
        saved_lsn: None,
        cut_without_log: 0,
        needs_rewrite: false,
        log_bytes: 0,
        replay_bytes_per_sec: None,
        base_times: Vec::new(),
    };
    let (mut log, mut standing) = (None, None);
    let mut progress = |p: Progress| {
        shared.progress.bytes_total.store(p.total, Relaxed);
        shared.progress.bytes_done.store(p.done, Relaxed);
    };
    let point = shared.facts.point.as_ref();
    let request = Request {
        point: point.map(|decided| decided.point).filter(|_| on),
        salvage: shared.facts.salvage.as_ref(),
        ..Request::new(&*disk, &paths, 1)
    };
    let mut apply = Apply {
        loader: Loader::new(&mut shard),
        config: &config,
        shared,
        rt: rt.clone(),
        began_us: None,
    };
    if on {
        let recovered = recover_shard(&request, &mut apply, &mut progress).await?;
        recovered.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        ground.needs_rewrite = recovered.needs_rewrite;
        ground.log_bytes = recovered.record_bytes;
        let replay_us = apply.began_us.map_or(0, |at| rt.mono_us() - at);
        if replay_us >= MEASURED_US {
            let per_sec = u128::from(recovered.record_bytes) * 1_000_000 / u128::from(replay_us);
            ground.replay_bytes_per_sec = u64::try_from(per_sec).ok().filter(|rate| *rate > 0);
        }
        for base in recovered.list().into_iter().flat_map(bases) {
            // One that cannot be read is of unknown age.
            if let Ok(head) = read_head(&*disk, &paths.base(base.seq)).await {
                ground.base_times.push((base.seq, head.preamble.created_at_ms / 1000));
            }
        }
        if let Origin::Base { base, entries } = &recovered.origin {
            tracing::info!(keys = entries, bytes = base.bytes, lsn = base.cut, "base loaded");
            ground.base_bytes = base.bytes;
        }
        if let Some(decided) = point.filter(|point| point.is_inspection()) {
            let lsn = decided.point.lsn;
            tracing::info!(lsn, "the data are shown as of {}; nothing is written", decided.target);
        } else {
            let opened = recovered.open(disk.clone(), rt.clone(), log_config).await?;
            if let Some(decided) = point {
                say_forked(&decided.target, &opened.parts);
            }
            ground.parts = Some(opened.parts);
            log = Some(opened.log);
        }
    } else {
        let found = recover_without_log(&request, &mut apply, &mut progress).await?;
        match &found {
            Unlogged::Save(Some(file), _) => {
                tracing::info!(keys = file.entries, bytes = file.bytes, "snapshot loaded");
                let preamble = &file.head.preamble;
                ground.saved_secs = preamble.created_at_ms / 1000;
                ground.saved_lsn = Some(preamble.last_lsn);
                ground.cut_without_log = preamble.last_lsn;
            }
            Unlogged::Save(None, _) => {}
            Unlogged::Log(recovered, _) => {
                recovered.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                tracing::info!(
                    "nothing was saved since the log was switched off: it has been read"
                );
            }
        }
        standing = found.standing().cloned();
        if let Some(standing) = &standing {
            ground.cut_without_log = ground.cut_without_log.max(standing.lsn());
        }
    }
    for plane in shard.rebuild_planes() {
        tracing::info!(plane, "rebuilt from the keys");
    }
    let records = shared.progress.records.load(Relaxed);
    let ground = Some(ground).filter(|_| shared.facts.inspected().is_none());
    Ok(Recovered { shard, log, ground, standing, records, micros: rt.mono_us() - start })
}

/// Tells where the server goes on, and that this was for one start.
fn say_forked(target: &PointTarget, parts: &Parts) {
    let list = parts.list();
    let Some(now) = list.timelines.last() else { return };
    let left = list.timelines.iter().rev().nth(1).map_or(1, |timeline| timeline.epoch);
    tracing::warn!(
        timeline = now.epoch,
        forked_at = now.forked_at,
        left_in = names::timeline_dir(left),
        "recovered to {target}; start without recovery target from now on"
    );
}

/// Fills a shard: with a snapshot, then with the log behind it.
struct Apply<'a> {
    loader: Loader<'a>,
    config: &'a ShardConfig,
    shared: &'a Shared,
    rt: Rc<dyn Runtime>,
    /// When the first record came.
    began_us: Option<u64>,
}

impl Target for Apply<'_> {
    fn restart(&mut self) {
        self.loader.restart(Shard::new(crate::commands::table(), self.config));
    }

    fn sections(&self) -> Vec<(u16, u16)> {
        self.loader.sections()
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        self.loader.item(item).map_err(|e| e.to_string().into())
    }
}

impl Visitor for Apply<'_> {
    fn record(
        &mut self,
        record: &wal::Record<'_>,
        _: Position,
    ) -> Result<ControlFlow<()>, VisitError> {
        self.began_us.get_or_insert_with(|| self.rt.mono_us());
        if record.code == wal::RecordType::Command.code() {
            self.shared.progress.records.fetch_add(1, Relaxed);
        }
        {
            let shard = self.loader.shard();
            let applied = shard.apply_record(record.code, record.flags, record.db, record.payload);
            applied.map_err(|e| format!("record at lsn {} does not apply: {e}", record.lsn))?;
        }
        Ok(ControlFlow::Continue(()))
    }
}
