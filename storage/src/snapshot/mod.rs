//! Snapshots of a running shard: from the walk over its keys to a durable file with a name.
//!
//! The one idea: the shard serialises a little in each of its turns into memory that is bounded
//! by two buffers, and a task beside it writes. Everything that can fail happens in the task; a
//! failure costs the snapshot and nothing else.
//!
//! Invariants (durability.md §5-§7):
//! * A file gets its final name only when its bytes and its size are durable.
//! * A base is listed only when the log is durable up to its cut. The part list that names it is
//!   the commit; before it nothing of the old state has been touched.
//! * Nothing is removed before the list that no longer needs it is durable.
//! * After any error no file of the attempt is left, unless a list that a crash could bring back
//!   names it; then it stays until a later rewrite has been committed.
//!
//! | step | `Save` | `Rewrite` |
//! |---|---|---|
//! | file | `shard-<n>/shard-<n>.rrdshard` | `appendonlydir/shard-<n>/moon.aof.<seq>.base.rdb` |
//! | 1 | `.tmp`: write, cut to its length, sync, rename, directory sync | the same |
//! | 2 | - | log durable up to the cut |
//! | 3 | - | part list: `.tmp`, sync, rename, directory sync: **commit** |
//! | 4 | - | `Checkpoint`; file table: the other root, sync |
//! | 5 | - | base floor, removal of what nobody lists |

mod pace;
mod retention;
mod task;

#[cfg(test)]
pub(crate) mod tests;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::Waker;

use moon_formats::rrdshard;

use crate::failpoint::{self, Point};
use crate::io::{Disk, Runtime};
use crate::log::Log;
#[cfg(any(test, feature = "mutants"))]
use crate::mutant::Mutant;
use crate::parts::{Parts, ShardPaths};
use crate::whole::FileError;

pub use pace::Pace;
pub use retention::Retention;

/// Bytes after which a buffer is handed to the writer. One is written while one is filled.
pub const BUFFER_BYTES: usize = 1 << 20;
/// Bytes captured ahead of the writer from which on the pace no longer counts.
const PENDING_MAX: usize = 8 << 20;

/// What [`Source::fill`] has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill {
    /// There is more.
    More,
    /// The file is complete.
    End {
        /// Keys in it.
        entries: u64,
        /// Its last four bytes: the CRC32C of everything before them.
        crc: u32,
    },
    /// There will be no whole file; the source has forgotten the snapshot.
    Lost(String),
}

/// The shard, handed in by its driver each turn.
pub trait Source {
    /// Appends the next bytes of an RRDSHARD v4 file, about `budget` of them and never nothing.
    /// Not called again after anything but [`Fill::More`].
    fn fill(&mut self, out: &mut Vec<u8>, budget: usize) -> Fill;

    /// Bytes held because keys changed before the walk reached them.
    fn pending(&self) -> usize;

    /// Forgets the snapshot. Called once at most, and not after [`Fill::End`] or [`Fill::Lost`].
    fn abort(&mut self);
}

/// What the file is for.
pub enum Kind {
    /// `SAVE`, `BGSAVE`: self-contained, nothing else changes.
    Save,
    /// `BGREWRITEAOF`: becomes the base of the log.
    Rewrite(Rewrite),
}

/// What a rewrite commits to.
pub struct Rewrite {
    /// The log of the shard.
    pub log: Log,
    /// Its part list.
    pub parts: Parts,
    /// Number of the base, from [`Parts::take_seq`]; the file's header names it too.
    pub seq: u64,
    /// Which older bases stay.
    pub retention: Retention,
}

/// Where a job runs.
#[derive(Clone)]
pub struct Env {
    /// The device.
    pub disk: Rc<dyn Disk>,
    /// Time and tasks of the shard's thread.
    pub rt: Rc<dyn Runtime>,
    /// Where the shard's files are.
    pub paths: ShardPaths,
    /// How fast.
    pub pace: Pace,
    /// Called when a turn has something to do again. May be called from within
    /// [`Job::turn`].
    pub wake: Rc<dyn Fn()>,
    /// The broken line of this run.
    #[cfg(any(test, feature = "mutants"))]
    pub mutant: Option<Mutant>,
}

impl Env {
    /// A place to run, `wake` as in [`Env::wake`].
    pub fn new(
        disk: Rc<dyn Disk>,
        rt: Rc<dyn Runtime>,
        paths: ShardPaths,
        pace: Pace,
        wake: Rc<dyn Fn()>,
    ) -> Env {
        Env {
            disk,
            rt,
            paths,
            pace,
            wake,
            #[cfg(any(test, feature = "mutants"))]
            mutant: None,
        }
    }
}

/// A snapshot that is durable under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Number of the base; `None` for a save.
    pub seq: Option<u64>,
    /// Last LSN it holds.
    pub cut: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Keys in it.
    pub entries: u64,
    /// Its final CRC32C.
    pub crc: u32,
    /// From the cut to the end, microseconds.
    pub took_us: u64,
}

/// Why a snapshot failed. The state before it is intact.
#[derive(Debug)]
pub enum SnapshotError {
    /// A disk operation failed.
    Io {
        /// What was being done, e.g. `write a snapshot`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The part list could not be replaced.
    Parts(FileError),
    /// The source has lost the snapshot, or ended its file wrongly.
    Source(String),
    /// [`Job::cancel`] was called, or the log was shut down.
    Cancelled,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Io { doing, path, cause } => {
                write!(f, "cannot {doing}: {}: {cause}", path.display())?;
                match cause.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => f.write_str(
                        "; a snapshot needs as much room as the data takes, beside the old one",
                    ),
                    _ => Ok(()),
                }
            }
            SnapshotError::Parts(e) => write!(f, "cannot replace the part list: {e}"),
            SnapshotError::Source(what) => write!(f, "snapshot: {what}"),
            SnapshotError::Cancelled => f.write_str("snapshot cancelled"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// What a turn found.
#[derive(Debug)]
pub enum State {
    /// The next turn has something to do at once.
    Working {
        /// Bytes serialised in this turn.
        bytes: usize,
    },
    /// The wake callback says when the next turn has something to do: the writer is busy, or the
    /// pace is kept.
    WaitingForDisk,
    /// The job is over and may be dropped. Returned once.
    Done(Result<Finished, SnapshotError>),
}

/// How the file ended.
#[derive(Debug, Clone, Copy)]
struct Ending {
    entries: u64,
    crc: u32,
}

/// What the turns and the task share.
struct Shared {
    env: Env,
    kind: Kind,
    cut: u64,
    started_us: u64,
    /// Handed to the writer and not taken yet.
    next: RefCell<Option<Vec<u8>>>,
    /// An empty buffer to fill again.
    spare: RefCell<Option<Vec<u8>>>,
    /// The writer has taken a buffer and not written it yet.
    writing: Cell<bool>,
    /// Set with the last buffer.
    ending: Cell<Option<Ending>>,
    cancelled: Cell<bool>,
    written: Cell<u64>,
    /// What the turns found wrong; reported once the task has cleaned up.
    failure: RefCell<Option<SnapshotError>>,
    result: RefCell<Option<Result<Finished, SnapshotError>>>,
    waker: RefCell<Option<Waker>>,
}

impl Shared {
    fn wake_task(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(w) = waker {
            w.wake();
        }
    }

    fn is_slot_free(&self) -> bool {
        !self.writing.get() && self.next.borrow().is_none()
    }
}

/// One snapshot under way.
pub struct Job {
    shared: Rc<Shared>,
    gather: Vec<u8>,
    /// The source has nothing more to give, or was told to stop.
    filled: bool,
    /// Known since the source has ended; the task learns of it with the last buffer.
    ending: Option<Ending>,
    clock: pace::Clock,
}

impl Job {
    /// Starts to write the snapshot whose cut the caller has just made in the engine, in the
    /// same turn: `cut` is the last LSN it holds.
    pub fn begin(kind: Kind, env: Env, cut: u64) -> Job {
        let clock = pace::Clock::new(env.pace, env.rt.mono_us());
        let shared = Rc::new(Shared {
            started_us: env.rt.mono_us(),
            kind,
            cut,
            next: RefCell::default(),
            spare: RefCell::default(),
            writing: Cell::new(false),
            ending: Cell::default(),
            cancelled: Cell::new(false),
            written: Cell::new(0),
            failure: RefCell::default(),
            result: RefCell::default(),
            waker: RefCell::default(),
            env,
        });
        let rt = Rc::clone(&shared.env.rt);
        rt.spawn(Box::pin(task::run(Rc::clone(&shared))));
        failpoint::pass(Point::SnapshotCut);
        Job { shared, gather: Vec::new(), filled: false, ending: None, clock }
    }

    /// True for a rewrite.
    pub fn is_rewrite(&self) -> bool {
        matches!(self.shared.kind, Kind::Rewrite(_))
    }

    /// Last LSN that the snapshot holds.
    pub fn cut(&self) -> u64 {
        self.shared.cut
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.shared.written.get()
    }

    /// When it began, microseconds of the monotonic clock.
    pub fn started_us(&self) -> u64 {
        self.shared.started_us
    }

    /// Serialises for at most a turn's share. Called once a turn by whoever owns the shard,
    /// until it answers [`State::Done`].
    pub fn turn(&mut self, source: &mut dyn Source) -> State {
        let result = self.shared.result.borrow_mut().take();
        if let Some(result) = result {
            self.stop(source);
            return State::Done(result);
        }
        let mut bytes = 0;
        let pending = source.pending();
        let share = self.shared.env.pace.turn_bytes.max(pending.min(BUFFER_BYTES));
        while bytes < share && self.has_room() && self.may_go(pending) {
            let before = self.gather.len();
            let fill = source.fill(&mut self.gather, share - bytes);
            let added = self.gather.len() - before;
            bytes += added;
            self.clock.spend(added);
            if cfg!(feature = "failpoints") && rrdshard::begins_chunk(&self.gather[before..]) {
                failpoint::pass(Point::SnapshotLargeValue);
            }
            match fill {
                Fill::End { entries, crc } => {
                    failpoint::pass(Point::SnapshotSections);
                    self.end(entries, crc, source);
                }
                Fill::More if added == 0 => {
                    self.fail("the source gives nothing and does not end".into());
                }
                Fill::Lost(why) => {
                    self.filled = true;
                    self.gather = Vec::new();
                    self.fail(why);
                }
                Fill::More => {}
            }
            self.hand_over();
        }
        // The writer may have become free since the last turn.
        self.hand_over();
        self.arm_pace(pending);
        match self.wants_turn() {
            true => State::Working { bytes },
            false => State::WaitingForDisk,
        }
    }

    /// Whether the next [`Job::turn`] has something to do, so that the loop should not sleep.
    pub fn wants_turn(&self) -> bool {
        self.shared.result.borrow().is_some()
            || (self.has_room() && self.may_go(0))
            || (self.must_hand_over() && self.shared.is_slot_free())
    }

    /// Gives the snapshot up. The job still has to be turned until it is done: its task removes
    /// what it has written. If the commit is already under way, the snapshot may still succeed.
    pub fn cancel(&mut self, source: &mut dyn Source) {
        self.stop(source);
        self.shared.cancelled.set(true);
        self.shared.wake_task();
    }

    fn stop(&mut self, source: &mut dyn Source) {
        if !std::mem::replace(&mut self.filled, true) {
            source.abort();
            self.gather = Vec::new();
        }
    }

    fn fail(&mut self, why: String) {
        self.shared.failure.borrow_mut().get_or_insert(SnapshotError::Source(why));
        self.shared.cancelled.set(true);
        self.shared.wake_task();
    }

    fn has_room(&self) -> bool {
        !self.filled && self.gather.len() < BUFFER_BYTES && !self.shared.cancelled.get()
    }

    fn may_go(&self, pending: usize) -> bool {
        pending >= PENDING_MAX || self.clock.may_go(self.shared.env.rt.mono_us())
    }

    fn must_hand_over(&self) -> bool {
        self.gather.len() >= BUFFER_BYTES || (self.filled && !self.gather.is_empty())
    }

    fn end(&mut self, entries: u64, crc: u32, source: &mut dyn Source) {
        if self.gather.last_chunk() == Some(&crc.to_le_bytes()) {
            self.filled = true;
            self.ending = Some(Ending { entries, crc });
        } else {
            self.stop(source);
            self.fail("the file does not end with its checksum".into());
        }
    }

    /// Gives the writer a full buffer, or the last one, if it is free. Only whole blocks go; the
    /// rest begins the next buffer.
    fn hand_over(&mut self) {
        if !self.must_hand_over() || !self.shared.is_slot_free() {
            return;
        }
        let mut spare = self.shared.spare.borrow_mut().take().unwrap_or_default();
        spare.clear();
        if !self.filled {
            let whole = self.gather.len() - self.gather.len() % self.shared.env.disk.alignment();
            spare.extend_from_slice(&self.gather[whole..]);
            self.gather.truncate(whole);
        }
        *self.shared.next.borrow_mut() = Some(std::mem::replace(&mut self.gather, spare));
        self.shared.ending.set(self.ending);
        self.shared.wake_task();
    }

    /// Wakes the loop when the pace allows more.
    fn arm_pace(&mut self, pending: usize) {
        let env = &self.shared.env;
        if !self.has_room() || self.may_go(pending) {
            return;
        }
        if let Some(wait) = self.clock.wait_us(env.rt.mono_us()) {
            let (rt, wake) = (Rc::clone(&env.rt), Rc::clone(&env.wake));
            env.rt.spawn(Box::pin(async move {
                rt.sleep_us(wait).await;
                wake();
            }));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // A job that nobody turns can only be given up; one that is over notices nothing.
        self.shared.cancelled.set(true);
        self.shared.wake_task();
    }
}
