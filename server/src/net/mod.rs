//! The network: two drivers below one interface, one connection state machine above it.
//!
//! Invariants:
//! * A driver moves bytes and nothing else: it knows no request, no reply, no client.
//! * Bytes of a connection reach the state machine in order and exactly once; its replies
//!   leave in order.
//! * `unsafe` lives in [`sys`] and the two driver files only.

pub(crate) mod conn;
pub(crate) mod epoll;
pub(crate) mod hub;
pub(crate) mod listen;
pub(crate) mod outbox;
pub(crate) mod outward;
pub(crate) mod secure;
pub(crate) mod sys;
pub(crate) mod uring;

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

/// Index of a connection, in a driver and above it. Reused only after [`Event::Gone`].
pub(crate) type Slot = u32;

/// What a driver reports.
pub(crate) enum Event<'a> {
    /// A socket was accepted on the listener with this index.
    Accepted { listener: u32, socket: OwnedFd },
    /// `accept` failed for a reason that is not the peer's (out of descriptors, ...).
    AcceptFailed { error: io::Error },
    /// Bytes arrived. They are valid during the call only, and may be changed in place.
    Data { slot: Slot, bytes: &'a mut [u8] },
    /// The peer will send no more.
    Eof { slot: Slot },
    /// The socket is broken.
    Failed { slot: Slot, error: io::Error },
    /// Some bytes of a send left; `done` when all of it has.
    Sent { slot: Slot, bytes: usize, done: bool },
    /// The driver has let go of a closed slot.
    Gone { slot: Slot },
}

/// How long a poll may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// Until something happens, at most so long.
    Up(Duration),
}

/// Moves bytes between sockets and the state machine.
pub(crate) trait Driver {
    /// Name as `INFO` and the log print it.
    const NAME: &'static str;

    /// Ends a wait when this eventfd is written, and empties it. The caller keeps it open.
    fn wake_on(&mut self, eventfd: RawFd) -> io::Result<()>;

    /// Starts accepting on a listening socket.
    fn listen(&mut self, index: u32, socket: OwnedFd) -> io::Result<()>;

    /// Closes a listening socket.
    fn unlisten(&mut self, index: u32);

    /// Closes all listening sockets.
    fn stop_listening(&mut self);

    /// Starts receiving from an accepted socket.
    fn add(&mut self, slot: Slot, socket: OwnedFd) -> io::Result<()>;

    /// Sends `out` and leaves an empty buffer in its place. True if all of it has left;
    /// otherwise [`Event::Sent`] follows, and nothing may be sent on the slot before
    /// its `done`.
    fn send(&mut self, slot: Slot, out: &mut Vec<u8>) -> io::Result<bool>;

    /// Bytes handed to [`Driver::send`] that have not left.
    fn unsent(&self, slot: Slot) -> usize;

    /// Gives back buffers kept for an idle connection.
    fn park(&mut self, slot: Slot);

    /// Stops or goes on receiving from a connection, so that its peer has to wait. Bytes that are
    /// on their way may still come; the peer's end may be seen only when it goes on.
    fn receive(&mut self, slot: Slot, on: bool) -> io::Result<()>;

    /// Closes a connection; [`Event::Gone`] follows.
    fn close(&mut self, slot: Slot);

    /// Submits what was asked for, waits as told, reports what happened.
    fn poll(&mut self, wait: Wait, sink: &mut impl FnMut(Event<'_>)) -> io::Result<()>;
}
