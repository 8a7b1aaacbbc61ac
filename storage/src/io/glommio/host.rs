//! The executor's thread: reached through a queue and an event descriptor, answering through wakers.
//!
//! A thread of its own, because glommio 0.9 sleeps through some wakes that come from another thread
//! (docs/adr/0006). Invariants:
//! * The only thing that wakes the executor from outside is the event descriptor; no task on it
//!   waits for another thread.
//! * Jobs start in the order they were given. A job whose waiting future was dropped still runs.
//! * The thread ends when the disk and all its files are dropped.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};

use glommio::io::{DmaFile, OpenOptions};

use super::event::{EventFdWait, EventSignal};
use super::{executor, io_error};
use crate::io::aligned::ALIGNMENT;
use crate::io::pool::{JobFuture, answer, lock};
use crate::io::{Access, LocalFuture};

type Job = Box<dyn FnOnce(&Rc<Files>) -> LocalFuture<'static, ()> + Send>;
type Files = RefCell<HashMap<u64, Rc<DmaFile>>>;

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    closed: bool,
}

/// The way to the executor; the last handle to go ends it.
pub(super) struct Host {
    queue: Arc<Mutex<Queue>>,
    signal: EventSignal,
    next_id: Cell<u64>,
}

impl Host {
    /// Starts the executor of one of `shards` shards.
    pub(super) fn start(shards: usize) -> io::Result<Self> {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let theirs = Arc::clone(&queue);
        let (tell, told) = mpsc::channel();
        // Not joined: the thread ends with the queue.
        executor("moon-dma", shards)?
            .spawn(move || async move {
                match EventFdWait::new() {
                    Ok(event) => {
                        if tell.send(Ok(event.signal())).is_ok() {
                            serve(&theirs, &event).await;
                        }
                    }
                    // Nobody listens any more only if the disk is gone.
                    Err(e) => drop(tell.send(Err(e))),
                }
            })
            .map_err(io_error)?;
        let ended = |_| io::Error::other("the executor did not start");
        Ok(Self { queue, signal: told.recv().map_err(ended)??, next_id: Cell::new(0) })
    }

    /// Hands a job over. The executor is woken if it may have seen an empty queue.
    fn submit(&self, job: Job) {
        let mut queue = lock(&self.queue);
        queue.jobs.push(job);
        let first = queue.jobs.len() == 1;
        drop(queue);
        if first {
            self.wake();
        }
    }

    fn wake(&self) {
        // An event descriptor refuses only a counter about to overflow, which wakes as well.
        let _ = self.signal.signal();
    }

    /// Runs an operation on an open file; the future completes on the caller's thread.
    fn on_file<T: Send + 'static, F: Future<Output = io::Result<T>> + 'static>(
        &self,
        id: u64,
        op: impl FnOnce(Rc<DmaFile>) -> F + Send + 'static,
    ) -> JobFuture<io::Result<T>> {
        let (answer, future) = answer();
        self.submit(Box::new(move |files| {
            let file = files.borrow().get(&id).cloned();
            Box::pin(async move {
                answer.give(match file {
                    Some(file) => op(file).await,
                    None => Err(io::ErrorKind::NotFound.into()),
                });
            })
        }));
        future
    }

    /// Runs something on the executor's thread.
    #[cfg(test)]
    async fn on_thread<T: Send + 'static>(&self, op: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, future) = answer();
        self.submit(Box::new(move |_| Box::pin(async move { answer.give(op()) })));
        future.await
    }

    /// Writes and reads that went through the executor's rings.
    #[cfg(test)]
    pub(super) async fn operations(&self) -> (u64, u64) {
        self.on_thread(|| {
            let stats = glommio::executor().io_stats().all_rings();
            (stats.file_writes().0, stats.file_reads().0)
        })
        .await
    }

    /// Processor time of the executor's thread.
    #[cfg(test)]
    pub(super) async fn cpu_us(&self) -> u64 {
        self.on_thread(|| {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
            let ns = text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
            ns.expect("a number") / 1000
        })
        .await
    }

    /// Opens a file that exists; [`Host::close`] gives it back.
    pub(super) async fn open(&self, path: &Path, access: Access) -> io::Result<u64> {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let path = path.to_owned();
        let (answer, future) = answer();
        self.submit(Box::new(move |files| {
            let files = Rc::clone(files);
            Box::pin(async move {
                let mut options = OpenOptions::new();
                options.read(true).write(access != Access::Read);
                let opened = options.dma_open(&path).await.map_err(io_error);
                answer.give(opened.map(|file| {
                    files.borrow_mut().insert(id, Rc::new(file));
                }));
            })
        }));
        future.await.map(|()| id)
    }

    /// Closes a file once the operations that were given before have ended.
    pub(super) fn close(&self, id: u64) {
        self.submit(Box::new(move |files| {
            let file = files.borrow_mut().remove(&id);
            Box::pin(async move { drop(file) })
        }));
    }

    pub(super) async fn read(&self, id: u64, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.on_file(id, move |file| async move {
            let mut out = Vec::new();
            loop {
                let at = offset + out.len() as u64;
                let left = (len - out.len()).next_multiple_of(ALIGNMENT);
                let got = file.read_at_aligned(at, left).await.map_err(io_error)?;
                out.extend_from_slice(&got);
                // A read that ends off the alignment has met the end of the file.
                if out.len() >= len || got.is_empty() || !got.len().is_multiple_of(ALIGNMENT) {
                    out.truncate(len);
                    return Ok(out);
                }
            }
        })
        .await
    }

    pub(super) async fn write(&self, id: u64, offset: u64, bytes: Vec<u8>) -> io::Result<usize> {
        self.on_file(id, move |file| async move {
            let mut buf = file.alloc_dma_buffer(bytes.len());
            buf.as_bytes_mut().copy_from_slice(&bytes);
            file.write_at(buf, offset).await.map_err(io_error)
        })
        .await
    }

    pub(super) async fn sync(&self, id: u64) -> io::Result<()> {
        self.on_file(id, |file| async move { file.fdatasync().await.map_err(io_error) }).await
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        lock(&self.queue).closed = true;
        self.wake();
    }
}

/// The executor's main task.
async fn serve(queue: &Mutex<Queue>, event: &EventFdWait) {
    let files = Rc::new(Files::default());
    loop {
        let (jobs, closed) = {
            let mut queue = lock(queue);
            (std::mem::take(&mut queue.jobs), queue.closed)
        };
        for job in jobs {
            glommio::spawn_local(job(&files)).detach();
        }
        if closed {
            return;
        }
        if let Err(error) = event.wait().await {
            panic!("the dma thread cannot wait for work: {error}");
        }
    }
}
