//! Clients that wait until what they wrote is on the disk (WAITAOF) or with replicas (WAIT, WAITAOF).
//!
//! Each client has a *position*: where log and stream stood after the last of its requests that wrote.
//! A client that waits is looked at once per turn, after the log was written, and answered when what it
//! asked for is there or its time is over. Invariants:
//! * The local log counts from its durable LSN, under every policy. While somebody waits for it, it is
//!   synced without a pause in between, also under `everysec` and `no`.
//! * Nobody waits inside EXEC or a script: what is there is the answer.

use moon_engine::exec::{ClientReply, Deadline, Session};
use moon_formats::resp::{Proto, Reply};
use moon_storage::log::Log;

use super::ShardService;
use super::host::ServerHost;
use crate::net::Slot;
use crate::net::conn::Next;
use crate::net::hub::Order;

pub(crate) const NO_LOG: &str =
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
const ROLE_CHANGED: &str =
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// Where log and stream stood after a write.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    lsn: u64,
    offset: u64,
}

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// So many replicas that have it (WAIT).
    Replicas(i64),
    /// So many logs that hold it: this server's, and those of replicas (WAITAOF).
    Logs { local: bool, replicas: i64 },
}

/// How far what a client wrote has come.
#[derive(Debug, Clone, Copy)]
struct Reached {
    local: bool,
    replicas: i64,
}

struct Waiter {
    slot: Slot,
    client: u64,
    position: Position,
    want: Want,
    until: Deadline,
    proto: Proto,
    /// CLIENT REPLY is off.
    silent: bool,
}

/// All clients that wait so.
#[derive(Default)]
pub(crate) struct Acks {
    list: Vec<Waiter>,
    /// The running request asks to wait.
    asked: bool,
}

impl Acks {
    /// Clients that wait.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Those of them whose wait has an end.
    pub(crate) fn timed(&self) -> usize {
        self.list.iter().filter(|w| w.until.is_some()).count()
    }

    /// Whether the request that has run asked to wait.
    #[inline]
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// When the first wait ends, in microseconds of the monotonic clock.
    pub(super) fn next_deadline(&self) -> Deadline {
        self.list.iter().filter_map(|w| w.until).min()
    }

    /// Forgets a client that is gone.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.list.retain(|w| w.slot != slot);
    }
}

impl Want {
    fn is_met(self, reached: Reached) -> bool {
        match self {
            Self::Replicas(wanted) => reached.replicas >= wanted,
            Self::Logs { local, replicas } => {
                (reached.local || !local) && reached.replicas >= replicas
            }
        }
    }

    fn needs_log(self) -> bool {
        matches!(self, Self::Logs { local: true, .. })
    }

    fn answer(self, reached: Reached, out: &mut Reply<'_>) {
        if let Self::Logs { .. } = self {
            out.array(2);
            out.int(i64::from(reached.local));
        }
        out.int(reached.replicas);
    }
}

impl ServerHost {
    fn reached(&self, position: Position, want: Want) -> Reached {
        let by_log = matches!(want, Want::Logs { .. });
        Reached {
            // A start finds what the log holds once its base is there.
            local: self.switch.is_on()
                && self.log.as_ref().is_some_and(|log| log.durable_lsn() >= position.lsn),
            replicas: self.replicas.confirmed(position.offset, by_log) as i64,
        }
    }

    /// Notes that the request of a connection has written.
    pub(super) fn note_write(&mut self, slot: Slot) {
        let lsn = self.log.as_ref().map_or(0, Log::last_lsn);
        let offset = self.replicas.offset();
        if let Some(client) = self.client_mut(slot) {
            client.wrote = Position { lsn, offset };
        }
    }

    /// Answers the current client how far its writes have come; or has it wait until they have come as
    /// far as it wants.
    pub(crate) fn wait_for(
        &mut self,
        session: &Session,
        want: Want,
        until: Deadline,
        out: &mut Reply<'_>,
    ) {
        let slot = self.current;
        let position = self.client(slot).map(|c| c.wrote).unwrap_or_default();
        let reached = self.reached(position, want);
        if want.is_met(reached) || session.in_exec() || session.in_script() {
            return want.answer(reached, out);
        }
        self.replicas.ask_for_confirmation();
        self.acks.asked = true;
        if let Some(client) = self.client_mut(slot) {
            client.waits_for_acks = true;
        }
        self.acks.list.push(Waiter {
            slot,
            client: session.id,
            position,
            want,
            until,
            proto: session.proto,
            silent: matches!(session.reply, ClientReply::Off | ClientReply::SkipThis),
        });
    }

    /// Ends a client's wait, as if its time were over or with an error. False if it does not wait here.
    pub(crate) fn end_wait(&mut self, client: u64, error: bool) -> bool {
        let Some(at) = self.acks.list.iter().position(|w| w.client == client) else { return false };
        let waiter = self.acks.list.remove(at);
        self.answer_wait(&waiter, error.then_some(UNBLOCKED));
        true
    }

    fn answer_wait(&mut self, waiter: &Waiter, error: Option<&str>) {
        let mut reply = Vec::new();
        if !waiter.silent {
            let mut out = Reply::new(&mut reply, waiter.proto);
            match error {
                Some(text) => out.error(text),
                None => waiter.want.answer(self.reached(waiter.position, waiter.want), &mut out),
            }
        }
        self.end_waiting(waiter.slot, &reply);
    }

    /// A client that waited for something beside keys has its reply, and goes on.
    pub(super) fn end_waiting(&mut self, slot: Slot, reply: &[u8]) {
        if let Some(client) = self.client_mut(slot) {
            client.waits_for_acks = false;
        }
        if !reply.is_empty() {
            self.deliver(slot, reply);
        }
        self.orders.push(Order::Answered(slot, Next::Continue));
    }
}

impl ShardService {
    /// Answers those whose writes have come far enough, or whose time is over.
    #[cold]
    pub(super) fn settle_acks(&mut self) {
        let now_us = self.shard.now().mono_us;
        let host = &mut self.host;
        for waiter in std::mem::take(&mut host.acks.list) {
            let late = waiter.until.is_some_and(|at| at <= now_us);
            if self.shard.role().is_replica() {
                host.answer_wait(&waiter, Some(ROLE_CHANGED));
            } else if waiter.want.needs_log() && !host.switch.wanted {
                host.answer_wait(&waiter, Some(NO_LOG));
            } else if late || waiter.want.is_met(host.reached(waiter.position, waiter.want)) {
                host.answer_wait(&waiter, None);
            } else {
                host.acks.list.push(waiter);
            }
        }
        if let Some(log) = host.log.as_ref()
            && host
                .acks
                .list
                .iter()
                .any(|w| w.want.needs_log() && log.durable_lsn() < w.position.lsn)
        {
            log.request_sync();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_and_what_is_there() {
        let reached = |local, replicas| Reached { local, replicas };
        let logs = |local, replicas| Want::Logs { local, replicas };
        for (want, reached, met) in [
            (Want::Replicas(0), reached(false, 0), true),
            (Want::Replicas(-1), reached(false, 0), true),
            (Want::Replicas(1), reached(true, 0), false),
            (Want::Replicas(1), reached(false, 2), true),
            (logs(false, 0), reached(false, 0), true),
            (logs(true, 0), reached(false, 3), false),
            (logs(true, 0), reached(true, 0), true),
            (logs(true, 1), reached(true, 0), false),
            (logs(false, 1), reached(false, 1), true),
        ] {
            assert_eq!(want.is_met(reached), met, "{want:?} {reached:?}");
        }
        assert!(logs(true, 0).needs_log() && !logs(false, 1).needs_log());
    }

    #[test]
    fn the_first_deadline_counts_and_who_is_gone_is_forgotten() {
        let waiter = |slot, until| Waiter {
            slot,
            client: u64::from(slot) + 10,
            position: Position::default(),
            want: Want::Replicas(1),
            until,
            proto: Proto::Resp2,
            silent: false,
        };
        let list = vec![waiter(1, None), waiter(2, Some(70)), waiter(3, Some(50))];
        let mut acks = Acks { list, asked: true };
        assert!(acks.take_asked() && !acks.take_asked());
        assert_eq!((acks.len(), acks.timed(), acks.next_deadline()), (3, 2, Some(50)));
        acks.forget(3);
        assert_eq!(acks.next_deadline(), Some(70));
        acks.forget(2);
        assert_eq!((acks.len(), acks.next_deadline()), (1, None));
    }
}
