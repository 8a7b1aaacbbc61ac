//! What a connection may take: its unsent replies, its time without a sign of life.

use super::{Hub, Note, Service, secured};
use crate::config::OutputLimit;
use crate::net::{Driver, Slot};

/// So few bytes of unsent replies are over no limit: they fit the buffer that every client of Redis has
/// anyway, and a driver may not have sent yet what a socket would take at once.
const REPLY_FREE: usize = 16 << 10;

/// Options the hub works by.
#[derive(Debug, Clone)]
pub(crate) struct HubLimits {
    /// Bytes of unparsed input per connection.
    pub(crate) input_max: usize,
    /// The same before authentication.
    pub(crate) input_max_preauth: usize,
    /// Output buffer limits by class: normal, replica, pubsub.
    pub(crate) output: [OutputLimit; 3],
    /// Seconds of idleness after which a client is closed; 0 never.
    pub(crate) idle_secs: u64,
    /// Seconds of idleness after which buffers are given back; 0 never.
    pub(crate) park_secs: u64,
    /// Milliseconds without progress of a send after which a client is closed; 0 never.
    pub(crate) write_timeout_ms: u64,
}

impl<D: Driver, S: Service> Hub<D, S> {
    /// Checks the output buffer limits of a connection with unsent replies.
    pub(super) fn over_limit(&mut self, slot: Slot, left: usize) -> bool {
        let Some(Some(peer)) = self.peers.get_mut(slot as usize) else { return false };
        let limit = self.service.hub_limits().output[self.service.output_class(slot)];
        let bytes = left + self.driver.unsent(slot) + self.service.output_held(slot);
        let bytes = if bytes > REPLY_FREE { bytes as u64 } else { 0 };
        let hard = limit.hard > 0 && bytes >= limit.hard;
        let over_soft = limit.soft > 0 && bytes >= limit.soft;
        if !over_soft {
            peer.soft_since_ms = 0;
        } else if peer.soft_since_ms == 0 {
            peer.soft_since_ms = self.now_ms;
        }
        let soft = over_soft && self.now_ms - peer.soft_since_ms > limit.soft_secs * 1000;
        if hard || soft {
            self.service.note(slot, Note::OutputBufferLimit(bytes as usize));
        }
        hard || soft
    }

    /// Looks after a share of the connections: idle and write timeouts, parking. Called
    /// ten times a second, it sees each connection once a second.
    pub(crate) fn sweep(&mut self) {
        let total = self.peers.len();
        let limits = self.service.hub_limits().clone();
        for _ in 0..total.div_ceil(10) {
            self.sweep_at = (self.sweep_at + 1) % total;
            if self.sweep_at == 0 {
                self.output_bytes = std::mem::take(&mut self.output_so_far);
            }
            let slot = self.sweep_at as Slot;
            let Some(Some(peer)) = self.peers.get_mut(self.sweep_at) else { continue };
            let held = self.service.output_held(slot);
            self.output_so_far += peer.left() + self.driver.unsent(slot) + held;
            let idle_ms = self.now_ms.saturating_sub(peer.active_ms);
            if secured::is_late(&mut self.service, peer, slot, self.now_ms) {
                self.drop_peer(slot);
            } else if peer.sending {
                let left = peer.left();
                let stuck_ms = self.now_ms.saturating_sub(peer.progress_ms);
                if limits.write_timeout_ms > 0 && stuck_ms > limits.write_timeout_ms {
                    self.service.note(slot, Note::WriteTimeout);
                    self.drop_peer(slot);
                } else if self.over_limit(slot, left) {
                    self.drop_peer(slot);
                }
            } else if limits.idle_secs > 0
                && idle_ms > limits.idle_secs * 1000
                && !peer.conn.is_held()
                && !self.service.may_idle(slot)
            {
                self.service.note(slot, Note::Idle);
                self.drop_peer(slot);
            } else if limits.park_secs > 0 && idle_ms > limits.park_secs * 1000 && !peer.parked {
                peer.parked = true;
                peer.conn.park();
                if let Some(secure) = &mut peer.secure {
                    secure.park();
                }
                self.driver.park(slot);
            }
        }
    }
}
