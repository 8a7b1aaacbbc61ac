//! Layer K-fp: a binary built with the feature `failpoints` stops itself at a named step, is started
//! again without, and must keep what it promised, as in [`crate::kill`].
//!
//! A point that is not reached fails the run, so a step that is renamed or left out cannot silently
//! empty the set.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moon_formats::shard_manifest::{self, Row};
use moon_formats::wal::body::FileEntry;
use moon_storage::failpoint::Point;
use moon_storage::io::sim::SimRng;
use moon_storage::parts::ShardPaths;

use crate::kill::client::{Client, Server};
use crate::kill::{self, Activity, Promises, Setup};
use crate::workload::Plane;

/// Rows of a file table that has overflow pages, and the status of a file that is gone.
const ROWS: u64 = 100;
const TOMBSTONE: u8 = 5;
/// The restore point that is forked at.
const FORK_AT: &str = "fork-here";
/// Longest time until a point is reached.
const REACHED: Duration = Duration::from_secs(30);

/// What the binary does at the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It dies of SIGKILL.
    Kill,
    /// It stops where it is, and is killed then.
    Stop,
    /// The step fails with EIO three times, and the server goes on.
    Error,
    /// The same with ENOSPC.
    Full,
}

impl Action {
    /// All of them by name.
    pub const ALL: [(&'static str, Action); 4] = [
        ("kill", Action::Kill),
        ("stop", Action::Stop),
        ("error", Action::Error),
        ("full", Action::Full),
    ];

    /// Name as the environment has it.
    pub fn name(self) -> &'static str {
        Action::ALL.iter().find(|a| a.1 == self).map_or("", |a| a.0)
    }
}

/// One point, action and policy.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Where.
    pub point: Point,
    /// What.
    pub action: Action,
    /// `--appendfsync`.
    pub policy: &'static str,
}

/// Whether the log has a moment between record and write that belongs to a policy, and so on: every
/// point there is, each with every action it can do, under `always` and `everysec`.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (_, point) in Point::ALL {
        for (_, action) in Action::ALL {
            if matches!(action, Action::Error | Action::Full) && !point.can_fail() {
                continue;
            }
            let policies = ["always", "everysec"];
            cases.extend(policies.map(|policy| Case { point, action, policy }));
        }
    }
    cases
}

impl Case {
    /// Point, action and policy.
    pub fn name(&self) -> String {
        format!("{} {} {}", self.point.name(), self.action.name(), self.policy)
    }

    fn group(&self) -> &'static str {
        self.point.name().split('.').next().unwrap_or("")
    }

    /// What the environment says. The hits are such that the load is under way.
    fn environment(&self, rng: &mut SimRng) -> String {
        let (name, action) = (self.point.name(), self.action.name());
        let hit = match self.group() {
            "log" if self.point == Point::LogBeforeAppend => 200 + rng.below(2000),
            "log" if self.policy == "everysec" && self.is_of_a_sync() => 1 + rng.below(2),
            "log" => 50 + rng.below(100),
            "rotate" => 1 + rng.below(3),
            // The first one is that of the start.
            "manifest" if !self.is_at_start() => 2,
            _ => 1,
        };
        let hits = match self.action {
            Action::Error | Action::Full => format!("{hit}-{}", hit + 2),
            _ => hit.to_string(),
        };
        let own = format!("{name}:{hits}={action}");
        match self.group() {
            // Something must fail for the log to heal.
            "heal" => format!("log.after-write-before-sync:2=error,{own}"),
            _ => own,
        }
    }

    fn is_of_a_sync(&self) -> bool {
        matches!(self.point, Point::LogAfterWriteBeforeSync | Point::LogAfterSyncBeforeAck)
    }

    /// Whether the point is met before the server serves.
    fn is_at_start(&self) -> bool {
        let tables = [Point::ManifestOverflowSynced, Point::ManifestCompactRenamed];
        matches!(self.group(), "start" | "fork") || tables.contains(&self.point)
    }

    fn activity(&self) -> Activity {
        match self.point {
            Point::SnapshotCut | Point::SnapshotMidWalk => Activity::Save,
            _ if matches!(self.group(), "snapshot" | "rewrite" | "manifest") => Activity::Rewrite,
            _ => Activity::Idle,
        }
    }

    /// Runs it in a fresh directory, which is removed if nothing was found.
    ///
    /// # Errors
    /// The broken promise, or that the point was not reached, with the directory.
    pub fn run(&self, moon: &Path, seed: u64) -> Result<(), String> {
        let name = self.name().replace(' ', "-");
        let mut promises = Promises::new(&name, Plane::Mixed)?;
        match self.rounds(moon, seed, &mut promises) {
            Ok(()) => {
                promises.remove();
                Ok(())
            }
            Err(e) => Err(format!("{e} ({})", promises.dir.display())),
        }
    }

    fn rounds(&self, moon: &Path, seed: u64, promises: &mut Promises) -> Result<(), String> {
        let mut rng = SimRng::new(seed);
        let mut plain = Setup::new(moon, "no");
        plain.more = ["--wal-segment-size", "1mb", "--auto-aof-rewrite-percentage", "0"]
            .map(str::to_owned)
            .to_vec();
        // More than a snapshot writes at once, and a base with a log behind it.
        let mut server = promises.start(&plain)?;
        promises.load(server.port, rng.next_u64(), || {
            std::thread::sleep(Duration::from_millis(900));
            let based = Client::connect(server.port)
                .map_err(|e| e.to_string())
                .and_then(|mut c| kill::run_job(&mut c, Activity::Rewrite));
            std::thread::sleep(Duration::from_millis(100));
            server.kill();
            based
        })??;
        // Now it is known what is there: a look at the armed server could meet the point itself.
        let server = promises.start(&plain)?;
        if self.group() == "fork" {
            // The end of what was promised, so that the fork loses nothing of it.
            let named = Client::connect(server.port)
                .map_err(|e| e.to_string())
                .and_then(|mut c| c.line(&format!("MOON.RESTOREPOINT {FORK_AT}")));
            named.map(drop)?;
        }
        drop(server);
        let stderr = promises.dir.with_extension("stderr");
        let mut armed = Setup { policy: self.policy, ..plain.clone() };
        armed.env = vec![("MOON_FAILPOINT".into(), self.environment(&mut rng))];
        armed.stderr = Some(stderr.clone());
        if self.group() == "fork" {
            armed.more.extend(["--recovery-target-name".to_owned(), FORK_AT.to_owned()]);
        }
        promises.manner.patient =
            matches!(self.action, Action::Error | Action::Full) || self.group() == "heal";
        let table = ShardPaths::new(&promises.dir, 0).table();
        match self.point {
            Point::ManifestOverflowSynced => fill_table(&table)?,
            // What is lost is written anew.
            Point::ManifestCompactRenamed => {
                std::fs::remove_file(&table).map_err(|e| e.to_string())?;
            }
            _ => {}
        }
        match self.is_at_start() {
            true => self.at_start(&armed, promises)?,
            false => self.under_load(&armed, promises, &stderr, &mut rng)?,
        }
        if !self.is_told(&stderr) {
            return Err("the point was not reached".into());
        }
        drop(std::fs::remove_file(&stderr));
        let plain = Setup { policy: self.policy, ..plain };
        let server = promises.start(&plain).map_err(|e| format!("after it: {e}"))?;
        promises.end(server, &plain)
    }

    fn is_told(&self, stderr: &Path) -> bool {
        let text = std::fs::read_to_string(stderr).unwrap_or_default();
        text.contains(&format!("failpoint {} ", self.point.name()))
    }

    /// The point is met before the server serves.
    fn at_start(&self, armed: &Setup, promises: &Promises) -> Result<(), String> {
        let mut server = Server::spawn(armed, &promises.dir)?;
        self.wait(&mut server, || false)?;
        server.kill();
        Ok(())
    }

    fn under_load(
        &self,
        armed: &Setup,
        promises: &mut Promises,
        stderr: &Path,
        rng: &mut SimRng,
    ) -> Result<(), String> {
        let mut server = Server::start(armed, &promises.dir)?;
        let (port, activity) = (server.port, self.activity());
        let (begun, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| kill::act(port, activity, &begun, &stop));
            promises.load(port, rng.next_u64(), || {
                let met = self.wait(&mut server, || self.is_told(stderr));
                if promises_to_go_on(self.action) {
                    // Time to heal and to go on.
                    std::thread::sleep(Duration::from_millis(900));
                }
                server.kill();
                stop.store(true, Ordering::Relaxed);
                met
            })
        })?
    }

    /// Waits until the action has happened.
    fn wait(&self, server: &mut Server, told: impl Fn() -> bool) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < REACHED {
            let ended = server.ended();
            let happened = match self.action {
                Action::Kill => ended.is_some_and(|s| s.code().is_none()),
                Action::Stop => server.is_stopped(),
                Action::Error | Action::Full => told() || ended.is_some_and(|s| !s.success()),
            };
            if happened {
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(format!("it ended with {status}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the point was not reached".into())
    }
}

/// Gives a file table more rows than a root holds: files that are gone, which no base lets go of.
fn fill_table(path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let open = shard_manifest::open(&bytes).map_err(|e| e.to_string())?;
    let mut root = open.found.root;
    for file_id in 1..=ROWS {
        let file = FileEntry {
            file_id,
            file_type: 0x10,
            status: TOMBSTONE,
            tier: 3,
            page_size_log2: 12,
            page_count: 1,
            byte_size: 4096,
            created_lsn: 1,
            db: 0,
            max_key_hash: 0,
            last_modified_lsn: 1,
        };
        root.files.push(Row { file, dead_lsn: u64::MAX, content_xxh64: 0 });
    }
    root.epoch += 1;
    std::fs::write(path, root.encode_file()).map_err(|e| e.to_string())
}

fn promises_to_go_on(action: Action) -> bool {
    matches!(action, Action::Error | Action::Full)
}
