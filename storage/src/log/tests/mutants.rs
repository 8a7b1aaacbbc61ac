#![allow(clippy::print_stdout)] // the finding is worth reading with --nocapture
//! Each deliberate bug is noticed by at least one of the checks that pass without it.

use std::path::{Path, PathBuf};

use super::rig::*;
use crate::io::Disk;
use crate::io::sim::{Fault, FaultKind, Image};
use crate::log::Policy;
use crate::mutant::Mutant;
use crate::recovery::RecoveredEnd;

fn script(turns: usize) -> Vec<Step> {
    (0..turns)
        .flat_map(|i| {
            let pause = if i % 9 == 8 { 1_100_000 } else { 200 };
            [Step::Append(50 + i * 37 % 2500), Step::Append(9), Step::Flush, Step::Sleep(pause)]
        })
        .collect()
}

/// The first thing that goes wrong with `run`, at any stop.
fn first_finding(run: &Run, every: usize) -> Option<String> {
    if let Some(v) = run.disk.violations().first() {
        return Some(format!("{v:?}"));
    }
    for stop in (0..run.disk.stop_count()).step_by(every) {
        let crashes = Image::ALL.map(Crash::Power);
        for crash in crashes.into_iter().chain([Crash::Kill]) {
            if let Err(e) = check_stop(run, stop, crash, stop as u64) {
                return Some(format!("stop {stop} {crash:?}: {e}"));
            }
        }
    }
    None
}

fn crashes(mutant: Option<Mutant>, policy: Policy) -> Option<String> {
    let cfg = crate::log::LogConfig { mutant, ..config(policy) };
    let mut steps = script(30);
    steps.extend([Step::Sync, Step::Base, Step::Sleep(3000)]);
    steps.extend(script(30));
    first_finding(&Run::fresh(31, cfg, &steps, 1_200_000), 2)
}

fn failed_sync(mutant: Option<Mutant>, policy: Policy, kind: FaultKind) -> Option<String> {
    let cfg = crate::log::LogConfig { mutant, ..config(policy) };
    let run = Run::new(sim(32), cfg);
    let log = run.open(&RecoveredEnd::fresh(1));
    run.drive(&log, &script(3));
    run.disk.inject(Fault::new(kind).on(".wal"));
    run.drive(&log, &script(12));
    run.disk.runtime().run_for(3_000_000);
    first_finding(&run, 1)
}

fn segment_files(disk: &crate::io::sim::SimDisk) -> Vec<(PathBuf, u64)> {
    let rt = disk.runtime();
    let entries = rt.block_on(disk.list(Path::new(DIR))).expect("a directory");
    let wal = entries.into_iter().filter(|e| e.name.ends_with(".wal"));
    wal.map(|e| (Path::new(DIR).join(e.name), e.bytes)).collect()
}

/// Flips one bit at a time in everything that was written. Returns the first flip that made a
/// durable record disappear without a word, or a harmless end a refusal.
fn bit_flips(mutant: Option<Mutant>, policy: Policy) -> Option<String> {
    let cfg = crate::log::LogConfig { mutant, ..config(policy) };
    let run = Run::fresh(33, cfg, &script(12), 1_200_000);
    let whole = run.on(run.disk.power_loss(Image::All, 1));
    let (end, _) = match whole.recover(0) {
        Ok(found) => found,
        Err(e) => return Some(format!("undamaged log refused: {e}")),
    };
    let mut refused = 0;
    let mut shortened = 0;
    for (path, bytes) in segment_files(&whole.disk) {
        for offset in (0..bytes).step_by(61) {
            assert!(whole.disk.rot(&path, offset, 1 << (offset % 8)));
            let flip = format!("{policy:?} {} offset {offset}", path.display());
            match whole.recover(0) {
                Ok((_, seen)) => match run.check_prefix(0, &seen) {
                    Err(e) => return Some(format!("{flip}: {e}")),
                    Ok(last) if last < end.durable_lsn => {
                        return Some(format!(
                            "{flip}: ends at {last}, {} was durable",
                            end.durable_lsn
                        ));
                    }
                    Ok(last) => shortened += u32::from(last < end.last_lsn),
                },
                Err(e) => {
                    let text = e.to_string();
                    assert!(text.contains("moon-inspect wal verify"), "{flip}: {text}");
                    refused += 1;
                }
            }
            assert!(whole.disk.rot(&path, offset, 1 << (offset % 8)), "flipped back");
        }
    }
    assert!(refused > 50 || mutant.is_some(), "{refused} flips refused");
    assert!(shortened > 0 || mutant.is_some(), "no flip hit the tail");
    None
}

fn finding(mutant: Option<Mutant>) -> Option<String> {
    crashes(mutant, Policy::Always)
        .or_else(|| crashes(mutant, Policy::EverySec))
        .or_else(|| failed_sync(mutant, Policy::Always, FaultKind::SyncEioOnce))
        .or_else(|| failed_sync(mutant, Policy::EverySec, FaultKind::SyncEioForever))
        .or_else(|| bit_flips(mutant, Policy::Always))
        .or_else(|| bit_flips(mutant, Policy::EverySec))
}

#[test]
fn the_checks_pass_without_a_bug() {
    assert_eq!(finding(None), None);
}

#[test]
fn every_bug_is_found() {
    let mut survivors = Vec::new();
    for mutant in Mutant::LOG {
        match finding(Some(mutant)) {
            Some(how) => println!("{mutant:?}: {how}"),
            None => survivors.push(mutant),
        }
    }
    assert_eq!(survivors, []);
}
