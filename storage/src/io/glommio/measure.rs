//! Latency of the real drivers on the directory for temporary files. Run by hand:
//! `cargo test -p moon-storage measure -- --ignored --nocapture --test-threads 1`.
#![expect(clippy::print_stdout)]

use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use super::DmaDisk;
use crate::io::conformance::TempDir;
use crate::io::local::LocalRuntime;
use crate::io::posix::PosixDisk;
use crate::io::{Access, Caching, Disk};

const SEGMENT_BYTES: u64 = 64 << 20;
const COMMITS: u64 = 2000;

fn report(what: &str, mut us: Vec<f64>) {
    us.sort_by(f64::total_cmp);
    let at = |q: f64| us[((us.len() - 1) as f64 * q) as usize];
    println!(
        "{what}: p50 {:.1} us, p90 {:.1}, p99 {:.1}, max {:.1} ({} samples)",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        us.len()
    );
}

/// A group commit: one 4 KiB block written, then synced, each at the next offset.
async fn group_commit(disk: Rc<dyn Disk>, dir: &Path) {
    for preallocate in [true, false] {
        let path = dir.join(format!("log-{preallocate}"));
        let f = disk.open(&path, Access::CreateNew, Caching::Direct).await.expect("create");
        if preallocate {
            let t = Instant::now();
            f.preallocate(SEGMENT_BYTES).await.expect("preallocate");
            f.sync().await.expect("sync");
            disk.sync_dir(dir).await.expect("sync_dir");
            let mib = SEGMENT_BYTES as f64 / 1048576.0;
            let rate = mib / t.elapsed().as_secs_f64();
            println!("{}: preallocation of {mib} MiB at {rate:.0} MiB/s", disk.driver());
        }
        let block = vec![7; 4096];
        let (mut both, mut writes) = (Vec::new(), Vec::new());
        for i in 0..if preallocate { COMMITS } else { COMMITS / 4 } {
            let t = Instant::now();
            f.write_at(i * 4096, &block).await.expect("write");
            writes.push(t.elapsed().as_secs_f64() * 1e6);
            f.sync().await.expect("sync");
            both.push(t.elapsed().as_secs_f64() * 1e6);
        }
        let kind = if preallocate { "preallocated" } else { "growing" };
        report(&format!("{} {kind} write", disk.driver()), writes);
        report(&format!("{} {kind} write + sync", disk.driver()), both);
    }
}

async fn cached_writes(disk: Rc<dyn Disk>, dir: &Path) {
    let f =
        disk.open(&dir.join("cached"), Access::CreateNew, Caching::Cached).await.expect("create");
    f.preallocate(SEGMENT_BYTES).await.expect("preallocate");
    f.sync().await.expect("sync");
    for len in [64usize, 512, 4096, 65536] {
        let bytes = vec![7; len];
        let n = (SEGMENT_BYTES / len as u64).min(20_000);
        let t = Instant::now();
        for i in 0..n {
            f.write_now(i * len as u64, &bytes).expect("cached").expect("write");
        }
        let us = t.elapsed().as_secs_f64() * 1e6 / n as f64;
        println!("{}: write_now of {len} bytes: {us:.2} us", disk.driver());
    }
}

#[test]
#[ignore = "a measurement"]
fn measure_posix() {
    let dir = TempDir::new("measure-posix");
    let rt = LocalRuntime::new().expect("runtime");
    let disk: Rc<dyn Disk> = Rc::new(PosixDisk::new());
    rt.block_on(group_commit(Rc::clone(&disk), dir.path()));
    rt.block_on(cached_writes(disk, dir.path()));
}

#[test]
#[ignore = "a measurement"]
fn measure_dma() {
    let dir = TempDir::new("measure-dma");
    let rt = LocalRuntime::new().expect("runtime");
    let disk: Rc<dyn Disk> = Rc::new(DmaDisk::start(1).expect("executor"));
    rt.block_on(group_commit(disk, dir.path()));
}
