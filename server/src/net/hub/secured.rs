//! The connections of a hub that speak TLS.
//!
//! A handshake costs as much as thousands of commands, and after a restart of the server all clients
//! come at once. So a turn spends at most [`BUDGET`] on handshakes, the last one begun included or not;
//! the others wait in a queue, in order of arrival, and the next turn does not sleep.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::{Note, Peer, Service, feed};
use crate::net::secure::Fault;
use crate::net::{Driver, Slot};

/// Time of a turn that handshakes may take.
const BUDGET: Duration = Duration::from_millis(1);
/// A scratch buffer larger than this is given back.
const KEEP_BYTES: usize = 256 << 10;
/// How long a handshake may take.
const HANDSHAKE_MS: u64 = 30_000;

/// What the TLS connections of a hub share.
#[derive(Default)]
pub(super) struct Secured {
    /// Plaintext of the read that is looked at.
    clear: Vec<u8>,
    /// Handshakes that wait for their turn.
    backlog: VecDeque<Slot>,
    /// What handshakes took in this turn.
    spent: Duration,
}

impl Secured {
    pub(super) fn begin_turn(&mut self) {
        self.spent = Duration::ZERO;
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// The next connection whose handshake may go on in this turn.
    pub(super) fn next(&mut self) -> Option<Slot> {
        if self.spent < BUDGET { self.backlog.pop_front() } else { None }
    }

    /// Ciphertext has arrived; returns the bytes of plaintext that it holds.
    pub(super) fn arrived<S: Service>(
        &mut self,
        service: &mut S,
        peer: &mut Peer,
        slot: Slot,
        bytes: &mut [u8],
    ) -> usize {
        let Some(secure) = &mut peer.secure else { return 0 };
        if peer.conn.is_closing() {
            return 0;
        }
        let full = secure.deferred || !self.backlog.is_empty() || self.spent >= BUDGET;
        if !(secure.is_handshaking() && full) {
            return self.open(service, peer, slot, bytes);
        }
        if let Err(fault) = secure.keep(bytes) {
            fail(service, peer, slot, &fault);
        } else if !secure.deferred {
            secure.deferred = true;
            self.backlog.push_back(slot);
        }
        0
    }

    /// Runs what has come, and the requests in it; returns their bytes.
    pub(super) fn open<S: Service>(
        &mut self,
        service: &mut S,
        peer: &mut Peer,
        slot: Slot,
        bytes: &mut [u8],
    ) -> usize {
        let Some(secure) = &mut peer.secure else { return 0 };
        secure.deferred = false;
        let started = secure.is_handshaking().then(Instant::now);
        self.clear.clear();
        let opened = secure.open(bytes, &mut self.clear);
        if let Some(started) = started {
            self.spent += started.elapsed();
        }
        if secure.take_established() {
            match service.secured(slot, secure.peer_certificate()) {
                Ok(()) => peer.conn.renew_limits(service.limits(slot)),
                Err(reply) => peer.conn.refuse(reply),
            }
        }
        let len = self.clear.len();
        if len > 0 {
            feed(service, peer, slot, &mut self.clear);
        }
        if self.clear.capacity() > KEEP_BYTES {
            self.clear = Vec::new();
        }
        match opened {
            Ok(false) => {}
            Ok(true) => {
                if peer.conn.is_waiting() {
                    service.lost(slot);
                }
                peer.conn.close();
            }
            Err(fault) => fail(service, peer, slot, &fault),
        }
        len
    }
}

/// Ends a connection: nothing but the alert that says why leaves.
#[cold]
fn fail<S: Service>(service: &mut S, peer: &mut Peer, slot: Slot, fault: &Fault) {
    let Some(secure) = &mut peer.secure else { return };
    service.note(slot, Note::Tls { fault, handshake: secure.is_handshaking() });
    service.lost(slot);
    secure.abandon();
    peer.conn.close();
}

/// Sends the first `n` bytes of the replies, what was left of earlier ones, and what TLS itself has to
/// say. True if all has left.
pub(super) fn send<D: Driver>(
    driver: &mut D,
    peer: &mut Peer,
    slot: Slot,
    n: usize,
) -> io::Result<bool> {
    let Some(secure) = &mut peer.secure else { return Ok(true) };
    secure.push(&mut peer.conn.out, n);
    peer.conn.bytes_out += n as u64;
    loop {
        secure.seal().map_err(|fault| io::Error::other(fault.to_string()))?;
        if secure.wire.is_empty() && peer.conn.is_closing() && peer.conn.out.is_empty() {
            secure.finish();
        }
        if secure.wire.is_empty() {
            return Ok(true);
        }
        if !driver.send(slot, &mut secure.wire)? {
            return Ok(false);
        }
    }
}

/// Whether a handshake has taken too long; notes it.
pub(super) fn is_late<S: Service>(service: &mut S, peer: &Peer, slot: Slot, now_ms: u64) -> bool {
    let late = peer.secure.as_ref().is_some_and(|secure| {
        secure.is_handshaking() && now_ms.saturating_sub(secure.since_ms) > HANDSHAKE_MS
    });
    if late {
        service.note(slot, Note::Tls { fault: &Fault::Slow, handshake: true });
    }
    late
}
