//! The one read-back path: effects of a logged unit become state again.
//!
//! Effects run through the executor's own write functions, at instant zero: no key expires
//! while the past is repeated, and every time to live in an effect is absolute.

use crate::args::Args;
use crate::clock::Now;
use crate::command::Run;
use crate::exec::Shard;
use moon_formats::resp::{CommandIter, Proto};
use moon_formats::wal::Command;
use std::fmt;

/// An effect that did not apply. It succeeded once, so this is damage or a bug; recovery stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyError {
    /// What went wrong.
    pub cause: String,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl std::error::Error for ApplyError {}

fn refuse<T>(cause: impl Into<String>) -> Result<T, ApplyError> {
    Err(ApplyError { cause: cause.into() })
}

impl Shard {
    /// Applies the payload of a `Command` record with these flags: RESP2 arrays, one atomic unit.
    pub fn apply(&mut self, db: u16, flags: u8, payload: &[u8]) -> Result<(), ApplyError> {
        let payload = match Command::resp_of(payload, flags) {
            Ok(resp) => resp,
            Err(e) => return refuse(format!("effects are damaged: {e}")),
        };
        let kept = self.now;
        self.set_now(Now::default());
        let denied = std::mem::replace(&mut self.deny_waits, true);
        let result = self.apply_arrays(db, payload);
        self.deny_waits = denied;
        self.set_now(kept);
        result
    }

    fn apply_arrays(&mut self, mut db: u16, payload: &[u8]) -> Result<(), ApplyError> {
        self.unit.begin(false, false, false, false);
        let mut reply = Vec::new();
        let mut iter = CommandIter::new(payload, 0);
        let mut words: Vec<&[u8]> = Vec::new();
        loop {
            match iter.next_into(&mut words) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return refuse(format!("effect is not a RESP array: {e}")),
            }
            let args = Args::new(&words);
            if args.is(0, "SELECT") {
                db = match args.int(1).ok().and_then(|n| u16::try_from(n).ok()) {
                    Some(n) => n,
                    None => return refuse("SELECT of no database"),
                };
                continue;
            }
            if usize::from(db) >= self.dbs.len() {
                return refuse(format!("effect on database {db} of {}", self.dbs.len()));
            }
            let command = match self.table.resolve_logged(args) {
                Ok(c) => c,
                Err(e) => return refuse(e.to_string()),
            };
            let Run::Write(f) = command.spec.run else {
                return refuse(format!("'{}' is no write", command.spec.name));
            };
            reply.clear();
            if let Err(e) = self.write(f, db, Proto::Resp2, command, args, &mut reply) {
                return refuse(format!("'{}' answered: {e}", command.spec.name));
            }
        }
        Ok(())
    }
}
