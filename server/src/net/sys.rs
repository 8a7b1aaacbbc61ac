//! System calls that the standard library lacks, each behind a safe function.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

fn check(n: c_int) -> io::Result<c_int> {
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n) }
}

/// Takes a descriptor that a system call has just returned.
fn own(fd: c_int) -> io::Result<OwnedFd> {
    let fd = check(fd)?;
    // SAFETY: `fd` is fresh from the kernel and nobody else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_int(fd: &OwnedFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<c_int>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Calls `f` with an address as the kernel has it: pointer and length, good during the call.
fn with_address(
    addr: SocketAddr,
    f: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> c_int,
) -> io::Result<c_int> {
    check(match addr {
        SocketAddr::V4(a) => {
            let sin = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: a.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*a.ip()).to_be() },
                sin_zero: [0; 8],
            };
            f((&raw const sin).cast(), mem::size_of_val(&sin) as libc::socklen_t)
        }
        SocketAddr::V6(a) => {
            let sin6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: a.port().to_be(),
                sin6_flowinfo: a.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: a.ip().octets() },
                sin6_scope_id: a.scope_id(),
            };
            f((&raw const sin6).cast(), mem::size_of_val(&sin6) as libc::socklen_t)
        }
    })
}

/// Connects from an address of this machine.
pub(crate) fn connect_from(
    from: IpAddr,
    to: SocketAddr,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let domain = if to.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: no pointers.
    let fd = own(unsafe { libc::socket(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    let stream = TcpStream::from(fd);
    // It bounds `connect` too (socket(7)).
    stream.set_write_timeout(Some(timeout))?;
    let fd = stream.as_raw_fd();
    // SAFETY: the pointer and length describe an address.
    with_address(SocketAddr::new(from, 0), |at, len| unsafe { libc::bind(fd, at, len) })?;
    // SAFETY: the pointer and length describe an address.
    let connected = with_address(to, |at, len| unsafe { libc::connect(fd, at, len) });
    connected.map_err(|e| match e.raw_os_error() {
        Some(libc::EINPROGRESS) => io::ErrorKind::TimedOut.into(),
        _ => e,
    })?;
    Ok(stream)
}

/// A non-blocking listening TCP socket. IPv6 sockets take IPv6 only, so that `*` and `::`
/// can stand side by side.
pub(crate) fn tcp_listener(addr: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let domain = if addr.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let fd = own(unsafe { libc::socket(domain, kind, 0) })?;
    set_int(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if addr.is_ipv6() {
        set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    // SAFETY: the pointer and length describe an address.
    with_address(addr, |at, len| unsafe { libc::bind(fd.as_raw_fd(), at, len) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(fd)
}

/// Sets the accept queue length of a socket that already listens.
pub(crate) fn set_backlog(fd: &OwnedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
}

/// Probes the peer of an idle connection every `secs` seconds, gives up after three probes.
pub(crate) fn set_keepalive(fd: &OwnedFd, secs: i32) -> io::Result<()> {
    set_int(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, secs)?;
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (secs / 3).max(1))?;
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)
}

/// Accepts one connection, non-blocking.
pub(crate) fn accept(fd: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let null = std::ptr::null_mut();
    // SAFETY: null addresses are allowed.
    own(unsafe { libc::accept4(fd.as_raw_fd(), null, std::ptr::null_mut(), flags) })
}

/// Receives into `buf`.
pub(crate) fn recv(fd: &OwnedFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length describe `buf`.
    let n = unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Sends from `buf`; a closed peer is an error, never a signal.
pub(crate) fn send(fd: &OwnedFd, buf: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and length describe `buf`.
    let n = unsafe { libc::send(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Ends both directions of a connection.
pub(crate) fn shutdown(fd: &OwnedFd) {
    // SAFETY: no pointers. Failure means that the peer was faster.
    let _ = unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) };
}

/// A non-blocking eventfd.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    own(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })
}

/// An epoll instance.
pub(crate) fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// Adds (`new`) or changes the interest in a descriptor.
pub(crate) fn epoll_set(
    ep: &OwnedFd,
    fd: RawFd,
    events: u32,
    data: u64,
    new: bool,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    let op = if new { libc::EPOLL_CTL_ADD } else { libc::EPOLL_CTL_MOD };
    // SAFETY: `event` outlives the call.
    check(unsafe { libc::epoll_ctl(ep.as_raw_fd(), op, fd, &raw mut event) }).map(drop)
}

/// An event of [`epoll_wait`].
pub(crate) type EpollEvent = libc::epoll_event;

/// Waits for events; `None` waits for ever. Fills `events` to its capacity at most.
pub(crate) fn epoll_wait(
    ep: &OwnedFd,
    events: &mut Vec<EpollEvent>,
    wait: Duration,
) -> io::Result<()> {
    events.clear();
    // Whole milliseconds, rounded up: rounding down would spin until the deadline.
    let ms = c_int::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX);
    let room = c_int::try_from(events.capacity()).unwrap_or(c_int::MAX);
    // SAFETY: the pointer has room for `room` events.
    let n = unsafe { libc::epoll_wait(ep.as_raw_fd(), events.as_mut_ptr(), room, ms) };
    match usize::try_from(n) {
        // SAFETY: the kernel has filled `n` events.
        Ok(n) => unsafe { events.set_len(n) },
        Err(_) => {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Adds one to an eventfd, which wakes its poller.
pub(crate) fn eventfd_wake(fd: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the pointer and length describe `one`. A full counter already wakes.
    let _ = unsafe { libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Takes the count of an eventfd.
pub(crate) fn eventfd_drain(fd: RawFd) {
    let mut count = [0u8; 8];
    // SAFETY: the pointer and length describe `count`. An empty counter is fine.
    let _ = unsafe { libc::read(fd, count.as_mut_ptr().cast(), count.len()) };
}

/// Memory of whole pages, zeroed, private to the process.
pub(crate) struct Pages {
    at: *mut u8,
    len: usize,
}

impl Pages {
    /// Maps `len` bytes. Pages take memory when they are first written.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { at: at.cast(), len })
    }

    /// Start of the mapping.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.at
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, unmapped once.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

/// The signals that stop the server.
pub(crate) const STOP_SIGNALS: [c_int; 2] = [libc::SIGTERM, INTERRUPT];
/// That of a terminal.
pub(crate) const INTERRUPT: c_int = libc::SIGINT;

/// The signal that has files opened again.
pub(crate) const RELOAD_SIGNAL: c_int = libc::SIGHUP;

/// The signal that has the state written to the log.
pub(crate) const DUMP_SIGNAL: c_int = libc::SIGUSR1;

/// The signal of [`wake_main`]: one that nobody else has a use for.
const WAKE_SIGNAL: c_int = libc::SIGALRM;

/// The signals the main thread waits for.
const WAITED: [c_int; 5] = [libc::SIGTERM, libc::SIGINT, RELOAD_SIGNAL, DUMP_SIGNAL, WAKE_SIGNAL];

/// Ends a [`wait_signal`] of the main thread.
pub(crate) fn wake_main() {
    // SAFETY: no pointers; the signal is blocked in every thread and waited for in one.
    let _ = unsafe { libc::kill(libc::getpid(), WAKE_SIGNAL) };
}

/// Blocks the waited-for signals in this thread and those it starts, and ignores SIGPIPE and
/// SIGUSR2. Call before any other thread exists.
pub(crate) fn block_signals() -> io::Result<()> {
    // SAFETY: `set` is initialised by sigemptyset before use; ignoring a signal installs
    // no handler.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in WAITED {
            libc::sigaddset(&raw mut set, signal);
        }
        check(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGUSR2, libc::SIG_IGN);
    }
    Ok(())
}

/// Waits for a signal, at most so long.
pub(crate) fn wait_signal(up_to: Duration) -> Option<c_int> {
    let ts = libc::timespec {
        tv_sec: libc::time_t::try_from(up_to.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: up_to.subsec_nanos().into(),
    };
    // SAFETY: `set` is initialised by sigemptyset before use; a null info is allowed.
    let signal = unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in WAITED {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const ts)
    };
    (signal > 0).then_some(signal)
}

/// Raises the limit of open files to `want`, as far as allowed; returns the limit in force.
pub(crate) fn raise_nofile(want: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        if limit.rlim_cur < want {
            let grown = libc::rlimit { rlim_cur: want, rlim_max: limit.rlim_max.max(want) };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const grown) != 0 {
                let capped = libc::rlimit { rlim_cur: want.min(limit.rlim_max), ..limit };
                check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const capped))?;
            }
            check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        }
    }
    Ok(limit.rlim_cur)
}

/// CPU time of the process: user and system, in microseconds, for itself and for children.
pub(crate) fn cpu_times(children: bool) -> (u64, u64) {
    let who = if children { libc::RUSAGE_CHILDREN } else { libc::RUSAGE_SELF };
    let us = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    // SAFETY: an all-zero rusage is valid, and it outlives the call.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        libc::getrusage(who, &raw mut usage);
        usage
    };
    (us(usage.ru_utime), us(usage.ru_stime))
}

/// Effective user id.
pub(crate) fn euid() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}

/// Ends the process at once, without destructors.
pub(crate) fn exit_now(code: c_int) -> ! {
    // SAFETY: never returns.
    unsafe { libc::_exit(code) }
}

/// A cheap clock that only counts up; its unit is measured, not known.
#[inline]
#[cfg(target_arch = "x86_64")]
pub(crate) fn ticks() -> u64 {
    // SAFETY: reads a counter; every x86-64 processor has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// A cheap clock that only counts up; its unit is measured, not known.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn ticks() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Bytes of a memory page.
pub(crate) fn page_size() -> usize {
    // SAFETY: no pointers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Whether a failed allocation, or any other abort, ends the process with exit code 70 and without
/// a signal: while nothing has been served, there is nothing to find in a core file.
pub(crate) fn exit_on_abort(yes: bool) {
    extern "C" fn end(_: c_int) {
        const TEXT: &[u8] =
            b"moon: out of memory while the data are loaded; nothing on the disk has \
            changed: start again with more memory\n";
        // SAFETY: both calls may be made in a signal handler; the pointer and length are TEXT's.
        unsafe {
            libc::write(2, TEXT.as_ptr().cast(), TEXT.len());
            libc::_exit(70);
        }
    }
    let handler = if yes { end as *const () as libc::sighandler_t } else { libc::SIG_DFL };
    // SAFETY: `end` calls nothing that a signal handler may not.
    unsafe { libc::signal(libc::SIGABRT, handler) };
}
