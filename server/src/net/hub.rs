//! All connections of a shard over one driver: accepts, feeds, releases, closes.
//!
//! A turn is: [`Hub::collect`] (events in, requests executed), then the shard's own work and
//! the log's flush, then [`Hub::release`] (replies out). Invariants:
//! * Replies are looked at once per turn, after the flush, so a pipeline costs one send and
//!   a turn one group commit.
//! * A slot is reused only after the driver has let go of it.
//! * Requests that are held back take a bounded room: behind [`INPUT_HELD`] their client waits.

mod limits;
mod secured;
mod service;

use std::io;
use std::os::fd::OwnedFd;

use moon_storage::failpoint::{self, Point};

use super::conn::{Conn, Refusal};
use super::secure::Secure;
use super::{Driver, Event, Slot, Wait};
pub(crate) use limits::HubLimits;
use secured::Secured;
pub(crate) use service::{Admitted, Link, Note, Order, Rejected, Service};

struct Peer {
    conn: Conn,
    /// TLS, if it speaks it.
    secure: Option<Box<Secure>>,
    /// The driver holds a send of this connection.
    sending: bool,
    /// In `Hub::ready` already.
    queued: bool,
    /// The driver was told to close it.
    closed: bool,
    /// The driver was told to receive no more for now.
    stopped: bool,
    parked: bool,
    /// Last bytes from the client.
    active_ms: u64,
    /// Last bytes taken by the client while a send is in flight.
    progress_ms: u64,
    /// Since when its output is over the soft limit; 0 if it is not.
    soft_since_ms: u64,
}

/// Figures of one connection, for CLIENT LIST.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnFigures {
    pub(crate) input: usize,
    pub(crate) input_free: usize,
    pub(crate) output: usize,
    pub(crate) output_capacity: usize,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) requests: u64,
    pub(crate) active_ms: u64,
}

/// A connection whose requests are held back is received from until so many bytes wait.
const INPUT_HELD: usize = 1 << 20;

/// The connections of a shard.
pub(crate) struct Hub<D, S> {
    pub(crate) driver: D,
    pub(crate) service: S,
    peers: Vec<Option<Peer>>,
    free: Vec<Slot>,
    /// Connections whose output is to be looked at.
    ready: Vec<Slot>,
    scratch: Vec<Slot>,
    accepted: Vec<(u32, OwnedFd)>,
    secured: Secured,
    now_ms: u64,
    sweep_at: usize,
    /// Bytes that have not left: of the last whole round, of this one so far.
    output_bytes: usize,
    output_so_far: usize,
    /// Connections that exist.
    pub(crate) count: usize,
    /// Bytes from and to clients, ever.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl<D: Driver, S: Service> Hub<D, S> {
    pub(crate) fn new(driver: D, service: S) -> Self {
        Self {
            driver,
            service,
            peers: Vec::new(),
            free: Vec::new(),
            ready: Vec::new(),
            scratch: Vec::new(),
            accepted: Vec::new(),
            secured: Secured::default(),
            now_ms: 0,
            sweep_at: 0,
            output_bytes: 0,
            output_so_far: 0,
            count: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Waits as told for events, executes the requests they bring. `begin` is called once
    /// the wait is over, before the first request.
    pub(crate) fn collect(
        &mut self,
        wait: Wait,
        mut begin: impl FnMut(&mut S) -> u64,
    ) -> io::Result<usize> {
        let Self {
            driver, service, peers, free, ready, accepted, now_ms, bytes_in, secured, ..
        } = self;
        let mut count = 0;
        secured.begin_turn();
        driver.poll(wait, &mut |event| {
            if count == 0 {
                *now_ms = begin(service);
            }
            count += 1;
            let slot = match event {
                Event::Data { slot, bytes } => {
                    let Some(Some(peer)) = peers.get_mut(slot as usize) else { return };
                    if peer.closed {
                        return;
                    }
                    peer.active_ms = *now_ms;
                    peer.parked = false;
                    if peer.secure.is_some() {
                        *bytes_in += secured.arrived(service, peer, slot, bytes) as u64;
                    } else {
                        *bytes_in += bytes.len() as u64;
                        feed(service, peer, slot, bytes);
                    }
                    slot
                }
                Event::Sent { slot, bytes, done } => {
                    let Some(Some(peer)) = peers.get_mut(slot as usize) else { return };
                    peer.progress_ms = *now_ms;
                    if peer.secure.is_none() {
                        peer.conn.bytes_out += bytes as u64;
                    }
                    if done {
                        peer.sending = false;
                        service.figures(slot, peer.figures(0));
                    }
                    if !done || (peer.left() == 0 && !peer.conn.is_closing()) {
                        return;
                    }
                    slot
                }
                Event::Eof { slot } => {
                    let Some(Some(peer)) = peers.get_mut(slot as usize) else { return };
                    if peer.conn.is_waiting() {
                        service.lost(slot);
                    }
                    // Replies to what came before are still sent: the peer may listen.
                    peer.conn.close();
                    slot
                }
                Event::Failed { slot, error } => {
                    let Some(Some(peer)) = peers.get_mut(slot as usize) else { return };
                    service.note(slot, Note::Broken(&error));
                    service.lost(slot);
                    peer.closed = true;
                    slot
                }
                Event::Gone { slot } => {
                    free.push(slot);
                    return;
                }
                Event::Accepted { listener, socket } => {
                    accepted.push((listener, socket));
                    return;
                }
                Event::AcceptFailed { error } => {
                    service.note(Slot::MAX, Note::AcceptFailed(&error));
                    return;
                }
            };
            if let Some(Some(peer)) = peers.get_mut(slot as usize)
                && !peer.queued
            {
                peer.queued = true;
                ready.push(slot);
            }
            hand_over(service, peers, ready);
        })?;
        if count == 0 {
            self.now_ms = begin(&mut self.service);
        }
        if self.secured.has_backlog() {
            self.go_on_with_handshakes();
        }
        if !self.accepted.is_empty() {
            self.admit();
        }
        self.obey();
        Ok(count)
    }

    /// Whether handshakes wait for the next turn.
    pub(crate) fn has_backlog(&self) -> bool {
        self.secured.has_backlog()
    }

    fn go_on_with_handshakes(&mut self) {
        let Self { service, peers, ready, secured, bytes_in, .. } = self;
        while let Some(slot) = secured.next() {
            let Some(Some(peer)) = peers.get_mut(slot as usize) else { continue };
            if peer.closed || peer.conn.is_closing() {
                continue;
            }
            *bytes_in += secured.open(service, peer, slot, &mut []) as u64;
            if !peer.queued {
                peer.queued = true;
                ready.push(slot);
            }
            hand_over(service, peers, ready);
        }
    }

    fn admit(&mut self) {
        for (listener, socket) in std::mem::take(&mut self.accepted) {
            let slot = self.free_slot();
            let Admitted { socket, mut secure } = match self.service.open(slot, listener, socket) {
                Ok(admitted) => admitted,
                Err(rejected) => {
                    if let Some(socket) = rejected.socket {
                        // Best effort, as in Redis: the socket buffer is empty.
                        let _ = super::sys::send(&socket, rejected.reply);
                    }
                    self.free.push(slot);
                    continue;
                }
            };
            if self.driver.add(slot, socket).is_err() {
                self.service.closed(slot);
                self.free.push(slot);
                continue;
            }
            if let Some(secure) = &mut secure {
                secure.since_ms = self.now_ms;
            }
            self.seat(slot, secure, false);
        }
    }

    /// Makes the connection of a socket that the driver has.
    fn seat(&mut self, slot: Slot, secure: Option<Box<Secure>>, is_link: bool) {
        let mut conn = Conn::new(self.service.limits(slot));
        conn.is_link = is_link;
        self.peers[slot as usize] = Some(Peer {
            conn,
            secure,
            sending: false,
            queued: false,
            closed: false,
            stopped: false,
            parked: false,
            active_ms: self.now_ms,
            progress_ms: 0,
            soft_since_ms: 0,
        });
        self.count += 1;
    }

    /// Takes in the way to a master.
    fn admit_link(&mut self, link: Link) {
        let Link { socket, secure, mut first } = link;
        let slot = self.free_slot();
        if !self.service.open_link(slot, &socket) {
            self.free.push(slot);
            return;
        }
        if self.driver.add(slot, socket).is_err() {
            self.service.closed(slot);
            self.free.push(slot);
            return;
        }
        self.seat(slot, secure, true);
        if let Some(Some(peer)) = self.peers.get_mut(slot as usize) {
            peer.queued = true;
            self.ready.push(slot);
            if !first.is_empty() {
                feed(&mut self.service, peer, slot, &mut first);
            }
        }
    }

    fn free_slot(&mut self) -> Slot {
        self.free.pop().unwrap_or_else(|| {
            self.peers.push(None);
            (self.peers.len() - 1) as Slot
        })
    }

    /// Does what requests asked for on other connections.
    fn obey(&mut self) {
        for (index, socket) in self.service.take_listeners() {
            match socket.map(|socket| self.driver.listen(index, socket)) {
                Some(Ok(())) => {}
                Some(Err(error)) => self.service.note(Slot::MAX, Note::AcceptFailed(&error)),
                None => self.driver.unlisten(index),
            }
        }
        if let Some(link) = self.service.take_link() {
            self.admit_link(link);
        }
        for order in self.service.take_orders() {
            let slot = order.slot();
            let Some(Some(peer)) = self.peers.get_mut(slot as usize) else { continue };
            match order {
                Order::Kill(_) => peer.closed = true,
                Order::Resume(_) => {
                    peer.conn.resume(slot, &mut self.service);
                }
                Order::Answered(_, next) => {
                    peer.conn.answered(slot, next, &mut self.service);
                    self.service.figures(slot, peer.figures(0));
                }
            }
            if !peer.queued {
                peer.queued = true;
                self.ready.push(slot);
            }
            hand_over(&mut self.service, &mut self.peers, &mut self.ready);
        }
    }

    /// Sends what the watermark allows, closes what has to close.
    pub(crate) fn release(&mut self) {
        hand_over(&mut self.service, &mut self.peers, &mut self.ready);
        let watermark = self.service.watermark();
        if let Some(error) = self.service.overdue() {
            self.give_up(watermark, error.as_bytes());
        }
        std::mem::swap(&mut self.ready, &mut self.scratch);
        let mut ready = std::mem::take(&mut self.scratch);
        for &slot in &ready {
            self.release_one(slot, watermark);
        }
        ready.clear();
        self.scratch = ready;
        self.service.traffic(self.bytes_in, self.bytes_out);
    }

    /// Tells every client whose replies are held back that their outcome is unknown.
    #[cold]
    fn give_up(&mut self, watermark: u64, error: &[u8]) {
        for (slot, peer) in self.peers.iter_mut().enumerate() {
            let Some(peer) = peer else { continue };
            if peer.conn.give_up(watermark, error) {
                self.service.note(slot as Slot, Note::Overdue);
                if !peer.queued {
                    peer.queued = true;
                    self.ready.push(slot as Slot);
                }
            }
        }
    }

    fn release_one(&mut self, slot: Slot, watermark: u64) {
        let Some(Some(peer)) = self.peers.get_mut(slot as usize) else { return };
        peer.queued = false;
        if peer.closed {
            return self.drop_peer(slot);
        }
        let stop = peer.conn.held_input() > input_max(&self.service, peer, slot).min(INPUT_HELD);
        if stop != peer.stopped && !peer.conn.is_closing() {
            peer.stopped = stop;
            if self.driver.receive(slot, !stop).is_err() {
                return self.drop_peer(slot);
            }
        }
        if !peer.sending {
            let n = peer.conn.release(watermark);
            if n > 0 || peer.secure.is_some() {
                self.bytes_out += n as u64;
                let sent = if peer.secure.is_some() {
                    secured::send(&mut self.driver, peer, slot, n)
                } else if n == peer.conn.out.len() {
                    self.driver.send(slot, &mut peer.conn.out)
                } else {
                    let mut part = peer.conn.out.split_off(n);
                    std::mem::swap(&mut part, &mut peer.conn.out);
                    self.driver.send(slot, &mut part)
                };
                failpoint::pass(Point::LogAfterAck);
                match sent {
                    Ok(true) if peer.secure.is_some() => {}
                    Ok(true) => peer.conn.bytes_out += n as u64,
                    Ok(false) => {
                        peer.sending = true;
                        peer.progress_ms = self.now_ms;
                    }
                    Err(_) => return self.drop_peer(slot),
                }
            }
        }
        let left = peer.left();
        if left == 0 && !peer.sending {
            if peer.conn.is_closing() {
                self.drop_peer(slot);
            } else {
                self.service.figures(slot, peer.figures(0));
            }
            return;
        }
        let unsent = self.driver.unsent(slot);
        self.service.figures(slot, peer.figures(unsent));
        if self.over_limit(slot, left) {
            return self.drop_peer(slot);
        }
        // Held back by the log: look again next turn. Held back by its own send: when that
        // has ended.
        if let Some(Some(peer)) = self.peers.get_mut(slot as usize)
            && !peer.sending
        {
            peer.queued = true;
            self.ready.push(slot);
        }
    }

    fn drop_peer(&mut self, slot: Slot) {
        if self.peers.get_mut(slot as usize).and_then(Option::take).is_some() {
            self.count -= 1;
            self.driver.close(slot);
            self.service.closed(slot);
        }
    }

    /// Replies that have not left, of all connections, as the last round of [`Self::sweep`] found them.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    /// Ends a connection's input when the server stops: its replies still leave.
    pub(crate) fn close_all(&mut self) {
        for (slot, peer) in self.peers.iter_mut().enumerate() {
            if let Some(peer) = peer {
                peer.conn.close();
                if !peer.queued {
                    peer.queued = true;
                    self.ready.push(slot as Slot);
                }
            }
        }
    }
}

/// Has a connection execute what arrived.
#[inline]
fn feed<S: Service>(service: &mut S, peer: &mut Peer, slot: Slot, bytes: &mut [u8]) {
    if peer.conn.is_link {
        service.link_received(slot, bytes);
    }
    let max = input_max(service, peer, slot);
    if let Err(Refusal::QueryBuffer) = peer.conn.feed(slot, bytes, service, max) {
        service.note(slot, Note::QueryBufferLimit(peer.conn.input_len()));
        peer.closed = true;
    }
}

/// Bytes of input that a connection may have.
#[inline]
fn input_max<S: Service>(service: &S, peer: &Peer, slot: Slot) -> usize {
    let limits = service.hub_limits();
    match () {
        () if peer.conn.is_link => usize::MAX,
        () if service.limits(slot).authenticated => limits.input_max,
        () => limits.input_max_preauth,
    }
}

/// Moves messages from the outbox to the output of their receivers.
#[inline]
fn hand_over<S: Service>(service: &mut S, peers: &mut [Option<Peer>], ready: &mut Vec<Slot>) {
    if !service.outbox().is_empty() {
        empty_outbox(service, peers, ready);
    }
}

fn empty_outbox<S: Service>(service: &mut S, peers: &mut [Option<Peer>], ready: &mut Vec<Slot>) {
    while let Some((slot, pending)) = service.outbox().next() {
        let Some(Some(peer)) = peers.get_mut(slot as usize) else {
            pending.clear();
            continue;
        };
        let overflow = pending.overflow;
        if !peer.closed && !peer.conn.is_closing() {
            peer.conn.deliver(&mut pending.bytes, &pending.marks);
        }
        pending.clear();
        if overflow && !peer.closed {
            peer.closed = true;
            service.note(slot, Note::OutputBufferLimit(peer.conn.out.len()));
        }
        if !peer.queued {
            peer.queued = true;
            ready.push(slot);
        }
    }
}

impl Peer {
    /// Bytes for its client that the driver does not have yet.
    #[inline]
    fn left(&self) -> usize {
        self.conn.out.len() + self.secure.as_ref().map_or(0, |secure| secure.pending())
    }

    #[inline]
    fn figures(&self, unsent: usize) -> ConnFigures {
        let kept = self.secure.as_ref().map_or(0, |secure| secure.incoming_len());
        ConnFigures {
            input: self.conn.input_len() + kept,
            input_free: self.conn.input_free(),
            output: self.left() + unsent,
            output_capacity: self.conn.out_capacity(),
            bytes_in: self.conn.bytes_in,
            bytes_out: self.conn.bytes_out,
            requests: self.conn.requests,
            active_ms: self.active_ms,
        }
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
