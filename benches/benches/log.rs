//! The log's hot path on a real file system, in the directory for temporary files: a turn of 64 records appended and
//! written under `everysec`, a group committed under `always`.
//!
//! Figures of a turn; divide by 64 for a record.

use std::path::PathBuf;
use std::rc::Rc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::posix::PosixDisk;
use moon_storage::log::{Log, LogConfig, Policy};
use moon_storage::recovery::RecoveredEnd;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const RECORDS: u64 = 64;

/// A fresh log in a directory of its own.
fn open(rt: &LocalRuntime, policy: Policy) -> (Log, PathBuf) {
    let dir =
        std::env::temp_dir().join(format!("moon-bench-log-{}-{policy:?}", std::process::id()));
    let cfg = LogConfig { policy, disk_free_min_pct: 0, ..LogConfig::default() };
    let fresh = RecoveredEnd::fresh(1);
    let opened = Log::open(Rc::new(PosixDisk::new()), rt.as_dyn(), dir.clone(), cfg, &fresh);
    (rt.block_on(opened).expect("opens"), dir)
}

fn turns(c: &mut Criterion) {
    let rt = LocalRuntime::new().expect("a runtime");
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(RECORDS));
    for policy in [Policy::EverySec, Policy::Always] {
        let (log, dir) = open(&rt, policy);
        let payload = [7; 100];
        group.bench_function(format!("{policy:?}: 64 records of 100 bytes"), |b| {
            b.iter(|| {
                for _ in 0..RECORDS {
                    log.append(1, 0, 0, &payload);
                }
                log.flush();
                rt.run_ready();
                // What the policy lets a reply wait for, and no more in flight than a server lets in.
                while log.watermark() < log.last_lsn() || log.should_pause_intake() {
                    rt.block_on(log.sync()).expect("syncs");
                }
            });
        });
        rt.block_on(log.shutdown()).expect("clean");
        std::fs::remove_dir_all(&dir).expect("removable");
    }
    group.finish();
}

criterion_group!(benches, turns);
criterion_main!(benches);
