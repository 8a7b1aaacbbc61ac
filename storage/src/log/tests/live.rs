//! A log that nothing disturbs.

use std::cell::Cell;
use std::rc::Rc;

use super::rig::*;
use crate::io::Runtime;
use crate::io::sim::{Latency, SimConfig, SimDisk};
use crate::log::{LogState, Policy};
use crate::recovery::RecoveredEnd;

const POLICIES: [Policy; 3] = [Policy::Always, Policy::EverySec, Policy::No];

fn turns(n: usize, len: usize) -> Vec<Step> {
    (0..n).flat_map(|i| [Step::Append(len + i % 7), Step::Flush, Step::Sleep(50)]).collect()
}

#[test]
fn records_come_back_after_a_clean_shutdown() {
    for policy in POLICIES {
        let mut script = turns(60, 2000);
        script.push(Step::Shutdown);
        let run = Run::fresh(1, config(policy), &script, 0);
        assert_eq!(run.disk.violations(), [], "{policy:?}");
        let (end, seen) = run.recover(0).expect("recovers");
        assert!(end.clean, "{policy:?}");
        assert_eq!(run.check_prefix(0, &seen), Ok(61));
        assert!(end.segments.len() > 2, "the script rotates");
        // The next run goes on without a gap.
        let log = run.open(&end);
        assert_eq!(log.last_lsn(), 61);
        run.drive(&log, &[Step::Append(1), Step::Flush, Step::Sync, Step::Shutdown]);
        let (end, seen) = run.recover(0).expect("recovers");
        assert!(end.clean);
        assert_eq!(run.check_prefix(0, &seen), Ok(63));
    }
}

#[test]
fn acks_follow_the_policy() {
    for policy in POLICIES {
        let run = Run::new(sim(2), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        run.drive(&log, &[Step::Append(10), Step::Flush]);
        match policy {
            Policy::Always => assert_eq!((log.watermark(), log.written_lsn()), (0, 0)),
            _ => assert_eq!((log.watermark(), log.durable_lsn()), (1, 0)),
        }
        run.disk.runtime().run_for(2_000_000);
        let durable = if policy == Policy::No { 0 } else { 1 };
        assert_eq!((log.watermark(), log.durable_lsn()), (1, durable), "{policy:?}");
        run.disk.runtime().run_for(16_000_000);
        assert_eq!(log.durable_lsn(), 1);
    }
}

#[test]
fn a_rotation_on_demand_leaves_all_in_files_that_are_written_no_more() {
    for policy in POLICIES {
        let run = Run::new(sim(7), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        let rt = run.disk.runtime();
        assert_eq!(rt.block_on(log.rotate()).expect("nothing to do"), None, "{policy:?}");
        for round in 0..4u64 {
            for _ in 0..5 {
                run.drive(&log, &[Step::Append(300), Step::Flush]);
            }
            let last = log.last_lsn();
            let sealed = rt.block_on(log.rotate()).expect("rotates").expect("a segment");
            assert_eq!((sealed.last_lsn, last), (5 * (round + 1), 5 * (round + 1)), "{policy:?}");
            let again = rt.block_on(log.rotate()).expect("rotates").expect("a segment");
            assert_eq!(again, sealed, "an empty segment is not ended");
            let path = std::path::Path::new(DIR).join(moon_formats::names::wal_segment(sealed.seq));
            assert!(run.disk.is_durable(&path), "{policy:?}");
        }
        assert_eq!(run.disk.violations(), [], "{policy:?}");
        drop(log);
        let next = run.on(run.disk.kill(1));
        let (end, seen) = next.recover(0).expect("recovers");
        assert_eq!(next.check_prefix(0, &seen), Ok(20), "{policy:?}");
        assert!(end.segments.len() >= 5, "{policy:?}");
    }
}

#[test]
fn a_rotation_that_cannot_be_made_is_an_error() {
    let run = Run::new(sim(8), config(Policy::EverySec));
    let log = run.open(&RecoveredEnd::fresh(1));
    run.drive(&log, &[Step::Append(300), Step::Flush]);
    run.disk.inject(crate::io::sim::Fault::new(crate::io::sim::FaultKind::SyncEioForever));
    assert!(run.disk.runtime().block_on(log.rotate()).is_err());
    run.disk.clear_faults();
    run.disk.runtime().run_for(30_000_000);
    assert!(run.disk.runtime().block_on(log.rotate()).expect("healed").is_some());
}

#[test]
fn a_group_commit_takes_all_that_gathered() {
    let run = Run::new(sim(3), config(Policy::Always));
    let log = run.open(&RecoveredEnd::fresh(1));
    let rt = run.disk.runtime();
    rt.block_on(async {
        for lsn in 1..=200u64 {
            log.append(1, 0, 0, &payload(lsn, 20));
            log.flush();
            rt.sleep_us(5).await;
        }
        log.sync().await.expect("syncs");
    });
    let status = log.status();
    assert_eq!(status.durable_lsn, 200);
    assert!(status.batches < 40, "{} batches for 200 records", status.batches);
}

/// Batches that it takes until each of so many clients was answered so many times, on a device whose
/// sync takes a millisecond or two, and the simulated time. A client thinks before each write.
fn closed_loop(clients: u64, rounds: u64, think_us: u64) -> (u64, u64) {
    let latency = Latency { sync_us: 1000, ..SimConfig::default().latency };
    let disk = SimDisk::new(SimConfig { latency, ..SimConfig::default() }, 5);
    let run = Run::new(disk, config(Policy::Always));
    let log = run.open(&RecoveredEnd::fresh(1));
    let rt = run.disk.runtime();
    let left = Rc::new(Cell::new(clients));
    for client in 0..clients {
        let (log, timer, left) = (log.clone(), rt.as_dyn(), Rc::clone(&left));
        rt.spawn(Box::pin(async move {
            for round in 0..rounds {
                timer.sleep_us(3 * client + think_us * (1 + (client * 7 + round * 5) % 11)).await;
                let lsn = log.append(1, 0, 0, &payload(client, 20));
                log.flush();
                while log.durable_lsn() < lsn {
                    timer.sleep_us(5).await;
                }
            }
            left.set(left.get() - 1);
        }));
    }
    let began = rt.mono_us();
    rt.run_for(600_000_000);
    assert_eq!((left.get(), log.durable_lsn()), (0, clients * rounds));
    let end = run.acks.borrow().last().expect("acknowledged").mono_us;
    (log.status().batches, end - began)
}

#[test]
fn clients_that_wait_for_each_answer_share_a_sync() {
    let (batches, us) = closed_loop(50, 100, 0);
    // Each takes about 1.5 ms; without a pause two are needed for a round.
    assert!(batches < 115, "{batches} batches");
    assert!(us < 200_000, "{us} us");
}

#[test]
fn clients_that_take_their_time_are_not_waited_for() {
    let (batches, us) = closed_loop(50, 100, 1000);
    assert!(batches > 250, "{batches} batches");
    assert!(us < 1_000_000, "{us} us");
}

#[test]
fn a_record_larger_than_a_segment_gets_its_own() {
    for policy in POLICIES {
        let big = 3 * SEGMENT as usize;
        let script = [
            Step::Append(10),
            Step::Flush,
            Step::Append(big),
            Step::Flush,
            Step::Sleep(5000),
            Step::Append(10),
            Step::Flush,
            Step::Sync,
        ];
        let run = Run::fresh(4, config(policy), &script, 1000);
        let (end, seen) = run.recover(0).expect("recovers");
        assert_eq!(run.check_prefix(0, &seen), Ok(3));
        assert!(end.segments.iter().any(|s| s.bytes > 3 * SEGMENT));
        assert_eq!(run.disk.violations(), []);
    }
}

#[test]
fn old_segments_are_recycled_below_every_floor() {
    for policy in POLICIES {
        let run = Run::new(sim(5), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        run.drive(&log, &turns(100, 3000));
        let before = log.segments().len();
        assert!(before > 3);
        run.drive(&log, &[Step::Sync, Step::Base, Step::Sleep(10_000)]);
        assert_eq!(log.segments().len(), 1, "{policy:?}");
        run.drive(&log, &turns(100, 3000));
        run.drive(&log, &[Step::Sync]);
        let status = log.status();
        assert!(status.recycled >= 2, "{policy:?}: {}", status.recycled);
        let cut = run.base_before(usize::MAX);
        let (_, seen) = run.recover(cut).expect("recovers");
        assert_eq!(run.check_prefix(cut, &seen), Ok(200));
        assert_eq!(run.disk.violations(), [], "{policy:?}");
        // Without the base, the missing front of the log is noticed.
        let e = run.recover(0).expect_err("the log no longer begins at 1").to_string();
        assert!(e.contains("missing") && e.contains("moon-inspect wal verify"), "{e}");
    }
}

#[test]
fn a_change_of_policy_rotates() {
    let mut script = turns(10, 100);
    for policy in [Policy::EverySec, Policy::Always, Policy::No, Policy::Always] {
        script.extend([Step::Sleep(5000), Step::Policy(policy), Step::Sleep(5000)]);
        script.extend(turns(10, 100));
    }
    script.push(Step::Sync);
    let run = Run::fresh(6, config(Policy::Always), &script, 1000);
    let (end, seen) = run.recover(0).expect("recovers");
    assert_eq!(run.check_prefix(0, &seen), Ok(50));
    assert_eq!(end.segments.len(), 5);
    assert_eq!(run.disk.violations(), []);
}

#[test]
fn intake_stops_at_the_unsynced_cap_and_goes_on() {
    let mut cfg = config(Policy::EverySec);
    cfg.unsynced_bytes_max = 100_000;
    let run = Run::new(sim(7), cfg);
    let log = run.open(&RecoveredEnd::fresh(1));
    for _ in 0..30 {
        run.drive(&log, &[Step::Append(4000), Step::Flush]);
    }
    assert!(log.should_pause_intake());
    assert!(log.written_lsn() < 30, "what is exposed stays below the cap");
    assert!(log.admit().is_ok(), "backpressure is no error");
    run.disk.runtime().run_for(100_000);
    assert!(!log.should_pause_intake());
    run.drive(&log, &[Step::Sync]);
    assert_eq!(log.durable_lsn(), 30);
    assert!(log.status().log_backpressure_us > 0);
}

#[test]
fn a_closed_log_refuses() {
    let run = Run::fresh(8, config(Policy::EverySec), &[], 0);
    let (end, _) = run.recover(0).expect("recovers");
    let log = run.open(&end);
    run.drive(&log, &[Step::Append(3), Step::Shutdown]);
    let refusal = log.admit().expect_err("closed");
    assert_eq!(refusal.state, LogState::Closed);
    assert!(refusal.to_string().starts_with("MISCONF "));
}

#[test]
fn unsynced_records_can_be_visited() {
    for policy in POLICIES {
        let run = Run::new(sim(9), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        run.drive(&log, &[Step::Append(10), Step::Flush, Step::Append(20), Step::Append(30)]);
        let mut seen = Vec::new();
        log.for_each_unsynced(|lsn, code, _, db, payload| {
            seen.push((lsn, code, db, payload.len()))
        });
        assert_eq!(seen.len(), 3, "{policy:?}");
        assert_eq!(seen[2], (3, 1, 0, 38));
    }
}
