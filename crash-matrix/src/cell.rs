//! Cells of the matrix: what there is to run, as a product of axes.

use moon_storage::io::sim::FaultKind;
use moon_storage::log::{LogConfig, Policy};

use crate::bugs::Bug;
use crate::life::log_config;
use crate::migrate::Migration;
use crate::proof::Proof;
use crate::workload::Plane;

/// The errors of crash-matrix.md §5, and two beside them.
pub const FAULTS: [(&str, FaultKind); 16] = [
    ("sync-eio-once", FaultKind::SyncEioOnce),
    ("sync-eio-forever", FaultKind::SyncEioForever),
    ("write-eio-once", FaultKind::WriteEioOnce),
    ("write-eio-range", FaultKind::WriteEioRange),
    ("write-short", FaultKind::WriteShort),
    ("write-zero", FaultKind::WriteZero),
    ("enospc-preallocate", FaultKind::EnospcPreallocate),
    ("enospc-write", FaultKind::EnospcWrite),
    ("enospc-then-free", FaultKind::EnospcThenFree { after_us: 400_000 }),
    ("rename-eio", FaultKind::RenameEio),
    ("sync-dir-eio", FaultKind::SyncDirEio),
    ("read-eio", FaultKind::ReadEio),
    ("slow", FaultKind::SlowSyncs),
    ("slow-40s", FaultKind::SlowSync { us: 40_000_000 }),
    ("clock-back", FaultKind::ClockStep { delta_us: -3_600_000_000 }),
    ("clock-forward", FaultKind::ClockStep { delta_us: 86_400_000_000 }),
];

/// What a run does beside crashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// One error, an index into [`FAULTS`].
    Fault(usize),
    /// Bits of what is stored flip.
    Rot,
    /// None, but that something else is proved of it (set P).
    Proof(Proof),
    /// No life at all, but a run of moon-migrate (set S-mig).
    Migrate(Migration),
}

/// What goes on beside the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    Idle,
    /// Tiny segments, and now and then a base that frees old ones.
    Rotate,
    /// One rewrite after the other.
    Rewrite,
    /// One save after the other.
    Save,
}

const ACTIVITIES: [(&str, Activity); 4] = [
    ("idle", Activity::Idle),
    ("rotate", Activity::Rotate),
    ("rewrite", Activity::Rewrite),
    ("bgsave", Activity::Save),
];

/// One combination of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What the commands are about.
    pub plane: Plane,
    /// What goes on beside the commands.
    pub activity: Activity,
    /// `appendfsync`.
    pub policy: Policy,
    /// Errors.
    pub trouble: Trouble,
}

const POLICIES: [(&str, Policy); 3] =
    [("always", Policy::Always), ("everysec", Policy::EverySec), ("no", Policy::No)];

/// `appendfsync` as cells and figures name it.
pub(crate) fn policy_name(policy: Policy) -> &'static str {
    POLICIES.iter().find(|p| p.1 == policy).map_or("", |p| p.0)
}

impl Cell {
    /// All cells.
    pub fn all() -> Vec<Cell> {
        let mut cells = Vec::new();
        for (_, policy) in POLICIES {
            for (_, plane) in Plane::ALL {
                for (_, activity) in ACTIVITIES {
                    cells.push(Cell { plane, activity, policy, trouble: Trouble::None });
                }
                // What an error does to the log does not depend on what the records say, so these
                // get the errors where segments rotate, and the other activities are `kv`'s.
                if ![Plane::Kv, Plane::Ttl].contains(&plane) && policy != Policy::No {
                    let activity = Activity::Rotate;
                    let damaged = |trouble| Cell { plane, activity, policy, trouble };
                    cells.extend((0..FAULTS.len()).map(|f| damaged(Trouble::Fault(f))));
                    cells.push(damaged(Trouble::Rot));
                }
            }
            for (_, proof) in Proof::ALL {
                let (activity, planes) = proof.axes(policy);
                let trouble = Trouble::Proof(proof);
                let cell = |plane: &Plane| Cell { plane: *plane, activity, policy, trouble };
                cells.extend(planes.iter().map(cell));
            }
            if policy == Policy::EverySec {
                let (plane, activity) = (Plane::Mixed, Activity::Idle);
                let of = |m| Cell { plane, activity, policy, trouble: Trouble::Migrate(m) };
                cells.extend(Migration::all().map(of));
            }
            for activity in [Activity::Rotate, Activity::Rewrite, Activity::Save] {
                let damaged = |trouble| Cell { plane: Plane::Kv, activity, policy, trouble };
                let faults = (0..FAULTS.len()).filter(|f| activity.meets(FAULTS[*f].1));
                cells.extend(faults.map(|f| damaged(Trouble::Fault(f))));
                cells.push(damaged(Trouble::Rot));
            }
        }
        cells
    }

    /// Plane, activity, policy, and the error if there is one; for a migration source and phase.
    pub fn name(&self) -> String {
        let plane = self.plane.name();
        let activity = ACTIVITIES.iter().find(|a| a.1 == self.activity).map_or("", |a| a.0);
        let policy = policy_name(self.policy);
        let trouble = match self.trouble {
            Trouble::None => String::new(),
            Trouble::Fault(f) => format!("+{}", FAULTS[f].0),
            Trouble::Rot => "+rot".into(),
            Trouble::Proof(proof) => format!("+{}", proof.name()),
            Trouble::Migrate(m) => return m.name(),
        };
        format!("{plane}-{activity}-{policy}{trouble}")
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Cell> {
        Cell::all().into_iter().find(|c| c.name() == name)
    }

    pub(crate) fn config(&self, bug: Bug) -> LogConfig {
        let segment_bytes = match self.activity {
            Activity::Rotate => 64 << 10,
            Activity::Rewrite => 256 << 10,
            Activity::Idle | Activity::Save => 1 << 20,
        };
        log_config(self.policy, segment_bytes, bug)
    }
}

impl Activity {
    /// Whether an error of the device can meet it other than it meets `rotate`.
    fn meets(self, fault: FaultKind) -> bool {
        match self {
            Activity::Idle | Activity::Rotate => true,
            Activity::Rewrite | Activity::Save => !matches!(
                fault,
                FaultKind::EnospcPreallocate
                    | FaultKind::SlowSyncs
                    | FaultKind::SlowSync { .. }
                    | FaultKind::ClockStep { .. }
            ),
        }
    }
}
