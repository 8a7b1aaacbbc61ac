//! Set P: what is proved of a recorded life beside that it survives its crashes.
//!
//! The one idea: a life is recorded once, and each check of a proof looks at it on its own, so that one broken
//! promise does not hide the next.

use std::ops::Range;

use moon_storage::io::sim::{Image, SimDisk, SimRng};
use moon_storage::log::{LogConfig, Policy};
use xxhash_rust::xxh3::Xxh3;

use crate::bugs::Bug;
use crate::cell::Activity;
use crate::figures::{Failure, Figures, Outcome};
use crate::oracle::Crash;
use crate::run::{Effort, Run};
use crate::workload::Plane;
use crate::{backup, changes, pitr, unlogged};

/// What is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It is recovered to points in its past.
    Points,
    /// It is backed up, and restored from that.
    Backups,
    /// Its changes are read.
    Reads,
    /// Its changes are pushed to subscribers.
    Pushes,
    /// It has no log, only saves.
    Unlogged,
}

impl Proof {
    /// All of them, with the ends of their cells' names.
    pub const ALL: [(&'static str, Proof); 5] = [
        ("points", Proof::Points),
        ("backups", Proof::Backups),
        ("reads", Proof::Reads),
        ("pushes", Proof::Pushes),
        ("unlogged", Proof::Unlogged),
    ];

    /// Under a policy: what goes on beside the commands, and what they are about. None where the proof says
    /// nothing of the policy.
    pub(crate) fn axes(self, policy: Policy) -> (Activity, &'static [Plane]) {
        const FOUR: &[Plane] = &[Plane::Kv, Plane::Ttl, Plane::Txn, Plane::Mixed];
        const TWO: &[Plane] = &[Plane::Stream, Plane::Mixed];
        match (self, policy) {
            (Proof::Pushes, _) => (Activity::Rotate, TWO),
            // Without a log there is no policy: it stands for the lack of one.
            (Proof::Unlogged, Policy::No) => (Activity::Save, FOUR),
            (Proof::Unlogged, _) | (_, Policy::No) => (Activity::Rotate, &[]),
            _ => (Activity::Rotate, FOUR),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Proof::ALL.iter().find(|p| p.1 == self).map_or("", |p| p.0)
    }

    /// Does it.
    pub(crate) fn run(self, run: &Run, effort: Effort, bug: Bug, first: bool) -> Outcome {
        match self {
            Proof::Points => pitr::run(run, effort, bug, first),
            Proof::Backups => backup::run(run, effort, bug, first),
            Proof::Reads | Proof::Pushes => changes::run(run, effort, bug, first),
            Proof::Unlogged => unlogged::run(run, effort, bug, first),
        }
    }
}

/// What a crash has left.
pub(crate) struct Stopped {
    pub(crate) disk: SimDisk,
    pub(crate) stop: usize,
    pub(crate) crash: Crash,
    pub(crate) seed: u64,
}

/// A life that was recorded, on trial.
pub(crate) struct Trial<'a, P> {
    pub(crate) run: &'a Run,
    pub(crate) past: &'a P,
    pub(crate) effort: Effort,
    pub(crate) out: &'a mut Figures,
    pub(crate) hash: &'a mut Xxh3,
}

impl<P> Trial<'_, P> {
    /// About as many of `count` as are wanted.
    pub(crate) fn takes(&self, rng: &mut SimRng, count: usize) -> bool {
        self.effort.stops.is_none_or(|wanted| rng.below(count as u64) < wanted as u64)
    }

    /// Stops the process at some of the `stops` of a device, in every way that is tried, and has `check` look at what is
    /// left. `of` says what was going on.
    pub(crate) fn each_crash(
        &mut self,
        disk: &SimDisk,
        stops: Range<usize>,
        rng: &mut SimRng,
        of: &str,
        mut check: impl FnMut(&mut Self, &Stopped) -> Result<(), String>,
    ) -> Result<(), String> {
        for stop in stops.clone() {
            if !self.takes(rng, stops.len()) {
                continue;
            }
            for crash in self.crashes() {
                let seed = rng.next_u64();
                let disk = crash.of(disk, stop, seed).ok_or("no such stop")?;
                disk.set_recording(false);
                let left = Stopped { disk, stop, crash, seed };
                check(self, &left)
                    .map_err(|e| format!("{e} ({of}stop {stop}, {})", crash.name()))?;
                *self.out.crashes.entry(crash.name()).or_default() += 1;
                left.disk.runtime().shutdown();
            }
        }
        Ok(())
    }

    /// What stops the process at each stop that is tried.
    fn crashes(&self) -> Vec<Crash> {
        match self.effort.all_images {
            true => Crash::all().collect(),
            false => vec![Crash::Power(Image::None), Crash::Power(Image::Subset), Crash::Kill],
        }
    }
}

/// Something that must hold.
pub(crate) type Check<P> = fn(&mut Trial<'_, P>) -> Result<(), String>;

/// Records a life and checks it.
pub(crate) fn prove<P>(
    run: &Run,
    effort: Effort,
    bug: Bug,
    first: bool,
    record: fn(&Run, LogConfig, Bug, &mut Figures) -> Result<P, String>,
    checks: &[Check<P>],
) -> Outcome {
    let mut out = Outcome::default();
    let mut hash = Xxh3::new();
    let mut broken = Vec::new();
    match record(run, run.cell.config(bug), bug, &mut out.figures) {
        Err(text) => broken.push(text),
        Ok(past) => {
            for check in checks {
                let (out, hash) = (&mut out.figures, &mut hash);
                if let Err(text) = check(&mut Trial { run, past: &past, effort, out, hash }) {
                    broken.push(text);
                    if first {
                        break;
                    }
                }
            }
        }
    }
    for text in broken {
        hash.update(text.as_bytes());
        out.failures.push(Failure { again: run.line(), text });
    }
    out.digest = hash.digest();
    out
}
