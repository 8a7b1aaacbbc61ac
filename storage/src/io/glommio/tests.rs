//! The `dma` driver on real files. Where io_uring is denied the tests say so and check the reason instead.

use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::io::conformance::{self, TempDir};
use crate::io::local::LocalRuntime;
use crate::io::{Access, Caching, Disk, Runtime};

/// Why io_uring may be missing without any fault of the driver.
fn excused(reason: &Reason) -> bool {
    matches!(reason, Reason::Missing | Reason::Denied | Reason::Memlock { .. })
}

/// A disk and a runtime for it, unless this host has no io_uring.
fn start() -> Option<(DmaDisk, LocalRuntime)> {
    if let Err(reason) = probe(&std::env::temp_dir()) {
        assert!(excused(&reason), "{reason}");
        return None;
    }
    let rt = LocalRuntime::new().expect("runtime");
    Some((DmaDisk::start(1).expect("executor"), rt))
}

#[test]
fn conformance_suite() {
    let Some((disk, rt)) = start() else { return };
    let dir = TempDir::new("dma");
    rt.block_on(conformance::run(Rc::new(disk), rt.as_dyn(), dir.path()));
}

#[test]
fn conformance_suite_in_memory() {
    let Some((disk, rt)) = start() else { return };
    let Some(dir) = TempDir::in_memory("dma") else {
        return;
    };
    rt.block_on(conformance::run(Rc::new(disk), rt.as_dyn(), dir.path()));
}

/// Goal: the polling trap. Method: the first direct open of a thread is an empty file opened for
/// reading and writing; what is written afterwards must be readable, and no file may be left.
#[test]
fn an_empty_first_file_does_not_break_later_reads() {
    let Some((disk, rt)) = start() else { return };
    let dir = TempDir::new("dma-empty");
    let path = dir.path().join("empty");
    std::fs::write(&path, b"").expect("create");
    rt.block_on(async {
        let f = disk.open(&path, Access::ReadWrite, Caching::Direct).await.expect("open");
        f.write_at(0, &[9; 8192]).await.expect("write");
        assert_eq!(f.read_at(0, 8192).await.expect("read"), [9; 8192]);
        let names = disk.list(dir.path()).await.expect("list");
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

/// Goal: the suite above tests the ring and not the way around it. Method: glommio
/// counts what goes through its rings.
#[test]
fn direct_files_use_the_ring() {
    let dir = TempDir::new("dma-ring");
    let Ok(Caps { direct_io: true, .. }) = probe(dir.path()) else {
        return;
    };
    let Some((disk, rt)) = start() else { return };
    rt.block_on(async {
        let path = dir.path().join("f");
        let f = disk.open(&path, Access::CreateNew, Caching::Direct).await.expect("create");
        let before = disk.host().operations().await;
        for i in 0..10 {
            f.write_at(i * 4096, &[1; 4096]).await.expect("write");
        }
        assert_eq!(f.read_at(0, 40960).await.expect("read"), [1; 40960]);
        let after = disk.host().operations().await;
        assert_eq!(after.0 - before.0, 10);
        // The executor waits for its event descriptor with a read, too.
        assert!(after.1 > before.1);
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

/// Goal: no wake is slept through. Method: many short sleeps of both threads, each ended by the
/// other, with file calls of the pool in between; a lost wake hangs the test.
#[test]
fn no_wake_is_lost() {
    let Some((disk, rt)) = start() else { return };
    let dir = TempDir::new("dma-wakes");
    rt.block_on(async {
        for i in 0..200u64 {
            let path = dir.path().join(i.to_string());
            let f = disk.open(&path, Access::CreateNew, Caching::Direct).await.expect("create");
            f.write_at(0, &[i as u8; 4096]).await.expect("write");
            if i % 3 == 0 {
                rt.sleep_us(500).await;
            }
            assert_eq!(f.read_at(0, 4096).await.expect("read"), [i as u8; 4096]);
        }
    });
}

/// A pending wait must not keep the executor's thread busy.
#[test]
fn an_idle_executor_sleeps() {
    let Some((disk, rt)) = start() else { return };
    rt.block_on(async {
        let before = disk.host().cpu_us().await;
        rt.sleep_us(300_000).await;
        let used = disk.host().cpu_us().await - before;
        assert!(used < 60_000, "{used} us of processor time in 300 ms idle");
    });
}
