//! The io_uring driver: multishot accept and receive into a provided-buffer ring, one send
//! per connection and turn, one system call per turn.
//!
//! Invariants:
//! * The ring is used by the thread that made it (SINGLE_ISSUER); completions are produced
//!   only inside our own enter (DEFER_TASKRUN), so no interrupt cuts into a command.
//! * A buffer named by a submission (`sending`, the buffer ring) stays where it is until
//!   its completion has been seen: a [`Sock`] is dropped only when nothing is in flight.
//! * A slot is reported [`Event::Gone`] when its last operation has completed.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::{Driver, Event, Slot, Wait, sys};

const GROUP: u16 = 0;
const BUFFERS: u16 = 256;
const BUFFER_BYTES: usize = 16 << 10;

const OP_RECV: u64 = 0;
const OP_SEND: u64 = 1;
const OP_ACCEPT: u64 = 2;
const OP_WAKE: u64 = 3;
const OP_CANCEL: u64 = 4;

fn tag(op: u64, index: u32) -> u64 {
    op << 32 | u64::from(index)
}

struct Sock {
    fd: OwnedFd,
    receiving: bool,
    /// No receive is to be started until [`Driver::receive`] says so.
    stopped: bool,
    in_send: bool,
    sending: Vec<u8>,
    sent: usize,
    closing: bool,
}

/// The driver.
pub(crate) struct Uring {
    // Dropped first: closing the ring ends every operation that names memory below.
    ring: IoUring,
    buffers: BufferRing,
    socks: Vec<Option<Sock>>,
    listeners: Vec<Option<OwnedFd>>,
    wakes: Vec<RawFd>,
    gone: Vec<Slot>,
    /// Receives that ended and start again once buffers are back.
    rearm: Vec<Slot>,
    completions: Vec<cqueue::Entry>,
}

/// Why io_uring cannot be used here, or `None`.
pub(crate) fn probe() -> Option<String> {
    match Uring::new(64) {
        Ok(_) => None,
        Err(e) => Some(match e.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => format!("io_uring is not permitted: {e}"),
            Some(libc::ENOSYS) => format!("the kernel has no io_uring: {e}"),
            Some(libc::EINVAL) => format!("the kernel is too old (6.1 is needed): {e}"),
            _ => format!("io_uring: {e}"),
        }),
    }
}

impl Uring {
    /// Sets up the ring and its buffers on the calling thread.
    pub(crate) fn new(entries: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(entries * 4)
            .build(entries)?;
        let buffers = BufferRing::new(&ring)?;
        Ok(Self {
            ring,
            buffers,
            socks: Vec::new(),
            listeners: Vec::new(),
            wakes: Vec::new(),
            gone: Vec::new(),
            rearm: Vec::new(),
            completions: Vec::with_capacity(entries as usize),
        })
    }

    fn arm_wake(&mut self, index: u32) -> io::Result<()> {
        let Some(fd) = self.wakes.get(index as usize) else { return Ok(()) };
        let entry = opcode::PollAdd::new(types::Fd(*fd), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(tag(OP_WAKE, index));
        // SAFETY: the operation names no memory.
        unsafe { self.push(&entry) }
    }

    fn arm_accept(&mut self, index: u32) -> io::Result<()> {
        let Some(Some(listener)) = self.listeners.get(index as usize) else { return Ok(()) };
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(tag(OP_ACCEPT, index));
        // SAFETY: the operation names no memory.
        unsafe { self.push(&entry) }
    }

    fn arm_recv(&mut self, slot: Slot) -> io::Result<()> {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return Ok(()) };
        if sock.closing || sock.receiving || sock.stopped {
            return Ok(());
        }
        sock.receiving = true;
        let entry = opcode::RecvMulti::new(types::Fd(sock.fd.as_raw_fd()), GROUP)
            .build()
            .user_data(tag(OP_RECV, slot));
        // SAFETY: the buffers are those of the group, which outlive the ring.
        unsafe { self.push(&entry) }
    }

    /// Asks for the end of an operation. Its completion follows, early or not.
    fn cancel(&mut self, op: u64, index: u32) -> io::Result<()> {
        let entry =
            opcode::AsyncCancel::new(tag(op, index)).build().user_data(tag(OP_CANCEL, index));
        // SAFETY: the operation names no memory.
        unsafe { self.push(&entry) }
    }

    fn arm_send(&mut self, slot: Slot) -> io::Result<()> {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return Ok(()) };
        let rest = &sock.sending[sock.sent..];
        let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        sock.in_send = true;
        let entry = opcode::Send::new(types::Fd(sock.fd.as_raw_fd()), rest.as_ptr(), len)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(tag(OP_SEND, slot));
        // SAFETY: `sending` is neither touched nor dropped while `in_send` is set; moving
        // the `Sock` does not move its heap buffer.
        unsafe { self.push(&entry) }
    }

    /// Queues a submission, making room if the queue is full.
    ///
    /// # Safety
    /// Memory the entry names must stay valid until its completion has been seen.
    unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: passed on to the caller.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            match self.ring.submit() {
                Ok(_) => {}
                Err(e) if is_transient(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Submits and collects without sleeping, and without a system call if there is
    /// nothing to do. Deferred completions are produced only by an enter that asks for
    /// events, hence GETEVENTS with a minimum of 0.
    fn enter_now(&mut self) -> io::Result<usize> {
        const GETEVENTS: u32 = 1;
        let queue = self.ring.submission();
        let (len, pending) = (queue.len(), queue.taskrun() || queue.cq_overflow());
        drop(queue);
        if len == 0 && !pending {
            return Ok(0);
        }
        // SAFETY: no argument is passed, and the entries were vouched for by `push`.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(len as u32, 0, GETEVENTS, None) }
    }

    fn complete(&mut self, cqe: &cqueue::Entry, sink: &mut impl FnMut(Event<'_>)) {
        let index = cqe.user_data() as u32;
        match cqe.user_data() >> 32 {
            OP_RECV => self.received(index, cqe, sink),
            OP_SEND => self.sent(index, cqe.result(), sink),
            OP_ACCEPT => self.accepted(index, cqe, sink),
            OP_WAKE => {
                if let Some(fd) = self.wakes.get(index as usize) {
                    sys::eventfd_drain(*fd);
                }
                if !cqueue::more(cqe.flags()) {
                    let _ = self.arm_wake(index);
                }
            }
            _ => {}
        }
    }

    fn received(&mut self, slot: Slot, cqe: &cqueue::Entry, sink: &mut impl FnMut(Event<'_>)) {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return };
        let more = cqueue::more(cqe.flags());
        sock.receiving = more;
        let closing = sock.closing;
        let result = cqe.result();
        if let Some(id) = cqueue::buffer_select(cqe.flags()) {
            if result > 0 && !closing {
                sink(Event::Data { slot, bytes: self.buffers.bytes(id, result as usize) });
            }
            self.buffers.give_back(id);
        }
        if more {
            return;
        }
        if closing {
            return self.try_drop(slot);
        }
        match result {
            0 => sink(Event::Eof { slot }),
            n if n > 0 => self.rearm.push(slot),
            // Cancelled to be stopped, and perhaps to go on since.
            n if matches!(-n, libc::ENOBUFS | libc::EINTR | libc::EAGAIN | libc::ECANCELED) => {
                self.rearm.push(slot);
            }
            n => sink(Event::Failed { slot, error: io::Error::from_raw_os_error(-n) }),
        }
    }

    fn sent(&mut self, slot: Slot, result: i32, sink: &mut impl FnMut(Event<'_>)) {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return };
        sock.in_send = false;
        if sock.closing {
            return self.try_drop(slot);
        }
        match usize::try_from(result) {
            Ok(bytes) => {
                sock.sent += bytes;
                let done = sock.sent >= sock.sending.len();
                if done {
                    sock.sending.clear();
                    sock.sent = 0;
                }
                sink(Event::Sent { slot, bytes, done });
                if !done && let Err(error) = self.arm_send(slot) {
                    sink(Event::Failed { slot, error });
                }
            }
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => {
                if let Err(error) = self.arm_send(slot) {
                    sink(Event::Failed { slot, error });
                }
            }
            Err(_) => sink(Event::Failed { slot, error: io::Error::from_raw_os_error(-result) }),
        }
    }

    fn accepted(&mut self, index: u32, cqe: &cqueue::Entry, sink: &mut impl FnMut(Event<'_>)) {
        let result = cqe.result();
        if result >= 0 {
            // SAFETY: the kernel has just made this descriptor for us.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            sink(Event::Accepted { listener: index, socket });
        } else if !matches!(-result, libc::ECANCELED | libc::ECONNABORTED | libc::EINTR) {
            sink(Event::AcceptFailed { error: io::Error::from_raw_os_error(-result) });
        }
        if !cqueue::more(cqe.flags()) && result != -libc::ECANCELED {
            let _ = self.arm_accept(index);
        }
    }

    /// Lets go of a closing slot when nothing of it is in flight.
    fn try_drop(&mut self, slot: Slot) {
        let entry = &mut self.socks[slot as usize];
        if entry.as_ref().is_some_and(|s| s.closing && !s.receiving && !s.in_send) {
            *entry = None;
            self.gone.push(slot);
        }
    }
}

fn is_transient(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME))
}

impl Driver for Uring {
    const NAME: &'static str = "uring";

    fn wake_on(&mut self, eventfd: RawFd) -> io::Result<()> {
        let index = self.wakes.len() as u32;
        self.wakes.push(eventfd);
        self.arm_wake(index)
    }

    fn listen(&mut self, index: u32, socket: OwnedFd) -> io::Result<()> {
        let at = index as usize;
        if self.listeners.len() <= at {
            self.listeners.resize_with(at + 1, || None);
        }
        self.listeners[at] = Some(socket);
        self.arm_accept(index)
    }

    fn unlisten(&mut self, index: u32) {
        let Some(listener) = self.listeners.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        let _ = self.cancel(OP_ACCEPT, index);
        // The kernel knows of it before the descriptor is free for another use.
        let _ = self.ring.submit();
        drop(listener);
    }

    fn stop_listening(&mut self) {
        (0..self.listeners.len() as u32).for_each(|index| self.unlisten(index));
    }

    fn add(&mut self, slot: Slot, socket: OwnedFd) -> io::Result<()> {
        let index = slot as usize;
        if self.socks.len() <= index {
            self.socks.resize_with(index + 1, || None);
        }
        self.socks[index] = Some(Sock {
            fd: socket,
            receiving: false,
            stopped: false,
            in_send: false,
            sending: Vec::new(),
            sent: 0,
            closing: false,
        });
        self.arm_recv(slot)
    }

    fn send(&mut self, slot: Slot, out: &mut Vec<u8>) -> io::Result<bool> {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else {
            out.clear();
            return Ok(true);
        };
        debug_assert!(!sock.in_send && sock.sending.is_empty(), "one send at a time");
        if out.is_empty() || sock.closing {
            out.clear();
            return Ok(true);
        }
        std::mem::swap(&mut sock.sending, out);
        sock.sent = 0;
        self.arm_send(slot)?;
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
            && !sock.in_send
        {
            sock.sending = Vec::new();
        }
    }

    fn receive(&mut self, slot: Slot, on: bool) -> io::Result<()> {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return Ok(()) };
        sock.stopped = !on;
        match (on, sock.receiving) {
            (true, _) => self.arm_recv(slot),
            (false, true) => self.cancel(OP_RECV, slot),
            (false, false) => Ok(()),
        }
    }

    fn close(&mut self, slot: Slot) {
        let Some(Some(sock)) = self.socks.get_mut(slot as usize) else { return };
        sock.closing = true;
        if sock.receiving || sock.in_send {
            // Ends the receive with 0 and the send with an error.
            sys::shutdown(&sock.fd);
        }
        self.try_drop(slot);
    }

    fn poll(&mut self, wait: Wait, sink: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        for slot in std::mem::take(&mut self.rearm) {
            self.arm_recv(slot)?;
        }
        let entered = match wait {
            Wait::Up(time) if self.gone.is_empty() => {
                let ts = types::Timespec::from(time);
                let args = types::SubmitArgs::new().timespec(&ts);
                self.ring.submitter().submit_with_args(1, &args)
            }
            _ => self.enter_now(),
        };
        match entered {
            Ok(_) => {}
            Err(e) if is_transient(&e) => {}
            Err(e) => return Err(e),
        }
        let mut completions = std::mem::take(&mut self.completions);
        loop {
            completions.extend(self.ring.completion());
            if completions.is_empty() {
                break;
            }
            for cqe in completions.drain(..) {
                self.complete(&cqe, sink);
            }
            self.buffers.publish();
        }
        self.completions = completions;
        for slot in self.gone.drain(..) {
            sink(Event::Gone { slot });
        }
        Ok(())
    }
}

/// The ring of buffers that receives pick from: `BUFFERS` entries in one page-aligned
/// block, the buffers in another. Pages are taken when the kernel first fills them.
struct BufferRing {
    entries: sys::Pages,
    data: sys::Pages,
    tail: u16,
}

impl BufferRing {
    fn new(ring: &IoUring) -> io::Result<Self> {
        let count = usize::from(BUFFERS);
        let entries = sys::Pages::new(count * size_of::<types::BufRingEntry>())?;
        let data = sys::Pages::new(count * BUFFER_BYTES)?;
        // SAFETY: `entries` is page-aligned, holds `BUFFERS` entries, and lives as long as
        // the ring: both are fields of `Uring`, and the ring is closed first.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                entries.as_ptr() as u64,
                BUFFERS,
                GROUP,
                0,
            )?;
        }
        let mut this = Self { entries, data, tail: 0 };
        for id in 0..BUFFERS {
            this.give_back(id);
        }
        this.publish();
        Ok(this)
    }

    /// The bytes that a receive has put into a buffer.
    fn bytes(&mut self, id: u16, len: usize) -> &mut [u8] {
        assert!(id < BUFFERS && len <= BUFFER_BYTES);
        // SAFETY: inside `data`; the kernel does not touch the buffer before it is given
        // back, which needs `&mut self`, as does any other view of it.
        unsafe {
            let at = self.data.as_ptr().add(usize::from(id) * BUFFER_BYTES);
            std::slice::from_raw_parts_mut(at, len)
        }
    }

    /// Puts a buffer behind the tail. The kernel sees it after [`Self::publish`].
    fn give_back(&mut self, id: u16) {
        assert!(id < BUFFERS);
        let at = usize::from(self.tail % BUFFERS);
        // SAFETY: `at` is inside `entries`, and entries behind the tail are ours. Only
        // address, length and id are written: the first entry shares its last field with
        // the ring's tail.
        unsafe {
            let entry = &mut *self.entries.as_ptr().cast::<types::BufRingEntry>().add(at);
            entry.set_addr(self.data.as_ptr().add(usize::from(id) * BUFFER_BYTES) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the buffers that were given back to the kernel.
    fn publish(&self) {
        // SAFETY: the tail lies inside `entries` and is aligned; the kernel reads it with
        // acquire semantics, so the entries written before are visible to it.
        unsafe {
            let tail = types::BufRingEntry::tail(self.entries.as_ptr().cast());
            (*tail.cast::<AtomicU16>()).store(self.tail, Ordering::Release);
        }
    }
}
