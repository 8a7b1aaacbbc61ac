//! The portable driver: level-triggered epoll, `recv` and `send`.
//!
//! One scratch buffer serves all connections: bytes are handed to the state machine from
//! there, so an idle connection owns no input memory. Sends go out at once; only what the
//! socket does not take is kept, until epoll says that it can take more.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::{Driver, Event, Slot, Wait, sys};

const SCRATCH_BYTES: usize = 64 << 10;
const EVENTS_MAX: usize = 256;
/// New connections taken in one turn, so that a connection storm does not stall commands.
const ACCEPT_MAX: usize = 64;

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;

/// What an epoll event belongs to: the upper half of its data.
const SOCKET: u64 = 0;
const LISTENER: u64 = 1 << 32;
const WAKE: u64 = 2 << 32;

struct Sock {
    fd: OwnedFd,
    /// Bytes the socket did not take, from `sent` on.
    sending: Vec<u8>,
    sent: usize,
    /// No more is read: the peer has finished or failed.
    read_done: bool,
    /// No more is read for now.
    stopped: bool,
}

impl Sock {
    /// What epoll is to look for. Level-triggered readiness that nobody serves would spin.
    fn interest(&self) -> u32 {
        let receive = if self.read_done || self.stopped { 0 } else { IN };
        receive | if self.sending.is_empty() { 0 } else { OUT }
    }
}

/// The driver.
pub(crate) struct Epoll {
    ep: OwnedFd,
    socks: Vec<Option<Sock>>,
    listeners: Vec<Option<OwnedFd>>,
    wakes: Vec<RawFd>,
    gone: Vec<Slot>,
    scratch: Vec<u8>,
    events: Vec<sys::EpollEvent>,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            ep: sys::epoll()?,
            socks: Vec::new(),
            listeners: Vec::new(),
            wakes: Vec::new(),
            gone: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    fn accept(&mut self, index: u32, sink: &mut impl FnMut(Event<'_>)) {
        let Some(Some(listener)) = self.listeners.get(index as usize) else { return };
        for _ in 0..ACCEPT_MAX {
            match sys::accept(listener) {
                Ok(socket) => sink(Event::Accepted { listener: index, socket }),
                Err(e) => match e.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return sink(Event::AcceptFailed { error: e }),
                },
            }
        }
    }

    fn receive(&mut self, slot: Slot, sink: &mut impl FnMut(Event<'_>)) {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return };
        if sock.read_done {
            return;
        }
        match sys::recv(&sock.fd, &mut self.scratch) {
            Ok(0) => {
                sock.read_done = true;
                let _ = watch(&self.ep, slot, sock);
                sink(Event::Eof { slot });
            }
            Ok(n) => sink(Event::Data { slot, bytes: &mut self.scratch[..n] }),
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => sink(Event::Failed { slot, error: e }),
            },
        }
    }

    fn resume_send(&mut self, slot: Slot, sink: &mut impl FnMut(Event<'_>)) {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return };
        if sock.sending.is_empty() {
            return;
        }
        match sys::send(&sock.fd, &sock.sending[sock.sent..]) {
            Ok(n) => {
                sock.sent += n;
                let done = sock.sent == sock.sending.len();
                if done {
                    sock.sending.clear();
                    sock.sent = 0;
                    let _ = watch(&self.ep, slot, sock);
                }
                sink(Event::Sent { slot, bytes: n, done });
            }
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => sink(Event::Failed { slot, error: e }),
            },
        }
    }
}

fn watch(ep: &OwnedFd, slot: Slot, sock: &Sock) -> io::Result<()> {
    sys::epoll_set(ep, sock.fd.as_raw_fd(), sock.interest(), SOCKET | u64::from(slot), false)
}

impl Driver for Epoll {
    const NAME: &'static str = "epoll";

    fn wake_on(&mut self, eventfd: RawFd) -> io::Result<()> {
        sys::epoll_set(&self.ep, eventfd, IN, WAKE | self.wakes.len() as u64, true)?;
        self.wakes.push(eventfd);
        Ok(())
    }

    fn listen(&mut self, index: u32, socket: OwnedFd) -> io::Result<()> {
        sys::epoll_set(&self.ep, socket.as_raw_fd(), IN, LISTENER | u64::from(index), true)?;
        let index = index as usize;
        if self.listeners.len() <= index {
            self.listeners.resize_with(index + 1, || None);
        }
        self.listeners[index] = Some(socket);
        Ok(())
    }

    fn unlisten(&mut self, index: u32) {
        if let Some(listener) = self.listeners.get_mut(index as usize) {
            *listener = None;
        }
    }

    fn stop_listening(&mut self) {
        self.listeners.clear();
    }

    fn add(&mut self, slot: Slot, socket: OwnedFd) -> io::Result<()> {
        sys::epoll_set(&self.ep, socket.as_raw_fd(), IN, SOCKET | u64::from(slot), true)?;
        let index = slot as usize;
        if self.socks.len() <= index {
            self.socks.resize_with(index + 1, || None);
        }
        self.socks[index] = Some(Sock {
            fd: socket,
            sending: Vec::new(),
            sent: 0,
            read_done: false,
            stopped: false,
        });
        Ok(())
    }

    fn send(&mut self, slot: Slot, out: &mut Vec<u8>) -> io::Result<bool> {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else {
            out.clear();
            return Ok(true);
        };
        debug_assert!(sock.sending.is_empty(), "one send at a time");
        let sent = match sys::send(&sock.fd, out) {
            Ok(n) => n,
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => 0,
                _ => return Err(e),
            },
        };
        if sent == out.len() {
            out.clear();
            return Ok(true);
        }
        std::mem::swap(&mut sock.sending, out);
        sock.sent = sent;
        watch(&self.ep, slot, sock)?;
        Ok(false)
    }

    fn unsent(&self, slot: Slot) -> usize {
        match self.socks.get(slot as usize) {
            Some(Some(sock)) => sock.sending.len() - sock.sent,
            _ => 0,
        }
    }

    fn park(&mut self, slot: Slot) {
        if let Some(Some(sock)) = self.socks.get_mut(slot as usize)
            && sock.sending.is_empty()
        {
            sock.sending = Vec::new();
        }
    }

    fn receive(&mut self, slot: Slot, on: bool) -> io::Result<()> {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return Ok(()) };
        sock.stopped = !on;
        watch(&self.ep, slot, sock)
    }

    fn close(&mut self, slot: Slot) {
        // Closing the last descriptor of a socket takes it out of the epoll set.
        if self.socks.get_mut(slot as usize).and_then(Option::take).is_some() {
            self.gone.push(slot);
        }
    }

    fn poll(&mut self, wait: Wait, sink: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        let wait = match wait {
            Wait::Up(time) if self.gone.is_empty() => time,
            _ => Duration::ZERO,
        };
        let mut events = std::mem::take(&mut self.events);
        let result = sys::epoll_wait(&self.ep, &mut events, wait);
        for event in &events {
            let (data, ready) = (event.u64, event.events);
            let slot = data as u32;
            match data & !0xffff_ffff {
                LISTENER => self.accept(slot, sink),
                WAKE => {
                    if let Some(fd) = self.wakes.get(slot as usize) {
                        sys::eventfd_drain(*fd);
                    }
                }
                _ => {
                    if ready & OUT != 0 {
                        self.resume_send(slot, sink);
                    }
                    if ready & !OUT != 0 {
                        self.receive_or_fail(slot, ready, sink);
                    }
                }
            }
        }
        self.events = events;
        // Slots are closed between polls and reported after the next batch, so that no event
        // can reach their next owner.
        for slot in self.gone.drain(..) {
            sink(Event::Gone { slot });
        }
        result
    }
}

impl Epoll {
    /// Errors and hang-ups show themselves in `recv`, unless nothing is read any more.
    fn receive_or_fail(&mut self, slot: Slot, ready: u32, sink: &mut impl FnMut(Event<'_>)) {
        let broken = ready & (libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0;
        match self.socks.get(slot as usize) {
            Some(Some(sock)) if sock.read_done && broken => {
                sink(Event::Failed { slot, error: io::ErrorKind::ConnectionReset.into() });
            }
            _ => self.receive(slot, sink),
        }
    }
}
