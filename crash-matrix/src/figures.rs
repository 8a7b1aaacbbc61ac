//! What runs count, and how they fail.

use std::collections::BTreeMap;

use crate::life::Seen;

/// Counts of a run, added up over the matrix.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Runs recorded.
    pub runs: u64,
    /// Commands run.
    pub commands: u64,
    /// Records appended.
    pub records: u64,
    /// Commands made, those that must not be applied twice.
    pub made: (u64, u64),
    /// Stop points tried and there.
    pub stops: (u64, u64),
    /// Crashes by name; [`Figures::in_recovery`] beside them.
    pub crashes: BTreeMap<&'static str, u64>,
    /// Crashes during a recovery.
    pub in_recovery: u64,
    /// Crashes that left in every byte what another one of the run had left.
    pub alike: u64,
    /// Starts after damage: refused, answered with the right prefix.
    pub damage: (u64, u64),
    /// The same by kind of damage.
    pub damaged: BTreeMap<&'static str, (u64, u64)>,
    /// Acknowledged records lost within the promise, by policy.
    pub lost: BTreeMap<&'static str, (u64, u64)>,
    /// Errors that struck, by name.
    pub struck: BTreeMap<&'static str, u64>,
    /// Records that recoveries applied.
    pub replayed: u64,
    /// Recoveries to an LSN, to a time or restore point, and crashes of forks.
    pub points: (u64, u64, u64),
    /// Migrations that were resumed after a crash, and rolled back.
    pub migrations: (u64, u64),
    /// Sets of backups, and what came of them.
    pub backups: Backups,
    /// Changes that readers were given.
    pub changes: Changes,
    /// Healed logs.
    pub heals: u64,
    /// What the workload met.
    pub seen: Seen,
}

/// Counts of backups.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backups {
    /// Sets made.
    pub made: u64,
    /// Directories restored and compared.
    pub restored: u64,
    /// Crashes of backups, restores and removals.
    pub crashed: u64,
    /// Damage that was done and found.
    pub damaged: u64,
}

impl Backups {
    fn add(&mut self, o: &Backups) {
        self.made += o.made;
        self.restored += o.restored;
        self.crashed += o.crashed;
        self.damaged += o.damaged;
    }
}

/// Counts of readers of changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// Events compared.
    pub events: u64,
    /// Crashes after which readers went on.
    pub crashed: u64,
    /// Readers that were told that the log is gone.
    pub gone: u64,
}

impl Changes {
    fn add(&mut self, o: &Changes) {
        self.events += o.events;
        self.crashed += o.crashed;
        self.gone += o.gone;
    }
}

impl Figures {
    /// Crashes of all kinds.
    pub fn crashes_total(&self) -> u64 {
        self.crashes.values().sum::<u64>() + self.in_recovery
    }

    /// Power losses alone.
    pub fn power_losses(&self) -> u64 {
        self.crashes_total() - self.crashes.get("kill").copied().unwrap_or(0)
    }

    /// Adds another run.
    pub fn add(&mut self, o: &Figures) {
        self.runs += o.runs;
        self.commands += o.commands;
        self.records += o.records;
        self.made = (self.made.0 + o.made.0, self.made.1 + o.made.1);
        self.stops = (self.stops.0 + o.stops.0, self.stops.1 + o.stops.1);
        for (k, v) in &o.crashes {
            *self.crashes.entry(k).or_default() += v;
        }
        self.in_recovery += o.in_recovery;
        self.alike += o.alike;
        self.damage = (self.damage.0 + o.damage.0, self.damage.1 + o.damage.1);
        for (k, v) in &o.damaged {
            let to = self.damaged.entry(k).or_default();
            *to = (to.0 + v.0, to.1 + v.1);
        }
        for (k, v) in &o.lost {
            let to = self.lost.entry(k).or_default();
            *to = (to.0 + v.0, to.1.max(v.1));
        }
        for (k, v) in &o.struck {
            *self.struck.entry(k).or_default() += v;
        }
        self.replayed += o.replayed;
        let (a, b) = (self.points, o.points);
        self.points = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
        let (a, b) = (self.migrations, o.migrations);
        self.migrations = (a.0 + b.0, a.1 + b.1);
        self.backups.add(&o.backups);
        self.changes.add(&o.changes);
        self.heals += o.heals;
        self.seen.commands += o.seen.commands;
        self.seen.refused += o.seen.refused;
        self.seen.paused += o.seen.paused;
        self.seen.add_snapshots(&o.seen);
        self.seen.effective.extend(&o.seen.effective);
        self.seen.states.extend(&o.seen.states);
    }
}

/// A broken promise and how to see it again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The command line.
    pub again: String,
    /// What was broken.
    pub text: String,
}

/// Outcome of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Counts.
    pub figures: Figures,
    /// Broken promises.
    pub failures: Vec<Failure>,
    /// Digest of everything that was decided.
    pub digest: u64,
}
