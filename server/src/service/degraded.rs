//! What may be read while the log is degraded: everything but the keys of writes that have not
//! been acknowledged, for those may still turn out not to have happened (durability §4.2).

use std::collections::HashSet;

use moon_engine::args::Args;
use moon_engine::command::keys::for_each_key;
use moon_engine::command::{CommandTable, Run};
use moon_engine::exec::Session;
use moon_formats::resp::CommandIter;
use moon_formats::wal::Command as RecordedCommand;
use moon_storage::log::Log;

/// Keys named in records above the watermark.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Whatever their database: a name that is suspect in one is in all.
    keys: HashSet<Box<[u8]>>,
    /// An effect without keys (FLUSHALL, SWAPDB): everything is suspect.
    all: bool,
}

impl Suspects {
    /// Collects them from what the log holds in memory.
    pub(super) fn of(log: &Log, table: &CommandTable) -> Self {
        let mut suspects = Self::default();
        let watermark = log.watermark();
        log.for_each_unsynced(|lsn, _, flags, _, payload| {
            if lsn > watermark {
                suspects.add(table, RecordedCommand::resp_of(payload, flags).unwrap_or_default());
            }
        });
        suspects
    }

    fn add(&mut self, table: &CommandTable, payload: &[u8]) {
        let mut effects = CommandIter::new(payload, 0);
        let mut words: Vec<&[u8]> = Vec::new();
        while let Ok(true) = effects.next_into(&mut words) {
            let args = Args::new(&words);
            let Some(command) = table.resolve(args).ok().filter(|c| c.spec.is_write()) else {
                continue;
            };
            let found = for_each_key(command.spec, args, |i, _| {
                self.keys.insert(Box::from(args.get(i)));
            });
            self.all |= found.is_err() || command.spec.keys.is_empty();
        }
    }

    /// Whether the reply to a request could show the effect of such a write.
    pub(super) fn concern(&self, table: &CommandTable, session: &Session, args: &[&[u8]]) -> bool {
        if self.keys.is_empty() && !self.all {
            return false;
        }
        let args = Args::new(args);
        let Ok(command) = table.resolve(args) else { return false };
        let spec = command.spec;
        if session.multi_len().is_some() {
            // Queued commands run at the end, and may read anything.
            return super::ends_multi(command, session);
        }
        if spec.keys.is_empty() {
            return matches!(spec.run, Run::Read(_));
        }
        let mut hit = self.all;
        let found = for_each_key(spec, args, |i, _| {
            hit |= self.keys.contains(args.get(i));
        });
        hit || found.is_err()
    }
}
