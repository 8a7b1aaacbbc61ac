//! What must hold of a machine while moon-migrate carries a data set, and behind it (crash-matrix.md O15).
//!
//! Source and old tree are whole at any moment, what a server would open is whole, and `resume` and `rollback` end, also
//! if they are crashed in their turn, with the new tree and the old one.

use std::path::{Path, PathBuf};

use moon_formats::migration::State;
use moon_formats::names::MARKER;
use moon_migrate::Failure;
use moon_storage::io::sim::Image;
use moon_storage::io::sim::{SimDisk, SimRng};
use moon_storage::migration;

use super::Phase;
use super::scene::{Scene, TO, act, digest, elsewhere, tree};
use crate::figures::Outcome;
use crate::oracle::Crash;

impl Scene {
    /// The machine before the run, or behind it, with its operations recorded from now on.
    pub(super) fn begin(&self, phase: Phase, seed: u64) -> Result<SimDisk, String> {
        let mut disk = self.disk.power_loss(Image::None, seed);
        if phase == Phase::Rollback {
            self.carry(&disk)?;
            disk = disk.power_loss(Image::None, seed);
        }
        disk.set_recording(true);
        Ok(disk)
    }

    pub(super) fn carry(&self, disk: &SimDisk) -> Result<(), String> {
        act(disk, self.bug, &["run", "--from", &self.from, "--to", TO])
            .map_err(|e| format!("O15: not carried: {}", e.message))
    }

    /// Goes on with a run, or begins it where nothing of it is left.
    fn go_on(&self, disk: &SimDisk) -> Result<(), String> {
        match self.journal(disk)? {
            // A journal of the run that has made the old tree.
            None | Some(State::Done) if !self.is_new(disk)? => self.carry(disk),
            _ => act(disk, self.bug, &["resume", "--to", TO])
                .map_err(|e| format!("O15: does not resume: {}", e.message)),
        }
    }

    fn is_new(&self, disk: &SimDisk) -> Result<bool, String> {
        Ok(self.is_tree(disk, Path::new(TO)) && digest(disk, Path::new(TO))? == self.digest)
    }

    fn is_tree(&self, disk: &SimDisk, path: &Path) -> bool {
        tree(disk, path).contains_key(Path::new(MARKER))
    }

    pub(super) fn roll_back(&self, disk: &SimDisk) -> Result<(), Failure> {
        act(disk, self.bug, &["rollback", "--to", TO])
    }

    fn journal(&self, disk: &SimDisk) -> Result<Option<State>, String> {
        let journal = disk.runtime().block_on(migration::read(disk, Path::new(TO)));
        let journal = journal.map_err(|e| format!("O15: the journal: {e}"))?;
        Ok(journal.map(|journal| journal.state))
    }

    /// What holds at any moment: the source is as it was, the old tree is whole under one of its names, and what a start
    /// would open is whole.
    fn holds(&self, disk: &SimDisk) -> Result<(), String> {
        if elsewhere(disk) != self.source {
            return Err("O15: the source has changed".into());
        }
        let found = tree(disk, Path::new(TO));
        if let Some((old, _)) = &self.old
            && found != *old
            && tree(disk, &backup()) != *old
        {
            return Err("O15: the old tree is not whole under any of its names".into());
        }
        // A tree that is being made is no data until its marker is there.
        let new = migration::new_tree(Path::new(TO));
        if self.is_tree(disk, &new) && digest(disk, &new)? != self.digest {
            return Err("O15: a part of the new tree could be taken for all of it".into());
        }
        let open = disk.runtime().block_on(migration::unfinished(disk, Path::new(TO)));
        if open.map_err(|e| format!("O15: the journal: {e}"))?.is_some() {
            return Ok(());
        }
        match &self.old {
            _ if self.is_new(disk)? => Ok(()),
            Some((old, _)) if found == *old => Ok(()),
            None if found.is_empty() => Ok(()),
            _ => Err("O15: a start would open neither the old data nor the new".into()),
        }
    }

    /// The run has ended: the new tree has the name, the old one another.
    pub(super) fn is_done(&self, disk: &SimDisk) -> Result<(), String> {
        self.holds(disk)?;
        if self.journal(disk)? != Some(State::Done) {
            return Err("O15: the run has not ended".into());
        }
        if digest(disk, Path::new(TO))? != self.digest {
            return Err("O15: the target does not hold what the source holds".into());
        }
        if !tree(disk, &migration::new_tree(Path::new(TO))).is_empty() {
            return Err("O15: an unfinished tree is left".into());
        }
        match &self.old {
            Some((old, _)) if tree(disk, &backup()) != *old => {
                Err("O15: the old tree is not where it should be".into())
            }
            _ => Ok(()),
        }
    }

    /// The run is undone: the old tree has the name, the new one another.
    pub(super) fn is_undone(&self, disk: &SimDisk) -> Result<(), String> {
        self.holds(disk)?;
        let Some((old, old_digest)) = &self.old else {
            return Err("O15: there was nothing to go back to".into());
        };
        if tree(disk, Path::new(TO)) != *old || digest(disk, Path::new(TO))? != *old_digest {
            return Err("O15: rollback does not end with the old tree".into());
        }
        match digest(disk, &migration::new_tree(Path::new(TO)))? == self.digest {
            true => Ok(()),
            false => Err("O15: rollback has lost the new tree".into()),
        }
    }

    /// Does `act`, which is crashed once on its way and then done again. Returns where it has ended.
    fn twice(
        &self,
        disk: &SimDisk,
        rng: &mut SimRng,
        act: &dyn Fn(&SimDisk) -> Result<(), String>,
    ) -> Result<SimDisk, String> {
        disk.set_recording(true);
        let begin = disk.stop_count();
        act(disk)?;
        if let Some(v) = disk.violations().first() {
            return Err(format!("manners: {v:?}"));
        }
        let all: Vec<Crash> = Crash::all().collect();
        let crash = all[rng.below(all.len() as u64) as usize];
        let stop = begin + rng.below((disk.stop_count() - begin) as u64 + 1) as usize;
        let at = |e: String| format!("{e} (crashed again, stop {stop}, {})", crash.name());
        let after = crash_at(disk, stop, crash, rng.next_u64());
        disk.runtime().shutdown();
        self.holds(&after).map_err(at)?;
        act(&after).map_err(at)?;
        self.holds(&after).map_err(at)?;
        Ok(after)
    }

    /// Everything that must hold of a machine after a crash.
    pub(super) fn check(
        &self,
        disk: &SimDisk,
        phase: Phase,
        rng: &mut SimRng,
        out: &mut Outcome,
    ) -> Result<(), String> {
        self.holds(disk)?;
        let rolls_back = |disk: &SimDisk| {
            self.roll_back(disk).map_err(|e| format!("O15: does not roll back: {}", e.message))
        };
        // A rollback may be resumed, or be given up for the new tree.
        let mut disk = disk.clone();
        if phase != Phase::Rollback || rng.chance(300) {
            disk = self.twice(&disk, rng, &|disk| self.go_on(disk))?;
            self.is_done(&disk)?;
            self.go_on(&disk)?;
            self.is_done(&disk)?;
            out.figures.in_recovery += 1;
            out.figures.migrations.0 += 1;
        }
        if self.old.is_some() {
            disk = self.twice(&disk, rng, &rolls_back)?;
            self.is_undone(&disk)?;
            rolls_back(&disk)?;
            self.is_undone(&disk)?;
            out.figures.in_recovery += 1;
            out.figures.migrations.1 += 1;
        } else {
            match self.roll_back(&disk) {
                Err(e) if e.code == 2 => self.is_done(&disk)?,
                _ => return Err("O15: a rollback to nothing is not refused".into()),
            }
        }
        disk.runtime().shutdown();
        Ok(())
    }
}

/// Where the old tree is kept.
fn backup() -> PathBuf {
    PathBuf::from(format!("{TO}.v1.bak"))
}

/// The machine after a crash at a stop; behind the last one, after everything was said to be done.
pub(super) fn crash_at(disk: &SimDisk, stop: usize, crash: Crash, seed: u64) -> SimDisk {
    match (crash.of(disk, stop, seed), crash) {
        (Some(after), _) => after,
        (None, Crash::Power(image)) => disk.power_loss(image, seed),
        (None, Crash::Kill) => disk.kill(seed),
    }
}
