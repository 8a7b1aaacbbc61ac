//! The part of the executor for DUMP and RESTORE.

use super::run::{Failure, Run, content};
use crate::value::Value;
use crate::{Command, cmd};

/// Which word of RESTORE is the payload.
const PAYLOAD: usize = 3;

impl Run<'_> {
    /// DUMP on both sides, then RESTORE of each side's own payload, then all that can be seen of what
    /// came out. Does nothing inside MULTI, or if an op that has lost a half is all there is.
    pub(super) fn dump(&mut self, commands: &[Command]) -> Result<(), Box<Failure>> {
        let (None, [dump, restore]) = (&self.queue, commands) else { return Ok(()) };
        let (oracle, subject) = self.call(dump)?;
        self.stats.commands += 2;
        let (Value::Bulk(of_oracle), Value::Bulk(of_subject)) = (&oracle, &subject) else {
            if oracle == subject {
                return Ok(());
            }
            let why = "one side dumps, the other does not".to_string();
            return Err(self.failure(dump, Some((oracle, subject)), why));
        };
        let filled = |payload: &[u8]| {
            let mut command = restore.clone();
            command[PAYLOAD] = payload.to_vec();
            command
        };
        let (for_oracle, for_subject) = (filled(of_oracle), filled(of_subject));
        let restored = self.pair.oracle.call(&for_oracle);
        let oracle = restored.map_err(|e| self.broken(&for_oracle, &e))?;
        let restored = self.pair.subject.call(&for_subject);
        let subject = restored.map_err(|e| self.broken(&for_subject, &e))?;
        if oracle != subject {
            let why = "the replies differ".to_string();
            return Err(self.failure(&for_subject, Some((oracle, subject)), why));
        }
        let key = restore[1].as_slice();
        let (kind, _) = self.call_and_compare(cmd!["TYPE", key])?;
        self.call_and_compare(cmd!["PTTL", key])?;
        if kind != Value::Simple(b"none".to_vec()) {
            self.call_and_compare(content(&kind, key))?;
        }
        if kind.text() == Some(b"stream") {
            // Not in full: consumers that a claim makes came with 7.2.
            self.call_and_compare(cmd!["XINFO", "STREAM", key])?;
            self.call_and_compare(cmd!["XINFO", "GROUPS", key])?;
        }
        Ok(())
    }
}
