//! How every recorded life begins and ends, whatever is then proved of it.

use moon_storage::io::sim::SimDisk;
use moon_storage::log::LogConfig;

use crate::bugs::Bug;
use crate::figures::Figures;
use crate::life::{History, Life, empty_shard};
use crate::oracle::start_over;

impl Life {
    /// The first life on a device.
    ///
    /// # Errors
    /// The device is not empty, or as of [`Life::start`].
    pub(crate) fn first(disk: &SimDisk, cfg: &LogConfig, bug: Bug) -> Result<Life, String> {
        let fresh = start_over(disk, &[], cfg, bug, false)?.found;
        let life = Life::start(disk, cfg.clone(), fresh, empty_shard(), History::new(), 0, bug);
        life.map(Life::with_model).map_err(|e| format!("O1: a fresh log does not open: {e}"))
    }

    /// What was recorded, once its sums are taken.
    ///
    /// # Errors
    /// A promise that was broken meanwhile, `of` what if not of the life.
    pub(crate) fn noted(&self, figures: &mut Figures, of: &str) -> Result<History, String> {
        let history = self.history.borrow().clone();
        figures.runs += 1;
        figures.commands += self.seen.commands;
        figures.records += history.len() as u64;
        figures.seen.add_snapshots(&self.seen);
        if let Some(finding) = self.findings.borrow().first() {
            return Err(finding.clone());
        }
        match self.disk.violations().first() {
            Some(v) => Err(format!("manners{of}: {v:?}")),
            None => Ok(history),
        }
    }
}
