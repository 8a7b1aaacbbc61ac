//! Readers beside a writer: what they are shown, and when.

use std::ops::ControlFlow;
use std::path::Path;

use super::rig::*;
use crate::io::sim::{Fault, FaultKind, Image};
use crate::log::{Floor, Log, LogConfig, Policy, ReadError, Reader, Shown, Visitor};
use crate::recovery::RecoveredEnd;

const POLICIES: [Policy; 3] = [Policy::Always, Policy::EverySec, Policy::No];

/// LSNs, payloads and the LSNs before.
#[derive(Debug, Default)]
struct Seen(Vec<(u64, Vec<u8>, u64)>);

impl Visitor for Seen {
    fn show(&mut self, shown: &Shown<'_>) -> ControlFlow<()> {
        let r = &shown.record;
        self.0.push((r.lsn, r.payload.to_vec(), shown.previous));
        ControlFlow::Continue(())
    }
}

fn read(run: &Run, reader: &mut Reader, bytes: usize) -> (Seen, Result<bool, ReadError>) {
    run.disk.runtime().block_on(reader.read(bytes, Seen::default()))
}

fn some(run: &Run, reader: &mut Reader, bytes: usize) -> (Vec<(u64, Vec<u8>, u64)>, bool) {
    let (seen, more) = read(run, reader, bytes);
    (seen.0, more.expect("reads"))
}

/// Everything there is, against what was appended.
fn follow(run: &Run, log: &Log, reader: &mut Reader, bytes: usize) -> Vec<u64> {
    let mut lsns = Vec::new();
    loop {
        let (seen, more) = some(run, reader, bytes);
        for (lsn, payload, _) in seen {
            assert!(lsn <= log.shown_lsn());
            assert_eq!(run.records.borrow().get(&lsn), Some(&payload), "lsn {lsn}");
            lsns.push(lsn);
        }
        if !more {
            return lsns;
        }
    }
}

#[test]
fn a_follower_sees_each_record_once_over_rotation_and_large_records() {
    for (policy, bytes) in POLICIES.into_iter().zip([1, 5000, 1 << 20]) {
        let run = Run::new(sim(5), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        let mut reader = log.reader(0);
        let mut seen = Vec::new();
        for turn in 0..120usize {
            let len = if turn % 40 == 39 { 3 * SEGMENT as usize } else { 1500 + turn };
            run.drive(
                &log,
                &[Step::Append(len), Step::Append(turn), Step::Flush, Step::Sleep(300)],
            );
            if turn % 3 == 0 {
                seen.extend(follow(&run, &log, &mut reader, bytes));
            }
        }
        run.drive(&log, &[Step::Sync]);
        seen.extend(follow(&run, &log, &mut reader, bytes));
        assert_eq!(seen, (1..=240).collect::<Vec<u64>>(), "{policy:?}");
        assert!(log.segments().len() > 4);
        // From the middle, as a consumer that comes back.
        for from in [1, 7, 100, 239, 240, 241] {
            let seen = follow(&run, &log, &mut log.reader(from), bytes);
            assert_eq!(seen, (from..=240).collect::<Vec<u64>>());
        }
    }
}

#[test]
fn nothing_is_shown_that_power_loss_takes() {
    let run = Run::new(sim(6), config(Policy::EverySec));
    let log = run.open(&RecoveredEnd::fresh(1));
    let mut reader = log.reader(0);
    run.drive(&log, &[Step::Append(10), Step::Flush]);
    assert_eq!(follow(&run, &log, &mut reader, 1000), []);
    run.drive(&log, &[Step::Sync]);
    assert_eq!(follow(&run, &log, &mut reader, 1000), [1]);
}

/// Takes the first record, or not even that.
struct First {
    take: bool,
    met: Vec<u64>,
}

impl Visitor for First {
    fn show(&mut self, shown: &Shown<'_>) -> ControlFlow<()> {
        self.met.push(shown.record.lsn);
        let go_on = self.take && self.met.len() == 1;
        if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

#[test]
fn a_record_that_is_not_taken_comes_again() {
    let run = Run::new(sim(7), config(Policy::No));
    let log = run.open(&RecoveredEnd::fresh(1));
    run.drive(&log, &[Step::Append(10), Step::Append(11), Step::Append(12), Step::Flush]);
    let mut reader = log.reader(1);
    for expect in [1u64, 2, 3] {
        for take in [false, true] {
            let visitor = First { take, met: Vec::new() };
            let (First { met, .. }, more) = run.disk.runtime().block_on(reader.read(1000, visitor));
            assert!(met[0] == expect && more.expect("reads") != (take && expect == 3), "{met:?}");
        }
    }
}

#[test]
fn lsns_that_a_crash_skipped_are_passed_over() {
    let run = Run::new(sim(8), config(Policy::Always));
    let log = run.open(&RecoveredEnd::fresh(1));
    run.drive(&log, &[Step::Append(10), Step::Append(20), Step::Flush, Step::Sync]);
    run.close(&log);
    let after = run.on(run.disk.power_loss(Image::None, 1));
    let (end, _) = after.recover(0).expect("recovers");
    let log = after.open(&end);
    let next = log.last_lsn() + 1;
    assert!(next > 1 << 24);
    // Nothing is there yet: a reader of all that was waits for what comes, and does not look again and again.
    let mut idle = log.reader(3);
    assert!(log.shown_lsn() >= 3);
    assert_eq!((some(&after, &mut idle, 1).0.len(), idle.next_lsn()), (0, next));
    after.drive(&log, &[Step::Append(5), Step::Flush, Step::Sync]);
    for from in [0, 1, 3, 1000, next] {
        let (seen, _) = some(&after, &mut log.reader(from), 1 << 20);
        let got: Vec<(u64, u64)> = seen.iter().map(|(lsn, _, before)| (*lsn, *before)).collect();
        let all = [(1, 0), (2, 1), (next, 2)];
        let want: Vec<_> = all.into_iter().filter(|(lsn, _)| *lsn >= from).collect();
        assert_eq!(got, want, "from {from}");
    }
    // Also when what was before the crash is gone: a consumer that had all of it has missed nothing.
    after
        .drive(&log, &[Step::Base, Step::Append(1), Step::Flush, Step::Sync, Step::Sleep(100_000)]);
    assert!(log.oldest_lsn() > 2);
    assert_eq!(follow(&after, &log, &mut log.reader(3), 1000).len(), 2);
    let (_, gone) = read(&after, &mut log.reader(2), 1);
    assert!(matches!(gone, Err(ReadError::Gone { oldest }) if oldest == next), "{gone:?}");
}

#[test]
fn a_reader_behind_a_base_waits_where_nothing_has_followed_a_crash() {
    let run = Run::new(sim(12), config(Policy::Always));
    let log = run.open(&RecoveredEnd::fresh(1));
    run.drive(&log, &[Step::Append(10), Step::Append(10), Step::Flush, Step::Sync]);
    run.close(&log);
    let after = run.on(run.disk.power_loss(Image::None, 1));
    let (end, _) = after.recover(0).expect("recovers");
    let log = after.open(&end);
    after.drive(&log, &[Step::Base, Step::Sleep(1_000_000)]);
    assert!(log.segments().iter().all(|s| s.last_lsn < s.base_lsn), "{:?}", log.segments());
    let mut reader = log.reader(3);
    let next = log.last_lsn() + 1;
    assert_eq!((some(&after, &mut reader, 1).0.len(), reader.next_lsn()), (0, next));
    let (_, gone) = read(&after, &mut log.reader(2), 1);
    assert!(matches!(gone, Err(ReadError::Gone { oldest }) if oldest == next), "{gone:?}");
}

#[test]
fn segments_without_records_behind_crashes_hide_nothing() {
    // Crashed before the first record, and behind two of them that a base holds.
    for had in [0, 2] {
        let mut run = Run::new(sim(13), config(Policy::Always));
        let mut log = run.open(&RecoveredEnd::fresh(1));
        for _ in 0..had {
            run.drive(&log, &[Step::Append(10), Step::Flush, Step::Sync]);
        }
        for crash in 0..2 {
            run.close(&log);
            run = run.on(run.disk.power_loss(Image::None, 1));
            let (end, _) = run.recover(crash * had).expect("recovers");
            log = run.open(&end);
            log.set_floor(Floor::Base, Some(had + 1));
            run.drive(&log, &[Step::Sleep(1_000_000)]);
        }
        let next = log.last_lsn() + 1;
        assert!(next > 1 << 25);
        for written in 0..2 {
            for from in [had + 1, had + 2, 1 << 24, 1 << 25, next] {
                let mut reader = log.reader(from);
                let seen = follow(&run, &log, &mut reader, 1000);
                assert_eq!((seen.len(), reader.next_lsn()), (written, next + written as u64));
            }
            let (_, all) = read(&run, &mut log.reader(1), 1);
            match had {
                0 => assert!(all.is_ok(), "{all:?}"),
                _ => assert!(
                    matches!(all, Err(ReadError::Gone { oldest }) if oldest == next),
                    "{all:?}"
                ),
            }
            // It does not fit, so what was begun stays without a record.
            let large = 2 * SEGMENT as usize;
            run.drive(&log, &[Step::Append(large), Step::Flush, Step::Sync]);
        }
    }
}

#[test]
fn what_is_recycled_is_gone_and_what_is_damaged_is_said_to_be() {
    let run = Run::new(sim(9), config(Policy::EverySec));
    let log = run.open(&RecoveredEnd::fresh(1));
    let fill: Vec<Step> =
        (0..200).flat_map(|_| [Step::Append(3000), Step::Flush, Step::Sleep(2000)]).collect();
    run.drive(&log, &fill);
    run.drive(&log, &[Step::Sync]);
    let mut slow = log.reader(1);
    assert_eq!(some(&run, &mut slow, 1).0.len(), 1);
    run.drive(&log, &[Step::Base, Step::Sleep(1_000_000)]);
    run.drive(&log, &fill);
    run.drive(&log, &[Step::Sync]);
    let oldest = log.oldest_lsn();
    let (_, gone) = read(&run, &mut slow, 1);
    assert!(
        matches!(gone, Err(ReadError::Gone { oldest: o }) if o == oldest && o > 100),
        "{gone:?}"
    );

    let victim = log.segments()[1].clone();
    let path = Path::new(DIR).join(moon_formats::names::wal_segment(victim.seq));
    assert!(run.disk.rot(&path, 20_000, 0x40));
    let mut reader = log.reader(victim.base_lsn);
    for _ in 0..2 {
        let before = reader.next_lsn() - 1;
        let (seen, damaged) = read(&run, &mut reader, 1 << 20);
        let last = seen.0.last().map_or(before, |(lsn, ..)| *lsn);
        let Err(ReadError::Damaged { lsn, offset, .. }) = damaged else { panic!("{damaged:?}") };
        assert!(lsn == last + 1 && offset < 20_000 && lsn < victim.last_lsn);
    }
}

#[test]
fn a_segment_that_is_being_removed_is_gone_and_not_unreadable() {
    let mut gone = 0;
    for pause in 0..60 {
        let run = Run::new(sim(13 + pause), config(Policy::EverySec));
        let log = run.open(&RecoveredEnd::fresh(1));
        let fill: Vec<Step> =
            (0..120).flat_map(|_| [Step::Append(3000), Step::Flush, Step::Sleep(2000)]).collect();
        run.drive(&log, &fill);
        run.drive(&log, &[Step::Sync, Step::Base, Step::Sleep(20 * pause)]);
        // The way into the oldest segment while those before and behind it lose their names.
        for from in [1, 2, log.oldest_lsn()] {
            match read(&run, &mut log.reader(from), 1) {
                (_, Ok(_)) => {}
                (_, Err(ReadError::Gone { .. })) => gone += 1,
                (_, Err(error)) => panic!("{pause}, {from}: {error}"),
            }
        }
    }
    assert!(gone > 30, "{gone}");
}

#[test]
fn nothing_is_freed_before_it_is_known_what_readers_need() {
    let cfg = LogConfig { hold_for_readers: true, ..config(Policy::EverySec) };
    let run = Run::new(sim(11), cfg);
    let log = run.open(&RecoveredEnd::fresh(1));
    let fill: Vec<Step> =
        (0..200).flat_map(|_| [Step::Append(3000), Step::Flush, Step::Sleep(2000)]).collect();
    run.drive(&log, &fill);
    run.drive(&log, &[Step::Sync, Step::Base, Step::Sleep(1_000_000)]);
    assert_eq!(log.oldest_lsn(), 1);
    log.set_floor(Floor::Cdc, Some(log.last_lsn() + 1));
    run.drive(&log, &[Step::Sleep(1_000_000)]);
    assert!(log.oldest_lsn() > 1);
}

#[test]
fn what_was_repeated_elsewhere_is_read_there() {
    let run = Run::new(sim(10), config(Policy::EverySec));
    let log = run.open(&RecoveredEnd::fresh(1));
    let mut reader = log.reader(1);
    run.drive(&log, &[Step::Append(10), Step::Flush, Step::Sync, Step::Append(20), Step::Flush]);
    run.disk.inject(Fault::new(FaultKind::SyncEioOnce));
    run.drive(
        &log,
        &[Step::Sync, Step::Sleep(3_000_000), Step::Append(30), Step::Flush, Step::Sync],
    );
    assert_eq!(log.status().log_heals, 1);
    assert_eq!(follow(&run, &log, &mut reader, 1), [1, 2, 3]);
    assert_eq!(follow(&run, &log, &mut log.reader(2), 1 << 20), [2, 3]);
}
