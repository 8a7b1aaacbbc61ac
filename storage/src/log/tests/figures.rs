#![allow(clippy::print_stdout)] // figures are printed
//! What appending, writing and scanning cost on a real file system.
//!
//! `cargo test --release -p moon-storage --lib figures -- --ignored --nocapture`

use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use crate::io::Disk;
use crate::io::local::LocalRuntime;
use crate::io::posix::PosixDisk;
use crate::log::{Log, LogConfig, Policy};
use crate::recovery::{RecoveredEnd, recover};
use crate::scan::{ScanOptions, Verify};

const RECORDS: u64 = 1_000_000;

fn measure(policy: Policy, len: usize, per_turn: u64, records: u64) {
    let dir = std::env::temp_dir().join(format!("moon-figures-{}", std::process::id()));
    let rt = LocalRuntime::new().expect("a runtime");
    let disk: Rc<dyn Disk> = Rc::new(PosixDisk::new());
    let cfg = LogConfig { policy, disk_free_min_pct: 0, ..LogConfig::default() };
    let (append_ns, wall_s, status) = rt.block_on(async {
        let fresh = RecoveredEnd::fresh(1);
        let log = Log::open(Rc::clone(&disk), rt.as_dyn(), dir.clone(), cfg, &fresh)
            .await
            .expect("opens");
        let payload = vec![7; len];
        let start = Instant::now();
        let mut append_ns = 0;
        for _ in 0..records / per_turn {
            let turn = Instant::now();
            for _ in 0..per_turn {
                log.append(1, 0, 0, &payload);
            }
            append_ns += turn.elapsed().as_nanos();
            log.flush();
            while log.should_pause_intake() || log.last_lsn() - log.watermark() > 4096 {
                rt.as_dyn().sleep_us(50).await;
            }
        }
        log.sync().await.expect("syncs");
        let wall_s = start.elapsed().as_secs_f64();
        let status = log.status();
        log.shutdown().await.expect("clean");
        (append_ns as f64 / records as f64, wall_s, status)
    });
    let start = Instant::now();
    let opts = ScanOptions::default();
    let end = rt.block_on(recover(&*disk, Path::new(&dir), &opts, &mut Verify)).expect("recovers");
    let scan_s = start.elapsed().as_secs_f64();
    assert_eq!(end.last_lsn, records / per_turn * per_turn + 1);
    // Record bytes, not file bytes: a preallocated segment may be mostly empty.
    let mb = (records * (len as u64 + 20)) as f64 / 1e6;
    println!(
        "{policy:?} {len} B x {per_turn}: append {append_ns:.0} ns, {:.0} records/s, {:.0} MB/s written, \
         {} batches, {} syncs, {} segments; scan {:.0} MB/s, {:.1} M records/s",
        records as f64 / wall_s,
        mb / wall_s,
        status.batches,
        status.syncs,
        status.segments,
        mb / scan_s,
        records as f64 / scan_s / 1e6,
    );
    std::fs::remove_dir_all(&dir).expect("removable");
}

#[test]
#[ignore = "a measurement"]
fn figures() {
    measure(Policy::EverySec, 40, 64, RECORDS);
    measure(Policy::EverySec, 100, 64, RECORDS);
    measure(Policy::EverySec, 1000, 16, RECORDS / 4);
    measure(Policy::No, 100, 1, RECORDS / 4);
    measure(Policy::Always, 100, 64, RECORDS / 4);
    measure(Policy::Always, 100, 1, 20_000);
}
