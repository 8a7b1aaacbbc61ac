//! Errors of the device, alone and followed by power loss.

use super::rig::*;
use crate::io::sim::{Fault, FaultKind, Image};
use crate::io::{Disk, Runtime};
use crate::log::{Log, LogError, LogState, Policy};
use crate::recovery::RecoveredEnd;

fn script() -> Vec<Step> {
    let mut script = Vec::new();
    for i in 0..24 {
        script.push(Step::Append([7, 900, 5000, 60][i % 4]));
        script.push(Step::Append(3000));
        script.push(Step::Flush);
        script.push(Step::Sleep([10, 300, 700][i % 3]));
    }
    script
}

/// A run with one fault at operation `op` after the opening. Settles long enough for every
/// retry. `None` if the fault struck nothing.
fn faulty(policy: Policy, kind: FaultKind, op: u64) -> Option<(Run, Log)> {
    let run = Run::new(sim(21), config(policy));
    let log = run.open(&RecoveredEnd::fresh(1));
    run.disk.inject(Fault::new(kind).at_op(run.disk.op_count() + op));
    run.drive(&log, &script());
    run.disk.runtime().run_for(4_000_000);
    if run.disk.struck().is_empty() {
        return None;
    }
    run.drive(&log, &[Step::Append(11), Step::Flush, Step::Sync]);
    Some((run, log))
}

fn heals(policy: Policy, kind: FaultKind) {
    let mut struck = 0;
    for op in 0..400 {
        let Some((run, log)) = faulty(policy, kind, op) else { break };
        struck += 1;
        let context = format!("{policy:?} {kind:?} at operation {op}");
        assert_eq!(run.disk.violations(), [], "{context}");
        assert_eq!(log.status().state, LogState::Ok, "{context}");
        assert_eq!(log.durable_lsn(), log.last_lsn(), "{context}");
        let (_, seen) = run.recover(0).unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(run.check_prefix(0, &seen), Ok(log.last_lsn()), "{context}");
        // Power loss around the fault and later.
        let stops = run.disk.stop_count();
        let strike = run.disk.struck()[0].0;
        let near = (0..stops).filter(|s| {
            let at = run.disk.stop(*s).map_or(0, |p| p.op);
            at.abs_diff(strike) < 4 || s % 61 == 0
        });
        for stop in near {
            let images = [Image::None, Image::Subset, Image::MetaFirst, Image::All];
            let crash = Crash::Power(images[(stop + op as usize) % 4]);
            if let Err(e) = check_stop(&run, stop, crash, op) {
                panic!("{context}, then stop {stop} {crash:?}: {e}");
            }
        }
    }
    assert!(struck > 0, "{policy:?} {kind:?} never struck");
}

#[test]
fn failed_syncs_heal_into_a_new_segment() {
    heals(Policy::Always, FaultKind::SyncEioOnce);
    heals(Policy::EverySec, FaultKind::SyncEioOnce);
}

#[test]
fn failed_writes_heal_into_a_new_segment() {
    heals(Policy::Always, FaultKind::WriteEioOnce);
    heals(Policy::EverySec, FaultKind::WriteEioOnce);
}

#[test]
fn a_bad_block_is_left_behind() {
    heals(Policy::Always, FaultKind::WriteEioRange);
}

#[test]
fn writes_without_room_heal() {
    heals(Policy::Always, FaultKind::EnospcWrite);
    heals(Policy::EverySec, FaultKind::EnospcWrite);
}

#[test]
fn short_writes_go_on_and_empty_ones_heal() {
    heals(Policy::Always, FaultKind::WriteShort);
    heals(Policy::EverySec, FaultKind::WriteShort);
    heals(Policy::Always, FaultKind::WriteZero);
}

#[test]
fn failed_renames_heal() {
    heals(Policy::Always, FaultKind::RenameEio);
    heals(Policy::EverySec, FaultKind::RenameEio);
}

#[test]
fn no_room_for_a_segment_heals() {
    heals(Policy::Always, FaultKind::EnospcPreallocate);
    heals(Policy::EverySec, FaultKind::EnospcPreallocate);
    heals(Policy::Always, FaultKind::EnospcThenFree { after_us: 900_000 });
}

#[test]
fn a_failed_sync_freezes_the_watermark_until_healed() {
    for policy in [Policy::Always, Policy::EverySec] {
        let run = Run::new(sim(22), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        let rt = run.disk.runtime();
        run.drive(&log, &[Step::Append(9), Step::Flush, Step::Sync, Step::Append(9), Step::Flush]);
        run.disk.inject(Fault::new(FaultKind::SyncEioForever));
        rt.run_for(1_500_000);
        let status = log.status();
        assert_eq!(status.state, LogState::DegradedSync);
        assert_eq!(status.durable_lsn, 1);
        assert!(status.sync_errors > 1 && !status.last_write_ok);
        let refusal = log.admit().expect_err("degraded").to_string();
        assert!(refusal.starts_with("MISCONF log degraded: "), "{refusal}");
        assert!(log.admit_shrinking().is_err());
        // An effect that the server itself produces is kept, not lost and not acknowledged.
        let watermark = log.watermark();
        run.records.borrow_mut().insert(3, payload(3, 5));
        log.append(1, 0, 0, &payload(3, 5));
        log.flush();
        rt.run_for(20_000_000);
        assert_eq!(log.watermark(), watermark);
        let mut unsynced = Vec::new();
        log.for_each_unsynced(|lsn, _, _, _, _| unsynced.push(lsn));
        assert_eq!(unsynced, [2, 3]);
        assert!(matches!(rt.block_on(log.sync()), Err(LogError::Degraded(_))));
        assert!(!log.overdue());
        rt.run_for(45_000_000);
        assert!(log.overdue());
        // The device is repaired: the next attempt heals.
        run.disk.clear_faults();
        rt.run_for(11_000_000);
        let status = log.status();
        assert_eq!((status.state, status.durable_lsn, status.log_heals), (LogState::Ok, 3, 1));
        assert!(!log.overdue() && log.admit().is_ok());
        assert!(status.sync_errors > 1, "counters survive");
        let (_, seen) = run.recover(0).expect("recovers");
        assert_eq!(run.check_prefix(0, &seen), Ok(3));
        assert_eq!(run.disk.violations(), []);
    }
}

#[test]
fn a_full_disk_refuses_before_execution_and_recovers_by_itself() {
    let run = Run::new(sim(23), config(Policy::EverySec));
    let log = run.open(&RecoveredEnd::fresh(1));
    let rt = run.disk.runtime();
    rt.run_for(10_000);
    // Two files of 64 KiB exist; let the next preparation fail.
    run.disk.set_capacity(3 * SEGMENT);
    let mut steps = script();
    run.drive(&log, &steps);
    run.drive(&log, &steps);
    let status = log.status();
    assert_eq!(status.state, LogState::DiskFull, "{status:?}");
    let refusal = log.admit().expect_err("full").to_string();
    assert!(refusal.starts_with("MISCONF diskfull: "), "{refusal}");
    assert!(run.refused.get() > 0);
    let before = log.last_lsn();
    run.disk.set_capacity(1 << 40);
    rt.run_for(11_000_000);
    assert_eq!(log.status().state, LogState::Ok);
    assert_eq!(log.written_lsn(), before);
    steps.push(Step::Sync);
    run.drive(&log, &steps);
    let (_, seen) = run.recover(0).expect("recovers");
    assert_eq!(run.check_prefix(0, &seen), Ok(log.last_lsn()));
    assert_eq!(run.disk.violations(), []);
}

#[test]
fn shrinking_commands_run_while_the_current_segment_has_room() {
    let run = Run::new(sim(24), config(Policy::Always));
    let log = run.open(&RecoveredEnd::fresh(1));
    let rt = run.disk.runtime();
    rt.run_for(10_000);
    run.disk.set_capacity(2 * SEGMENT + (SEGMENT / 100));
    rt.block_on(log.probe());
    assert_eq!(log.status().state, LogState::DiskFull);
    assert!(log.admit().is_err());
    let mut shrunk = 0;
    while log.admit_shrinking().is_ok() {
        let lsn = log.append(1, 0, 0, &payload(log.last_lsn() + 1, 900));
        run.records.borrow_mut().insert(lsn, payload(lsn, 900));
        log.flush();
        rt.run_for(2000);
        shrunk += 1;
    }
    assert!(shrunk > 10, "{shrunk}");
    assert_eq!(log.durable_lsn(), log.last_lsn());
    // The end of the disk-full state needs some space above the limit.
    run.disk.set_capacity(1 << 30);
    rt.run_for(11_000_000);
    assert_eq!(log.status().state, LogState::Ok);
}

#[test]
fn a_slow_sync_stops_the_intake_at_two_seconds() {
    let run = Run::new(sim(25), config(Policy::EverySec));
    let log = run.open(&RecoveredEnd::fresh(1));
    let rt = run.disk.runtime();
    run.disk.inject(Fault::new(FaultKind::SlowSync { us: 40_000_000 }).on(".wal"));
    let start = rt.mono_us();
    let mut paused_at = None;
    for _ in 0..300 {
        run.drive(&log, &[Step::Append(100), Step::Flush, Step::Sleep(20_000)]);
        if log.should_pause_intake() && paused_at.is_none() {
            paused_at = Some(rt.mono_us() - start);
        }
    }
    let at = paused_at.expect("intake stops");
    assert!((1_900_000..=2_100_000).contains(&at), "{at}");
    let last_ack = run.acks.borrow().iter().map(|a| a.mono_us - start).max().expect("acks");
    assert!(last_ack <= 2_000_000, "an ack left at {last_ack} us");
    assert_eq!(log.status().state, LogState::Ok, "slow is not an error");
    rt.run_for(60_000_000);
    assert!(!log.should_pause_intake());
    assert_eq!(log.durable_lsn(), 300);
    check_all(&run, &[Image::None, Image::Subset], 7);
}

#[test]
fn slow_syncs_and_clock_steps_keep_every_promise() {
    for (seed, kind) in [
        (1, FaultKind::SlowSyncs),
        (2, FaultKind::ClockStep { delta_us: -3_600_000_000 }),
        (3, FaultKind::ClockStep { delta_us: 86_400_000_000 }),
    ] {
        for policy in [Policy::Always, Policy::EverySec, Policy::No] {
            let run = Run::new(sim(seed), config(policy));
            let log = run.open(&RecoveredEnd::fresh(1));
            run.disk.inject(Fault::new(kind).at_op(run.disk.op_count() + 3));
            for _ in 0..12 {
                run.drive(&log, &script()[..12]);
                run.drive(&log, &[Step::Sleep(600_000)]);
            }
            run.disk.runtime().run_for(10_000_000);
            check_all(&run, &[Image::None, Image::Subset, Image::LateFirst], 5);
        }
    }
}

/// The log heals while an old segment is on its way out: the segment behind it must not be
/// forgotten, or the next one removed leaves a gap.
#[test]
fn healing_beside_reclaiming() {
    for at_op in (0..100).step_by(4) {
        let run = Run::new(sim(41), config(Policy::EverySec));
        let log = run.open(&RecoveredEnd::fresh(1));
        run.disk.inject(Fault::new(FaultKind::WriteEioOnce).at_op(run.disk.op_count() + at_op));
        let mut steps = Vec::new();
        for _ in 0..3 {
            steps.extend([Step::Append(60_000), Step::Sync, Step::Append(60_000), Step::Append(9)]);
            steps.extend([Step::Sleep(500_000), Step::Base, Step::Sync, Step::Append(9)]);
            steps.extend([Step::Flush, Step::Sleep(52), Step::Base]);
        }
        run.drive(&log, &steps);
        run.disk.runtime().run_for(35_000_000);
        for stop in (0..run.disk.stop_count()).step_by(5) {
            if let Err(e) = check_stop(&run, stop, Crash::Kill, 1) {
                panic!("error at {at_op}, stop {stop}: {e}");
            }
        }
        run.close(&log);
    }
}

/// A failed sync leaves records that can be read and that no later sync writes. The process dies
/// before they are healed; whatever the next start finds it has to carry over.
#[test]
fn killed_before_healing_then_without_power_nothing_is_missing() {
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        let run = Run::new(sim(51), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        run.drive(&log, &script()[..20]);
        run.disk.inject(Fault::new(FaultKind::SyncEioForever).on(".wal"));
        run.drive(&log, &script());
        run.disk.runtime().run_for(20_000_000);
        let mut checked = 0;
        for stop in 0..run.disk.stop_count() {
            check_stop(&run, stop, Crash::Kill, 3)
                .unwrap_or_else(|e| panic!("{policy:?}, killed at {stop}: {e}"));
            checked += 1;
        }
        assert!(checked > 100, "{checked}");
        run.close(&log);
    }
}

/// Names disappear under an open file: what is written from then on would be lost with it.
#[test]
fn a_lost_directory_refuses_writes_until_it_is_back_or_a_base_is_committed() {
    for (policy, comes_back) in
        [(Policy::Always, true), (Policy::EverySec, true), (Policy::No, false)]
    {
        let run = Run::new(sim(52), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        let rt = run.disk.runtime();
        run.drive(&log, &script());
        run.drive(&log, &[Step::Sync]);
        let dir = std::path::Path::new(DIR);
        let names = rt.block_on(run.disk.list(dir)).expect("a directory");
        let aside = std::path::Path::new("/aside");
        rt.block_on(run.disk.create_dir_all(aside)).expect("a directory");
        for n in &names {
            let (from, to) = (dir.join(&n.name), aside.join(&n.name));
            rt.block_on(run.disk.rename(&from, &to)).expect("moved");
        }
        assert!(log.admit().is_ok(), "nobody has looked yet");
        rt.block_on(log.probe());
        assert_eq!(log.status().state, LogState::DirLost);
        let refusal = log.admit().expect_err("lost").to_string();
        assert!(refusal.starts_with("MISCONF dirlost: "), "{refusal}");
        assert!(log.admit_shrinking().is_err());
        if comes_back {
            for n in &names {
                let (from, to) = (aside.join(&n.name), dir.join(&n.name));
                rt.block_on(run.disk.rename(&from, &to)).expect("moved back");
            }
        }
        rt.run_for(25_000_000);
        if !comes_back {
            assert_eq!(log.status().state, LogState::DirLost, "an empty directory is no log");
            log.base_committed(log.durable_lsn(), log.start_for(log.durable_lsn() + 1));
        }
        assert_eq!(log.status().state, LogState::Ok, "{:?}", log.status());
        let cut = if comes_back { 0 } else { log.durable_lsn() };
        run.drive(&log, &[Step::Append(11), Step::Flush, Step::Sync]);
        let (_, seen) = run.recover(cut).expect("recovers");
        assert_eq!(run.check_prefix(cut, &seen), Ok(log.last_lsn()));
        run.close(&log);
    }
}

/// A start on a full disk says so, changes nothing, and succeeds once there is room.
#[test]
fn opening_on_a_full_disk_fails_cleanly_and_later_succeeds() {
    for policy in [Policy::Always, Policy::EverySec] {
        let run = Run::fresh(54, config(policy), &script(), 1_200_000);
        let after = run.on(run.disk.kill_at(run.disk.stop_count() - 1, 1).expect("a stop"));
        let (end, seen) = after.recover(0).expect("recovers");
        let rt = after.disk.runtime();
        let before = rt.block_on(after.disk.list(std::path::Path::new(DIR))).expect("a directory");
        after.disk.set_capacity(SEGMENT);
        let opened = rt.block_on(Log::open(
            after.disk.as_dyn(),
            rt.as_dyn(),
            DIR.into(),
            after.cfg.clone(),
            &end,
        ));
        let text = opened.err().expect("no room").to_string();
        assert!(text.contains("make room"), "{text}");
        let wal = |list: Vec<crate::io::DirEntry>| {
            let names = list.into_iter().map(|e| e.name).filter(|n| n.ends_with(".wal"));
            names.collect::<Vec<_>>()
        };
        let left = rt.block_on(after.disk.list(std::path::Path::new(DIR))).expect("a directory");
        assert_eq!(wal(left), wal(before), "the segments are as they were");
        after.disk.set_capacity(1 << 40);
        let (again, same) = after.recover(0).expect("recovers again");
        assert_eq!((&again, &same), (&end, &seen));
        let log = after.open(&again);
        after.drive(&log, &[Step::Append(5), Step::Flush, Step::Sync]);
        assert_eq!(log.durable_lsn(), log.last_lsn());
        after.close(&log);
    }
}

/// A sector that cannot be read stops the start with the file; it is never taken for the end.
#[test]
fn an_unreadable_sector_stops_the_start_and_changes_nothing() {
    let run = Run::fresh(55, config(Policy::Always), &script(), 1_200_000);
    let mut refused = 0;
    for skip in 0..40 {
        let after = run.on(run.disk.power_loss(Image::None, 1));
        let healthy = after.recover(0).expect("recovers");
        after.disk.inject(Fault::new(FaultKind::ReadEio).skip(skip));
        match after.recover(0) {
            Err(e) => {
                assert!(e.to_string().contains("cannot read"), "{e}");
                refused += 1;
            }
            Ok(found) => assert_eq!(found, healthy, "read error {skip} changed what is found"),
        }
        after.disk.clear_faults();
        assert_eq!(after.recover(0).expect("recovers"), healthy);
    }
    assert!(refused > 2, "{refused}");
}

/// A record larger than any segment waits for room; whoever waits with it is not held for ever.
#[test]
fn a_record_without_room_is_overdue_in_time_and_written_when_there_is_room() {
    for policy in [Policy::Always, Policy::EverySec] {
        let run = Run::new(sim(56), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        let rt = run.disk.runtime();
        rt.run_for(10_000);
        run.disk.set_capacity(3 * SEGMENT);
        run.drive(&log, &[Step::Append(300_000), Step::Flush]);
        rt.run_for(1_000_000);
        assert_eq!(log.status().state, LogState::DiskFull);
        assert!(log.is_degraded() && !log.overdue() && log.watermark() == 0);
        rt.run_for(60_000_000);
        assert!(log.overdue());
        run.disk.set_capacity(1 << 40);
        rt.run_for(21_000_000);
        assert_eq!((log.status().state, log.watermark()), (LogState::Ok, 1));
        assert!(!log.overdue() && !log.is_degraded());
        run.close(&log);
    }
}
