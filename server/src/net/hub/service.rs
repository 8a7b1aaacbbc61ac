//! What a hub asks of the service behind its connections, and what the two tell each other.

use std::io;
use std::os::fd::OwnedFd;

use super::{ConnFigures, HubLimits};
use crate::net::Slot;
use crate::net::conn::{Executor, Next};
use crate::net::outbox::Outbox;
use crate::net::secure::{Fault, Secure};

/// The service behind the connections.
pub(crate) trait Service: Executor {
    /// Prepares a new socket and says whether it is let in. `Err` is the last thing its
    /// client hears, if anything.
    fn open(&mut self, slot: Slot, listener: u32, socket: OwnedFd) -> Result<Admitted, Rejected>;

    /// The handshake of a TLS connection has ended well; `certificate` is what its client has shown,
    /// in DER. `Err` is the only thing that the client hears.
    fn secured(&mut self, slot: Slot, certificate: Option<&[u8]>) -> Result<(), &'static [u8]>;

    /// A connection has ended; its slot number may return later.
    fn closed(&mut self, slot: Slot);

    /// Highest LSN whose replies may leave.
    fn watermark(&self) -> u64;

    /// What clients hear whose replies the watermark has held back for too long; `None` while
    /// nobody has waited that long.
    fn overdue(&self) -> Option<String>;

    /// Options in force.
    fn hub_limits(&self) -> &HubLimits;

    /// True if a connection may idle without being closed (subscribers, replicas, blocked).
    fn may_idle(&self, slot: Slot) -> bool;

    /// Which of the output buffer limits a connection has.
    fn output_class(&self, slot: Slot) -> usize;

    /// Bytes for a connection that its service hands out in pieces and has not handed out yet: unsent replies as well.
    fn output_held(&self, slot: Slot) -> usize;

    /// What requests and the shard's own work want said to other connections.
    fn outbox(&mut self) -> &mut Outbox;

    /// Connections the last requests asked to close (CLIENT KILL) or to go on (UNPAUSE).
    fn take_orders(&mut self) -> Vec<Order>;

    /// Listening sockets that CONFIG SET has opened, by index, or closed (`None`).
    fn take_listeners(&mut self) -> Vec<(u32, Option<OwnedFd>)>;

    /// The client of a waiting connection has gone: nothing may be taken out for it any more.
    fn lost(&mut self, slot: Slot);

    /// A socket that did not come by a listener: the way to a master.
    fn take_link(&mut self) -> Option<Link> {
        None
    }

    /// That socket has its slot; false if it is not wanted any more.
    fn open_link(&mut self, _slot: Slot, _socket: &OwnedFd) -> bool {
        false
    }

    /// Bytes have come over it.
    fn link_received(&mut self, _slot: Slot, _bytes: &[u8]) {}

    /// Takes the figures of a connection after something happened to it.
    fn figures(&mut self, slot: Slot, figures: ConnFigures);

    /// Takes the bytes received and sent so far.
    fn traffic(&mut self, bytes_in: u64, bytes_out: u64);

    /// Something happened that is worth a line in the log or a counter.
    fn note(&mut self, slot: Slot, what: Note<'_>);
}

/// A socket that is let in.
pub(crate) struct Admitted {
    pub(crate) socket: OwnedFd,
    /// What stands between its bytes and the requests, if anything.
    pub(crate) secure: Option<Box<Secure>>,
}

/// A socket over which much has been said already.
pub(crate) struct Link {
    pub(crate) socket: OwnedFd,
    /// TLS, if it speaks it.
    pub(crate) secure: Option<Box<Secure>>,
    /// What has been said and was not looked at yet.
    pub(crate) first: Vec<u8>,
}

/// A socket that is not let in: who it is, to be told what.
pub(crate) struct Rejected {
    pub(crate) socket: Option<OwnedFd>,
    pub(crate) reply: &'static [u8],
}

/// What the service wants done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Close now; replies that have not left are lost.
    Kill(Slot),
    /// Go on with what is held back.
    Resume(Slot),
    /// The reply that it waited for is in its outbox; go on as told.
    Answered(Slot, Next),
}

impl Order {
    /// The connection.
    pub(crate) fn slot(self) -> Slot {
        let (Self::Kill(slot) | Self::Resume(slot) | Self::Answered(slot, _)) = self;
        slot
    }
}

/// Events of connections.
pub(crate) enum Note<'a> {
    /// Accepting failed.
    AcceptFailed(&'a io::Error),
    /// The socket is broken; the connection ends.
    Broken(&'a io::Error),
    /// Closed: unparsed input over the limit.
    QueryBufferLimit(usize),
    /// Closed: unsent replies over the limit.
    OutputBufferLimit(usize),
    /// Closed: idle for too long.
    Idle,
    /// Closed: takes none of its replies.
    WriteTimeout,
    /// Closed: its writes could not be made durable for too long.
    Overdue,
    /// Closed: its TLS is broken, or never came about.
    Tls { fault: &'a Fault, handshake: bool },
}
