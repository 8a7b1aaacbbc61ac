//! Waiting for an event descriptor inside a glommio executor.
//!
//! glommio offers no such wait, but its buffered file takes any descriptor, and a read of an event
//! descriptor through the ring stays pending until the counter is not zero. So another thread can wake a parked
//! executor, at the cost of one ring read a wake.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File as StdFile;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::sync::Arc;

use glommio::io::BufferedFile;

use super::io_error;
use crate::io::sys;

/// Adds to the counter of an [`EventFdWait`], from any thread.
#[derive(Clone)]
pub(super) struct EventSignal(Arc<StdFile>);

impl fmt::Debug for EventSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSignal")
    }
}

impl EventSignal {
    /// Wakes the waiter, now or at its next wait.
    pub(super) fn signal(&self) -> io::Result<()> {
        (&*self.0).write_all(&1u64.to_ne_bytes())
    }
}

/// The waiting end of an event descriptor. Lives on the thread that made it, inside the executor.
///
/// Dropping a [`EventFdWait::wait`] that has been polled may lose the count it was about to return, so
/// keep one wait alive in a loop of its own.
pub(super) struct EventFdWait {
    file: BufferedFile,
    signal: EventSignal,
}

impl fmt::Debug for EventFdWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventFdWait")
    }
}

impl EventFdWait {
    /// A fresh descriptor with counter 0. Call inside an executor.
    pub(super) fn new() -> io::Result<Self> {
        let fd = sys::eventfd(true)?;
        let own = fd.try_clone()?;
        // SAFETY: `own` is a descriptor of our own, given up here; the file is its only owner and closes it.
        let file = unsafe { BufferedFile::from_raw_fd(own.into_raw_fd()) };
        Ok(Self { file, signal: EventSignal(Arc::new(fd.into())) })
    }

    /// The signalling end.
    pub(super) fn signal(&self) -> EventSignal {
        self.signal.clone()
    }

    /// Waits until the counter is not zero, takes it and sets it to zero.
    pub(super) async fn wait(&self) -> io::Result<u64> {
        let got = self.file.read_at(0, 8).await.map_err(io_error)?;
        match <[u8; 8]>::try_from(&*got) {
            Ok(count) => Ok(u64::from_ne_bytes(count)),
            Err(_) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }
}
