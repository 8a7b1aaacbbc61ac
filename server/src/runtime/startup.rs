//! Recovery beside the network loop: the log is read and applied by a task of its own, while
//! clients are told to wait.
//!
//! Invariant: the shard belongs to the task until it has ended, so no request can see a half
//! of the data.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use moon_engine::exec::Shard;
use moon_formats::{names, wal};
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::{Log, LogError};
use moon_storage::recovery::{RecoveredEnd, RecoveryError, recover};
use moon_storage::scan::{Position, ScanOptions, VisitError, Visitor};

use super::Gate;
use crate::config::OptionId;
use crate::service::host;
use crate::service::shared::Shared;

/// Why a shard does not serve.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The directory cannot be used.
    Io(PathBuf, io::Error),
    /// The log is damaged or cannot be read.
    Recovery(RecoveryError),
    /// The log cannot be opened or closed.
    Log(LogError),
}

impl StartError {
    /// The exit code that tells the supervisor what to do (operations §5).
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Recovery(e) => e.exit_code(),
            Self::Io(..) | Self::Log(_) => 1,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, e) => write!(f, "{}: {e}", path.display()),
            Self::Recovery(e) => e.fmt(f),
            Self::Log(e) => e.fmt(f),
        }
    }
}

/// A shard with its data.
pub(crate) struct Recovered {
    pub(crate) shard: Shard,
    pub(crate) log: Option<Log>,
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
            let result = run(&shared, rt_in, disk, seed).await;
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
    seed: u64,
) -> Result<Recovered, StartError> {
    let start = rt.mono_us();
    let (config, on, log_config) = shared.with_config(|c| {
        let shard = crate::commands::shard_config(c, seed);
        (shard, c.bool(OptionId::AppendOnly), host::log_config(c))
    });
    let mut shard = Shard::new(crate::commands::table(), &config);
    let mut log = None;
    let mut records = 0;
    if on {
        let dir = shared.facts.dir.join(names::shard_dir(0)).join(names::WAL_DIR);
        let io = |e| StartError::Io(dir.clone(), e);
        disk.create_dir_all(&dir).await.map_err(io)?;
        let files = disk.list(&dir).await.map_err(io)?;
        let segments = files.iter().filter(|f| names::parse_wal_segment(&f.name).is_some());
        let total: u64 = segments.map(|f| f.bytes).sum();
        shared.progress.bytes_total.store(total, Relaxed);
        let end = if total == 0 {
            RecoveredEnd::fresh(1)
        } else {
            let options = ScanOptions { shard: Some(0), ..ScanOptions::default() };
            let mut apply = Apply { shard: &mut shard, shared, segment: log_config.segment_bytes };
            recover(&*disk, &dir, &options, &mut apply).await.map_err(StartError::Recovery)?
        };
        records = shared.progress.records.load(Relaxed);
        let opened = Log::open(disk, rt.clone(), dir, log_config, &end).await;
        log = Some(opened.map_err(StartError::Log)?);
    }
    Ok(Recovered { shard, log, records, micros: rt.mono_us() - start })
}

/// Replays the log into a shard.
struct Apply<'a> {
    shard: &'a mut Shard,
    shared: &'a Shared,
    segment: u64,
}

impl Visitor for Apply<'_> {
    fn record(
        &mut self,
        record: &wal::Record<'_>,
        at: Position,
    ) -> Result<ControlFlow<()>, VisitError> {
        self.shared.progress.records.fetch_add(1, Relaxed);
        self.shared
            .progress
            .bytes_done
            .store(at.seq.saturating_sub(1) * self.segment + at.offset, Relaxed);
        if record.code == wal::RecordType::Command.code() {
            let applied = self.shard.apply(record.db, record.payload);
            applied.map_err(|e| format!("record at lsn {} does not apply: {e}", record.lsn))?;
        }
        Ok(ControlFlow::Continue(()))
    }
}
