//! Recovery to a point in time, as far as it is decided before anything is opened (durability.md §12).
//!
//! The one idea: the target becomes one LSN while nothing else of the server exists, so that a target
//! that cannot be had ends the start before a port is open or a byte is written.
//!
//! Invariants: a dry run and an inspection write nothing; what a fork is to keep is on the device before it
//! is kept ([`settle`]).

use std::fmt::{self, Write};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use moon_engine::clock::Now;
use moon_formats::cdc::{Changes, Effect};
use moon_formats::names;
use moon_formats::time::utc;
use moon_formats::wal::{BatchHead, Record};
use moon_storage::io::Runtime;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;
use moon_storage::parts::{ShardPaths, bases};
use moon_storage::recovery::target::{look, resolve};
use moon_storage::recovery::{
    Nothing, Point, PointTarget, Recovered, RecoveryError, Request, Resolved, TargetError,
    recover_shard, settle,
};
use moon_storage::scan::{EndKind, LogEnd, Position, VisitError, Visitor};

use super::datadir;
use super::{EXIT_ENVIRONMENT, complain, say};
use crate::config::{Config, Mode, OptionId, Wanted};
use crate::runtime::host::logged;
use crate::service::host::log_config;

/// Bytes of a key that are printed.
const KEY_BYTES_MAX: usize = 64;

/// The point that this start recovers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    /// As the operator named it.
    pub(crate) target: PointTarget,
    /// For recovery.
    pub(crate) point: Point,
    /// When it was written, microseconds since 1970, if that is known.
    pub(crate) wall_us: Option<i64>,
}

impl Decided {
    /// Whether the data are only shown.
    pub(crate) fn is_inspection(&self) -> bool {
        !self.point.fork
    }

    /// The instant that the data are shown at: theirs where they are only shown, so that what had not expired
    /// then is there.
    pub(crate) fn instant(&self, now: Now) -> Now {
        match self.wall_us {
            Some(us) if self.is_inspection() => Now::new(us, now.mono_us),
            _ => now,
        }
    }
}

/// Why there is no such start.
#[derive(Debug)]
pub(crate) enum PointError {
    /// The directory cannot be read, or the point not be had.
    Recovery(RecoveryError),
    /// The system refuses.
    Io(io::Error),
}

impl PointError {
    /// The exit code that tells the supervisor what to do.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Recovery(e) => e.exit_code(),
            Self::Io(_) => EXIT_ENVIRONMENT,
        }
    }
}

impl fmt::Display for PointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recovery(e) => e.fmt(f),
            Self::Io(e) => e.fmt(f),
        }
    }
}

impl From<RecoveryError> for PointError {
    fn from(e: RecoveryError) -> Self {
        Self::Recovery(e)
    }
}

/// A log of the past says nothing of what is to come: what is written until then would be cut off by the
/// start after.
fn is_past(target: &PointTarget, now_us: i64) -> Result<(), RecoveryError> {
    match target {
        PointTarget::Time(us) if *us > now_us => {
            Err(RecoveryError::Target(TargetError::Future(*us, now_us)))
        }
        _ => Ok(()),
    }
}

/// Finds the point in the data directory `dir`. Where a fork is to follow, everything up to it is on
/// the device then.
///
/// # Errors
/// See [`PointError`].
pub(super) fn decide(config: &Config, wanted: &Wanted, dir: &Path) -> Result<Decided, PointError> {
    let rt = LocalRuntime::new().map_err(PointError::Io)?;
    let disk = logged(Rc::new(PosixDisk::new())).map_err(PointError::Io)?;
    let paths = ShardPaths::new(dir, 0);
    is_past(&wanted.target, rt.wall_us())?;
    let request = Request::new(&*disk, &paths, 1);
    let found = rt.block_on(resolve(&request, &wanted.target, wanted.policy))?;
    if wanted.mode == Mode::Fork && !found.is_durable {
        tracing::info!("the log is made durable before it is forked");
        let settled = settle(Rc::clone(&disk), rt.as_dyn(), &paths, 1, log_config(config));
        let settled = rt.block_on(settled);
        rt.shutdown();
        settled?;
    }
    tracing::info!(
        lsn = found.lsn,
        time = found.wall_us.map(utc),
        base = found.base.map(|base| base.cut),
        "recovery target found: {}",
        wanted.target
    );
    let point = Point { lsn: found.lsn, fork: wanted.mode == Mode::Fork };
    Ok(Decided { target: wanted.target.clone(), point, wall_us: found.wall_us })
}

/// `--recovery-dry-run`: says what the target would find and cut. The exit code.
pub(super) fn dry_run(config: &Config, wanted: &Wanted) -> u8 {
    let (path, _) = datadir::choose(config);
    let looked = datadir::look(&path)
        .and_then(|dir| datadir::known(&dir, config.int(OptionId::Databases) as u16).map(|_| dir));
    let dir = match looked {
        Ok(dir) => dir,
        Err(e) => {
            complain(&e.to_string());
            return e.exit_code();
        }
    };
    match report(wanted, &dir.path) {
        Ok(text) => {
            say(&text);
            0
        }
        Err(e) => {
            complain(&e.to_string());
            e.exit_code()
        }
    }
}

/// The text of a dry run.
fn report(wanted: &Wanted, dir: &Path) -> Result<String, PointError> {
    let rt = LocalRuntime::new().map_err(PointError::Io)?;
    let disk = PosixDisk::new();
    let paths = ShardPaths::new(dir, 0);
    is_past(&wanted.target, rt.wall_us())?;
    rt.block_on(async {
        let request = Request::new(&disk, &paths, 1);
        let found = resolve(&request, &wanted.target, wanted.policy).await?;
        let point = Point { lsn: found.lsn, fork: wanted.mode == Mode::Fork };
        let request = Request { point: Some(point), ..request };
        // Base and log up to there are read as a start reads them.
        let recovered = recover_shard(&request, &mut Nothing::default(), &mut |_| {}).await?;
        let mut seen = Seen::of(found.lsn);
        let (list, end) = look(&request, &mut seen).await?;
        let moved = bases(&list).filter(|base| base.cut > found.lsn).count();
        let left = list.timelines.last().map_or(1, |timeline| timeline.epoch);
        Ok(text(wanted, &found, &recovered, &seen, &end, (moved, left)))
    })
}

fn text(
    wanted: &Wanted,
    found: &Resolved,
    recovered: &Recovered,
    seen: &Seen,
    end: &LogEnd,
    (bases, left): (usize, u64),
) -> String {
    let mut out = String::from("shard 0\n");
    let mut row = |name: &str, text: String| {
        let _ = writeln!(out, "  {name:<11}{text}");
    };
    let time =
        |us: Option<i64>| us.map_or("at an unknown time".into(), |us| format!("at {}", utc(us)));
    row(
        "target",
        format!("lsn {}, written {} ({})", found.lsn, time(found.wall_us), wanted.target),
    );
    row(
        "base",
        match &found.base {
            Some(base) => format!("{}, cut at lsn {}", names::base_file(base.seq), base.cut),
            None => "none: the log holds everything".into(),
        },
    );
    row("last key", seen.key.clone().unwrap_or("none behind the oldest base".into()));
    let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let cut = match (seen.first, seen.last) {
        (Some(first), Some(last)) => format!(
            "{}, lsn {} ({}) to lsn {} ({})",
            count(seen.cut, "record"),
            first.0,
            utc(first.1),
            last.0,
            utc(last.1)
        ),
        _ => "no record".into(),
    };
    if wanted.mode == Mode::Inspect {
        row("behind it", cut);
        row(
            "then",
            "the data are shown, and nothing is cut or written (recovery-mode inspect)".into(),
        );
    } else if let Some(fork) = recovered.end.fork {
        row("cut", cut);
        let segments =
            end.segments.iter().filter(|s| s.seq > recovered.end.last_seq).count() as u64;
        let dir = names::timeline_dir(left);
        let what = format!("{} and {}", count(segments, "segment"), count(bases as u64, "base"));
        row("set aside", format!("{what}, in {dir}"));
        row("then", format!("timeline {}, from lsn {}", recovered.end.epoch, fork.base_lsn));
    } else {
        row("cut", "nothing: the timeline in force begins at this target already".into());
        row(
            "then",
            format!("timeline {} goes on, with what was written on it", recovered.end.epoch),
        );
    }
    if let EndKind::Hole(hole) = &end.kind {
        row("damage", format!("behind the target, and not counted: {hole}"));
    }
    if !found.is_durable && wanted.mode == Mode::Fork {
        row("before", "the end of the log is made durable".into());
    }
    out.push_str("dry run: nothing has been written\n");
    out
}

/// What there is at a target, and behind it.
struct Seen {
    lsn: u64,
    /// Clock of the batch.
    wall_us: i64,
    /// The last key up to the target.
    key: Option<String>,
    /// Records behind it: how many, first and last with their clocks.
    cut: u64,
    first: Option<(u64, i64)>,
    last: Option<(u64, i64)>,
}

impl Seen {
    fn of(lsn: u64) -> Self {
        Self { lsn, wall_us: 0, key: None, cut: 0, first: None, last: None }
    }

    fn note_key(&mut self, record: &Record<'_>) -> Result<(), VisitError> {
        let payload = record.raw_payload()?;
        let changes = Changes::of(record.code, record.flags, record.db, &payload)?;
        let Some(change) = changes.list.iter().rev().find(|change| change.key.is_some()) else {
            return Ok(());
        };
        let key = change.key.as_deref().unwrap_or_default();
        let more = if key.len() > KEY_BYTES_MAX { "..." } else { "" };
        let shown = key[..key.len().min(KEY_BYTES_MAX)].escape_ascii();
        let what = match &change.effect {
            Effect::Command { words, .. } => {
                words.first().map_or_else(String::new, |word| word.escape_ascii().to_string())
            }
            Effect::Record { name, .. } => (*name).into(),
        };
        let db = change.db.map_or(String::new(), |db| format!(" of database {db}"));
        self.key = Some(format!("\"{shown}{more}\"{db}, {what} at lsn {}", record.lsn));
        Ok(())
    }
}

impl Visitor for Seen {
    fn batch(&mut self, head: &BatchHead, _: Position) -> Result<(), VisitError> {
        self.wall_us = head.wall_us;
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if record.lsn <= self.lsn {
            self.note_key(record)?;
        } else {
            self.cut += 1;
            let at = (record.lsn, self.wall_us);
            self.first.get_or_insert(at);
            self.last = Some(at);
        }
        Ok(ControlFlow::Continue(()))
    }
}
