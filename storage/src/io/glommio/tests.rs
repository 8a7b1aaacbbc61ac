//! The `dma` driver on real files. Where io_uring is denied the tests say so and check the reason instead.

use std::cell::Cell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use glommio::Placement;

use super::*;
use crate::io::conformance::{self, TempDir};
use crate::io::{Access, Caching, Disk};

/// Why io_uring may be missing without any fault of the driver.
fn excused(reason: &Reason) -> bool {
    matches!(reason, Reason::Missing | Reason::Denied | Reason::Memlock { .. })
}

/// How long a test may take before its thread is nudged.
const PATIENCE: Duration = Duration::from_secs(10);

extern "C" fn nothing(_: libc::c_int) {}

/// Sends a thread a signal that does nothing, which ends a system call it sleeps in.
#[allow(unsafe_code, reason = "signals have no safe interface in std")]
fn nudge(tid: libc::pid_t) {
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: the handler does nothing, so it may run anywhere; a thread that has ended makes
    // tgkill fail, which is fine.
    unsafe {
        libc::signal(libc::SIGUSR2, handler as libc::sighandler_t);
        libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, libc::SIGUSR2);
    }
}

/// Runs a test inside an executor, unless this host has no io_uring. glommio 0.9 now and then
/// sleeps through its own timers and completions until a signal comes (docs/adr/0005): a test
/// that takes too long is nudged, so that it judges the driver and not that.
fn in_executor<F: Future<Output = ()> + 'static>(f: impl FnOnce() -> F + Send + 'static) {
    if let Err(reason) = probe(&std::env::temp_dir()) {
        assert!(excused(&reason), "{reason}");
        return;
    }
    let (tell, told) = std::sync::mpsc::channel();
    let handle = executor(Placement::Unbound, "test", 8)
        .expect("settings")
        .spawn(move || {
            #[allow(unsafe_code, reason = "std does not tell a thread's kernel id")]
            // SAFETY: gettid has no arguments and cannot fail.
            let tid = unsafe { libc::gettid() };
            tell.send(tid).expect("somebody listens");
            let test = f();
            async move {
                test.await;
                // Dropping the sender tells that the test has ended.
                drop(tell);
            }
        })
        .expect("executor");
    if let Ok(tid) = told.recv() {
        let mut wait = PATIENCE;
        while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = told.recv_timeout(wait) {
            nudge(tid);
            wait = Duration::from_secs(1);
        }
    }
    handle.join().expect("test body");
}

#[test]
fn conformance_suite() {
    let dir = TempDir::new("dma");
    let path = dir.path().to_owned();
    in_executor(move || async move {
        let rt = GlommioRuntime::new("storage", 1000);
        conformance::run(Rc::new(DmaDisk::new()), rt.as_dyn(), &path).await;
    });
}

#[test]
fn conformance_suite_in_memory() {
    let Some(dir) = TempDir::in_memory("dma") else {
        return;
    };
    let path = dir.path().to_owned();
    in_executor(move || async move {
        let rt = GlommioRuntime::new("storage", 1000);
        conformance::run(Rc::new(DmaDisk::new()), rt.as_dyn(), &path).await;
    });
}

/// Goal: the polling trap. Method: the first direct open of a thread is an empty file opened for
/// reading and writing; what is written afterwards must be readable, and no file may be left.
#[test]
fn an_empty_first_file_does_not_break_later_reads() {
    let dir = TempDir::new("dma-empty");
    let path = dir.path().to_owned();
    in_executor(move || async move {
        let disk = DmaDisk::new();
        std::fs::write(path.join("empty"), b"").expect("create");
        let f =
            disk.open(&path.join("empty"), Access::ReadWrite, Caching::Direct).await.expect("open");
        f.write_at(0, &[9; 8192]).await.expect("write");
        assert_eq!(f.read_at(0, 8192).await.expect("read"), [9; 8192]);
        let names = disk.list(&path).await.expect("list");
        assert_eq!(names.len(), 1, "{names:?}");
    });
}

#[test]
fn probing_says_what_works() {
    let dir = TempDir::new("probe");
    let found = probe(dir.path());
    assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 0);
    match found {
        Ok(caps) => {
            assert!(caps.memlock >= MEMLOCK_MIN);
            let reason = probe(Path::new("/no/such/dir")).expect_err("no directory");
            assert!(reason.to_string().contains("/no/such/dir"), "{reason}");
        }
        Err(reason) => assert!(excused(&reason), "{reason}"),
    }
}

/// Goal: the suite above tests the ring and not the way around it.
#[test]
fn direct_files_use_the_ring() {
    let dir = TempDir::new("dma-ring");
    let path = dir.path().to_owned();
    let Ok(Caps { direct_io: true, .. }) = probe(&path) else {
        return;
    };
    in_executor(move || async move {
        let disk = DmaDisk::new();
        let f =
            disk.open(&path.join("f"), Access::CreateNew, Caching::Direct).await.expect("create");
        let before = ex().io_stats().all_rings();
        for i in 0..10 {
            f.write_at(i * 4096, &[1; 4096]).await.expect("write");
        }
        assert_eq!(f.read_at(0, 40960).await.expect("read"), [1; 40960]);
        let after = ex().io_stats().all_rings();
        assert_eq!(after.file_writes().0 - before.file_writes().0, 10);
        assert_eq!(after.file_reads().0 - before.file_reads().0, 1);
    });
}

#[test]
fn sizing_keeps_below_the_limit() {
    let eight = 8 << 20;
    for shards in [1, 2, 4, 8, 16, 40] {
        let s = Sizing::of(eight, shards);
        assert!(s.fits && s.io_memory as u64 * 3 * shards as u64 <= eight);
    }
    assert_eq!(Sizing::of(u64::MAX, 2).io_memory, 10 << 20);
    assert!(!Sizing::of(eight, 64).fits);
}

#[test]
fn another_thread_wakes_a_parked_executor() {
    in_executor(|| async {
        let event = EventFdWait::new().expect("eventfd");
        for round in 1..=20u64 {
            let signal = event.signal();
            let t = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(2));
                let sent = Instant::now();
                for _ in 0..round {
                    signal.signal().expect("signal");
                }
                sent
            });
            let mut count = 0;
            while count < round {
                count += event.wait().await.expect("wait");
            }
            let woken = Instant::now();
            let sent = t.join().expect("thread");
            assert_eq!(count, round);
            assert!(woken - sent < Duration::from_secs(1));
        }
    });
}

/// Goal: the hosting of the server's socket ring. Method: a second ring on the executor's thread, in the
/// mode the server uses, signals the event descriptor when an operation that another thread finishes is done.
#[test]
#[expect(unsafe_code)]
fn a_second_ring_on_the_same_thread_wakes_the_executor() {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    in_executor(|| async {
        let event = EventFdWait::new().expect("eventfd");
        // Old kernels lack this mode; the server falls back there too.
        let Ok(mut ring): std::io::Result<io_uring::IoUring> = io_uring::IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(8)
        else {
            return;
        };
        let signal = event.signal();
        ring.submitter().register_eventfd(signal.fd().as_raw_fd()).expect("register");
        let (reader, mut writer) = std::io::pipe().expect("pipe");
        let mut byte = [0u8; 1];
        for round in 1..=10u8 {
            let fd = io_uring::types::Fd(reader.as_raw_fd());
            let read = io_uring::opcode::Read::new(fd, byte.as_mut_ptr(), 1).build();
            // SAFETY: `byte` and `reader` outlive the operation: each round waits for its completion.
            unsafe { ring.submission().push(&read) }.expect("room");
            ring.submit().expect("submit");
            let t = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(2));
                writer.write_all(&[round]).expect("pipe");
                writer
            });
            loop {
                event.wait().await.expect("wait");
                // Under DEFER_TASKRUN completions appear only to an enter that asks for them; this call asks
                // when the flag of the ring's set-up (TASKRUN_FLAG) says there is something.
                ring.submitter().submit_and_wait(0).expect("enter");
                if let Some(c) = ring.completion().next() {
                    assert_eq!(c.result(), 1);
                    break;
                }
            }
            // SAFETY: `byte` is a live local; the read is volatile because the kernel wrote it.
            assert_eq!(unsafe { std::ptr::read_volatile(&raw const byte[0]) }, round);
            writer = t.join().expect("thread");
        }
    });
}

/// A pending wait must not keep the thread busy, and must not hold up timers and file I/O.
#[test]
fn an_idle_executor_sleeps_and_still_works() {
    let dir = TempDir::new("dma-idle");
    let path = dir.path().to_owned();
    in_executor(move || async move {
        let rt = GlommioRuntime::new("storage", 1000);
        let event = Rc::new(EventFdWait::new().expect("eventfd"));
        let (e, woken) = (Rc::clone(&event), Rc::new(Cell::new(0)));
        let w = Rc::clone(&woken);
        rt.spawn(Box::pin(async move {
            loop {
                w.set(w.get() + e.wait().await.expect("wait"));
            }
        }));
        let cpu = thread_cpu_us();
        rt.sleep_us(300_000).await;
        let used = thread_cpu_us() - cpu;
        assert!(used < 60_000, "{used} us of processor time in 300 ms idle");
        let disk = DmaDisk::new();
        let f =
            disk.open(&path.join("f"), Access::CreateNew, Caching::Direct).await.expect("create");
        f.write_at(0, &[1; 4096]).await.expect("write");
        f.sync().await.expect("sync");
        assert_eq!(woken.get(), 0);
        event.signal().signal().expect("signal");
        for _ in 0..1000 {
            if woken.get() == 1 {
                return;
            }
            rt.sleep_us(1000).await;
        }
        panic!("never woken");
    });
}

fn thread_cpu_us() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let ns = text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
    ns.expect("a number") / 1000
}
