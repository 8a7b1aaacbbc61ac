//! Layer K: the shipped binary under load, killed with SIGKILL, started again on what is left.
//!
//! After a start the keys of every client must show the outcome of exactly the first `p` commands
//! of its [`sequence`], with `p` between those acknowledged and those sent: nothing lost, nothing
//! twice, nothing out of order, nothing back that had expired. The next round goes on from `p`, on
//! the same directory.

pub(crate) mod client;
pub(crate) mod sequence;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moon_formats::names;
use moon_storage::io::sim::SimRng;

use crate::workload::Plane;
pub use client::Setup;
use client::{Client, Reply, Server};

/// Client threads.
pub(crate) const CLIENTS: usize = 6;
/// Longest time a round runs before its kill, milliseconds.
const ROUND_MS: u64 = 1500;

/// What goes on beside the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    Idle,
    /// BGREWRITEAOF, one after the other.
    Rewrite,
    /// BGSAVE, one after the other.
    Save,
    /// The server rewrites by itself whenever its log has grown a little.
    Auto,
}

impl Activity {
    /// All of them by name.
    pub const ALL: [(&'static str, Activity); 4] = [
        ("idle", Activity::Idle),
        ("rewrite", Activity::Rewrite),
        ("bgsave", Activity::Save),
        ("auto", Activity::Auto),
    ];

    /// Name as the figures print it.
    pub fn name(self) -> &'static str {
        Activity::ALL.iter().find(|a| a.1 == self).map_or("", |a| a.0)
    }

    /// Options the server needs for it.
    fn options(self) -> Vec<String> {
        let auto = ["--auto-aof-rewrite-percentage", "1", "--auto-aof-rewrite-min-size", "64kb"];
        let never = ["--auto-aof-rewrite-percentage", "0"];
        let words = if self == Activity::Auto { &auto[..] } else { &never };
        words.iter().map(|w| (*w).to_owned()).collect()
    }
}

/// When the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// At any time of the round, every third soon after the start.
    Uniform,
    /// Shortly after a rewrite or a save has begun: an exponential time of 20 ms on average.
    AfterActivity,
    /// Within 5 ms of a sync.
    NearSync,
}

/// One series of kills on one directory.
#[derive(Debug, Clone)]
pub struct Series {
    /// How the server is started.
    pub setup: Setup,
    /// What is sent.
    pub plane: Plane,
    /// What goes on beside it.
    pub activity: Activity,
    /// Kills in a row.
    pub kills: u32,
    /// Seed of the times and pipelines.
    pub seed: u64,
}

/// What a series did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Killed {
    /// Kills.
    pub kills: u32,
    /// Kills while a rewrite or a save was under way, as far as the harness knows.
    pub in_activity: u32,
    /// Kills within 5 ms of a sync.
    pub near_sync: u32,
    /// Commands acknowledged.
    pub acked: u64,
    /// Commands whose outcome a kill left open, and how many of them were applied.
    pub in_doubt: (u64, u64),
    /// Longest time from the start of the process to its first answer, milliseconds.
    pub start_ms: u64,
}

impl Killed {
    /// Adds another series.
    pub fn add(&mut self, o: &Killed) {
        self.kills += o.kills;
        self.in_activity += o.in_activity;
        self.near_sync += o.near_sync;
        self.acked += o.acked;
        self.in_doubt = (self.in_doubt.0 + o.in_doubt.0, self.in_doubt.1 + o.in_doubt.1);
        self.start_ms = self.start_ms.max(o.start_ms);
    }
}

/// How clients send.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Pause between two pipelines.
    pub(crate) pause: Duration,
    /// One command at a time, and again if it was refused.
    pub(crate) patient: bool,
}

/// A data directory, and what its clients were promised.
pub(crate) struct Promises {
    pub(crate) dir: PathBuf,
    plane: Plane,
    /// Commands acknowledged and sent, by client.
    pub(crate) at: [(u64, u64); CLIENTS],
    /// When the last command was sent.
    last_sent: Instant,
    /// How the clients send.
    pub(crate) manner: Manner,
    pub(crate) killed: Killed,
}

impl Promises {
    /// An empty directory with a name of its own.
    pub(crate) fn new(name: &str, plane: Plane) -> Result<Promises, String> {
        let dir = std::env::temp_dir().join(format!("moon-crash-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Promises {
            dir,
            plane,
            at: Default::default(),
            last_sent: Instant::now(),
            manner: Manner::default(),
            killed: Killed::default(),
        })
    }

    /// Starts a server on the directory, which must show what was promised.
    pub(crate) fn start(&mut self, setup: &Setup) -> Result<Server, String> {
        let began = Instant::now();
        let server = Server::start(setup, &self.dir)?;
        self.killed.start_ms = self.killed.start_ms.max(began.elapsed().as_millis() as u64);
        let mut c = Client::connect(server.port).map_err(|e| e.to_string())?;
        // Until what was sent last has expired.
        let short = Duration::from_millis(sequence::SHORT_MS + 50);
        std::thread::sleep(short.saturating_sub(self.last_sent.elapsed()));
        self.verify(&mut c)?;
        sequence::prepare(&mut c, CLIENTS)?;
        Ok(server)
    }

    /// Compares what is there with what was acknowledged and sent.
    pub(crate) fn verify(&mut self, c: &mut Client) -> Result<(), String> {
        if self.at.iter().all(|a| a.1 == 0) {
            return Ok(());
        }
        for (client, (acked, sent)) in self.at.iter_mut().enumerate() {
            let p = sequence::applied(c, self.plane, client)?;
            if p < *acked || p > *sent {
                return Err(format!(
                    "O2: client {client}: {p} commands are there, {acked} were acknowledged, \
                     {sent} sent"
                ));
            }
            self.killed.in_doubt.0 += *sent - *acked;
            self.killed.in_doubt.1 += p - *acked;
            (*acked, *sent) = (p, p);
        }
        Ok(())
    }

    /// Load from all clients until the server is gone, which is what `meanwhile` does, or waits for.
    pub(crate) fn load<T>(
        &mut self,
        port: u16,
        seed: u64,
        meanwhile: impl FnOnce() -> T,
    ) -> Result<T, String> {
        let (at, plane, manner) = (self.at, self.plane, self.manner);
        let (outcome, done) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..CLIENTS)
                .map(|c| {
                    let (from, seed) = (at[c].0, seed ^ c as u64);
                    scope.spawn(move || load(port, plane, c, from, seed, manner, &mut |_| {}))
                })
                .collect();
            let done = meanwhile();
            let join = |t: std::thread::ScopedJoinHandle<'_, _>| {
                t.join().unwrap_or_else(|_| Err("a client panicked".into()))
            };
            (threads.into_iter().map(join).collect::<Vec<_>>(), done)
        });
        self.last_sent = Instant::now();
        for (client, ended) in outcome.into_iter().enumerate() {
            let ended = ended.map_err(|e| format!("client {client}: {e}"))?;
            self.killed.acked += ended.0 - at[client].0;
            self.at[client] = ended;
        }
        Ok(done)
    }

    /// One round: load and an activity, then the kill.
    pub(crate) fn round(
        &mut self,
        server: &mut Server,
        activity: Activity,
        rng: &mut SimRng,
    ) -> Result<(), String> {
        let moment = match rng.below(3) {
            0 => Moment::NearSync,
            1 if matches!(activity, Activity::Rewrite | Activity::Save) => Moment::AfterActivity,
            _ => Moment::Uniform,
        };
        let (port, seed) = (server.port, rng.next_u64());
        let (begun, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let (mut busy, mut near) = (false, false);
        std::thread::scope(|scope| {
            scope.spawn(|| act(port, activity, &begun, &stop));
            self.load(port, seed, || {
                near = wait_for(moment, port, &begun, rng);
                busy = begun.load(Ordering::Relaxed) % 2 == 1;
                server.kill();
                stop.store(true, Ordering::Relaxed);
            })
        })?;
        self.killed.kills += 1;
        self.killed.in_activity += u32::from(busy);
        self.killed.near_sync += u32::from(near);
        Ok(())
    }

    /// A rewrite, a clean end, and a start: everything is there, and no temporary file.
    pub(crate) fn end(&mut self, mut server: Server, setup: &Setup) -> Result<(), String> {
        let mut c = Client::connect(server.port).map_err(|e| e.to_string())?;
        run_job(&mut c, Activity::Rewrite)?;
        // No answer: it ends.
        drop(c.ask(&[b"SHUTDOWN"]));
        let status = server.wait(client::START).ok_or("O1: SHUTDOWN does not end it")?;
        if !status.success() {
            return Err(format!("O1: SHUTDOWN ends with {status}"));
        }
        if let Some(left) = leftovers(&self.dir) {
            return Err(format!("O12: {} is left", left.display()));
        }
        self.start(setup).map(drop).map_err(|e| format!("after a clean end: {e}"))
    }

    pub(crate) fn remove(self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// A temporary file below a directory, beside the log's spares.
pub(crate) fn leftovers(dir: &Path) -> Option<PathBuf> {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            match path.is_dir() {
                true if name.to_string_lossy() == names::WAL_DIR => {}
                true => dirs.push(path),
                false if names::is_temporary(&name.to_string_lossy()) => return Some(path),
                false => {}
            }
        }
    }
    None
}

/// Sends from command `from` on until the server is gone: `(acknowledged, sent)` as positions.
/// `note` hears each position up to which commands have been acknowledged.
pub(crate) fn load(
    port: u16,
    plane: Plane,
    client: usize,
    from: u64,
    seed: u64,
    manner: Manner,
    note: &mut dyn FnMut(u64),
) -> Result<(u64, u64), String> {
    let mut rng = SimRng::new(seed);
    let (mut acked, mut sent) = (from, from);
    let Ok(mut c) = Client::connect(port) else { return Ok((acked, sent)) };
    loop {
        let up_to = 1 << rng.below(7);
        let depth = if manner.patient { 1 } else { 1 + rng.below(up_to) };
        let mut bytes = Vec::new();
        let replies: Vec<u64> =
            (sent..sent + depth).map(|i| sequence::put(&mut bytes, plane, client, i)).collect();
        sent += depth;
        if c.send(&bytes).is_err() {
            return Ok((acked, sent));
        }
        for count in replies {
            let mut refused = false;
            for _ in 0..count {
                let Ok(reply) = c.reply() else { return Ok((acked, sent)) };
                match reply.error() {
                    None => {}
                    Some(e) if manner.patient && is_refusal(e) => refused = true,
                    Some(e) => return Err(format!("command {acked} answers {e}")),
                }
            }
            match refused {
                // It was refused whole: the same again.
                true => sent -= 1,
                false => acked += 1,
            }
            if refused {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        note(acked);
        if !manner.pause.is_zero() {
            std::thread::sleep(manner.pause);
        }
    }
}

/// A write that a degraded log has not let in, or a transaction with such a write.
fn is_refusal(error: &str) -> bool {
    error.starts_with("MISCONF") || error.starts_with("EXECABORT")
}

/// Begins a rewrite or a save and waits for its end.
pub(crate) fn run_job(c: &mut Client, activity: Activity) -> Result<(), String> {
    let began = Instant::now();
    while !begin_job(c, activity)? {
        if began.elapsed() > client::START {
            return Err("O1: a job of the server's own does not end".into());
        }
        wait_for_job(c, activity)?;
    }
    wait_for_job(c, activity)
}

/// Whether it has begun: not while the server is at one that it began by itself.
fn begin_job(c: &mut Client, activity: Activity) -> Result<bool, String> {
    let command = if activity == Activity::Save { "BGSAVE" } else { "BGREWRITEAOF" };
    match c.line(command) {
        Ok(_) => Ok(true),
        Err(e) if e.contains("already in progress") => Ok(false),
        Err(e) => Err(e),
    }
}

fn wait_for_job(c: &mut Client, activity: Activity) -> Result<(), String> {
    let field = field(activity);
    while c.info(field)? != 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn field(activity: Activity) -> &'static str {
    match activity {
        Activity::Save => "rdb_bgsave_in_progress",
        _ => "aof_rewrite_in_progress",
    }
}

/// The activity until the server is gone. `begun` is odd while a job is under way.
pub(crate) fn act(port: u16, activity: Activity, begun: &AtomicU64, stop: &AtomicBool) {
    if matches!(activity, Activity::Idle | Activity::Auto) {
        return;
    }
    let Ok(mut c) = Client::connect(port) else { return };
    while !stop.load(Ordering::Relaxed) {
        begun.fetch_or(1, Ordering::Relaxed);
        if run_job(&mut c, activity).is_err() {
            return;
        }
        begun.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for the moment of the kill. Whether it is near a sync.
fn wait_for(moment: Moment, port: u16, begun: &AtomicU64, rng: &mut SimRng) -> bool {
    let sleep = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
    match moment {
        Moment::Uniform => {
            sleep(if rng.chance(333) { rng.below(60) } else { rng.below(ROUND_MS) });
            false
        }
        Moment::AfterActivity => {
            sleep(rng.below(ROUND_MS / 2));
            let before = begun.load(Ordering::Relaxed);
            let waited = Instant::now();
            let fresh = |now: u64| now % 2 == 1 && now != before;
            while !fresh(begun.load(Ordering::Relaxed)) && waited.elapsed().as_millis() < 3000 {
                sleep(1);
            }
            let uniform = (1 + rng.below(1 << 20)) as f64 / f64::from(1 << 20);
            std::thread::sleep(Duration::from_micros((-uniform.ln() * 20_000.0) as u64));
            false
        }
        Moment::NearSync => {
            sleep(rng.below(ROUND_MS / 2));
            let Ok(mut c) = Client::connect(port) else { return false };
            // Answered when a sync that covers the write has ended.
            let wrote = c.line("SET sync 1").and_then(|_| c.line("WAITAOF 1 0 3000"));
            let synced =
                wrote.is_ok_and(|r| matches!(r, Reply::Array(n) if n[0] == Reply::Number(1)));
            // The next one of `everysec` starts about a second later.
            let us = if rng.chance(500) { rng.below(5000) } else { 995_000 + rng.below(10_000) };
            std::thread::sleep(Duration::from_micros(us));
            synced
        }
    }
}

/// Runs a series in a fresh directory, which is removed if nothing was found.
///
/// # Errors
/// The broken promise, with the directory.
pub fn run(series: &Series) -> Result<Killed, String> {
    let Series { setup, plane, activity, .. } = series;
    let Setup { net, disk, policy, .. } = setup;
    let name = format!("{net}-{disk}-{policy}-{}-{}", plane.name(), activity.name());
    let mut promises = Promises::new(&name, *plane)?;
    let mut setup = setup.clone();
    setup.more.extend(activity.options());
    match rounds(series, &setup, &mut promises) {
        Ok(()) => {
            let killed = promises.killed;
            promises.remove();
            Ok(killed)
        }
        Err(e) => Err(format!("{e} ({})", promises.dir.display())),
    }
}

fn rounds(series: &Series, setup: &Setup, promises: &mut Promises) -> Result<(), String> {
    let mut rng = SimRng::new(series.seed);
    let mut server = promises.start(setup)?;
    for round in 1..=series.kills {
        let at = |e: String| format!("kill {round}: {e}");
        promises.round(&mut server, series.activity, &mut rng).map_err(at)?;
        server = promises.start(setup).map_err(at)?;
    }
    promises.end(server, setup)
}

/// Kills without end on data that grow: each start with other drivers, another policy, another
/// activity. Ends after `hours`, or with the first broken promise.
///
/// # Errors
/// The broken promise, with the directory, which stays.
pub fn soak(
    moon: &Path,
    seed: u64,
    hours: f64,
    mut report: impl FnMut(&Killed, u64),
) -> Result<Killed, String> {
    let mut rng = SimRng::new(seed);
    let mut promises = Promises::new("soak", Plane::Mixed)?;
    promises.manner.pause = Duration::from_millis(20);
    let began = Instant::now();
    let mut one = || -> Result<(), String> {
        loop {
            let activity = Activity::ALL[rng.below(4) as usize].1;
            let policy = ["always", "everysec", "no"][rng.below(3) as usize];
            let mut setup = Setup::new(moon, policy);
            setup.net = ["epoll", "uring"][rng.below(2) as usize];
            setup.disk = ["posix", "dma"][rng.below(2) as usize];
            setup.more = activity.options();
            let mut server = promises.start(&setup)?;
            if began.elapsed().as_secs_f64() >= hours * 3600.0 {
                return promises.end(server, &setup);
            }
            promises.round(&mut server, activity, &mut rng)?;
            report(&promises.killed, disk_bytes(&promises.dir));
        }
    };
    match one() {
        Ok(()) => {
            let killed = promises.killed;
            promises.remove();
            Ok(killed)
        }
        Err(e) => Err(format!("{e} ({})", promises.dir.display())),
    }
}

fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|e| match e.path().is_dir() {
            true => disk_bytes(&e.path()),
            false => e.metadata().map_or(0, |m| m.len()),
        })
        .sum()
}
