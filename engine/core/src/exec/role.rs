//! Master, replica or onlooker: what a server does otherwise that is not the one to write.
//!
//! Neither a replica nor an onlooker changes anything of its own accord: keys expire and are evicted where
//! the master says so, or not at all.
//! The master's stream runs through the same executor as clients' requests, at instant zero as the
//! log does when it is read back: what was allowed there is not judged again here.

use super::run::{Host, Outcome};
use super::session::Session;
use super::shard::Shard;
use crate::args::Args;
use crate::clock::Now;
use crate::command::Flags;
use crate::error::{CmdError, CmdResult};

const READ_ONLY: CmdError =
    CmdError::fixed("READONLY You can't write against a read only replica.");
const MASTER_DOWN: CmdError = CmdError::fixed(
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
);

const ONLOOKER: CmdError = CmdError::fixed(
    "READONLY This server only shows the data at a point in time (recovery-mode inspect); nothing can be \
     written.",
);

/// Whom the shard follows, and what that means for its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Nobody.
    #[default]
    Master,
    /// Another server.
    Replica {
        /// Clients may not write (`replica-read-only`).
        read_only: bool,
        /// The link is down, and clients are not to see what may be old (`replica-serve-stale-data no`).
        stale: bool,
    },
    /// Nobody: it shows its data at a point in time, and they stay as they are.
    Onlooker,
}

impl Role {
    /// Whether another server is followed.
    #[inline]
    pub fn is_replica(self) -> bool {
        matches!(self, Role::Replica { .. })
    }

    /// Whether nothing changes of the shard's own accord.
    #[inline]
    pub fn is_passive(self) -> bool {
        self != Role::Master
    }

    /// Whether what there is may be too old to be shown.
    pub(crate) fn is_stale(self) -> bool {
        matches!(self, Role::Replica { stale: true, .. })
    }

    /// Refuses a write of a client where another server is the one to write.
    pub(crate) fn admit_write(self) -> CmdResult {
        match self {
            Role::Onlooker => Err(ONLOOKER),
            Role::Replica { read_only: true, .. } => Err(READ_ONLY),
            Role::Replica { read_only: false, .. } | Role::Master => Ok(()),
        }
    }

    /// Refuses what needs files or another server, where data are only shown.
    pub(crate) fn admit_change(self, flags: Flags) -> CmdResult {
        match self == Role::Onlooker && flags.has(Flags::NO_ONLOOKER) {
            true => Err(ONLOOKER),
            false => Ok(()),
        }
    }

    /// Refuses what would show old data; `flags` are those that all of a request has.
    pub(crate) fn admit_stale(self, flags: Flags) -> CmdResult {
        if self.is_stale() && !flags.has(Flags::STALE) { Err(MASTER_DOWN) } else { Ok(()) }
    }
}

impl Shard {
    /// Sets whom the shard follows.
    pub fn set_role(&mut self, role: Role) {
        if role.is_passive() && !self.role.is_passive() {
            self.waiters.force_out();
        }
        self.role = role;
    }

    /// Whom the shard follows.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Runs one request of the master's stream. What it answers goes nowhere; an error is told to the host,
    /// for it means that the two data sets have come apart.
    #[cold]
    pub(super) fn run_from_master(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        args: Args<'_>,
    ) -> Outcome {
        let kept = self.now;
        self.now = Now { mono_us: kept.mono_us, ..Now::default() };
        let denied = std::mem::replace(&mut self.deny_waits, true);
        let mut reply = Vec::new();
        self.run_admitted(host, session, args, &mut reply);
        self.deny_waits = denied;
        self.now = kept;
        if reply.first() == Some(&b'-') {
            host.stream_error(args, &reply);
        }
        if session.close { Outcome::Close } else { Outcome::Done }
    }

    fn run_admitted(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        args: Args<'_>,
        reply: &mut Vec<u8>,
    ) {
        let command = match self.table.resolve(args) {
            Ok(command) => command,
            Err(e) => return self.refuse(&e, session, reply),
        };
        if session.queues(command) {
            session.queue(command, args);
        } else {
            self.run_unit(host, session, command, args, reply);
        }
    }
}
