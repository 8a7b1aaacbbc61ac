//! A new data directory: opened as a server opens one, filled by a rewrite, and marked as data last of all.
//!
//! Invariant: a directory without its marker is no data, so one that is half written cannot be taken for a
//! whole one.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::task::{Poll, Waker};

use moon_formats::marker::Marker;
use moon_formats::rrdshard::{Encoder, Extension, Preamble, VERSION, file_flags};
use moon_storage::log::LogConfig;
use moon_storage::marker;
use moon_storage::migration::sync_names;
use moon_storage::parts::ShardPaths;
use moon_storage::recovery::{Request, Target, recover_shard};
use moon_storage::scan::VisitError;
use moon_storage::snapshot::{Env, Job, Kind, Pace, Retention, Rewrite, Source, State};

use crate::fail::Failure;
use crate::host::Host;
use crate::rdb::Stream;
use moon_engine::exec::Shard;

/// Bytes serialised in a turn: nobody waits for the thread.
const TURN_BYTES: usize = 1 << 20;

/// Where the keys come from.
pub(crate) enum From<'a> {
    /// A file, as it is read.
    Rdb(&'a Path),
    /// A shard that has been loaded.
    Shard(&'a mut Shard),
}

/// Writes a directory that must not exist. All of it is durable when this returns.
pub(crate) async fn directory(
    host: &Host,
    path: &Path,
    databases: u16,
    from: From<'_>,
) -> Result<(), Failure> {
    let uuid = (host.uuid)().map_err(|e| Failure::environment(format!("no identity: {e}")))?;
    host.disk.create_dir_all(path).await.map_err(|e| Failure::io("create", path, e))?;
    let _lock = host.locked(path)?;
    fill(host, path, databases, uuid, from).await?;
    // Spare segments have names that nobody has waited for.
    sync_names(&*host.disk, path).await.map_err(|e| Failure::migration(&e))?;
    let created_ms = host.now_ms();
    let first = Marker { uuid, shards: 1, databases, created_ms, extra: Vec::new() };
    let marked = marker::write(&*host.disk, path, &first).await;
    marked.map_err(|e| Failure::environment(e.to_string()))
}

async fn fill(
    host: &Host,
    path: &Path,
    databases: u16,
    uuid: [u8; 16],
    from: From<'_>,
) -> Result<(), Failure> {
    let (disk, rt) = (&host.disk, &host.rt);
    let storage = |e: &dyn std::fmt::Display| Failure::environment(e.to_string());
    let paths = ShardPaths::new(path, 0);
    let request = Request::new(&**disk, &paths, 1);
    let fresh =
        recover_shard(&request, &mut Nothing, &mut |_| {}).await.map_err(|e| storage(&e))?;
    let opened = fresh.open(Rc::clone(disk), Rc::clone(rt), LogConfig::default()).await;
    let opened = opened.map_err(|e| storage(&e))?;
    let (seq, cut) = (opened.parts.take_seq(), opened.log.last_lsn());
    let preamble = Preamble {
        version: VERSION,
        shard_id: 0,
        epoch: seq,
        last_lsn: cut,
        created_at_ms: host.now_ms(),
    };
    let extension = Extension {
        flags: file_flags::SELF_CONTAINED,
        features: 0,
        storage_uuid: uuid,
        timeline: 1,
        base_seq: seq,
        last_gtid: 0,
        wal_first_seq: opened.log.segments().last().map_or(0, |s| s.seq),
        mono_us: host.now_ms() * 1000,
        shards: 1,
        databases,
        align_log2: disk.alignment().trailing_zeros() as u8,
    };
    let kind = Kind::Rewrite(Rewrite {
        log: opened.log.clone(),
        parts: opened.parts.clone(),
        seq,
        retention: Retention::default(),
    });
    let bell = Rc::new(Bell::default());
    let wake = Rc::clone(&bell);
    let pace = Pace { turn_bytes: TURN_BYTES, ..Pace::default() };
    let env =
        Env::new(Rc::clone(disk), Rc::clone(rt), paths.clone(), pace, Rc::new(move || wake.ring()));
    match from {
        From::Rdb(file) => {
            let mut head = Vec::new();
            let encoder = Encoder::new(&preamble, &extension, &mut head);
            let mut stream = Stream::new(file, databases, encoder, head)?;
            let written = write(Job::begin(kind, env, cut), &mut stream, &bell).await;
            if let Some(failure) = stream.failure {
                return Err(failure);
            }
            written?;
        }
        From::Shard(shard) => {
            shard.begin_snapshot(&preamble, &extension).map_err(|e| storage(&e))?;
            write(Job::begin(kind, env, cut), shard, &bell).await?;
        }
    }
    opened.log.shutdown().await.map_err(|e| storage(&e))
}

async fn write(mut job: Job, source: &mut dyn Source, bell: &Bell) -> Result<(), Failure> {
    loop {
        match job.turn(source) {
            // Others get their turn: the task that writes is one of them.
            State::Working { .. } => bell.ring(),
            State::WaitingForDisk => {}
            State::Done(result) => {
                return result.map(|_| ()).map_err(|e| Failure::environment(e.to_string()));
            }
        }
        bell.heard().await;
    }
}

/// Says that a turn has something to do.
#[derive(Default)]
struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits for the next ring; if there was one already, until the other tasks have run.
    async fn heard(&self) {
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if self.rung.get() && yielded {
                self.rung.set(false);
                return Poll::Ready(());
            }
            match self.rung.get() {
                true => cx.waker().wake_by_ref(),
                false => *self.waker.borrow_mut() = Some(cx.waker().clone()),
            }
            yielded = true;
            Poll::Pending
        })
        .await;
    }
}

/// There is nothing to recover in a new directory.
struct Nothing;

impl moon_storage::scan::Visitor for Nothing {
    fn record(
        &mut self,
        _: &moon_formats::wal::Record<'_>,
        _: moon_storage::scan::Position,
    ) -> Result<std::ops::ControlFlow<()>, VisitError> {
        Err("a new directory has no log".into())
    }
}

impl Target for Nothing {
    fn restart(&mut self) {}

    fn item(&mut self, _: &moon_formats::rrdshard::Item<'_>) -> Result<(), VisitError> {
        Err("a new directory has no base".into())
    }
}
