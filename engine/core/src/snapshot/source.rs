//! The shard as the source of a file that storage writes.

use moon_storage::snapshot::{Fill, Source};

use super::Fill as Step;
use crate::exec::Shard;

impl Source for Shard {
    fn fill(&mut self, out: &mut Vec<u8>, budget: usize) -> Fill {
        match self.fill_snapshot(out, budget) {
            Step::More => Fill::More,
            Step::End(totals) => Fill::End { entries: totals.entries, crc: totals.crc },
            Step::Broken(incomplete) => Fill::Lost(incomplete.to_string()),
            Step::Nothing => Fill::Lost("the data set was replaced meanwhile".into()),
        }
    }

    fn pending(&self) -> usize {
        self.snapshot_pending()
    }

    fn abort(&mut self) {
        self.abort_snapshot();
    }
}
