//! The few system calls the standard library lacks, each behind a safe function.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::Space;

fn check(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// A counter that wakes pollers, closed on exec. io_uring waits only for a blocking one; on a
/// non-blocking one its reads fail at once.
pub(crate) fn eventfd(blocking: bool) -> io::Result<OwnedFd> {
    let flags = libc::EFD_CLOEXEC | if blocking { 0 } else { libc::EFD_NONBLOCK };
    // SAFETY: no pointers; the result is checked before it is owned.
    let fd = check(unsafe { libc::eventfd(0, flags) })?;
    // SAFETY: `fd` was just created and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until `fd` is readable or the time is over; true if readable.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let mut p = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let ts = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs().min(i64::MAX as u64) as libc::time_t,
        tv_nsec: t.subsec_nanos().into(),
    });
    let ts = ts.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `p` and `ts` live over the call, and one pollfd is announced.
    match check(unsafe { libc::ppoll(&raw mut p, 1, ts, std::ptr::null()) }) {
        Ok(n) => Ok(n > 0),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(e) => Err(e),
    }
}

/// Switches a descriptor to `O_DIRECT`; false if the file system refuses.
pub(crate) fn set_direct(file: &File) -> io::Result<bool> {
    let fd = file.as_raw_fd();
    // SAFETY: F_GETFL and F_SETFL take no pointers, and the descriptor is open.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: as above.
    match check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_DIRECT) }) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Reserves blocks, which may stay unwritten. A file system that cannot is not an error.
pub(crate) fn reserve(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let bad = |_| io::Error::from_raw_os_error(libc::EFBIG);
    let offset = libc::off_t::try_from(offset).map_err(bad)?;
    let len = libc::off_t::try_from(len).map_err(bad)?;
    // SAFETY: no pointers, and the descriptor is open.
    match check(unsafe { libc::fallocate(file.as_raw_fd(), 0, offset, len) }) {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Room on the file system that holds `path`.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut s = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends in NUL and `s` has room for the structure.
    check(unsafe { libc::statvfs(path.as_ptr(), s.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it filled the structure.
    let s = unsafe { s.assume_init() };
    if s.f_blocks == 0 {
        // A file system without a size of its own, such as ramfs.
        return Ok(Space { free: u64::MAX, total: u64::MAX });
    }
    Ok(Space {
        free: s.f_bavail.saturating_mul(s.f_frsize),
        total: s.f_blocks.saturating_mul(s.f_frsize),
    })
}

/// The process may pin this many bytes of memory; `u64::MAX` without a limit.
pub(crate) fn memlock_limit() -> io::Result<u64> {
    let mut l = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `l` has room for the structure.
    check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut l) })?;
    Ok(l.rlim_cur)
}

/// Asks the kernel for a small ring and gives it back at once.
pub(crate) fn try_io_uring() -> io::Result<()> {
    // struct io_uring_params: 120 bytes, all zero for a ring without flags.
    let mut params = [0u32; 30];
    // SAFETY: `params` has the size and alignment of the structure and lives over the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4u32, params.as_mut_ptr()) };
    let fd = check(fd as libc::c_int)?;
    // SAFETY: `fd` was just created and nobody else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}

/// Sends this process a signal; for SIGKILL it does not return.
#[cfg(feature = "failpoints")]
pub(crate) fn raise(signal: libc::c_int) {
    // SAFETY: neither call takes pointers.
    let _ = unsafe { libc::kill(libc::getpid(), signal) };
}
