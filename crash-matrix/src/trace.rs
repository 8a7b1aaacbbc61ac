//! Layer T: the real binary under load logs every operation on its files, and is killed. From the log
//! come the images that a power loss at any of those operations could have left; the real binary is
//! started on each, and must keep what was promised when that operation began.
//!
//! Needs a binary built with the feature `failpoints`, which has the driver `record`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use moon_storage::io::sim::{Image, SimRng, Trace};

use crate::kill::client::{Client, Server};
use crate::kill::{self, Activity, CLIENTS, Manner, Promises, Setup};
use crate::workload::Plane;

/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(4);
/// What `everysec` may lose, and the coarseness of the clocks compared, microseconds.
const EVERYSEC_US: u64 = 2_100_000;

/// What was recorded and tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traced {
    /// Operations' beginnings and ends in the log.
    pub stops: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Commands acknowledged under load.
    pub acked: u64,
    /// Images on which the binary was started.
    pub images: u64,
    /// Acknowledged commands that an image lost as `everysec` allows.
    pub lost: u64,
}

/// Commands acknowledged by a client when the log had so many bytes.
type Journal = Vec<(u64, u64)>;

/// Records a run, then starts the binary on `images` images.
///
/// # Errors
/// The broken promise, with stop, image and directory.
pub fn run(
    moon: &Path,
    plane: Plane,
    policy: &'static str,
    images: u64,
    seed: u64,
) -> Result<Traced, String> {
    let name = format!("trace-{}-{policy}", plane.name());
    let mut promises = Promises::new(&name, plane)?;
    let root = promises.dir.canonicalize().map_err(|e| e.to_string())?;
    let log = root.with_extension("trace");
    drop(std::fs::remove_file(&log));
    let mut setup = Setup::new(moon, policy);
    setup.more = ["--wal-segment-size", "256kb", "--auto-aof-rewrite-percentage", "0"]
        .map(str::to_owned)
        .to_vec();
    let mut traced =
        Setup { env: vec![("MOON_TRACE".into(), log.display().to_string())], ..setup.clone() };
    traced.more.extend(["--io-driver".into(), "epoll".into()]);
    let server = promises.start(&traced)?;
    let (journals, sent) = load(server, plane, &log, seed)?;
    let bytes = std::fs::read(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let trace = Trace::read(&bytes, &root).map_err(|e| e.to_string())?;
    let mut out = Traced {
        stops: trace.stops() as u64,
        bytes: bytes.len() as u64,
        acked: journals.iter().filter_map(|j| j.last()).map(|j| j.1).sum(),
        ..Traced::default()
    };
    promises.remove();
    let mut rng = SimRng::new(seed ^ 0x7472_6163);
    for n in 0..images {
        let stop = rng.below(out.stops + 1) as usize;
        let image = Image::ALL[(n % 8) as usize];
        let end = n % 8 == 0;
        let lost =
            one(&trace, (stop, image, rng.next_u64()), &setup, plane, (&journals, &sent), end)
                .map_err(|e| {
                    format!(
                        "stop {stop} of {}, image {}: {e}, log {}",
                        out.stops,
                        image.name(),
                        log.display()
                    )
                })?;
        out.images += 1;
        out.lost += lost;
    }
    drop(std::fs::remove_file(&log));
    Ok(out)
}

/// Load with rewrites and saves, then the kill: what each client was told when, and had sent.
fn load(
    mut server: Server,
    plane: Plane,
    log: &Path,
    seed: u64,
) -> Result<(Vec<Journal>, Vec<u64>), String> {
    let port = server.port;
    let manner = Manner { pause: Duration::from_millis(2), patient: false };
    let outcome: Vec<Result<(Journal, u64), String>> = std::thread::scope(|scope| {
        let client = |c: usize| {
            move || {
                let file = std::fs::File::open(log).map_err(|e| e.to_string())?;
                let mut journal = Journal::new();
                let mut note = |acked| {
                    let bytes = file.metadata().map_or(0, |m| m.len());
                    journal.push((bytes, acked));
                };
                let (_, sent) = kill::load(port, plane, c, 0, seed ^ c as u64, manner, &mut note)?;
                Ok((journal, sent))
            }
        };
        let threads: Vec<_> = (0..CLIENTS).map(|c| scope.spawn(client(c))).collect();
        let began = Instant::now();
        while began.elapsed() < LOAD {
            std::thread::sleep(Duration::from_millis(150));
            let Ok(mut c) = Client::connect(port) else { break };
            for job in [Activity::Rewrite, Activity::Save] {
                drop(kill::run_job(&mut c, job));
            }
        }
        server.kill();
        let join = |t: std::thread::ScopedJoinHandle<'_, _>| {
            t.join().unwrap_or_else(|_| Err("a client panicked".into()))
        };
        threads.into_iter().map(join).collect()
    });
    let mut journals = Vec::new();
    let mut sent = Vec::new();
    for ended in outcome {
        let (journal, up_to) = ended?;
        journals.push(journal);
        sent.push(up_to);
    }
    Ok((journals, sent))
}

/// One image: what was acknowledged before the stop must be there. Returns how much of it the policy
/// allowed to be lost, and was.
fn one(
    trace: &Trace,
    (stop, image, seed): (usize, Image, u64),
    setup: &Setup,
    plane: Plane,
    (journals, sent): (&[Journal], &[u64]),
    end: bool,
) -> Result<u64, String> {
    let (bytes, us) = trace.position(stop);
    // Everything acknowledged until the log had so many bytes has to be there.
    let bound = match setup.policy {
        "always" => bytes,
        _ => before(trace, stop, us.saturating_sub(EVERYSEC_US)),
    };
    let acked = |journal: &Journal, bytes: u64| {
        journal.partition_point(|j| j.0 <= bytes).checked_sub(1).map_or(0, |i| journal[i].1)
    };
    let mut promises = Promises::new("image", plane)?;
    write(&promises.dir, trace, stop, image, seed)?;
    for client in 0..CLIENTS {
        promises.at[client] = (acked(&journals[client], bound), sent[client]);
    }
    let told: u64 = journals.iter().map(|j| acked(j, bytes)).sum();
    let checked = promises.start(setup).and_then(|server| {
        let there: u64 = promises.at.iter().map(|a| a.0).sum();
        match end {
            true => promises.end(server, setup).map(|()| there),
            false => Ok(there),
        }
    });
    match checked {
        Ok(there) => {
            promises.remove();
            Ok(told.saturating_sub(there))
        }
        Err(e) => Err(format!("{e} ({})", promises.dir.display())),
    }
}

/// Bytes of the log at a time, microseconds since 1970.
fn before(trace: &Trace, stop: usize, us: u64) -> u64 {
    let (mut low, mut high) = (0, stop);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if trace.position(middle).1 <= us { low = middle } else { high = middle - 1 }
    }
    trace.position(low).0
}

fn write(dir: &Path, trace: &Trace, stop: usize, image: Image, seed: u64) -> Result<(), String> {
    let left = trace.image(stop, image, seed);
    let at = |path: &PathBuf| dir.join(path);
    for path in &left.dirs {
        std::fs::create_dir_all(at(path)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    for (path, bytes) in &left.files {
        std::fs::write(at(path), bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
